// POLL_ADD and POLL_REMOVE. What a poll does when it is woken is in task_work.cc.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {

Attempt TryPollAdd(RingCore& ring, Request& request) {
  if (request.file->on_disk() && request.multishot) {
    StopUnknown("a multishot poll of a file of kind", static_cast<uint64_t>(request.file->kind));
  }
  // Facts P1, P2: a single-shot that is ready ends at once; a multishot reports it by task work.
  if (request.multishot) return Attempt::Wait();
  const uint32_t mask = ring.machine.Readiness(*request.file) & request.wait_events;
  if (mask != 0) return Attempt::Done(mask);
  return request.file->on_disk() ? Attempt::Done(-EINVAL) : Attempt::Wait();
}

Attempt TryPollRemove(RingCore& ring, Request& request) {
  Request* found = ring.table.Find(request.offset);
  while (found != nullptr &&
         (found->opcode != IORING_OP_POLL_ADD || found->state != RequestState::kArmed)) {
    found = RequestTable::NextSame(*found);
  }
  if (found == nullptr) return Attempt::Done(-ENOENT);
  // io_poll_disarm(): its task work is on the way and owns it.
  if (found->queued) return Attempt::Done(-EALREADY);
  ring.EndLater(*found, -ECANCELED, /*forced=*/true);
  return Attempt::Done(0);
}

}  // namespace orrery::model
