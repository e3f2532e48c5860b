// POLL_ADD and POLL_REMOVE. What a poll does when it is woken is in task_work.cc.
#include <poll.h>

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
  if (found->queued) {
    ++found->wakes;  // io_poll_get_ownership() counts as a wake-up: the mask is looked up anew.
    return Attempt::Done(-EALREADY);
  }
  if ((request.length & (IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA)) != 0) {
    ring.UpdatePoll(*found, request);
  } else {
    ring.EndLater(*found, -ECANCELED, /*forced=*/true);
  }
  return Attempt::Done(0);
}

void RingCore::UpdatePoll(Request& poll, const Request& update) {
  Disarm(poll);
  if ((update.length & IORING_POLL_UPDATE_EVENTS) != 0) {
    poll.wait_events = update.poll_events | POLLERR | POLLHUP | POLLNVAL | POLLRDHUP;
  }
  if ((update.length & IORING_POLL_UPDATE_USER_DATA) != 0) poll.user_data = update.new_user_data;
  const uint32_t mask = machine.Readiness(*poll.file) & poll.wait_events;
  if (!poll.multishot && mask != 0) {
    EndLater(poll, static_cast<int32_t>(mask), /*forced=*/true);
  } else {
    Arm(poll);
  }
}

}  // namespace orrery::model
