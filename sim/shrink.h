// Makes a failing plan small: takes away what the failure does not need.
//
// Delta debugging (Zeller 2002) over everything that a plan is made of: the clients of its
// workload, their steps, commands and arguments; the choices that were not benign; the knobs of its
// configuration, a missing one having its default. What cannot go is made smaller: values towards 0
// and 1, choices towards benign. All of it again until nothing changes.
//
// Deterministic: what is tried depends on the plan and on the answers alone, and ends after a
// number of runs; a time limit may end it sooner. Invariant: the plan at hand always fails in the
// same way.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "sim/plan.h"

namespace orrery::sim {

// Runs a plan. When it fails in the same way as the first one, what happened: the plan with the
// choices that were really taken. Nothing when it does not, or cannot be run at all.
using RunPlanAgain = std::function<std::optional<Plan>(const Plan&)>;

struct ShrinkLimits {
  uint64_t runs_max = 20'000;
  // Asked before each run; none: no time limit.
  std::function<bool()> out_of_time;
};

enum class ShrinkEnd : uint8_t { kSmallest, kRunsUsedUp, kOutOfTime };
std::string_view NameOf(ShrinkEnd end);

struct ShrinkResult {
  Plan plan;  // As its last run returned it.
  uint64_t runs = 0;
  ShrinkEnd end = ShrinkEnd::kSmallest;
};

// Lines of the plan as a file.
uint64_t LinesOf(const Plan& plan);

// REQUIRES: `run` returns a plan for `plan`.
ShrinkResult Shrink(const Plan& plan, const RunPlanAgain& run, const ShrinkLimits& limits);

}  // namespace orrery::sim
