// What would break: idle times that are not those of Redis. The figures are what redis-server
// 7.0.15 answered to OBJECT IDLETIME after RESTORE ... IDLETIME, when its lru_clock said 17142.
#include "server/access_clock.h"

#include <gtest/gtest.h>

#include <limits>

namespace orrery::server {
namespace {

constexpr uint32_t kNow = 17'142;

int64_t IdleAfterRestore(int64_t idle_s) { return IdleSeconds(AccessedBefore(idle_s, kNow), kNow); }

TEST(AccessClockTest, StartsAgainAfter24Bits) {
  EXPECT_EQ(AccessClock(0), 0u);
  EXPECT_EQ(AccessClock(16'777'215'999), 16'777'215u);
  EXPECT_EQ(AccessClock(16'777'216'000), 0u);
  EXPECT_EQ(IdleSeconds(100, 150), 50);
  EXPECT_EQ(IdleSeconds(16'777'214, 10), 11);
}

TEST(AccessClockTest, CountsAsRedisDoes) {
  EXPECT_EQ(IdleAfterRestore(0), 0);
  EXPECT_EQ(IdleAfterRestore(17'000), 17'000);
  EXPECT_EQ(IdleAfterRestore(100'000), 100'000);
  EXPECT_EQ(IdleAfterRestore(16'777'214), 16'777'214);
  EXPECT_EQ(IdleAfterRestore(16'777'215), 0);
  EXPECT_EQ(IdleAfterRestore(16'777'217), 2);
  EXPECT_EQ(IdleAfterRestore(20'000'000), 3'222'784);
  EXPECT_EQ(IdleAfterRestore(33'554'432), 1);
  EXPECT_EQ(IdleAfterRestore(40'000'000), 6'445'568);
  EXPECT_EQ(IdleAfterRestore(int64_t{1} << 32), 1);
  EXPECT_EQ(IdleAfterRestore(9'223'372'036'854'775), 14'898'167);
  EXPECT_EQ(IdleAfterRestore(9'223'372'036'854'776), 1'879'048);
  EXPECT_EQ(IdleAfterRestore(std::numeric_limits<int64_t>::max()), 16'777'214);
}

}  // namespace
}  // namespace orrery::server
