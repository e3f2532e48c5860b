// TIMEOUT and TIMEOUT_REMOVE.
#include <cerrno>
#include <utility>

#include "kernel_model/operations.h"

namespace orrery::model {

Attempt TryTimeout(RingCore& ring, Request& request) {
  const Nanoseconds due = std::exchange(request.timer.due, kNever);
  request.state = RequestState::kTimed;
  ring.table.Insert(request);
  if (request.counts_completions) {
    request.completions_target = ring.completions.counted() + request.offset;
    ring.AddCountedTimeout(request);
  }
  // Fact K2: one that is due fires at once, and is still seen by task work only.
  if (due <= ring.machine.now) {
    ring.OnTimer(request);
  } else if (due != kNever) {
    ring.machine.timers.Arm(request.timer, due);
  }
  return Attempt::Pending();
}

Attempt TryTimeoutRemove(RingCore& ring, Request& request) {
  Request* found = ring.table.Find(request.offset);
  while (found != nullptr && found->state != RequestState::kTimed) {
    found = RequestTable::NextSame(*found);
  }
  if (found == nullptr) return Attempt::Done(-ENOENT);
  ring.EndLater(*found, -ECANCELED, /*forced=*/true);
  return Attempt::Done(0);
}

}  // namespace orrery::model
