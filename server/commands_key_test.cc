// What would break: a key goes too early, too late or not at all. The replies are those of Redis
// 7.0.15.
#include <gtest/gtest.h>

#include <string>

#include "server/testing_session.h"

namespace orrery::server {
namespace {

class KeyCommandsTest : public testing::Test {
 protected:
  std::string Run(std::string_view line) { return session_.Run(line); }
  int64_t& now_ms() { return server_.context.now_ms; }

  TestingServer server_;
  TestingSession session_{server_};
};

TEST_F(KeyCommandsTest, DeletesAndCounts) {
  Run("MSET a 1 b 2");
  EXPECT_EQ(Run("EXISTS a b none a"), ":3\r\n");
  EXPECT_EQ(Run("DEL a none a"), ":1\r\n");
  EXPECT_EQ(Run("EXISTS a"), ":0\r\n");
  EXPECT_EQ(Run("DBSIZE"), ":1\r\n");
}

TEST_F(KeyCommandsTest, ExpiresToTheMillisecond) {
  Run("SET key value");
  EXPECT_EQ(Run("PEXPIRE key 10"), ":1\r\n");
  now_ms() += 10;
  EXPECT_EQ(Run("PTTL key"), ":0\r\n");
  EXPECT_EQ(Run("GET key"), "$5\r\nvalue\r\n");
  now_ms() += 1;
  EXPECT_EQ(Run("GET key"), "$-1\r\n");
  EXPECT_EQ(Run("PTTL key"), ":-2\r\n");
  EXPECT_EQ(Run("DBSIZE"), ":0\r\n");
}

TEST_F(KeyCommandsTest, SaysTheTimeLeft) {
  EXPECT_EQ(Run("TTL none"), ":-2\r\n");
  Run("SET key value");
  EXPECT_EQ(Run("TTL key"), ":-1\r\n");
  EXPECT_EQ(Run("PTTL key"), ":-1\r\n");
  Run("EXPIRE key 100");
  now_ms() += 400;
  EXPECT_EQ(Run("TTL key"), ":100\r\n");
  now_ms() += 101;
  EXPECT_EQ(Run("TTL key"), ":99\r\n");
  EXPECT_EQ(Run("PTTL key"), ":99499\r\n");
}

TEST_F(KeyCommandsTest, ExpiresUnderConditions) {
  EXPECT_EQ(Run("EXPIRE none 100"), ":0\r\n");
  Run("SET key value");
  EXPECT_EQ(Run("EXPIRE key 100 XX"), ":0\r\n");
  EXPECT_EQ(Run("EXPIRE key 100 GT"), ":0\r\n");
  EXPECT_EQ(Run("EXPIRE key 100 NX"), ":1\r\n");
  EXPECT_EQ(Run("EXPIRE key 200 NX"), ":0\r\n");
  EXPECT_EQ(Run("EXPIRE key 50 GT"), ":0\r\n");
  EXPECT_EQ(Run("EXPIRE key 100 gt"), ":0\r\n");
  EXPECT_EQ(Run("EXPIRE key 150 GT"), ":1\r\n");
  EXPECT_EQ(Run("EXPIRE key 200 LT"), ":0\r\n");
  EXPECT_EQ(Run("EXPIRE key 50 LT XX"), ":1\r\n");
  EXPECT_EQ(Run("TTL key"), ":50\r\n");
  Run("SET key value");
  EXPECT_EQ(Run("EXPIRE key 10 LT"), ":1\r\n");
}

TEST_F(KeyCommandsTest, ATimeThatIsOverDeletes) {
  for (const char* command : {"EXPIRE key 0", "EXPIRE key -1", "PEXPIRE key -9223372036854775808",
                              "EXPIRE key -9223372036854775"}) {
    Run("SET key value");
    EXPECT_EQ(Run(command), ":1\r\n") << command;
    EXPECT_EQ(Run("DBSIZE"), ":0\r\n") << command;
  }
}

TEST_F(KeyCommandsTest, ExpireRefuses) {
  Run("SET key value");
  EXPECT_EQ(Run("EXPIRE key abc"), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Run("EXPIRE none abc foo"), "-ERR Unsupported option foo\r\n");
  for (const char* options : {"NX XX", "NX GT", "LT NX"}) {
    EXPECT_EQ(Run(std::string("EXPIRE key 100 ") + options),
              "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n");
  }
  EXPECT_EQ(Run("EXPIRE key 100 GT LT"),
            "-ERR GT and LT options at the same time are not compatible\r\n");
  for (const char* time : {"9223372036854775807", "9223372036854775", "-9223372036854775808"}) {
    EXPECT_EQ(Run(std::string("EXPIRE key ") + time),
              "-ERR invalid expire time in 'expire' command\r\n");
  }
  EXPECT_EQ(Run("PEXPIRE key 9223372036854775807"),
            "-ERR invalid expire time in 'pexpire' command\r\n");
  EXPECT_EQ(Run("TTL key"), ":-1\r\n");
}

TEST_F(KeyCommandsTest, AnExpiredKeyIsMissingForEveryCommand) {
  const auto set_expired = [&] {
    Run("SET key 5 PX 1");
    now_ms() += 2;
  };
  const std::pair<const char*, const char*> commands[] = {
      {"GET key", "$-1\r\n"},        {"SET key 1 XX", "$-1\r\n"}, {"SET key 1 NX", "+OK\r\n"},
      {"DEL key", ":0\r\n"},         {"EXISTS key", ":0\r\n"},    {"INCR key", ":1\r\n"},
      {"APPEND key x", ":1\r\n"},    {"EXPIRE key 10", ":0\r\n"}, {"TTL key", ":-2\r\n"},
      {"MGET key", "*1\r\n$-1\r\n"}, {"SET key 1 GET", "$-1\r\n"}};
  for (const auto& [command, reply] : commands) {
    set_expired();
    EXPECT_EQ(Run(command), reply) << command;
    Run("DEL key");
  }
  set_expired();
  Run("SET key new KEEPTTL");
  EXPECT_EQ(Run("TTL key"), ":-1\r\n");
}

}  // namespace
}  // namespace orrery::server
