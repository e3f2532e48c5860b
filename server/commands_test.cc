// What would break: a pipeline runs twice, out of order or beyond its limits, a client that broke
// the protocol goes on, a large value is copied on its way out.
#include "server/commands.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/testing_session.h"

namespace orrery::server {
namespace {

class CommandsTest : public testing::Test {
 protected:
  TestingServer server_;
  TestingSession session_{server_};
};

TEST_F(CommandsTest, AnswersAPipelineInOrder) {
  std::string pipeline;
  std::string expected;
  // More than a batch, and commands that depend on those before them.
  for (int i = 0; i < 500; ++i) {
    pipeline += "SET key " + std::to_string(i) + "\r\nGET key\r\nINCR counter\r\n";
    const std::string value = std::to_string(i);
    expected += "+OK\r\n$" + std::to_string(value.size()) + "\r\n" + value +
                "\r\n:" + std::to_string(i + 1) + "\r\n";
  }
  EXPECT_EQ(session_.Send(pipeline), ProcessEnd::kNeedMore);
  EXPECT_EQ(session_.Take(), expected);
  EXPECT_TRUE(session_.unread().empty());
  EXPECT_EQ(server_.context.stats.commands_processed, 1500u);
}

TEST_F(CommandsTest, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(session_.Call({"foo"}), "-ERR unknown command 'foo', with args beginning with: \r\n");
  EXPECT_EQ(session_.Call({"foo", "a", "b c"}),
            "-ERR unknown command 'foo', with args beginning with: 'a' 'b c' \r\n");
  EXPECT_EQ(session_.Call({std::string("f\0x", 3), "a\r\nb"}),
            "-ERR unknown command 'f', with args beginning with: 'a  b' \r\n");
  EXPECT_EQ(
      session_.Call({std::string(200, 'f'), std::string(100, 'x'), std::string(100, 'y'), "z"}),
      "-ERR unknown command '" + std::string(128, 'f') + "', with args beginning with: '" +
          std::string(100, 'x') + "' '" + std::string(25, 'y') + "' \r\n");
  EXPECT_EQ(session_.Call({""}), "-ERR unknown command '', with args beginning with: \r\n");
  EXPECT_EQ(session_.Call({"config", "foo"}),
            "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n");
}

TEST_F(CommandsTest, CountsArguments) {
  EXPECT_EQ(session_.Call({"GET"}), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(session_.Call({"get", "a", "b"}),
            "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(session_.Call({"Config"}), "-ERR wrong number of arguments for 'config' command\r\n");
  EXPECT_EQ(session_.Call({"config", "GET"}),
            "-ERR wrong number of arguments for 'config|get' command\r\n");
  // A wrong command does not end the connection.
  EXPECT_EQ(session_.Run("PING"), "+PONG\r\n");
}

TEST_F(CommandsTest, ClosesAfterQuit) {
  EXPECT_EQ(session_.Send("PING\r\nQUIT\r\nSET key value\r\n"), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), "+PONG\r\n+OK\r\n");
  EXPECT_TRUE(session_.client().closing);
  EXPECT_EQ(server_.keyspace.size(), 0u);
}

TEST_F(CommandsTest, ClosesAfterAProtocolError) {
  EXPECT_EQ(session_.Send("SET a 1\r\n*1\r\n!\r\nSET b 1\r\n"), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), "+OK\r\n-ERR Protocol error: expected '$', got '!'\r\n");
  EXPECT_TRUE(session_.client().closing);
  EXPECT_EQ(server_.keyspace.size(), 1u);
  EXPECT_EQ(server_.context.stats.protocol_errors, 1u);
}

TEST_F(CommandsTest, CutsABrowserOff) {
  EXPECT_EQ(session_.Send("POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n"), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), "");
  EXPECT_EQ(server_.keyspace.size(), 0u);
}

TEST_F(CommandsTest, StopsWhenTheOutputIsFullAndGoesOnLater) {
  std::string pipeline;
  for (int i = 0; i < 300; ++i) pipeline += "INCR n\r\n";
  // The beginning of a frame stands behind the pipeline.
  pipeline += "*2\r\n$4\r\nEC";
  std::string replies;
  int rounds = 0;
  ProcessEnd end = session_.Send(pipeline, 100);
  while (end == ProcessEnd::kOutputFull) {
    EXPECT_GE(session_.output().size_bytes(), 100u);
    EXPECT_LT(session_.output().size_bytes(), 120u);
    EXPECT_EQ(session_.Send("", 100), ProcessEnd::kOutputFull) << "there is still no room";
    replies += session_.Take();
    end = session_.Send("", 100);
    ++rounds;
  }
  EXPECT_GT(rounds, 10);
  EXPECT_EQ(end, ProcessEnd::kNeedMore);
  replies += session_.Take();
  EXPECT_EQ(session_.Send("HO\r\n$2\r\nhi\r\n"), ProcessEnd::kNeedMore);
  replies += session_.Take();
  std::string expected;
  for (int i = 1; i <= 300; ++i) expected += ":" + std::to_string(i) + "\r\n";
  EXPECT_EQ(replies, expected + "$2\r\nhi\r\n");
}

TEST_F(CommandsTest, RepliesALargeValueWithoutCopyingIt) {
  const std::string value(100'000, 'v');
  EXPECT_EQ(session_.Call({"SET", "key", value}), "+OK\r\n");
  const uint64_t copied = session_.output().copied_bytes();
  session_.Send("GET key\r\nGET key\r\nMGET key\r\n");
  EXPECT_LT(session_.output().copied_bytes() - copied, 100u);
  EXPECT_EQ(session_.output().bodies(), 3u);
  // Writers do not disturb what waits to be sent.
  session_.Send("APPEND key tail\r\nSET key small\r\nDEL key\r\n");
  const std::string bulk = "$100000\r\n" + value + "\r\n";
  EXPECT_EQ(session_.Take(), bulk + bulk + "*1\r\n" + bulk + ":100004\r\n+OK\r\n:1\r\n");
}

TEST_F(CommandsTest, ShowsEveryCommandToTheObserver) {
  struct Observer : CommandObserver {
    void OnCommand(const Client& client, const Command& command, int64_t now_ms) override {
      seen += std::to_string(client.id) + ":" + std::string(command[0]) + "@" +
              std::to_string(now_ms) + " ";
    }
    std::string seen;
  } observer;
  server_.context.observer = &observer;
  server_.context.now_ms = 7;
  TestingSession other(server_);
  session_.Send("SET a 1\r\nfoo\r\n");
  other.Send("get a\r\n");
  EXPECT_EQ(observer.seen, "1:SET@7 1:foo@7 2:get@7 ");
}

// What a plain command has to obey may be changed by the one before it in the pipeline.
TEST_F(CommandsTest, APlainCommandObeysWhatWasSaidRightBeforeIt) {
  session_.Send("SET a 1\r\nMULTI\r\nSET a 2\r\nEXEC\r\nGET a\r\n");
  EXPECT_EQ(session_.Take(), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\n2\r\n");
  session_.Send("GET a\r\nCLIENT REPLY OFF\r\nGET a\r\nCLIENT REPLY ON\r\nGET a\r\n");
  EXPECT_EQ(session_.Take(), "$1\r\n2\r\n+OK\r\n$1\r\n2\r\n");
  session_.Send("CLIENT REPLY SKIP\r\nSET a 3\r\nGET a\r\n");
  EXPECT_EQ(session_.Take(), "$1\r\n3\r\n");
  session_.Send("CONFIG SET maxmemory 1\r\nSET a 4\r\nCONFIG SET maxmemory 0\r\nGET a\r\n");
  EXPECT_EQ(session_.Take(),
            "+OK\r\n-OOM command not allowed when used memory > 'maxmemory'.\r\n+OK\r\n"
            "$1\r\n3\r\n");
  session_.Send("SUBSCRIBE c\r\nGET a\r\nUNSUBSCRIBE c\r\nGET a\r\n");
  EXPECT_NE(session_.Take().find("-ERR Can't execute 'get'"), std::string::npos);
  EXPECT_EQ(session_.Send("GET a\r\nCLIENT PAUSE 10 ALL\r\nGET a\r\n"), ProcessEnd::kPaused);
  EXPECT_EQ(session_.Take(), "$1\r\n3\r\n+OK\r\n");
}

TEST_F(CommandsTest, WhatIsPlainConcernsKeysAlone) {
  const auto is_plain = [&](std::string_view name) { return server_.table.Find(name)->is_plain; };
  for (const char* name : {"get", "set", "incr", "expire", "getex", "append", "mget", "del"}) {
    EXPECT_TRUE(is_plain(name)) << name;
  }
  for (const char* name : {"watch", "multi", "publish", "subscribe", "client", "config", "object",
                           "flushall", "scan", "lcs", "auth", "ping"}) {
    EXPECT_FALSE(is_plain(name)) << name;
  }
}

// The same commands give the same replies whatever pieces they come in and whenever the output is
// taken.
RC_GTEST_PROP(CommandsProperty, RepliesDoNotDependOnThePieces, ()) {
  std::string stream;
  const int commands = *rc::gen::inRange(1, 200);
  for (int i = 0; i < commands; ++i) {
    const std::string key = "k" + std::to_string(*rc::gen::inRange(0, 5));
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        stream += TestingSession::Encode(
            {"SET", key, std::string(*rc::gen::inRange<size_t>(0, 5000), 'x')});
        break;
      case 1:
        stream += TestingSession::Encode({"GET", key});
        break;
      case 2:
        stream += TestingSession::Encode({"APPEND", key, "tail"});
        break;
      case 3:
        stream += "MGET k0 k1 " + key + "\r\n";
        break;
      case 4:
        stream += TestingSession::Encode({"DEL", key});
        break;
      default:
        stream += "nosuch " + key + "\r\n";
    }
  }
  TestingServer whole_server;
  TestingSession whole(whole_server);
  whole.Send(stream);
  const std::string expected = whole.Take();

  TestingServer server;
  TestingSession session(server);
  std::string replies;
  size_t begin = 0;
  while (begin < stream.size()) {
    const size_t piece = std::min(*rc::gen::inRange<size_t>(1, 3000), stream.size() - begin);
    ProcessEnd end = session.Send(std::string_view(stream).substr(begin, piece), 500);
    begin += piece;
    while (end == ProcessEnd::kOutputFull) {
      replies += session.Take();
      end = session.Send("", 500);
    }
  }
  RC_ASSERT(replies + session.Take() == expected);
}

}  // namespace
}  // namespace orrery::server
