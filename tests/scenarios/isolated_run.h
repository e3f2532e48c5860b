// Runs in a child process each: a crash or a hang is a result like any other, with a signature and
// a plan, and what a failing run leaks dies with it.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/units.h"
#include "sim/child.h"
#include "sim/journal.h"
#include "sim/plan.h"
#include "sim/shrink.h"
#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

struct IsolatedResult {
  // What broke (sim/signature.h); empty when nothing did.
  std::string signature;
  // What to print about it.
  std::string report;
  // What it used of a processor.
  Nanoseconds processor_time = 0;
  // Unknown (0) of a run that crashed or hung.
  uint64_t hash = 0;
  uint64_t events = 0;
  Nanoseconds virtual_time = 0;
  // Coverage marks that it passed; none of a run that crashed or hung.
  std::vector<std::string> marks;
  // What happened, complete; of a run that broke nothing, nothing.
  sim::Plan plan;
};

class IsolatedRunner {
 public:
  // `events_max`: as many are the violation "endless".
  explicit IsolatedRunner(const sim::ChildLimits& limits,
                          uint64_t events_max = RunOptions{}.events_max)
      : limits_(limits), events_max_(events_max) {}

  const sim::ChildLimits& limits() const { return limits_; }

  // As in scenario.h. The error is what is wrong with the plan.
  std::expected<IsolatedResult, std::string> RunSeed(const Scenario& scenario, uint64_t seed);
  std::expected<IsolatedResult, std::string> RunPlan(const Scenario& scenario,
                                                     const sim::Plan& plan);

 private:
  // Whether the plan's choices are taken, or its seed's.
  enum class Choices : uint8_t { kOfPlan, kOfSeed };
  std::expected<IsolatedResult, std::string> Run(const Scenario& scenario, const sim::Plan& plan,
                                                 Choices choices);

  sim::ChildLimits limits_;
  uint64_t events_max_;
  sim::SharedJournal journal_;
};

// Shrinks a plan that breaks a rule, crashes or hangs, keeping its signature (sim/shrink.h). What
// is tried should be smaller than the plan, so it is given up when it makes many times as many
// events; and when it uses many times as much of a processor, but `patience` at least. The error is
// what is wrong with the plan, or that it breaks nothing.
std::expected<sim::ShrinkResult, std::string> ShrinkIsolated(IsolatedRunner& runner,
                                                             const Scenario& scenario,
                                                             const sim::Plan& plan,
                                                             const sim::ShrinkLimits& limits,
                                                             Nanoseconds patience = kSecond);

}  // namespace orrery::scenarios
