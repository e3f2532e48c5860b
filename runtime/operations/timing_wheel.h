// Timers by the thousand, most of which never fire: adding and removing one costs O(1), whatever
// its deadline.
//
// A hierarchical timing wheel: eight levels of 64 slots, and a tick of 2^16 ns (65.5 us) at the
// lowest, so that every deadline of 64 bits has a slot. A timer fires at the first Advance() whose
// time has reached its deadline rounded up to a tick: never early, and at most a tick late. It
// comes down a level at a time, so NextAt() may name a moment at which nothing fires.
//
// Invariant: a timer is in at most one wheel and outlives its membership. The order in which timers
// of one tick fire is a function of the calls made. Owned and used by one thread; owns no timer;
// allocates nothing.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/intrusive_list.h"
#include "base/units.h"

namespace orrery {

// A base of what has a deadline. The wheel's alone to change.
class Timer {
 public:
  bool running() const { return link_.linked(); }
  // REQUIRES: running().
  Nanoseconds deadline() const { return deadline_; }

 private:
  friend class TimingWheel;
  ListLink link_;
  Nanoseconds deadline_ = 0;
  uint32_t list_ = 0;  // Which of the wheel's lists it is in.
};

class TimingWheel {
 public:
  static constexpr unsigned kTickBits = 16;
  static constexpr Nanoseconds kTick = Nanoseconds{1} << kTickBits;

  TimingWheel() = default;
  TimingWheel(const TimingWheel&) = delete;
  TimingWheel& operator=(const TimingWheel&) = delete;

  size_t size() const { return size_; }

  // One whose deadline has passed fires at the next Advance().
  // REQUIRES: not running, 0 <= deadline < kNever.
  void Add(Timer& timer, Nanoseconds deadline) {
    ORRERY_CHECK(!timer.running());
    ORRERY_CHECK(deadline >= 0);
    ORRERY_CHECK(deadline < kNever);
    timer.deadline_ = deadline;
    Place(timer);
    ++size_;
  }

  // REQUIRES: running, in this wheel.
  void Remove(Timer& timer) {
    TakeOut(timer);
    --size_;
  }

  // When Advance() has something to do, at the latest: not after the moment at which the first
  // timer fires, and in the past when one is due already. kNever: there is no timer.
  Nanoseconds NextAt() const {
    if (!lists_[kDue].empty()) return 0;
    const Slot next = NextSlot();
    return next.tick == kNoTick ? kNever : TimeOf(next.tick);
  }

  // Calls expire(Timer&) for every timer that is due by `now`, after it has been taken out. It may
  // add and remove timers; one that it adds fires in a later call. Times do not go back.
  template <typename Expire>
  void Advance(Nanoseconds now, Expire expire) {
    const uint64_t target = static_cast<uint64_t>(now) >> kTickBits;
    Move(kDue, kFiring);
    for (Slot next = NextSlot(); next.tick <= target; next = NextSlot()) {
      tick_ = next.tick;
      const uint32_t list = ListOf(next.level, SlotOf(tick_, next.level));
      // Those of a higher level come down; those of the lowest are due now.
      Timer* timer = nullptr;
      while ((timer = lists_[list].front()) != nullptr) {
        TakeOut(*timer);
        TickOf(timer->deadline_) <= tick_ ? PutInto(kFiring, *timer) : Place(*timer);
      }
    }
    tick_ = std::max(tick_, target);
    while (Timer* timer = lists_[kFiring].front()) {
      Remove(*timer);
      expire(*timer);
    }
  }

 private:
  using List = IntrusiveList<Timer, &Timer::link_>;

  static constexpr unsigned kSlotBits = 6;
  static constexpr unsigned kSlots = 1U << kSlotBits;
  static constexpr unsigned kLevels = 8;
  static_assert(kTickBits + kLevels * kSlotBits >= 63, "every deadline has a slot");
  // Lists that are no slot: what was added too late, and what fires in this Advance().
  static constexpr uint32_t kDue = kLevels * kSlots;
  static constexpr uint32_t kFiring = kDue + 1;
  static constexpr uint64_t kNoTick = ~uint64_t{0};

  struct Slot {
    unsigned level = 0;
    uint64_t tick = kNoTick;  // At which it is reached.
  };

  // Rounded up.
  static uint64_t TickOf(Nanoseconds deadline) {
    return (static_cast<uint64_t>(deadline) + kTick - 1) >> kTickBits;
  }
  static Nanoseconds TimeOf(uint64_t tick) {
    constexpr uint64_t kLastTick = static_cast<uint64_t>(kNever) >> kTickBits;
    return tick > kLastTick ? kNever - 1 : static_cast<Nanoseconds>(tick << kTickBits);
  }
  static unsigned SlotOf(uint64_t tick, unsigned level) {
    return static_cast<unsigned>(tick >> (level * kSlotBits)) % kSlots;
  }
  static uint32_t ListOf(unsigned level, unsigned slot) { return level * kSlots + slot; }

  // The level is that of the highest digit in which the timer's tick differs from the wheel's: all
  // timers of a level fire before those of the levels above it.
  void Place(Timer& timer) {
    const uint64_t tick = TickOf(timer.deadline_);
    if (tick <= tick_) return PutInto(kDue, timer);
    const auto highest_bit = static_cast<unsigned>(std::bit_width(tick ^ tick_)) - 1;
    const unsigned level = std::min(highest_bit / kSlotBits, kLevels - 1);
    PutInto(ListOf(level, SlotOf(tick, level)), timer);
  }

  void PutInto(uint32_t list, Timer& timer) {
    timer.list_ = list;
    lists_[list].PushBack(timer);
    if (list < kDue) occupied_[list / kSlots] |= uint64_t{1} << (list % kSlots);
  }

  void TakeOut(Timer& timer) {
    const uint32_t list = timer.list_;
    lists_[list].Remove(timer);
    if (list < kDue && lists_[list].empty()) {
      occupied_[list / kSlots] &= ~(uint64_t{1} << (list % kSlots));
    }
  }

  void Move(uint32_t from, uint32_t to) {
    while (Timer* timer = lists_[from].PopFront()) PutInto(to, *timer);
  }

  // The slot that is reached first: of the lowest level that has any, the first one behind now.
  Slot NextSlot() const {
    for (unsigned level = 0; level < kLevels; ++level) {
      if (occupied_[level] == 0) continue;
      // Nothing is behind the hand: what is in a level differs from now in this digit and upwards.
      const auto slot = static_cast<uint64_t>(std::countr_zero(occupied_[level]));
      const unsigned shift = level * kSlotBits;
      const uint64_t above = tick_ >> shift >> kSlotBits << kSlotBits << shift;
      return {.level = level, .tick = above | slot << shift};
    }
    return {};
  }

  uint64_t tick_ = 0;
  size_t size_ = 0;
  std::array<uint64_t, kLevels> occupied_{};
  std::array<List, kFiring + 1> lists_;
};

}  // namespace orrery
