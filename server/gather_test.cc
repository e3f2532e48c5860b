// What would break: a command about all keys or all clients sees those of one shard only, SCAN
// skips a key when it goes from shard to shard, shards disagree on what is configured.
#include "server/gather.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/testing_shards.h"

namespace orrery::server {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class GatherTest : public testing::Test {
 protected:
  static constexpr unsigned kShards = 3;

  // One key on each shard.
  void Fill() {
    for (unsigned shard = 0; shard < kShards; ++shard) {
      ASSERT_EQ(session_.Run("SET " + shards_.KeyOf(shard) + " value"), "+OK\r\n");
    }
  }

  TestingShards shards_{kShards};
  RoutedSession session_{shards_, 1};
};

TEST_F(GatherTest, KeysOfAllShards) {
  Fill();
  EXPECT_EQ(session_.Run("DBSIZE"), ":3\r\n");
  const std::string keys = session_.Run("KEYS *");
  EXPECT_EQ(keys.substr(0, 4), "*3\r\n");
  std::set<std::string> drawn;
  for (unsigned shard = 0; shard < kShards; ++shard) {
    EXPECT_TRUE(Contains(keys, "\r\n" + shards_.KeyOf(shard) + "\r\n")) << keys;
  }
  for (int i = 0; i < 100; ++i) drawn.insert(session_.Run("RANDOMKEY"));
  EXPECT_EQ(drawn.size(), kShards);
  EXPECT_EQ(session_.Run("FLUSHALL"), "+OK\r\n");
  EXPECT_EQ(session_.Run("DBSIZE"), ":0\r\n");
  EXPECT_EQ(session_.Run("KEYS *"), "*0\r\n");
  EXPECT_EQ(session_.Run("RANDOMKEY"), "$-1\r\n");
}

TEST_F(GatherTest, LaterCommandsWaitForTheReply) {
  session_.Send("SET " + shards_.KeyOf(0) + " 1\r\nDBSIZE\r\nSET " + shards_.KeyOf(1) +
                " 2\r\nDBSIZE\r\nGET " + shards_.KeyOf(2) + "\r\n");
  shards_.Settle();
  EXPECT_EQ(session_.Take(), "+OK\r\n:1\r\n+OK\r\n:2\r\n$-1\r\n");
  EXPECT_EQ(session_.Run("CLIENT REPLY SKIP\r\nDBSIZE\r\nPING"), "+PONG\r\n");
  EXPECT_EQ(session_.Run("KEYS"), "-ERR wrong number of arguments for 'keys' command\r\n");
}

TEST_F(GatherTest, AClientMayLeaveBeforeItsReply) {
  auto leaver = std::make_unique<RoutedSession>(shards_, 0);
  leaver->Send("FLUSHALL\r\nDBSIZE\r\n");
  shards_[0].Turn();
  shards_[1].Turn();
  leaver.reset();
  shards_.Settle();
  EXPECT_TRUE(shards_[0].router().idle());
}

TEST_F(GatherTest, ClientsOfAllShards) {
  RoutedSession first(shards_, 0);
  RoutedSession third(shards_, 2);
  first.Run("CLIENT SETNAME one");
  third.Run("CLIENT SETNAME three");
  const std::string list = session_.Run("CLIENT LIST");
  const size_t me = list.find("id=1 ");
  const size_t one = list.find("id=2 ");
  const size_t three = list.find("id=3 ");
  EXPECT_TRUE(me < one && one < three && three != std::string::npos) << list;
  EXPECT_TRUE(Contains(list, "name=one"));
  EXPECT_TRUE(Contains(list, "name=three"));
  const std::string some = session_.Run("CLIENT LIST ID 3 99 2 3");
  EXPECT_LT(some.find("id=3 "), some.find("id=2 "));
  EXPECT_GT(some.rfind("id=3 "), some.find("id=2 "));

  EXPECT_EQ(session_.Run("CLIENT KILL ID 3"), ":1\r\n");
  EXPECT_TRUE(third.killed());
  EXPECT_FALSE(first.killed());
  EXPECT_EQ(session_.Run("CLIENT KILL TYPE normal"), ":1\r\n");
  EXPECT_TRUE(first.killed());
  EXPECT_EQ(session_.Run("CLIENT KILL ID 3"), ":0\r\n");
  // Itself: after the reply, and nothing behind it runs.
  EXPECT_EQ(session_.Run("CLIENT KILL ID 1 SKIPME no\r\nPING"), ":1\r\n");
  EXPECT_EQ(session_.last_end(), ProcessEnd::kClosing);
}

TEST_F(GatherTest, InfoCountsAll) {
  Fill();
  session_.Run("GET " + shards_.KeyOf(0) + "\r\nINCR " + shards_.KeyOf(2));
  const std::string info = session_.Run("INFO everything");
  EXPECT_TRUE(Contains(info, "db0:keys=3,")) << info;
  EXPECT_TRUE(Contains(info, "total_commands_processed:6\r\n")) << info;
  EXPECT_TRUE(Contains(info, "cmdstat_set:calls=3,")) << info;
  EXPECT_TRUE(Contains(info, "keyspace_hits:1\r\n")) << info;
  EXPECT_TRUE(Contains(info, "errorstat_ERR:count=1\r\n")) << info;
  EXPECT_EQ(session_.Run("CONFIG RESETSTAT"), "+OK\r\n");
  EXPECT_TRUE(Contains(session_.Run("INFO everything"), "total_commands_processed:1\r\n"));
}

// Two clients of different shards configure at the same time: whoever comes last, it is so for all.
TEST_F(GatherTest, ShardsAgreeOnWhatIsConfigured) {
  RoutedSession other(shards_, 2);
  for (int round = 0; round < 20; ++round) {
    session_.Send("CONFIG SET maxclients " + std::to_string(100 + round) + "\r\n");
    other.Send("CONFIG SET maxclients " + std::to_string(200 + round) +
               " proto-max-bulk-len 1048576\r\n");
    for (int turn = 0; turn < round; ++turn) shards_[(turn * 7 + round) % kShards].Turn();
    shards_.Settle();
    EXPECT_EQ(session_.Take(), "+OK\r\n");
    EXPECT_EQ(other.Take(), "+OK\r\n");
    const uint32_t agreed = shards_[0].server().context.config.clients_max;
    for (unsigned shard = 0; shard < kShards; ++shard) {
      EXPECT_EQ(shards_[shard].server().context.config.clients_max, agreed);
      EXPECT_EQ(shards_[shard].server().context.config.bulk_bytes_max, 1048576u);
    }
  }
  EXPECT_TRUE(Contains(session_.Run("CONFIG SET maxclients 300 save x"), "-ERR CONFIG SET failed"));
  EXPECT_NE(shards_[0].server().context.config.clients_max, 300u);
}

TEST_F(GatherTest, APauseIsForAll) {
  EXPECT_EQ(session_.Run("CLIENT PAUSE 1000 WRITE"), "+OK\r\n");
  for (unsigned shard = 0; shard < kShards; ++shard) {
    RoutedSession writer(shards_, shard);
    writer.Run("SET " + shards_.KeyOf(0) + " 1");
    EXPECT_EQ(writer.last_end(), ProcessEnd::kPaused);
  }
  EXPECT_EQ(session_.Run("CLIENT UNPAUSE"), "+OK\r\n");
  EXPECT_EQ(session_.Run("SET " + shards_.KeyOf(0) + " 1"), "+OK\r\n");
}

TEST_F(GatherTest, ACursorMayBeAnything) {
  Fill();
  for (const char* cursor : {"18446744073709551615", "4", "7000000000000"}) {
    EXPECT_EQ(session_.Run(std::string("SCAN ") + cursor).substr(0, 4), "*2\r\n") << cursor;
  }
  EXPECT_EQ(session_.Run("SCAN x"), "-ERR invalid cursor\r\n");
  EXPECT_EQ(session_.Run("SCAN 0 COUNT 0"), "-ERR syntax error\r\n");
}

// Redis's guarantee, over several tables that grow and shrink meanwhile.
RC_GTEST_PROP(ScanProperty, WhatStaysIsReturned, ()) {
  const auto count = *rc::gen::inRange(1u, 5u);
  TestingShards shards(std::max(count, 2u));
  RoutedSession session(shards, 0);
  const int stay = *rc::gen::inRange(0, 300);
  for (int i = 0; i < stay; ++i) session.Run("SET stays:" + std::to_string(i) + " v");
  std::set<std::string> seen;
  std::string cursor = "0";
  int number = 0;
  int calls = 0;
  do {
    const std::string reply = session.Run("SCAN " + cursor + " COUNT 5");
    RC_ASSERT(++calls < 10'000);
    size_t begin = reply.find("\r\n", 4) + 2;
    cursor = reply.substr(begin, reply.find("\r\n", begin) - begin);
    while ((begin = reply.find("stays:", begin)) != std::string::npos) {
      const size_t end = reply.find("\r\n", begin);
      seen.insert(reply.substr(begin, end - begin));
      begin = end;
    }
    std::string churn;
    for (int step = *rc::gen::inRange(0, 30); step > 0; --step, ++number) {
      churn += "SET other:" + std::to_string(number) +
               " v\r\nDEL other:" + std::to_string(number - *rc::gen::inRange(0, 50)) + "\r\n";
    }
    session.Run(churn);
  } while (cursor != "0");
  RC_ASSERT(seen.size() == static_cast<size_t>(stay));
}

}  // namespace
}  // namespace orrery::server
