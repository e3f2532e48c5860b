// What every server of streams does: accept, serve each connection in a task, end well.
//
//   co_await WhenAny(ServeAll(io, *listener, {}, Serve), signals->Wait());
//
// Thread: the context's.
#pragma once

#include <cstddef>
#include <functional>

#include "base/units.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

struct ServeOptions {
  // Above it, nobody is accepted: connections wait in the listener's backlog.
  size_t connections_max = 10'000;
  // The pause after an accept that met a limit of the system.
  Nanoseconds accept_again = 100 * kMillisecond;
};

// Accepts until it is asked to stop, and runs `serve` for each connection; what accepting fails
// with is logged. Then asks those to stop, and returns when all have ended. `serve` is kept until
// then: it may be a lambda with captures.
Task<> ServeAll(IoContext& io, Listener& listener, ServeOptions options,
                std::function<Task<>(Connection)> serve);

// Ends a connection so that the peer can read all that was written to it: input that nobody has
// read when a socket is closed would make that a reset. Waits for the peer's end until `deadline`,
// and for `bytes_max` of its input.
Task<> EndGently(Connection& connection, Nanoseconds deadline, size_t bytes_max = kMiB);

}  // namespace orrery::coro
