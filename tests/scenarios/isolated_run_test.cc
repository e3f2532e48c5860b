// What would break: a seed that crashes or hangs would have no plan and no signature, or its plan
// could not be made small.
#include "tests/scenarios/isolated_run.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/check.h"
#include "base/units.h"
#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/plan.h"
#include "sim/shrink.h"

namespace orrery::scenarios {
namespace {

using model::Site;

// Asks a hundred questions. The third partial send is its bug, which shows as the plan says.
class Fragile final : public Scenario {
 public:
  enum How : int64_t { kViolates, kChecks, kHangs };
  explicit Fragile(How how) : how_(how) {}

  std::string_view name() const override { return "fragile"; }
  std::string_view description() const override { return "a test"; }

  sim::Plan Draw(uint64_t seed) const override {
    sim::Plan plan;
    plan.scenario = "fragile";
    plan.seed = seed;
    plan.configuration["how"] = how_;
    sim::SiteRates rates;
    rates.Set(Site::kSendPartial, sim::SiteRates::kAlways / 4);
    rates.Set(Site::kSchedule, sim::SiteRates::kAlways / 2);
    WriteRates(rates, plan.configuration);
    return plan;
  }

  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override {
    uint64_t partial = 0;
    for (uint64_t ordinal = 0; ordinal < 100; ++ordinal) {
      log.Note("step", 1, static_cast<int64_t>(ordinal), 0);
      (void)choice.Choose(Site::kSchedule, 1, ordinal, 5);
      if (choice.Choose(Site::kSendPartial, 1, ordinal, 10) != 0) ++partial;
      if (partial == 3) Break(sim::ValueOr(plan.configuration, "how", how_), log);
      if (log.violation().has_value()) break;
    }
    return RunResult{};
  }

 private:
  static void Break(int64_t how, sim::EventLog& log) {
    if (how == kViolates) log.ReportViolation("thrice/in-a-run", "it is broken", 1);
    ORRERY_CHECK(how != kChecks);
    for (volatile bool forever = how == kHangs; forever;) {
    }
  }

  How how_;
};

constexpr sim::ChildLimits kLimits{.processor_time_max = 100 * kMillisecond};

void ExpectShrinks(Fragile::How how, std::string_view signature) {
  const Fragile scenario(how);
  IsolatedRunner runner(kLimits);
  const auto result = runner.RunSeed(scenario, 1);
  ASSERT_TRUE(result.has_value()) << result.error();
  EXPECT_EQ(result->signature, signature);
  EXPECT_GT(result->plan.choices.size(), 5u);

  // Its plan, through text, fails in the same way.
  const auto plan = sim::ReadPlan(sim::WritePlan(result->plan));
  ASSERT_TRUE(plan.has_value()) << plan.error();
  const auto again = runner.RunPlan(scenario, *plan);
  ASSERT_TRUE(again.has_value()) << again.error();
  EXPECT_EQ(again->signature, signature);
  EXPECT_EQ(again->plan.choices, result->plan.choices);

  const auto small = ShrinkIsolated(runner, scenario, *plan, {.runs_max = 60, .out_of_time = {}});
  ASSERT_TRUE(small.has_value()) << small.error();
  ASSERT_EQ(small->plan.choices.size(), 3u) << sim::WritePlan(small->plan);
  for (const sim::PlannedChoice& choice : small->plan.choices) {
    EXPECT_EQ(choice.site, Site::kSendPartial);
    EXPECT_EQ(choice.value, 1u);
  }
  EXPECT_TRUE(small->plan.configuration.empty()) << sim::WritePlan(small->plan);
}

TEST(IsolatedRun, AViolationHasASignatureAndAPlanThatShrinks) {
  ExpectShrinks(Fragile::kViolates, "thrice/in-a-run");
}

TEST(IsolatedRun, AFailingCheckHasASignatureAndAPlanThatShrinks) {
  ExpectShrinks(Fragile::kChecks, "check tests/scenarios/isolated_run_test.cc: how != kChecks");
}

TEST(IsolatedRun, AHangHasASignatureAndAPlanThatShrinks) { ExpectShrinks(Fragile::kHangs, "hang"); }

// Breaks when a send is partial, and hangs or goes on for long when nothing was scheduled oddly.
class Slow final : public Scenario {
 public:
  enum class How : uint8_t { kManyEvents, kBusy };
  explicit Slow(How how) : how_(how) {}
  std::string_view name() const override { return "slow"; }
  std::string_view description() const override { return "a test"; }
  sim::Plan Draw(uint64_t) const override {
    sim::Plan plan;
    plan.scenario = "slow";
    for (const Site site : {Site::kSchedule, Site::kSendPartial}) {
      plan.choices.push_back({.site = site, .entity = 1, .ordinal = 0, .value = 1});
    }
    return plan;
  }
  std::expected<RunResult, std::string> Run(const sim::Plan&, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override {
    log.Note("step", 1, 0, 0);
    const bool odd = choice.Choose(Site::kSchedule, 1, 0, 2) != 0;
    const bool partial = choice.Choose(Site::kSendPartial, 1, 0, 2) != 0;
    if (how_ == How::kManyEvents) {
      for (int event = 0; !odd && event < 20'000; ++event) log.Note("step", 1, event, 0);
      if (partial) log.OnViolation("broken", "on purpose");
    } else {
      // Much less than the runner's limit, when it ends.
      for (volatile int64_t left = odd ? INT64_MAX : 150'000'000; partial && left > 0;)
        left = left - 1;
    }
    return RunResult{};
  }

 private:
  How how_;
};

TEST(IsolatedRun, ShrinkingGivesUpOnWhatMakesManyTimesAsManyEvents) {
  const Slow scenario(Slow::How::kManyEvents);
  IsolatedRunner runner({});
  const auto small = ShrinkIsolated(runner, scenario, scenario.Draw(0), {.out_of_time = {}});
  ASSERT_TRUE(small.has_value()) << small.error();
  // Without the odd schedule it fails as well, but later.
  EXPECT_EQ(small->plan.choices.size(), 2u);
}

TEST(IsolatedRun, WhatIsOnlySlowIsNotTakenForAHang) {
  const Slow scenario(Slow::How::kBusy);
  IsolatedRunner runner({.processor_time_max = 2 * kSecond});
  const auto small = ShrinkIsolated(runner, scenario, scenario.Draw(0),
                                    {.runs_max = 4, .out_of_time = {}}, 20 * kMillisecond);
  ASSERT_TRUE(small.has_value()) << small.error();
  EXPECT_EQ(small->plan.choices.size(), 2u);
}

TEST(IsolatedRun, ARunThatBreaksNothingHasAHashAndNoSignature) {
  const Fragile scenario(Fragile::kViolates);
  IsolatedRunner runner(kLimits);
  const sim::Plan empty = [&] {
    sim::Plan plan = scenario.Draw(1);
    plan.configuration.clear();
    return plan;
  }();
  const auto isolated = runner.RunPlan(scenario, empty);
  const auto here = RunPlan(scenario, empty, {});
  ASSERT_TRUE(isolated.has_value() && here.has_value());
  EXPECT_EQ(isolated->signature, "");
  EXPECT_EQ(isolated->hash, here->hash);
  EXPECT_EQ(isolated->events, 100u);
  EXPECT_EQ(ShrinkIsolated(runner, scenario, empty, {}).error(), "the plan breaks no rule");
}

TEST(IsolatedRun, SaysWhatIsWrongWithAPlan) {
  const Fragile scenario(Fragile::kViolates);
  IsolatedRunner runner(kLimits);
  sim::Plan plan = scenario.Draw(1);
  plan.scenario = "another";
  EXPECT_EQ(runner.RunPlan(scenario, plan).error(), "the plan is for the scenario \"another\"");
}

}  // namespace
}  // namespace orrery::scenarios
