// Every plan that is kept in plans/: each was a failure once, or shows a case that seeds reach
// rarely, and must now break no rule (or the one that it names).
//
// What would break: a bug that was mended would come back; or a plan would go on passing although
// it no longer comes to the case that it was kept for.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/plan.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {
namespace {

// Relative to the root of the tree, where tests run.
constexpr char kFolder[] = "tests/scenarios/plans";

std::vector<std::string> PlanFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class PlansTest : public testing::TestWithParam<std::string> {};

TEST_P(PlansTest, DoesWhatItPromises) {
  const auto plan = sim::ReadPlanFile(GetParam());
  ASSERT_TRUE(plan.has_value()) << plan.error();
  EXPECT_FALSE(plan->expected_marks.empty()) << "it does not say which marks it must pass";
  const Scenario* scenario = FindScenario(plan->scenario);
  ASSERT_NE(scenario, nullptr) << plan->scenario;
  const auto result = RunPlan(*scenario, *plan, {.events_shown = 0, .plan_path = GetParam()});
  ASSERT_TRUE(result.has_value()) << result.error();
  EXPECT_EQ(Difference(*plan, *result).value_or(""), "") << "\n" << result->report;
}

INSTANTIATE_TEST_SUITE_P(Kept, PlansTest, testing::ValuesIn(PlanFiles()),
                         [](const testing::TestParamInfo<std::string>& parameters) {
                           std::string name =
                               std::filesystem::path(parameters.param).stem().string();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace orrery::scenarios
