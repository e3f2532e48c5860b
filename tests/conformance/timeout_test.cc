// Timeouts of the ring.
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

constexpr __kernel_timespec kShort{.tv_sec = 0, .tv_nsec = 5 * kMillisecond};
constexpr __kernel_timespec kLong{.tv_sec = 3600, .tv_nsec = 0};

class Timeouts : public Conformance {
 protected:
  void Remove(uint32_t target, uint32_t id) {
    ::io_uring_prep_timeout_remove(&Raw(IORING_OP_NOP, id), Id(target).Pack(), 0);
    LastSqe().user_data = Id(id).Pack();
  }
  void Update(uint32_t target, const __kernel_timespec& time, uint32_t id, unsigned flags = 0) {
    ::io_uring_prep_timeout_update(&Raw(IORING_OP_NOP, id), const_cast<__kernel_timespec*>(&time),
                                   Id(target).Pack(), flags);
    LastSqe().user_data = Id(id).Pack();
  }
  void Multishot(const __kernel_timespec& period, unsigned count, uint32_t id) {
    constexpr unsigned kMultishot = 1U << 6;  // IORING_TIMEOUT_MULTISHOT
    ASSERT_TRUE(queue().Timeout(period, count, Id(id)));
    LastSqe().timeout_flags |= kMultishot;
  }
};
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

TEST_P(Timeouts, K1b_ABatchCountsForATimeoutAtItsEnd) {
  ASSERT_TRUE(queue().Nop(Id(1)));
  ASSERT_TRUE(queue().Timeout(kLong, 1, Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, 0)));
}

TEST_P(Timeouts, K1_ATimeoutThatIsRemovedCountsAndOneThatExpiresDoesNot) {
  ASSERT_TRUE(queue().Timeout(kLong, 3, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Timeout(kShort, 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ETIME)));
  ExpectQuiet();
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(3)));
  Submit();
  // Two of three: the removal, and what it removed.
  Remove(3, 4);
  EXPECT_THAT(Await(2), ElementsAre(Final(4, 0), Final(3, -ECANCELED)));
  ExpectQuiet();
  ASSERT_TRUE(queue().Nop(Id(5)));
  EXPECT_THAT(Await(2), ElementsAre(Final(5, 0), Final(1, 0)));
}

TEST_P(Timeouts, K1_ATimeoutThatACancelFindsCounts) {
  ASSERT_TRUE(queue().Timeout(kLong, 2, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(2)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(2), Id(3)));
  EXPECT_THAT(Await(3), ElementsAre(Final(3, 0), Final(2, -ECANCELED), Final(1, 0)));
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

TEST_P(Timeouts, K4_RemovingOne) {
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(1)));
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(1)));
  Submit();
  Remove(1, 2);
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(1, -ECANCELED)));
  ExpectQuiet();
  Remove(1, 3);
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 0), Final(1, -ECANCELED)));
  Remove(1, 4);
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -ENOENT)));
}

TEST_P(Timeouts, K4_OneThatHasExpiredIsNotThere) {
  ASSERT_TRUE(queue().Timeout(kShort, 0, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ETIME)));
  Remove(1, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ENOENT)));
}

TEST_P(Timeouts, K5_AnUpdateStartsItAgain) {
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(1)));
  Submit();
  Update(1, kShort, 2);
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(1, -ETIME)));
  Update(1, kShort, 3);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, -ENOENT)));
}

TEST_P(Timeouts, K5_AnUpdateMayBeAbsoluteAndForgetsTheCount) {
  ASSERT_TRUE(queue().Timeout(kLong, 1, Id(1)));
  Submit();
  Update(1, kLong, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 0)));
  ExpectQuiet();
  constexpr __kernel_timespec kPast{.tv_sec = 0, .tv_nsec = 1};
  Update(1, kPast, 4, IORING_TIMEOUT_ABS);
  EXPECT_THAT(Await(2), ElementsAre(Final(4, 0), Final(1, -ETIME)));
}

TEST_P(Timeouts, K6_AMultishotExpiresAsOftenAsItWasAskedTo) {
  Multishot(kShort, 3, 1);
  for (int expiry = 0; expiry < 2; ++expiry) EXPECT_THAT(AwaitOne(), More(1, -ETIME));
  EXPECT_THAT(AwaitOne(), Final(1, -ETIME));
  ExpectQuiet();
}

TEST_P(Timeouts, K6_WithoutACountItHasNoEnd) {
  Multishot(kShort, 0, 1);
  for (int expiry = 0; expiry < 4; ++expiry) EXPECT_THAT(AwaitOne(), More(1, -ETIME));
  Update(1, kLong, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(3, 0), Final(1, -ECANCELED)));
}

TEST_P(Timeouts, K6_IsNeverAbsolute) {
  Multishot(kLong, 0, 1);
  LastSqe().timeout_flags |= IORING_TIMEOUT_ABS;
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EINVAL)));
}

TEST_P(Timeouts, K6_DeferredItIsStartedAgainByTaskWork) {
  constexpr Nanoseconds kPeriod = 5 * kMillisecond;
  Multishot(kShort, 0, 1);
  Submit();
  const Nanoseconds begin = kernel().MonotonicNow();
  while (kernel().MonotonicNow() - begin < 6 * kPeriod) world().Pause();
  EXPECT_EQ(Enter(), 0U);
  const std::vector<Seen> seen = Visible();
  if (deferred()) {
    EXPECT_THAT(seen, ElementsAre(More(1, -ETIME)));
  } else {
    EXPECT_GE(seen.size(), 1U);
    EXPECT_LE(seen.size(), 1U + static_cast<size_t>((kernel().MonotonicNow() - begin) / kPeriod));
  }
}

TEST_P(Timeouts, K7_ExpiryBreaksALinkUnlessItIsASuccess) {
  for (const unsigned flags : {0U, IORING_TIMEOUT_ETIME_SUCCESS}) {
    ASSERT_TRUE(queue().Timeout(kShort, 0, Id(1)));
    LastSqe().timeout_flags |= flags;
    LastSqe().flags |= IOSQE_IO_LINK;
    ASSERT_TRUE(queue().Nop(Id(2)));
    EXPECT_THAT(Await(2), ElementsAre(Final(1, -ETIME), Final(2, flags == 0 ? -ECANCELED : 0)));
  }
}

TEST_P(Timeouts, K7_ALinkedOneBeginsWhenItsTurnComes) {
  ASSERT_TRUE(queue().Timeout(kShort, 0, Id(1)));
  LastSqe().timeout_flags |= IORING_TIMEOUT_ETIME_SUCCESS;
  LastSqe().flags |= IOSQE_IO_LINK;
  const Nanoseconds begin = kernel().MonotonicNow();
  ASSERT_TRUE(queue().Timeout(kShort, 0, Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(1, -ETIME), Final(2, -ETIME)));
  EXPECT_GE(kernel().MonotonicNow() - begin, 2 * kShort.tv_nsec);
}

}  // namespace
}  // namespace orrery::conformance
