#include "runtime/loop/submission_loop.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/mark.h"

namespace orrery {
namespace {

constexpr unsigned kEntriesMin = 4;

Nanoseconds After(Nanoseconds now, Nanoseconds delay) {
  return delay >= kNever - now ? kNever : now + delay;
}

}  // namespace

std::expected<std::unique_ptr<SubmissionLoop>, std::string> SubmissionLoop::Create(
    Port& port, const LoopOptions& options) {
  if (options.io_poll) {
    return std::unexpected(
        "io_poll: a busy-polled ring completes only what a device is polled for; the poll on the "
        "eventfd, by which other threads wake the loop, is refused there. Use a ring without it.");
  }
  const unsigned entries = std::bit_ceil(std::max(options.entries, kEntriesMin));
  const uint32_t waiters_max = options.waiters_max == 0 ? entries : options.waiters_max;
  ORRERY_CHECK(waiters_max <= entries);
  const unsigned sq_entries = options.linked_timeouts ? 2 * entries : entries;
  // Room for the CQEs of all that may be in flight, their timeouts and their cancels.
  auto ring = port.kernel().MakeRing({.sq_entries = sq_entries, .cq_entries = 4 * entries});
  if (!ring) return std::unexpected(ring.error());
  return std::unique_ptr<SubmissionLoop>(
      new SubmissionLoop(port, options, std::move(*ring), waiters_max));
}

SubmissionLoop::SubmissionLoop(Port& port, const LoopOptions& options, std::unique_ptr<Ring> ring,
                               uint32_t waiters_max)
    : port_(port),
      options_(options),
      ring_(std::move(ring)),
      waiters_max_(waiters_max),
      operations_(std::make_unique<Operations>(
          *ring_, port.kernel(), OperationsOptions{.in_flight_max = waiters_max, .reserved = 1})),
      pending_loop_{
          .operations = *operations_,
          .deadline_by = options.linked_timeouts ? DeadlineBy::kLinkedTimeout : DeadlineBy::kWheel,
          .active = active_,
          .ended = ended_,
          .counters = port.counters_},
      wake_(*operations_, port.eventfd_) {}

SubmissionLoop::~SubmissionLoop() {
  ORRERY_CHECK_MSG(active_.empty(), "a loop died while requests were under way");
  if (!finished()) {
    port_->queue_.Close();
    RefuseQueued(Errno(ECANCELED));
  }
}

// --- The turn

EnterRequest SubmissionLoop::Turn() {
  ORRERY_CHECK(!finished());
  if (std::exchange(armed_, false)) port_->waker_.Disarm();
  const uint64_t completions_before = operations_->counters().completions;
  operations_->BeginTurn();
  worked_ = operations_->counters().completions != completions_before || !ended_.empty();
  Pending::TellAll(pending_loop_);
  // Before taking what there is, so that TryArm() notices what comes later.
  const bool connected = port_->waker_.Look();
  TakeAsked();
  if (phase_ == Phase::kRunning && !connected) BeginShutdown();
  if (port_->shutdown_requested_.load(std::memory_order_acquire)) BeginShutdown();
  TakeRequests();
  if (phase_ < Phase::kEnding) wake_.Arm();
  StepShutdown();
  // What has ended without the kernel.
  Pending::TellAll(pending_loop_);
  EnterRequest request = operations_->EndTurn(finished(), NextDeadline());
  if (request.min_complete > 0 && !TrySleep()) request.min_complete = 0;
  return request;
}

bool SubmissionLoop::TrySleep() {
  if (worked_) spins_left_ = options_.spin_turns;
  if (spins_left_ > 0) {
    // Entering without waiting, and not watching the CQ: late completions appear in Enter only
    // (fact V3).
    --spins_left_;
    return false;
  }
  armed_ = port_->waker_.TryArm();
  return armed_;
}

void SubmissionLoop::OnEntered(const EnterResult& result) {
  if (finished()) return;
  const auto checked = operations_->OnEntered(result);
  if (!checked) Leak("io_uring_enter failed for good", checked.error());
}

bool SubmissionLoop::Drained() const { return active_.empty() && port_->queue_.drained(); }

Nanoseconds SubmissionLoop::NextDeadline() const {
  return std::min(phase_ends_at_, phase_ < Phase::kEnding ? wake_.retry_at() : kNever);
}

void SubmissionLoop::Log(std::string_view line) {
  if (options_.log) return options_.log(line);
  (void)std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()),
                     line.data());  // The last resort.
}

// --- What the callers want

void SubmissionLoop::TakeAsked() {
  for (Pending* pending = port_->TakeAsked(); pending != nullptr;) {
    worked_ = true;
    Pending* const next = pending->next_asked;
    // From here on it may be listed again.
    const uint32_t asks = pending->asks.fetch_and(~Pending::kListed, std::memory_order_acq_rel);
    const bool cancel = (asks & Pending::kCancel) != 0;
    const bool given_up = (asks & Pending::kGiveUp) != 0;
    if (!pending->taken() && !pending->ready()) {
      // It is still in the queue, and is dropped when it comes out.
      ORRERY_MARK_IF(given_up, "loop.given-up-in-the-queue");
      ORRERY_MARK_IF(cancel, "loop.cancelled-in-the-queue");
      if (cancel || pending->request().cancel_if_given_up) CancelQueued(*pending);
    } else if (pending->active()) {
      ORRERY_MARK_IF(given_up, "loop.given-up-under-way");
      if (cancel) operations_->Cancel(*pending);
      if (given_up) pending->GiveUp();
    }
    pending->Drop();
    pending = next;
  }
}

void SubmissionLoop::CancelQueued(Pending& pending, Errno error) {
  const bool given_up = (pending.asks.load(std::memory_order_acquire) & Pending::kGiveUp) != 0;
  pending.EndAs(Outcome::kCancelled, error);
  LoopCounters& counters = port_->counters_;
  (given_up ? counters.given_up : counters.cancelled).fetch_add(1, std::memory_order_relaxed);
}

void SubmissionLoop::TakeRequests() {
  bool taken = false;
  while (phase_ >= Phase::kCancelling || active_.size() < waiters_max_) {
    Pending* const pending = port_->TryPop();
    if (pending == nullptr) break;
    taken = true;
    if (pending->ready()) {
      pending->Drop();
    } else if (phase_ >= Phase::kCancelling) {
      ORRERY_MARK("loop.queued-at-the-cancelling");
      CancelQueued(*pending);
      pending->Drop();
    } else {
      const bool given_up = (pending->asks.load(std::memory_order_acquire) & Pending::kGiveUp) != 0;
      const bool under_way = pending->Start(pending_loop_);
      if (under_way && given_up) pending->GiveUp();
    }
  }
  ORRERY_MARK_IF(active_.size() == waiters_max_, "loop.all-waiters-taken");
  if (!taken) return;
  worked_ = true;
  port_->AnnounceRoom();
}

// --- The end

void SubmissionLoop::BeginShutdown() {
  ShutdownLimits limits = options_.limits;
  if (port_->shutdown_requested_.exchange(false, std::memory_order_acquire)) {
    limits.finish = port_->finish_limit_.load(std::memory_order_relaxed);
    limits.cancel = port_->cancel_limit_.load(std::memory_order_relaxed);
  }
  cancel_limit_ = limits.cancel;
  if (phase_ == Phase::kCancelling) phase_ends_at_ = After(operations_->now(), limits.cancel);
  if (phase_ > Phase::kFinishing) return;
  phase_ = Phase::kFinishing;
  phase_ends_at_ = After(operations_->now(), limits.finish);
  port_->queue_.Close();
  port_->AnnounceRoom();  // Nobody waits for room that will not come.
}

void SubmissionLoop::StepShutdown() {
  const bool limited = phase_ == Phase::kFinishing || phase_ == Phase::kCancelling;
  if (limited && !Drained() && phase_ends_at_ <= operations_->now()) {
    if (phase_ == Phase::kCancelling) {
      return Leak("the kernel did not let go of them in time", Errno(ETIME));
    }
    ORRERY_MARK("loop.finish-limit");
    phase_ = Phase::kCancelling;
    phase_ends_at_ = After(operations_->now(), cancel_limit_);
    for (Pending* each = active_.front(); each != nullptr; each = active_.Next(*each)) {
      operations_->Cancel(*each);
    }
    TakeRequests();
  }
  if (limited && Drained()) {
    phase_ = Phase::kEnding;
    phase_ends_at_ = kNever;
    if (wake_.active()) operations_->Cancel(wake_);
  }
  if (phase_ == Phase::kEnding && !wake_.active() && operations_->idle()) {
    phase_ = Phase::kFinished;
  }
}

void SubmissionLoop::Leak(std::string_view reason, Errno error) {
  std::map<std::string_view, int> kinds;
  for (Pending* pending = active_.front(); pending != nullptr; pending = active_.Next(*pending)) {
    pending->set_lost_error(error);
    ++kinds[NameOf(pending->request().kind)];
  }
  operations_->Lose();
  Pending::TellAll(pending_loop_);
  port_->queue_.Close();
  port_->AnnounceRoom();
  RefuseQueued(error);
  phase_ = Phase::kFinished;
  std::string line = "submission loop: ";
  line.append(reason).append(" (").append(error.ToString()).append("); memory left to the kernel:");
  for (const auto& [kind, count] : kinds) {
    line.append(" ").append(std::to_string(count)).append(" ").append(kind);
  }
  if (kinds.empty()) line.append(" none");
  Log(line);
}

void SubmissionLoop::RefuseQueued(Errno error) {
  while (!port_->queue_.drained()) {
    Pending* const pending = port_->TryPop();
    if (pending == nullptr) continue;  // Its push is on its last instruction.
    if (!pending->ready()) CancelQueued(*pending, error);
    pending->Drop();
  }
}

}  // namespace orrery
