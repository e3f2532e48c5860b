// Entering a ring: the two halves of io_uring_enter(2), and what happens between them.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {

namespace {

// Not in the headers of liburing 2.3.
constexpr unsigned kEnterAbsoluteTimer = 1U << 5;
constexpr unsigned kEnterArgumentRegistered = 1U << 6;
constexpr unsigned kEnterNoIoWait = 1U << 7;

// Their meaning changes nothing that the model shows.
constexpr unsigned kEnterWithoutEffect =
    IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | kEnterNoIoWait;
constexpr unsigned kEnterNotModelled = IORING_ENTER_REGISTERED_RING | kEnterArgumentRegistered;
constexpr unsigned kEnterFlags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
                                 kEnterAbsoluteTimer | kEnterWithoutEffect | kEnterNotModelled;

constexpr size_t kSignalSetBytes = 8;  // The kernel's sigset_t.

void ReadSignalMask(uint64_t address, size_t bytes, WaitMode* mode) {
  if (address == 0) return;
  if (bytes != kSignalSetBytes) {
    mode->argument_error = EINVAL;
    return;
  }
  uint64_t blocked = 0;
  std::memcpy(&blocked, reinterpret_cast<const void*>(address), sizeof blocked);
  if (blocked != 0 && blocked != ~uint64_t{0}) StopUnknown("a mask of some signals:", blocked);
  mode->blocks_signals = blocked != 0;
}

// As io_get_ext_arg().
void ReadArgument(const EnterCall& call, Nanoseconds now, EnterRequest* request, WaitMode* mode) {
  if ((call.flags & IORING_ENTER_EXT_ARG) == 0) {
    ReadSignalMask(reinterpret_cast<uint64_t>(call.argument), call.argument_bytes, mode);
    return;
  }
  io_uring_getevents_arg argument;
  if (call.argument_bytes != sizeof argument) {  // Fact W4.
    mode->argument_error = EINVAL;
    return;
  }
  if (call.argument == nullptr) {
    mode->argument_error = EFAULT;
    return;
  }
  std::memcpy(&argument, call.argument, sizeof argument);
  request->min_wait_us = argument.pad;  // Where newer headers have it.
  ReadSignalMask(argument.sigmask, argument.sigmask_sz, mode);
  if (argument.ts == 0) return;
  __kernel_timespec time;
  std::memcpy(&time, reinterpret_cast<const void*>(argument.ts), sizeof time);
  const bool absolute = (call.flags & kEnterAbsoluteTimer) != 0;
  request->deadline = AddTime(absolute ? 0 : now, DurationOf(time.tv_sec, time.tv_nsec));
}

}  // namespace

std::optional<EnterResult> RingCore::Begin(const EnterCall& call) {
  if ((call.flags & ~kEnterFlags) != 0) return std::unexpected(Errno(EINVAL));  // Fact U10.
  if ((call.flags & kEnterNotModelled) != 0) {
    StopUnknown("flags of Enter", call.flags & kEnterNotModelled);
  }
  EnterRequest request{.to_submit = call.to_submit, .min_complete = call.min_complete};
  WaitMode mode{.wants_events = (call.flags & IORING_ENTER_GETEVENTS) != 0};
  if (mode.wants_events) ReadArgument(call, machine.now, &request, &mode);
  return Begin(request, mode);
}

std::optional<EnterResult> RingCore::Begin(const EnterRequest& request, const WaitMode& mode) {
  ORRERY_CHECK_MSG(!sleeping_, "a thread that sleeps in Enter cannot enter again");
  machine.Emit(EventKind::kEnter, number, request.to_submit, request.min_complete);
  if (completions.ready() > completions.entries()) {
    machine.Violate("completion-queue-head",
                    "ring " + std::to_string(number) + ": the CQ's head passed its tail");
  }
  LookAtBuffers();
  machine.BeginEnter();
  if (!deferred_) RunAllTaskWork();  // Fact V5: what was pending comes first.

  if (disabled_) return Return(std::unexpected(Errno(EBADFD)));  // Fact S6.
  if (request.to_submit > 0 && !is_issuer()) {                   // Fact S7.
    return Return(std::unexpected(Errno(EEXIST)));
  }
  if (const std::optional<Errno> refusal = Refusal(request)) {
    return Return(std::unexpected(*refusal));
  }
  submitted_ = Submit(request.to_submit);
  // Fact U3: consumed fewer than asked for, so the waiting half is skipped as a whole.
  if (submitted_ != request.to_submit || !mode.wants_events) return Return(submitted_);
  if (deferred_ && !is_issuer()) return Return(std::unexpected(Errno(EEXIST)));  // Fact S8.

  if (deferred_) {
    // io_uring_enter() runs task work once after it submitted, and io_cqring_wait() again.
    const unsigned batch = std::max(kTaskWorkBatch, request.min_complete);
    if (request.to_submit > 0) RunTaskWork(request.min_complete, batch, /*again=*/true);
    if (mode.argument_error == 0) {
      RunTaskWork(request.min_complete, batch);
      machine.CloseFiles();
    }
  } else {
    machine.CloseFiles();
    RunAllTaskWork();
  }
  if (mode.argument_error != 0) {  // Fact W4.
    if (submitted_ > 0) return Return(submitted_);
    return Return(std::unexpected(Errno(mode.argument_error)));
  }
  FlushBacklog();
  const unsigned wanted = std::min(request.min_complete, completions.entries());  // Fact O4.
  if (completions.ready() >= wanted) return Return(submitted_);

  sleeping_ = true;
  slept_ = satisfied_ = false;
  forced_ = task_work_pending();  // A thread with work left does not go to sleep.
  wait_tail_ = completions.head() + wanted;
  wait_error_ = 0;
  timeouts_at_wait_ = timeouts_fired_;
  deadline_ = request.deadline;
  interrupt_at_ = min_wait_at_ = kNever;
  any_will_do_ = false;
  if (request.min_wait_us > 0) min_wait_at_ = machine.now + request.min_wait_us * kMicrosecond;
  machine.EndEnter();
  if (CanFinish()) return Finish();
  slept_ = true;
  if (!mode.blocks_signals) interrupt_at_ = machine.ChooseInterrupt(number);
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
      FlushBacklog();
      return Errno(EBUSY);
    }
  }
  refusals_in_a_row_ = 0;
  return std::nullopt;
}

EnterResult RingCore::Return(EnterResult result) {
  machine.EndEnter();
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

bool RingCore::MinimumWaitEnds() {
  // As io_cqring_min_timer_wakeup(), fact W7.
  if (machine.now < min_wait_at_) return false;
  min_wait_at_ = kNever;
  if (deadline_ == kNever || task_work_pending() || completions.ready() > 0) return true;
  any_will_do_ = true;
  return false;
}

bool RingCore::CanFinish() {
  ORRERY_CHECK(sleeping_);
  // The loop of io_cqring_wait(): each turn is one wake-up. Work that is left over from a turn is
  // run before the thread sleeps again.
  bool awake = task_work_pending() && (forced_ || !deferred_);
  bool asleep = slept_;
  while (!satisfied_) {
    // Messages may have brought more than were waited for.
    const unsigned missing =
        static_cast<unsigned>(std::max(0, static_cast<int>(wait_tail_ - completions.tail())));
    const bool enough = retry_.size() + fresh_.size() >= (any_will_do_ ? 1 : missing);
    if (asleep && (awake || enough) && machine.bystander != nullptr) {
      machine.bystander->BeforeWakingUp(number);
    }
    asleep = false;
    const bool expired = MinimumWaitEnds() || machine.now >= deadline_;
    const bool interrupted = machine.now >= interrupt_at_;
    if (!awake && !enough && !expired && !interrupted) return false;
    forced_ = false;
    machine.BeginEnter();
    if (deferred_) {
      RunTaskWork(missing, missing);  // Fact V7b.
    } else {
      RunAllTaskWork();
    }
    machine.EndEnter();
    if (expired || interrupted) {
      wait_error_ = interrupted ? EINTR : ETIME;
      satisfied_ = true;
      break;
    }
    FlushBacklog();
    satisfied_ = ShouldWake() || any_will_do_;
    awake = task_work_pending();
  }
  return true;
}

EnterResult RingCore::Finish() {
  ORRERY_CHECK_MSG(CanFinish(), "Finish() before there is a reason to wake up");
  sleeping_ = false;
  deadline_ = interrupt_at_ = min_wait_at_ = kNever;
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
