// Tasks: what breaks here is every await. A frame leaks or dies twice, the stack grows with the
// number of awaits, an await allocates, or a result is lost. Runs at -O0 as well (task_debug_test).
#include "runtime/coro/task.h"

#include <gtest/gtest.h>

#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/allocation_count.h"
#include "base/errno.h"
#include "runtime/coro/alone.h"

namespace orrery::coro {
namespace {

Task<int> Ready(int value) { co_return value; }

TEST(Task, ReturnsItsResult) {
  Alone alone;
  EXPECT_EQ(alone.Run(Ready(7)), 7);
}

TEST(Task, ReturnsWhatCanOnlyBeMoved) {
  Alone alone;
  const auto make = [](int value) -> Task<std::unique_ptr<int>> {
    co_return std::make_unique<int>(value);
  };
  const auto twice = [](Task<std::unique_ptr<int>> inner) -> Task<std::unique_ptr<int>> {
    std::unique_ptr<int> result = co_await std::move(inner);
    *result *= 2;
    co_return result;
  };
  EXPECT_EQ(*alone.Run(twice(make(21))), 42);
}

TEST(Task, IsNotBegunByItsCall) {
  bool begun = false;
  {
    const auto function = [](bool& flag) -> Task<> {
      flag = true;
      co_return;
    };
    const Task<> never = function(begun);
  }
  EXPECT_FALSE(begun);
}

Task<int> SumOfReady(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await Ready(1);
  co_return sum;
}

// With symmetric transfer, g++ 12 runs out of stack here at -O0 and under sanitizers.
TEST(Task, AMillionReadyAwaitsInARow) {
  Alone alone;
  EXPECT_EQ(alone.Run(SumOfReady(1'000'000)), 1'000'000);
}

Task<int> Depth(int levels) {
  if (levels == 0) co_return 0;
  const int below = co_await Depth(levels - 1);
  co_return below + 1;
}

TEST(Task, AHundredThousandLevels) {
  Alone alone;
  EXPECT_EQ(alone.Run(Depth(100'000)), 100'000);
}

TEST(Task, AnAwaitAllocatesTheFrameOnly) {
  Alone alone;
  Task<int> task = SumOfReady(1000);
  const size_t before = AllocationCount();
  alone.Begin(task);
  alone.RunAll();
  EXPECT_EQ(AllocationCount() - before, 1000u) << "one frame an await";
  EXPECT_EQ(task.promise().Take(), 1000);
}

// Owns something, and sees when it is destroyed at another place than it was made.
class Counted {
 public:
  explicit Counted(int& living) : living_(&living), self_(this) { ++living; }
  Counted(const Counted& other) : living_(other.living_), self_(this) { ++*living_; }
  Counted& operator=(const Counted&) = default;
  ~Counted() {
    EXPECT_EQ(self_, this) << "destroyed where it was not made";
    --*living_;
  }

 private:
  int* living_;
  Counted* self_;
};

struct Pair {
  Counted first;
  Counted second;
};

// The shapes that README.md calls safe with g++ 12: each value is made and destroyed as often.
TEST(Task, ValuesInAwaitExpressionsDieOnce) {
  int living = 0;
  {
    Alone alone;
    const auto by_value = [](Counted value) -> Task<Counted> { co_return value; };
    const auto by_reference = [](const Counted& value) -> Task<Counted> { co_return value; };
    const auto in_pair = [](Counted value) -> Task<Pair> { co_return {value, value}; };
    const auto shapes = [&](Counted named) -> Task<> {
      const Counted a = co_await by_value(Counted(living));
      const Counted b = co_await by_value(named);
      const Counted c = co_await by_value(std::move(named));
      const Counted d = co_await by_reference(Counted(living));
      const auto [e, f] = co_await in_pair(Counted(living));
      const Counted g = co_await by_value(co_await by_value(a));
      if (const Counted h = co_await by_reference(b); true) co_await in_pair(h);
      Task<Counted> later = by_value(c);
      co_await std::move(later);
      const Task<Counted> never = by_value(d);
    };
    alone.Run(shapes(Counted(living)));
    EXPECT_EQ(living, 0);
  }
  EXPECT_EQ(living, 0);
}

TEST(Task, AChildHearsTheStopOfItsParent) {
  Alone alone;
  Gate gate;
  const auto child = [&]() -> Task<bool> {
    const bool passed = co_await gate.Pass();
    co_return passed;
  };
  const auto parent = [&]() -> Task<bool> {
    const bool passed = co_await child();
    co_return passed;
  };
  Task<bool> task = parent();
  alone.Begin(task);
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 0);
  alone.stop().RequestStop();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 1);
  EXPECT_FALSE(task.promise().Take());
}

TEST(Task, OneThatComputesLooksForItsStop) {
  Alone alone;
  int rounds = 0;
  const auto compute = [&]() -> Task<> {
    while (!co_await StopRequested()) {
      if (++rounds == 10) alone.stop().RequestStop();
    }
  };
  alone.Run(compute());
  EXPECT_EQ(rounds, 10);
}

TEST(Task, ReadyTasksTakeTurns) {
  Alone alone;
  std::string order;
  const auto letters = [&](char letter) -> Task<> {
    for (int i = 0; i < 3; ++i) {
      order += letter;
      (void)co_await StopRequested();  // Only to let the other go on.
    }
  };
  Task<> a = letters('a');
  Task<> b = letters('b');
  alone.Begin(a);
  alone.Begin(b);
  alone.RunAll();
  EXPECT_EQ(order, "ababab");
}

TEST(TaskDeathTest, OneThatWaitsMustNotBeDestroyed) {
  EXPECT_DEATH(
      {
        Alone alone;
        Gate gate;
        const auto wait = [&]() -> Task<> { (void)co_await gate.Pass(); };
        {
          Task<> task = wait();
          alone.Begin(task);
          alone.RunAll();
        }
      },
      "destroyed before it returned|element died");
}

TEST(TaskDeathTest, AnExceptionEndsTheProcess) {
  EXPECT_DEATH(
      {
        Alone alone;
        const auto thrower = []() -> Task<> {
          throw 1;
          co_return;
        };
        alone.Run(thrower());
      },
      "an exception left a task");
}

}  // namespace
}  // namespace orrery::coro
