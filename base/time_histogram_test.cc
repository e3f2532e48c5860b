// What would break: a histogram says of times what was not so.
#include "base/time_histogram.h"

#include <gtest/gtest.h>

#include "base/owned_count.h"

namespace orrery {
namespace {

template <typename Count>
class TimeHistogramTest : public testing::Test {};
using Counts = testing::Types<uint32_t, OwnedCount>;
TYPED_TEST_SUITE(TimeHistogramTest, Counts);

TYPED_TEST(TimeHistogramTest, KnowsPercentilesToAnEighth) {
  for (const Nanoseconds unit : {Nanoseconds{1}, Nanoseconds{100}, kMicrosecond, kMillisecond}) {
    SCOPED_TRACE(unit);
    BasicTimeHistogram<TypeParam> times;
    for (int i = 1; i <= 1000; ++i) times.Add(i * unit);
    for (const uint64_t part : {1u, 10u, 500u, 990u, 999u, 1000u}) {
      const Nanoseconds exact = static_cast<Nanoseconds>(part) * unit;
      EXPECT_GE(times.Percentile(part, 1000), exact);
      EXPECT_LE(times.Percentile(part, 1000), exact + exact / 8);
    }
  }
}

TYPED_TEST(TimeHistogramTest, TakesAnyTime) {
  BasicTimeHistogram<TypeParam> times;
  times.Add(-5);
  EXPECT_EQ(times.Percentile(1, 2), 0);
  times.Add(1000 * kSecond);
  EXPECT_GT(times.Percentile(999, 1000), 60 * kSecond);
}

TYPED_TEST(TimeHistogramTest, CountsUpToAPowerOfTwo) {
  BasicTimeHistogram<TypeParam> times;
  for (int i = 0; i < 5000; ++i) times.Add(i);
  EXPECT_EQ(times.count(), 5000u);
  EXPECT_EQ(times.sum(), 5000u * 4999 / 2);
  for (Nanoseconds limit = 1; limit <= 4096; limit *= 2) {
    EXPECT_EQ(times.CountUpTo(limit - 1), static_cast<uint64_t>(limit));
  }
}

TYPED_TEST(TimeHistogramTest, TakesInAnother) {
  BasicTimeHistogram<TypeParam> first;
  BasicTimeHistogram<TypeParam> second;
  for (int i = 0; i < 100; ++i) first.Add(i);
  for (int i = 100; i < 128; ++i) second.Add(i);
  first.Add(second);
  EXPECT_EQ(first.count(), 128u);
  EXPECT_EQ(first.sum(), 128u * 127 / 2);
  EXPECT_EQ(first.CountUpTo(127), 128u);
  EXPECT_EQ(first.CountUpTo(63), 64u);
}

}  // namespace
}  // namespace orrery
