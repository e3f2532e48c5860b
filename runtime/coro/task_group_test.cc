// Groups of tasks: what would break is a server that ends before its connections, or never ends.
#include "runtime/coro/task_group.h"

#include <gtest/gtest.h>

#include "runtime/coro/alone.h"
#include "runtime/coro/task.h"

namespace orrery::coro {
namespace {

Task<> Wait(Gate& gate, int& passed, int& stopped) {
  const bool through = co_await gate.Pass();
  ++(through ? passed : stopped);
}

Task<> SpawnAndJoin(Alone& alone, Gate& gate, int& passed, int& stopped) {
  TaskGroup group(alone.scheduler());
  for (int i = 0; i < 5; ++i) group.Spawn(Wait(gate, passed, stopped));
  co_await group.Join();
  EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, JoinWaitsForAll) {
  Alone alone;
  Gate gate;
  int passed = 0;
  int stopped = 0;
  Task<> task = SpawnAndJoin(alone, gate, passed, stopped);
  alone.Begin(task);
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 0);
  gate.Open();
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 1);
  EXPECT_EQ(passed, 5);
}

TEST(TaskGroup, AStopOfTheJoinerStopsTheGroup) {
  Alone alone;
  Gate gate;
  int passed = 0;
  int stopped = 0;
  Task<> task = SpawnAndJoin(alone, gate, passed, stopped);
  alone.Begin(task);
  alone.RunAll();
  alone.stop().RequestStop();
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 1);
  EXPECT_EQ(stopped, 5);
}

TEST(TaskGroup, AJoinerThatWasStoppedBeforeStopsTheGroup) {
  Alone alone;
  Gate gate;
  int passed = 0;
  int stopped = 0;
  alone.stop().RequestStop();
  alone.Run(SpawnAndJoin(alone, gate, passed, stopped));
  EXPECT_EQ(stopped, 5);
}

TEST(TaskGroup, IsStoppedAloneAndTellsWhoComesLater) {
  Alone alone;
  Gate gate;
  int passed = 0;
  int stopped = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group(alone.scheduler());
    group.Spawn(Wait(gate, passed, stopped));
    group.RequestStop();
    group.Spawn(Wait(gate, passed, stopped));
    co_await group.Join();
    EXPECT_FALSE(co_await StopRequested()) << "the group's stop is not its parent's";
  };
  alone.Run(body());
  EXPECT_EQ(stopped, 2);
}

TEST(TaskGroup, TasksMaySpawnIntoTheirGroup) {
  Alone alone;
  int run = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group(alone.scheduler());
    const auto grow = [&](auto& self, int left) -> Task<> {
      ++run;
      if (left > 0) group.Spawn(self(self, left - 1));
      co_return;
    };
    group.Spawn(grow(grow, 99));
    co_await group.Join();
  };
  alone.Run(body());
  EXPECT_EQ(run, 100);
}

TEST(TaskGroup, AnEmptyOneJoinsAtOnceAndAgain) {
  Alone alone;
  const auto body = [&]() -> Task<int> {
    TaskGroup group(alone.scheduler());
    co_await group.Join();
    co_await group.Join();
    co_return 1;
  };
  EXPECT_EQ(alone.Run(body()), 1);
}

TEST(TaskGroupDeathTest, MustBeJoined) {
  EXPECT_DEATH(
      {
        Alone alone;
        Gate gate;
        int passed = 0;
        int stopped = 0;
        TaskGroup group(alone.scheduler());
        group.Spawn(Wait(gate, passed, stopped));
      },
      "dies after they have ended");
}

}  // namespace
}  // namespace orrery::coro
