// Servers as processes, and connections to them, for tests that compare them.
//
// A server listens on a port of loopback that it or the system has picked, keeps nothing on disk,
// and is killed by its process id when its object dies. Blocking; for tests only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::e2e {

// A connection that has been made. Every wait is bounded.
class Wire {
 public:
  explicit Wire(int fd) : fd_(fd) {}
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire();

  // Sends all of `bytes` and reads `replies` replies, both at once: neither side waits for the
  // other. Fewer replies: the server has ended the connection, sent what is no reply, or not
  // answered for kPatienceMs; `problem()` says which.
  std::vector<std::string> Exchange(std::string_view bytes, size_t replies) {
    return ExchangeUntil(bytes, [replies](const auto& taken) { return taken.size() >= replies; });
  }
  // The same for as many replies as it takes.
  using Enough = std::function<bool(const std::vector<std::string>& taken)>;
  std::vector<std::string> ExchangeUntil(std::string_view bytes, const Enough& enough);
  const std::string& problem() const { return problem_; }

 private:
  static constexpr int kPatienceMs = 10'000;

  // Takes whole replies off what has been received. False: what is there is no reply.
  bool TakeReplies(std::vector<std::string>& taken, const Enough& enough);

  int fd_;
  std::string received_;
  size_t done_bytes_ = 0;
  std::string problem_;
};

class ServerProcess {
 public:
  // Null when it does not start; the reason is on the standard error stream.
  static std::unique_ptr<ServerProcess> StartRedis(const std::vector<std::string>& options);
  // With one shard, unless "--shards" is among the options.
  static std::unique_ptr<ServerProcess> StartOrrery(const std::vector<std::string>& options);
  // Whether redis-server is installed.
  static bool HasRedis();

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  ~ServerProcess();

  pid_t pid() const { return pid_; }
  uint16_t port() const { return port_; }
  // Null when the server does not take it.
  std::unique_ptr<Wire> Connect() const;

 private:
  ServerProcess() = default;

  bool Spawn(std::vector<std::string> words, int output);
  bool StillRuns();

  pid_t pid_ = -1;
  uint16_t port_ = 0;
};

}  // namespace orrery::e2e
