// ASYNC_CANCEL. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class CancelTest : public ::testing::Test {
 protected:
  void SetUp() override { stream_ = machine_.Connect(); }
  void Receive(uint64_t user_data) { machine_.Receive(user_data, stream_.fd, memory_); }
  void CancelFile(uint64_t user_data, int fd, unsigned flags) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) { io_uring_prep_cancel_fd(sqe, fd, flags); });
  }

  TestMachine machine_;
  TestMachine::Stream stream_;
  std::array<std::byte, 16> memory_{};
};

TEST_F(CancelTest, FindsByUserData) {  // Facts C1, C4, C11.
  Receive(0);
  machine_.Cancel(2, 0);
  machine_.Cancel(3, 77);
  machine_.Cancel(4, 4);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{2, 0, 0}, {3, -ENOENT, 0}, {4, -ENOENT, 0}, {0, -ECANCELED, 0}}));
}

TEST_F(CancelTest, TheVictimNeedsTaskWork) {  // Fact C4.
  Receive(1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(CancelTest, TheVictimMayComeFirst) {  // Fact C4.
  machine_.choice.Always(Site::kCancelOrder, 1);
  Receive(1);
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECANCELED, 0}, {2, 0, 0}}));
  EXPECT_EQ(machine_.observer.Faults(Site::kCancelOrder), 1U);
}

TEST_F(CancelTest, OneOfSeveralUnlessAll) {  // Facts C1, C2.
  for (int count = 0; count < 3; ++count) Receive(1);
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
  machine_.Cancel(3, 1, IORING_ASYNC_CANCEL_ALL);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 2, 0}, {1, -ECANCELED, 0}, {1, -ECANCELED, 0}}));
  machine_.Cancel(4, 1, IORING_ASYNC_CANCEL_ALL);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, 0}}));
}

TEST_F(CancelTest, AnyMeansAll) {  // Fact C2.
  __kernel_timespec second{.tv_sec = 1, .tv_nsec = 0};
  Receive(1);
  machine_.PollMultishot(2, *machine_.kernel.MakeEventFd(), POLLIN);
  machine_.Add(3, [&](io_uring_sqe* sqe) { io_uring_prep_timeout(sqe, &second, 0, 0); });
  machine_.Cancel(4, 0, IORING_ASYNC_CANCEL_ANY);
  machine_.Cancel(5, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD);
  EXPECT_EQ(
      machine_.Look(),
      (Cqes{
          {4, 3, 0}, {5, -EINVAL, 0}, {1, -ECANCELED, 0}, {2, -ECANCELED, 0}, {3, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.kernel.NextEventAt(), kNever);
  machine_.Cancel(6, 0, IORING_ASYNC_CANCEL_ANY);
  EXPECT_EQ(machine_.Look(), (Cqes{{6, 0, 0}}));
}

TEST_F(CancelTest, ByFile) {  // Fact C3.
  const auto other = machine_.Connect();
  Receive(1);
  machine_.Receive(2, other.fd, memory_);
  CancelFile(3, other.fd, IORING_ASYNC_CANCEL_ALL);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 1, 0}, {2, -ECANCELED, 0}}));
  CancelFile(4, other.fd, 0);
  CancelFile(5, 999, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -ENOENT, 0}, {5, -EBADF, 0}}));
}

TEST_F(CancelTest, AClosedNumberFindsNothing) {            // Facts C3, X2.
  ASSERT_TRUE(machine_.kernel.MakeEventFd().has_value());  // Takes the listener's old number.
  Receive(1);
  machine_.Close(2, stream_.fd);
  CancelFile(3, stream_.fd, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {3, -EBADF, 0}}));
  // The number now names another file.
  const int event = *machine_.kernel.MakeEventFd();
  ASSERT_EQ(event, stream_.fd);
  CancelFile(4, event, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -ENOENT, 0}}));
  machine_.Cancel(5, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, 0, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(CancelTest, CancelAllThenCloseInOneBatch) {  // Fact X2.
  Receive(1);
  CancelFile(2, stream_.fd, IORING_ASYNC_CANCEL_ALL);
  machine_.Close(3, stream_.fd);
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, 0}, {3, 0, 0}, {1, -ECANCELED, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(stream_.peer));
}

TEST_F(CancelTest, BeatsDataWhoseTaskWorkHasNotRun) {  // Facts C5, V11.
  Receive(1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "abc");
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
  Receive(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 3, 0}}));
}

TEST_F(CancelTest, ComesTooLateOnceTheCqeIsThere) {  // Fact C5.
  Receive(1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_TRUE(machine_.Enter().has_value());
  machine_.Cancel(2, 1);
  EXPECT_TRUE(machine_.Enter().has_value());
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 3, 0}, {2, -ENOENT, 0}}));
}

TEST_F(CancelTest, FindsTheSameVictimUntilItsTaskWorkRuns) {  // Observed on 6.18.
  Receive(1);
  for (uint64_t user_data = 2; user_data <= 4; ++user_data) machine_.Cancel(user_data, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {3, 0, 0}, {4, 0, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(CancelTest, PartlyDoneWaitAllKeepsItsBytes) {  // Fact C6.
  machine_.Receive(1, stream_.fd, memory_, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 3, 0}}));
}

TEST_F(CancelTest, EndsMultishots) {  // Fact C7.
  TestBuffers buffers(7, 4, 8);
  ASSERT_TRUE(buffers.Register(machine_.ring()).has_value());
  buffers.PublishAll();
  const int listener = machine_.Listen();
  machine_.ReceiveMultishot(1, stream_.fd, 7);
  machine_.AcceptMultishot(2, listener);
  machine_.PollMultishot(3, *machine_.kernel.MakeEventFd(), POLLIN);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "abc");
  ASSERT_TRUE(machine_.kernel.PeerConnect(*machine_.kernel.LocalPort(listener)).has_value());
  for (uint64_t target = 1; target <= 3; ++target) machine_.Cancel(10 + target, target);
  EXPECT_EQ(machine_.Look(), (Cqes{{11, 0, 0},
                                   {12, 0, 0},
                                   {13, 0, 0},
                                   {1, -ECANCELED, 0},
                                   {2, -ECANCELED, 0},
                                   {3, -ECANCELED, 0}}));
  // What had come is still there.
  machine_.ReceiveMultishot(4, stream_.fd, 7);
  machine_.Accept(5, listener);
  EXPECT_EQ(machine_.Look().size(), 2U);
  machine_.DestroyRing();
}

TEST_F(CancelTest, SkipSuccessHidesOnlySuccess) {  // Fact C11.
  Receive(1);
  for (const uint64_t target : {uint64_t{1}, uint64_t{77}}) {
    machine_.Add(2, [&](io_uring_sqe* sqe) {
      io_uring_prep_cancel64(sqe, target, 0);
      sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    });
  }
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ENOENT, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(CancelTest, FixedFiles) {  // Fact C3.
  io_uring_rsrc_register table{};
  table.nr = 2;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  ASSERT_TRUE(machine_.ring().Register(IORING_REGISTER_FILES2, &table, sizeof table).has_value());
  io_uring_files_update update{};
  update.offset = 1;
  update.fds = reinterpret_cast<uint64_t>(&stream_.fd);
  ASSERT_TRUE(machine_.ring().Register(IORING_REGISTER_FILES_UPDATE, &update, 1).has_value());
  Receive(1);
  CancelFile(2, 1, IORING_ASYNC_CANCEL_FD_FIXED);
  CancelFile(3, 0, IORING_ASYNC_CANCEL_FD_FIXED);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {3, -EBADF, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(CancelTest, AWorkerThatHasBegunCannotBeStopped) {  // Fact C10.
  machine_.choice.Always(Site::kWorkerStarted, 1);
  machine_.choice.Always(Site::kWorkerDelay, 4);
  machine_.Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR); });
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EALREADY, 0}}));
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
}

TEST_F(CancelTest, WhatAWorkerHasNotBegunIsCancelled) {  // Fact C10.
  machine_.choice.Always(Site::kWorkerDelay, 4);
  machine_.Add(1, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, stream_.fd, SHUT_WR); });
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
  machine_.kernel.AdvanceTo(kSecond);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_FALSE(machine_.kernel.PeerEnded(stream_.peer));
}

TEST_F(CancelTest, WhatAWorkerHasNotBegunAgainKeepsItsBytes) {  // Facts C6, C10.
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_recv(sqe, stream_.fd, memory_.data(), memory_.size(), MSG_WAITALL);
    sqe->flags |= IOSQE_IO_LINK;  // An open chain: a worker starts it (fact U13).
  });
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.PeerSend(stream_.peer, "abc");
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.choice.Always(Site::kWorkerDelay, 4);
  machine_.PeerSend(stream_.peer, "d");
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 3, 0}}));
}

TEST_F(CancelTest, ByOperationAndUserData) {  // Fact C3.
  constexpr unsigned kUserData = 1U << 4;
  constexpr unsigned kOperation = 1U << 5;
  Receive(1);
  machine_.PollMultishot(2, stream_.fd, POLLIN);
  machine_.Add(3, [&](io_uring_sqe* sqe) {
    io_uring_prep_cancel_fd(sqe, stream_.fd, kUserData);
    sqe->addr = 7;
  });
  machine_.Add(4, [&](io_uring_sqe* sqe) {
    io_uring_prep_cancel64(sqe, 0, kOperation);
    sqe->len = IORING_OP_POLL_ADD;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -ENOENT, 0}, {4, 0, 0}, {2, -ECANCELED, 0}}));
}

TEST_F(CancelTest, Synchronously) {  // Fact C13.
  Receive(1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  io_uring_sync_cancel_reg request{};
  request.addr = 1;
  EXPECT_EQ(machine_.ring().Register(IORING_REGISTER_SYNC_CANCEL, &request, 1), 0U);
  request.addr = 7;
  EXPECT_EQ(machine_.ring().Register(IORING_REGISTER_SYNC_CANCEL, &request, 1),
            std::unexpected(Errno(ENOENT)));
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECANCELED, 0}}));
}

}  // namespace
}  // namespace orrery::model
