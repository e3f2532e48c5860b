// A bounded queue from one thread to one other, without a lock, in batches.
//
// Each side has a position of its own and looks at the other's: the producer when what it knows of
// it leaves no room, the consumer at each Pop(), because what was published to its waker before it
// looked there must come out. A batch costs one change of a position, however long it is.
//
// A producer that finds no room leaves a wish in the word of the consumer's position. Both sides
// change that word by read-modify-write only: either the wish comes first, and the next Pop() that
// makes room tells of it, or the Pop() does, and the producer sees the room.
//
// Owned by whoever outlives both sides. Allocates once.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "runtime/atomics.h"

namespace orrery {

template <typename T, typename Atomics = StdAtomics>
class SpscQueue {
 public:
  static_assert(std::is_trivially_copyable_v<T>, "a cell is overwritten, not destroyed");
  static constexpr size_t kCapacityMax = size_t{1} << 30;

  // The capacity is rounded up to a power of two. `position`: where to begin counting; for tests of
  // the wrap.
  explicit SpscQueue(size_t capacity, size_t position = 0)
      : mask_(std::bit_ceil(capacity) - 1),
        cells_(std::make_unique<T[]>(mask_ + 1)),
        pushed_(position * kStep),
        push_at_(position * kStep),
        popped_seen_(position * kStep),
        popped_(position * kStep),
        pop_at_(position * kStep) {
    ORRERY_CHECK(capacity >= 1 && capacity <= kCapacityMax);
  }
  SpscQueue(const SpscQueue&) = delete;
  SpscQueue& operator=(const SpscQueue&) = delete;

  size_t capacity() const { return mask_ + 1; }

  // --- On the producer's thread.

  // Takes as many from the front as there is room for; returns how many. If that is not all, a
  // later Pop() says `room_wanted`.
  size_t Push(std::span<const T> values) {
    size_t taken = 0;
    for (;;) {
      const size_t room = capacity() - (push_at_ - popped_seen_) / kStep;
      const size_t count = std::min(room, values.size() - taken);
      if (count > 0) {
        for (const T& value : values.subspan(taken, count)) {
          cells_[push_at_ / kStep & mask_] = value;
          push_at_ += kStep;
        }
        // Release: whoever sees the position sees the values before it.
        pushed_.store(push_at_, std::memory_order_release);
        taken += count;
      }
      if (taken == values.size() || !FindRoom()) return taken;
    }
  }

  // --- On the consumer's thread.

  struct Popped {
    size_t count = 0;
    bool left = false;         // More was there.
    bool room_wanted = false;  // The producer waits for the room that was made: tell it.
  };
  // Visits the oldest values, at most `max`, in order. Visitors may not call Pop().
  template <typename Visit>
  Popped Pop(size_t max, Visit visit) {
    const size_t there = (pushed_.load(std::memory_order_acquire) - pop_at_) / kStep;
    const size_t count = std::min(there, max);
    if (count == 0) return {.left = there > 0};
    for (size_t left = count; left > 0; --left) {
      visit(cells_[pop_at_ / kStep & mask_]);
      pop_at_ += kStep;
    }
    // Release: the next values in these cells come after our reading of these.
    const size_t before = popped_.exchange(pop_at_, std::memory_order_acq_rel);
    return {.count = count, .left = there > count, .room_wanted = (before & kRoomWanted) != 0};
  }

 private:
  // Positions count in twos; the lowest bit of popped_ is the producer's wish.
  static constexpr size_t kRoomWanted = 1;
  static constexpr size_t kStep = 2;

  // Whether the consumer has made room since the producer looked last. If not, it will be told.
  bool FindRoom() {
    // Acquire: the consumer is through with the cells before it.
    size_t popped = popped_.load(std::memory_order_acquire);
    if (popped == popped_seen_) popped = popped_.fetch_or(kRoomWanted, std::memory_order_acq_rel);
    const bool found = (popped & ~kRoomWanted) != popped_seen_;
    popped_seen_ = popped & ~kRoomWanted;
    return found;
  }

  const size_t mask_;
  const std::unique_ptr<T[]> cells_;
  alignas(kApartBytes) typename Atomics::template Atomic<size_t> pushed_;
  size_t push_at_;      // The producer's alone,
  size_t popped_seen_;  // and this.
  alignas(kApartBytes) typename Atomics::template Atomic<size_t> popped_;
  size_t pop_at_;  // The consumer's alone.
};

}  // namespace orrery
