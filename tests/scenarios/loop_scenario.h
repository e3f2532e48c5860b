// The scenario "loop": a submission loop, unmodified, on the fake kernel, with callers that submit,
// cancel, give up and leave, and with peers and a file for their requests.
//
// A run has four parts: the callers carry out their scripts while faults happen; faults end, and
// everybody cancels what is left and leaves; every request has its result; the loop ends by itself,
// because the last submitter is gone, and nothing is left. In some runs it is told to end before,
// at any moment, with limits.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

class LoopScenario final : public Scenario {
 public:
  std::string_view name() const override { return "loop"; }
  std::string_view description() const override {
    return "a submission loop on the fake kernel, under faults, with callers that know each answer";
  }
  sim::Plan Draw(uint64_t seed) const override;
  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override;
};

}  // namespace orrery::scenarios
