// What matters stays, everything else goes, and the number of tries is bounded.
#include "tests/acceptor/shrink.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace orrery::acceptor {
namespace {

constexpr size_t kPlenty = 10'000;

bool Has(const Program& program, uint32_t id) {
  return std::any_of(program.steps.begin(), program.steps.end(),
                     [id](const Step& step) { return step.id == id; });
}

Program Long() {
  Program program{.connections = 3, .buffers = 4, .steps = {}};
  for (uint32_t id = 1; id <= 37; ++id) program.steps.push_back({.id = id});
  return program;
}

TEST(Shrink, LeavesTheStepsThatMatter) {
  const auto fails = [](const Program& program) { return Has(program, 5) && Has(program, 30); };
  const Program shortest = Shrink(Long(), fails, kPlenty);
  EXPECT_EQ(shortest.connections, 1U);
  EXPECT_EQ(shortest.buffers, 0U);
  ASSERT_EQ(shortest.steps.size(), 2U);
  EXPECT_EQ(shortest.steps[0].id, 5U);
  EXPECT_EQ(shortest.steps[1].id, 30U);
}

TEST(Shrink, MayLeaveNothing) {
  EXPECT_TRUE(Shrink(Long(), [](const Program&) { return true; }, kPlenty).steps.empty());
}

TEST(Shrink, TriesNoMoreThanItMay) {
  size_t tries = 0;
  const auto never = [&](const Program&) {
    ++tries;
    return false;
  };
  EXPECT_EQ(Shrink(Long(), never, 5), Long());
  EXPECT_EQ(tries, 5U);
}

}  // namespace
}  // namespace orrery::acceptor
