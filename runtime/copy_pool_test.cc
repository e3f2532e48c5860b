// The copy pool: two leases never share memory, a full pool says so, and whatever becomes of a
// lease its slot comes back once.
#include "runtime/copy_pool.h"

#include <algorithm>
#include <utility>

#include "gtest/gtest.h"

namespace orrery {
namespace {

TEST(CopyPoolTest, AFullPoolSaysSoAndRecovers) {
  CopyPool pool(2, 16);
  CopyPool::Lease first = pool.Take();
  CopyPool::Lease second = pool.Take();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first.bytes().size(), 16U);
  std::ranges::fill(first.bytes(), 'a');
  std::ranges::fill(second.bytes(), 'b');
  EXPECT_TRUE(std::ranges::all_of(first.bytes(), [](char byte) { return byte == 'a'; }));
  EXPECT_FALSE(pool.Take());
  EXPECT_EQ(pool.in_use(), 2U);
  second = {};
  EXPECT_EQ(pool.in_use(), 1U);
  EXPECT_TRUE(pool.Take());
}

TEST(CopyPoolTest, AMovedLeaseIsReturnedOnceAndKeepsItsMemory) {
  CopyPool pool(3, 8);
  CopyPool::Lease lease = pool.Take();
  const char* const memory = lease.bytes().data();
  CopyPool::Lease moved = std::move(lease);
  EXPECT_FALSE(lease);  // NOLINT: what is left of it is the question.
  EXPECT_EQ(moved.bytes().data(), memory);
  // Assigning over a lease returns the slot that it held.
  CopyPool::Lease other = pool.Take();
  EXPECT_EQ(pool.in_use(), 2U);
  moved = std::move(other);
  EXPECT_EQ(pool.in_use(), 1U);
  moved = {};
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(CopyPoolDeathTest, AnAbsentSlotIsMissed) {
  const auto die_with_a_lease = [] {
    CopyPool::Lease lease;
    CopyPool pool(1, 8);
    lease = pool.Take();
  };
  EXPECT_DEATH(die_with_a_lease(), "before its slots came back");
}

}  // namespace
}  // namespace orrery
