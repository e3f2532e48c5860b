// Waiting for signals in a task.
//
//   auto signals = SignalSet::Catch(io, {SIGINT, SIGTERM});
//   if (!signals) co_return 1;
//   const auto first = co_await WhenAny(Serve(io), signals->Wait());
//
// While there is a set, its signals do not what they did before, and come here; those that came
// while nobody waited are kept, one of a kind. One set at a time in a process; the
// handler, which no object can be given to, is the one thing here that belongs to the process.
#pragma once

#include <signal.h>

#include <expected>
#include <initializer_list>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "runtime/coro/descriptor.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

class SignalSet {
 public:
  // EMFILE, ENFILE, ENOMEM: no eventfd. REQUIRES: there is no other set.
  static std::expected<SignalSet, Errno> Catch(IoContext& io, std::initializer_list<int> signals);
  // Moved-from, it is none.
  SignalSet(SignalSet&& other) = default;
  SignalSet& operator=(SignalSet&& other) = delete;
  // The signals do again what they did before.
  ~SignalSet();

  // The number of a signal that came; of several, the lowest first. ECANCELED: asked to stop. One
  // task at a time.
  Task<std::expected<int, Errno>> Wait();

 private:
  explicit SignalSet(Descriptor eventfd) : eventfd_(std::move(eventfd)) {}

  Descriptor eventfd_;                                    // Written to by the handler.
  std::vector<std::pair<int, struct sigaction>> before_;  // Of no signals: moved from.
};

}  // namespace orrery::coro
