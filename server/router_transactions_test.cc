// What would break: with several shards, a command on keys of two of them, or a transaction,
// answers or changes something else than with one; a client is not answered, or something stays
// locked.
#include <gtest/gtest.h>

#include <string>

#include "server/testing_shards.h"

namespace orrery::server {
namespace {

constexpr unsigned kShards = 3;

class RouterTransactionsTest : public testing::Test {
 protected:
  std::string Run(const std::string& lines) { return session_.Run(lines); }
  std::string Pairs(const std::string& value) const {
    return own_ + " " + value + " " + second_ + " " + value + " " + third_ + " " + value;
  }

  TestingShards shards_{kShards};
  // One of each shard; `own` is of the client's.
  const std::string own_{shards_.KeyOf(0)};
  const std::string second_{shards_.KeyOf(1)};
  const std::string third_{shards_.KeyOf(2)};
  const std::string all_ = own_ + " " + second_ + " " + third_;
  RoutedSession session_{shards_, 0};
  RoutedSession other_{shards_, 1};
};

TEST_F(RouterTransactionsTest, CommandsOnSeveralKeysGoAcrossShards) {
  EXPECT_EQ(Run("MSET " + Pairs("1")), "+OK\r\n");
  EXPECT_EQ(other_.Run("MGET " + all_ + " none"), "*4\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$-1\r\n");
  EXPECT_EQ(Run("MSETNX " + Pairs("2")), ":0\r\n");
  EXPECT_EQ(Run("EXISTS " + all_ + " " + own_), ":4\r\n");
  EXPECT_EQ(Run("RENAME " + own_ + " " + third_), "+OK\r\n");
  EXPECT_EQ(Run("COPY " + third_ + " " + own_), ":1\r\n");
  EXPECT_EQ(Run("BITOP OR " + second_ + " " + own_ + " " + third_), ":1\r\n");
  EXPECT_EQ(Run("LCS " + own_ + " " + second_), "$1\r\n1\r\n");
  EXPECT_EQ(Run("DEL " + all_), ":3\r\n");
  EXPECT_EQ(Run("TOUCH " + all_), ":0\r\n");
  EXPECT_EQ(Run("RENAME " + own_ + " " + third_), "-ERR no such key\r\n");
}

TEST_F(RouterTransactionsTest, AWholeTransactionGoesAcrossShards) {
  EXPECT_EQ(Run("MULTI"), "+OK\r\n");
  EXPECT_EQ(Run("SET " + second_ + " 1"), "+QUEUED\r\n");
  EXPECT_EQ(Run("INCR " + third_), "+QUEUED\r\n");
  EXPECT_EQ(Run("MGET " + all_), "+QUEUED\r\n");
  EXPECT_EQ(Run("CLIENT SETNAME me"), "+QUEUED\r\n");
  EXPECT_EQ(other_.Run("GET " + second_), "$-1\r\n");
  EXPECT_EQ(Run("EXEC"), "*4\r\n+OK\r\n:1\r\n*3\r\n$-1\r\n$1\r\n1\r\n$1\r\n1\r\n+OK\r\n");
  EXPECT_EQ(Run("CLIENT GETNAME"), "$2\r\nme\r\n");
  EXPECT_EQ(other_.Run("MGET " + second_ + " " + third_), "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
}

TEST_F(RouterTransactionsTest, OnePipelineKeepsTheOrderOfItsReplies) {
  std::string lines = "SET " + own_ + " 1\r\nINCR " + second_ + "\r\nMSET " + Pairs("5") +
                      "\r\nINCR " + third_ + "\r\nMULTI\r\nINCR " + own_ + "\r\nINCR " + second_ +
                      "\r\nEXEC\r\nMGET " + all_ + "\r\nGET " + third_;
  EXPECT_EQ(Run(lines),
            "+OK\r\n:1\r\n+OK\r\n:6\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:6\r\n:6\r\n"
            "*3\r\n$1\r\n6\r\n$1\r\n6\r\n$1\r\n6\r\n$1\r\n6\r\n");
}

TEST_F(RouterTransactionsTest, KeysOfOtherShardsAreWatchedThere) {
  EXPECT_EQ(Run("WATCH " + all_), "+OK\r\n");
  EXPECT_EQ(Run("MULTI\r\nGET " + own_ + "\r\nEXEC"), "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
  for (const std::string& changed : {own_, second_, third_}) {
    EXPECT_EQ(Run("WATCH " + all_), "+OK\r\n");
    EXPECT_EQ(other_.Run("SET " + changed + " 1"), "+OK\r\n");
    EXPECT_EQ(Run("MULTI\r\nGET " + own_ + "\r\nEXEC"), "+OK\r\n+QUEUED\r\n*-1\r\n");
  }
  for (const std::string end : {"UNWATCH", "RESET", "MULTI\r\nDISCARD"}) {
    Run("WATCH " + second_);
    Run(end);
    other_.Run("SET " + second_ + " 2");
    EXPECT_EQ(Run("MULTI\r\nGET " + second_ + "\r\nEXEC"), "+OK\r\n+QUEUED\r\n*1\r\n$1\r\n2\r\n");
  }
  for (unsigned shard = 0; shard < kShards; ++shard) {
    EXPECT_TRUE(shards_[shard].server().context.watches.empty());
  }
}

TEST_F(RouterTransactionsTest, WhoWantsAKeyThatIsHeldWaitsForItsTurn) {
  // Both go for the same keys, and so do single commands, from both ends.
  session_.Send("MSET " + Pairs("1") + "\r\nGET " + third_ + "\r\n");
  other_.Send("MSET " + Pairs("2") + "\r\nGET " + own_ + "\r\n");
  RoutedSession single(shards_, 2);
  single.Send("GET " + third_ + "\r\nINCR " + third_ + "\r\n");
  shards_.Settle();
  EXPECT_TRUE(session_.Take().starts_with("+OK\r\n$1\r\n"));
  EXPECT_TRUE(other_.Take().starts_with("+OK\r\n$1\r\n"));
  EXPECT_FALSE(single.Take().empty());
}

TEST_F(RouterTransactionsTest, AClientThatGoesLeavesNothingLocked) {
  {
    RoutedSession guest(shards_, 0);
    guest.Send("WATCH " + all_ + "\r\n");
    shards_.Settle();
    guest.Send("MULTI\r\nSET " + second_ + " 7\r\nSET " + third_ + " 7\r\nEXEC\r\n");
  }
  {
    RoutedSession guest(shards_, 0);
    guest.Send("WATCH " + all_ + "\r\n");
  }
  shards_.Settle();
  // What was sent in whole takes place, or nothing of it does.
  EXPECT_EQ(Run("MGET " + second_ + " " + third_), "*2\r\n$1\r\n7\r\n$1\r\n7\r\n");
  for (unsigned shard = 0; shard < kShards; ++shard) {
    EXPECT_TRUE(shards_[shard].server().context.watches.empty());
    EXPECT_TRUE(shards_[shard].router().idle());
  }
}

TEST_F(RouterTransactionsTest, CommandsAboutAllKeysAreAlone) {
  Run("MSET " + Pairs("1"));
  session_.Send("MSET " + Pairs("2") + " more 1\r\n");
  other_.Send("DBSIZE\r\n");
  shards_.Settle();
  const std::string size = other_.Take();
  EXPECT_TRUE(size == ":3\r\n" || size == ":4\r\n") << size;
  EXPECT_EQ(Run("FLUSHALL"), "+OK\r\n+OK\r\n");
  EXPECT_EQ(Run("MGET " + all_), "*3\r\n$-1\r\n$-1\r\n$-1\r\n");
}

TEST_F(RouterTransactionsTest, ATransactionMayAskAllShardsInTheMiddle) {
  Run("MSET " + Pairs("1"));
  EXPECT_EQ(Run("MULTI\r\nSET new 1\r\nDBSIZE\r\nDEL " + all_ +
                "\r\nKEYS *\r\nFLUSHALL\r\nGET new\r\nINCR " + second_ + "\r\nDBSIZE\r\nEXEC"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
            "+QUEUED\r\n+QUEUED\r\n"
            "*8\r\n+OK\r\n:4\r\n:3\r\n*1\r\n$3\r\nnew\r\n+OK\r\n$-1\r\n:1\r\n:1\r\n");
  EXPECT_EQ(Run("GET " + second_), "$1\r\n1\r\n");
  EXPECT_EQ(Run("DEL " + second_), ":1\r\n");
  // One that asks a single shard, by its cursor.
  EXPECT_EQ(Run("MULTI\r\nSCAN 2 COUNT 1000\r\nEXEC"),
            "+OK\r\n+QUEUED\r\n*1\r\n*2\r\n$1\r\n0\r\n*0\r\n");
}

TEST_F(RouterTransactionsTest, AClientThatGoesInTheMiddleOfARoundLeavesNothingLocked) {
  for (int turns = 0; turns < 12; ++turns) {
    {
      RoutedSession guest(shards_, 0);
      guest.Send("MULTI\r\nSET " + second_ + " 1\r\nDBSIZE\r\nDEL " + second_ +
                 "\r\nDBSIZE\r\nEXEC\r\n");
      for (int turn = 0; turn < turns; ++turn) {
        for (unsigned shard = 0; shard < kShards; ++shard) shards_[shard].Turn();
      }
    }
    shards_.Settle();
    EXPECT_EQ(Run("DBSIZE"), ":0\r\n");
    for (unsigned shard = 0; shard < kShards; ++shard) {
      EXPECT_TRUE(shards_[shard].router().idle());
    }
  }
}

TEST_F(RouterTransactionsTest, LargeValuesTravel) {
  const std::string large(100'000, 'x');
  EXPECT_EQ(session_.Call({"MSET", second_, large, third_, large}), "+OK\r\n");
  EXPECT_EQ(session_.Call({"APPEND", second_, "y"}), ":100001\r\n");
  EXPECT_EQ(Run("RENAME " + second_ + " " + own_), "+OK\r\n");
  EXPECT_EQ(other_.Call({"MGET", own_, third_}),
            "*2\r\n$100001\r\n" + large + "y\r\n$100000\r\n" + large + "\r\n");
}

TEST_F(RouterTransactionsTest, RepliesThatNobodyWantsAreLeftOut) {
  Run("CLIENT REPLY OFF");
  EXPECT_EQ(Run("MSET " + Pairs("1")), "");
  EXPECT_EQ(Run("CLIENT REPLY ON"), "+OK\r\n");
  EXPECT_EQ(Run("MULTI\r\nCLIENT REPLY SKIP\r\nEXISTS " + all_ + "\r\nEXEC\r\nPING\r\nPING"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n+PONG\r\n");
}

}  // namespace
}  // namespace orrery::server
