// LINK_TIMEOUT. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class LinkTimeoutTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  void Receive(uint64_t user_data) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, stream_.fd, memory_.data(), memory_.size(), 0);
      sqe->flags |= IOSQE_IO_LINK;
    });
  }
  void Limit(uint64_t user_data, Nanoseconds time, unsigned flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      time_ = {.tv_sec = time / kSecond, .tv_nsec = time % kSecond};
      io_uring_prep_link_timeout(sqe, &time_, 0);
      sqe->flags = static_cast<uint8_t>(flags);
    });
  }
  void Guarded(Nanoseconds time) {
    Receive(1);
    Limit(2, time);
    EXPECT_EQ(machine_.Look(), Cqes{});
  }

  TestMachine machine_;
  TestMachine::Stream stream_;
  std::array<std::byte, 16> memory_{};
  __kernel_timespec time_{};
};

TEST_F(LinkTimeoutTest, InTimeAndTooLate) {  // Facts Q1, Q2.
  Guarded(kMillisecond);
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), kNever);
  Guarded(kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ETIME, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

TEST_F(LinkTimeoutTest, BothBeforeTaskWorkRuns) {  // Fact Q3.
  Receive(1);
  Limit(2, kMillisecond, IOSQE_IO_LINK);
  machine_.Nop(3);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "abc");
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}, {2, -ENOENT, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

TEST_F(LinkTimeoutTest, WhatIsLinkedWaitsForTheTimeoutThatFired) {  // Facts Q3, V7b.
  Receive(1);
  Limit(2, kMillisecond, IOSQE_IO_LINK);
  machine_.Nop(3);
  ASSERT_FALSE(machine_.Begin(1).has_value());
  machine_.PeerSend(stream_.peer, "abc");
  machine_.kernel.AdvanceTo(kMillisecond);
  ASSERT_TRUE(machine_.ring().CanFinish());
  ASSERT_TRUE(machine_.ring().Finish().has_value());
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 2U);
  // Its task work was left over, and starts the next one, which a run takes along: fact V7.
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOENT, 0}, {3, 0, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

TEST_F(LinkTimeoutTest, MayExpireAlthoughTheOperationHasJustEnded) {  // Fact Q3.
  machine_.choice.Always(Site::kLinkTimeoutRace, 1);
  Guarded(kMillisecond);
  machine_.kernel.AdvanceTo(kMillisecond - 5 * kMicrosecond);
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ETIME, 0}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kLinkTimeoutRace), 1U);
  // Not when there is time left.
  Guarded(kMillisecond);
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECANCELED, 0}}));
}

TEST_F(LinkTimeoutTest, AWorkersOperationIsNotLimited) {  // Fact Q5.
  machine_.choice.Always(Site::kWorkerDelay, 4);
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR);
    sqe->flags |= IOSQE_IO_LINK;
  });
  Limit(2, kMicrosecond);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECANCELED, 0}}));
}

TEST_F(LinkTimeoutTest, BadOnes) {  // Fact Q6.
  Limit(1, kSecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}}));
  Receive(2);
  machine_.Add(3, [](io_uring_sqe* sqe) { io_uring_prep_link_timeout(sqe, nullptr, 0); });
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECANCELED, 0}, {3, -EFAULT, 0}}));
}

TEST_F(LinkTimeoutTest, CancelsFindTheOperationOnly) {  // Fact C9.
  Guarded(kSecond);
  machine_.Cancel(3, 2);
  machine_.Cancel(4, 1);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{3, -ENOENT, 0}, {4, 0, 0}, {1, -ECANCELED, 0}, {2, -ECANCELED, 0}}));
}

TEST_F(LinkTimeoutTest, Updates) {  // Fact K5.
  Guarded(kSecond);
  __kernel_timespec sooner{.tv_sec = 0, .tv_nsec = kMillisecond};
  for (const uint64_t target : {uint64_t{2}, uint64_t{1}}) {
    machine_.Add(10 + target, [&](io_uring_sqe* sqe) {
      io_uring_prep_timeout_update(sqe, &sooner, target, IORING_LINK_TIMEOUT_UPDATE);
    });
  }
  EXPECT_EQ(machine_.Look(), (Cqes{{12, 0, 0}, {11, -ENOENT, 0}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), kMillisecond);
}

TEST_F(LinkTimeoutTest, EndsWithItsRing) {  // Fact X6.
  Guarded(kMillisecond);
  machine_.PeerSend(stream_.peer, "abc");
  machine_.kernel.AdvanceTo(kMillisecond);
  machine_.DestroyRing();
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

}  // namespace
}  // namespace orrery::model
