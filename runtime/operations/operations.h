// The operations in flight on one ring, for code that is not the reactor: each is started from a
// prepared SQE, keeps what the kernel needs until its last CQE, and ends exactly once.
//
// It is driven, as the reactor is. Its owner (a submission loop, a scheduler of coroutines) turns:
//
//     EnterRequest Turn() {
//       operations.BeginTurn();        // Reaps: completions are delivered, deadlines expire.
//       ...                            // Runs what has become ready; starts and cancels
//       operations. return operations.EndTurn(work_is_left, deadline_of_its_own);
//     }
//     void OnEntered(const EnterResult& result) { if (!operations.OnEntered(result)) ... }
//
// What a program writes is a RingOperation: an object with an SQE in it, and with the memory that
// the kernel works on for it. Its address is known to the kernel's side of things, so it is neither
// copied nor moved, and it must live until it has ended. Nothing is allocated for an operation but
// a slot, and slots are reused.
//
// The end of an operation. Exactly one of these is called, once, from BeginTurn() or Lose(); never
// from within Start(), Cancel() or Abandon():
//   OnDone      the result: completed, timed out or cancelled.
//   OnReleased  the same of an operation that was abandoned: nobody wants to know, and the kernel
//               is through with its memory.
//   OnLost      the kernel may work on its memory for ever: the memory must never be freed.
//
// What the result is, when several things come together:
//   - Complete in time is success, also when the deadline passed or a cancel was on its way.
//   - Progress, and then the deadline, is a timeout; how far it came is the operation's to know.
//   - An explicit cancel is no timeout, and an ECANCELED that nobody here asked for is neither: it
//     is the operation's own error. Of a cancel and a deadline, the one that came first counts.
//
// A deadline holds from Start() on, also while the operation waits for its turn in the queue. Only
// `in_flight_max` operations are in flight; operations in flight that wait for ones that are still
// queued behind them wait for ever, unless they have deadlines.
//
// Invariants, checked where they are kept: an operation is in one state, and in the list of that
// state; a slot lives from the first SQE to the last CQE of its operation, and a CQE of a
// generation that is gone is counted and dropped; while anything could be submitted, EndTurn() asks
// Enter not to sleep. Thread: the ring's, for everything.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <expected>
#include <optional>

#include "base/check.h"
#include "base/errno.h"
#include "base/intrusive_list.h"
#include "base/slab.h"
#include "base/units.h"
#include "runtime/operations/timing_wheel.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {

enum class Outcome : uint8_t {
  kCompleted,  // The result is the kernel's: a value, or an error.
  kTimedOut,   // The deadline passed; the result is ETIME.
  kCancelled,  // Cancel() or Abandon() was called; the result is ECANCELED.
  kLost,       // Lose() was called. For those who pass OnLost() on; OnDone() never says it.
};

// How a deadline is kept.
enum class DeadlineBy : uint8_t {
  kWheel,          // Here: no cost to the kernel. The default.
  kLinkedTimeout,  // By a linked timeout in the kernel: a second SQE, always in the same batch.
};

class RingOperation : private Timer {
 public:
  RingOperation(const RingOperation&) = delete;
  RingOperation& operator=(const RingOperation&) = delete;

  // Between Start() or Sleep() and the call that says that it has ended.
  bool active() const { return state_ != State::kIdle; }

 protected:
  RingOperation() = default;
  // REQUIRES: !active().
  virtual ~RingOperation() { ORRERY_CHECK_MSG(!active(), "an operation died before it had ended"); }

  enum class Next : uint8_t { kDone, kAgain };

  // The SQE that Start() submits: prepared by liburing's helpers; its user data is set by
  // Operations. What it points at (buffers; msghdr, iovecs, addresses, timespecs) belongs to this
  // object, or outlives it. Flags that tie an SQE to others or hide its CQE are refused: IO_LINK,
  // IO_HARDLINK, IO_DRAIN, CQE_SKIP_SUCCESS. REQUIRES: !active(), or within OnTerminal().
  io_uring_sqe& sqe() { return sqe_; }

  // It was lost, but the kernel has nothing of it that it could write to: it may be destroyed, or
  // started again. REQUIRES: within OnLost().
  void SurviveLoss() {
    ORRERY_CHECK(state_ == State::kLost);
    state_ = State::kIdle;
  }

 private:
  friend class Operations;

  enum class State : uint8_t {
    kIdle,
    kQueued,    // For a slot and room in the SQ.
    kInFlight,  // Its SQE is in the SQ or with the kernel.
    kSleeping,  // Waits for its deadline alone.
    kEnding,    // Ended without the kernel; told in the next turn.
    kLost,      // Nobody may touch it any more.
  };
  // Why it ends early: the first that came.
  enum class Cause : uint8_t { kNone, kDeadline, kCancel };

  // A CQE with more to come: a multishot's, or the result of a zero-copy send. May start and cancel
  // operations.
  virtual void OnMore(const Completion&) {}
  // The last CQE of what was submitted. kAgain: there is more to do, and sqe() has been prepared
  // anew (the rest of a short write; a retry after EAGAIN or EINTR). It then keeps its slot and its
  // deadline and goes before those that are queued, unless it has been cancelled or has expired.
  // Starts and cancels nothing.
  virtual Next OnTerminal(const Completion&) { return Next::kDone; }
  // `result` is the terminal CQE's of kCompleted, ETIME or ECANCELED otherwise. May start and
  // cancel operations, this one included, and destroy this object; so may the next two.
  virtual void OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) = 0;
  virtual void OnReleased() {}
  virtual void OnLost() {}

  io_uring_sqe sqe_{};
  __kernel_timespec link_deadline_{};
  Nanoseconds deadline_ = kNever;
  ListLink link_;  // Of the list that its state names; in flight, of those to be cancelled.
  SlotHandle slot_;
  State state_ = State::kIdle;
  Cause cause_ = Cause::kNone;
  bool has_slot_ = false;
  bool reserved_ = false;
  bool abandoned_ = false;
  // Of a linked timeout: it is in the kernel as well, and it has said that it fired.
  DeadlineBy deadline_by_ = DeadlineBy::kWheel;
  bool timeout_pending_ = false;
  bool timeout_fired_ = false;
  // The last CQE of its own, once it is there.
  std::optional<Completion> terminal_;
};

struct OperationsOptions {
  // At most so many operations have an SQE in the SQ or with the kernel; the rest is queued. Above
  // the CQ's size completions could pass through the kernel's backlog, which is correct and slow.
  uint32_t in_flight_max = 1024;
  // Beyond those, for StartReserved(): operations, and as many entries of the SQ that no other
  // operation uses. REQUIRES: fewer than the ring's entries.
  uint32_t reserved = 0;
  // A cancel that did not find its target, or could not stop it, is repeated after so long while
  // the target is there.
  Nanoseconds cancel_again_after = 10 * kMillisecond;
};

// Counts since the start, for metrics and tests.
struct OperationsCounters {
  uint64_t turns = 0;
  uint64_t completions = 0;  // CQEs.
  uint64_t started = 0;
  uint64_t completed = 0;  // started = these four + active().
  uint64_t timed_out = 0;
  uint64_t cancelled = 0;
  uint64_t lost = 0;
  uint64_t cancels_sent = 0;
  uint64_t refused = 0;  // Turns that left operations queued for want of room in the SQ.
  uint64_t stale_completions = 0;
  uint64_t enter_retries = 0;  // EINTR, EAGAIN and EBUSY of Enter.
};

class Operations {
 public:
  // `ring` and `kernel` outlive it. REQUIRES: the ring has two entries at least.
  Operations(Ring& ring, Kernel& kernel, const OperationsOptions& options);
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  // REQUIRES: active() == 0. What was lost is not active.
  ~Operations();

  // --- For the driver.

  // The turn's clock; reaps; delivers what has ended; expires deadlines.
  void BeginTurn();
  // Submits what is queued, in order, as far as there is room. `must_not_sleep`: the caller has
  // work left. Enter returns at `deadline` at the latest. REQUIRES: BeginTurn() came before it.
  EnterRequest EndTurn(bool must_not_sleep, Nanoseconds deadline = kNever);
  // EINTR, EAGAIN, EBUSY and ETIME are back-pressure. Any other error: the ring is of no use any
  // more; the driver calls Lose() and ends.
  [[nodiscard]] std::expected<void, Errno> OnEntered(const EnterResult& result);

  // --- For operations.

  // The monotonic time of this turn.
  Nanoseconds now() const { return now_; }

  // Never refuses: there are as many operations as there are objects, and bounding those is the
  // caller's affair. `deadline`: absolute, monotonic. REQUIRES: !operation.active().
  void Start(RingOperation& operation, Nanoseconds deadline = kNever,
             DeadlineBy deadline_by = DeadlineBy::kWheel);
  // Before all others, with what `reserved` has set aside. REQUIRES: at most so many are active.
  void StartReserved(RingOperation& operation);
  // No SQE at all: completes with 0 at `time`, or is cancelled.
  void Sleep(RingOperation& operation, Nanoseconds time);

  // Asks for an early end: at once where the kernel does not have it, else by an async cancel,
  // which may lose its race. Whatever comes of it, the operation ends as usual. Nothing happens
  // when it was asked for before. REQUIRES: operation.active().
  void Cancel(RingOperation& operation);
  // The caller gives up the result, never the memory: the operation goes on, or is cancelled, and
  // ends with OnReleased(). Cancel where nothing is lost by it (receives, accepts, polls, reads);
  // let writes and syncs finish. REQUIRES: operation.active().
  void Abandon(RingOperation& operation, bool cancel);

  // Gives up: queued ones end as cancelled, those in flight by OnLost(). To be called when the ring
  // has failed, or when the kernel would not let go within the time that the owner allows. What is
  // started after it ends as cancelled; CQEs that come after it are stale. Calls the operations.
  void Lose();

  // Operations that have not ended.
  uint32_t active() const { return active_; }
  // Those of them that the kernel has, or that are in the SQ.
  uint32_t in_flight() const { return slots_.size(); }
  // Whether the ring owes nothing: no operation is in flight, and no cancel.
  bool idle() const { return slots_.size() == 0 && cancels_in_flight_ == 0; }
  const OperationsCounters& counters() const { return counters_; }

 private:
  using State = RingOperation::State;
  using Cause = RingOperation::Cause;
  using List = IntrusiveList<RingOperation, &RingOperation::link_>;

  struct Slot {
    Slot(SlotHandle slot_handle, RingOperation& owner) : handle(slot_handle), operation(owner) {}
    SlotHandle handle;
    RingOperation& operation;
  };

  void Reap();
  void Handle(const Completion& completion);
  void HandleCancel(const Completion& completion);
  void HandleTimeout(RingOperation& operation, const Completion& completion);
  // Its last CQE is there, and that of its linked timeout.
  void HandleTerminal(RingOperation& operation);
  void Expire(RingOperation& operation);
  void Stop(RingOperation& operation, Cause cause);
  // As its cause says.
  void EndEarly(RingOperation& operation);
  void DeliverEnding();
  // Takes the operation out of everything. It is idle then, and may be gone when this returns.
  void End(RingOperation& operation, Outcome outcome, const std::expected<uint32_t, Errno>& result);
  void TakeOut(RingOperation& operation);

  void Begin(RingOperation& operation, Nanoseconds deadline);
  void Queue(RingOperation& operation);
  // The list that its state names. REQUIRES: active.
  List& ListOf(const RingOperation& operation);
  // False: the SQ is full, as far as others may use it.
  [[nodiscard]] bool SubmitCancels();
  [[nodiscard]] bool SubmitAll(List& list);
  [[nodiscard]] bool Submit(RingOperation& operation);
  void SubmitLinkTimeout(RingOperation& operation);

  Ring& ring_;
  Kernel& kernel_;
  OperationsOptions options_;
  SubmissionQueue submission_;
  Slab<Slot> slots_;
  TimingWheel wheel_;
  // To be submitted, in this order: what was started as reserved, what goes on, and what begins.
  List reserved_;
  List continuing_;
  List queued_;
  List cancelling_;  // In flight, and a cancel is to be submitted.
  List sleeping_;
  List ending_;  // To be told in the next turn.
  uint32_t active_ = 0;
  uint32_t reserved_active_ = 0;
  uint32_t cancels_in_flight_ = 0;
  bool lost_ = false;
  Nanoseconds now_ = 0;
  OperationsCounters counters_;
};

}  // namespace orrery
