// What would break: a message that is not told as Redis tells it, or a client that listens in RESP2
// and may do more, or less, than Redis lets it.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "server/testing_host.h"
#include "server/testing_session.h"

namespace orrery::server {
namespace {

class PubSubCommandsTest : public testing::Test, public TestingHost {
 protected:
  PubSubCommandsTest() {
    server_.context.host = this;
    for (TestingSession* session : {&first_, &second_, &third_}) {
      sessions_[session->client().id] = session;
    }
  }

  bool Push(Client& client, PushMessage& message) override {
    message.AppendTo(sessions_.at(client.id)->output(), client.version);
    return true;
  }

  TestingServer server_;
  TestingSession first_{server_};
  TestingSession second_{server_};
  TestingSession third_{server_};
  std::map<uint64_t, TestingSession*> sessions_;
};

TEST_F(PubSubCommandsTest, TakesAMessageToEverySubscription) {
  EXPECT_EQ(first_.Run("SUBSCRIBE a b a"),
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n");
  EXPECT_EQ(first_.Run("PSUBSCRIBE a* [xy]"),
            "*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n"
            "*3\r\n$10\r\npsubscribe\r\n$4\r\n[xy]\r\n:4\r\n");
  second_.Run("HELLO 3");
  EXPECT_EQ(second_.Run("PSUBSCRIBE a*"), ">3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n");
  EXPECT_EQ(third_.Run("PUBLISH a text"), ":3\r\n");
  EXPECT_EQ(first_.Take(),
            "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\ntext\r\n"
            "*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$4\r\ntext\r\n");
  EXPECT_EQ(second_.Take(), ">4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$4\r\ntext\r\n");
  EXPECT_EQ(third_.Run("PUBLISH c text"), ":0\r\n");
}

TEST_F(PubSubCommandsTest, KeepsShardChannelsApart) {
  EXPECT_EQ(first_.Run("SUBSCRIBE a"), "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(first_.Run("SSUBSCRIBE a"), "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(second_.Run("SPUBLISH a text"), ":1\r\n");
  EXPECT_EQ(first_.Take(), "*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$4\r\ntext\r\n");
  EXPECT_EQ(first_.Run("UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n");
  EXPECT_EQ(first_.Run("UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
  EXPECT_EQ(first_.Run("SUNSUBSCRIBE x"), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\nx\r\n:1\r\n");
  EXPECT_EQ(first_.Run("SUNSUBSCRIBE"), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n");
  EXPECT_EQ(first_.client().subscriber, nullptr);
}

TEST_F(PubSubCommandsTest, LetsAListenerOfResp2DoLittleElse) {
  first_.Run("SUBSCRIBE a");
  EXPECT_EQ(first_.Run("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_EQ(first_.Run("PING x"), "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
  const std::string rest =
      "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
      "context\r\n";
  EXPECT_EQ(first_.Run("GET a"), "-ERR Can't execute 'get" + rest);
  EXPECT_EQ(first_.Run("CLIENT ID"), "-ERR Can't execute 'client|id" + rest);
  EXPECT_EQ(first_.Run("HELLO 3"), "-ERR Can't execute 'hello" + rest);
  EXPECT_EQ(first_.Run("GET"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(server_.context.stats.commands[server_.table.Find("get")->number].rejected_calls, 2u);
  EXPECT_EQ(first_.Run("RESET"), "+RESET\r\n");
  EXPECT_EQ(first_.client().subscriber, nullptr);
  EXPECT_EQ(first_.Run("GET a"), "$-1\r\n");
  // In RESP3 all is allowed.
  first_.Run("HELLO 3");
  first_.Run("SUBSCRIBE a");
  EXPECT_EQ(first_.Run("GET a"), "_\r\n");
  EXPECT_EQ(first_.Run("PING"), "+PONG\r\n");
}

TEST_F(PubSubCommandsTest, ReplyOffHoldsNoPushBack) {
  first_.Run("HELLO 3");
  EXPECT_EQ(first_.Run("CLIENT REPLY OFF"), "");
  EXPECT_EQ(first_.Run("SUBSCRIBE a"), ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(first_.Run("PUBLISH a x"), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
  EXPECT_EQ(first_.Run("PING"), "");
  first_.Run("CLIENT REPLY ON");
  // The message to itself comes before the reply.
  EXPECT_EQ(first_.Run("PUBLISH a x"), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n");
}

TEST_F(PubSubCommandsTest, SaysWhoListensToWhat) {
  first_.Run("SUBSCRIBE news sport");
  second_.Run("SUBSCRIBE news");
  second_.Run("PSUBSCRIBE n*");
  second_.Run("SSUBSCRIBE s");
  EXPECT_EQ(third_.Run("PUBSUB CHANNELS"), "*2\r\n$4\r\nnews\r\n$5\r\nsport\r\n");
  EXPECT_EQ(third_.Run("PUBSUB CHANNELS s*"), "*1\r\n$5\r\nsport\r\n");
  EXPECT_EQ(third_.Run("PUBSUB NUMSUB news none"),
            "*4\r\n$4\r\nnews\r\n:2\r\n$4\r\nnone\r\n:0\r\n");
  EXPECT_EQ(third_.Run("PUBSUB NUMPAT"), ":1\r\n");
  EXPECT_EQ(third_.Run("PUBSUB SHARDCHANNELS"), "*1\r\n$1\r\ns\r\n");
  EXPECT_EQ(third_.Run("PUBSUB SHARDNUMSUB s"), "*2\r\n$1\r\ns\r\n:1\r\n");
  EXPECT_EQ(third_.Run("PUBSUB CHANNELS a b"),
            "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB "
            "HELP.\r\n");
  const std::string all = third_.Run("CLIENT LIST");
  EXPECT_NE(all.find(" flags=P db=0 sub=2 psub=0 ssub=0 "), std::string::npos);
  EXPECT_NE(all.find(" flags=P db=0 sub=1 psub=1 ssub=1 "), std::string::npos);
  EXPECT_NE(third_.Run("CLIENT LIST TYPE pubsub").find("id=2 "), std::string::npos);
  EXPECT_EQ(third_.Run("CLIENT LIST TYPE normal").find("id=2 "), std::string::npos);
  EXPECT_NE(third_.Run("INFO stats")
                .find("pubsub_channels:2\r\npubsub_patterns:1\r\n"
                      "pubsubshard_channels:1\r\n"),
            std::string::npos);
}

TEST_F(PubSubCommandsTest, BorrowsALongMessageOnceForAll) {
  first_.Run("SUBSCRIBE a");
  second_.Run("HELLO 3");
  second_.Run("SUBSCRIBE a");
  second_.Run("PSUBSCRIBE *");
  const std::string payload(PushMessage::kBorrowBytesMin, 'x');
  const uint64_t copied = first_.output().copied_bytes() + second_.output().copied_bytes();
  EXPECT_EQ(third_.Call({"PUBLISH", "a", payload}), ":3\r\n");
  EXPECT_EQ(first_.output().bodies() + second_.output().bodies(), 3u);
  EXPECT_LT(first_.output().copied_bytes() + second_.output().copied_bytes() - copied, 200u);
  const std::string bulk = "$" + std::to_string(payload.size()) + "\r\n" + payload + "\r\n";
  EXPECT_EQ(first_.Take(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n" + bulk);
  EXPECT_EQ(second_.Take(), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n" + bulk +
                                ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n" + bulk);
}

TEST_F(PubSubCommandsTest, APauseOfWritesHoldsMessagesBack) {
  EXPECT_EQ(first_.Run("CLIENT PAUSE 1000 WRITE"), "+OK\r\n");
  EXPECT_EQ(first_.Send("PUBLISH a x\r\n"), ProcessEnd::kPaused);
  EXPECT_EQ(second_.Run("PUBSUB CHANNELS"), "*0\r\n");
}

}  // namespace
}  // namespace orrery::server
