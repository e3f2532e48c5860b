// CLOSE, SHUTDOWN, descriptors and fixed files. Each test names the facts that it holds the model
// to.
#include <gtest/gtest.h>
#include <poll.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class CloseTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  void Shutdown(uint64_t user_data, int fd, int how, unsigned flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_shutdown(sqe, fd, how);
      sqe->flags |= static_cast<uint8_t>(flags);
    });
  }
  std::expected<unsigned, Errno> RegisterTable(unsigned slots) {
    io_uring_rsrc_register request{};
    request.nr = slots;
    request.flags = IORING_RSRC_REGISTER_SPARSE;
    return machine_.ring().Register(IORING_REGISTER_FILES2, &request, sizeof request);
  }
  std::expected<unsigned, Errno> Update(unsigned offset, std::vector<int> fds) {
    io_uring_files_update request{};
    request.offset = offset;
    request.fds = reinterpret_cast<uint64_t>(fds.data());
    return machine_.ring().Register(IORING_REGISTER_FILES_UPDATE, &request,
                                    static_cast<unsigned>(fds.size()));
  }
  void CloseFixed(uint64_t user_data, unsigned slot) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_close_direct(sqe, slot); });
  }

  TestMachine machine_;
  TestMachine::Stream stream_;
  std::array<std::byte, 16> memory_{};
};

TEST_F(CloseTest, ClosesOnce) {  // Fact A14.
  machine_.Close(1, stream_.fd);
  machine_.Close(2, stream_.fd);
  machine_.Close(3, machine_.memory().ring_fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {2, -EBADF, 0}, {3, -EBADF, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_FALSE(machine_.kernel.PeerReceive(stream_.peer, {}).reset);
  EXPECT_EQ(machine_.kernel.open_descriptors(), 0U);
}

TEST_F(CloseTest, AnArmedRequestKeepsItsFile) {  // Facts X1, C4 of what servers get wrong.
  TestBuffers buffers(7, 4, 8);
  ASSERT_TRUE(buffers.Register(machine_.ring()).has_value());
  buffers.PublishAll();
  machine_.ReceiveMultishot(1, stream_.fd, 7);
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, kBuffer | kMore}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 1U);
  machine_.Cancel(3, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {1, -ECANCELED, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
  machine_.DestroyRing();
}

TEST_F(CloseTest, NumbersAreResolvedWhenTheSqeIsConsumed) {  // Fact X5.
  ASSERT_TRUE(machine_.kernel.MakeEventFd().has_value());    // Takes the listener's old number.
  machine_.Receive(1, stream_.fd, memory_);
  machine_.kernel.Close(stream_.fd);
  const int event = *machine_.kernel.MakeEventFd();
  ASSERT_EQ(event, stream_.fd);  // The lowest free number.
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENOTSOCK, 0}}));
}

TEST_F(CloseTest, UnreadDataMakesItAReset) {  // Fact X4.
  machine_.Send(1, stream_.fd, "reply");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 5, 0}}));
  machine_.PeerSend(stream_.peer, "unread");
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "reply");
  EXPECT_TRUE(machine_.kernel.PeerReceive(stream_.peer, {}).reset);
  EXPECT_EQ(machine_.kernel.PeerSend(stream_.peer, std::as_bytes(std::span("x"))).error(),
            ECONNRESET);
}

TEST_F(CloseTest, AResetMayTakeUnreadDataAlong) {  // Fact X4.
  machine_.choice.Always(Site::kResetLosesData, 2);
  machine_.Send(1, stream_.fd, "reply");
  machine_.PeerSend(stream_.peer, "unread");
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 5, 0}, {2, 0, 0}}));
  EXPECT_EQ(machine_.PeerReceive(stream_.peer), "rep");
}

TEST_F(CloseTest, DataAfterTheCloseIsAnsweredWithAReset) {
  machine_.Close(1, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(machine_.PeerSend(stream_.peer, "x"), 1U);
  EXPECT_EQ(machine_.kernel.PeerSend(stream_.peer, std::as_bytes(std::span("x"))).error(),
            ECONNRESET);
}

TEST_F(CloseTest, ShutdownRunsOnAWorkerAndEndsBothDirections) {  // Facts X3, A14.
  machine_.Receive(1, stream_.fd, memory_);
  Shutdown(2, stream_.fd, SHUT_RDWR);
  machine_.Nop(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {1, 0, 0}, {2, 0, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
}

TEST_F(CloseTest, AWorkerMayBeLate) {  // Facts A14, X3.
  machine_.choice.Always(Site::kWorkerDelay, 4);
  Shutdown(1, stream_.fd, SHUT_RDWR);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
}

TEST_F(CloseTest, TheWorkerOfAShutdownLooksItsFileUp) {  // Observed on 6.18.
  Shutdown(1, stream_.fd, SHUT_WR);
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -EBADF, 0}}));
}

TEST_F(CloseTest, TheWorkerMayBeFasterThanTheBatch) {
  machine_.choice.Always(Site::kWorkerDelay, 1);
  Shutdown(1, stream_.fd, SHUT_WR);
  machine_.Close(2, stream_.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 0, 0}}));
}

TEST_F(CloseTest, ShutdownErrors) {
  const int event = *machine_.kernel.MakeEventFd();
  Shutdown(1, stream_.fd, 7);
  Shutdown(2, event, SHUT_RD);
  Shutdown(3, 999, SHUT_RD);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {2, -ENOTSOCK, 0}, {3, -EBADF, 0}}));
  machine_.kernel.PeerReset(stream_.peer);
  Shutdown(4, stream_.fd, SHUT_WR);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -ENOTCONN, 0}}));
}

TEST_F(CloseTest, DataForAStreamShutBothWaysResetsIt) {  // tcp_rcv_state_process(); observed.
  Shutdown(1, stream_.fd, SHUT_RDWR);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(machine_.PeerSend(stream_.peer, "x"), 1U);
  EXPECT_EQ(machine_.kernel.PeerSend(stream_.peer, std::as_bytes(std::span("x"))).error(),
            ECONNRESET);
}

// --- Fixed files

TEST_F(CloseTest, TableErrors) {  // Fact F1.
  EXPECT_EQ(RegisterTable(0).error(), EINVAL);
  EXPECT_EQ(Update(0, {-1}).error(), ENXIO);
  EXPECT_EQ(machine_.ring().Register(IORING_UNREGISTER_FILES, nullptr, 0).error(), ENXIO);
  EXPECT_EQ(RegisterTable(4096).error(), EMFILE);
  EXPECT_TRUE(RegisterTable(4).has_value());
  EXPECT_EQ(RegisterTable(4).error(), EBUSY);
  EXPECT_TRUE(machine_.ring().Register(IORING_UNREGISTER_FILES, nullptr, 0).has_value());
}

TEST_F(CloseTest, TableUpdates) {  // Fact F2.
  ASSERT_TRUE(RegisterTable(4).has_value());
  EXPECT_EQ(*Update(0, {stream_.fd, stream_.fd}), 2U);
  EXPECT_EQ(*Update(1, {stream_.fd, 999, stream_.fd}), 1U);
  EXPECT_EQ(Update(1, {999}).error(), EBADF);
  EXPECT_EQ(*Update(0, {-2, -1, -1}), 3U);
  EXPECT_EQ(Update(3, {-1, -1}).error(), EINVAL);
  EXPECT_EQ(Update(0, {machine_.memory().ring_fd}).error(), EBADF);
}

TEST_F(CloseTest, FixedSlotsNameFiles) {  // Facts F3, F5.
  ASSERT_TRUE(RegisterTable(4).has_value());
  ASSERT_EQ(*Update(2, {stream_.fd}), 1U);
  machine_.kernel.Close(stream_.fd);
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  for (const int slot : {2, 1, 4}) {
    machine_.Add(static_cast<uint64_t>(slot), [&](io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, slot, "abc", 3, MSG_NOSIGNAL);
      sqe->flags |= IOSQE_FIXED_FILE;
    });
  }
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 3, 0}, {1, -EBADF, 0}, {4, -EBADF, 0}}));
  CloseFixed(5, 2);
  CloseFixed(6, 2);
  CloseFixed(7, 9);
  machine_.Add(8, [&](io_uring_sqe* sqe) {
    io_uring_prep_close(sqe, 2);
    sqe->flags |= IOSQE_FIXED_FILE;
  });
  machine_.Add(9, [&](io_uring_sqe* sqe) {
    io_uring_prep_close_direct(sqe, 2);
    sqe->fd = 5;
  });
  EXPECT_EQ(machine_.Look(),
            (Cqes{{5, 0, 0}, {6, -EBADF, 0}, {7, -EINVAL, 0}, {8, -EBADF, 0}, {9, -EINVAL, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
}

TEST_F(CloseTest, EmptyingASlotLeavesRequestsAlone) {  // Fact F6.
  ASSERT_TRUE(RegisterTable(1).has_value());
  ASSERT_EQ(*Update(0, {stream_.fd}), 1U);
  machine_.kernel.Close(stream_.fd);
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv(sqe, 0, memory_.data(), memory_.size(), 0);
    sqe->flags |= IOSQE_FIXED_FILE;
  });
  CloseFixed(2, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
}

TEST_F(CloseTest, ALateAcknowledgementOfTheFinWakesOnceMore) {  // Fact X7.
  machine_.PollMultishot(1, stream_.fd, POLLOUT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLOUT, kMore}}));
  machine_.choice.Always(Site::kFinAcknowledged, 3);
  Shutdown(2, stream_.fd, SHUT_WR);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLOUT, kMore}, {2, 0, 0}}));
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLOUT, kMore}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), kNever);
}

TEST_F(CloseTest, WhatThePeerSendsAcknowledgesTheFin) {  // Fact X7.
  machine_.PollMultishot(1, stream_.fd, POLLOUT);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLOUT, kMore}}));
  machine_.choice.Always(Site::kFinAcknowledged, 3);
  Shutdown(2, stream_.fd, SHUT_WR);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLOUT, kMore}, {2, 0, 0}}));
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), (Cqes{{1, POLLOUT, kMore}}));
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.NextEventAt(), kNever);
}

TEST_F(CloseTest, ARingTakesItsRequestsAndFilesAlong) {  // Fact X6.
  ASSERT_TRUE(RegisterTable(1).has_value());
  ASSERT_EQ(*Update(0, {stream_.fd}), 1U);
  machine_.Receive(1, stream_.fd, memory_);
  machine_.Receive(2, stream_.fd, memory_);
  Shutdown(3, 0, SHUT_RD, IOSQE_FIXED_FILE);
  machine_.choice.Always(Site::kWorkerDelay, 4);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "x");
  machine_.kernel.Close(stream_.fd);
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 3U);
  machine_.DestroyRing();
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

}  // namespace
}  // namespace orrery::model
