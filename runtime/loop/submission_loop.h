// The submission loop: any thread's requests, carried out on one ring.
//
// A loop takes requests from its Port (port.h), submits them, and delivers each result to its
// Future. It runs on a thread of its own (loop_thread.h), which is nothing but
//
//     while (!loop.finished()) loop.OnEntered(loop.ring().Enter(loop.Turn()));
//
// or is driven by a simulation.
//
// Bounded liveness. At most `waiters_max` requests are under way; the others wait in the queue, in
// order, and submitters wait when that is full. So requests under way that can only end when ones
// behind them in the queue have been carried out (a receive that waits for what a queued send
// brings about) wait for ever, if they take up all places. They need deadlines: a deadline holds
// from the moment when the loop takes the request, and a place that it frees lets the queue move.
//
// The end. Once Shutdown() was called, or the last Submitter is gone, nothing is admitted any more,
// and what has been admitted is finished. What is not done within the first limit is cancelled;
// what the kernel has not let go within the second is leaked on purpose, with a line in the log.
// When Enter fails for good the loop ends at once. Either way every waiter is told, and no memory
// is freed that the kernel may still use.
//
// Thread: the one that creates it, for everything.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/loop/pending.h"
#include "runtime/loop/port.h"
#include "runtime/operations/operations.h"
#include "runtime/operations/wake_poll.h"
#include "runtime/ring/ring.h"

namespace orrery {

struct LoopOptions {
  // Of the SQ; rounded up to a power of two, four at least. Doubled with linked timeouts.
  unsigned entries = 256;
  // Requests under way. 0: as many as `entries`, which is also the most.
  uint32_t waiters_max = 0;
  // Deadlines are kept by the kernel, each by a second SQE, instead of by the loop.
  bool linked_timeouts = false;
  // After a turn that had something to do, so many turns only look before one may sleep: what comes
  // meanwhile is met awake. For a loop that has a processor for itself; on a shared one it only
  // keeps away who would submit.
  uint32_t spin_turns = 0;
  // IORING_SETUP_IOPOLL. Refused, with the reason.
  bool io_poll = false;
  // When the last submitter is gone.
  ShutdownLimits limits = {};
  // Lines for people: what was leaked, why the loop ended. Null: to stderr.
  std::function<void(std::string_view)> log = {};
};

class SubmissionLoop {
 public:
  // Makes the ring. `port` serves this loop alone. The error is a line for a person.
  static std::expected<std::unique_ptr<SubmissionLoop>, std::string> Create(
      Port& port, const LoopOptions& options);
  SubmissionLoop(const SubmissionLoop&) = delete;
  SubmissionLoop& operator=(const SubmissionLoop&) = delete;
  // REQUIRES: finished(), or never turned.
  ~SubmissionLoop();

  // --- For the driver.

  EnterRequest Turn();
  void OnEntered(const EnterResult& result);
  // Everybody has been told, and the kernel has nothing of ours but what was leaked.
  bool finished() const { return phase_ == Phase::kFinished; }

  Ring& ring() { return *ring_; }
  uint32_t waiters_max() const { return waiters_max_; }
  const OperationsCounters& counters() const { return operations_->counters(); }

 private:
  enum class Phase : uint8_t {
    kRunning,
    kFinishing,   // Nothing is admitted; what is there is carried out.
    kCancelling,  // What is there is cancelled.
    kEnding,      // Only the poll on the eventfd is left.
    kFinished,
  };

  SubmissionLoop(Port& port, const LoopOptions& options, std::unique_ptr<Ring> ring,
                 uint32_t waiters_max);

  void TakeAsked();
  void TakeRequests();
  // Announces the sleep, unless it is too early for one.
  [[nodiscard]] bool TrySleep();
  void BeginShutdown();
  void StepShutdown();
  // Nothing is under way, and nothing can come.
  bool Drained() const;
  // The queue's share of it stays.
  void CancelQueued(Pending& pending, Errno error = Errno(ECANCELED));
  // Tells everybody, and leaves to the kernel what it has.
  void Leak(std::string_view reason, Errno error);
  // Ends what is in the queue without carrying it out.
  void RefuseQueued(Errno error);
  void Log(std::string_view line);
  Nanoseconds NextDeadline() const;

  PortShare port_;
  LoopOptions options_;
  std::unique_ptr<Ring> ring_;
  uint32_t waiters_max_;
  std::unique_ptr<Operations> operations_;
  Pending::List active_;
  Pending::List ended_;
  Pending::Loop pending_loop_;
  WakePoll wake_;
  Phase phase_ = Phase::kRunning;
  // When the phase ends at the latest, of those that have a limit.
  Nanoseconds phase_ends_at_ = kNever;
  Nanoseconds cancel_limit_ = kNever;
  bool armed_ = false;
  bool worked_ = false;  // The turn had something to do.
  uint32_t spins_left_ = 0;
};

}  // namespace orrery
