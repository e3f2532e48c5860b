// Timeouts of the ring.
#include <cerrno>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr __kernel_timespec kShort{.tv_sec = 0, .tv_nsec = 5 * kMillisecond};
constexpr __kernel_timespec kLong{.tv_sec = 3600, .tv_nsec = 0};

class Timeouts : public Conformance {};
INSTANTIATE_TEST_SUITE_P(Kernels, Timeouts, AllWorlds(), WorldName);

TEST_P(Timeouts, K1_ExpiryIsEtime) {
  ASSERT_TRUE(queue().Timeout(kShort, 0, Id(1)));
  Submit();
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ETIME)));
}

TEST_P(Timeouts, K1_ACountThatIsReachedIsZero) {
  ASSERT_TRUE(queue().Timeout(kLong, 2, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Nop(Id(2)));
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(2, 0)));
  ExpectQuiet();
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 0), Final(1, 0)));
}

TEST_P(Timeouts, K1_ACancelledOneIsEcanceled) {
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
}

TEST_P(Timeouts, K2_ZeroFiresThroughTaskWork) {
  constexpr __kernel_timespec kZero{.tv_sec = 0, .tv_nsec = 0};
  ASSERT_TRUE(queue().Timeout(kZero, 0, Id(1)));
  ASSERT_TRUE(queue().Nop(Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ETIME), Final(2, 0)));
}

TEST_P(Timeouts, K2_ANegativeDurationIsRefused) {
  constexpr __kernel_timespec kNegative{.tv_sec = -1, .tv_nsec = 0};
  ASSERT_TRUE(queue().Timeout(kNegative, 0, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EINVAL)));
}

TEST_P(Timeouts, K3_FireInTheOrderOfTheirDeadlines) {
  constexpr __kernel_timespec kLonger{.tv_sec = 0, .tv_nsec = 15 * kMillisecond};
  ASSERT_TRUE(queue().Timeout(kLonger, 0, Id(1)));
  ASSERT_TRUE(queue().Timeout(kShort, 0, Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, -ETIME), Final(1, -ETIME)));
}

TEST_P(Timeouts, U8_TheDurationIsReadWhenConsumed) {
  __kernel_timespec duration = kShort;
  ASSERT_TRUE(queue().Timeout(duration, 0, Id(1)));
  Submit();
  duration = kLong;
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ETIME)));
}

}  // namespace
}  // namespace orrery::conformance
