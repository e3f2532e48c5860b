// The sequential model against the real thing: generated commands go to a redis-server of this
// test's own, on a Unix socket, and each reply must be the model's.
//
// What would break: the simulation would hold the server to semantics that are not Redis's. Skipped
// where no redis-server is installed. The generated times are either tiny, huge or in the past, so
// that real time decides nothing but the last digits of TTL and PTTL.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/prng.h"
#include "tests/scenarios/resp.h"
#include "tests/scenarios/sequential_model.h"
#include "tests/scenarios/workload.h"

extern char** environ;

namespace orrery::scenarios {
namespace {

constexpr char kRedis[] = "/usr/bin/redis-server";

// Of a real server: nobody sets its clock, and one clock serves as both.
Moment MomentNow() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  const int64_t now_ms = int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
  return {.wall_ms = now_ms, .monotonic_ms = now_ms};
}

// A redis-server on a Unix socket in a directory of its own; ended by its process id.
class RedisServer {
 public:
  RedisServer() {
    char directory[] = "/tmp/orrery-redis-XXXXXX";
    if (mkdtemp(directory) == nullptr) return;
    directory_ = directory;
    socket_ = directory_ + "/s";
    std::vector<std::string> words = {
        kRedis,     "--port",      "0", "--unixsocket", socket_,   "--save",       "",  "--dir",
        directory_, "--databases", "1", "--loglevel",   "warning", "--appendonly", "no"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&pid_, kRedis, &actions, nullptr, arguments.data(), environ) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    unlink(socket_.c_str());
    if (!directory_.empty()) rmdir(directory_.c_str());
  }

  // A connection, as soon as the server listens; -1 when it does not come up or has ended.
  int Connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_.c_str(), sizeof(address.sun_path) - 1);
    while (waitpid(pid_, nullptr, WNOHANG) == 0) {
      const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
      close(fd);
      poll(nullptr, 0, 10);
    }
    return -1;
  }

 private:
  std::string directory_;
  std::string socket_;
  pid_t pid_ = -1;
};

class RedisConnection {
 public:
  explicit RedisConnection(int fd) : fd_(fd) {}
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection() { close(fd_); }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  // The next reply; what is left when the stream ends.
  std::string Receive() {
    while (true) {
      const auto length = ReplyLength(received_);
      if (!length) return "malformed: " + length.error();
      if (*length > 0) {
        std::string reply = received_.substr(0, *length);
        received_.erase(0, *length);
        return reply;
      }
      char buffer[65536];
      const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
      if (got <= 0) return std::exchange(received_, "");
      received_.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  int fd_;
  std::string received_;
};

// What only the real time decides: a difference of the last two seconds. Redis adds 500 ms to
// round, and the largest times overflow.
bool MatchesInTime(const Expectation& expected, const std::string& reply, bool milliseconds) {
  constexpr int64_t kOverflowed = -9'000'000'000'000'000;
  const auto want = IntegerIn(expected.bytes);
  const auto have = IntegerIn(reply);
  if (!want || !have || *want < 0) return false;
  if (*have < kOverflowed) return *want > -kOverflowed;
  return *have >= 0 && std::abs(*want - *have) <= (milliseconds ? 2000 : 2);
}

std::string LowerWord(std::string word) {
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word;
}

// Asks for a time, in seconds or in milliseconds.
bool AsksTime(const std::vector<std::string>& arguments, bool& milliseconds) {
  const std::string name = LowerWord(arguments[0]);
  milliseconds = name[0] == 'p';
  if (name == "object") return arguments.size() > 1 && LowerWord(arguments[1]) == "idletime";
  return name == "ttl" || name == "pttl" || name == "expiretime" || name == "pexpiretime";
}

// Redis has these since 7.2.
bool IsNewer(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2 || LowerWord(arguments[0]) != "client") return false;
  const std::string name = LowerWord(arguments[1]);
  return name == "setinfo" || name == "no-touch";
}

class SequentialModelRedisTest : public testing::Test {
 protected:
  void SetUp() override {
    if (access(kRedis, X_OK) != 0) GTEST_SKIP() << kRedis << " is not installed";
  }
};

TEST_F(SequentialModelRedisTest, EveryReplyIsTheModels) {
  const RedisServer server;
  uint64_t compared = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Prng prng(seed);
    WorkloadOptions options = DrawWorkloadOptions(prng);
    options.disconnect_odds = 0;
    options.protocol_error_odds = 0;
    options.control_odds = 0;
    options.far_times = true;
    options.value_bytes_max = 20'000;
    const int fd = server.Connect();
    ASSERT_GE(fd, 0) << "redis-server did not start";
    RedisConnection connection(fd);
    SequentialModel model;
    SequentialModel::Connection session;
    connection.Send(EncodeArray({"FLUSHALL"}));
    connection.Receive();
    connection.Send(EncodeArray({"CONFIG", "SET", "rdbcompression", "no"}));
    connection.Receive();
    for (const Script& script : GenerateWorkload(prng, options)) {
      for (const ScriptStep& step : script.steps) {
        for (const Command& command : step.commands) {
          const std::vector<std::string> arguments = Materialize(command);
          if (session.quit || IsNewer(arguments)) continue;
          connection.Send(step.form == Form::kArray ? EncodeArray(arguments)
                          : step.form == Form::kInlineDouble
                              ? EncodeInline(arguments, InlineStyle::kDouble)
                              : EncodeInline(arguments, InlineStyle::kSingle));
          const Expectation expected = model.Execute(session, arguments, MomentNow());
          const std::string reply = connection.Receive();
          ++compared;
          std::string shown;
          for (const std::string& argument : arguments) shown += Printable(argument, 30) + " ";
          bool milliseconds = false;
          ASSERT_TRUE(expected.Matches(reply) || (AsksTime(arguments, milliseconds) &&
                                                  MatchesInTime(expected, reply, milliseconds)))
              << "seed " << seed << ": " << shown << "\nexpected " << expected.Describe()
              << "\nreceived " << Printable(reply, 300);
        }
      }
    }
  }
  EXPECT_GT(compared, 5000u);
}

TEST_F(SequentialModelRedisTest, BadInputGetsTheErrorsThatTheWorkloadExpects) {
  const RedisServer server;
  uint64_t compared = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Prng prng(seed);
    WorkloadOptions options;
    options.clients = 1;
    options.protocol_error_odds = 1;
    for (const Script& script : GenerateWorkload(prng, options)) {
      for (const ScriptStep& step : script.steps) {
        if (step.kind != ScriptStep::Kind::kRaw) continue;
        const int fd = server.Connect();
        ASSERT_GE(fd, 0) << "redis-server did not start";
        RedisConnection connection(fd);
        connection.Send(step.raw.Materialize());
        if (step.error.empty()) connection.Send("PING\r\n");
        EXPECT_EQ(connection.Receive(), step.error.empty() ? "+PONG\r\n" : step.error)
            << Printable(step.raw.Materialize());
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 1000u);
}

}  // namespace
}  // namespace orrery::scenarios
