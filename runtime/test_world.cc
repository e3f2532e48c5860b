#include "runtime/test_world.h"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include "base/check.h"
#include "base/loopback.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

class LinuxWorld final : public TestWorld {
 public:
  explicit LinuxWorld(int socket_buffer_bytes) : socket_buffer_bytes_(socket_buffer_bytes) {}
  ~LinuxWorld() override {
    for (const int peer : peers_) ::close(peer);
  }

  Kernel& kernel() override { return kernel_; }

  void Prepare(int listener) override {
    // Accepted sockets inherit it.
    if (socket_buffer_bytes_ == 0) return;
    (void)kernel_.SetSocketOption(listener, SOL_SOCKET, SO_SNDBUF, socket_buffer_bytes_);
    (void)kernel_.SetSocketOption(listener, SOL_SOCKET, SO_RCVBUF, socket_buffer_bytes_);
  }

  Peer Connect(uint16_t port) override {
    const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ORRERY_CHECK(peer >= 0);
    if (socket_buffer_bytes_ != 0) {
      (void)::setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &socket_buffer_bytes_, sizeof(int));
      (void)::setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &socket_buffer_bytes_, sizeof(int));
    }
    sockaddr_in address = Loopback(port);
    // The socket calls take every family through one type.
    ORRERY_CHECK_OP(::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address),
                    ==, 0);
    peers_.insert(peer);
    return static_cast<Peer>(peer);
  }

  size_t Send(Peer peer, std::string_view bytes) override {
    const ssize_t sent =
        ::send(Descriptor(peer), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<size_t>(sent);
  }

  void Receive(Peer peer, PeerInput& input, size_t bytes_max) override {
    std::vector<char> buffer(64 * kKiB);
    while (bytes_max > 0) {
      const size_t part = std::min(bytes_max, buffer.size());
      const ssize_t got = ::recv(Descriptor(peer), buffer.data(), part, MSG_DONTWAIT);
      if (got < 0) {
        ORRERY_CHECK(errno == EAGAIN || errno == ECONNRESET);
        input.reset |= errno == ECONNRESET;
        return;
      }
      if (got == 0) {
        input.end = !input.reset;
        return;
      }
      input.bytes.append(buffer.data(), static_cast<size_t>(got));
      bytes_max -= static_cast<size_t>(got);
    }
  }

  void ShutdownWrite(Peer peer) override { (void)::shutdown(Descriptor(peer), SHUT_WR); }

  void Close(Peer peer) override {
    ORRERY_CHECK_OP(peers_.erase(Descriptor(peer)), ==, 1U);
    ::close(Descriptor(peer));
  }

  void Reset(Peer peer) override {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(Descriptor(peer), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    Close(peer);
  }

  void Ring(int eventfd) override { ORRERY_CHECK_OP(::eventfd_write(eventfd, 1), ==, 0); }

  void Interrupt() override {}  // It comes by itself.
  std::optional<size_t> ProvidedBuffers(uint16_t) override { return std::nullopt; }

  size_t open_descriptors() override {
    DIR* folder = ::opendir("/proc/self/fd");
    ORRERY_CHECK(folder != nullptr);
    size_t count = 0;
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count - peers_.size();
  }

 private:
  static int Descriptor(Peer peer) { return static_cast<int>(peer); }

  LinuxKernel kernel_;
  int socket_buffer_bytes_;
  std::set<int> peers_;
};

}  // namespace

std::unique_ptr<TestWorld> MakeLinuxWorld(int socket_buffer_bytes) {
  return std::make_unique<LinuxWorld>(socket_buffer_bytes);
}

}  // namespace orrery
