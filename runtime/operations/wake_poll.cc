#include "runtime/operations/wake_poll.h"

#include <poll.h>

#include "base/mark.h"

namespace orrery {
namespace {

// A poll that failed (for want of memory) is repeated after so long.
constexpr Nanoseconds kRetryAfter = 100 * kMillisecond;

}  // namespace

void WakePoll::Arm() {
  const bool refused = retry_at_ != kNever && retry_at_ > operations_.now();
  if (active() || refused) return;
  retry_at_ = kNever;
  io_uring_prep_poll_multishot(&sqe(), eventfd_, POLLIN);
  operations_.StartReserved(*this);
}

void WakePoll::OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) {
  // It ends by itself when a completion has to wait in the kernel's backlog (fact O5).
  ORRERY_MARK_IF(outcome == Outcome::kCompleted && result.has_value(), "loop.wake-poll-ended");
  if (!result) retry_at_ = operations_.now() + kRetryAfter;
}

}  // namespace orrery
