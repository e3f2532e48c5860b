// What a client may cost the server, and who may be one: where it is wrong, one client takes all
// memory, or one that has done nothing wrong is cut off.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "gtest/gtest.h"
#include "server/authentication.h"
#include "server/shard.h"
#include "tests/scenarios/shard_fixture.h"

namespace orrery::scenarios {
namespace {

class LimitsTest : public ShardFixture {
 protected:
  static server::ShardOptions IdleFor(uint32_t seconds) {
    server::ShardOptions options;
    options.config.idle_seconds_max = seconds;
    return options;
  }
  static server::ShardOptions WithOutputLimit(const server::OutputLimit& limit) {
    server::ShardOptions options;
    options.config.output_limits[static_cast<size_t>(server::ClientClass::kNormal)] = limit;
    return options;
  }

  void Sleep(Nanoseconds time) { SleepUntil(world_.kernel().MonotonicNow() + time); }
  void Send(Peer peer, std::string_view bytes) {
    EXPECT_TRUE(RunUntil([&] {
      bytes.remove_prefix(world_.Send(peer, bytes));
      return bytes.empty();
    }));
    for (int turn = 0; turn < 20; ++turn) Turn();
  }
  bool HasEnded(Peer peer) {
    for (int turn = 0; turn < 20; ++turn) Turn();
    PeerInput input;
    world_.Receive(peer, input, ~size_t{0});
    return input.end || input.reset;
  }
  uint64_t Stat(std::string_view field) {
    const Peer peer = Connect();
    Send(peer, "INFO stats\r\nQUIT\r\n");
    const std::string text = ReadToTheEnd(peer).bytes;
    const size_t at = text.find(std::string(field) + ":");
    EXPECT_NE(at, std::string::npos) << field;
    return std::stoull(text.substr(at + field.size() + 1));
  }
};

// --- idle clients

TEST_F(LimitsTest, AnIdleClientIsCutOffAndAnActiveOneIsNot) {
  SetUpShard(IdleFor(10));
  const Peer idle = Connect();
  const Peer active = Connect();
  Ask(idle, "PING\r\n", "+PONG\r\n");
  for (int second = 0; second < 9; ++second) {
    Ask(active, "PING\r\n", "+PONG\r\n");
    Sleep(1 * kSecond);
  }
  EXPECT_FALSE(HasEnded(idle));
  Sleep(2 * kSecond);
  EXPECT_TRUE(HasEnded(idle));
  Ask(active, "PING\r\n", "+PONG\r\n");
}

TEST_F(LimitsTest, OneThatHasNeverSaidAnythingIsIdle) {
  SetUpShard(IdleFor(10));
  const Peer peer = Connect();
  Sleep(9 * kSecond);
  EXPECT_FALSE(HasEnded(peer));
  Sleep(2 * kSecond);
  EXPECT_TRUE(HasEnded(peer));
}

// It says nothing for long, but reads all the time.
TEST_F(LimitsTest, ASlowReaderIsNotIdle) {
  SetUpShard(IdleFor(10));
  const Peer peer = Connect();
  const std::string value(900'000, 'v');
  Ask(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n" + value + "\r\n", "+OK\r\n");
  Send(peer, "GET k\r\n");
  PeerInput input;
  const std::string reply = "$900000\r\n" + value + "\r\n";
  while (input.bytes.size() < reply.size()) {
    const size_t before = input.bytes.size();
    world_.Receive(peer, input, 100'000);
    ASSERT_GT(input.bytes.size(), before);
    Sleep(6 * kSecond);
  }
  EXPECT_TRUE(input.bytes == reply);
}

TEST_F(LimitsTest, OneThatReadsNothingOfItsReplyIsIdle) {
  SetUpShard(IdleFor(10));
  const Peer peer = Connect();
  const std::string value(900'000, 'v');
  Ask(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n" + value + "\r\n", "+OK\r\n");
  Send(peer, "GET k\r\n");
  Sleep(15 * kSecond);
  EXPECT_EQ(shard_->reactor().connections(), 0U);
}

// Of an argument that is received in its own memory the kernel tells nothing before it is complete.
TEST_F(LimitsTest, ASlowArgumentIsNotIdleAndOneThatStopsIs) {
  server::ShardOptions options = IdleFor(10);
  options.in_place_bytes_min = 100;
  SetUpShard(options);
  const Peer peer = Connect();
  Send(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000\r\n");
  for (int part = 0; part < 10; ++part) {
    Sleep(6 * kSecond);
    Send(peer, std::string(1000, 'v'));
  }
  Ask(peer, "\r\n", "+OK\r\n");
  Send(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000\r\nabc");
  Sleep(21 * kSecond);
  EXPECT_TRUE(HasEnded(peer));
  EXPECT_EQ(shard_->reactor().connections(), 0U);
}

TEST_F(LimitsTest, WhoWaitsForTheEndOfAPauseIsNotIdle) {
  SetUpShard(IdleFor(10));
  const Peer waiting = Connect();
  const Peer other = Connect();
  Ask(other, "CLIENT PAUSE 25000\r\n", "+OK\r\n");
  Send(waiting, "PING\r\n");
  Sleep(24 * kSecond);
  EXPECT_TRUE(HasEnded(other));
  Ask(waiting, "", "");
  Sleep(2 * kSecond);
  Ask(waiting, "", "+PONG\r\n");
}

TEST_F(LimitsTest, TheTimeoutChangesWhileClientsAreThere) {
  SetUpShard({});
  const Peer idle = Connect();
  const Peer peer = Connect();
  Ask(idle, "PING\r\n", "+PONG\r\n");
  Sleep(100 * kSecond);
  EXPECT_FALSE(HasEnded(idle));
  Ask(peer, "CONFIG SET timeout 200\r\n", "+OK\r\n");
  Sleep(1 * kSecond);
  EXPECT_FALSE(HasEnded(idle));
  // It has been idle for so long already.
  Ask(peer, "CONFIG SET timeout 50\r\n", "+OK\r\n");
  Sleep(1 * kSecond);
  EXPECT_TRUE(HasEnded(idle));
  Ask(peer, "CONFIG SET timeout 0\r\n", "+OK\r\n");
  Sleep(1000 * kSecond);
  Ask(peer, "PING\r\n", "+PONG\r\n");
}

// --- output

TEST_F(LimitsTest, WhoReachesTheHardLimitIsCutOffAtOnce) {
  SetUpShard(WithOutputLimit({.hard_bytes = 50'000}));
  const Peer other = Connect();
  Ask(other, "SET k " + std::string(3000, 'v') + "\r\n", "+OK\r\n");
  const Peer peer = Connect();
  std::string command = "MGET";
  for (int count = 0; count < 10'000; ++count) command += " k";
  // None of these follows the one that costs too much.
  Send(peer, command + "\r\nSET late 1\r\n");
  EXPECT_TRUE(HasEnded(peer));
  EXPECT_EQ(shard_->reactor().connections(), 1U);
  // No more was written than fits, though it was one command.
  EXPECT_LT(shard_->reactor().counters().copied_bytes, 60'000U);
  Ask(other, "GET late\r\n", "$-1\r\n");
  EXPECT_EQ(Stat("client_output_buffer_limit_disconnections"), 1U);
}

// In flight or not: the socket takes none of it any more.
TEST_F(LimitsTest, WhatIsInFlightCounts) {
  SetUpShard(WithOutputLimit({.hard_bytes = 700'000}));
  const Peer peer = Connect();
  const std::string value(300'000, 'v');
  Ask(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n" + value + "\r\n", "+OK\r\n");
  // Fills the socket, and then leaves a send in flight that waits for room.
  for (int count = 0; count < 20 && shard_->reactor().connections() == 1; ++count) {
    Send(peer, "GET k\r\n");
  }
  EXPECT_EQ(shard_->reactor().connections(), 0U);
  EXPECT_LT(shard_->reactor().counters().unsent_bytes, 1'000'000U);
}

TEST_F(LimitsTest, TheSoftLimitIsOneInTime) {
  SetUpShard(WithOutputLimit({.soft_bytes = 100'000, .soft_seconds = 10}));
  const std::string value(800'000, 'v');
  const std::string reply = "$800000\r\n" + value + "\r\n";
  const Peer peer = Connect();
  Ask(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$800000\r\n" + value + "\r\n", "+OK\r\n");
  // Not so long, several times.
  for (int round = 0; round < 3; ++round) {
    Send(peer, "GET k\r\n");
    Sleep(9 * kSecond);
    Ask(peer, "", reply);
    Sleep(5 * kSecond);
  }
  Send(peer, "GET k\r\n");
  Sleep(9 * kSecond);
  EXPECT_EQ(shard_->reactor().connections(), 1U);
  Sleep(2 * kSecond);
  EXPECT_EQ(shard_->reactor().connections(), 0U);
}

TEST_F(LimitsTest, ALowerLimitHoldsForWhatWaitsAlready) {
  SetUpShard({});
  const Peer peer = Connect();
  const Peer other = Connect();
  const std::string value(800'000, 'v');
  Ask(peer, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$800000\r\n" + value + "\r\n", "+OK\r\n");
  Send(peer, "GET k\r\n");
  Ask(other, "CONFIG SET client-output-buffer-limit \"normal 1kb 0 0\"\r\n", "+OK\r\n");
  Turn();
  EXPECT_TRUE(RunUntil([this] { return shard_->reactor().connections() == 1; }));
}

// --- input, and the number of clients

TEST_F(LimitsTest, AClientThatNeverCompletesACommandIsCutOff) {
  server::ShardOptions options;
  options.config.input_bytes_max = 10'000;
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

TEST_F(LimitsTest, ThousandsOverTheLimitAreEachToldSo) {
  server::ShardOptions options;
  options.config.clients_max = 2;
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

// --- who may be a client

TEST_F(LimitsTest, ProtectedModeKeepsOutWhoIsNotKnownToBeLocal) {
  server::ShardOptions options;
  options.listen.address = "0.0.0.0";
  options.reactor.fixed_files = 16;  // Nobody has an address.
  SetUpShard(options);
  const PeerInput denied = ReadToTheEnd(Connect());
  EXPECT_EQ(denied.bytes, server::DeniedReply());
  EXPECT_TRUE(denied.end);
}

TEST_F(LimitsTest, ProtectedModeLetsInWhoIsLocalOrMaySayAPassword) {
  server::ShardOptions options;
  options.listen.address = "0.0.0.0";
  SetUpShard(options);
  Ask(Connect(), "PING\r\n", "+PONG\r\n");
  TearDown();
  shard_.reset();
  ring_.reset();
  options.reactor.fixed_files = 16;
  options.config.password = "secret";
  SetUpShard(options);
  Ask(Connect(), "PING\r\nAUTH secret\r\nPING\r\n",
      "-NOAUTH Authentication required.\r\n+OK\r\n+PONG\r\n");
}

// Those who are there when the password is set stay who they are.
TEST_F(LimitsTest, APasswordIsForThoseWhoComeAfterIt) {
  SetUpShard({});
  const Peer before = Connect();
  Ask(before, "CONFIG SET requirepass secret\r\nGET k\r\n", "+OK\r\n$-1\r\n");
  const Peer after = Connect();
  Ask(after, "GET k\r\n", "-NOAUTH Authentication required.\r\n");
  Ask(before, "CONFIG SET requirepass \"\"\r\n", "+OK\r\n");
  Ask(after, "GET k\r\n", "$-1\r\n");
}

}  // namespace
}  // namespace orrery::scenarios
