// What would break: tools that ask the server about itself (redis-benchmark, monitoring) fail. The
// replies are those of Redis 7.0.15 where the parameters exist here.
#include <gtest/gtest.h>

#include <string>

#include "server/testing_host.h"
#include "server/testing_session.h"

namespace orrery::server {
namespace {

class ServerCommandsTest : public testing::Test {
 protected:
  std::string Run(std::string_view line) { return session_.Run(line); }

  TestingServer server_;
  TestingSession session_{server_};
};

TEST_F(ServerCommandsTest, FlushAllForgetsEverything) {
  for (int i = 0; i < 100; ++i) Run("SET key" + std::to_string(i) + " value");
  EXPECT_EQ(Run("DBSIZE"), ":100\r\n");
  EXPECT_EQ(Run("FLUSHALL foo"), "-ERR syntax error\r\n");
  EXPECT_EQ(Run("FLUSHALL async sync"), "-ERR syntax error\r\n");
  EXPECT_EQ(Run("FLUSHALL"), "+OK\r\n");
  EXPECT_EQ(Run("DBSIZE"), ":0\r\n");
  EXPECT_EQ(Run("GET key1"), "$-1\r\n");
  EXPECT_EQ(Run("FLUSHALL ASYNC"), "+OK\r\n");
  EXPECT_EQ(Run("flushall sync"), "+OK\r\n");
}

TEST_F(ServerCommandsTest, SwapDbKnowsOneDatabase) {
  EXPECT_EQ(Run("SWAPDB 0 0"), "+OK\r\n");
  EXPECT_EQ(Run("SWAPDB 0 2147483647"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Run("SWAPDB 2147483648 0"), "-ERR invalid first DB index\r\n");
  EXPECT_EQ(Run("SWAPDB -2147483649 x"), "-ERR invalid first DB index\r\n");
  EXPECT_EQ(Run("SWAPDB -1 99999999999"), "-ERR invalid second DB index\r\n");
}

TEST_F(ServerCommandsTest, ConfigGet) {
  // What redis-benchmark asks.
  EXPECT_EQ(Run("CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(Run("CONFIG GET appendonly"), "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
  EXPECT_EQ(Run("CONFIG GET maxc* MAXCLIENTS nosuch"),
            "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n");
  EXPECT_EQ(Run("CONFIG GET MaxClients"), "*2\r\n$10\r\nMaxClients\r\n$5\r\n10000\r\n");
  EXPECT_EQ(Run("CONFIG GET nosuch"), "*0\r\n");
  Run("HELLO 3");
  EXPECT_EQ(Run("CONFIG GET databases"), "%1\r\n$9\r\ndatabases\r\n$1\r\n1\r\n");
}

TEST_F(ServerCommandsTest, ConfigSet) {
  EXPECT_EQ(Run("CONFIG SET maxclients 100 proto-max-bulk-len 2mb"), "+OK\r\n");
  EXPECT_EQ(server_.context.config.clients_max, 100u);
  EXPECT_EQ(Run("CONFIG GET proto-max-bulk-len"),
            "*2\r\n$18\r\nproto-max-bulk-len\r\n$7\r\n2097152\r\n");
  EXPECT_EQ(session_.Send("*1\r\n$2097153\r\n"), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), "-ERR Protocol error: invalid bulk length\r\n");
}

TEST_F(ServerCommandsTest, ConfigSetRefuses) {
  const auto failed = [](std::string name, std::string why) {
    return "-ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why + "\r\n";
  };
  EXPECT_EQ(Run("CONFIG SET a b c"), "-ERR syntax error\r\n");
  EXPECT_EQ(Run("CONFIG SET maxclients 7 foo bar"),
            "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'\r\n");
  EXPECT_EQ(Run("CONFIG SET databases 3"), failed("databases", "can't set immutable config"));
  EXPECT_EQ(Run("CONFIG SET maxclients 7 maxclients 8"),
            failed("maxclients", "duplicate parameter"));
  for (const char* value : {"abc", "\"\"", "010"}) {
    EXPECT_EQ(Run(std::string("CONFIG SET maxclients ") + value),
              failed("maxclients", "argument couldn't be parsed into an integer"));
  }
  EXPECT_EQ(Run("CONFIG SET maxclients 0"),
            failed("maxclients", "argument must be between 1 and 4294967295 inclusive"));
  EXPECT_EQ(Run("CONFIG SET maxclients 1000001"),
            failed("maxclients",
                   "The operating system is not able to handle the specified number "
                   "of clients, try with 1000000"));
  EXPECT_EQ(Run("CONFIG SET proto-max-bulk-len abc"),
            failed("proto-max-bulk-len", "argument must be a memory value"));
  EXPECT_EQ(
      Run("CONFIG SET proto-max-bulk-len 1"),
      failed("proto-max-bulk-len", "argument must be between 1048576 and 536870912 inclusive"));
  // What this server cannot do is refused, not ignored; and then nothing is set.
  EXPECT_EQ(Run("CONFIG SET maxclients 7 appendonly yes"),
            failed("appendonly", "this server supports only 'no'"));
  EXPECT_EQ(server_.context.config.clients_max, 10'000u);
  EXPECT_EQ(Run("CONFIG SET save \"\" appendonly no"), "+OK\r\n");
  EXPECT_EQ(Run("CONFIG REWRITE"), "-ERR The server is running without a config file\r\n");
}

TEST_F(ServerCommandsTest, OutputLimitsOfClasses) {
  const auto limits = [&] { return Run("CONFIG GET client-output-buffer-limit"); };
  EXPECT_NE(
      limits().find("\r\nnormal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"),
      std::string::npos);
  EXPECT_EQ(Run("CONFIG SET client-output-buffer-limit \"replica 1mb 1kb 5 normal 10kb 20 30\""),
            "+OK\r\n");
  EXPECT_NE(limits().find("\r\nnormal 10240 20 30 slave 1048576 1024 5 pubsub 33554432 8388608 60"),
            std::string::npos);
  const std::string before = limits();
  const std::string failed =
      "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - ";
  const std::string wrong_count = "Wrong number of arguments in buffer limit configuration.\r\n";
  const std::string wrong_class =
      "Invalid client class specified in buffer limit configuration.\r\n";
  const std::string wrong_number =
      "Error in hard, soft or soft_seconds setting in buffer limit configuration.\r\n";
  const auto set = [&](std::string_view value) {
    return Run("CONFIG SET client-output-buffer-limit \"" + std::string(value) + "\"");
  };
  EXPECT_EQ(set("normal 1 2"), failed + wrong_count);
  EXPECT_EQ(set(""), failed + wrong_count);
  EXPECT_EQ(set("master 0 0 0"), failed + wrong_class);
  EXPECT_EQ(set("normal 1 1 1 pubsub x 0 0"), failed + wrong_number);
  EXPECT_EQ(set("normal 1 1 -1"), failed + wrong_number);
  EXPECT_EQ(limits(), before);
}

TEST_F(ServerCommandsTest, OverTheLimitOfMemoryNothingGrows) {
  const std::string oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
  EXPECT_EQ(Run("SET a " + std::string(2000, 'a')), "+OK\r\n");
  EXPECT_EQ(Run("CONFIG SET maxmemory 100mb"), "+OK\r\n");
  EXPECT_EQ(Run("SET b 1"), "+OK\r\n");
  EXPECT_EQ(Run("CONFIG SET maxmemory 1000"), "+OK\r\n");
  for (const char* line : {"SET c 1", "APPEND a x", "INCR n", "MSET c 1 d 2", "SETRANGE a 0 x",
                           "GETSET a 1", "COPY a c", "BITOP NOT c a", "SETBIT a 0 1"}) {
    EXPECT_EQ(Run(line), oom) << line;
  }
  EXPECT_EQ(Run("SET c"), "-ERR wrong number of arguments for 'set' command\r\n");
  EXPECT_EQ(Run("GET b"), "$1\r\n1\r\n");
  EXPECT_EQ(Run("EXPIRE b 100"), ":1\r\n");
  EXPECT_EQ(Run("GETDEL b"), "$1\r\n1\r\n");
  EXPECT_NE(Run("INFO memory").find("maxmemory:1000\r\nmaxmemory_human:1000B\r\n"),
            std::string::npos);
  EXPECT_EQ(Run("CONFIG SET maxmemory 0"), "+OK\r\n");
  EXPECT_EQ(Run("SET c 1"), "+OK\r\n");
}

class ShutdownTest : public ServerCommandsTest, public TestingHost {
 protected:
  ShutdownTest() { server_.context.host = this; }
  void Shutdown() override { ++shutdowns_; }

  int shutdowns_ = 0;
};

TEST_F(ShutdownTest, HasNoReplyUnlessItIsRefused) {
  EXPECT_EQ(Run("SHUTDOWN SAVE"),
            "-ERR Errors trying to SHUTDOWN: data lives in memory only, use NOSAVE.\r\n");
  EXPECT_EQ(Run("SHUTDOWN ABORT"), "-ERR No shutdown in progress.\r\n");
  EXPECT_EQ(Run("SHUTDOWN NOSAVE SAVE"), "-ERR syntax error\r\n");
  EXPECT_EQ(shutdowns_, 0);
  EXPECT_EQ(session_.Send("SHUTDOWN NOSAVE NOW\r\nPING\r\n"), ProcessEnd::kClosing);
  EXPECT_EQ(session_.Take(), "");
  EXPECT_EQ(shutdowns_, 1);
}

TEST_F(ServerCommandsTest, InfoHasSections) {
  Run("SET a 1 EX 100");
  Run("GET a");
  Run("GET b");
  const std::string all = Run("INFO");
  for (const char* line :
       {"\r\n# Clients\r\n", "redis_version:7.0.15\r\n", "tcp_port:6379\r\n", "keyspace_hits:1\r\n",
        "keyspace_misses:1\r\n", "role:master\r\n",
        "# Keyspace\r\ndb0:keys=1,expires=1,avg_ttl=0\r\n", "total_commands_processed:3\r\n"}) {
    EXPECT_NE(all.find(line), std::string::npos) << line;
  }
  EXPECT_EQ(Run("INFO keyspace CLUSTER keyspace"),
            "$76\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n"
            "db0:keys=1,expires=1,avg_ttl=0\r\n\r\n");
  EXPECT_EQ(Run("INFO nosuch"), "$0\r\n\r\n");
  Run("HELLO 3");
  EXPECT_EQ(Run("INFO cluster"), "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n");
}

TEST_F(ServerCommandsTest, ResetStatStartsCountingAgain) {
  Run("SET a 1 PX 1");
  server_.context.now_ms += 2;
  Run("GET a");
  EXPECT_NE(Run("INFO stats").find("expired_keys:1\r\n"), std::string::npos);
  EXPECT_EQ(Run("CONFIG RESETSTAT"), "+OK\r\n");
  const std::string stats = Run("INFO stats");
  EXPECT_NE(stats.find("expired_keys:0\r\n"), std::string::npos);
  EXPECT_NE(stats.find("keyspace_misses:0\r\n"), std::string::npos);
}

}  // namespace
}  // namespace orrery::server
