// What a whole shard does between its clients' commands, and its limits: where it is wrong, memory
// stays with a server that nobody talks to, or one client takes all of it.
#include "server/shard.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "gtest/gtest.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "runtime/model_world.h"
#include "runtime/test_world.h"

namespace orrery::scenarios {
namespace {

class ShardTest : public testing::Test {
 protected:
  using Peer = TestWorld::Peer;
  static constexpr int kTurnsMax = 100'000;

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
  template <typename Predicate>
  [[nodiscard]] bool RunUntil(Predicate predicate) {
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      if (predicate()) return true;
      Turn();
    }
    return predicate();
  }
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
  // Sends `bytes` and waits for as many bytes of replies as `replies` has.
  void Ask(Peer peer, std::string_view bytes, std::string_view replies) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      bytes.remove_prefix(world_.Send(peer, bytes));
      world_.Receive(peer, input, ~size_t{0});
      return bytes.empty() && input.bytes.size() >= replies.size();
    }));
    EXPECT_TRUE(input.bytes == replies) << input.bytes.substr(0, 100);
  }
  PeerInput ReadToTheEnd(Peer peer) {
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      world_.Receive(peer, input, ~size_t{0});
      return input.end || input.reset;
    }));
    return input;
  }
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

  static model::ModelOptions Machine() {
    model::ModelOptions machine;
    machine.descriptors_max = 10'000;
    return machine;
  }

  ModelWorld world_{Machine(), std::make_unique<model::BenignChoice>()};
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<server::Shard> shard_;
};

TEST_F(ShardTest, WhatFlushAllLeavesIsFreedThoughNobodyComesAgain) {
  SetUpShard({});
  const size_t empty_bytes = shard_->keyspace().memory_bytes();
  const Peer peer = Connect();
  Fill(peer, 10'000, "");
  // The table has settled and the last round of background work is just over.
  SleepUntil(world_.kernel().MonotonicNow() + 10 * kSecond);
  Ask(peer, "PING\r\n", "+PONG\r\n");
  Ask(peer, "FLUSHALL\r\n", "+OK\r\n");
  SleepUntil(world_.kernel().MonotonicNow() + 10 * kSecond);
  EXPECT_LT(shard_->keyspace().memory_bytes(), empty_bytes + 1 * kKiB);
}

TEST_F(ShardTest, ManyKeysThatExpireTogetherAreGoneSoon) {
  SetUpShard({});
  const Peer peer = Connect();
  Fill(peer, 50'000, " PX 1000");
  SleepUntil(world_.kernel().MonotonicNow() + 3 * kSecond);
  EXPECT_EQ(shard_->keyspace().size(), 0U);
}

TEST_F(ShardTest, WithNothingToDoItSleepsForEver) {
  SetUpShard({});
  const Peer peer = Connect();
  Ask(peer, "SET key value\r\n", "+OK\r\n");
  SleepUntil(world_.kernel().MonotonicNow() + 10 * kSecond);
  EXPECT_EQ(Turn(), kNever);
}

TEST_F(ShardTest, AClientThatNeverCompletesACommandIsCutOff) {
  server::ShardOptions options;
  options.input_bytes_max = 10'000;
  SetUpShard(options);
  const Peer other = Connect();
  const Peer peer = Connect();
  // Each argument is within its own limit; nobody could keep them all.
  std::string bytes = "*1000\r\n";
  for (int number = 0; number < 11; ++number) {
    bytes += "$1000\r\n" + std::string(1000, 'x') + "\r\n";
  }
  std::string_view left = bytes;
  EXPECT_TRUE(RunUntil([&] {
    left.remove_prefix(world_.Send(peer, left));
    return left.empty();
  }));
  EXPECT_EQ(ReadToTheEnd(peer).bytes, "");
  Ask(other, "PING\r\n", "+PONG\r\n");
  // What is complete does not count, however much it is.
  std::string pings;
  std::string pongs;
  for (int number = 0; number < 5000; ++number) {
    pings += "PING\r\n";
    pongs += "+PONG\r\n";
  }
  Ask(other, pings, pongs);
}

// Wherever the stream is cut when the receive changes: before the argument, in it, with one or two
// bytes of it missing, in the end of line behind it, in the next command.
TEST_F(ShardTest, ALongArgumentMayBeCutAnywhere) {
  for (const size_t in_place_bytes_min : {size_t{1}, size_t{2}, size_t{1000}}) {
    server::ShardOptions options;
    options.in_place_bytes_min = in_place_bytes_min;
    SetUpShard(options);
    const Peer peer = Connect();
    const std::string head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000\r\n";
    const size_t end = head.size() + 5000;
    std::vector<size_t> cuts;
    for (size_t cut = head.size() - 2; cut < head.size() + 3; ++cut) cuts.push_back(cut);
    for (size_t cut = end - 1003; cut < end - 996; ++cut) cuts.push_back(cut);
    for (size_t cut = end - 3; cut < end + 6; ++cut) cuts.push_back(cut);
    for (const size_t cut : cuts) {
      std::string value;
      for (size_t index = 0; index < 5000; ++index) {
        value += static_cast<char>('a' + (index + cut) % 26);
      }
      const std::string stream = head + value + "\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
      Ask(peer, std::string_view(stream).substr(0, cut), "");
      for (int turn = 0; turn < 10; ++turn) Turn();
      Ask(peer, std::string_view(stream).substr(cut), "+OK\r\n$5000\r\n" + value + "\r\n");
    }
    TearDown();
    shard_.reset();
    ring_.reset();
  }
  SetUpShard({});
}

TEST_F(ShardTest, LongArgumentsOfOneCommandAreEachReceivedInPlace) {
  server::ShardOptions options;
  options.in_place_bytes_min = 100;
  SetUpShard(options);
  const Peer peer = Connect();
  const std::string first(70'000, 'f');
  const std::string second(2'000'000, 's');
  Ask(peer,
      "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$70000\r\n" + first + "\r\n$1\r\nb\r\n$2000000\r\n" + second +
          "\r\n",
      "+OK\r\n");
  Ask(peer, "GET a\r\n", "$70000\r\n" + first + "\r\n");
  Ask(peer, "GET b\r\n", "$2000000\r\n" + second + "\r\n");
  // It is changed like any other value.
  Ask(peer, "APPEND b !\r\n", ":2000001\r\n");
  Ask(peer, "GETRANGE b 1999998 -1\r\n", "$3\r\nss!\r\n");
}

// What is known of a frame with a body is not forgotten when a pause holds its command back.
TEST_F(ShardTest, ALongArgumentSurvivesAPause) {
  server::ShardOptions options;
  options.in_place_bytes_min = 100;
  SetUpShard(options);
  const Peer peer = Connect();
  const Peer other = Connect();
  const std::string value(50'000, 'v');
  const std::string frame = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$50000\r\n" + value + "\r\n";
  Ask(peer, std::string_view(frame).substr(0, 20'000), "");
  Ask(other, "CLIENT PAUSE 1000 WRITE\r\n", "+OK\r\n");
  Ask(peer, std::string_view(frame).substr(20'000), "");
  for (int turn = 0; turn < 100; ++turn) Turn();
  EXPECT_EQ(shard_->keyspace().size(), 0U);
  SleepUntil(world_.kernel().MonotonicNow() + 2 * kSecond);
  Ask(peer, "GET k\r\n", "+OK\r\n$50000\r\n" + value + "\r\n");
}

TEST_F(ShardTest, ThousandsOverTheLimitAreEachToldSo) {
  server::ShardOptions options;
  options.clients_max = 2;
  SetUpShard(options);
  const Peer first = Connect();
  const Peer second = Connect();
  Ask(first, "PING\r\n", "+PONG\r\n");
  Ask(second, "PING\r\n", "+PONG\r\n");
  std::vector<Peer> refused;
  for (int count = 0; count < 3000; ++count) {
    refused.push_back(Connect());
    Turn();
  }
  for (const Peer peer : refused) {
    const PeerInput input = ReadToTheEnd(peer);
    EXPECT_EQ(input.bytes, "-ERR max number of clients reached\r\n");
    EXPECT_TRUE(input.end);
  }
  Ask(first, "PING\r\n", "+PONG\r\n");
}

}  // namespace
}  // namespace orrery::scenarios
