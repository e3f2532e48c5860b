// ASYNC_CANCEL: by user data, by file, or everything.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// What io_try_cancel() says of one request.
int32_t CancelOne(RingCore& ring, Request& victim, bool alone) {
  switch (victim.state) {
    case RequestState::kArmed: {
      // Fact C4: the victim's CQE comes by task work, after the cancel's; the manual page promises
      // the opposite. Both are legal.
      const bool first =
          alone && !victim.queued && ring.machine.Choose(Site::kCancelOrder, ring.number, 2) != 0;
      victim.cancelled = true;
      if (first) {
        ring.End(victim, RingCore::CutShort(victim, ECANCELED));
      } else {
        ring.machine.WakeRequest(victim, 0);
      }
      return 0;
    }
    case RequestState::kTimed:
      ring.EndLater(victim, -ECANCELED, /*forced=*/true);
      return 0;
    case RequestState::kWorking:
      // Fact C10.
      if (ring.machine.Choose(Site::kWorkerStarted, ring.number, 2) != 0) return -EALREADY;
      ring.CancelWorker(victim);
      return 0;
    case RequestState::kInFlight:
    case RequestState::kWaiting:
    case RequestState::kStarting:
    case RequestState::kIssued:
    case RequestState::kRetrying:
    case RequestState::kEnding:
    case RequestState::kNotifying:
    case RequestState::kFailing:
    case RequestState::kEnded:
      break;
  }
  return -ENOENT;
}

}  // namespace

Attempt TryCancel(RingCore& ring, Request& request) {
  const uint32_t flags = request.length;
  const bool any = (flags & IORING_ASYNC_CANCEL_ANY) != 0;
  const bool all = any || (flags & IORING_ASYNC_CANCEL_ALL) != 0;
  const bool by_file = (flags & IORING_ASYNC_CANCEL_FD) != 0;
  OpenFile* file = nullptr;
  if (by_file) {
    // Fact C3: the number must be open, whatever is armed on the file that it named before.
    file = ring.FindFile(request.argument, (flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0);
    if (file == nullptr) return Attempt::Done(-EBADF);
  }
  int32_t cancelled = 0;
  const bool by_user_data = !any && !by_file;
  Request* next = by_user_data ? ring.table.Find(request.offset) : ring.table.newest();
  while (next != nullptr) {
    Request& victim = *next;
    next = by_user_data ? RequestTable::NextSame(victim) : victim.older;
    if (by_file && victim.file != file) continue;
    if (victim.state == RequestState::kInFlight) continue;  // Fact C10.
    const int32_t result = CancelOne(ring, victim, !all);
    if (!all) return Attempt::Done(result);
    ++cancelled;
  }
  return Attempt::Done(all ? cancelled : -ENOENT);  // Facts C1, C2.
}

}  // namespace orrery::model
