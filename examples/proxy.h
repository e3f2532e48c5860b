// A TCP proxy: who connects here is connected to another address, and bytes go both ways. Nobody
// waits for ever: connecting has a deadline, and so has a connection on which nothing moves.
#pragma once

#include <signal.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "base/units.h"
#include "runtime/coro/address.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/server.h"
#include "runtime/coro/signals.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::examples::proxy {

inline constexpr Nanoseconds kConnectMax = 3 * kSecond;
inline constexpr Nanoseconds kIdleMax = 60 * kSecond;

// Copies one way, until `from` ends its stream: then so does `to`, and the other way goes on. When
// anything fails, or when neither way has moved for kIdleMax (`last_moved` is of both), it ends
// both connections, and with them the other way.
inline coro::Task<> Copy(coro::IoContext& io, coro::Connection& from, coro::Connection& to,
                         Nanoseconds& last_moved) {
  std::array<char, 16 * kKiB> buffer;
  for (;;) {
    const auto count = co_await from.ReadSome(buffer, last_moved + kIdleMax);
    if (!count && count.error() == ETIME && io.now() < last_moved + kIdleMax) continue;
    if (!count) break;
    last_moved = io.now();
    if (*count == 0) {
      if (const auto ended = co_await to.ShutdownWrite(); !ended) break;
      co_return;
    }
    const std::string_view data(buffer.data(), *count);
    if (const auto sent = co_await to.WriteAll(data, io.now() + kIdleMax); !sent) break;
    last_moved = io.now();
  }
  // An error says that it has ended already.
  (void)co_await from.ShutdownBoth();
  (void)co_await to.ShutdownBoth();
}

inline coro::Task<> Forward(coro::IoContext& io, coro::SocketAddress target,
                            coro::Connection client) {
  auto server = co_await coro::Connect(io, target, io.now() + kConnectMax);
  if (!server) {
    io.Log("cannot connect to " + target.ToString() + ": " + server.error().ToString());
    co_return;
  }
  Nanoseconds last_moved = io.now();
  co_await coro::WhenAll(Copy(io, client, *server, last_moved),
                         Copy(io, *server, client, last_moved));
}

// Until it is asked to stop.
inline coro::Task<> Serve(coro::IoContext& io, coro::Listener& listener,
                          coro::SocketAddress target) {
  const auto forward = [&io, target](coro::Connection client) {
    return Forward(io, target, std::move(client));
  };
  co_await coro::ServeAll(io, listener, {}, forward);
}

inline coro::Task<int> Main(coro::IoContext& io, uint16_t port, coro::SocketAddress target) {
  auto listener = coro::Listener::Bind(io, {.port = port});
  if (!listener) {
    io.Log("cannot listen: " + listener.error().ToString());
    co_return 1;
  }
  auto signals = coro::SignalSet::Catch(io, {SIGINT, SIGTERM});
  if (!signals) co_return 1;
  std::printf("proxy: 127.0.0.1:%d to %s; Ctrl-C stops it\n", listener->port(),
              target.ToString().c_str());
  std::fflush(stdout);
  co_await coro::WhenAny(Serve(io, *listener, target), signals->Wait());
  co_return 0;
}

}  // namespace orrery::examples::proxy
