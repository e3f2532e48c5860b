#include "runtime/coro/resolve.h"

#include <netdb.h>

#include <cerrno>
#include <memory>

namespace orrery::coro {
namespace {

using Addresses = std::expected<std::vector<SocketAddress>, Errno>;

Errno ErrnoOf(int error) {
  switch (error) {
    case EAI_NONAME:
    case EAI_NODATA:
      return Errno(ENOENT);
    case EAI_AGAIN:
      return Errno(EAGAIN);
    case EAI_MEMORY:
      return Errno(ENOMEM);
    default:
      return Errno(EIO);
  }
}

Addresses LookUp(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &first);
  if (error != 0) return std::unexpected(ErrnoOf(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(first, ::freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* info = first; info != nullptr; info = info->ai_next) {
    addresses.push_back(SocketAddress::FromSystem(info->ai_addr, info->ai_addrlen));
  }
  return addresses;
}

}  // namespace

Task<Addresses> Resolve(BlockingPool& pool, std::string host, uint16_t port) {
  if (const auto numeric = SocketAddress::Parse(host, port); numeric) {
    co_return std::vector<SocketAddress>(1, *numeric);
  }
  std::expected<Addresses, Errno> found = co_await pool.Run([&] { return LookUp(host, port); });
  if (!found) co_return std::unexpected(found.error());
  co_return *std::move(found);
}

}  // namespace orrery::coro
