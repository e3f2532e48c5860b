// Names to addresses, as the system resolves them (getaddrinfo(3)).
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/errno.h"
#include "runtime/coro/address.h"
#include "runtime/coro/blocking_pool.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

// The addresses of `host` for streams, with `port`, in the order in which to try them: one at
// least. A numeric `host` is its own address. ENOENT: there is no such name. EAGAIN: no name server
// answered; later one may. ECANCELED: asked to stop, before the lookup had begun (one that has is
// waited for, which can take as long as the system's resolver tries). EIO: anything else.
Task<std::expected<std::vector<SocketAddress>, Errno>> Resolve(BlockingPool& pool, std::string host,
                                                               uint16_t port);

}  // namespace orrery::coro
