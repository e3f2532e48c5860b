// How other threads reach a submission loop: Submitters put requests in, Futures bring results.
//
// Both, and the loop itself, share a Port: the bounded queue, the waker, and the eventfd that is
// rung. It lives as long as any of them, so a ring never meets a descriptor that was closed. When
// the last Submitter is gone, the loop finishes what it has and ends; after its end every request
// is answered at once, as cancelled.
//
// A Submitter, and a Future, is used by one thread at a time; copies of a Submitter by others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/bounded_queue.h"
#include "runtime/loop/request.h"
#include "runtime/metrics.h"
#include "runtime/ring/kernel.h"
#include "runtime/waker.h"

namespace orrery {

class Pending;

// How a loop is to end: what is in flight has this long to finish; then it is cancelled, and has
// that long to come back. What is still there then is leaked on purpose: its memory is the kernel's
// for ever. Nothing of a finished request is ever waited for.
struct ShutdownLimits {
  Nanoseconds finish = kNever;
  Nanoseconds cancel = kNever;
};

// What the loop counts, readable on any thread. A request that has been taken ends as one of the
// five below `pending`; one that is still in the queue may end as cancelled, or given up, too.
struct LoopCounters {
  std::atomic<uint64_t> pending{0};  // Taken from the queue, and not ended.
  std::atomic<uint64_t> completed{0};
  std::atomic<uint64_t> timed_out{0};
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint64_t> given_up{0};  // Nobody wanted the result, whatever it was.
  std::atomic<uint64_t> leaked{0};
  std::atomic<uint64_t> wakes_rung{0};
  std::atomic<uint64_t> callers_woken{0};  // Of those that were blocked in Future::Wait().
};

class Port;

// A share of a Port: it lives as long as any. Copies may be used by different threads.
class PortShare {
 public:
  PortShare() = default;
  explicit PortShare(Port& port);
  PortShare(const PortShare& other);
  PortShare(PortShare&& other) noexcept : port_(std::exchange(other.port_, nullptr)) {}
  PortShare& operator=(PortShare other) noexcept {
    std::swap(port_, other.port_);
    return *this;
  }
  ~PortShare();

  explicit operator bool() const { return port_ != nullptr; }
  Port& operator*() const { return *port_; }
  Port* operator->() const { return port_; }

 private:
  Port* port_ = nullptr;
};

class Port {
 public:
  // `kernel` outlives it, and serves all threads that use it. The error is one of MakeEventFd().
  static std::expected<PortShare, Errno> Make(Kernel& kernel, size_t queue_capacity);
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  Kernel& kernel() { return kernel_; }
  const LoopCounters& counters() const { return counters_; }
  size_t queue_capacity() const { return queue_.capacity(); }
  // Requests that wait for the loop to take them; about so many while others submit.
  uint64_t queued() const;
  // Publications that needed no ring.
  uint64_t wakes_saved() const;
  // Adds what there is to know under names that begin with "orrery_loop_". The port must outlive
  // the registry's last use.
  void Register(Metrics& metrics) const;

 private:
  friend class Future;
  friend class PortShare;
  friend class SubmissionLoop;
  friend class Submitter;

  Port(Kernel& kernel, int eventfd, size_t queue_capacity);
  ~Port();

  // --- For submitters and futures.
  void AddSubmitter() { submitters_.fetch_add(1, std::memory_order_relaxed); }
  void DropSubmitter();
  // Published() must follow, before the thread blocks.
  Pushed TryPush(Pending& pending) { return queue_.TryPush(&pending); }
  // Until there may be room, as of `epoch`.
  uint32_t room_epoch() const { return room_epoch_.load(std::memory_order_acquire); }
  void AwaitRoom(uint32_t epoch) const { room_epoch_.wait(epoch, std::memory_order_acquire); }
  // Hands `pending` to the loop with something asked of it.
  void Ask(Pending& pending, uint32_t what);
  void RequestShutdown(const ShutdownLimits& limits);
  void Published();

  // --- For the loop.
  Pending* TryPop();
  Pending* TakeAsked() { return asked_.exchange(nullptr, std::memory_order_acquire); }
  void AnnounceRoom();

  Kernel& kernel_;
  const int eventfd_;
  BoundedQueue<Pending*> queue_;
  Waker waker_;
  std::atomic<Pending*> asked_{nullptr};
  std::atomic<uint32_t> room_epoch_{0};
  std::atomic<uint32_t> submitters_{0};
  std::atomic<uint32_t> shares_{0};
  // Once requested, kNever included.
  std::atomic<bool> shutdown_requested_{false};
  std::atomic<Nanoseconds> finish_limit_{kNever};
  std::atomic<Nanoseconds> cancel_limit_{kNever};
  std::atomic<uint64_t> popped_{0};
  LoopCounters counters_;
};

// The result of a request that is under way. Dropping it gives the result up: the request is
// cancelled where nothing is lost by that, and left to finish where something could be; its memory
// goes when the kernel is through with it.
class Future {
 public:
  Future() = default;
  Future(Future&& other) noexcept
      : port_(std::move(other.port_)), pending_(std::exchange(other.pending_, nullptr)) {}
  Future& operator=(Future&& other) noexcept {
    std::swap(port_, other.port_);
    std::swap(pending_, other.pending_);
    return *this;
  }
  ~Future();

  // Whether there is a result to come, or to take.
  bool valid() const { return pending_ != nullptr; }
  // REQUIRES of all below: valid().
  bool ready() const;
  // Blocks the thread. It is no part of a simulation.
  void Wait() const;
  // Once. REQUIRES: ready().
  Result Take();
  // Asks for an early end. The result still comes: cancelled, unless something else was faster.
  void Cancel();

 private:
  friend class Submitter;
  Future(const PortShare& port, Pending& pending) : port_(port), pending_(&pending) {}

  PortShare port_;
  Pending* pending_ = nullptr;
};

class Submitter {
 public:
  Submitter() = default;
  // Of the loop that serves this port. Not after the last one has gone: then the loop ends.
  explicit Submitter(Port& port);
  Submitter(const Submitter& other);
  Submitter(Submitter&& other) noexcept = default;
  Submitter& operator=(Submitter other) noexcept {
    std::swap(port_, other.port_);
    return *this;
  }
  ~Submitter();

  explicit operator bool() const { return static_cast<bool>(port_); }
  Port& port() { return *port_; }
  // For deadlines.
  Nanoseconds now() { return port_->kernel().MonotonicNow(); }

  // Waits, blocking the thread, while the queue is full. It is no part of a simulation.
  Future Submit(Request request);
  // All of them, in order, with one ring of the loop at most, unless the queue becomes full: then
  // it waits, as Submit() does. The requests are taken over.
  std::vector<Future> SubmitAll(std::span<Request> requests);
  // Nothing, and `request` is as it was: the queue is full.
  std::optional<Future> TrySubmit(Request& request);

  // No request is admitted any more, from anybody; what has been is finished within the limits. May
  // be called again: the limits of what it is at then count anew, from then on.
  void Shutdown(const ShutdownLimits& limits) { port_->RequestShutdown(limits); }

 private:
  // Set `untold` when there is something in the queue of which the loop has to be told.
  std::optional<Future> TryEnqueue(Request& request, bool& untold);
  Future Enqueue(Request& request, bool& untold);

  PortShare port_;
};

}  // namespace orrery
