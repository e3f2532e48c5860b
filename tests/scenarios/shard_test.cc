// What a whole shard does between its clients' commands: where it is wrong, memory stays with a
// server that nobody talks to, or a long argument is not what was sent.
#include "server/shard.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "gtest/gtest.h"
#include "tests/scenarios/shard_fixture.h"

namespace orrery::scenarios {
namespace {

using ShardTest = ShardFixture;

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

}  // namespace
}  // namespace orrery::scenarios
