// The same server, linked with liburing itself, on the kernel of this machine: that what the model
// runs is a program that works.
#include <arpa/inet.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int kPatienceMs = 10'000;

// The server as a child process.
class Server {
 public:
  Server() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addclose(&actions, ends[0]);
    std::string path = "examples/liburing_echo/echo";
    std::array<char*, 2> arguments = {path.data(), nullptr};
    const int error =
        ::posix_spawn(&child_, path.c_str(), &actions, nullptr, arguments.data(), environ);
    EXPECT_EQ(error, 0);
    if (error != 0) child_ = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    FILE* const output = ::fdopen(ends[0], "r");
    unsigned port = 0;
    EXPECT_EQ(std::fscanf(output, "port %u", &port), 1);
    std::fclose(output);
    port_ = static_cast<uint16_t>(port);
  }
  // Kills it if it runs: a test that fails leaves nothing behind.
  ~Server() {
    if (child_ > 0) (void)End(SIGKILL);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const { return port_; }
  // Its exit status after SIGTERM. REQUIRES: it was started.
  int Stop() { return End(SIGTERM); }

 private:
  int End(int signal) {
    EXPECT_GT(child_, 0);
    if (child_ <= 0) return -1;
    const pid_t child = std::exchange(child_, -1);
    EXPECT_EQ(::kill(child, signal), 0);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  pid_t child_ = -1;
  uint16_t port_ = 0;
};

struct Client {
  int fd = -1;
  std::string sent;
  size_t done = 0;
  std::string received;
  bool over = false;
};

void Move(Client& client, short ready) {
  if ((ready & POLLOUT) != 0 && client.done < client.sent.size()) {
    const ssize_t count = ::send(client.fd, client.sent.data() + client.done,
                                 client.sent.size() - client.done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) client.done += static_cast<size_t>(count);
    if (client.done == client.sent.size()) ::shutdown(client.fd, SHUT_WR);
  }
  if ((ready & (POLLIN | POLLHUP | POLLERR)) == 0) return;
  std::array<char, 4096> piece;
  const ssize_t count = ::recv(client.fd, piece.data(), piece.size(), MSG_DONTWAIT);
  if (count > 0) client.received.append(piece.data(), static_cast<size_t>(count));
  client.over = count == 0 || (count < 0 && errno != EAGAIN);
}

TEST(EchoOnLinux, EverybodyReadsWhatTheySent) {
  Server server;
  std::vector<Client> clients(20);
  for (size_t index = 0; index < clients.size(); ++index) {
    Client& client = clients[index];
    client.sent.resize(1000 + index * 20'000);
    for (size_t at = 0; at < client.sent.size(); ++at) {
      client.sent[at] = static_cast<char>(at * 31 + index);
    }
    client.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(server.port());
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(client.fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  }
  for (;;) {
    std::vector<pollfd> waits;
    std::vector<Client*> waiting;
    for (Client& client : clients) {
      if (client.over) continue;
      const short more = client.done < client.sent.size() ? POLLOUT : 0;
      waits.push_back({.fd = client.fd, .events = static_cast<short>(POLLIN | more), .revents = 0});
      waiting.push_back(&client);
    }
    if (waits.empty()) break;
    ASSERT_GT(::poll(waits.data(), waits.size(), kPatienceMs), 0) << "somebody waits for ever";
    for (size_t index = 0; index < waits.size(); ++index) {
      Move(*waiting[index], waits[index].revents);
    }
  }
  for (Client& client : clients) {
    EXPECT_TRUE(client.received == client.sent);
    ::close(client.fd);
  }
  EXPECT_EQ(server.Stop(), 0);
}

}  // namespace
