// What would break: a long search for bugs would end at the first crash, count one bug many times,
// or lose what it has found.
#include "tests/scenarios/soak.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/mark.h"
#include "base/units.h"
#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/plan.h"

namespace orrery::scenarios {
namespace {

using model::Site;

// Of every ten seeds, the one that ends in 3 breaks a rule, 5 fails a check, and 7 hangs. A plan of
// such a seed needs one choice for it, of the twenty that it has.
class Sick final : public Scenario {
 public:
  std::string_view name() const override { return "sick"; }
  std::string_view description() const override { return "a test"; }

  sim::Plan Draw(uint64_t seed) const override {
    sim::Plan plan;
    plan.scenario = "sick";
    plan.seed = seed;
    plan.configuration["disease"] = static_cast<int64_t>(seed % 10);
    sim::SiteRates rates;
    rates.Set(Site::kSendPartial, sim::SiteRates::kAlways);
    WriteRates(rates, plan.configuration);
    return plan;
  }

  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice& choice,
                                            sim::EventLog& log) const override {
    const int64_t disease = sim::ValueOr(plan.configuration, "disease", 0);
    ORRERY_MARK_IF(disease == 1, "test.soak-reached");
    ORRERY_MARK_IF(disease == 11, "test.soak-never-reached");
    log.set_now(1 * kSecond);
    bool sick = false;
    for (uint64_t ordinal = 0; ordinal < 20; ++ordinal) {
      log.Note("step", 1, 0, 0);
      if (choice.Choose(Site::kSendPartial, 1, ordinal, 3) != 0 && ordinal == 9) sick = true;
    }
    if (!sick) return RunResult{};
    if (disease == 3) log.ReportViolation("health/cold", "it sneezes", 1);
    ORRERY_CHECK(disease != 5);
    for (volatile bool forever = disease == 7; forever;) {
    }
    return RunResult{};
  }
};

const Sick kSick;

SoakOptions Options(std::string_view name) {
  SoakOptions options;
  options.scenarios = {&kSick};
  options.seeds_max = 40;
  options.jobs = 2;
  options.folder = testing::TempDir() + "/" + std::string(name);
  options.processor_time_max = 50 * kMillisecond;
  options.seeds_a_block = 16;
  options.plans_a_signature = 2;
  options.shrink_runs_max = 40;
  return options;
}

void RunToTheEnd(Soak& soak) {
  while (soak.Step(100 * kMillisecond)) {
  }
}

TEST(Soak, CountsKeepsAndShrinksWhatFails) {
  Soak soak(Options("all"));
  RunToTheEnd(soak);
  const SoakTotals& totals = soak.totals();
  EXPECT_EQ(totals.seeds, 40u);
  EXPECT_EQ(totals.failed, 12u);
  EXPECT_TRUE(soak.problems().empty());
  ASSERT_EQ(totals.failures.size(), 3u);
  for (const std::string signature :
       {"health/cold", "check tests/scenarios/soak_test.cc: disease != 5", "hang"}) {
    ASSERT_TRUE(totals.failures.contains(signature)) << signature;
    const SoakFailure& failure = totals.failures.at(signature);
    EXPECT_EQ(failure.count, 4u) << signature;
    ASSERT_EQ(failure.seeds.size(), 2u) << "the first ones are kept";
    for (const SoakFailure::Seed& seed : failure.seeds) {
      const auto plan = sim::ReadPlanFile(seed.plan_path);
      ASSERT_TRUE(plan.has_value()) << plan.error();
      EXPECT_EQ(plan->seed, seed.seed);
      EXPECT_EQ(plan->choices.size(), 20u) << signature;
      EXPECT_EQ(seed.lines, 21u);
    }
    const auto small = sim::ReadPlanFile(failure.small_path);
    ASSERT_TRUE(small.has_value()) << small.error();
    ASSERT_EQ(small->choices.size(), 1u) << signature;
    EXPECT_EQ(small->choices[0].ordinal, 9u);
    EXPECT_EQ(failure.small_lines, 2u);
  }
  EXPECT_NE(totals.failures.at("health/cold").report.find("it sneezes"), std::string::npos);
}

TEST(Soak, CountsWhatRunsDid) {
  SoakOptions options = Options("counts");
  options.seeds_max = 3;
  Soak soak(options);
  RunToTheEnd(soak);
  EXPECT_EQ(soak.totals().seeds, 3u);
  EXPECT_EQ(soak.totals().events, 60u);
  EXPECT_EQ(soak.totals().virtual_time, 3 * kSecond);
#ifdef ORRERY_DCHECKS
  EXPECT_EQ(soak.totals().marks, std::set<std::string>{"test.soak-reached"});
#endif
  EXPECT_FALSE(std::filesystem::exists(options.folder)) << "nothing has failed";
}

TEST(Soak, TakesTurnsAmongScenarios) {
  SoakOptions options = Options("turns");
  static const Sick kTwin;
  options.scenarios = {&kSick, &kTwin};
  options.seeds_max = 2;
  Soak soak(options);
  RunToTheEnd(soak);
  EXPECT_EQ(soak.totals().seeds, 4u);
}

TEST(Soak, EndsSoonWhenItIsTold) {
  SoakOptions options = Options("soon");
  options.seeds_max = UINT64_MAX;
  Soak soak(options);
  while (soak.totals().seeds < 20) ASSERT_TRUE(soak.Step(100 * kMillisecond));
  soak.StopSoon();
  RunToTheEnd(soak);
  EXPECT_LT(soak.totals().seeds, 400u);
  EXPECT_FALSE(soak.totals().failures.empty());
}

TEST(Soak, EndsNowWithThePlansOfWhatHasFailed) {
  SoakOptions options = Options("now");
  options.seeds_max = UINT64_MAX;
  options.shrink_runs_max = 1'000'000;
  Soak soak(options);
  while (soak.totals().failures.empty()) ASSERT_TRUE(soak.Step(100 * kMillisecond));
  soak.StopNow();
  RunToTheEnd(soak);
  for (const auto& [signature, failure] : soak.totals().failures) {
    EXPECT_FALSE(failure.seeds.front().plan_path.empty()) << signature;
  }
}

TEST(Soak, SaysWhatItCouldNotWrite) {
  SoakOptions options = Options("unwritable");
  options.folder = "/proc/nowhere";
  options.seeds_max = 4;
  Soak soak(options);
  RunToTheEnd(soak);
  EXPECT_FALSE(soak.problems().empty());
  EXPECT_EQ(soak.totals().failed, 1u);
}

}  // namespace
}  // namespace orrery::scenarios
