#include "runtime/operations/operations.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"

namespace orrery {
namespace {

// What an SQE may not carry: it would concern operations of others, or hide the CQE that ends it.
constexpr unsigned kRefusedFlags =
    IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN | IOSQE_CQE_SKIP_SUCCESS;

// CQEs reaped before their places are given back.
constexpr unsigned kReapBatch = 256;

std::expected<uint32_t, Errno> ResultOf(const Completion& completion) {
  if (completion.ok()) return completion.value();
  return std::unexpected(completion.error());
}

}  // namespace

Operations::Operations(Ring& ring, Kernel& kernel, const OperationsOptions& options)
    : ring_(ring),
      kernel_(kernel),
      options_(options),
      submission_(ring),
      slots_(options.in_flight_max + options.reserved) {
  ORRERY_CHECK(options.in_flight_max >= 1);
  // A linked timeout goes into the SQ together with its operation.
  ORRERY_CHECK(ring.memory().sq.ring_entries >= 2 + options.reserved);
  ORRERY_CHECK(slots_.slots_max() <= UserData::kIndexMax);
}

Operations::~Operations() {
  ORRERY_CHECK_MSG(active_ == 0, "operations are active, and nobody is left to end them");
}

// --- The turn

void Operations::BeginTurn() {
  ++counters_.turns;
  now_ = kernel_.MonotonicNow();
  // In this order: what was complete in time is a success.
  Reap();
  wheel_.Advance(now_, [this](Timer& timer) { Expire(static_cast<RingOperation&>(timer)); });
  DeliverEnding();
}

EnterRequest Operations::EndTurn(bool must_not_sleep, Nanoseconds deadline) {
  // One after the other: what is refused keeps its place before everything behind it.
  const bool all =
      SubmitAll(reserved_) && SubmitCancels() && SubmitAll(continuing_) && SubmitAll(queued_);
  if (!all) ++counters_.refused;
  return {.to_submit = submission_.Publish(),
          .min_complete = must_not_sleep || !all || !ending_.empty() ? 0U : 1U,
          .deadline = std::min(deadline, wheel_.NextAt())};
}

std::expected<void, Errno> Operations::OnEntered(const EnterResult& result) {
  if (result || result.error() == ETIME) return {};
  switch (result.error().value()) {
    case EINTR:
    case EAGAIN:
    case EBUSY:
      ++counters_.enter_retries;
      return {};
    default:
      return std::unexpected(result.error());
  }
}

// --- Completions in

void Operations::Reap() {
  io_uring* memory = &ring_.memory();
  // What is there now; what the operations cause comes with a later Enter.
  for (unsigned ready = io_uring_cq_ready(memory); ready > 0;) {
    const unsigned batch = std::min(ready, kReapBatch);
    unsigned count = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(memory, head, cqe) {
      if (count == batch) break;
      ++count;
      Handle(Completion(*cqe));
    }
    io_uring_cq_advance(memory, batch);
    counters_.completions += batch;
    ready -= batch;
  }
}

void Operations::Handle(const Completion& completion) {
  const UserData tag = completion.user_data();
  if (tag.operation == Operation::kOperationCancel) return HandleCancel(completion);
  ORRERY_CHECK_MSG(
      tag.operation == Operation::kOperation || tag.operation == Operation::kOperationTimeout,
      "user data that no operation of ours carries");
  Slot* slot = slots_.Find(tag.slot);
  if (slot == nullptr) {
    ++counters_.stale_completions;
    return;
  }
  RingOperation& operation = slot->operation;
  if (tag.operation == Operation::kOperationTimeout) return HandleTimeout(operation, completion);
  if (completion.more()) return operation.OnMore(completion);
  operation.terminal_ = completion;
  if (!operation.timeout_pending_) HandleTerminal(operation);
}

void Operations::HandleCancel(const Completion& completion) {
  if (lost_) return;
  --cancels_in_flight_;
  Slot* slot = slots_.Find(completion.user_data().slot);
  if (completion.ok() || slot == nullptr) return;
  // Usually the target has just ended, or a worker is about to end it. But one that a worker was
  // just starting may sleep now, and nobody would wake it.
  RingOperation& operation = slot->operation;
  if (!operation.running()) wheel_.Add(operation, now_ + options_.cancel_again_after);
}

void Operations::HandleTimeout(RingOperation& operation, const Completion& completion) {
  operation.timeout_pending_ = false;
  operation.timeout_fired_ = completion.failed_with(ETIME);
  if (operation.terminal_.has_value()) return HandleTerminal(operation);
  // EINVAL: Enter consumed the two SQEs in two calls, and a chain does not span calls (fact L6).
  // ENOENT, EALREADY: it fired, and could not stop the operation (facts Q3, Q5). Either way the
  // operation runs on without its timeout.
  const bool in_force = operation.timeout_fired_ || completion.failed_with(ECANCELED);
  if (!in_force && operation.cause_ == Cause::kNone) wheel_.Add(operation, operation.deadline_);
}

void Operations::HandleTerminal(RingOperation& operation) {
  const Completion completion = *operation.terminal_;
  operation.terminal_.reset();
  if (operation.timeout_fired_ && operation.cause_ == Cause::kNone) {
    operation.cause_ = Cause::kDeadline;
  }
  if (operation.link_.linked()) cancelling_.Remove(operation);  // Too late for that.
  const auto next = operation.OnTerminal(completion);
  if (next == RingOperation::Next::kAgain) {
    if (operation.cause_ != Cause::kNone) return EndEarly(operation);
    return Queue(operation);
  }
  // A worker that is interrupted by a cancel may say EINTR.
  const bool stopped = completion.failed_with(ECANCELED) || completion.failed_with(EINTR);
  if (stopped && operation.cause_ != Cause::kNone) return EndEarly(operation);
  End(operation, Outcome::kCompleted, ResultOf(completion));
}

// --- The end

void Operations::Expire(RingOperation& operation) {
  if (operation.state_ == State::kSleeping) return End(operation, Outcome::kCompleted, 0U);
  if (operation.cause_ == Cause::kNone) return Stop(operation, Cause::kDeadline);
  // It was to be cancelled before, and is still there.
  if (!operation.link_.linked()) cancelling_.PushBack(operation);
}

void Operations::Stop(RingOperation& operation, Cause cause) {
  ORRERY_CHECK(operation.active());
  if (operation.cause_ != Cause::kNone) return;
  operation.cause_ = cause;
  if (operation.running()) wheel_.Remove(operation);
  if (operation.state_ == State::kInFlight) {
    cancelling_.PushBack(operation);
    return;
  }
  TakeOut(operation);
  operation.state_ = State::kEnding;
  ending_.PushBack(operation);
}

void Operations::EndEarly(RingOperation& operation) {
  const bool expired = operation.cause_ == Cause::kDeadline;
  End(operation, expired ? Outcome::kTimedOut : Outcome::kCancelled,
      std::unexpected(Errno(expired ? ETIME : ECANCELED)));
}

void Operations::TakeOut(RingOperation& operation) {
  if (operation.running()) wheel_.Remove(operation);
  if (operation.link_.linked()) ListOf(operation).Remove(operation);
  if (operation.has_slot_) slots_.Release(operation.slot_);
  operation.has_slot_ = false;
}

void Operations::End(RingOperation& operation, Outcome outcome,
                     const std::expected<uint32_t, Errno>& result) {
  TakeOut(operation);
  operation.state_ = State::kIdle;
  --active_;
  if (operation.reserved_) --reserved_active_;
  switch (outcome) {
    case Outcome::kCompleted:
      ++counters_.completed;
      break;
    case Outcome::kTimedOut:
      ++counters_.timed_out;
      break;
    case Outcome::kCancelled:
      ++counters_.cancelled;
      break;
    case Outcome::kLost:
      CheckFailed(__FILE__, __LINE__, "outcome", "an operation that is lost does not end");
  }
  operation.abandoned_ ? operation.OnReleased() : operation.OnDone(outcome, result);
}

void Operations::Lose() {
  lost_ = true;
  cancels_in_flight_ = 0;
  slots_.ForEach([this](Slot& slot) {
    RingOperation& operation = slot.operation;
    if (operation.state_ != State::kInFlight) return;
    TakeOut(operation);
    operation.state_ = State::kLost;
    --active_;
    ++counters_.lost;
    operation.OnLost();
  });
  for (List* list : {&reserved_, &continuing_, &queued_, &sleeping_}) {
    while (RingOperation* operation = list->front()) Stop(*operation, Cause::kCancel);
  }
  DeliverEnding();
}

void Operations::DeliverEnding() {
  // Those that are there now; one that is started again and ends again waits for the next turn.
  for (size_t count = ending_.size(); count > 0 && !ending_.empty(); --count) {
    EndEarly(*ending_.front());
  }
}

// --- Operations out

void Operations::Begin(RingOperation& operation, Nanoseconds deadline) {
  ORRERY_CHECK_MSG(!operation.active(), "an operation is started twice");
  operation.deadline_ = deadline;
  operation.cause_ = Cause::kNone;
  operation.reserved_ = operation.abandoned_ = false;
  operation.timeout_pending_ = operation.timeout_fired_ = false;
  ++active_;
  ++counters_.started;
}

void Operations::Start(RingOperation& operation, Nanoseconds deadline, DeadlineBy deadline_by) {
  Begin(operation, deadline);
  operation.deadline_by_ = deadline_by;
  Queue(operation);
}

void Operations::StartReserved(RingOperation& operation) {
  ORRERY_CHECK_OP(reserved_active_, <, options_.reserved);
  Begin(operation, kNever);
  operation.reserved_ = true;
  ++reserved_active_;
  Queue(operation);
}

void Operations::Sleep(RingOperation& operation, Nanoseconds time) {
  Begin(operation, time);
  operation.state_ = State::kSleeping;
  sleeping_.PushBack(operation);
  if (time != kNever) wheel_.Add(operation, time);
  if (lost_) Stop(operation, Cause::kCancel);
}

void Operations::Queue(RingOperation& operation) {
  ORRERY_CHECK_MSG((operation.sqe_.flags & kRefusedFlags) == 0, "an SQE that concerns others");
  operation.state_ = State::kQueued;
  ListOf(operation).PushBack(operation);
  if (operation.deadline_ != kNever && !operation.running()) {
    wheel_.Add(operation, operation.deadline_);
  }
  if (lost_) Stop(operation, Cause::kCancel);
}

Operations::List& Operations::ListOf(const RingOperation& operation) {
  switch (operation.state_) {
    case State::kQueued:
      return operation.reserved_ ? reserved_ : operation.has_slot_ ? continuing_ : queued_;
    case State::kInFlight:
      return cancelling_;
    case State::kSleeping:
      return sleeping_;
    case State::kEnding:
      return ending_;
    case State::kIdle:
    case State::kLost:
      break;
  }
  CheckFailed(__FILE__, __LINE__, "operation.active()", "a list of one that is not active");
}

void Operations::Cancel(RingOperation& operation) { Stop(operation, Cause::kCancel); }

void Operations::Abandon(RingOperation& operation, bool cancel) {
  ORRERY_CHECK(operation.active());
  operation.abandoned_ = true;
  if (cancel) Stop(operation, Cause::kCancel);
}

bool Operations::SubmitCancels() {
  while (RingOperation* operation = cancelling_.front()) {
    if (submission_.space_left() <= options_.reserved) return false;
    const SlotHandle slot = operation->slot_;
    ORRERY_CHECK(submission_.Cancel({.operation = Operation::kOperation, .slot = slot},
                                    {.operation = Operation::kOperationCancel, .slot = slot}));
    cancelling_.Remove(*operation);
    ++cancels_in_flight_;
    ++counters_.cancels_sent;
  }
  return true;
}

bool Operations::SubmitAll(List& list) {
  while (RingOperation* operation = list.front()) {
    const bool may_have_slot = operation->has_slot_ || operation->reserved_ ||
                               slots_.size() < options_.in_flight_max + reserved_active_;
    // Room in the SQ does not help it: a completion must come first.
    if (!may_have_slot) return true;
    if (!Submit(*operation)) return false;
  }
  return true;
}

bool Operations::Submit(RingOperation& operation) {
  const bool linked =
      operation.deadline_by_ == DeadlineBy::kLinkedTimeout && operation.deadline_ != kNever;
  // Both of a linked pair, or none.
  const unsigned wanted = linked ? 2 : 1;
  if (submission_.space_left() < wanted + (operation.reserved_ ? 0 : options_.reserved)) {
    return false;
  }
  ListOf(operation).Remove(operation);
  if (!operation.has_slot_) {
    Slot* slot = slots_.Allocate(operation);
    ORRERY_CHECK(slot != nullptr);
    operation.slot_ = slot->handle;
    operation.has_slot_ = true;
  }
  operation.state_ = State::kInFlight;
  io_uring_sqe sqe = operation.sqe_;
  if (linked) sqe.flags |= IOSQE_IO_LINK;
  ORRERY_CHECK(
      submission_.Push(sqe, {.operation = Operation::kOperation, .slot = operation.slot_}));
  if (linked) SubmitLinkTimeout(operation);
  return true;
}

void Operations::SubmitLinkTimeout(RingOperation& operation) {
  if (operation.running()) wheel_.Remove(operation);
  operation.link_deadline_ = {.tv_sec = operation.deadline_ / kSecond,
                              .tv_nsec = operation.deadline_ % kSecond};
  operation.timeout_pending_ = true;
  operation.timeout_fired_ = false;
  io_uring_sqe sqe{};
  io_uring_prep_link_timeout(&sqe, &operation.link_deadline_, IORING_TIMEOUT_ABS);
  ORRERY_CHECK(
      submission_.Push(sqe, {.operation = Operation::kOperationTimeout, .slot = operation.slot_}));
}

}  // namespace orrery
