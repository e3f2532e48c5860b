// A deadline that fires early cuts off what was in time; one that is lost lets a dead peer hold its
// memory for ever.
#include "runtime/operations/timing_wheel.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <vector>

#include "base/prng.h"

namespace orrery {
namespace {

struct TestTimer : Timer {
  int fired = 0;
};

int FiredBy(TimingWheel& wheel, Nanoseconds now) {
  int count = 0;
  wheel.Advance(now, [&count](Timer& timer) {
    ++static_cast<TestTimer&>(timer).fired;
    ++count;
  });
  return count;
}

TEST(TimingWheel, NeverFiresEarlyAndAtMostATickLate) {
  // On both sides of every power of two: where a deadline changes its level.
  for (unsigned bit = 1; bit < 62; ++bit) {
    for (const Nanoseconds offset : {-1, 0, 1}) {
      TimingWheel wheel;
      TestTimer timer;
      const Nanoseconds deadline = (Nanoseconds{1} << bit) + offset;
      wheel.Add(timer, deadline);
      EXPECT_EQ(FiredBy(wheel, deadline - 1), 0) << deadline;
      EXPECT_EQ(FiredBy(wheel, deadline + TimingWheel::kTick - 1), 1) << deadline;
      EXPECT_EQ(wheel.size(), 0U);
      EXPECT_EQ(wheel.NextAt(), kNever);
    }
  }
}

TEST(TimingWheel, FiresTheLastDeadlineThereIs) {
  TimingWheel wheel;
  TestTimer timer;
  wheel.Add(timer, kNever - 1);
  EXPECT_EQ(FiredBy(wheel, kNever - 2 * TimingWheel::kTick), 0);
  EXPECT_LT(wheel.NextAt(), kNever);
  wheel.Remove(timer);
}

TEST(TimingWheel, WhatHasPassedFiresInTheNextAdvance) {
  TimingWheel wheel;
  TestTimer timer;
  EXPECT_EQ(FiredBy(wheel, kSecond), 0);
  wheel.Add(timer, kSecond / 2);
  EXPECT_LE(wheel.NextAt(), kSecond);
  EXPECT_EQ(FiredBy(wheel, kSecond), 1);
}

TEST(TimingWheel, OneThatIsAddedWhileOthersFireWaitsForTheNextAdvance) {
  TimingWheel wheel;
  TestTimer timer;
  wheel.Add(timer, 0);
  int fired = 0;
  wheel.Advance(kSecond, [&](Timer& expired) {
    ++fired;
    wheel.Add(expired, 0);
  });
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(FiredBy(wheel, kSecond), 1);
}

TEST(TimingWheel, ATimerMayTakeOutTheOneThatWouldFireNext) {
  TimingWheel wheel;
  TestTimer first;
  TestTimer second;
  wheel.Add(first, kSecond);
  wheel.Add(second, kSecond);
  wheel.Advance(2 * kSecond, [&](Timer& expired) {
    ++static_cast<TestTimer&>(expired).fired;
    if (second.running()) wheel.Remove(second);
  });
  EXPECT_EQ(first.fired, 1);
  EXPECT_EQ(second.fired, 0);
  EXPECT_EQ(wheel.size(), 0U);
}

// Against a set of (deadline in ticks): same timers at every time, and nobody sleeps past one.
TEST(TimingWheel, DoesWhatASortedSetDoes) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Prng prng(seed);
    TimingWheel wheel;
    std::deque<TestTimer> timers(50);
    std::vector<Nanoseconds> deadlines(timers.size(), kNever);
    Nanoseconds now = 0;
    for (int step = 0; step < 400; ++step) {
      const size_t index = prng.Below(timers.size());
      const uint64_t kind = prng.Below(4);
      if (kind == 0) {
        const uint64_t range = uint64_t{1} << prng.Between(1, 40);
        const Nanoseconds before = std::min<Nanoseconds>(now, static_cast<Nanoseconds>(range / 8));
        const auto delay = static_cast<Nanoseconds>(prng.Below(range));
        if (timers[index].running()) wheel.Remove(timers[index]);
        deadlines[index] = now - before + delay;
        wheel.Add(timers[index], deadlines[index]);
      } else if (kind == 1 && timers[index].running()) {
        wheel.Remove(timers[index]);
        deadlines[index] = kNever;
      } else {
        // As a driver does that sleeps; or as one that was busy for long.
        const Nanoseconds next = wheel.NextAt();
        const uint64_t range = uint64_t{1} << prng.Between(1, 36);
        const auto busy = static_cast<Nanoseconds>(prng.Below(range));
        const bool sleeps = kind == 2 && next != kNever;
        now = sleeps ? std::max(now, next) : now + busy;
        wheel.Advance(now, [&](Timer& timer) {
          const auto& fired = static_cast<TestTimer&>(timer);
          for (size_t other = 0; other < timers.size(); ++other) {
            if (&timers[other] != &fired) continue;
            ASSERT_LE(deadlines[other], now) << "early, seed " << seed;
            deadlines[other] = kNever;
          }
        });
        for (const Nanoseconds deadline : deadlines) {
          ASSERT_GT(deadline, now - TimingWheel::kTick) << "late, seed " << seed;
        }
      }
      Nanoseconds first = kNever;
      for (const Nanoseconds deadline : deadlines) first = std::min(first, deadline);
      if (first == kNever) {
        ASSERT_EQ(wheel.NextAt(), kNever);
      } else {
        ASSERT_LT(wheel.NextAt(), first + TimingWheel::kTick) << "sleeps too long, seed " << seed;
      }
    }
    for (TestTimer& timer : timers) {
      if (timer.running()) wheel.Remove(timer);
    }
    ASSERT_EQ(wheel.size(), 0U);
  }
}

}  // namespace
}  // namespace orrery
