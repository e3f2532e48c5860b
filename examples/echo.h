// The echo server as tasks: it sends back what it receives. Read it first.
//
// One task accepts, each connection has one, and one waits for the signal that ends the program.
#pragma once

#include <signal.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "base/units.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/run.h"
#include "runtime/coro/server.h"
#include "runtime/coro/signals.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::examples::echo {

inline constexpr size_t kBufferBytes = 4 * kKiB;

// One connection: until it ends, fails, or the task is asked to stop.
inline coro::Task<> ServeOne(coro::Connection connection) {
  std::array<char, kBufferBytes> buffer;
  for (;;) {
    const auto count = co_await connection.ReadSome(buffer);
    if (!count || *count == 0) co_return;
    const std::string_view data(buffer.data(), *count);
    if (const auto sent = co_await connection.WriteAll(data); !sent) co_return;
  }
}

inline coro::Task<int> Main(coro::IoContext& io, uint16_t port) {
  auto listener = coro::Listener::Bind(io, {.port = port});
  if (!listener) {
    io.Log("cannot listen: " + listener.error().ToString());
    co_return 1;
  }
  auto signals = coro::SignalSet::Catch(io, {SIGINT, SIGTERM});
  if (!signals) co_return 1;
  std::printf("echo: listening on 127.0.0.1:%d; Ctrl-C stops it\n", listener->port());
  std::fflush(stdout);
  co_await coro::WhenAny(coro::ServeAll(io, *listener, {}, ServeOne), signals->Wait());
  co_return 0;
}

inline int RunServer(uint16_t port) {
  return coro::RunMain("echo", [port](coro::IoContext& io) { return Main(io, port); });
}

}  // namespace orrery::examples::echo
