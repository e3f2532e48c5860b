// What would break: SLOWLOG shows commands that were quick, forgets slow ones, or shows passwords.
#include "server/slow_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/testing_host.h"
#include "server/testing_session.h"

namespace orrery::server {
namespace {

// A server each of whose looks at the clock is so much later than the one before.
class SlowLogTest : public testing::Test, public TestingHost {
 protected:
  SlowLogTest() { server_.context.host = this; }

  void Configure(const ServerConfig& config) override { server_.context.config = config; }
  void FindAddresses(Client& client) override { client.mutable_names().address = "127.0.0.1:1"; }
  Nanoseconds MonotonicNow() override {
    ++looks_;
    return now_ += step_;
  }

  std::string Run(std::string_view line) { return session_.Run(line); }
  std::vector<std::string> Newest() {
    return server_.context.slow_log.commands().front().arguments;
  }
  size_t size() const { return server_.context.slow_log.commands().size(); }

  TestingServer server_;
  TestingSession session_{server_};
  Nanoseconds now_ = 0;
  Nanoseconds step_ = 20 * kMillisecond;
  int looks_ = 0;
};

TEST_F(SlowLogTest, KeepsWhatTookLong) {
  Run("CLIENT SETNAME me");
  Run("KEYS *");
  EXPECT_EQ(Run("SLOWLOG LEN"), ":1\r\n");
  EXPECT_EQ(Run("SLOWLOG GET 1"),
            "*1\r\n*6\r\n:0\r\n:1700000000\r\n:20000\r\n*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n"
            "$11\r\n127.0.0.1:1\r\n$2\r\nme\r\n");
  step_ = 5 * kMillisecond;
  Run("KEYS *");
  // SLOWLOG GET was slow as well, and the second KEYS was not.
  EXPECT_EQ(Newest().front(), "SLOWLOG");
  EXPECT_EQ(Run("SLOWLOG RESET"), "+OK\r\n");
  EXPECT_EQ(Run("SLOWLOG LEN"), ":0\r\n");
}

// What cannot take a millisecond is not timed, but for the statistics.
TEST_F(SlowLogTest, LooksAtTheClockOnlyWhereItMayMatter) {
  for (uint64_t call = 0; call < 2 * ServerStats::kTimedFirst; ++call) Run("GET k");
  looks_ = 0;
  for (int call = 0; call < 100; ++call) Run("GET k");
  EXPECT_LE(looks_, 2);
  EXPECT_EQ(size(), 0u);
  Run("CONFIG SET slowlog-log-slower-than 999");
  looks_ = 0;
  for (int call = 0; call < 100; ++call) Run("GET k");
  EXPECT_EQ(looks_, 200);
  EXPECT_EQ(size(), 101u);
  Run("CONFIG SET slowlog-log-slower-than -1");
  looks_ = 0;
  Run("KEYS *");
  Run("KEYS *");
  EXPECT_LE(looks_, 4);
  EXPECT_EQ(size(), 101u);
}

TEST_F(SlowLogTest, KeepsTheNewestOnly) {
  Run("CONFIG SET slowlog-max-len 3 slowlog-log-slower-than 0");
  for (int call = 0; call < 5; ++call) Run("PING " + std::to_string(call));
  EXPECT_EQ(size(), 3u);
  EXPECT_EQ(Newest(), (std::vector<std::string>{"PING", "4"}));
  EXPECT_EQ(server_.context.slow_log.commands().back().id, 3);
}

TEST_F(SlowLogTest, ShortensWhatIsLongAndHidesPasswords) {
  server_.context.config.slow_from_us = 0;
  Run("ECHO " + std::string(130, 'x'));
  EXPECT_EQ(Newest()[1], std::string(128, 'x') + "... (2 more bytes)");
  std::string mget = "MGET";
  for (int key = 0; key < 40; ++key) mget += " k";
  Run(mget);
  EXPECT_EQ(Newest().size(), 32u);
  EXPECT_EQ(Newest().back(), "... (10 more arguments)");
  Run("AUTH default secret");
  EXPECT_EQ(Newest(), (std::vector<std::string>{"AUTH", "(redacted)", "(redacted)"}));
  Run("HELLO 2 AUTH default secret SETNAME me");
  EXPECT_EQ(Newest(), (std::vector<std::string>{"HELLO", "2", "AUTH", "(redacted)", "(redacted)",
                                                "SETNAME", "me"}));
  Run("CONFIG SET timeout 1 requirepass secret");
  EXPECT_EQ(Newest(), (std::vector<std::string>{"CONFIG", "SET", "timeout", "1", "requirepass",
                                                "(redacted)"}));
}

}  // namespace
}  // namespace orrery::server
