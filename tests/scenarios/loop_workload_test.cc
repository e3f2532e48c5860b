// A workload that does not come back from its lines makes a plan that shows something else.
#include "tests/scenarios/loop_workload.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/plan.h"

namespace orrery::scenarios {
namespace {

TEST(LoopWorkload, ComesBackFromItsLines) {
  std::set<CallerStep::Kind> kinds;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Prng prng(seed);
    LoopWorkload workload = GenerateLoopWorkload(prng, seed % 2 == 0);
    AddMultishots(prng, seed % 2 == 0, workload);
    sim::Plan plan;
    plan.scenario = "loop";
    WriteLoopWorkload(workload, plan.workload);
    const auto plan_back = sim::ReadPlan(sim::WritePlan(plan));
    ASSERT_TRUE(plan_back.has_value()) << plan_back.error();
    const auto back = ReadLoopWorkload(plan_back->workload);
    ASSERT_TRUE(back.has_value()) << back.error();
    EXPECT_EQ(*back, workload) << "seed " << seed;
    for (const CallerScript& script : workload.callers) {
      for (const CallerStep& step : script.steps) kinds.insert(step.kind);
    }
  }
  EXPECT_EQ(kinds.size(), 20U) << "some step is never drawn";
}

TEST(LoopWorkload, WhatIsWrongHasAReason) {
  const auto problem_of = [](const char* text) {
    const auto result = ReadLoopWorkload({sim::Json::parse(text)});
    return result.has_value() ? "" : result.error();
  };
  EXPECT_EQ(problem_of(R"({"op":"fly"})"), "workload item 1: \"do\" must be a string");
  EXPECT_EQ(problem_of(R"({"op":"fly","do":"x"})"), "workload item 1: no item has the op \"fly\"");
  EXPECT_EQ(problem_of(R"({"op":"call","do":"x"})"), "workload item 1: no call has the name \"x\"");
  EXPECT_EQ(problem_of(R"({"op":"call","do":"nop","bytes":-1})"),
            "workload item 1: \"bytes\" must be a whole number up to 16777216");
}

}  // namespace
}  // namespace orrery::scenarios
