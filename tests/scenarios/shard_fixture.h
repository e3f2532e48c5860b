// A server of one shard on the fake kernel, for tests of one behaviour each.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "base/units.h"
#include "gtest/gtest.h"
#include "runtime/test_world.h"
#include "server/shard.h"
#include "tests/scenarios/server_fixture.h"

namespace orrery::scenarios {

class ShardFixture : public ServerFixture {
 protected:
  void SetUpShard(const server::ShardOptions& options) {
    auto ring = world_.kernel().MakeRing({});
    ASSERT_TRUE(ring.has_value()) << ring.error();
    ring_ = std::move(*ring);
    auto shard = server::Shard::Create(*ring_, world_.kernel(), options, nullptr);
    ASSERT_TRUE(shard.has_value()) << shard.error();
    shard_ = std::move(*shard);
  }

  void TearDown() override {
    shard_->RequestStop();
    shard_->RequestStop();
    world_.Ring(shard_->waker());
    EXPECT_TRUE(RunUntil([this] { return shard_->finished(); }));
  }

  // One turn that never waits. Returns until when the shard would have slept: 0 for not at all.
  Nanoseconds Turn() {
    EnterRequest request = shard_->Turn();
    const Nanoseconds until = request.min_complete == 0 ? 0 : request.deadline;
    request.min_complete = 0;
    shard_->OnEntered(ring_->Enter(request));
    return until;
  }
  void TurnShards() override { (void)Turn(); }
  // Lets time pass as long as the shard wants to be woken for it, until `time` at most.
  void SleepUntil(Nanoseconds time) {
    for (int quiet_turns = 0; quiet_turns < 4;) {
      const Nanoseconds until = Turn();
      if (until == 0 || world_.kernel().MonotonicNow() >= until) continue;
      if (until > time) {
        ++quiet_turns;
      } else {
        world_.model().AdvanceTo(until);
      }
    }
    if (world_.kernel().MonotonicNow() < time) world_.model().AdvanceTo(time);
  }

  Peer Connect() { return world_.Connect(shard_->port()); }
  // Stores `count` keys; `options` ends each SET.
  void Fill(Peer peer, int count, const std::string& options) {
    std::string commands;
    std::string replies;
    for (int number = 0; number < count; ++number) {
      commands += "SET key:" + std::to_string(number) + " value" + options + "\r\n";
      replies += "+OK\r\n";
    }
    Ask(peer, commands, replies);
    EXPECT_EQ(shard_->keyspace().size(), static_cast<size_t>(count));
  }

  std::unique_ptr<Ring> ring_;
  std::unique_ptr<server::Shard> shard_;
};

}  // namespace orrery::scenarios
