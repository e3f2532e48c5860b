// The default seeds of all scenarios, together, reach every coverage mark of the runtime and of the
// server.
//
// What would break: a rare case would exist that no run of ours has ever met, and nobody would
// know. Runs seeds until all marks are reached, scenario by scenario in turn.
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/mark_counts.h"
#include "tests/scenarios/default_seeds.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {
namespace {

TEST(Marks, AreAllReachedByTheDefaultSeeds) {
  std::set<std::string_view> missing;
  for (const MarkCount& mark : MarkCounts()) missing.insert(mark.name);
#ifdef ORRERY_DCHECKS
  ASSERT_FALSE(missing.empty()) << "no mark is linked";
#else
  GTEST_SKIP() << "this build counts no marks";
#endif
  const size_t marks = missing.size();
  uint64_t seed = 0;
  for (; seed < kDefaultSeeds && !missing.empty(); ++seed) {
    for (const Scenario* scenario : AllScenarios()) {
      const auto result = RunSeed(*scenario, seed, {});
      ASSERT_TRUE(result.has_value()) << result.error();
      for (const std::string_view name : result->marks) missing.erase(name);
    }
  }
  std::string names;
  for (const std::string_view name : missing) names += "\n  " + std::string(name);
  EXPECT_TRUE(missing.empty()) << "no seed below " << seed << " reaches:" << names;
  RecordProperty("marks", std::to_string(marks));
  RecordProperty("seeds", std::to_string(seed));
}

}  // namespace
}  // namespace orrery::scenarios
