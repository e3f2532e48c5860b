// A server on the fake kernel and its clients, driven by hand, for tests of one behaviour each:
// what tests of one shard (shard_fixture.h) and of several (shards_test.cc) share.
//
// Nothing goes wrong that the test does not do; time passes when the test says so.
#pragma once

#include <memory>
#include <string_view>

#include "gtest/gtest.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "runtime/model_world.h"
#include "runtime/test_world.h"

namespace orrery::scenarios {

class ServerFixture : public testing::Test {
 protected:
  using Peer = TestWorld::Peer;
  static constexpr int kTurnsMax = 100'000;

  // One turn of each shard, which never waits.
  virtual void TurnShards() = 0;

  template <typename Predicate>
  [[nodiscard]] bool RunUntil(Predicate predicate) {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      if (predicate()) return true;
      TurnShards();
    }
    return predicate();
  }

  // Sends `bytes` and waits for as many bytes of replies as `replies` has.
  void Ask(Peer peer, std::string_view bytes, std::string_view replies) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      bytes.remove_prefix(world_.Send(peer, bytes));
      world_.Receive(peer, input, ~size_t{0});
      return bytes.empty() && input.bytes.size() >= replies.size();
    }));
    EXPECT_TRUE(input.bytes == replies) << input.bytes.substr(0, 200);
  }
  PeerInput ReadToTheEnd(Peer peer) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      world_.Receive(peer, input, ~size_t{0});
      return input.end || input.reset;
    }));
    return input;
  }

  static model::ModelOptions Machine() {
    model::ModelOptions machine;
    machine.descriptors_max = 10'000;
    return machine;
  }

  ModelWorld world_{Machine(), std::make_unique<model::BenignChoice>()};
};

}  // namespace orrery::scenarios
