// What would break: a seed's plan would not repeat the seed's run, a failing run would not say how
// to run it again, or a plan that no longer does what it promises would pass.
#include "tests/scenarios/scenario.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mark.h"
#include "base/mark_counts.h"
#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/plan.h"
#include "tests/scenarios/registry.h"

namespace orrery::scenarios {
namespace {

using model::Site;

// Asks a hundred questions and notes the answers; "send.partial" twice in a row is its bug.
class Toy final : public Scenario {
 public:
  std::string_view name() const override { return "toy"; }
  std::string_view description() const override { return "a test"; }

  sim::Plan Draw(uint64_t seed) const override {
    sim::Plan plan;
    plan.scenario = "toy";
    plan.seed = seed;
    plan.configuration["questions"] = 100;
    sim::SiteRates rates;
    rates.Set(Site::kSendPartial, sim::SiteRates::kAlways / 16);
    WriteRates(rates, plan.configuration);
    return plan;
  }

  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override {
    if (!plan.workload.empty()) return std::unexpected("a toy has no workload");
    const auto questions = static_cast<uint64_t>(sim::ValueOr(plan.configuration, "questions", 0));
    bool before = false;
    for (uint64_t ordinal = 0; ordinal < questions; ++ordinal) {
      log.set_now(static_cast<Nanoseconds>(ordinal) * kMillisecond);
      const uint64_t answer = choice.Choose(Site::kSendPartial, 1, ordinal, 10);
      log.Note("answer", 1, static_cast<int64_t>(answer), 0);
      if (before && answer != 0) {
        log.ReportViolation("twice", "two faults in a row", 1);
        break;
      }
      before = answer != 0;
      ORRERY_MARK_IF(before, "toy.fault");
    }
    return RunResult{};
  }
};

RunResult SeedOf(const Toy& toy, uint64_t seed) {
  auto result = RunSeed(toy, seed, {});
  EXPECT_TRUE(result.has_value());
  return *std::move(result);
}

// A seed that violates, or not.
uint64_t FindSeed(const Toy& toy, bool violates) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    if (SeedOf(toy, seed).violation.has_value() == violates) return seed;
  }
  ADD_FAILURE() << "no such seed";
  return 0;
}

TEST(RunSeed, ItsPlanRepeatsItThroughText) {
  const Toy toy;
  uint64_t violations = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const RunResult first = SeedOf(toy, seed);
    if (first.violation.has_value()) ++violations;
    const auto plan = sim::ReadPlan(sim::WritePlan(first.plan));
    ASSERT_TRUE(plan.has_value()) << plan.error();
    const auto second = RunPlan(toy, *plan, {});
    ASSERT_TRUE(second.has_value()) << second.error();
    EXPECT_EQ(second->hash, first.hash);
    EXPECT_EQ(second->events, first.events);
    EXPECT_EQ(second->plan, first.plan);
    EXPECT_EQ(second->unused_choices, 0u);
    EXPECT_FALSE(Difference(*plan, *second).has_value());
  }
  EXPECT_GT(violations, 5u);
  EXPECT_LT(violations, 95u);
}

TEST(RunSeed, AFailureSaysWhatWhenAndHowToRunItAgain) {
  const Toy toy;
  const uint64_t seed = FindSeed(toy, true);
  const RunResult result = SeedOf(toy, seed);
  EXPECT_NE(result.report.find("violated: twice"), std::string::npos) << result.report;
  EXPECT_NE(result.report.find("--scenario=toy --seed=" + sim::HexOf(seed)), std::string::npos);
  EXPECT_NE(result.report.find("last events of connection 1:"), std::string::npos);
  EXPECT_EQ(result.plan.expected_invariant, "twice");

  const auto replayed = RunPlan(toy, result.plan, {.events_shown = 3, .plan_path = "a.jsonl"});
  ASSERT_TRUE(replayed.has_value());
  EXPECT_NE(replayed->report.find("--plan=a.jsonl"), std::string::npos) << replayed->report;
  EXPECT_EQ(std::count(replayed->last_events.begin(), replayed->last_events.end(), '\n'), 3);
}

TEST(RunSeed, CountsFaultsBySite) {
  const Toy toy;
  const RunResult result = SeedOf(toy, FindSeed(toy, true));
  EXPECT_EQ(result.counters.at("fault.send.partial"), result.plan.choices.size());
  EXPECT_EQ(result.virtual_time, result.violation->time);
}

TEST(RunPlan, RefusesThePlanOfAnotherScenarioAndAWrongWorkload) {
  const Toy toy;
  sim::Plan plan = toy.Draw(1);
  plan.scenario = "server";
  EXPECT_EQ(RunPlan(toy, plan, {}).error(), "the plan is for the scenario \"server\"");
  plan.scenario = "toy";
  plan.workload.push_back({{"op", "send"}});
  EXPECT_EQ(RunPlan(toy, plan, {}).error(), "a toy has no workload");
}

TEST(Difference, IsAboutTheViolationAndTheHash) {
  const Toy toy;
  const RunResult good = SeedOf(toy, FindSeed(toy, false));
  const RunResult bad = SeedOf(toy, FindSeed(toy, true));
  EXPECT_FALSE(Difference(good.plan, good).has_value());
  EXPECT_FALSE(Difference(bad.plan, bad).has_value());
  sim::Plan plan = bad.plan;
  plan.expected_hash = 1;
  EXPECT_EQ(Difference(plan, bad).value().substr(0, 38), "the plan expects the event hash 0x1, t");
  plan.expected_invariant.reset();
  EXPECT_EQ(Difference(plan, bad),
            "the plan expects no violation, the run had the violation \"twice\"");
  plan = good.plan;
  plan.expected_invariant = "twice";
  EXPECT_EQ(Difference(plan, good),
            "the plan expects the violation \"twice\", the run had no violation");
}

TEST(Difference, APlanThatPassesItsMarksNoMoreIsStale) {
  if (MarkCounts().empty()) GTEST_SKIP() << "this build counts no marks";
  const Toy toy;
  sim::Plan plan = SeedOf(toy, FindSeed(toy, false)).plan;
  ASSERT_EQ(plan.expected_marks, std::vector<std::string>{"toy.fault"});
  plan.choices.clear();  // What it was made for does not happen any more.
  plan.expected_hash.reset();
  const auto result = RunPlan(toy, plan, {});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(Difference(plan, *result),
            "the plan is stale: it expects to pass the mark \"toy.fault\", the run did not");
}

TEST(RunPlan, SaysWhichChoicesNobodyAskedFor) {
  const Toy toy;
  sim::Plan plan = toy.Draw(1);
  plan.choices = {{.site = Site::kReceiveShort, .entity = 9, .ordinal = 0, .value = 1},
                  {.site = Site::kSendPartial, .entity = 1, .ordinal = 5, .value = 1}};
  const auto result = RunPlan(toy, plan, {});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->unused_choices, 1u);
  EXPECT_EQ(result->plan.choices.size(), 1u);
}

TEST(Rates, TravelInTheConfiguration) {
  sim::SiteRates rates;
  rates.Set(Site::kEnterBusy, 77);
  sim::Configuration configuration;
  WriteRates(rates, configuration);
  EXPECT_EQ(configuration, (sim::Configuration{{"rate.enter.busy", 77}}));
  EXPECT_EQ(RatesIn(configuration).of(Site::kEnterBusy), 77u);
  EXPECT_EQ(RatesIn(configuration).of(Site::kEnterAgain), 0u);
  configuration["rate.enter.again"] = 1 << 20;
  EXPECT_EQ(RatesIn(configuration).of(Site::kEnterAgain), sim::SiteRates::kAlways);
}

TEST(Strategy, IsDrawnWithTheSeedAndNamed) {
  std::map<std::string, int> seeds;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    sim::Configuration configuration;
    DrawStrategy(seed, configuration);
    ++seeds[StrategyIn(configuration)];
  }
  EXPECT_EQ(seeds.size(), 4u);
  EXPECT_GT(seeds["uniform"], 200);
  for (const char* name : {"pct-1", "pct-2", "pct-3"}) EXPECT_GT(seeds[name], 10) << name;
}

TEST(Strategy, IsNamedInResultsAndReports) {
  const Toy toy;
  const RunResult result = SeedOf(toy, FindSeed(toy, true));
  EXPECT_EQ(result.strategy, "uniform");
  EXPECT_NE(result.report.find("by:     uniform"), std::string::npos) << result.report;
  EXPECT_EQ(RunPlan(toy, result.plan, {})->strategy, "plan");
}

TEST(RunChoices, TakesAnyChoice) {
  const Toy toy;
  sim::PlanChoice choice({{.site = Site::kSendPartial, .entity = 1, .ordinal = 3, .value = 2},
                          {.site = Site::kSendPartial, .entity = 1, .ordinal = 4, .value = 1}});
  const auto result = RunChoices(toy, toy.Draw(1), choice, {});
  ASSERT_TRUE(result.has_value() && result->violation.has_value());
  EXPECT_EQ(result->plan.choices.size(), 2u);
}

TEST(Registry, FindsScenariosByName) {
  for (const Scenario* scenario : AllScenarios()) {
    EXPECT_EQ(FindScenario(scenario->name()), scenario);
    EXPECT_EQ(scenario->Draw(7), scenario->Draw(7));
    EXPECT_EQ(scenario->Draw(7).scenario, scenario->name());
  }
  EXPECT_EQ(FindScenario("nosuch"), nullptr);
}

}  // namespace
}  // namespace orrery::scenarios
