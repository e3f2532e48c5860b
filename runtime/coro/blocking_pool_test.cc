// The pool and the lookups on it, on Linux with real threads: what would break is a result that
// never comes, or comes to a task that has gone.
#include "runtime/coro/blocking_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "base/units.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/resolve.h"
#include "runtime/coro/task.h"
#include "runtime/coro/task_group.h"
#include "runtime/coro/when.h"
#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::coro {
namespace {

class BlockingPoolRealTest : public testing::Test {
 protected:
  BlockingPoolRealTest() : ring_(*kernel_.MakeRing({})), io_(*ring_, kernel_) {}
  IoContext& io() { return io_; }
  std::unique_ptr<BlockingPool> MakePool(unsigned threads) {
    return *BlockingPool::Create(io_, {.threads = threads});
  }

 private:
  LinuxKernel kernel_;
  std::unique_ptr<Ring> ring_;
  IoContext io_;
};

// By the number of threads; none is the context's own.
class BlockingPoolTest : public BlockingPoolRealTest,
                         public testing::WithParamInterface<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Threads, BlockingPoolTest, testing::Values(0u, 1u, 4u));

TEST_P(BlockingPoolTest, EveryResultComesToItsTask) {
  constexpr int kTasks = 50;
  constexpr int kJobs = 40;
  std::vector<int> sums(kTasks, 0);
  const auto add = [&](BlockingPool& pool, int number) -> Task<> {
    for (int i = 0; i < kJobs; ++i) {
      // Its own thread's memory, without a lock: it belongs to the job meanwhile.
      const auto result = co_await pool.Run([&sums, number, i] {
        sums[static_cast<size_t>(number)] += i;
        return number * 1000 + i;
      });
      EXPECT_EQ(result, number * 1000 + i);
    }
  };
  const auto body = [&]() -> Task<> {
    const auto pool = MakePool(GetParam());
    TaskGroup group(io().scheduler());
    for (int number = 0; number < kTasks; ++number) group.Spawn(add(*pool, number));
    co_await group.Join();
  };
  io().Run(body());
  for (const int sum : sums) EXPECT_EQ(sum, kJobs * (kJobs - 1) / 2);
}

TEST_F(BlockingPoolRealTest, TheContextGoesOnMeanwhile) {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  const auto wait = [&](BlockingPool& pool) -> Task<> {
    const auto result = co_await pool.Run([&] {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return open; });
      return 1;
    });
    EXPECT_EQ(result, 1);
  };
  const auto release = [&]() -> Task<> {
    EXPECT_TRUE(co_await io().Sleep(2 * kMillisecond));
    {
      const std::lock_guard lock(mutex);
      open = true;
    }
    changed.notify_all();
  };
  const auto body = [&]() -> Task<> {
    const auto pool = MakePool(2);
    co_await WhenAll(wait(*pool), release());
  };
  io().Run(body());
}

// One thread is busy: of the jobs behind it, those that are stopped are dropped, and the one that
// has begun is waited for.
TEST_F(BlockingPoolRealTest, AStopDropsWhatHasNotBegun) {
  std::atomic<bool> begun = false;
  std::atomic<bool> open = false;
  int dropped = 0;
  int ran = 0;
  const auto run = [&](BlockingPool& pool) -> Task<> {
    const auto result = co_await pool.Run([&] {
      begun = true;
      while (!open) std::this_thread::yield();
      return 1;
    });
    if (!result) {
      EXPECT_EQ(result.error(), ECANCELED);
    }
    ++(result ? ran : dropped);
    open = true;  // Those behind have been told by now.
  };
  const auto body = [&]() -> Task<> {
    const auto pool = MakePool(1);
    TaskGroup group(io().scheduler());
    for (int i = 0; i < 3; ++i) group.Spawn(run(*pool));
    while (!begun) (void)co_await io().Sleep(kMillisecond);
    group.RequestStop();
    co_await group.Join();
  };
  io().Run(body());
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(dropped, 2);
}

TEST_P(BlockingPoolTest, ResolvesNames) {
  const auto body = [&]() -> Task<> {
    const auto pool = MakePool(GetParam());
    const auto numeric = co_await Resolve(*pool, "::1", 80);
    EXPECT_TRUE(numeric.has_value());
    if (numeric) {
      EXPECT_EQ(numeric->front().ToString(), "[::1]:80");
    }
    const auto local = co_await Resolve(*pool, "localhost", 81);
    EXPECT_TRUE(local.has_value() && !local->empty());
    if (local) {
      EXPECT_EQ(local->front().port(), 81);
    }
    // Reserved for what does not exist.
    const auto none = co_await Resolve(*pool, "nowhere.invalid", 80);
    EXPECT_FALSE(none.has_value());
  };
  io().Run(body());
}

}  // namespace
}  // namespace orrery::coro
