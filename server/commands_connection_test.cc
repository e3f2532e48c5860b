// What would break: client libraries do not get through their handshake. The replies are those of
// Redis 7.0.15 (CLIENT SETINFO: 7.2).
#include <gtest/gtest.h>

#include <string>

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
