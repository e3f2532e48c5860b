// What would break: a seed would mean another run after an unrelated change (answers that depend on
// the order of questions), or a plan would not repeat what was recorded.
#include "sim/choices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <vector>

#include "base/prng.h"
#include "kernel_model/choice.h"

namespace orrery::sim {
namespace {

using model::Site;

SiteRates Everywhere(uint32_t rate) {
  SiteRates rates;
  for (const model::SiteInfo& info : model::Sites()) rates.Set(info.site, rate);
  return rates;
}

TEST(RandomChoice, AnswersDependOnTheQuestionAloneNotOnTheOrderOfQuestions) {
  const SiteRates rates = Everywhere(SiteRates::kAlways / 2);
  RandomChoice forwards(7, rates);
  RandomChoice backwards(7, rates);
  std::vector<uint64_t> first;
  for (uint64_t ordinal = 0; ordinal < 200; ++ordinal) {
    first.push_back(forwards.Choose(Site::kSendPartial, ordinal % 3, ordinal, 100));
  }
  for (uint64_t ordinal = 200; ordinal-- > 0;) {
    EXPECT_EQ(backwards.Choose(Site::kSendPartial, ordinal % 3, ordinal, 100), first[ordinal]);
  }
}

TEST(RandomChoice, AnswersAreTheSameInEveryBuild) {
  RandomChoice choice(42, Everywhere(SiteRates::kAlways));
  uint64_t hash = 0;
  for (uint64_t ordinal = 0; ordinal < 1000; ++ordinal) {
    const uint64_t alternatives = 2 + Bounded(Mix64(ordinal), 100'000);
    hash = Combine(hash, choice.Choose(Site::kReceiveShort, ordinal % 5, ordinal, alternatives));
  }
  EXPECT_EQ(hash, 459953908701663313u);
}

TEST(RandomChoice, StaysBelowTheAlternativesAndReachesBothEnds) {
  RandomChoice choice(3, Everywhere(SiteRates::kAlways));
  for (const uint64_t alternatives : {2u, 3u, 16u, 17u, 18u, 100u, 65536u, 1u << 31}) {
    std::set<uint64_t> seen;
    for (uint64_t ordinal = 0; ordinal < 2000; ++ordinal) {
      const uint64_t answer = choice.Choose(Site::kSendPartial, 1, ordinal, alternatives);
      ASSERT_LT(answer, alternatives);
      ASSERT_GT(answer, 0u) << "a rate of always is never benign";
      seen.insert(answer);
    }
    EXPECT_TRUE(seen.contains(1)) << alternatives;
    EXPECT_TRUE(seen.contains(alternatives - 1)) << alternatives;
  }
}

TEST(RandomChoice, KeepsToItsRates) {
  SiteRates rates;
  rates.Set(Site::kSendPartial, SiteRates::kAlways / 4);
  RandomChoice choice(11, rates);
  unsigned faults = 0;
  for (uint64_t ordinal = 0; ordinal < 10'000; ++ordinal) {
    if (choice.Choose(Site::kSendPartial, 0, ordinal, 50) != 0) ++faults;
    ASSERT_EQ(choice.Choose(Site::kReceiveShort, 0, ordinal, 50), 0u) << "this site is off";
  }
  EXPECT_GT(faults, 2200u);
  EXPECT_LT(faults, 2800u);
}

TEST(RandomChoice, HasNothingToSayWithoutAlternatives) {
  RandomChoice choice(1, Everywhere(SiteRates::kAlways));
  EXPECT_EQ(choice.Choose(Site::kSchedule, 0, 0, 1), 0u);
  EXPECT_EQ(choice.Choose(Site::kSchedule, 0, 0, 2), 1u);
}

TEST(SiteRates, SwarmTurnsEachSiteOffInAboutHalfOfTheWorlds) {
  Prng prng(5);
  unsigned on = 0;
  constexpr unsigned kWorlds = 400;
  for (unsigned world = 0; world < kWorlds; ++world) {
    const SiteRates rates = SiteRates::Draw(prng);
    if (rates.of(Site::kEnterInterrupted) != 0) ++on;
    for (const model::SiteInfo& info : model::Sites()) {
      ASSERT_LE(rates.of(info.site), SiteRates::kAlways / 2);
    }
  }
  EXPECT_GT(on, kWorlds / 3);
  EXPECT_LT(on, kWorlds * 2 / 3);
}

TEST(PlanChoice, RepeatsWhatWasRecorded) {
  RandomChoice random(99, Everywhere(SiteRates::kAlways / 8));
  RecordingChoice recorder(random);
  std::vector<uint64_t> answers;
  for (uint64_t ordinal = 0; ordinal < 500; ++ordinal) {
    answers.push_back(recorder.Choose(Site::kTaskWorkOrder, ordinal % 7, ordinal / 7, 5));
  }
  ASSERT_GT(recorder.recorded().size(), 10u);
  EXPECT_EQ(recorder.asked(), 500u);

  PlanChoice plan(recorder.recorded());
  EXPECT_EQ(plan.unused(), recorder.recorded().size());
  for (uint64_t ordinal = 0; ordinal < 500; ++ordinal) {
    EXPECT_EQ(plan.Choose(Site::kTaskWorkOrder, ordinal % 7, ordinal / 7, 5), answers[ordinal]);
  }
  EXPECT_EQ(plan.unused(), 0u);
}

TEST(PlanChoice, ClampsAnAnswerThatIsNoAlternativeAnyMore) {
  PlanChoice plan({{.site = Site::kSendPartial, .entity = 1, .ordinal = 0, .value = 900}});
  EXPECT_EQ(plan.Choose(Site::kSendPartial, 1, 0, 10), 9u);
  EXPECT_EQ(plan.Choose(Site::kSendPartial, 1, 1, 10), 0u);
  EXPECT_EQ(plan.Choose(Site::kReceiveShort, 1, 0, 10), 0u);
}

TEST(RecordingChoice, AsksByNameAndRecordsWhatAPlanRepeats) {
  // Whoever has the largest name.
  class Largest final : public model::Choice {
   public:
    uint64_t Choose(Site, uint64_t, uint64_t, uint64_t) override { return 0; }
    uint64_t ChooseAmong(Site, uint64_t, uint64_t, std::span<const uint64_t> names) override {
      return static_cast<uint64_t>(std::max_element(names.begin(), names.end()) - names.begin());
    }
  };
  Largest largest;
  RecordingChoice recorder(largest);
  const std::vector<uint64_t> names = {4, 9, 7};
  EXPECT_EQ(recorder.ChooseAmong(Site::kSchedule, 2, 0, names), 1u);
  EXPECT_EQ(recorder.asked(), 1u);
  PlanChoice plan(recorder.recorded());
  EXPECT_EQ(plan.ChooseAmong(Site::kSchedule, 2, 0, names), 1u);
  EXPECT_EQ(plan.ChooseAmong(Site::kSchedule, 2, 1, names), 0u);
  recorder.TurnFaultsOff();
  EXPECT_EQ(recorder.ChooseAmong(Site::kSchedule, 2, 1, names), 0u);
}

TEST(RecordingChoice, IsBenignOnceFaultsAreOff) {
  RandomChoice random(1, Everywhere(SiteRates::kAlways));
  RecordingChoice recorder(random);
  EXPECT_NE(recorder.Choose(Site::kSendPartial, 0, 0, 10), 0u);
  recorder.TurnFaultsOff();
  EXPECT_EQ(recorder.Choose(Site::kSendPartial, 0, 1, 10), 0u);
  EXPECT_EQ(recorder.recorded().size(), 1u);
}

}  // namespace
}  // namespace orrery::sim
