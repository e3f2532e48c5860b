// If one of these values changes, every recorded seed and plan means something else.
#include "base/prng.h"

#include <array>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery {
namespace {

// The published sequence of SplitMix64 for seed 1234567.
TEST(Prng, IsSplitMix64) {
  Prng prng(1234567);
  EXPECT_EQ(prng.Next(), 6457827717110365317U);
  EXPECT_EQ(prng.Next(), 3203168211198807973U);
  EXPECT_EQ(prng.Next(), 9817491932198370423U);
  EXPECT_EQ(prng.Next(), 4593380528125082431U);
  EXPECT_EQ(prng.Next(), 16408922859458223821U);
}

TEST(Prng, MixAndCombineAreFixed) {
  static_assert(Mix64(0) == 0xe220a8397b1dcdafU);
  EXPECT_EQ(Mix64(1), 0x910a2dec89025cc1U);
  EXPECT_EQ(Mix64(~uint64_t{0}), 0xe4d971771b652c20U);
  EXPECT_EQ(Combine(0, 1), 6791897765849424158U);
  EXPECT_EQ(Combine(Combine(0, 1), 2), 15671754871817308195U);
  EXPECT_NE(Combine(Combine(0, 1), 2), Combine(Combine(0, 2), 1));
}

TEST(Prng, BoundedKeepsItsEnds) {
  EXPECT_EQ(Bounded(0, 10), 0U);
  EXPECT_EQ(Bounded(~uint64_t{0}, 10), 9U);
  EXPECT_EQ(Bounded(uint64_t{1} << 63, 10), 5U);
  EXPECT_EQ(Bounded(12345, 1), 0U);
  EXPECT_EQ(Bounded(~uint64_t{0}, ~uint64_t{0}), ~uint64_t{0} - 1);
}

TEST(PrngDeathTest, EmptyRangesAreMistakes) {
  EXPECT_DEATH((void)Bounded(1, 0), "bound > 0");
  EXPECT_DEATH((void)Prng(1).Between(5, 4), "low <= high");
}

TEST(Prng, ChanceIsAboutRight) {
  Prng prng(7);
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) hits += prng.Chance(1, 4) ? 1 : 0;
  // Four standard deviations of a binomial distribution: 4 * sqrt(100000 * 0.25 * 0.75).
  EXPECT_NEAR(hits, 25'000, 548);
  EXPECT_FALSE(prng.Chance(0, 3));
  EXPECT_TRUE(prng.Chance(3, 3));
}

TEST(Prng, EveryValueOfASmallRangeOccurs) {
  Prng prng(3);
  std::array<int, 6> seen{};
  for (int i = 0; i < 600; ++i) ++seen[prng.Below(6)];
  for (const int count : seen) EXPECT_GT(count, 50);
}

RC_GTEST_PROP(Prng, StaysInItsRange, (uint64_t seed, uint64_t a, uint64_t b)) {
  const uint64_t low = a < b ? a : b;
  const uint64_t high = a < b ? b : a;
  RC_PRE(high - low != ~uint64_t{0});
  Prng prng(seed);
  for (int i = 0; i < 20; ++i) {
    const uint64_t drawn = prng.Between(low, high);
    RC_ASSERT(low <= drawn);
    RC_ASSERT(drawn <= high);
  }
}

RC_GTEST_PROP(Prng, ACopyContinuesTheSequence, (uint64_t seed)) {
  Prng original(seed);
  (void)original.Next();  // So that the copy does not start at the seed.
  Prng copy = original;
  for (int i = 0; i < 10; ++i) {
    const uint64_t expected = original.Next();
    RC_ASSERT(copy.Next() == expected);
  }
}

}  // namespace
}  // namespace orrery
