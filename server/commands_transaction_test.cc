// What would break: a transaction runs in part, or although a key that it depends on has changed;
// or a client gets other errors than from Redis 7.0.15.
#include <gtest/gtest.h>

#include <string>

#include "server/testing_session.h"

namespace orrery::server {
namespace {

constexpr std::string_view kChanged = "*-1\r\n";

class TransactionCommandsTest : public testing::Test {
 protected:
  std::string Run(std::string_view line) { return session_.Run(line); }
  // What EXEC of nothing answers: "*0" or that a watched key has changed.
  std::string RunEmpty() {
    Run("MULTI");
    return Run("EXEC");
  }

  TestingServer server_;
  TestingSession session_{server_};
  TestingSession other_{server_};
};

TEST_F(TransactionCommandsTest, QueuesAndRuns) {
  EXPECT_EQ(Run("MULTI"), "+OK\r\n");
  EXPECT_EQ(Run("SET key 1"), "+QUEUED\r\n");
  EXPECT_EQ(other_.Run("GET key"), "$-1\r\n");
  EXPECT_EQ(Run("INCR key"), "+QUEUED\r\n");
  EXPECT_EQ(Run("CLIENT GETNAME"), "+QUEUED\r\n");
  EXPECT_EQ(Run("EXEC"), "*3\r\n+OK\r\n:2\r\n$-1\r\n");
  EXPECT_EQ(Run("GET key"), "$1\r\n2\r\n");
}

TEST_F(TransactionCommandsTest, WhatFailsDoesNotStopTheRest) {
  Run("SET key text");
  Run("MULTI");
  Run("INCR key");
  Run("STRLEN key");
  EXPECT_EQ(Run("EXEC"), "*2\r\n-ERR value is not an integer or out of range\r\n:4\r\n");
}

TEST_F(TransactionCommandsTest, WhatCannotBeQueuedAbortsIt) {
  for (const std::string_view wrong : {"NOSUCH", "GET", "CLIENT NOSUCH", "DISCARD now", "WATCH"}) {
    Run("MULTI");
    Run("SET key 1");
    EXPECT_TRUE(Run(wrong).starts_with("-ERR ")) << wrong;
    EXPECT_EQ(Run("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
    EXPECT_EQ(Run("EXEC"), "-ERR EXEC without MULTI\r\n");
  }
  EXPECT_EQ(Run("GET key"), "$-1\r\n");
}

TEST_F(TransactionCommandsTest, NestsNothing) {
  Run("MULTI");
  EXPECT_EQ(Run("MULTI"), "-ERR MULTI calls can not be nested\r\n");
  EXPECT_EQ(Run("WATCH key"), "-ERR WATCH inside MULTI is not allowed\r\n");
  EXPECT_EQ(Run("EXEC"), "*0\r\n");
}

TEST_F(TransactionCommandsTest, ExecWithArgumentsDiscards) {
  constexpr std::string_view kAborted =
      "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' "
      "command\r\n";
  EXPECT_EQ(Run("EXEC now"), kAborted);
  Run("MULTI");
  EXPECT_EQ(Run("EXEC now"), kAborted);
  EXPECT_EQ(Run("EXEC"), "-ERR EXEC without MULTI\r\n");
}

TEST_F(TransactionCommandsTest, DiscardAndResetForget) {
  EXPECT_EQ(Run("DISCARD"), "-ERR DISCARD without MULTI\r\n");
  for (const std::string_view end : {"DISCARD", "RESET"}) {
    Run("WATCH key");
    Run("MULTI");
    Run("SET key 1");
    Run(end);
    EXPECT_EQ(Run("GET key"), "$-1\r\n");
    other_.Run("SET key 2");
    EXPECT_EQ(RunEmpty(), "*0\r\n");
    other_.Run("DEL key");
  }
}

TEST_F(TransactionCommandsTest, QuitEndsTheClientAtOnce) {
  Run("MULTI");
  EXPECT_EQ(Run("QUIT"), "+OK\r\n");
  EXPECT_TRUE(session_.client().closing);
}

TEST_F(TransactionCommandsTest, AChangeOfAWatchedKeyAborts) {
  struct Case {
    std::string_view before;
    std::string_view write;
    bool changes;
  };
  // As Redis 7.0.15 answers.
  constexpr Case kCases[] = {
      {"SET a x", "SET a x", true},
      {"SET a x", "SET a y NX", false},
      {"SET a x", "APPEND a \"\"", true},
      {"SET a x", "SETRANGE a 0 x", true},
      {"SET a x", "SETRANGE a 0 \"\"", false},
      {"SET a x", "SETBIT a 0 0", false},
      {"SET a x", "SETBIT a 1 0", true},
      {"SET a x", "SETBIT a 100 0", true},
      {"PING", "SETBIT a 0 0", true},
      {"SET a x", "BITFIELD a SET u8 0 120", false},
      {"SET a x", "BITFIELD a SET u8 0 121", true},
      {"SET a x", "BITFIELD a SET u8 80 0", true},
      {"SET a x", "BITFIELD a OVERFLOW FAIL INCRBY u8 80 256", false},
      {"PING", "BITFIELD a OVERFLOW FAIL INCRBY u8 80 -1", false},
      {"PING", "BITFIELD a SET u8 0 0", true},
      {"SET a x", "GETEX a PERSIST", false},
      {"SET a x EX 10", "GETEX a PERSIST", true},
      {"SET a x", "PERSIST a", false},
      {"SET a x", "EXPIRE a 10", true},
      {"SET a x", "EXPIRE a 10 XX", false},
      {"SET a x", "RENAME a a", false},
      {"SET a x", "RENAME a b", true},
      {"SET b x", "RENAME b a", true},
      {"SET b x", "COPY b a", true},
      {"SET a x", "COPY a b", false},
      {"SET a x", "TOUCH a", false},
      {"SET a x", "GETDEL a", true},
      {"PING", "DEL a", false},
      {"SET a x", "FLUSHALL", true},
      {"PING", "FLUSHALL", false},
      {"SET b x", "BITOP NOT a b", true},
      {"SET a x", "MSETNX a 1 b 2", false},
      {"SET a x", "SWAPDB 0 0", false},
  };
  for (const Case& one : kCases) {
    other_.Run("FLUSHALL");
    other_.Run(one.before);
    EXPECT_EQ(Run("WATCH c a"), "+OK\r\n");
    other_.Run(one.write);
    EXPECT_EQ(RunEmpty() == kChanged, one.changes) << one.before << "; " << one.write;
  }
}

TEST_F(TransactionCommandsTest, ChangesOfItsOwnCountToo) {
  Run("WATCH key");
  Run("SET key 1");
  EXPECT_EQ(RunEmpty(), kChanged);
  // Not those within the transaction.
  Run("WATCH key");
  Run("MULTI");
  Run("SET key 2");
  EXPECT_EQ(Run("EXEC"), "*1\r\n+OK\r\n");
  EXPECT_EQ(RunEmpty(), "*0\r\n");
}

TEST_F(TransactionCommandsTest, UnwatchForgets) {
  Run("WATCH key");
  other_.Run("SET key 1");
  EXPECT_EQ(Run("UNWATCH"), "+OK\r\n");
  EXPECT_EQ(RunEmpty(), "*0\r\n");
  // Queued, it comes too late.
  Run("WATCH key");
  other_.Run("SET key 1");
  Run("MULTI");
  EXPECT_EQ(Run("UNWATCH"), "+QUEUED\r\n");
  EXPECT_EQ(Run("EXEC"), kChanged);
}

TEST_F(TransactionCommandsTest, AWatchedKeyThatExpiresHasChanged) {
  Run("SET key 1 PX 10");
  Run("WATCH key");
  server_.context.now_ms += 11;
  EXPECT_EQ(RunEmpty(), kChanged);
  // One that had expired before has not.
  other_.Run("SET key 1 PX 10");
  server_.context.now_ms += 11;
  Run("WATCH key");
  other_.Run("GET key");
  EXPECT_EQ(RunEmpty(), "*0\r\n");
}

TEST_F(TransactionCommandsTest, ClientListShowsIt) {
  const auto has = [this](std::string_view part) {
    return other_.Run("CLIENT LIST ID 1").find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(" flags=N "));
  EXPECT_TRUE(has(" multi=-1 "));
  Run("WATCH key");
  Run("MULTI");
  EXPECT_TRUE(has(" flags=x "));
  EXPECT_TRUE(has(" multi=0 "));
  Run("GET key");
  EXPECT_TRUE(has(" multi=1 "));
  other_.Run("SET key 1");
  EXPECT_TRUE(has(" flags=xd "));
  Run("EXEC");
  EXPECT_TRUE(has(" flags=N "));
}

TEST_F(TransactionCommandsTest, TheQueueHoldsItsArguments) {
  Run("MULTI");
  const std::string big(100'000, 'x');
  session_.Call({"SET", "key", big});
  EXPECT_GT(session_.client().transaction_bytes(), big.size());
  session_.Call({"STRLEN", "key"});
  EXPECT_EQ(Run("EXEC"), "*2\r\n+OK\r\n:100000\r\n");
  EXPECT_EQ(session_.client().transaction_bytes(), 0u);
}

TEST_F(TransactionCommandsTest, APauseOfWritesHoldsBackWhatIsQueued) {
  Run("MULTI");
  Run("GET key");
  Run("SET key 1");
  other_.Run("CLIENT PAUSE 1000 WRITE");
  EXPECT_EQ(session_.Send("EXEC\r\n"), ProcessEnd::kPaused);
  server_.context.monotonic_ns += 2 * kSecond;
  EXPECT_EQ(session_.Send(""), ProcessEnd::kNeedMore);
  EXPECT_EQ(session_.Take(), "*2\r\n$-1\r\n+OK\r\n");
}

TEST_F(TransactionCommandsTest, RepliesAsFarAsTheClientWantsThem) {
  Run("MULTI");
  Run("CLIENT REPLY OFF");
  Run("PING");
  // As from Redis, the array has no end.
  EXPECT_EQ(Run("EXEC"), "*2\r\n");
  EXPECT_EQ(Run("PING"), "");
  Run("MULTI");
  Run("CLIENT REPLY ON");
  Run("PING");
  EXPECT_EQ(Run("EXEC"), "+OK\r\n+PONG\r\n");
}

TEST_F(TransactionCommandsTest, AClientThatGoesWatchesNothing) {
  {
    TestingSession guest(server_);
    guest.Run("WATCH key");
    EXPECT_FALSE(server_.context.watches.empty());
  }
  EXPECT_TRUE(server_.context.watches.empty());
  Run("SET key 1");
}

}  // namespace
}  // namespace orrery::server
