// What would break: the page of choice sites would say what the model no longer does, or cite facts
// that nobody has shown.
#include "tools/choices_page.h"

#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace orrery::tools {
namespace {

using model::Evidence;
using model::Site;
using model::SiteInfo;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kFacts =
    "# Facts\n| T1 | A send takes what fits. | `Sending.T1_*` |\n"
    "| T10 | Too many, EINVAL, or EMSGSIZE. | `Sending.T10_*`, `Other.T10_*` |\n";

constexpr std::string_view kWitnessed = R"({
  "command": "some command", "date": "2001-02-03", "kernel": "Linux 9.9",
  "experiments": [{"name": "full", "about": "it fills", "model_outcomes": 3, "witnessed": 2,
                   "foreign": 0, "model_runs": 4, "runs": 100}],
  "sites": {"send.partial": {"needed": 5, "simplest": 7}}
})";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ChoicesPage, FindsTheFactsThatASourceCites) {
  EXPECT_THAT(CitedFacts("fact T1"), ElementsAre("T1"));
  EXPECT_THAT(CitedFacts("facts T1, V7d; read(2), EIO; fact M8"), ElementsAre("T1", "V7d", "M8"));
  EXPECT_THAT(CitedFacts("read(2): EIO, ENOSPC"), IsEmpty());
}

TEST(ChoicesPage, FindsTheTestsOfAFact) {
  EXPECT_EQ(TestsOfFact(kFacts, "T1"), "`Sending.T1_*`");
  EXPECT_EQ(TestsOfFact(kFacts, "T10"), "`Sending.T10_*`, `Other.T10_*`");
  EXPECT_EQ(TestsOfFact(kFacts, "T2"), "");
}

TEST(ChoicesPage, ARowSaysEverything) {
  const SiteInfo site{.site = Site::kSendPartial,
                      .name = "send.partial",
                      .evidence = Evidence::kWitnessed,
                      .entity = "connection",
                      .meaning = "a send takes k bytes",
                      .source = "facts T1, T10; send(2)"};
  const std::string page = ChoicesPage(std::span(&site, 1), kFacts, kWitnessed);
  EXPECT_THAT(page, HasSubstr("1 sites: 1 witnessed, 0 documented. Measured on 2001-02-03, Linux "
                              "9.9, by `some command`.\n"));
  EXPECT_THAT(page, HasSubstr("| `send.partial` | connection | a send takes k bytes | witnessed | "
                              "facts T1, T10; send(2) | `Sending.T1_*`, `Sending.T10_*`, "
                              "`Other.T10_*` | 5 | 7 |\n"));
  EXPECT_THAT(page, HasSubstr("| `full` | it fills | 3 | 2 | 0 | 4 | 100 |\n"));
}

TEST(ChoicesPage, ASiteThatNobodyMeasuredIsNotCalledUnseen) {
  const SiteInfo site{.site = Site::kSendPartial,
                      .name = "new.one",
                      .evidence = Evidence::kDocumented,
                      .entity = "ring",
                      .meaning = "anything",
                      .source = "send(2)"};
  EXPECT_THAT(ChoicesPage(std::span(&site, 1), kFacts, kWitnessed),
              HasSubstr("| send(2) |  | – | – |\n"));
}

TEST(ChoicesPage, RunsThatNeededASiteAreRead) {
  EXPECT_EQ(RunsThatNeeded("send.partial", kWitnessed), 5U);
  EXPECT_EQ(RunsThatNeeded("other", kWitnessed), 0U);
  EXPECT_EQ(RunsThatNeeded("send.partial", "{"), 0U);
}

TEST(ChoicesPage, AMeasurementThatCannotBeReadIsNoPage) {
  EXPECT_THAT(ChoicesPage(model::Sites(), kFacts, "{"), HasSubstr("is no JSON"));
}

TEST(ChoicesPage, TheCommittedPageIsNotStale) {
  const std::string facts = ReadFile("docs/kernel_facts.md");
  const std::string witnessed = ReadFile("docs/choices_witnessed.json");
  // Not EXPECT_EQ, which would print both pages.
  EXPECT_TRUE(ReadFile("docs/choices.md") == ChoicesPage(model::Sites(), facts, witnessed))
      << "docs/choices.md is stale. To add or change a choice site, edit "
         "kernel_model/choice_sites.inc and nothing else, then run: bazel run //tools:choices";
}

TEST(ChoicesPage, EvidenceIsShownByFactsWithTestsOrByRealRuns) {
  const std::string facts = ReadFile("docs/kernel_facts.md");
  const std::string witnessed = ReadFile("docs/choices_witnessed.json");
  for (const SiteInfo& site : model::Sites()) {
    const std::vector<std::string> cited = CitedFacts(site.source);
    for (const std::string& id : cited) {
      EXPECT_NE(TestsOfFact(facts, id), "")
          << site.name << " cites fact " << id << ", which docs/kernel_facts.md does not have";
    }
    if (site.evidence == Evidence::kWitnessed && cited.empty()) {
      EXPECT_GT(RunsThatNeeded(site.name, witnessed), 0U)
          << site.name << " is said to be witnessed, but cites no fact that a test shows, and no "
          << "real run needed it";
    }
    if (RunsThatNeeded(site.name, witnessed) > 0) {
      EXPECT_EQ(site.evidence, Evidence::kWitnessed)
          << site.name << " was witnessed by //tools:outcomes: say so in choice_sites.inc";
    }
  }
}

}  // namespace
}  // namespace orrery::tools
