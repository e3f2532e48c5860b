// WhenAll and WhenAny: what would break is a result in another's place, or a task that is still
// running when what it was given has gone.
#include "runtime/coro/when.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/coro/alone.h"
#include "runtime/coro/task.h"

namespace orrery::coro {
namespace {

Task<int> Number(int value) { co_return value; }
Task<std::unique_ptr<std::string>> Text(const char* text) {
  co_return std::make_unique<std::string>(text);
}
Task<> Nothing() { co_return; }
Task<bool> Pass(Gate& gate) {
  const bool passed = co_await gate.Pass();
  co_return passed;
}

TEST(WhenAll, GivesEveryResultInItsPlace) {
  Alone alone;
  auto [number, text, nothing] = alone.Run(WhenAll(Number(1), Text("two"), Nothing()));
  EXPECT_EQ(number, 1);
  EXPECT_EQ(*text, "two");
  EXPECT_EQ(nothing, std::monostate());
}

TEST(WhenAll, OfNoneIsDone) {
  Alone alone;
  EXPECT_EQ(alone.Run(WhenAll()), std::tuple<>());
  EXPECT_TRUE(alone.Run(WhenAll(std::vector<Task<int>>())).empty());
}

TEST(WhenAll, KeepsTheOrderOfAVectorWhateverEndsFirst) {
  Alone alone;
  Gate gate;
  const auto late = [&](int value) -> Task<int> {
    (void)co_await gate.Pass();
    co_return value;
  };
  std::vector<Task<int>> tasks;
  tasks.push_back(late(1));
  tasks.push_back(Number(2));
  tasks.push_back(late(3));
  Task<std::vector<int>> all = WhenAll(std::move(tasks));
  alone.Begin(all);
  alone.RunAll();
  EXPECT_EQ(alone.ended(), 0);
  gate.Open();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 1);
  EXPECT_EQ(all.promise().Take(), (std::vector<int>{1, 2, 3}));
}

TEST(WhenAll, PassesTheStopOn) {
  Alone alone;
  Gate gate;
  auto all = WhenAll(Pass(gate), Pass(gate));
  alone.Begin(all);
  alone.RunAll();
  alone.stop().RequestStop();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 1);
  EXPECT_EQ(all.promise().Take(), std::tuple(false, false));
}

TEST(WhenAny, GivesTheFirstAndStopsTheRest) {
  Alone alone;
  Gate gate;
  const auto result = alone.Run(WhenAny(Pass(gate), Number(5), Pass(gate)));
  ASSERT_EQ(result.index(), 1u);
  EXPECT_EQ(std::get<1>(result), 5);
}

// The point of it all: what the loser uses may die when WhenAny returns.
TEST(WhenAny, WaitsForTheLosers) {
  Alone alone;
  Gate gate;
  int rounds = 0;
  const auto loser = [&]() -> Task<> {
    EXPECT_FALSE(co_await gate.Pass());
    // As an operation that the kernel does not let go of at once.
    for (; rounds < 10; ++rounds) (void)co_await StopRequested();
  };
  const auto result = alone.Run(WhenAny(loser(), Number(5)));
  EXPECT_EQ(result.index(), 1u);
  EXPECT_EQ(rounds, 10);
}

TEST(WhenAny, PassesTheStopOn) {
  Alone alone;
  Gate gate;
  auto any = WhenAny(Pass(gate), Pass(gate));
  alone.Begin(any);
  alone.RunAll();
  alone.stop().RequestStop();
  alone.RunAll();
  ASSERT_EQ(alone.ended(), 1);
  const auto result = any.promise().Take();
  ASSERT_EQ(result.index(), 0u);
  EXPECT_FALSE(std::get<0>(result));
}

TEST(WhenAny, OfAVector) {
  Alone alone;
  Gate gate;
  std::vector<Task<bool>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(Pass(gate));
  const auto yes = []() -> Task<bool> { co_return true; };
  tasks.push_back(yes());
  const FirstResult<bool> first = alone.Run(WhenAny(std::move(tasks)));
  EXPECT_EQ(first.index, 3u);
  EXPECT_TRUE(first.value);
}

}  // namespace
}  // namespace orrery::coro
