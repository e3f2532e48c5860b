// The address of a socket: IPv4 or IPv6, and a port. A value.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <expected>
#include <string>

#include "base/errno.h"

namespace orrery::coro {

class SocketAddress {
 public:
  // None; for what a receive fills in.
  SocketAddress() = default;
  // `host` is numeric, "127.0.0.1" or "::1" (names: resolve.h). EINVAL: it is not.
  static std::expected<SocketAddress, Errno> Parse(const std::string& host, uint16_t port);
  // 127.0.0.1.
  static SocketAddress Loopback(uint16_t port);
  // REQUIRES: `bytes` fit.
  static SocketAddress FromSystem(const sockaddr* address, socklen_t bytes);

  // AF_INET, AF_INET6; AF_UNSPEC of none.
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  // "127.0.0.1:80", "[::1]:80".
  std::string ToString() const;

  // As system calls take it, and fill it in.
  sockaddr* data() { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t bytes() const { return bytes_; }
  void set_bytes(socklen_t bytes) { bytes_ = bytes; }
  static constexpr socklen_t kBytesMax = sizeof(sockaddr_storage);

 private:
  sockaddr_storage storage_{};
  socklen_t bytes_ = 0;
};

}  // namespace orrery::coro
