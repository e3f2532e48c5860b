// The scenario "server": the whole server, unmodified, on the fake kernel, with clients that do
// everything clients do.
//
// A run has four parts: the clients carry out their scripts while faults happen; faults end, the
// clients hurry, and everything that was sent completely must be answered; all clients leave, and
// the server must be as it was before they came; it is told to stop, and must end with nothing
// left. In some runs the stop comes in the middle instead. The judge watches all of it.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

class ServerScenario final : public Scenario {
 public:
  std::string_view name() const override { return "server"; }
  std::string_view description() const override {
    return "the whole server on the fake kernel, under faults, checked against a sequential model";
  }
  sim::Plan Draw(uint64_t seed) const override;
  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override;
};

// The scenario "values": the same run, of values of one byte to 8 MiB, that the server receives in
// place or not, sends without copies or not, to clients in a fixed-file table or not.
class ValuesScenario final : public Scenario {
 public:
  std::string_view name() const override { return "values"; }
  std::string_view description() const override {
    return "the whole server, with values of one byte to 8 MiB in and out, under faults";
  }
  sim::Plan Draw(uint64_t seed) const override;
  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override;
};

}  // namespace orrery::scenarios
