// Zero-copy sends. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <climits>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr uint32_t kNotification = IORING_CQE_F_NOTIF;
constexpr uint16_t kReportUsage = 1U << 3;
constexpr size_t kLarge = 20'000;

class ZeroCopyTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  void Send(uint64_t user_data, std::string_view bytes, int flags = 0, unsigned zc_flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_send_zc(sqe, stream_.fd, bytes.data(), bytes.size(), flags, zc_flags);
    });
  }

  TestMachine machine_;
  TestMachine::Stream stream_;
  std::string large_ = std::string(kLarge, 'x');
};

TEST_F(ZeroCopyTest, ASmallSendIsNotifiedAtOnce) {  // Facts Z1, Z2.
  Send(1, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, kMore}, {1, 0, kNotification}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "abc");
}

TEST_F(ZeroCopyTest, ALargeOneWhenItWasRead) {  // Fact Z2.
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer, kLarge - 1).size(), kLarge - 1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 1U);
  EXPECT_EQ(machine_.PeerReceive(stream_.peer).size(), 1U);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

TEST_F(ZeroCopyTest, ASmallOneMayWaitToo) {  // Fact Z1.
  machine_.choice.Always(Site::kNotificationTime, 1);
  Send(1, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, kMore}}));
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kNotificationTime), 1U);
}

TEST_F(ZeroCopyTest, ALargeOneMayComeAtOnce) {  // Fact Z1.
  machine_.choice.Always(Site::kNotificationTime, 1);
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}, {1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, TheAcknowledgementTakesItsTime) {  // Fact V12.
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}}));
  machine_.choice.Always(Site::kWakeDelay, 2);
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, ThePayloadStaysUntilTheNotification) {
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}}));
  large_[kLarge / 2] = 'y';  // What a program does that takes the result for the end.
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
  EXPECT_EQ(machine_.observer.violations,
            std::vector<std::string>{"send-memory-changed-in-flight"});
}

TEST_F(ZeroCopyTest, WhatWasNotTakenIsTheProgramsAtTheResult) {
  constexpr size_t kFits = ModelOptions{}.socket_buffer_bytes;
  std::string larger(kFits + 1, 'x');
  Send(1, larger, MSG_DONTWAIT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, static_cast<int32_t>(kFits), kMore}}));
  larger[kFits] = 'y';
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
  EXPECT_EQ(machine_.observer.violations, std::vector<std::string>{});
}

TEST_F(ZeroCopyTest, ACloseOrAResetOfThePeerReleasesThePayload) {  // Fact Z2.
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}}));
  machine_.kernel.PeerReset(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, ADescriptorThatIsClosedLeavesItToThePeer) {  // Fact Z2.
  Send(1, large_);
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}, {2, 0, 0}}));
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, AResetOfOurOwnReleasesThePayload) {  // Fact X4.
  machine_.PeerSend(stream_.peer, "unread");
  Send(1, large_);
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}, {2, 0, 0}, {1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, ErrorsAreNotifiedToo) {  // Fact Z3.
  machine_.kernel.Close(stream_.fd);
  Send(1, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EBADF, kMore}, {1, 0, kNotification}}));
  Send(2, "abc", 0, 1U << 9);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EINVAL, kMore}, {2, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, NothingOfItIsFoundAfterTheResult) {  // Fact Z1.
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}}));
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOENT, 0}}));
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, AskingForNoResultIsRefused) {  // Fact Z4.
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_send_zc(sqe, stream_.fd, "abc", 3, 0, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}}));
}

TEST_F(ZeroCopyTest, TheReportSaysCopied) {  // Fact Z5.
  Send(1, "abc", 0, kReportUsage);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, kMore}, {1, INT_MIN, kNotification}}));
}

TEST_F(ZeroCopyTest, ACancelledPartIsNotifiedWhenItWasRead) {  // Fact Z6.
  const std::string much(100'000, 'x');
  Send(1, much, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 65536, kMore}}));
  machine_.PeerReceive(stream_.peer);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, kNotification}}));
}

TEST_F(ZeroCopyTest, ARingThatGoesAwayTakesItAlong) {
  Send(1, large_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, kLarge, kMore}}));
  machine_.DestroyRing();
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
  EXPECT_EQ(machine_.PeerReceive(stream_.peer).size(), kLarge);
}

}  // namespace
}  // namespace orrery::model
