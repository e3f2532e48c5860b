// The scenario "device": a device loop, unmodified, on the fake kernel, with a device that asks for
// what it may have and for what it may not, recycles late or never, and scribbles on its slots, and
// with a host that withdraws what it has given.
//
// A run has four parts: device and host carry out their scripts while faults happen; faults end,
// every request is answered, and so is one more; the loop is told to stop, and ends; the files and
// the memory are as the answers say. In some runs the loop is told to stop before, at any moment,
// or its ring fails, for a while or for good.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

class DeviceScenario final : public Scenario {
 public:
  std::string_view name() const override { return "device"; }
  std::string_view description() const override {
    return "a device I/O loop on the fake kernel, under faults, with a device that errs";
  }
  sim::Plan Draw(uint64_t seed) const override;
  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override;
};

}  // namespace orrery::scenarios
