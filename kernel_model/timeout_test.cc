// TIMEOUT and TIMEOUT_REMOVE. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class TimeoutTest : public ::testing::Test {
 protected:
  void Timeout(uint64_t user_data, Nanoseconds duration, unsigned count = 0, unsigned flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      time_ = {.tv_sec = duration / kSecond, .tv_nsec = duration % kSecond};
      io_uring_prep_timeout(sqe, &time_, count, flags);
    });
    EXPECT_TRUE(machine_.Enter().has_value());
    time_ = {.tv_sec = 99, .tv_nsec = 99};  // Fact U8: it has been read.
  }
  void Remove(uint64_t user_data, uint64_t target) {
    machine_.Add(user_data,
                 [&](io_uring_sqe* sqe) { io_uring_prep_timeout_remove(sqe, target, 0); });
  }

  TestMachine machine_;
  __kernel_timespec time_{};
};

TEST_F(TimeoutTest, ExpiresByTaskWork) {  // Fact K1.
  Timeout(1, 3 * kMillisecond);
  EXPECT_EQ(machine_.kernel.NextEventAt(), 3 * kMillisecond);
  machine_.kernel.AdvanceTo(3 * kMillisecond - 1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(3 * kMillisecond);
  EXPECT_EQ(io_uring_cq_ready(&machine_.memory()), 0U);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ETIME, 0}}));
}

TEST_F(TimeoutTest, EndsByCount) {  // Fact K1.
  Timeout(1, kSecond, 2);
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  machine_.Nop(3);
  machine_.Nop(4);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {4, 0, 0}, {1, 0, 0}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), kNever);
}

TEST_F(TimeoutTest, TimeoutsDoNotCount) {  // Fact K1.
  Timeout(1, kSecond, 1);
  Timeout(2, kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ETIME, 0}}));
  machine_.Nop(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {1, 0, 0}}));
}

TEST_F(TimeoutTest, ZeroAndThePastFireAtOnceButByTaskWork) {  // Facts K2, V6.
  machine_.kernel.AdvanceTo(kSecond);
  __kernel_timespec zero{};
  machine_.Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &zero, 0, 0); });
  machine_.Add(
      2, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &zero, 0, IORING_TIMEOUT_ABS); });
  machine_.Nop(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {1, -ETIME, 0}, {2, -ETIME, 0}}));
}

TEST_F(TimeoutTest, AbsoluteTimesOfTwoClocks) {
  Timeout(1, 2 * kMillisecond, 0, IORING_TIMEOUT_ABS);
  EXPECT_EQ(machine_.kernel.NextEventAt(), 2 * kMillisecond);
  Timeout(2, machine_.kernel.RealtimeNow() + kMillisecond, 0,
          IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME);
  EXPECT_EQ(machine_.kernel.NextEventAt(), kMillisecond);
}

TEST_F(TimeoutTest, LongTimes) {  // As timespec64_to_ktime() has them.
  machine_.kernel.AdvanceTo(kSecond);
  __kernel_timespec for_ever{.tv_sec = kNever, .tv_nsec = kNever};
  machine_.Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &for_ever, 0, 0); });
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.NextEventAt(), kNever);
  __kernel_timespec in_nanoseconds{.tv_sec = 1, .tv_nsec = 20 * kSecond};
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &in_nanoseconds, 0, 0); });
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.NextEventAt(), 22 * kSecond);
}

TEST_F(TimeoutTest, WhoWaitsForATimeOfTheWallClockFollowsItsJumps) {
  Timeout(1, 5 * kMillisecond, 0, IORING_TIMEOUT_ABS);
  Timeout(2, 6 * kMillisecond, 0, IORING_TIMEOUT_REALTIME);
  Timeout(3, machine_.kernel.RealtimeNow() + 4 * kMillisecond, 0,
          IORING_TIMEOUT_ABS | IORING_TIMEOUT_REALTIME);
  const Nanoseconds before = machine_.kernel.RealtimeNow();
  machine_.kernel.JumpRealtime(-kSecond);
  EXPECT_EQ(machine_.kernel.RealtimeNow(), before - kSecond);
  EXPECT_EQ(machine_.kernel.MonotonicNow(), 0);
  EXPECT_EQ(machine_.kernel.NextEventAt(), 5 * kMillisecond);
  machine_.kernel.AdvanceTo(10 * kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ETIME, 0}, {2, -ETIME, 0}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), kSecond + 4 * kMillisecond);
  machine_.kernel.JumpRealtime(86'400 * kSecond);
  EXPECT_EQ(machine_.kernel.NextEventAt(), 10 * kMillisecond);
  machine_.kernel.AdvanceTo(10 * kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -ETIME, 0}}));
}

TEST_F(TimeoutTest, BadArguments) {  // Fact K2.
  Timeout(1, -kSecond);
  machine_.Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_timeout(sqe, &time_, 0, 0);
    sqe->len = 2;
  });
  machine_.Add(3, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, nullptr, 0, 0); });
  machine_.Add(4, [&](io_uring_sqe* sqe) {
    io_uring_prep_timeout(sqe, &time_, 0, IORING_TIMEOUT_REALTIME | IORING_TIMEOUT_BOOTTIME);
  });
  machine_.Add(5, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &time_, 0, 1U << 7); });
  EXPECT_EQ(
      machine_.Look(),
      (Cqes{{1, -EINVAL, 0}, {2, -EINVAL, 0}, {3, -EFAULT, 0}, {4, -EINVAL, 0}, {5, -EINVAL, 0}}));
}

TEST_F(TimeoutTest, ExpireInTheOrderOfTheirDeadlines) {  // Fact K3.
  Timeout(1, 3 * kMillisecond);
  Timeout(2, 1 * kMillisecond);
  Timeout(3, 2 * kMillisecond);
  Timeout(4, 2 * kMillisecond);
  machine_.choice.Always(Site::kTaskWorkOrder, 1);  // Must not reorder timeouts.
  machine_.kernel.AdvanceTo(kSecond);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{2, -ETIME, 0}, {3, -ETIME, 0}, {4, -ETIME, 0}, {1, -ETIME, 0}}));
}

TEST_F(TimeoutTest, EqualDeadlinesMayFireInAnyOrder) {  // Fact K3.
  for (uint64_t user_data = 1; user_data <= 3; ++user_data) Timeout(user_data, kMillisecond);
  machine_.choice.Script(Site::kTimerOrder, 0, 0, 2);
  machine_.kernel.AdvanceTo(kSecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -ETIME, 0}, {1, -ETIME, 0}, {2, -ETIME, 0}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kTimerOrder), 1U);
}

TEST_F(TimeoutTest, Removing) {  // Fact K4.
  Timeout(1, kMillisecond);
  Timeout(1, kMillisecond);
  Remove(2, 1);
  Remove(3, 77);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {3, -ENOENT, 0}, {1, -ECANCELED, 0}}));
  machine_.Cancel(4, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, 0}, {1, -ECANCELED, 0}}));
  Timeout(5, kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond);
  Remove(6, 5);  // Has fired, although its CQE is still to come.
  EXPECT_EQ(machine_.Look(), (Cqes{{6, -ENOENT, 0}, {5, -ETIME, 0}}));
}

TEST_F(TimeoutTest, ExpiryDuringAWaitEndsIt) {  // Fact W6.
  Timeout(1, kMillisecond);
  const EnterResult result = machine_.Enter(5);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(*result, 0U);
  EXPECT_EQ(machine_.kernel.MonotonicNow(), kMillisecond);
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, -ETIME, 0}}));
}

TEST_F(TimeoutTest, ExpiryBeforeAWaitDoesNotEndIt) {  // Fact W6.
  Timeout(1, kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond);
  const EnterResult result = machine_.Enter(2, 5 * kMillisecond);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(machine_.kernel.MonotonicNow(), 5 * kMillisecond);
}

TEST_F(TimeoutTest, ACountDoesNotEndAWait) {  // Fact W6.
  const int event = *machine_.kernel.MakeEventFd();
  Timeout(1, kSecond, 1);
  machine_.PollMultishot(2, event, POLLIN);
  ASSERT_FALSE(machine_.Begin(5, 9 * kMillisecond).has_value());
  for (int round = 0; round < 5; ++round) machine_.kernel.SignalEventFd(event);
  EXPECT_FALSE(machine_.ring().CanFinish());
  machine_.kernel.AdvanceTo(9 * kMillisecond);
  ASSERT_TRUE(machine_.ring().CanFinish());
  EXPECT_EQ(*machine_.ring().Finish(), 1U);
}

TEST_F(TimeoutTest, Updating) {  // Fact K5.
  Timeout(1, kSecond, 1);
  __kernel_timespec sooner{.tv_sec = 0, .tv_nsec = kMillisecond};
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_timeout_update(sqe, &sooner, 1, 0); });
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));  // The count is forgotten.
  EXPECT_EQ(machine_.kernel.NextEventAt(), kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ETIME, 0}}));
}

TEST_F(TimeoutTest, MultishotsAreStartedAgainByTaskWork) {  // Fact K6.
  constexpr unsigned kMultishot = 1U << 6;
  Timeout(1, kMillisecond, 2, kMultishot);
  machine_.kernel.AdvanceTo(10 * kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ETIME, kMore}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), 11 * kMillisecond);
  machine_.kernel.AdvanceTo(11 * kMillisecond);
  machine_.Cancel(2, 1);  // Between its expiry and its CQE it is not to be found.
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOENT, 0}, {1, -ETIME, 0}}));
  Timeout(3, kSecond, 0, kMultishot | IORING_TIMEOUT_ABS);
  EXPECT_EQ(machine_.Reap(), (Cqes{{3, -EINVAL, 0}}));
}

TEST_F(TimeoutTest, ALinkedOneBeginsInItsTurn) {  // Fact K7.
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    time_ = {.tv_sec = 0, .tv_nsec = kMillisecond};
    io_uring_prep_timeout(sqe, &time_, 0, IORING_TIMEOUT_ETIME_SUCCESS);
    sqe->flags |= IOSQE_IO_LINK;
  });
  Timeout(2, kMillisecond);
  machine_.kernel.AdvanceTo(3 * kMillisecond);
  ASSERT_TRUE(machine_.Enter(2).has_value());
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, -ETIME, 0}, {2, -ETIME, 0}}));
  EXPECT_EQ(machine_.kernel.MonotonicNow(), 4 * kMillisecond);
}

}  // namespace
}  // namespace orrery::model
