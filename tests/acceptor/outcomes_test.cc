// What would break: the model would lack something that Linux does, or the counts in
// docs/choices.md would not mean what they say.
//
// Each experiment is enumerated in full on the model, and run a few times on Linux. More of the
// latter: bazel run //tools:outcomes
#include "tests/acceptor/outcomes.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/acceptor/generated.h"

namespace orrery::acceptor {
namespace {

using model::Site;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr uint64_t kModelRunsMax = 300'000;
constexpr uint64_t kRealRuns = 12;

void ExpectNothingForeign(const Subject& subject) {
  Comparison comparison = MakeComparison(subject, kModelRunsMax);
  ASSERT_TRUE(comparison.model.complete);
  EXPECT_EQ(comparison.model.violation, "");
  for (uint64_t seed = 1; seed <= kRealRuns; ++seed) Witness(subject, seed, comparison);
  EXPECT_THAT(comparison.foreign(), IsEmpty())
      << "bazel run //tools:outcomes -- --outcomes --experiment=" << subject.name;
  EXPECT_GE(comparison.witnessed(), 1U);
}

class OfAnExperiment : public testing::TestWithParam<Experiment> {};

TEST_P(OfAnExperiment, LinuxDoesNothingThatTheModelDoesNotHave) {
  ExpectNothingForeign(SubjectOf(GetParam()));
}

// Without what GoogleTest does not take in a name.
std::string NameOf(const testing::TestParamInfo<Experiment>& experiment) {
  std::string name(experiment.param.name);
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Outcomes, OfAnExperiment,
                         testing::ValuesIn(Experiments().begin(), Experiments().end()), NameOf);

TEST(OfGeneratedPrograms, LinuxDoesNothingThatTheModelDoesNotHave) {
  constexpr size_t kPrograms = 20;
  size_t tried = 0;
  for (uint64_t seed = 1; tried < kPrograms; ++seed) {
    const std::optional<Subject> subject = GeneratedSubject(seed);
    if (!subject) continue;
    ++tried;
    ExpectNothingForeign(*subject);
  }
}

Subject Named(const char* name) { return SubjectOf(*FindExperiment(name)); }

std::vector<std::string> OutcomesOf(const char* name) {
  std::vector<std::string> outcomes;
  for (const auto& [outcome, explanation] : Enumerate(Named(name), kModelRunsMax).outcomes) {
    outcomes.push_back(outcome);
  }
  return outcomes;
}

TEST(OutcomesOfTheModel, AreAllThatItsRulesAllow) {
  // Facts Q1, Q2 and Q3, each of them.
  EXPECT_THAT(OutcomesOf("link-timeout-race"),
              UnorderedElementsAre("1=5 2=ECANCELED", "1=5 2=ENOENT", "1=5 2=ETIME",
                                   "2=ETIME 1=ECANCELED"));
  // Fact L10: every order.
  EXPECT_THAT(OutcomesOf("syncs"), testing::SizeIs(6));
}

TEST(OutcomesOfTheModel, AnEnumerationWithoutBudgetSaysSo) {
  EXPECT_FALSE(Enumerate(Named("syncs"), 3).complete);
}

TEST(OutcomesOfTheModel, ASiteIsNeededWhenNoExplanationDoesWithoutIt) {
  const ModelOutcomes model = Enumerate(Named("full-stream"), kModelRunsMax);
  const Explanation& benign = model.outcomes.at("1=short 2=EAGAIN 3=EAGAIN");
  EXPECT_THAT(benign.needed, IsEmpty());
  EXPECT_THAT(benign.simplest, IsEmpty());
  const Explanation& twice = model.outcomes.at("1=short 2=short 3=EAGAIN");
  EXPECT_THAT(twice.needed, ElementsAre(Site::kSendPartial));
}

TEST(CountsOfSites, AreOfRealRunsAndStrict) {
  Comparison comparison{.name = "one", .about = "", .model = {}};
  comparison.model.outcomes["either"] = {
      .needed = {}, .simplest = {Site::kWakeDelay}, .departures_min = {1, 0}, .runs = 2};
  comparison.model.outcomes["only"] = {.needed = {Site::kSendPartial},
                                       .simplest = {Site::kSendPartial},
                                       .departures_min = {1, 0},
                                       .runs = 1};
  comparison.model.outcomes["unseen"] = {.needed = {Site::kTimerOrder},
                                         .simplest = {Site::kTimerOrder},
                                         .departures_min = {1, 0},
                                         .runs = 1};
  comparison.seen = {{"either", 3}, {"only", 4}, {"foreign", 5}};
  comparison.runs = 12;
  EXPECT_EQ(comparison.witnessed(), 2U);
  EXPECT_THAT(comparison.foreign(), ElementsAre("foreign"));
  const auto counts = CountSites({comparison});
  ASSERT_THAT(counts, UnorderedElementsAre(Pair(Site::kWakeDelay, testing::_),
                                           Pair(Site::kSendPartial, testing::_)));
  EXPECT_EQ(counts.at(Site::kWakeDelay).needed, 0U);
  EXPECT_EQ(counts.at(Site::kWakeDelay).simplest, 3U);
  EXPECT_EQ(counts.at(Site::kSendPartial).needed, 4U);
  EXPECT_EQ(counts.at(Site::kSendPartial).simplest, 4U);
}

}  // namespace
}  // namespace orrery::acceptor
