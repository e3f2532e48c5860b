// Entering a ring: the two halves of io_uring_enter(2), and what happens between them.
#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/check.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {

std::optional<EnterResult> RingCore::Begin(const EnterRequest& request) {
  ORRERY_CHECK_MSG(!sleeping_, "a thread that sleeps in Enter cannot enter again");
  if (request.min_wait_us != 0) StopUnknown("a minimum wait of microseconds", request.min_wait_us);
  machine.Emit(EventKind::kEnter, number, request.to_submit, request.min_complete);
  if (completions.ready() > completions.entries()) {
    machine.Violate("completion-queue-head",
                    "ring " + std::to_string(number) + ": the CQ's head passed its tail");
  }
  LookAtBuffers();
  if (!deferred_) RunAllTaskWork();  // Fact V5: what was pending comes first.

  if (const std::optional<Errno> refusal = Refusal(request)) {
    return Return(std::unexpected(*refusal));
  }
  submitted_ = Submit(request.to_submit);
  // Fact U3: consumed fewer than asked for, so the waiting half is skipped as a whole.
  if (submitted_ != request.to_submit) return Return(submitted_);

  if (deferred_) {
    // io_uring_enter() runs task work once after it submitted, and io_cqring_wait() again.
    const unsigned batch = std::max(kTaskWorkBatch, request.min_complete);
    if (request.to_submit > 0) RunTaskWork(request.min_complete, batch, /*again=*/true);
    RunTaskWork(request.min_complete, batch);
  } else {
    RunAllTaskWork();
  }
  completions.Flush();
  const unsigned wanted = std::min(request.min_complete, completions.entries());  // Fact O4.
  if (completions.ready() >= wanted) return Return(submitted_);

  sleeping_ = true;
  satisfied_ = false;
  forced_ = task_work_pending();  // A thread with work left does not go to sleep.
  wait_tail_ = completions.head() + wanted;
  wait_error_ = 0;
  timeouts_at_wait_ = timeouts_fired_;
  deadline_ = request.deadline;
  interrupt_at_ = kNever;
  if (CanFinish()) return Finish();
  interrupt_at_ = machine.ChooseInterrupt(number);
  return std::nullopt;
}

std::optional<Errno> RingCore::Refusal(const EnterRequest& request) {
  // The caller must be able to get on: not for ever, and EBUSY only with something to reap.
  if (refusals_in_a_row_ < kRefusalsInARowMax) {
    if (request.to_submit > 0 && machine.Choose(Site::kEnterAgain, number, 2) != 0) {
      ++refusals_in_a_row_;
      return Errno(EAGAIN);
    }
    if (completions.backlog() > completions.space() &&
        machine.Choose(Site::kEnterBusy, number, 2) != 0) {
      ++refusals_in_a_row_;
      completions.Flush();
      return Errno(EBUSY);
    }
  }
  refusals_in_a_row_ = 0;
  return std::nullopt;
}

EnterResult RingCore::Return(EnterResult result) {
  if (!deferred_) RunAllTaskWork();
  machine.Emit(EventKind::kReturn, number,
               result ? static_cast<int64_t>(*result) : -int64_t{result.error().value()},
               completions.ready());
  return result;
}

bool RingCore::ShouldWake() const {
  return static_cast<int>(completions.tail() - wait_tail_) >= 0 ||
         timeouts_fired_ != timeouts_at_wait_;  // Fact W6.
}

bool RingCore::CanFinish() {
  ORRERY_CHECK(sleeping_);
  // The loop of io_cqring_wait(): each turn is one wake-up. Work that is left over from a turn is
  // run before the thread sleeps again.
  bool awake = task_work_pending() && (forced_ || !deferred_);
  while (!satisfied_) {
    const bool expired = machine.now >= deadline_;
    const bool interrupted = machine.now >= interrupt_at_;
    const unsigned missing = wait_tail_ - completions.tail();
    const bool enough = retry_.size() + fresh_.size() >= missing;
    if (!awake && !enough && !expired && !interrupted) return false;
    forced_ = false;
    if (deferred_) {
      RunTaskWork(missing, missing);  // Fact V7b.
    } else {
      RunAllTaskWork();
    }
    if (expired || interrupted) {
      wait_error_ = interrupted ? EINTR : ETIME;
      satisfied_ = true;
      break;
    }
    completions.Flush();
    satisfied_ = ShouldWake();
    awake = task_work_pending();
  }
  return true;
}

EnterResult RingCore::Finish() {
  ORRERY_CHECK_MSG(CanFinish(), "Finish() before there is a reason to wake up");
  sleeping_ = false;
  deadline_ = interrupt_at_ = kNever;
  // Facts W2 and W3: completions or submissions hide the error.
  if (wait_error_ != 0 && completions.ready() == 0 && submitted_ == 0) {
    return Return(std::unexpected(Errno(wait_error_)));
  }
  return Return(submitted_);
}

void RingCore::Interrupt() {
  if (deferred_ || sleeping_) return;
  LookAtBuffers();  // A transfer takes what has been published by then, in an Enter or not.
  RunAllTaskWork();
}

void RingCore::LookAtBuffers() {
  for (const auto& [id, group] : groups_) group->Look();
}

}  // namespace orrery::model
