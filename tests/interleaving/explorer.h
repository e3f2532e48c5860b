// Runs every interleaving of a few short threads, their processors' store buffers included.
//
// Each thread is a fiber that stops before every access to an atomic of TracedAtomics. The explorer
// then decides who goes on: one of the threads, or the store buffer of one of them, whose oldest
// store becomes visible to the others. It counts through all decisions, depth first. So what it
// shows holds for processors that keep stores in order and delay them (x86, TSO): a thread reads
// its own stores at once, and every read-modify-write and every sequentially consistent store
// empties its buffer first.
//
// Of runs that differ only in the order of accesses which do not concern each other (to different
// atomics, or reads) one is run: all others end the same (sleep sets: P. Godefroid, 1996).
//
// A run must be a function of the decisions. One thread, and one explorer at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel_model/program/fiber.h"

namespace orrery::interleaving {

class Explorer {
 public:
  // What the threads of a run do, from a fresh state that `prepare` makes.
  struct Case {
    std::function<void()> prepare;
    std::vector<std::function<void()>> threads;
    // After a run that came to its end: what is wrong, or empty.
    std::function<std::string()> verdict;
  };
  struct Result {
    uint64_t runs = 0;      // Different ones.
    uint64_t repeated = 0;  // Given up, once it was clear that each is like one of those.
    bool complete = false;  // There is no other run.
    uint64_t steps_max = 0;
    std::string problem;    // Of the first run that went wrong; empty when none did.
    std::string decisions;  // That run.
  };

  // Stops at the first problem: a verdict, or a deadlock.
  static Result Run(const Case& threads, uint64_t runs_max);

  // --- For what the threads call.

  // Suspends before an access to `cell`: others may go first. One that drains shows the thread's
  // delayed stores as well.
  enum class Access : uint8_t { kRead, kWrite, kDrainingWrite, kOwn };
  static void Step(const void* cell, Access access);
  // Waits until `ready`, which reads `cell` alone, and then changes it.
  static void BlockUntil(const void* cell, const std::function<bool()>& ready);
  // A store of the running thread that becomes visible later; and all of its stores, now.
  static void Delay(const void* cell, std::function<void()> store);
  static void Drain();
  // Whether the running thread has delayed stores to `cell`.
  static bool HasDelayed(const void* cell);

 private:
  struct Thread;
  struct State;
  static State* state_;
};

// An atomic whose every access is a step.
template <typename T>
class TracedAtomic {
 public:
  TracedAtomic() = default;
  explicit TracedAtomic(T value) : visible_(value), own_(value) {}

  T load(std::memory_order = std::memory_order_seq_cst) const {
    Explorer::Step(this, Explorer::Access::kRead);
    return Explorer::HasDelayed(this) ? own_ : visible_;
  }
  void store(T value, std::memory_order order = std::memory_order_seq_cst) {
    const bool drains = order == std::memory_order_seq_cst;
    Explorer::Step(this, drains ? Explorer::Access::kDrainingWrite : Explorer::Access::kOwn);
    own_ = value;
    Explorer::Delay(this, [this, value] { visible_ = value; });
    if (drains) Explorer::Drain();
  }
  T exchange(T value, std::memory_order = std::memory_order_seq_cst) {
    return Modify([value](T) { return value; });
  }
  T fetch_add(T value, std::memory_order = std::memory_order_seq_cst) {
    return Modify([value](T old) { return static_cast<T>(old + value); });
  }
  T fetch_or(T value, std::memory_order = std::memory_order_seq_cst) {
    return Modify([value](T old) { return static_cast<T>(old | value); });
  }
  T fetch_and(T value, std::memory_order = std::memory_order_seq_cst) {
    return Modify([value](T old) { return static_cast<T>(old & value); });
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order) {
    const T wanted = expected;
    expected = Modify([&](T old) { return old == wanted ? desired : old; });
    return expected == wanted;
  }
  // Never fails for no reason: x86 does not.
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) {
    return compare_exchange_strong(expected, desired, success, failure);
  }

  // For Explorer::BlockUntil(), verdicts and preparation.
  T visible() const { return visible_; }

 private:
  template <typename Change>
  T Modify(Change change) {
    Explorer::Step(this, Explorer::Access::kDrainingWrite);
    Explorer::Drain();
    const T old = visible_;
    visible_ = change(old);
    return old;
  }

  T visible_{};
  // The last store of the thread that has delayed one. (No two threads store to one atomic here
  // without a read-modify-write.)
  T own_{};
};

struct TracedAtomics {
  template <typename T>
  using Atomic = TracedAtomic<T>;
};

}  // namespace orrery::interleaving
