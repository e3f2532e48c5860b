// LINK_TIMEOUT: a limit of time for the one before it in its chain. Follows io_link_timeout_fn(),
// io_req_task_link_timeout() and io_disarm_next().
//
// Invariant: while a linked timeout is armed it stands in its chain right behind the request that
// it guards; from the moment it fires until its task work has run it holds that request, so that
// what is linked behind waits for both.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// How far apart an end and an expiry may lie for either to be the first.
constexpr Nanoseconds kRace = 10 * kMicrosecond;

}  // namespace

int32_t RingCore::Guard(Request& timeout) {
  // Fact Q6.
  if (chain_last_ == nullptr || chain_last_->opcode == IORING_OP_LINK_TIMEOUT) return -EINVAL;
  timeout.timed = chain_last_;
  chain_last_->timeout_follows = true;
  return 0;
}

void RingCore::StartItsTimeout(const Request& request) {
  if (!request.timeout_follows) return;
  if (request.link->state == RequestState::kWaiting) ArmLinkTimeout(*request.link);
}

void RingCore::ArmLinkTimeout(Request& timeout) {
  timeout.state = RequestState::kTimed;
  link_timeouts_.push_back(&timeout);
  const Nanoseconds due = DueOf(*this, timeout);
  if (due <= machine.now) {
    OnTimer(timeout);
  } else if (due != kNever) {
    machine.timers.Arm(timeout.timer, due);
  }
}

void RingCore::OnLinkTimeout(Request& timeout) {
  std::erase(link_timeouts_, &timeout);
  if (Request* const guarded = std::exchange(timeout.timed, nullptr)) {
    guarded->link = std::exchange(timeout.link, nullptr);
    guarded->timeout_follows = false;
    guarded->held = true;
    timeout.victim = guarded;
  }
  timeout.state = RequestState::kTimedOut;
  QueueTaskWork(timeout, /*forced=*/true);
}

void RingCore::RunLinkTimeout(Request& timeout) {
  Request* const victim = timeout.victim;
  // Fact Q3: it may be too late.
  const int32_t cancelled = victim != nullptr ? CancelByUserData(*this, victim->user_data) : 0;
  End(timeout, cancelled != 0 ? cancelled : -ETIME);
  if (victim == nullptr) return;
  victim->held = false;
  if (victim->state != RequestState::kHeld) return;
  --held_requests_;
  Follow(*victim);  // As io_put_req() does; only its memory waits for one more task work.
  victim->state = RequestState::kReleased;
  QueueTaskWork(*victim, /*forced=*/true);
}

void RingCore::DisarmLinkTimeout(Request& ended) {
  Request& timeout = *ended.link;
  ORRERY_CHECK(timeout.timed == &ended);
  ended.link = std::exchange(timeout.link, nullptr);
  ended.timeout_follows = false;
  timeout.timed = nullptr;
  std::erase(link_timeouts_, &timeout);
  // Fact Q3: its handler runs, and waits to learn that there is nothing left to guard.
  const bool near = timeout.timer.armed() && timeout.timer.due - machine.now <= kRace;
  if (near && machine.Choose(Site::kLinkTimeoutRace, number, 2) != 0) return;
  EndLater(timeout, -ECANCELED, /*forced=*/true);
}

Request* RingCore::FindLinkTimeout(uint64_t user_data) const {
  for (Request* timeout : link_timeouts_) {
    if (timeout->user_data == user_data) return timeout;
  }
  return nullptr;
}

}  // namespace orrery::model
