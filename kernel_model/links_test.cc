// Chains, skipped completions and drains. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr unsigned kLink = IOSQE_IO_LINK;
constexpr unsigned kHardLink = IOSQE_IO_HARDLINK;
constexpr unsigned kSkip = IOSQE_CQE_SKIP_SUCCESS;
constexpr unsigned kDrain = IOSQE_IO_DRAIN;

class LinksTest : public ::testing::Test {
 protected:
  void Nop(uint64_t user_data, unsigned flags = 0, int32_t result = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_nop(sqe);
      sqe->rw_flags = 1;
      sqe->len = static_cast<uint32_t>(result);
      sqe->flags = static_cast<uint8_t>(flags);
    });
  }
  void Receive(uint64_t user_data, int fd, unsigned flags = 0) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, fd, memory_.data(), memory_.size(), 0);
      sqe->flags |= static_cast<uint8_t>(flags);
    });
  }

  TestMachine machine_;
  std::array<std::byte, 16> memory_{};
};

TEST_F(LinksTest, EachMemberStartsInTheTaskWorkOfTheOneBefore) {  // Facts V10, L5.
  Nop(1, kLink);
  Nop(2, kLink);
  Nop(3);
  ASSERT_TRUE(machine_.Begin(0).has_value());
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 0, 0}, {2, 0, 0}, {3, 0, 0}}));
  for (uint64_t user_data = 1; user_data <= 4; ++user_data) Nop(user_data, kLink);
  Nop(5);
  Nop(6);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {6, 0, 0}, {2, 0, 0}, {3, 0, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 1U);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, 0, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

TEST_F(LinksTest, BreakAndHold) {  // Facts L1, L3, U6.
  Nop(1, kLink, -EIO);
  Nop(2, kHardLink);
  Nop(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EIO, 0}, {2, -ECANCELED, 0}, {3, -ECANCELED, 0}}));
  Nop(4, kHardLink, -EIO);
  Nop(5);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -EIO, 0}, {5, 0, 0}}));
  Nop(6, kHardLink);
  machine_.Add(7, [](io_uring_sqe* sqe) {
    io_uring_prep_nop(sqe);
    sqe->ioprio = 1;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{6, -ECANCELED, 0}, {7, -EINVAL, 0}}));
}

TEST_F(LinksTest, AMembersDescriptorIsLookedUpWhenItStarts) {
  const auto stream = machine_.Connect();
  machine_.PeerSend(stream.peer, "abc");
  machine_.Add(1, [&](io_uring_sqe* sqe) {
    io_uring_prep_close(sqe, stream.fd);
    sqe->flags |= IOSQE_IO_LINK;
  });
  Receive(2, stream.fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {2, -EBADF, 0}}));
}

TEST_F(LinksTest, AnOpenChainStartsOnAWorker) {  // Facts U13, L6.
  machine_.choice.Script(Site::kWorkerDelay, 0, 0, 4);
  Nop(1, kLink);
  Nop(2, kLink);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Nop(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}}));
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  // By itself it runs after its batch.
  Nop(4, kLink);
  Nop(5);
  Nop(6, kLink);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, 0}, {5, 0, 0}, {6, 0, 0}}));
}

TEST_F(LinksTest, WhatAnOpenChainStartsIsCancelledLikeAnyOther) {  // docs/kernel_divergences.md
  const TestMachine::Stream stream = machine_.Connect();
  Receive(1, stream.fd, kLink);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
}

TEST_F(LinksTest, AShortSubmissionCutsAChain) {  // Facts U2, L6.
  Nop(1, kLink, -EIO);
  Nop(2);
  machine_.Publish();
  ASSERT_TRUE(machine_.ring().Enter({.to_submit = 1}).has_value());
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, -EIO, 0}}));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
}

TEST_F(LinksTest, SkippedCompletions) {  // Fact L7.
  Nop(1, kLink | kSkip);
  Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  Nop(3, kLink | kSkip, -EIO);
  Nop(4);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EIO, 0}}));
  Nop(5, kLink, -EIO);
  Nop(6, kSkip);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, -EIO, 0}, {6, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 0U);
}

TEST_F(LinksTest, CancellingAHead) {  // Fact C8.
  const auto stream = machine_.Connect();
  Receive(1, stream.fd, kLink);
  Nop(2);
  machine_.Cancel(3, 2);
  machine_.Cancel(4, 1);
  EXPECT_EQ(machine_.Look(),
            (Cqes{{3, -ENOENT, 0}, {4, 0, 0}, {1, -ECANCELED, 0}, {2, -ECANCELED, 0}}));
}

TEST_F(LinksTest, ADrainHoldsEverythingBack) {  // Facts L9, C12.
  const auto stream = machine_.Connect();
  Receive(1, stream.fd);
  Nop(2, kDrain);
  machine_.Cancel(3, 1);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 3U);
  machine_.PeerSend(stream.peer, "abc");
  Cqes all;
  for (int pass = 0; pass < 8; ++pass) {
    for (const Cqe& cqe : machine_.Look()) all.push_back(cqe);
  }
  EXPECT_EQ(all, (Cqes{{1, 3, 0}, {2, 0, 0}, {3, -ENOENT, 0}}));
  Nop(4);
  Nop(5);
  EXPECT_EQ(machine_.Look(), (Cqes{{5, 0, 0}, {4, 0, 0}}));  // The first finds the drain over.
}

TEST_F(LinksTest, WorkersMayReorderWhatADrainLetGo) {
  machine_.choice.Script(Site::kWorkerDelay, 0, 1, 3);
  Nop(1, kDrain);
  Nop(2);
  Nop(3);
  ASSERT_TRUE(machine_.Enter(3).has_value());
  EXPECT_EQ(machine_.Reap(), (Cqes{{1, 0, 0}, {3, 0, 0}, {2, 0, 0}}));
}

TEST_F(LinksTest, DrainAndSkipDoNotGoTogether) {  // Fact L8.
  Nop(1, kDrain | kSkip);
  Nop(2, kDrain);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EOPNOTSUPP, 0}, {2, -EOPNOTSUPP, 0}}));
}

TEST_F(LinksTest, EndWithTheirRing) {  // Fact X6.
  const auto stream = machine_.Connect();
  Receive(1, stream.fd, kLink);
  Nop(2);
  Nop(3, kDrain);
  Nop(4);
  EXPECT_EQ(machine_.Look(), Cqes{});
  EXPECT_EQ(machine_.kernel.requests_in_flight(), 4U);
  machine_.DestroyRing();
}

}  // namespace
}  // namespace orrery::model
