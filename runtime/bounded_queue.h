// A bounded queue from many threads to one, without a lock: D. Vyukov's, with one consumer.
//
// Each cell has a sequence number: it says whose turn the cell is, and a full or an empty queue
// shows in it, so nobody reads the other side's position. What one thread pushes comes out in its
// order. A push that was preempted in the middle holds back what was pushed behind it (TryPop()
// finds nothing), until it is done; so each producer publishes its own pushes to the consumer's
// waker, after the last of them and before it waits for anything.
//
// Closing it is the consumer's: what was pushed before comes out, and drained() says when that is
// all. Owned by whoever outlives both sides. Allocates once.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>

#include "base/check.h"
#include "runtime/atomics.h"

namespace orrery {

enum class Pushed : uint8_t {
  kYes,
  kFull,
  kClosed,  // And will be for ever.
};

template <typename T, typename Atomics = StdAtomics>
class BoundedQueue {
 public:
  static_assert(std::is_trivially_copyable_v<T>, "a cell is overwritten, not destroyed");
  static constexpr size_t kCapacityMax = size_t{1} << 30;

  // The capacity is rounded up to a power of two, two at least. `position`: where to begin
  // counting; for tests of the wrap.
  explicit BoundedQueue(size_t capacity, size_t position = 0)
      : mask_(std::bit_ceil(capacity < 2 ? size_t{2} : capacity) - 1),
        cells_(std::make_unique<Cell[]>(mask_ + 1)),
        push_at_(position * kStep),
        pop_at_(position * kStep) {
    ORRERY_CHECK(capacity <= kCapacityMax);
    for (size_t offset = 0; offset <= mask_; ++offset) {
      const size_t at = pop_at_ + offset * kStep;
      At(at).sequence.store(at, std::memory_order_relaxed);
    }
  }
  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  size_t capacity() const { return mask_ + 1; }

  // --- On any thread.

  [[nodiscard]] Pushed TryPush(T value) {
    size_t position = push_at_.load(std::memory_order_relaxed);
    for (;;) {
      if ((position & kClosed) != 0) return Pushed::kClosed;
      Cell& cell = At(position);
      // Acquire: the consumer is through with the cell's value.
      const size_t sequence = cell.sequence.load(std::memory_order_acquire);
      const auto ahead = static_cast<std::make_signed_t<size_t>>(sequence - position);
      if (ahead < 0) return Pushed::kFull;
      if (ahead > 0) {  // Another thread has taken it.
        position = push_at_.load(std::memory_order_relaxed);
        continue;
      }
      // Relaxed: it only says whose the cell is; the value is handed over by the sequence.
      if (push_at_.compare_exchange_weak(position, position + kStep, std::memory_order_relaxed,
                                         std::memory_order_relaxed)) {
        cell.value = value;
        cell.sequence.store(position + kStep, std::memory_order_release);
        return Pushed::kYes;
      }
    }
  }

  // How many pushes there have been.
  size_t pushed() const { return push_at_.load(std::memory_order_relaxed) / kStep; }

  // --- On the consumer's thread.

  // Nothing: empty, or the oldest push is not done.
  std::optional<T> TryPop() {
    Cell& cell = At(pop_at_);
    if (cell.sequence.load(std::memory_order_acquire) != pop_at_ + kStep) return std::nullopt;
    const T value = cell.value;
    // Release: the next push into the cell comes after our reading it.
    cell.sequence.store(pop_at_ + (mask_ + 1) * kStep, std::memory_order_release);
    pop_at_ += kStep;
    return value;
  }
  // No push succeeds that has not begun yet.
  void Close() { push_at_.fetch_or(kClosed, std::memory_order_relaxed); }
  // Closed, and everything that was pushed has been popped.
  bool drained() const { return push_at_.load(std::memory_order_relaxed) == (pop_at_ | kClosed); }

 private:
  // Positions count in twos; the lowest bit of push_at_ says that the queue is closed.
  static constexpr size_t kClosed = 1;
  static constexpr size_t kStep = 2;

  struct Cell {
    typename Atomics::template Atomic<size_t> sequence{0};
    T value{};
  };

  Cell& At(size_t position) { return cells_[position / kStep & mask_]; }

  const size_t mask_;
  const std::unique_ptr<Cell[]> cells_;
  alignas(kApartBytes) typename Atomics::template Atomic<size_t> push_at_;
  alignas(kApartBytes) size_t pop_at_;  // The consumer's alone.
};

}  // namespace orrery
