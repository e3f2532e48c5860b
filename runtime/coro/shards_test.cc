// A call that is lost leaves its task waiting for ever, and one whose memory is used after it has
// returned is worse. On the fake kernel, with the shards turned in a random order and one sleeping
// while another calls; and with real threads, for tsan.
#include "runtime/coro/shards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/coro/task.h"
#include "runtime/coro/task_group.h"
#include "runtime/coro/when.h"
#include "runtime/model_world.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery::coro {
namespace {

// Shards on the fake kernel, with faults, on one thread.
class SimulatedShards {
 public:
  using Main = std::function<Task<>(Shard&)>;

  SimulatedShards(uint64_t seed, const MailboxOptions& boxes)
      : prng_(seed),
        choice_(seed, /*one_in=*/4),
        kernel_(model::ModelOptions{}, choice_, nullptr),
        group_(*ShardGroup::Create(kernel_, boxes)) {}

  // Until all main tasks have returned.
  void Run(const Main& main) {
    for (unsigned number = 0; number < group_->shards(); ++number) {
      Thread& thread = threads_.emplace_back();
      thread.ring = *kernel_.MakeRing({.sq_entries = 4, .cq_entries = 8});
      thread.shard.emplace(*group_, number, *thread.ring, kernel_);
      thread.main.emplace(main(*thread.shard));
      thread.shard->Begin(*thread.main);
    }
    for (int steps = 0; Step(); ++steps) ASSERT_LT(steps, kStepsMax) << "it does not end";
    for (const Thread& thread : threads_) EXPECT_TRUE(thread.shard->finished());
  }
  unsigned sleeps() const { return sleeps_; }

 private:
  static constexpr int kStepsMax = 200'000;

  struct Thread {
    model::ModelRing& model() const { return static_cast<model::ModelRing&>(*ring); }
    std::unique_ptr<Ring> ring;
    std::optional<Shard> shard;
    std::optional<Task<>> main;
  };

  // Somebody who can goes on. False: all have finished.
  bool Step() {
    std::vector<Thread*> ready;
    Nanoseconds next = kernel_.NextEventAt();
    for (Thread& thread : threads_) {
      if (thread.shard->finished()) continue;
      if (!thread.model().sleeping() || thread.model().CanFinish()) {
        ready.push_back(&thread);
      } else {
        next = std::min(next, thread.model().deadline());
      }
    }
    if (!ready.empty()) {
      Turn(*ready[prng_.Below(ready.size())]);
      return true;
    }
    if (next != kNever) kernel_.AdvanceTo(next);
    const bool asleep = std::ranges::any_of(
        threads_, [](const Thread& thread) { return thread.model().sleeping(); });
    EXPECT_FALSE(asleep && next == kNever) << "everybody sleeps for ever";
    return asleep && next != kNever;
  }

  void Turn(Thread& thread) {
    if (thread.model().sleeping()) return thread.shard->OnEntered(thread.model().Finish());
    const auto entered = thread.model().Begin(thread.shard->Turn());
    if (entered) return thread.shard->OnEntered(*entered);
    ++sleeps_;
  }

  Prng prng_;
  SeededChoice choice_;
  model::ModelKernel kernel_;
  std::unique_ptr<ShardGroup> group_;
  std::deque<Thread> threads_;
  unsigned sleeps_ = 0;
};

// Every shard calls every other: the result comes from there, and there it was computed.
Task<uint64_t> Square(Shard& there, unsigned expected, uint64_t value) {
  EXPECT_EQ(there.number(), expected);
  if (value % 3 == 0) {
    EXPECT_TRUE(co_await there.io().Sleep(value * kMicrosecond));
  }
  co_return value* value;
}

Task<> CallAround(Shard& self, unsigned first, uint64_t calls, uint64_t& sum) {
  for (uint64_t value = 0; value < calls; ++value) {
    const auto target = static_cast<unsigned>((first + value) % self.shards());
    const auto square = co_await self.CallOn(
        target, [target, value](Shard& there) { return Square(there, target, value); });
    EXPECT_EQ(square, value * value);
    sum += square.value_or(0);
  }
}

Task<> CallAroundInTasks(Shard& self, unsigned tasks, uint64_t calls, uint64_t& sum) {
  TaskGroup group(self.io().scheduler());
  for (unsigned task = 0; task < tasks; ++task) group.Spawn(CallAround(self, task, calls, sum));
  co_await group.Join();
}

TEST(SimulatedShards, EveryCallReturnsToItsTask) {
  constexpr unsigned kTasks = 4;
  constexpr uint64_t kCalls = 12;
  uint64_t expected = 0;
  for (uint64_t value = 0; value < kCalls; ++value) expected += kTasks * value * value;
  unsigned sleeps = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto shards = static_cast<uint32_t>(1 + seed % 4);
    std::vector<uint64_t> sums(shards, 0);
    // Small ones are full now and then, and drained in pieces.
    SimulatedShards world(seed, {.shards = shards, .capacity = 2, .budget_per_source = 1});
    world.Run(
        [&](Shard& self) { return CallAroundInTasks(self, kTasks, kCalls, sums[self.number()]); });
    for (const uint64_t sum : sums) EXPECT_EQ(sum, expected);
    sleeps += world.sleeps();
  }
  EXPECT_GT(sleeps, 0U);
}

// One that sleeps for ever, but for its stop.
Task<int> SleepUntilStopped(Shard& there) {
  const auto slept = co_await there.io().SleepUntil(kNever - 1);
  co_return slept ? 0 : slept.error().value();
}

Task<int> CallSleeper(Shard& self, unsigned target) {
  const auto result = co_await self.CallOn(target, SleepUntilStopped);
  co_return result ? result.value() : -1;
}

Task<int> WaitAWhile(Shard& self, Nanoseconds duration) {
  EXPECT_TRUE(co_await self.io().Sleep(duration));
  co_return 7;
}

// WhenAny() asks the loser to stop, and waits for it.
Task<> StopACall(Shard& self, uint64_t& stopped) {
  for (Nanoseconds wait = 0; wait < 40 * kMicrosecond; wait += 5 * kMicrosecond) {
    const unsigned target = (self.number() + 1) % self.shards();
    Task<int> sleeper = CallSleeper(self, target);
    Task<int> timer = WaitAWhile(self, wait);
    const auto result = co_await WhenAny(std::move(sleeper), std::move(timer));
    (void)result;
    ++stopped;
  }
}

TEST(SimulatedShards, AStopReachesTheFunction) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    uint64_t stopped = 0;
    SimulatedShards world(seed, {.shards = 3});
    world.Run([&](Shard& self) { return StopACall(self, stopped); });
    EXPECT_EQ(stopped, 3U * 8U);
  }
}

// Its result is what the function returned, and one that was not begun says ECANCELED.
Task<> CallAfterAStop(Shard& self, std::vector<int>& results) {
  const auto call = [&self, &results](unsigned target) -> Task<> {
    results.push_back(co_await CallSleeper(self, target));
    // This task has been asked to stop before.
    results.push_back(co_await CallSleeper(self, target));
  };
  TaskGroup group(self.io().scheduler());
  group.Spawn(call(0));
  EXPECT_TRUE(co_await self.io().Sleep(kMillisecond));
  group.RequestStop();
  co_await group.Join();
}

TEST(SimulatedShards, WhatAStoppedCallReturns) {
  std::vector<int> results;
  SimulatedShards world(1, {.shards = 1});
  world.Run([&](Shard& self) { return CallAfterAStop(self, results); });
  EXPECT_EQ(results, (std::vector<int>{ECANCELED, -1}));
}

// --- Threads

Task<std::thread::id> ThreadOf(Shard&) { co_return std::this_thread::get_id(); }

Task<> CountThreads(Shard& self, std::set<std::thread::id>& threads) {
  for (unsigned shard = 0; shard < self.shards(); ++shard) {
    const auto thread = co_await self.CallOn(shard, ThreadOf);
    EXPECT_TRUE(thread.has_value());
    if (thread) threads.insert(*thread);
  }
}

TEST(ShardThreads, EachFunctionRunsOnItsThread) {
  constexpr unsigned kShards = 3;
  LinuxKernel kernel;
  std::vector<std::set<std::thread::id>> threads(kShards);
  const auto result = RunOnShards(kernel, {.shards = kShards}, [&](Shard& self) {
    return CountThreads(self, threads[self.number()]);
  });
  ASSERT_TRUE(result.has_value()) << result.error();
  EXPECT_EQ(threads[0].size(), kShards);
  for (const auto& each : threads) EXPECT_EQ(each, threads[0]);
}

TEST(ShardThreads, CallEachOther) {
  constexpr unsigned kShards = 3;
  constexpr unsigned kTasks = 8;
  constexpr uint64_t kCalls = 60;
  LinuxKernel kernel;
  std::vector<uint64_t> sums(kShards, 0);
  const auto result = RunOnShards(kernel, {.shards = kShards}, [&](Shard& self) {
    return CallAroundInTasks(self, kTasks, kCalls, sums[self.number()]);
  });
  ASSERT_TRUE(result.has_value()) << result.error();
  EXPECT_EQ(sums[0], kTasks * (kCalls - 1) * kCalls * (2 * kCalls - 1) / 6);
  for (const uint64_t sum : sums) EXPECT_EQ(sum, sums[0]);
}

}  // namespace
}  // namespace orrery::coro
