// The scenario "shards": the whole server on several shards, each on a ring of its own of one fake
// kernel, with clients that meet on a few keys.
//
// A run has the parts of the scenario "server". What is legal follows from what clients see: order
// of replies, linearizability, publish order (tests/scenarios/shards_judge.h). Shards are kept from
// running at times; mailboxes hold from one message on.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

class ShardsScenario final : public Scenario {
 public:
  std::string_view name() const override { return "shards"; }
  std::string_view description() const override {
    return "the server on several shards, under faults: linearizable, and nothing left over";
  }
  sim::Plan Draw(uint64_t seed) const override;
  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override;
};

}  // namespace orrery::scenarios
