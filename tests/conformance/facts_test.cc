// The list of facts and the tests that show them must not drift apart: a fact without a test is a
// rumour, and a test without a fact cannot be looked up.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace orrery::conformance {
namespace {

// {"Wait", "W1"}: the suite, and the id that its tests' names begin with.
using Citation = std::pair<std::string, std::string>;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Collect(const std::string& text, const std::regex& pattern, std::set<Citation>* citations) {
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    citations->emplace((*match)[1], (*match)[2]);
  }
}

TEST(Facts, EveryFactHasItsTestAndEveryTestItsFact) {
  std::set<Citation> listed;
  const std::string sheet = ReadFile("docs/kernel_facts.md");
  Collect(sheet, std::regex("`(\\w+)\\.([A-Z]\\d+[a-z]?)_\\*`"), &listed);

  std::set<Citation> tested;
  for (const auto& entry : std::filesystem::directory_iterator("tests/conformance")) {
    if (!entry.path().filename().string().ends_with("_test.cc")) continue;
    Collect(ReadFile(entry.path()), std::regex("TEST_P\\((\\w+),\\s+([A-Z]\\d+[a-z]?)_"), &tested);
  }
  ASSERT_GT(tested.size(), 50U);
  for (const auto& [suite, id] : tested) {
    EXPECT_TRUE(listed.contains({suite, id})) << id << " of " << suite << " is not in the list";
  }
  for (const auto& [suite, id] : listed) {
    EXPECT_TRUE(tested.contains({suite, id})) << id << " has no test in " << suite;
  }
}

TEST(Facts, ARowCitesItsOwnIdAndIdsAreUnique) {
  const std::string sheet = ReadFile("docs/kernel_facts.md");
  const std::regex row("\\| ([A-Z]\\d+[a-z]?) \\| [^|]+ \\| `\\w+\\.([A-Z]\\d+[a-z]?)_\\*`");
  std::set<std::string> ids;
  for (std::sregex_iterator match(sheet.begin(), sheet.end(), row), end; match != end; ++match) {
    EXPECT_EQ((*match)[1], (*match)[2]);
    EXPECT_TRUE(ids.insert((*match)[1]).second) << (*match)[1] << " is listed twice";
  }
  EXPECT_GT(ids.size(), 50U);
}

}  // namespace
}  // namespace orrery::conformance
