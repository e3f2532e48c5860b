// TIMEOUT and TIMEOUT_REMOVE. LINK_TIMEOUT is in link_timeout.cc.
#include <cerrno>
#include <utility>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

void Start(RingCore& ring, Request& timeout, Nanoseconds due) {
  // Fact K2: one that is due fires at once, and is still seen by task work only.
  if (due <= ring.machine.now) {
    ring.OnTimer(timeout);
  } else if (due != kNever) {
    ring.machine.timers.Arm(timeout.timer, due);
  }
}

// The oldest that waits, as the kernel's list is searched.
Request* FindTimeout(RingCore& ring, uint64_t user_data) {
  Request* oldest = nullptr;
  for (Request* found = ring.table.Find(user_data); found != nullptr;
       found = RequestTable::NextSame(*found)) {
    if (found->state == RequestState::kTimed) oldest = found;
  }
  return oldest;
}

Attempt Update(RingCore& ring, const Request& request) {
  const bool linked = (request.length & IORING_LINK_TIMEOUT_UPDATE) != 0;
  Request* const found =
      linked ? ring.FindLinkTimeout(request.offset) : FindTimeout(ring, request.offset);
  if (found == nullptr) return Attempt::Done(-ENOENT);
  ring.machine.timers.Disarm(found->timer);
  if (!linked) {
    ring.ForgetCount(*found);
    found->listed = ring.NextListed();
  }
  found->time = request.time;
  // The clock stays, and so does what a multishot repeats.
  const bool absolute = std::exchange(found->absolute_time, request.absolute_time);
  const Nanoseconds due = DueOf(ring, *found);
  found->absolute_time = absolute;
  Start(ring, *found, due);
  return Attempt::Done(0);
}

}  // namespace

Nanoseconds DueOf(const RingCore& ring, const Request& request) {
  if (request.time == kNever) return kNever;
  if (!request.absolute_time) return AddTime(ring.machine.now, request.time);
  return request.realtime ? request.time - ring.machine.realtime_offset : request.time;
}

Attempt TryTimeout(RingCore& ring, Request& request) {
  request.state = RequestState::kTimed;
  request.listed = ring.NextListed();
  ring.table.Insert(request);
  if (request.counts_completions) ring.AddCountedTimeout(request);
  Start(ring, request, DueOf(ring, request));
  return Attempt::Pending();
}

bool RepeatTimeout(RingCore& ring, Request& request) {
  // As io_timeout_finish(): fact K6. Between two expiries nothing finds it.
  if (request.offset != 0 && --request.repeats == 0) return false;
  if (!ring.PostMore(request, -ETIME, 0)) return false;
  request.state = RequestState::kTimed;
  request.listed = ring.NextListed();
  ring.table.Insert(request);
  Start(ring, request, DueOf(ring, request));
  return true;
}

Attempt TryTimeoutRemove(RingCore& ring, Request& request) {
  if ((request.length & IORING_TIMEOUT_UPDATE) != 0) return Update(ring, request);  // Fact K5.
  Request* const found = FindTimeout(ring, request.offset);
  if (found == nullptr) return Attempt::Done(-ENOENT);
  ring.EndLater(*found, -ECANCELED, /*forced=*/true);
  return Attempt::Done(0);
}

}  // namespace orrery::model
