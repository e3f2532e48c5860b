// Looks for the first seed that fails: the seeds in their order, each in every scenario, each run
// in a child process of its own (isolated_run.h), so that a crash or a hang is a failure like
// others.
//
// One thread. Invariant: which seed is found, and after how many, depends on the program and on the
// options alone, as long as the time is not over.
#pragma once

#include <cstdint>
#include <span>

#include "base/units.h"
#include "tests/scenarios/isolated_run.h"
#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

struct HuntOptions {
  std::span<const Scenario* const> scenarios;
  uint64_t first_seed = 0;
  uint64_t seeds_max = 0;
  // Of processors, over all runs; asked before each one.
  Nanoseconds processor_time_max = kNever;
};

struct HuntResult {
  // Where a seed failed; null when none did.
  const Scenario* scenario = nullptr;
  uint64_t seed = 0;
  IsolatedResult failure;
  // Seeds begun, the one that failed included.
  uint64_t seeds = 0;
  // What all runs used of processors.
  Nanoseconds processor_time = 0;
  // No seed failed because the time was over before the seeds were.
  bool out_of_time = false;
};

HuntResult Hunt(IsolatedRunner& runner, const HuntOptions& options);

}  // namespace orrery::scenarios
