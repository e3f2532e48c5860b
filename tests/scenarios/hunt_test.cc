// What would break: a planted bug would be found by a seed that is not the first, by more of them
// than it took, or not at all because it crashes or hangs.
#include "tests/scenarios/hunt.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/units.h"
#include "sim/child.h"
#include "sim/event_log.h"
#include "sim/plan.h"

namespace orrery::scenarios {
namespace {

// Breaks with one seed, in one way.
class Broken final : public Scenario {
 public:
  enum class How : uint8_t { kNever, kViolates, kChecks, kHangs };
  Broken(std::string_view name, How how, uint64_t seed) : name_(name), how_(how), seed_(seed) {}

  std::string_view name() const override { return name_; }
  std::string_view description() const override { return "a test"; }
  sim::Plan Draw(uint64_t seed) const override {
    sim::Plan plan;
    plan.scenario = name_;
    plan.seed = seed;
    DrawStrategy(seed, plan.configuration);
    return plan;
  }
  std::expected<RunResult, std::string> Run(const sim::Plan& plan, sim::RecordingChoice&,
                                            sim::EventLog& log) const override {
    log.Note("step", 1, 0, 0);
    if (plan.seed != seed_) return RunResult{};
    if (how_ == How::kViolates) log.OnViolation("broken", "on purpose");
    ORRERY_CHECK(how_ != How::kChecks);
    for (volatile bool forever = how_ == How::kHangs; forever;) {
    }
    return RunResult{};
  }

 private:
  std::string name_;
  How how_;
  uint64_t seed_;
};

constexpr sim::ChildLimits kLimits{.processor_time_max = 100 * kMillisecond};

HuntResult HuntAmong(const Scenario& one, const Scenario& other, uint64_t seeds_max) {
  const std::array<const Scenario*, 2> scenarios = {&one, &other};
  IsolatedRunner runner(kLimits);
  return Hunt(runner, {.scenarios = scenarios, .first_seed = 5, .seeds_max = seeds_max});
}

void ExpectFinds(Broken::How how, std::string_view signature) {
  const Broken sound("sound", Broken::How::kNever, 0);
  const Broken broken("broken", how, 8);
  const HuntResult hunt = HuntAmong(sound, broken, 100);
  EXPECT_EQ(hunt.scenario, &broken);
  EXPECT_EQ(hunt.seed, 8u);
  EXPECT_EQ(hunt.seeds, 4u);  // 5, 6, 7 and 8.
  EXPECT_EQ(hunt.failure.signature, signature);
  EXPECT_EQ(hunt.failure.plan.seed, 8u);
  EXPECT_GE(hunt.processor_time, hunt.failure.processor_time);
}

TEST(Hunt, FindsAViolation) { ExpectFinds(Broken::How::kViolates, "broken"); }

TEST(Hunt, FindsAFailingCheck) {
  ExpectFinds(Broken::How::kChecks, "check tests/scenarios/hunt_test.cc: how_ != How::kChecks");
}

TEST(Hunt, FindsAHang) { ExpectFinds(Broken::How::kHangs, "hang"); }

TEST(Hunt, AllScenariosRunASeedBeforeTheNextOne) {
  const Broken late("late", Broken::How::kViolates, 7);
  const Broken early("early", Broken::How::kViolates, 6);
  EXPECT_EQ(HuntAmong(late, early, 100).scenario, &early);
  EXPECT_EQ(HuntAmong(early, late, 100).scenario, &early);
}

TEST(Hunt, EndsWithItsSeeds) {
  const Broken sound("sound", Broken::How::kNever, 0);
  const Broken broken("broken", Broken::How::kViolates, 8);
  const HuntResult hunt = HuntAmong(sound, broken, 3);
  EXPECT_EQ(hunt.scenario, nullptr);
  EXPECT_EQ(hunt.seeds, 3u);
  EXPECT_FALSE(hunt.out_of_time);
}

TEST(Hunt, EndsWithItsTime) {
  const Broken sound("sound", Broken::How::kNever, 0);
  const std::array<const Scenario*, 1> scenarios = {&sound};
  IsolatedRunner runner(kLimits);
  const HuntResult hunt = Hunt(runner, {.scenarios = scenarios,
                                        .first_seed = 0,
                                        .seeds_max = UINT64_MAX,
                                        .processor_time_max = 10 * kMillisecond});
  EXPECT_EQ(hunt.scenario, nullptr);
  EXPECT_TRUE(hunt.out_of_time);
  EXPECT_GE(hunt.processor_time, 10 * kMillisecond);
}

}  // namespace
}  // namespace orrery::scenarios
