#include "tests/e2e/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/loopback.h"
#include "tests/scenarios/resp.h"

extern char** environ;

namespace orrery::e2e {
namespace {

constexpr char kRedis[] = "/usr/bin/redis-server";
// Where a test finds the server among its data.
constexpr char kOrrery[] = "server/server";
constexpr int kStartTries = 500;
constexpr int kTryMs = 20;

// A port that was free a moment ago.
uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  uint16_t port = 0;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    port = ntohs(address.sin_port);
  }
  close(fd);
  return port;
}

}  // namespace

Wire::~Wire() { close(fd_); }

bool Wire::TakeReplies(std::vector<std::string>& taken, const Enough& enough) {
  while (!enough(taken)) {
    const std::string_view rest = std::string_view(received_).substr(done_bytes_);
    const auto length = scenarios::ReplyLength(rest);
    if (!length) {
      problem_ = "not a reply: " + length.error();
      return false;
    }
    if (*length == 0) break;
    taken.emplace_back(rest.substr(0, *length));
    done_bytes_ += *length;
  }
  if (done_bytes_ == received_.size()) {
    received_.clear();
    done_bytes_ = 0;
  }
  return true;
}

std::vector<std::string> Wire::ExchangeUntil(std::string_view bytes, const Enough& enough) {
  std::vector<std::string> taken;
  if (!TakeReplies(taken, enough)) return taken;
  std::array<char, 1 << 16> buffer;
  while (!bytes.empty() || !enough(taken)) {
    pollfd state{.fd = fd_,
                 .events = static_cast<short>(POLLIN | (bytes.empty() ? 0 : POLLOUT)),
                 .revents = 0};
    const int ready = poll(&state, 1, kPatienceMs);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      problem_ = "no answer";
      return taken;
    }
    if ((state.revents & POLLOUT) != 0) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
      if (sent < 0 && errno != EAGAIN && errno != EINTR) bytes = {};  // The end will be read.
    }
    if ((state.revents & ~POLLOUT) == 0) continue;
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) {
      problem_ = "the server has ended the connection";
      return taken;
    }
    received_.append(buffer.data(), static_cast<size_t>(got));
    if (!TakeReplies(taken, enough)) return taken;
  }
  return taken;
}

bool ServerProcess::HasRedis() { return access(kRedis, X_OK) == 0; }

bool ServerProcess::Spawn(std::vector<std::string> words, int output) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (output >= 0) {
    posix_spawn_file_actions_adddup2(&actions, output, 1);
  } else {
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  }
  const int error = posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    std::fprintf(stderr, "%s: %s\n", words[0].c_str(), std::strerror(error));
    pid_ = -1;
  }
  return error == 0;
}

bool ServerProcess::StillRuns() {
  if (waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;  // The number may be somebody else's from now on.
  return false;
}

std::unique_ptr<ServerProcess> ServerProcess::StartRedis(const std::vector<std::string>& options) {
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  server->port_ = FreePort();
  std::vector<std::string> words = {kRedis,
                                    "--port",
                                    std::to_string(server->port_),
                                    "--bind",
                                    "127.0.0.1",
                                    "--save",
                                    "",
                                    "--appendonly",
                                    "no",
                                    "--databases",
                                    "1",
                                    "--loglevel",
                                    "warning"};
  words.insert(words.end(), options.begin(), options.end());
  if (!server->Spawn(std::move(words), -1)) return nullptr;
  for (int tries = 0; tries < kStartTries && server->StillRuns(); ++tries) {
    const auto wire = server->Connect();
    // It may want a password first.
    if (wire != nullptr && !wire->Exchange("PING\r\n", 1).empty()) return server;
    poll(nullptr, 0, kTryMs);
  }
  return nullptr;
}

std::unique_ptr<ServerProcess> ServerProcess::StartOrrery(const std::vector<std::string>& options) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return nullptr;
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  std::vector<std::string> words = {kOrrery, "--port", "0"};
  // The same on every machine.
  if (std::find(options.begin(), options.end(), "--shards") == options.end()) {
    words.insert(words.end(), {"--shards", "1"});
  }
  words.insert(words.end(), options.begin(), options.end());
  const bool spawned = server->Spawn(std::move(words), output[1]);
  close(output[1]);
  // Its first line ends with "listening on 127.0.0.1:PORT, io_uring ...".
  std::string line;
  char byte = 0;
  while (spawned && line.find('\n') == std::string::npos && read(output[0], &byte, 1) == 1) {
    line += byte;
  }
  close(output[0]);
  const size_t comma = line.find(',');
  const size_t colon = line.rfind(':', comma);
  if (comma == std::string::npos || colon == std::string::npos) {
    std::fprintf(stderr, "%s did not start: %s\n", kOrrery, line.c_str());
    return nullptr;
  }
  server->port_ = static_cast<uint16_t>(std::strtoul(line.c_str() + colon + 1, nullptr, 10));
  return server;
}

ServerProcess::~ServerProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::unique_ptr<Wire> ServerProcess::Connect() const {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port_);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return nullptr;
  }
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // Only speed.
  return std::make_unique<Wire>(fd);
}

}  // namespace orrery::e2e
