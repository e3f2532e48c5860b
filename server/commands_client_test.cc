// What would break: a client stops, ends or silences another than it named. What needs connections
// is in //tests/e2e and in the simulation.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/testing_host.h"
#include "server/testing_session.h"

namespace orrery::server {
namespace {

class ClientCommandsTest : public testing::Test, public TestingHost {
 protected:
  ClientCommandsTest() { server_.context.host = this; }

  void Kill(Client& client) override { killed_.push_back(client.id); }
  void FindAddresses(Client& client) override {
    if (client.id == 3) return;  // Its peer has gone.
    client.mutable_names().address = "10.0.0.1:" + std::to_string(client.id);
    client.mutable_names().local_address = "10.0.0.2:6379";
  }
  ClientMemory MemoryOf(const Client&) const override {
    return {.input_bytes = 5, .input_free_bytes = 3, .parser_bytes = 7};
  }
  Nanoseconds MonotonicNow() override { return server_.context.monotonic_ns; }

  TestingServer server_;
  TestingSession first_{server_};
  TestingSession second_{server_};
  TestingSession third_{server_};
  std::vector<uint64_t> killed_;
};

TEST_F(ClientCommandsTest, ListsClients) {
  EXPECT_EQ(second_.Run("CLIENT SETNAME me"), "+OK\r\n");
  const std::string all = first_.Run("CLIENT LIST");
  EXPECT_NE(all.find("id=1 addr=10.0.0.1:1 laddr=10.0.0.2:6379 fd=-1 name= age=0 "),
            std::string::npos);
  EXPECT_NE(all.find(" cmd=client|list "), std::string::npos);
  EXPECT_NE(all.find(" qbuf=5 qbuf-free=3 argv-mem=7 "), std::string::npos);
  EXPECT_NE(all.find("id=2 addr=10.0.0.1:2 laddr=10.0.0.2:6379 fd=-1 name=me "), std::string::npos);
  const std::string one = first_.Run("CLIENT LIST ID 2 99");
  EXPECT_EQ(one.find("id=1 "), std::string::npos);
  EXPECT_NE(one.find("id=2 "), std::string::npos);
  // In the order asked for, and as often.
  const std::string three = first_.Run("CLIENT LIST ID 3 -1 1 0 3 4");
  const size_t again = three.find("id=3 ", three.find("id=1 "));
  EXPECT_LT(three.find("id=3 "), three.find("id=1 "));
  EXPECT_NE(again, std::string::npos);
  EXPECT_EQ(three.find("\nid=", again), std::string::npos);
  EXPECT_EQ(first_.Run("CLIENT LIST TYPE pubsub"), "$0\r\n\r\n");
}

TEST_F(ClientCommandsTest, KillsWhomItNames) {
  EXPECT_EQ(first_.Run("CLIENT KILL ID 2"), ":1\r\n");
  EXPECT_EQ(first_.Run("CLIENT KILL 10.0.0.1:2"), "+OK\r\n");
  EXPECT_EQ(first_.Run("CLIENT KILL LADDR 10.0.0.2:6379"), ":1\r\n");
  EXPECT_EQ(killed_, (std::vector<uint64_t>{2, 2, 2}));
  // Nobody has no address, not even who has gone.
  EXPECT_EQ(first_.Run("CLIENT KILL ''"), "-ERR No such client\r\n");
  EXPECT_EQ(first_.Run("CLIENT KILL ID 1"), ":0\r\n");
  EXPECT_FALSE(first_.client().closing);
  EXPECT_EQ(first_.Run("CLIENT KILL ID 1 SKIPME no"), ":1\r\n");
  EXPECT_TRUE(first_.client().closing);
  EXPECT_EQ(killed_.size(), 3u);
}

TEST_F(ClientCommandsTest, APauseHoldsWritesBack) {
  EXPECT_EQ(first_.Run("CLIENT PAUSE 100 WRITE"), "+OK\r\n");
  EXPECT_EQ(second_.Run("GET key"), "$-1\r\n");
  EXPECT_EQ(second_.Send("SET key 1\r\nGET key\r\n"), ProcessEnd::kPaused);
  EXPECT_EQ(second_.Take(), "");
  server_.context.monotonic_ns += 100 * kMillisecond;
  EXPECT_EQ(second_.Send(""), ProcessEnd::kPaused);
  server_.context.monotonic_ns += 1 * kMillisecond;
  EXPECT_EQ(second_.Send(""), ProcessEnd::kNeedMore);
  EXPECT_EQ(second_.Take(), "+OK\r\n$1\r\n1\r\n");
}

TEST_F(ClientCommandsTest, APauseIsNeitherShortenedNorMadeMilder) {
  first_.Run("CLIENT PAUSE 100 WRITE");
  first_.Run("CLIENT PAUSE 50 WRITE");
  EXPECT_EQ(first_.Send("CLIENT PAUSE 10\r\nPING\r\n"), ProcessEnd::kPaused);
  EXPECT_EQ(first_.Take(), "+OK\r\n");
  server_.context.monotonic_ns += 101 * kMillisecond;
  EXPECT_EQ(first_.Send(""), ProcessEnd::kNeedMore);
  EXPECT_EQ(first_.Take(), "+PONG\r\n");
  first_.Run("CLIENT PAUSE 100 WRITE");
  EXPECT_EQ(second_.Send("SET key 1\r\n"), ProcessEnd::kPaused);
  EXPECT_EQ(first_.Run("CLIENT UNPAUSE"), "+OK\r\n");
  EXPECT_EQ(second_.Send(""), ProcessEnd::kNeedMore);
}

TEST_F(ClientCommandsTest, APauseTakesNoNoticeOfWhoSetsTheWallClock) {
  first_.Run("CLIENT PAUSE 100 WRITE");
  server_.context.now_ms += 1'000'000;
  EXPECT_EQ(second_.Send("SET key 1\r\n"), ProcessEnd::kPaused);
  server_.context.now_ms -= 2'000'000;
  server_.context.monotonic_ns += 101 * kMillisecond;
  EXPECT_EQ(second_.Send(""), ProcessEnd::kNeedMore);
  EXPECT_EQ(second_.Take(), "+OK\r\n");
  // A pause of no time is none, at any time.
  EXPECT_EQ(first_.Run("CLIENT PAUSE 0\r\nPING"), "+OK\r\n+PONG\r\n");
}

TEST_F(ClientCommandsTest, RepliesAreSkippedOrOff) {
  EXPECT_EQ(first_.Run("CLIENT REPLY SKIP\r\nPING\r\nPING"), "+PONG\r\n");
  EXPECT_EQ(first_.Run("CLIENT REPLY OFF\r\nPING\r\nNOSUCH\r\nGET a"), "");
  EXPECT_EQ(first_.Run("CLIENT REPLY ON"), "+OK\r\n");
  first_.Run("CLIENT REPLY OFF");
  EXPECT_EQ(first_.Run("RESET"), "+RESET\r\n");
  EXPECT_EQ(first_.Run("CLIENT REPLY SKIP\r\nCLIENT REPLY ON"), "+OK\r\n");
}

TEST_F(ClientCommandsTest, NoTouchLeavesTheTimeOfUse) {
  first_.Run("SET key value");
  server_.context.now_ms += 10'000;
  first_.Run("CLIENT NO-TOUCH on");
  first_.Run("GET key");
  EXPECT_EQ(first_.Run("OBJECT IDLETIME key"), ":10\r\n");
  EXPECT_EQ(second_.Run("EXISTS key"), ":1\r\n");
  EXPECT_EQ(second_.Run("OBJECT IDLETIME key"), ":10\r\n");
  EXPECT_EQ(first_.Run("TOUCH key"), ":1\r\n");
  EXPECT_EQ(first_.Run("OBJECT IDLETIME key"), ":0\r\n");
}

}  // namespace
}  // namespace orrery::server
