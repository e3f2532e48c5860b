#include "runtime/coro/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace orrery::coro {

// The socket calls take every family through one type, and so does this file: the family says what
// the storage holds.

std::expected<SocketAddress, Errno> SocketAddress::Parse(const std::string& host, uint16_t port) {
  SocketAddress address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage_);
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.bytes_ = sizeof v4;
    return address;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage_);
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.bytes_ = sizeof v6;
    return address;
  }
  return std::unexpected(Errno(EINVAL));
}

SocketAddress SocketAddress::Loopback(uint16_t port) { return *Parse("127.0.0.1", port); }

SocketAddress SocketAddress::FromSystem(const sockaddr* address, socklen_t bytes) {
  ORRERY_CHECK(bytes <= kBytesMax);
  SocketAddress result;
  std::memcpy(&result.storage_, address, bytes);
  result.bytes_ = bytes;
  return result;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
  }
  return family() == AF_INET ? ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port) : 0;
}

std::string SocketAddress::ToString() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (family() == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage_);
    (void)::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());  // It always fits.
    return std::string("[") + text.data() + "]:" + std::to_string(port());
  }
  if (family() != AF_INET) return "none";
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage_);
  (void)::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  return std::string(text.data()) + ":" + std::to_string(port());
}

}  // namespace orrery::coro
