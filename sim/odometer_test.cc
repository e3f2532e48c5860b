// What would break: a bounded exhaustive search would call itself complete although it left runs
// out, or would never end.
#include "sim/odometer.h"

#include <algorithm>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace orrery::sim {
namespace {

using model::Site;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr uint64_t kManyRuns = 1'000'000;
using Answers = std::vector<uint64_t>;

// All runs of `ask`, which answers with what it was told.
template <typename Ask>
std::vector<Answers> Enumerate(Odometer& odometer, Ask ask) {
  std::vector<Answers> all;
  while (odometer.NextRun()) all.push_back(ask(odometer));
  EXPECT_EQ(odometer.runs(), all.size());
  return all;
}

Answers ThreeQuestions(Odometer& odometer) {
  Answers answers;
  answers.push_back(odometer.Choose(Site::kSendPartial, 1, 0, 3));
  answers.push_back(odometer.Choose(Site::kReceiveShort, 1, 0, 2));
  answers.push_back(odometer.Choose(Site::kSendPartial, 1, 1, 4));
  return answers;
}

TEST(Odometer, CountsThroughAllAnswersInOrder) {
  Odometer odometer(OdometerScope().Open(Site::kSendPartial).Open(Site::kReceiveShort), kManyRuns);
  const std::vector<Answers> all = Enumerate(odometer, ThreeQuestions);
  EXPECT_THAT(all, SizeIs(3 * 2 * 4));
  EXPECT_TRUE(odometer.complete());
  EXPECT_THAT(all.front(), ElementsAre(0, 0, 0));
  EXPECT_THAT(all[1], ElementsAre(0, 0, 1));
  EXPECT_THAT(all.back(), ElementsAre(2, 1, 3));
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(std::set<Answers>(all.begin(), all.end()).size(), all.size());
  EXPECT_FALSE(odometer.NextRun()) << "there is no other after the last";
  EXPECT_EQ(odometer.ToString(), "24 runs: all of them, at most 3 questions in a run");
}

TEST(Odometer, ARunWithoutQuestionsIsRunOnce) {
  Odometer odometer(OdometerScope().Open(Site::kSendPartial), kManyRuns);
  const auto nothing = [](Odometer& choice) {
    return Answers{choice.Choose(Site::kReceiveShort, 1, 0, 9),
                   choice.Choose(Site::kSendPartial, 1, 0, 1)};
  };
  EXPECT_THAT(Enumerate(odometer, nothing), ElementsAre(ElementsAre(0, 0)));
  EXPECT_TRUE(odometer.complete());
}

TEST(Odometer, WhatIsAskedMayDependOnTheAnswers) {
  // A tree: k questions follow the answer k.
  Odometer odometer(OdometerScope().Open(Site::kSendPartial), kManyRuns);
  const auto tree = [](Odometer& choice) {
    Answers answers{choice.Choose(Site::kSendPartial, 0, 0, 4)};
    for (uint64_t more = 0; more < answers[0]; ++more) {
      answers.push_back(choice.Choose(Site::kSendPartial, 1, more, 2));
    }
    return answers;
  };
  const std::vector<Answers> all = Enumerate(odometer, tree);
  EXPECT_THAT(all, SizeIs(1 + 2 + 4 + 8));
  EXPECT_EQ(std::set<Answers>(all.begin(), all.end()).size(), all.size());
  EXPECT_EQ(odometer.questions_max(), 4U);
}

TEST(Odometer, ASiteMayBeOpenForSomeAnswersAndSomeQuestionsOnly) {
  Odometer odometer(OdometerScope()
                        .Open(Site::kSendPartial, {1, OdometerScope::kLast, 77})
                        .FirstOnly(Site::kSendPartial, 1),
                    kManyRuns);
  const auto two = [](Odometer& choice) {
    Answers answers{choice.Choose(Site::kSendPartial, 5, 0, 10)};
    answers.push_back(choice.Choose(Site::kSendPartial, 5, 1, 10));
    answers.push_back(choice.Choose(Site::kSendPartial, 6, 0, 2));  // 1 is the last: once.
    return answers;
  };
  EXPECT_THAT(Enumerate(odometer, two),
              ElementsAre(ElementsAre(0, 0, 0), ElementsAre(0, 0, 1), ElementsAre(1, 0, 0),
                          ElementsAre(1, 0, 1), ElementsAre(9, 0, 0), ElementsAre(9, 0, 1)));
}

TEST(Odometer, RunsOfFewDeparturesAreCountedAsBinomialsSay) {
  constexpr uint64_t kQuestions = 10;
  Odometer odometer(OdometerScope().Open(Site::kSendPartial).DeparturesAtMost(2), kManyRuns);
  const auto bits = [](Odometer& choice) {
    Answers answers;
    for (uint64_t ordinal = 0; ordinal < kQuestions; ++ordinal) {
      answers.push_back(choice.Choose(Site::kSendPartial, 0, ordinal, 2));
    }
    EXPECT_THAT(choice.departures(), SizeIs(testing::Le(2)));
    return answers;
  };
  const std::vector<Answers> all = Enumerate(odometer, bits);
  EXPECT_THAT(all, SizeIs(1 + 10 + 45));
  EXPECT_EQ(std::set<Answers>(all.begin(), all.end()).size(), all.size());
  EXPECT_TRUE(odometer.complete());
}

TEST(Odometer, ABoundThatIsReachedIsSaid) {
  const OdometerScope scope = OdometerScope().Open(Site::kSendPartial).Open(Site::kReceiveShort);
  Odometer odometer(scope, 23);
  EXPECT_THAT(Enumerate(odometer, ThreeQuestions), SizeIs(23));
  EXPECT_FALSE(odometer.complete());
  EXPECT_THAT(odometer.ToString(), HasSubstr("23 runs: NOT all of them"));
  // One more, and it was just enough.
  Odometer enough(scope, 24);
  EXPECT_THAT(Enumerate(enough, ThreeQuestions), SizeIs(24));
  EXPECT_TRUE(enough.complete());
}

TEST(Odometer, TheEndOfARunAsksNothing) {
  Odometer odometer(OdometerScope().Open(Site::kSendPartial), kManyRuns);
  const auto half = [](Odometer& choice) {
    Answers answers{choice.Choose(Site::kSendPartial, 0, 0, 3)};
    choice.TurnFaultsOff();
    answers.push_back(choice.Choose(Site::kSendPartial, 0, 1, 3));
    return answers;
  };
  EXPECT_THAT(Enumerate(odometer, half),
              ElementsAre(ElementsAre(0, 0), ElementsAre(1, 0), ElementsAre(2, 0)));
}

TEST(Odometer, TheDeparturesOfARunRepeatIt) {
  Odometer odometer(OdometerScope().Open(Site::kSendPartial).Open(Site::kReceiveShort), kManyRuns);
  while (odometer.NextRun()) {
    const Answers answers = ThreeQuestions(odometer);
    PlanChoice plan(odometer.departures());
    EXPECT_EQ(plan.Choose(Site::kSendPartial, 1, 0, 3), answers[0]);
    EXPECT_EQ(plan.Choose(Site::kReceiveShort, 1, 0, 2), answers[1]);
    EXPECT_EQ(plan.Choose(Site::kSendPartial, 1, 1, 4), answers[2]);
  }
}

TEST(OdometerDeath, ARunThatIsNoFunctionOfItsAnswersIsFoundOut) {
  Odometer odometer(OdometerScope().Open(Site::kSendPartial), kManyRuns);
  ASSERT_TRUE(odometer.NextRun());
  (void)odometer.Choose(Site::kSendPartial, 0, 0, 3);
  ASSERT_TRUE(odometer.NextRun());
  EXPECT_DEATH((void)odometer.Choose(Site::kSendPartial, 0, 0, 4), "not a function of its answers");
  // The same, seen by a run that ends before the question that was changed.
  EXPECT_DEATH((void)odometer.NextRun(), "");
}

}  // namespace
}  // namespace orrery::sim
