// The semaphore: what would break is a limit that is not kept, or a permit that is lost.
#include "runtime/coro/semaphore.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "runtime/coro/alone.h"
#include "runtime/coro/task.h"
#include "runtime/coro/task_group.h"

namespace orrery::coro {
namespace {

TEST(Semaphore, KeepsItsLimitAndItsOrder) {
  Alone alone;
  Semaphore semaphore(3);
  int inside = 0;
  int most = 0;
  std::string order;
  const auto enter = [&](char name) -> Task<> {
    const auto permit = co_await semaphore.Acquire();
    EXPECT_TRUE(permit.has_value());
    order += name;
    most = std::max(most, ++inside);
    for (int i = 0; i < 4; ++i) (void)co_await StopRequested();
    --inside;
  };
  const auto body = [&]() -> Task<> {
    TaskGroup group(alone.scheduler());
    for (char name = 'a'; name <= 'j'; ++name) group.Spawn(enter(name));
    co_await group.Join();
  };
  alone.Run(body());
  EXPECT_EQ(most, 3);
  EXPECT_EQ(order, "abcdefghij");
  EXPECT_EQ(semaphore.available(), 3u);
}

TEST(Semaphore, OneWhoIsStoppedTakesNothing) {
  Alone alone;
  Semaphore semaphore(1);
  const auto hold = [&](Gate& gate) -> Task<> {
    const auto permit = co_await semaphore.Acquire();
    EXPECT_TRUE(permit.has_value());
    (void)co_await gate.Pass();
  };
  const auto acquire = [&]() -> Task<int> {
    const auto permit = co_await semaphore.Acquire();
    co_return permit ? 0 : permit.error().value();
  };
  Gate gate;
  Task<> holder = hold(gate);
  StopSource never;
  class : public TaskOwner {
    void OnTaskDone(TaskBase&) override {}
  } nobody;
  holder.promise().Begin(alone.scheduler(), &never, nobody);
  Task<int> waits = acquire();
  alone.Begin(waits);
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 0);
  alone.stop().RequestStop();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 1);
  EXPECT_EQ(waits.promise().Take(), ECANCELED);
  gate.Open();
  alone.RunAll();
  EXPECT_EQ(semaphore.available(), 1u);
  // Also when there is one: a task that is to stop gets no further.
  EXPECT_EQ(alone.Run(acquire()), ECANCELED);
  EXPECT_EQ(semaphore.available(), 1u);
}

// Released while its next owner is being stopped: it is in one place, not in two or none.
TEST(Semaphore, AReleaseAndAStopAtTheSameMoment) {
  for (const bool release_first : {false, true}) {
    Alone alone;
    Semaphore semaphore(1);
    std::optional<Semaphore::Permit> held;
    const auto take = [&]() -> Task<> {
      auto permit = co_await semaphore.Acquire();
      EXPECT_TRUE(permit.has_value());
      held.emplace(*std::move(permit));
    };
    alone.Run(take());
    const auto acquire = [&]() -> Task<bool> {
      const auto permit = co_await semaphore.Acquire();
      co_return permit.has_value();
    };
    Task<bool> waits = acquire();
    alone.Begin(waits);
    alone.RunAll();
    if (release_first) held.reset();
    alone.stop().RequestStop();
    if (!release_first) held.reset();
    alone.RunAll();
    ASSERT_EQ(alone.ended(), 2);
    EXPECT_EQ(waits.promise().Take(), release_first);
    EXPECT_EQ(semaphore.available(), 1u);
  }
}

}  // namespace
}  // namespace orrery::coro
