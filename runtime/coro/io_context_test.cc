// The context: what would break is a sleep that is too short or never ends, or a loop of ready
// tasks that keeps the kernel waiting.
#include "runtime/coro/io_context.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/units.h"
#include "runtime/coro/io_world.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::coro {
namespace {

using IoContextTest = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernels, IoContextTest, AllWorlds(), NameOf);

TEST_P(IoContextTest, SleepersWakeInOrderAndNotBefore) {
  std::string order;
  const auto sleep = [&](char name, Nanoseconds duration) -> Task<> {
    const Nanoseconds begin = io().now();
    EXPECT_TRUE(co_await io().Sleep(duration));
    EXPECT_GE(io().now() - begin, duration);
    order += name;
  };
  const auto body = [&]() -> Task<> {
    co_await WhenAll(sleep('c', 12 * kMillisecond), sleep('a', 2 * kMillisecond),
                     sleep('d', 20 * kMillisecond), sleep('b', 7 * kMillisecond));
  };
  io().Run(body());
  EXPECT_EQ(order, "abcd");
}

TEST_P(IoContextTest, AStopEndsASleep) {
  const auto sleep = [&]() -> Task<int> {
    const auto slept = co_await io().Sleep(1000 * kSecond);
    co_return ErrorOf(slept);
  };
  const auto stop = [&]() -> Task<> {
    EXPECT_TRUE(co_await io().Sleep(kMillisecond));
    io().RequestStop();
  };
  const auto body = [&]() -> Task<int> {
    const auto [error, nothing] = co_await WhenAll(sleep(), stop());
    co_return error;
  };
  EXPECT_EQ(io().Run(body()), ECANCELED);
}

TEST_P(IoContextTest, ReadyTasksDoNotStarveTheKernel) {
  uint64_t rounds = 0;
  const auto compute = [&]() -> Task<> {
    while (!co_await StopRequested()) ++rounds;
  };
  Task<> forever = compute();
  io().Begin(forever);
  const EnterRequest request = io().Turn();
  EXPECT_EQ(request.min_complete, 0u) << "there is more to run";
  EXPECT_GT(rounds, 100u);
  EXPECT_LT(rounds, 10'000u);
  io().OnEntered(0);
  io().RequestStop();
  (void)io().Turn();
  EXPECT_TRUE(io().finished());
}

TEST_P(IoContextTest, LogsGoWhereTheProgramSays) {
  io().Log("a line");
  EXPECT_EQ(log(), std::vector<std::string>{"a line"});
}

TEST_P(IoContextTest, RunsOneProgramAfterTheOther) {
  const auto body = [&](int value) -> Task<int> {
    EXPECT_TRUE(co_await io().Sleep(kMillisecond));
    co_return value;
  };
  EXPECT_EQ(io().Run(body(1)), 1);
  EXPECT_EQ(io().Run(body(2)), 2);
}

}  // namespace
}  // namespace orrery::coro
