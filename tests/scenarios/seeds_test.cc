// The default seeds of every scenario: no rule is broken, and a seed is one run.
//
// What would break: anything at all; that is what it is for. A failure prints its report and the
// command that repeats it.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <tuple>

#include "tests/scenarios/default_seeds.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {
namespace {

// For searches on many machines (docs/testing.md): each further run of --runs_per_test has seeds of
// its own, and all of them begin elsewhere when the environment says so.
uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr) return otherwise;
  const auto number = sim::ParseNumber(text);
  return number.has_value() ? *number : otherwise;
}

uint64_t FirstSeed() {
  // Bazel gives it to each of several runs: 1 and up.
  const uint64_t run = FromEnvironment("TEST_RANDOM_SEED", 1);
  return FromEnvironment("ORRERY_FIRST_SEED", 0) + (run - 1) * kDefaultSeeds;
}

class SeedsTest : public testing::TestWithParam<std::tuple<const Scenario*, uint64_t>> {
 protected:
  const Scenario& scenario() const { return *std::get<0>(GetParam()); }
  uint64_t first() const { return FirstSeed() + std::get<1>(GetParam()) * kSeedsABlock; }
};

TEST_P(SeedsTest, BreakNoRule) {
  uint64_t events = 0;
  for (uint64_t seed = first(); seed < first() + kSeedsABlock; ++seed) {
    const auto result = RunSeed(scenario(), seed, {});
    ASSERT_TRUE(result.has_value()) << result.error();
    ASSERT_FALSE(result->violation.has_value()) << "\n" << result->report;
    events += result->events;
  }
  RecordProperty("events", std::to_string(events));
}

TEST_P(SeedsTest, AreOneRunEachAndSoAreTheirPlans) {
  const uint64_t seed = first();
  const auto once = RunSeed(scenario(), seed, {});
  const auto twice = RunSeed(scenario(), seed, {});
  ASSERT_TRUE(once.has_value() && twice.has_value());
  EXPECT_EQ(once->hash, twice->hash) << seed;
  EXPECT_EQ(once->plan, twice->plan) << seed;
  const auto plan = sim::ReadPlan(sim::WritePlan(once->plan));
  ASSERT_TRUE(plan.has_value()) << plan.error();
  const auto replayed = RunPlan(scenario(), *plan, {});
  ASSERT_TRUE(replayed.has_value()) << replayed.error();
  EXPECT_EQ(Difference(*plan, *replayed).value_or(""), "") << seed;
  EXPECT_EQ(replayed->unused_choices, 0u) << seed;
}

INSTANTIATE_TEST_SUITE_P(Default, SeedsTest,
                         testing::Combine(testing::ValuesIn(AllScenarios().begin(),
                                                            AllScenarios().end()),
                                          testing::Range(uint64_t{0}, kBlocks)),
                         [](const testing::TestParamInfo<SeedsTest::ParamType>& parameters) {
                           return std::string(std::get<0>(parameters.param)->name()) + "_from_" +
                                  std::to_string(std::get<1>(parameters.param) * kSeedsABlock);
                         });

}  // namespace
}  // namespace orrery::scenarios
