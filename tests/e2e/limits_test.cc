// What would break: a server with a password, limits or a configuration file behaves otherwise than
// a Redis that was set up the same way.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/beside_redis.h"
#include "tests/e2e/reply_comparison.h"
#include "tests/e2e/server_process.h"
#include "tests/scenarios/resp.h"

namespace orrery::e2e {
namespace {

class LimitsBesideRedis : public BesideRedis {
 protected:
  // Both with these options, and two connections to each.
  void Restart(const std::vector<std::string>& options) {
    redis_ = ServerProcess::StartRedis(options);
    ours_ = ServerProcess::StartOrrery(options);
    ASSERT_TRUE(redis_ != nullptr && ours_ != nullptr);
    Reconnect();
  }
  void Reconnect() {
    redis_wire_ = redis_->Connect();
    ours_wire_ = ours_->Connect();
    ASSERT_TRUE(redis_wire_ != nullptr && ours_wire_ != nullptr);
  }

  void ExpectSame(const Arguments& arguments) {
    std::string shown;
    for (const std::string& argument : arguments) shown += argument.substr(0, 40) + " ";
    EXPECT_EQ(Ask(*ours_wire_, arguments), Ask(*redis_wire_, arguments)) << shown;
  }

  // Bytes after which the server is to reply `replies` times and then to end the connection.
  void ExpectSameEnd(std::string_view bytes, size_t replies) {
    const auto redis = redis_wire_->Exchange(bytes, replies + 1);
    const auto ours = ours_wire_->Exchange(bytes, replies + 1);
    EXPECT_EQ(redis.size(), replies) << redis_wire_->problem();
    EXPECT_EQ(ours, redis) << ours_wire_->problem();
    Reconnect();
  }
};

TEST_F(LimitsBesideRedis, APasswordIsAskedForAsByRedis) {
  ASSERT_NO_FATAL_FAILURE(Restart({"--requirepass", "secret"}));
  const std::vector<Arguments> dialog = {
      {"PING"},
      {"GET", "k"},
      {"GET"},
      {"NOSUCH"},
      {"CONFIG", "GET", "requirepass"},
      {"CLIENT", "NOSUCH"},
      {"AUTH"},
      {"AUTH", "a", "b", "c"},
      {"AUTH", "wrong"},
      {"AUTH", "nobody", "secret"},
      {"HELLO"},
      {"HELLO", "3"},
      {"HELLO", "3", "AUTH", "default", "wrong"},
      {"HELLO", "9", "AUTH", "default", "secret"},
      {"GET", "k"},
      {"RESET"},
      {"AUTH", "secret"},
      {"GET", "k"},
      {"AUTH", "wrong"},
      {"GET", "k"},
      {"CONFIG", "GET", "requirepass"},
      {"RESET"},
      {"GET", "k"},
      {"AUTH", "default", "secret"},
      {"CONFIG", "SET", "requirepass", "another"},
      {"GET", "k"},
      {"AUTH", "secret"},
      {"AUTH", "another"},
      {"CONFIG", "SET", "requirepass", ""},
      {"RESET"},
      {"GET", "k"},
      {"AUTH", "x"},
      {"AUTH", "default", "x"},
  };
  for (const Arguments& arguments : dialog) ExpectSame(arguments);
}

TEST_F(LimitsBesideRedis, WhoHasNotSaidItHasShortCommands) {
  ASSERT_NO_FATAL_FAILURE(Restart({"--requirepass", "secret"}));
  ExpectSameEnd("*11\r\n", 1);
  ExpectSameEnd("*2\r\n$4\r\nAUTH\r\n$16385\r\n", 1);
  std::string eleven = "*11\r\n";
  for (int count = 0; count < 11; ++count) eleven += "$4\r\nMGET\r\n";
  const std::string password = scenarios::EncodeArray({"AUTH", "secret"});
  ExpectSameEnd(password + eleven + scenarios::EncodeArray({"RESET"}) + eleven, 4);
}

TEST_F(LimitsBesideRedis, ParametersAreSetAndRefusedAsByRedis) {
  const std::vector<Arguments> dialog = {
      {"CONFIG", "GET", "client-output-buffer-limit"},
      {"CONFIG", "SET", "client-output-buffer-limit", "normal 10mb 1mb 5 replica 1kb 2k 3"},
      {"CONFIG", "GET", "client-output-buffer-limit"},
      {"CONFIG", "SET", "client-output-buffer-limit", "normal 1 2"},
      {"CONFIG", "SET", "client-output-buffer-limit", "master 1 2 3"},
      {"CONFIG", "SET", "client-output-buffer-limit", "normal a 2 3"},
      {"CONFIG", "SET", "timeout", "-1"},
      {"CONFIG", "SET", "timeout", "1000"},
      {"CONFIG", "GET", "timeout"},
      {"CONFIG", "SET", "tcp-keepalive", "x"},
      {"CONFIG", "SET", "tcp-keepalive", "60"},
      {"CONFIG", "GET", "tcp-keepalive"},
      {"CONFIG", "SET", "client-query-buffer-limit", "1"},
      {"CONFIG", "SET", "client-query-buffer-limit", "2mb"},
      {"CONFIG", "GET", "client-query-buffer-limit"},
      {"CONFIG", "SET", "protected-mode", "maybe"},
      {"CONFIG", "SET", "protected-mode", "no"},
      {"CONFIG", "GET", "protected-mode"},
      {"CONFIG", "SET", "maxmemory", "x"},
      {"CONFIG", "SET", "slowlog-log-slower-than", "-2"},
      {"CONFIG", "SET", "slowlog-log-slower-than", "-1"},
      {"CONFIG", "SET", "slowlog-max-len", "-1"},
      {"CONFIG", "SET", "tcp-backlog", "3"},
      {"SLOWLOG", "RESET"},
      {"SLOWLOG", "LEN"},
      {"SLOWLOG", "GET"},
      {"SLOWLOG", "GET", "-2"},
      {"SLOWLOG", "GET", "1", "2"},
      {"SLOWLOG", "HELP"},
      {"SHUTDOWN", "ABORT"},
      {"SHUTDOWN", "ABORT", "NOW"},
      {"SHUTDOWN", "NOSAVE", "SAVE"},
      {"SHUTDOWN", "x"},
      {"SET", "k", "v"},
      {"CONFIG", "SET", "maxmemory", "1"},
      {"SET", "k", "w"},
      {"APPEND", "k", "w"},
      {"SET", "k"},
      {"GET", "k"},
      {"DEL", "k"},
      {"CONFIG", "SET", "maxmemory", "0"},
      {"SET", "k", "w"},
  };
  for (const Arguments& arguments : dialog) ExpectSame(arguments);
}

// All of them, with the passwords left out, the newest first.
TEST_F(LimitsBesideRedis, TheSlowLogIsThatOfRedis) {
  const std::string long_value(200, 'x');
  Arguments many = {"MGET"};
  for (int count = 0; count < 50; ++count) many.push_back("k");
  for (Wire* wire : {redis_wire_.get(), ours_wire_.get()}) {
    Ask(*wire, {"CLIENT", "SETNAME", "me"});
    Ask(*wire, {"CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "6"});
    Ask(*wire, {"SLOWLOG", "RESET"});
    Ask(*wire, {"SET", "k", long_value});
    Ask(*wire, many);
    Ask(*wire, {"AUTH", "default", "secret"});
    Ask(*wire, {"HELLO", "2", "AUTH", "default", "secret", "SETNAME", "you"});
    Ask(*wire, {"CONFIG", "SET", "timeout", "0", "requirepass", "secret"});
    Ask(*wire, {"CONFIG", "SET", "requirepass", ""});
  }
  ExpectSame({"SLOWLOG", "LEN"});
  // Of each: its arguments and its client's name. Times and addresses differ.
  const auto kept = [](Wire& wire) {
    std::vector<std::string> shown;
    const std::string reply = Ask(wire, {"SLOWLOG", "GET", "6"});
    const auto commands = ElementsOf(reply);
    EXPECT_TRUE(commands);
    if (!commands) return shown;
    for (const std::string_view command : *commands) {
      const auto fields = ElementsOf(command);
      EXPECT_TRUE(fields && fields->size() == 6);
      if (fields) shown.push_back(std::string((*fields)[3]) + std::string((*fields)[5]));
    }
    return shown;
  };
  const std::vector<std::string> ours = kept(*ours_wire_);
  EXPECT_EQ(ours, kept(*redis_wire_));
  EXPECT_EQ(ours.size(), 6u);
}

TEST_F(LimitsBesideRedis, WhoHasTooMuchToGetIsCutOffByBoth) {
  for (Wire* wire : {redis_wire_.get(), ours_wire_.get()}) {
    Ask(*wire, {"SET", "k", std::string(3'000'000, 'x')});
    Ask(*wire, {"CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0"});
  }
  ExpectSameEnd(scenarios::EncodeArray({"GET", "k"}) + scenarios::EncodeArray({"GET", "k"}), 0);
  ExpectSame({"PING"});
}

class LimitsTest : public testing::Test {
 protected:
  static std::string Ask(Wire& wire, const Arguments& arguments) {
    const auto replies = wire.Exchange(scenarios::EncodeArray(arguments), 1);
    EXPECT_EQ(replies.size(), 1u) << wire.problem();
    return replies.empty() ? std::string() : replies[0];
  }
};

TEST_F(LimitsTest, ShutdownEndsTheServerAndItsClients) {
  for (const char* shards : {"1", "3"}) {
    const auto server = ServerProcess::StartOrrery({"--shards", shards});
    ASSERT_NE(server, nullptr);
    const auto wire = server->Connect();
    const auto other = server->Connect();
    EXPECT_EQ(Ask(*other, {"SET", "k", "v"}), "+OK\r\n");
    EXPECT_TRUE(Ask(*wire, {"SHUTDOWN", "SAVE"}).starts_with("-ERR Errors trying to SHUTDOWN"));
    EXPECT_TRUE(wire->Exchange(scenarios::EncodeArray({"SHUTDOWN"}), 1).empty());
    EXPECT_TRUE(other->Exchange("", 1).empty());
  }
}

TEST_F(LimitsTest, WhoFindsTheTableOfFilesFullIsToldSo) {
  // More clients than there are slots for are not served.
  const auto server = ServerProcess::StartOrrery({"--fixed-files", "2", "--maxclients", "100"});
  ASSERT_NE(server, nullptr);
  std::vector<std::unique_ptr<Wire>> clients;
  for (int count = 0; count < 2; ++count) {
    clients.push_back(server->Connect());
    EXPECT_EQ(Ask(*clients.back(), {"PING"}), "+PONG\r\n");
  }
  EXPECT_EQ(Ask(*clients[0], {"CONFIG", "GET", "maxclients"}),
            "*2\r\n$10\r\nmaxclients\r\n$1\r\n2\r\n");
  EXPECT_EQ(Ask(*clients[0], {"CONFIG", "SET", "maxclients", "3"}),
            "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating "
            "system is not able to handle the specified number of clients, try with 2\r\n");
  for (int count = 0; count < 5; ++count) {
    EXPECT_EQ(server->Connect()->Exchange("", 1),
              std::vector<std::string>{"-ERR max number of clients reached\r\n"});
  }
  clients.pop_back();
  std::string answer;
  for (int tries = 0; tries < 100 && answer != "+PONG\r\n"; ++tries) {
    answer = Ask(*server->Connect(), {"PING"});
  }
  EXPECT_EQ(answer, "+PONG\r\n");
}

TEST_F(LimitsTest, PasswordsAndLimitsHoldOnAllShards) {
  const auto server = ServerProcess::StartOrrery({"--shards", "4", "--requirepass", "secret"});
  ASSERT_NE(server, nullptr);
  std::vector<std::unique_ptr<Wire>> wires;
  for (int count = 0; count < 16; ++count) {
    wires.push_back(server->Connect());
    ASSERT_NE(wires.back(), nullptr);
    EXPECT_EQ(Ask(*wires.back(), {"GET", "k"}), "-NOAUTH Authentication required.\r\n");
    EXPECT_EQ(Ask(*wires.back(), {"AUTH", "secret"}), "+OK\r\n");
  }
  EXPECT_EQ(Ask(*wires[0], {"CONFIG", "SET", "maxmemory", "1"}), "+OK\r\n");
  for (size_t index = 0; index < wires.size(); ++index) {
    EXPECT_TRUE(Ask(*wires[index], {"SET", "k" + std::to_string(index), "v"}).starts_with("-OOM"));
  }
}

}  // namespace
}  // namespace orrery::e2e
