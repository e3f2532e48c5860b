// What would break: memory for what was only announced, or a copy of every large reply that a slow
// reader has not taken. Looks at the process from outside: its resident memory, and what it says
// that it has copied.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loopback.h"
#include "base/units.h"
#include "tests/e2e/server_process.h"

namespace orrery::e2e {
namespace {

constexpr size_t kGrowthMax = 16 * kMiB;

// A connection whose pace the test decides.
class Peer {
 public:
  explicit Peer(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    constexpr timeval kPatience{.tv_sec = 30, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    sockaddr_in address = Loopback(port);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(fd_); }

  bool connected() const { return connected_; }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // What comes next, up to `bytes_max` of it; empty when nothing does.
  std::string Receive(size_t bytes_max) {
    std::string bytes(bytes_max, '\0');
    const ssize_t received = recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(received > 0 ? static_cast<size_t>(received) : 0);
    return bytes;
  }

 private:
  int fd_;
  bool connected_ = false;
};

size_t ResidentBytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  size_t all_pages = 0;
  size_t resident_pages = 0;
  statm >> all_pages >> resident_pages;
  return resident_pages * static_cast<size_t>(getpagesize());
}

std::string SetOf(std::string_view key, size_t value_bytes) {
  return "*3\r\n$3\r\nSET\r\n$" + std::to_string(key.size()) + "\r\n" + std::string(key) + "\r\n$" +
         std::to_string(value_bytes) + "\r\n";
}

class LargeValuesTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = ServerProcess::StartOrrery({});
    ASSERT_NE(server_, nullptr);
  }
  // A command and its reply: everything that was sent before has been looked at.
  void Settle() {
    const std::unique_ptr<Wire> wire = server_->Connect();
    ASSERT_NE(wire, nullptr);
    ASSERT_EQ(wire->Exchange("PING\r\n", 1), std::vector<std::string>{"+PONG\r\n"});
  }

  // What the server has copied of all that it has sent, or has to send.
  uint64_t CopiedBytes() {
    constexpr std::string_view kField = "output_copied_bytes:";
    const std::unique_ptr<Wire> wire = server_->Connect();
    const std::vector<std::string> info = wire->Exchange("INFO stats\r\n", 1);
    const size_t at = info.empty() ? std::string::npos : info[0].find(kField);
    EXPECT_NE(at, std::string::npos);
    return at == std::string::npos ? 0 : std::strtoull(&info[0][at + kField.size()], nullptr, 10);
  }

  std::unique_ptr<ServerProcess> server_;
};

TEST_F(LargeValuesTest, WhatIsOnlyAnnouncedTakesNoMemory) {
  constexpr size_t kPeers = 8;
  constexpr size_t kAnnounced = 512 * kMiB;
  Settle();
  const size_t before = ResidentBytes(server_->pid());
  std::vector<std::unique_ptr<Peer>> peers;
  for (size_t i = 0; i < kPeers; ++i) {
    peers.push_back(std::make_unique<Peer>(server_->port()));
    ASSERT_TRUE(peers.back()->connected());
    ASSERT_TRUE(peers.back()->Send(SetOf("k", kAnnounced) + "the first bytes"));
  }
  Settle();
  EXPECT_LT(ResidentBytes(server_->pid()), before + kGrowthMax);
}

TEST_F(LargeValuesTest, RepliesToASlowReaderAreNotCopied) {
  constexpr size_t kValueBytes = 1 * kMiB;
  constexpr size_t kReplies = 100;
  const std::string value(kValueBytes, 'v');
  Peer peer(server_->port());
  ASSERT_TRUE(peer.connected());
  ASSERT_TRUE(peer.Send(SetOf("k", value.size()) + value + "\r\n"));
  ASSERT_EQ(peer.Receive(5), "+OK\r\n");
  const size_t before = ResidentBytes(server_->pid());
  const uint64_t copied_before = CopiedBytes();

  std::string gets;
  for (size_t i = 0; i < kReplies; ++i) gets += "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
  ASSERT_TRUE(peer.Send(gets));
  ASSERT_EQ(peer.Receive(1), "$");
  Settle();
  EXPECT_LT(ResidentBytes(server_->pid()), before + kGrowthMax);
  const uint64_t copied_at_first = CopiedBytes();
  EXPECT_GT(copied_at_first, copied_before);

  const std::string reply = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  size_t position = 1;
  size_t resident_most = 0;
  while (position < kReplies * reply.size()) {
    const std::string bytes = peer.Receive(64 * kKiB);
    ASSERT_FALSE(bytes.empty()) << "after " << position << " bytes";
    const size_t at = position % reply.size();
    const size_t first = std::min(bytes.size(), reply.size() - at);
    ASSERT_EQ(bytes.substr(0, first), reply.substr(at, first));
    ASSERT_EQ(bytes.substr(first), reply.substr(0, bytes.size() - first));
    position += bytes.size();
    if (position % (16 * kMiB) < bytes.size()) {
      resident_most = std::max(resident_most, ResidentBytes(server_->pid()));
    }
  }
  EXPECT_EQ(position, kReplies * reply.size());
  EXPECT_LT(resident_most, before + kGrowthMax);
  // Headers and line ends, and the replies to those who ask.
  const uint64_t copied_later = CopiedBytes() - copied_at_first;
  EXPECT_GT(copied_later, 0U);
  EXPECT_LT(copied_later, 64 * kKiB);
  RecordProperty("copied_bytes", std::to_string(copied_later));
}

}  // namespace
}  // namespace orrery::e2e
