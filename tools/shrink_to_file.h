// Shrinking as the tools do it: within limits that the caller gives, into a file.
//
// Used by the one thread of a tool.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "sim/plan.h"
#include "sim/shrink.h"
#include "tests/scenarios/isolated_run.h"
#include "tests/scenarios/scenario.h"

namespace orrery::tools {

struct ShrinkToFileOptions {
  // As the caller gave it.
  std::string path;
  uint64_t runs_max = 20'000;
  // On the wall.
  uint64_t seconds_max = 300;
};

struct ShrunkFile {
  uint64_t first_lines = 0;
  uint64_t lines = 0;
  uint64_t runs = 0;
  double seconds = 0;
  sim::ShrinkEnd end = sim::ShrinkEnd::kSmallest;
};

// Makes a failing plan small and writes what is left. The error is what is wrong with the plan,
// that it breaks nothing, or that the file cannot be written.
std::expected<ShrunkFile, std::string> ShrinkToFile(scenarios::IsolatedRunner& runner,
                                                    const scenarios::Scenario& scenario,
                                                    const sim::Plan& plan,
                                                    const ShrinkToFileOptions& options);

}  // namespace orrery::tools
