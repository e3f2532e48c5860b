// The echo server as tasks: it sends back what it receives. Read it first.
//
// One task accepts, one serves each connection, and one waits for the signal that ends the program.
#pragma once

#include <signal.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <string_view>
#include <utility>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/run.h"
#include "runtime/coro/semaphore.h"
#include "runtime/coro/signals.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/task_group.h"
#include "runtime/coro/when.h"

namespace orrery::examples::echo {

inline constexpr size_t kConnectionsMax = 10'000;
inline constexpr size_t kBufferBytes = 4 * kKiB;
// How long the accepting task waits when a limit of the system was met.
inline constexpr Nanoseconds kAcceptAgain = 100 * kMillisecond;

// One connection: until it ends, fails, or the task is asked to stop.
inline coro::Task<> Serve(coro::Connection connection, coro::Semaphore::Permit) {
  std::array<char, kBufferBytes> buffer;
  for (;;) {
    const auto count = co_await connection.ReadSome(buffer);
    if (!count || *count == 0) co_return;
    const std::string_view data(buffer.data(), *count);
    if (const auto sent = co_await connection.WriteAll(data); !sent) co_return;
  }
}

// Accepts until it is asked to stop; then asks the connections to end, and waits for them.
inline coro::Task<> AcceptAll(coro::IoContext& io, coro::Listener& listener) {
  coro::Semaphore room(kConnectionsMax);
  coro::TaskGroup sessions(io.scheduler());
  for (;;) {
    auto permit = co_await room.Acquire();
    if (!permit) break;
    auto connection = co_await listener.Accept();
    if (connection) {
      sessions.Spawn(Serve(*std::move(connection), *std::move(permit)));
    } else if (connection.error() == ECANCELED) {
      break;
    } else {
      (void)co_await io.Sleep(kAcceptAgain);  // Perhaps no descriptor is left; it may come back.
    }
  }
  co_await sessions.Join();
}

inline coro::Task<int> Main(coro::IoContext& io, uint16_t port) {
  auto signals = coro::SignalSet::Catch(io, {SIGINT, SIGTERM});
  auto listener = coro::Listener::Bind(io, {.port = port});
  if (!signals || !listener) {
    const Errno error = signals ? listener.error() : signals.error();
    std::fprintf(stderr, "echo: cannot listen: %s\n", error.ToString().c_str());
    co_return 1;
  }
  std::printf("echo: listening on 127.0.0.1:%d; Ctrl-C stops it\n", listener->port());
  std::fflush(stdout);
  co_await coro::WhenAny(AcceptAll(io, *listener), signals->Wait());
  co_return 0;
}

inline int RunServer(uint16_t port) {
  return coro::RunMain("echo", [port](coro::IoContext& io) { return Main(io, port); });
}

}  // namespace orrery::examples::echo
