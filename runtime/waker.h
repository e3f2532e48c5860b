// Ends the sleep of a thread that waits for its ring, when work comes through memory: without a
// system call while the thread is awake, and without a lost wake-up.
//
// One word: a sequence that counts what was published, and whether the thread intends to sleep.
// Both sides change it by read-modify-write only, so there is one order of all changes, and no
// fence to forget:
//
//   who publishes      puts the work where the sleeper looks; Publish(); rings if told to
//   who sleeps         Look(); takes what there is; TryArm(), which fails when anything was
//                      published since Look(); blocks; Disarm()
//
// Either the publisher's change comes before the sleeper's, and TryArm() fails, or it comes after,
// and Publish() sees the intent. Of several that see it one rings, once a sleep. (Two separate
// words, or a load and a store, need a full fence between "I sleep" and "look once more", on both
// sides; forgetting it loses wake-ups on real hardware only.)
//
// How to ring is the caller's: Kernel::SignalEventFd(), whose poll ends the sleep. An eventfd that
// cannot count any further counts as rung. Whoever rings must know that the eventfd is still open:
// it lives as long as the waker's last user.
//
// Used by any number of publishers and one sleeper. Knows neither loop nor queue: mailboxes between
// shards use it, too.
#pragma once

#include <cstdint>
#include <type_traits>

#include "runtime/atomics.h"

namespace orrery {

// `Word`: unsigned. Its sequence has two bits fewer, and may wrap: only that many publications
// between one Look() and its TryArm() would be mistaken for none.
template <typename Atomics, typename Word = uint64_t>
class BasicWaker {
 public:
  static_assert(std::is_unsigned_v<Word>);

  // `sequence`: where to begin counting; for tests of the wrap.
  explicit BasicWaker(Word sequence = 0) : word_(static_cast<Word>(sequence * kOne)) {}
  BasicWaker(const BasicWaker&) = delete;
  BasicWaker& operator=(const BasicWaker&) = delete;

  // --- For publishers, on any thread.

  // Call it after the work has been put where the sleeper looks. True: ring.
  [[nodiscard]] bool Publish() {
    // Release: whoever sees the number sees the work before it.
    const Word before = word_.fetch_add(kOne, std::memory_order_acq_rel);
    return (before & kAsleep) != 0 && TakeIntent();
  }
  // Nobody will publish any more. Comes before the last ring, so that the sleeper that it wakes
  // knows. True: ring.
  [[nodiscard]] bool Disconnect() {
    const Word before = word_.fetch_or(kDisconnected, std::memory_order_acq_rel);
    return (before & kAsleep) != 0 && TakeIntent();
  }

  // How many publications there have been, modulo the sequence.
  Word published() const { return word_.load(std::memory_order_relaxed) / kOne; }

  // --- For the sleeper.

  // Before it looks for work. False: nobody will publish any more, and what has been published is
  // there.
  bool Look() {
    looked_ = word_.load(std::memory_order_acquire) & static_cast<Word>(~kAsleep);
    return (looked_ & kDisconnected) == 0;
  }
  // How many publications the last Look() saw, modulo the sequence.
  Word looked() const { return looked_ / kOne; }
  // Announces the sleep. False: something was published since Look(), and it is not announced.
  // REQUIRES: not armed.
  [[nodiscard]] bool TryArm() {
    Word expected = looked_;
    return word_.compare_exchange_strong(expected, static_cast<Word>(looked_ | kAsleep),
                                         std::memory_order_acq_rel, std::memory_order_acquire);
  }
  // After the sleep, whatever ended it. A ring may still come.
  void Disarm() { word_.fetch_and(static_cast<Word>(~kAsleep), std::memory_order_acq_rel); }

 private:
  static constexpr Word kAsleep = 1;
  static constexpr Word kDisconnected = 2;
  static constexpr Word kOne = 4;  // Of the sequence, whose overflow leaves the word.

  // Of all that saw the intent one takes it away, and rings.
  bool TakeIntent() {
    const Word before = word_.fetch_and(static_cast<Word>(~kAsleep), std::memory_order_acq_rel);
    return (before & kAsleep) != 0;
  }

  alignas(kApartBytes) typename Atomics::template Atomic<Word> word_;
  // The sleeper's alone.
  alignas(kApartBytes) Word looked_ = 0;
};

using Waker = BasicWaker<StdAtomics>;

}  // namespace orrery
