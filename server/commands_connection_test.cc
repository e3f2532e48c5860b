// What would break: client libraries do not get through their handshake. The replies are those of
// Redis 7.0.15 (CLIENT SETINFO: 7.2).
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "server/testing_session.h"

namespace orrery::server {
namespace {

class ConnectionCommandsTest : public testing::Test {
 protected:
  std::string Run(std::string_view line) { return session_.Run(line); }

  TestingServer server_;
  TestingSession session_{server_};
};

TEST_F(ConnectionCommandsTest, PingAndEcho) {
  EXPECT_EQ(Run("PING"), "+PONG\r\n");
  EXPECT_EQ(Run("PING \"a b\""), "$3\r\na b\r\n");
  EXPECT_EQ(Run("PING a b"), "-ERR wrong number of arguments for 'ping' command\r\n");
  EXPECT_EQ(Run("ECHO hi"), "$2\r\nhi\r\n");
}

TEST_F(ConnectionCommandsTest, ThereIsOneDatabase) {
  EXPECT_EQ(Run("SELECT 0"), "+OK\r\n");
  EXPECT_EQ(Run("SELECT 1"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Run("SELECT -1"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Run("SELECT abc"), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Run("SELECT 99999999999"),
            "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
}

TEST_F(ConnectionCommandsTest, HelloSwitchesTheProtocol) {
  const std::string fields = "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n";
  const std::string rest =
      "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
      "$7\r\nmodules\r\n*0\r\n";
  EXPECT_EQ(Run("HELLO"), "*14\r\n" + fields + "$5\r\nproto\r\n:2\r\n" + rest);
  EXPECT_EQ(Run("HELLO 3"), "%7\r\n" + fields + "$5\r\nproto\r\n:3\r\n" + rest);
  EXPECT_EQ(Run("HELLO"), "%7\r\n" + fields + "$5\r\nproto\r\n:3\r\n" + rest);
  EXPECT_EQ(Run("GET none"), "_\r\n");
  EXPECT_EQ(Run("hello 2 auth default secret setname me"),
            "*14\r\n" + fields + "$5\r\nproto\r\n:2\r\n" + rest);
  EXPECT_EQ(Run("CLIENT GETNAME"), "$2\r\nme\r\n");
}

TEST_F(ConnectionCommandsTest, HelloRefuses) {
  EXPECT_EQ(Run("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_EQ(Run("HELLO abc"), "-ERR Protocol version is not an integer or out of range\r\n");
  EXPECT_EQ(Run("HELLO 2 foo"), "-ERR Syntax error in HELLO option 'foo'\r\n");
  EXPECT_EQ(Run("HELLO 2 AUTH default"), "-ERR Syntax error in HELLO option 'AUTH'\r\n");
  EXPECT_EQ(Run("HELLO 2 SETNAME"), "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
  EXPECT_EQ(Run("HELLO 3 AUTH other secret"),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(session_.client().version, RespVersion::k2);
}

class StrangerTest : public ConnectionCommandsTest {
 protected:
  StrangerTest() {
    server_.context.config.password = "secret";
    session_.client().authenticated = false;
  }
  static constexpr char kRequired[] = "-NOAUTH Authentication required.\r\n";
  static constexpr char kWrong[] =
      "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
};

TEST_F(StrangerTest, DoesNothingBeforeThePassword) {
  EXPECT_EQ(Run("GET a"), kRequired);
  EXPECT_EQ(Run("CONFIG GET requirepass"), kRequired);
  EXPECT_EQ(Run("PING"), kRequired);
  // What is wrong in itself comes first, as in Redis.
  EXPECT_EQ(Run("GET"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(Run("AUTH wrong"), kWrong);
  EXPECT_EQ(Run("AUTH other secret"), kWrong);
  EXPECT_EQ(Run("AUTH a b c"), "-ERR syntax error\r\n");
  EXPECT_EQ(Run("GET a"), kRequired);
  EXPECT_EQ(Run("AUTH secret"), "+OK\r\n");
  EXPECT_EQ(Run("GET a"), "$-1\r\n");
  // Who has said it once may say it wrong.
  EXPECT_EQ(Run("AUTH wrong"), kWrong);
  EXPECT_EQ(Run("GET a"), "$-1\r\n");
  EXPECT_EQ(Run("RESET"), "+RESET\r\n");
  EXPECT_EQ(Run("GET a"), kRequired);
  EXPECT_EQ(Run("QUIT"), "+OK\r\n");
}

TEST_F(StrangerTest, SaysItWithHello) {
  EXPECT_EQ(Run("HELLO 3"),
            "-NOAUTH HELLO must be called with the client already authenticated, otherwise the "
            "HELLO AUTH <user> <pass> option can be used to authenticate the client and select the "
            "RESP protocol version at the same time\r\n");
  EXPECT_EQ(Run("HELLO 3 AUTH default wrong"), kWrong);
  EXPECT_EQ(session_.client().version, RespVersion::k2);
  EXPECT_TRUE(Run("HELLO 3 AUTH default secret").starts_with("%7\r\n"));
  EXPECT_EQ(Run("GET a"), "_\r\n");
}

TEST_F(StrangerTest, HasShortCommands) {
  std::string eleven = "*11\r\n";
  EXPECT_EQ(session_.Send(eleven), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), "-ERR Protocol error: unauthenticated multibulk length\r\n");
  TestingSession second(server_);
  second.client().authenticated = false;
  EXPECT_EQ(second.Send("*2\r\n$4\r\nAUTH\r\n$16385\r\n"), ProcessEnd::kClosing);
  EXPECT_EQ(second.Take(), "-ERR Protocol error: unauthenticated bulk length\r\n");
}

// What is behind it in a pipeline is read as that of whom it has become.
TEST_F(StrangerTest, ThePipelineKnowsWhoItIs) {
  const std::vector<std::string> keys(20, "a");
  std::vector<std::string> exists = {"EXISTS"};
  exists.insert(exists.end(), keys.begin(), keys.end());
  const std::string frame = TestingSession::Encode(exists);
  EXPECT_EQ(session_.Send("AUTH secret\r\n" + frame), ProcessEnd::kNeedMore);
  EXPECT_EQ(session_.Take(), "+OK\r\n:0\r\n");
  EXPECT_EQ(session_.Send("PING\r\nRESET\r\nPING\r\n" + frame), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), std::string("+PONG\r\n+RESET\r\n") + kRequired +
                                 "-ERR Protocol error: unauthenticated multibulk length\r\n");
}

TEST_F(ConnectionCommandsTest, AuthWithoutAPassword) {
  EXPECT_EQ(Run("AUTH x"),
            "-ERR AUTH <password> called without any password configured for the default user. Are "
            "you sure your configuration is correct?\r\n");
  EXPECT_EQ(Run("AUTH default x"), "+OK\r\n");
  EXPECT_EQ(Run("AUTH other x"),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
}

TEST_F(ConnectionCommandsTest, ClientHasAName) {
  const char kBadName[] =
      "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
  EXPECT_EQ(Run("CLIENT ID"), ":1\r\n");
  EXPECT_EQ(Run("CLIENT GETNAME"), "$-1\r\n");
  EXPECT_EQ(Run("CLIENT SETNAME me"), "+OK\r\n");
  EXPECT_EQ(Run("CLIENT GETNAME"), "$2\r\nme\r\n");
  for (const char* name : {"\"a b\"", "\"a\\n\"", "\"\\x7f\"", "\"\\xc3\\xa9\""}) {
    EXPECT_EQ(Run(std::string("CLIENT SETNAME ") + name), kBadName) << name;
  }
  EXPECT_EQ(Run("CLIENT SETNAME \"\""), "+OK\r\n");
  EXPECT_EQ(Run("CLIENT GETNAME"), "$-1\r\n");
}

TEST_F(ConnectionCommandsTest, ClientHasALibrary) {
  EXPECT_EQ(Run("CLIENT SETINFO LIB-NAME redis-py"), "+OK\r\n");
  EXPECT_EQ(Run("CLIENT SETINFO lib-ver 5.0"), "+OK\r\n");
  EXPECT_EQ(Run("CLIENT SETINFO lib-name \"a b\""),
            "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n");
  EXPECT_EQ(Run("CLIENT SETINFO foo bar"), "-ERR Unrecognized option 'foo'\r\n");
  const std::string info = Run("CLIENT INFO");
  EXPECT_NE(info.find(" lib-name=redis-py lib-ver=5.0\n"), std::string::npos) << info;
  EXPECT_NE(info.find("id=1 "), std::string::npos) << info;
}

TEST_F(ConnectionCommandsTest, ClientNoEvict) {
  EXPECT_EQ(Run("CLIENT NO-EVICT on"), "+OK\r\n");
  EXPECT_EQ(Run("CLIENT NO-EVICT foo"), "-ERR syntax error\r\n");
}

}  // namespace
}  // namespace orrery::server
