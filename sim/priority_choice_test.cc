// What would break: the strategy would be as fair as the others, and the bugs that need one
// participant to be starved for long, or one to fall behind at the right moment, would stay.
#include "sim/priority_choice.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "kernel_model/choice.h"

namespace orrery::sim {
namespace {

using model::Site;

// What order four participants, who could always run, get in so many steps.
std::vector<uint64_t> Schedule(uint64_t seed, unsigned depth, unsigned steps) {
  model::BenignChoice rest;
  PriorityChoice choice(rest, seed, depth);
  static constexpr std::array<uint64_t, 4> kNames = {3, 16, 17, 40};
  std::vector<uint64_t> ran;
  for (unsigned step = 0; step < steps; ++step) {
    ran.push_back(kNames[choice.ChooseAmong(Site::kSchedule, 0, step, kNames)]);
  }
  return ran;
}

size_t ChangesIn(const std::vector<uint64_t>& ran) {
  size_t changes = 0;
  for (size_t step = 1; step < ran.size(); ++step) changes += ran[step] != ran[step - 1] ? 1 : 0;
  return changes;
}

TEST(PriorityChoice, OfDepthOneRunsTheSameOneAlways) {
  std::set<uint64_t> first;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto ran = Schedule(seed, 1, 1000);
    EXPECT_EQ(ChangesIn(ran), 0u) << seed;
    first.insert(ran.front());
  }
  EXPECT_EQ(first.size(), 4u) << "who it is depends on the seed";
}

TEST(PriorityChoice, ChangesItsMindOneTimeFewerThanItsDepth) {
  std::set<size_t> changes;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    changes.insert(ChangesIn(Schedule(seed, 3, 200'000)));
    EXPECT_EQ(Schedule(seed, 3, 1000), Schedule(seed, 3, 1000));
  }
  // Two falls in one step are one change.
  EXPECT_TRUE(changes.contains(2));
  EXPECT_LE(*changes.rbegin(), 2u);
}

TEST(PriorityChoice, WhoFallsRunsWhenNobodyElseCan) {
  model::BenignChoice rest;
  unsigned changed = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    PriorityChoice choice(rest, seed, 2);
    const std::array<uint64_t, 2> both = {1, 2};
    const uint64_t before = both[choice.ChooseAmong(Site::kSchedule, 0, 0, both)];
    uint64_t after = before;
    for (unsigned step = 1; after == before && step < 200'000; ++step) {
      after = both[choice.ChooseAmong(Site::kSchedule, 0, step, both)];
    }
    // Whoever falls at the first question is not seen before it.
    if (after == before) continue;
    ++changed;
    const std::array<uint64_t, 1> alone = {before};
    EXPECT_EQ(choice.ChooseAmong(Site::kSchedule, 0, 0, alone), 0u);
  }
  EXPECT_GT(changed, 10u);
}

TEST(PriorityChoice, PassesOnWhatIsNoQuestionOfOrder) {
  class Ones final : public model::Choice {
   public:
    uint64_t Choose(Site, uint64_t, uint64_t, uint64_t) override { return 1; }
  };
  Ones ones;
  PriorityChoice choice(ones, 1, 1);
  EXPECT_EQ(choice.Choose(Site::kSendPartial, 1, 0, 10), 1u);
}

}  // namespace
}  // namespace orrery::sim
