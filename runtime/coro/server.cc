#include "runtime/coro/server.h"

#include <array>
#include <cerrno>
#include <expected>
#include <string>
#include <utility>

#include "base/errno.h"
#include "runtime/coro/semaphore.h"
#include "runtime/coro/task_group.h"

namespace orrery::coro {
namespace {

// Holds its permit as long as the connection lives.
Task<> Keep(Semaphore::Permit, Task<> serving) { co_await std::move(serving); }

}  // namespace

Task<> ServeAll(IoContext& io, Listener& listener, ServeOptions options,
                std::function<Task<>(Connection)> serve) {
  Semaphore room(options.connections_max);
  TaskGroup sessions(io.scheduler());
  for (;;) {
    std::expected<Semaphore::Permit, Errno> permit = co_await room.Acquire();
    if (!permit) break;  // Asked to stop.
    std::expected<Connection, Errno> connection = co_await listener.Accept();
    if (connection) {
      sessions.Spawn(Keep(*std::move(permit), serve(*std::move(connection))));
    } else if (connection.error() != ECANCELED) {
      io.Log("cannot accept: " + connection.error().ToString());
      (void)co_await io.Sleep(options.accept_again);  // Asked to stop: the next round ends.
    }
  }
  co_await sessions.Join();
}

Task<> EndGently(Connection& connection, Nanoseconds deadline, size_t bytes_max) {
  if (const auto ended = co_await connection.ShutdownWrite(); !ended) co_return;
  std::array<char, 4096> buffer;
  for (size_t bytes = 0; bytes < bytes_max;) {
    const std::expected<size_t, Errno> count = co_await connection.ReadSome(buffer, deadline);
    if (!count || *count == 0) co_return;
    bytes += *count;
  }
}

}  // namespace orrery::coro
