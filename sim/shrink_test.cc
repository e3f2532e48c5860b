// What would break: a failing run of thousands of lines would be handed to a person, or a small one
// that fails for another reason, or another one in every run of the shrinker.
#include "sim/shrink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "sim/plan.h"

namespace orrery::sim {
namespace {

using model::Site;
using Fails = std::function<bool(const Plan&)>;

// Ten clients with twenty steps each, five hundred choices, and a configuration.
Plan LargePlan() {
  Plan plan;
  plan.scenario = "test";
  plan.seed = 99;
  plan.configuration = {
      {"sq_entries", 64}, {"buffers", 300}, {"rate.send.partial", 512}, {"strategy", 1}};
  for (uint64_t client = 0; client < 10; ++client) {
    plan.workload.push_back({{"op", "client"}, {"client", client}, {"ns", 5000}});
    for (uint64_t step = 0; step < 20; ++step) {
      Json send = {{"op", "send"}, {"client", client}, {"portions", {3, 7, 9}}};
      send["commands"] = {{"GET", "a"}, {"SET", "b", {{"fill", 5000 + step}, {"seed", 17}}}};
      plan.workload.push_back(send);
    }
  }
  for (uint64_t choice = 0; choice < 500; ++choice) {
    plan.choices.push_back({.site = choice % 2 == 0 ? Site::kSendPartial : Site::kSchedule,
                            .entity = choice % 10,
                            .ordinal = choice / 10,
                            .value = 1000 + choice});
  }
  return plan;
}

// Runs that take exactly the planned choices.
RunPlanAgain When(const Fails& fails) {
  return [fails](const Plan& plan) -> std::optional<Plan> {
    if (!fails(plan)) return std::nullopt;
    return plan;
  };
}

bool HasChoice(const Plan& plan, Site site, uint64_t entity, uint64_t ordinal, uint64_t least) {
  return std::any_of(plan.choices.begin(), plan.choices.end(), [&](const PlannedChoice& choice) {
    return choice.site == site && choice.entity == entity && choice.ordinal == ordinal &&
           choice.value >= least;
  });
}

// Whether a client sets at least so many bytes.
bool Sets(const Plan& plan, uint64_t client, uint64_t bytes_min) {
  for (const Json& item : plan.workload) {
    if (item["op"] != "send" || item["client"] != client || !item.contains("commands")) continue;
    for (const Json& command : item["commands"]) {
      if (command.size() != 3 || command[0] != "SET" || !command[2].is_object()) continue;
      if (command[2].value("fill", uint64_t{0}) >= bytes_min) return true;
    }
  }
  return false;
}

TEST(Shrink, LeavesWhatTheFailureNeeds) {
  const Fails fails = [](const Plan& plan) {
    return Sets(plan, 3, 1000) && HasChoice(plan, Site::kSendPartial, 4, 6, 3) &&
           HasChoice(plan, Site::kSchedule, 7, 12, 1) &&
           ValueOr(plan.configuration, "buffers", 16) > 20;
  };
  const Plan plan = LargePlan();
  EXPECT_EQ(LinesOf(plan), 711u);
  const ShrinkResult result = Shrink(plan, When(fails), {});
  EXPECT_EQ(result.end, ShrinkEnd::kSmallest);
  EXPECT_TRUE(fails(result.plan));
  EXPECT_EQ(LinesOf(result.plan), 4u) << WritePlan(result.plan);
  ASSERT_EQ(result.plan.workload.size(), 1u);
  const Json& item = result.plan.workload[0];
  EXPECT_EQ(item["commands"].size(), 1u) << item;
  EXPECT_FALSE(item.contains("portions")) << item;
  EXPECT_EQ(item["commands"][0][2].size(), 1u) << item;
  EXPECT_LT(item["commands"][0][2]["fill"], 1200) << item;
  ASSERT_EQ(result.plan.choices.size(), 2u);
  EXPECT_LT(result.plan.choices[0].value, 5u);
  EXPECT_EQ(result.plan.choices[1].value, 1u);
  EXPECT_EQ(result.plan.seed, 0u);
  ASSERT_EQ(result.plan.configuration.size(), 1u);
  EXPECT_LT(result.plan.configuration.at("buffers"), 25);
  EXPECT_LT(result.runs, 400u);
}

TEST(Shrink, IsTheSameEveryTime) {
  const Fails fails = [](const Plan& plan) {
    return plan.workload.size() % 7 == 0 || HasChoice(plan, Site::kSchedule, 3, 4, 2);
  };
  const ShrinkResult once = Shrink(LargePlan(), When(fails), {});
  const ShrinkResult twice = Shrink(LargePlan(), When(fails), {});
  EXPECT_EQ(once.runs, twice.runs);
  EXPECT_EQ(WritePlan(once.plan), WritePlan(twice.plan));
}

TEST(Shrink, RenumbersTheConnectionsOfTheClientsThatStay) {
  // Client n has connection n as long as nobody before it is missing.
  const Fails fails = [](const Plan& plan) {
    uint64_t connection = 0;
    for (uint64_t client = 0; client < 10; ++client) {
      const bool there = std::any_of(plan.workload.begin(), plan.workload.end(),
                                     [&](const Json& item) { return item["client"] == client; });
      if (!there) continue;
      if (client == 8) return HasChoice(plan, Site::kSendPartial, connection, 6, 1);
      ++connection;
    }
    return false;
  };
  const ShrinkResult result = Shrink(LargePlan(), When(fails), {});
  EXPECT_EQ(LinesOf(result.plan), 3u) << WritePlan(result.plan);
  EXPECT_EQ(result.plan.choices[0].entity, 0u);
}

TEST(Shrink, DropsWhatTheRunNeverAskedFor) {
  const RunPlanAgain run = [](const Plan& plan) -> std::optional<Plan> {
    Plan happened = plan;
    std::erase_if(happened.choices, [](const PlannedChoice& choice) { return choice.ordinal > 2; });
    return happened;
  };
  const ShrinkResult result = Shrink(LargePlan(), run, {});
  EXPECT_EQ(LinesOf(result.plan), 1u);
}

TEST(Shrink, JoinsStepsThatAreAlike) {
  const Fails fails = [](const Plan& plan) {
    size_t commands = 0;
    for (const Json& item : plan.workload) {
      if (item.contains("commands") && item["client"] == 2) commands += item["commands"].size();
    }
    return commands >= 20;
  };
  const ShrinkResult result = Shrink(LargePlan(), When(fails), {});
  EXPECT_EQ(LinesOf(result.plan), 2u) << WritePlan(result.plan);
}

TEST(Shrink, EndsWhenItsRunsAreUsedUp) {
  uint64_t runs = 0;
  const RunPlanAgain run = [&](const Plan& plan) -> std::optional<Plan> {
    ++runs;
    if (!Sets(plan, 3, 1000)) return std::nullopt;
    return plan;
  };
  const ShrinkResult result = Shrink(LargePlan(), run, {.runs_max = 10, .out_of_time = {}});
  EXPECT_EQ(result.end, ShrinkEnd::kRunsUsedUp);
  EXPECT_EQ(result.runs, 10u);
  EXPECT_EQ(runs, 10u);
  EXPECT_TRUE(Sets(result.plan, 3, 1000)) << "what is left fails";
}

TEST(Shrink, EndsWhenItsTimeIsOver) {
  uint64_t asked = 0;
  const ShrinkResult result =
      Shrink(LargePlan(), When([](const Plan& plan) { return Sets(plan, 3, 1000); }),
             {.out_of_time = [&] { return ++asked > 5; }});
  EXPECT_EQ(result.end, ShrinkEnd::kOutOfTime);
  EXPECT_EQ(result.runs, 5u);
  EXPECT_TRUE(Sets(result.plan, 3, 1000));
}

}  // namespace
}  // namespace orrery::sim
