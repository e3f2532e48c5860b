// A workload that does not come back from its lines makes a plan that shows something else.
#include "tests/scenarios/device_workload.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/prng.h"
#include "sim/plan.h"

namespace orrery::scenarios {
namespace {

TEST(DeviceWorkload, ComesBackFromItsLines) {
  std::set<DeviceStep::Kind> device_kinds;
  std::set<DeviceStep::Wrong> wrongs;
  std::set<HostStep::Kind> host_kinds;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Prng prng(seed);
    const DeviceWorkload workload = GenerateDeviceWorkload(prng, 5000, 300);
    sim::Plan plan;
    plan.scenario = "device";
    WriteDeviceWorkload(workload, plan.workload);
    const auto plan_back = sim::ReadPlan(sim::WritePlan(plan));
    ASSERT_TRUE(plan_back.has_value()) << plan_back.error();
    const auto back = ReadDeviceWorkload(plan_back->workload);
    ASSERT_TRUE(back.has_value()) << back.error();
    EXPECT_EQ(*back, workload) << "seed " << seed;
    for (const DeviceStep& step : workload.device) {
      device_kinds.insert(step.kind);
      wrongs.insert(step.wrong);
    }
    for (const HostStep& step : workload.host) host_kinds.insert(step.kind);
  }
  EXPECT_EQ(device_kinds.size(), 9U) << "some step is never drawn";
  EXPECT_EQ(wrongs.size(), 6U);
  EXPECT_EQ(host_kinds.size(), 5U);
}

TEST(DeviceWorkload, WhatIsWrongHasAReason) {
  const auto problem_of = [](const char* text) {
    const auto result = ReadDeviceWorkload({sim::Json::parse(text)});
    return result.has_value() ? "" : result.error();
  };
  EXPECT_EQ(problem_of(R"({"do":"read"})"), "workload item 1: \"op\" must be a string");
  EXPECT_EQ(problem_of(R"({"op":"fly","do":"x"})"), "workload item 1: no item has the op \"fly\"");
  EXPECT_EQ(problem_of(R"({"op":"device","do":"x"})"),
            "workload item 1: no device's step has the name \"x\"");
  EXPECT_EQ(problem_of(R"({"op":"host","do":"wait","access":4})"),
            "workload item 1: \"access\" must be a whole number up to 3");
}

}  // namespace
}  // namespace orrery::scenarios
