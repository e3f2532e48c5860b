// What would break: a mark that no run has passed would not be known, and so nobody would miss it;
// or a run would be told of marks that another one passed.
#include "base/mark.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mark_counts.h"

namespace orrery {
namespace {

std::optional<uint64_t> HitsOf(std::string_view name) {
  for (const MarkCount& count : MarkCounts()) {
    if (count.name == name) return count.hits;
  }
  return std::nullopt;
}

void NeverCalled() { ORRERY_MARK("test.never"); }

template <typename T>
void FromATemplate(T value) {
  ORRERY_MARK_IF(value > 2, "test.above-two");
}

inline void FromTwoPlaces(bool first) {
  if (first) {
    ORRERY_MARK("test.shared");
  } else {
    ORRERY_MARK("test.shared");
  }
}

#ifdef ORRERY_DCHECKS

TEST(Mark, IsKnownBeforeItIsReached) {
  volatile bool never = false;
  if (never) NeverCalled();
  EXPECT_EQ(HitsOf("test.never"), 0u);
}

TEST(Mark, CountsWhereItsConditionHolds) {
  const uint64_t before = HitsOf("test.above-two").value();
  for (int value = 0; value < 5; ++value) FromATemplate(value);
  FromATemplate(2.5);
  EXPECT_EQ(HitsOf("test.above-two"), before + 3);
}

TEST(Mark, TwoPlacesOfOneNameAreOneMark) {
  const uint64_t before = HitsOf("test.shared").value();
  FromTwoPlaces(true);
  FromTwoPlaces(false);
  EXPECT_EQ(HitsOf("test.shared"), before + 2);
  const auto counts = MarkCounts();
  EXPECT_EQ(std::count_if(counts.begin(), counts.end(),
                          [](const MarkCount& count) { return count.name == "test.shared"; }),
            1);
}

TEST(Mark, MayBePassedByAnyThread) {
  const uint64_t before = HitsOf("test.shared").value();
  std::thread other([] {
    for (int pass = 0; pass < 1000; ++pass) FromTwoPlaces(true);
  });
  for (int pass = 0; pass < 1000; ++pass) FromTwoPlaces(false);
  other.join();
  const uint64_t passes = HitsOf("test.shared").value() - before;
  EXPECT_GE(passes, 2u);
  EXPECT_LE(passes, 2000u);
}

TEST(MarkCounts, AreInTheOrderOfNames) {
  const auto counts = MarkCounts();
  EXPECT_GE(counts.size(), 3u);
  EXPECT_TRUE(std::is_sorted(
      counts.begin(), counts.end(),
      [](const MarkCount& left, const MarkCount& right) { return left.name < right.name; }));
}

#else

TEST(Mark, LeavesNothingBehind) {
  bool evaluated = false;
  ORRERY_MARK_IF(evaluated = true, "test.not-evaluated");
  NeverCalled();
  FromATemplate(5);
  FromTwoPlaces(true);
  EXPECT_FALSE(evaluated);
  EXPECT_FALSE(HitsOf("test.shared").has_value());
}

#endif

}  // namespace
}  // namespace orrery
