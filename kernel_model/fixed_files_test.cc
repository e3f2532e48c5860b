// Allocation of fixed slots, accepting into them, and FILES_UPDATE. Each test names the facts that
// it holds the model to.
#include <gtest/gtest.h>

#include <array>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class FixedFilesTest : public ::testing::Test {
 protected:
  void MakeTable(unsigned slots) {
    io_uring_rsrc_register request{};
    request.nr = slots;
    request.flags = IORING_RSRC_REGISTER_SPARSE;
    ASSERT_TRUE(
        machine_.ring().Register(IORING_REGISTER_FILES2, &request, sizeof request).has_value());
  }
  std::expected<unsigned, Errno> SetRange(unsigned first, unsigned count) {
    io_uring_file_index_range range{};
    range.off = first;
    range.len = count;
    return machine_.ring().Register(IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
  }
  ModelKernel::PeerId ConnectPeer() {
    return *machine_.kernel.PeerConnect(*machine_.kernel.LocalPort(listener_));
  }
  // The slot that an accept gets by allocation.
  int Allocate() {
    ConnectPeer();
    AcceptDirect(90, IORING_FILE_INDEX_ALLOC);
    const Cqes cqes = machine_.Look();
    return cqes.size() == 1 ? cqes[0].res : -1;
  }
  void CloseSlot(unsigned slot) {
    machine_.Add(91, [&](io_uring_sqe* sqe) { io_uring_prep_close_direct(sqe, slot); });
    EXPECT_EQ(machine_.Look(), (Cqes{{91, 0, 0}}));
  }
  void AcceptDirect(uint64_t user_data, uint32_t file_index, bool multishot = false) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_accept(sqe, listener_, nullptr, nullptr, 0);
      if (multishot) sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
      sqe->file_index = file_index;
    });
  }
  void Update(uint64_t user_data, std::span<int> fds, unsigned offset) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_files_update(sqe, fds.data(), static_cast<unsigned>(fds.size()),
                                 static_cast<int>(offset));
    });
  }

  TestMachine machine_;
  int listener_ = machine_.Listen();
};

TEST_F(FixedFilesTest, AcceptsIntoASlot) {  // Fact A9.
  MakeTable(4);
  const auto first = ConnectPeer();
  AcceptDirect(1, 3);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_descriptors(), 1U);
  EXPECT_FALSE(machine_.kernel.PeerEnded(first));
  const auto second = ConnectPeer();
  AcceptDirect(2, 3);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(first));
  EXPECT_FALSE(machine_.kernel.PeerEnded(second));
}

TEST_F(FixedFilesTest, AllocatesBehindTheLastOrWhereOneWasFreed) {  // Fact F4.
  MakeTable(4);
  EXPECT_EQ(Allocate(), 0);
  EXPECT_EQ(Allocate(), 1);
  EXPECT_EQ(Allocate(), 2);
  CloseSlot(0);
  CloseSlot(1);
  EXPECT_EQ(Allocate(), 1);
  EXPECT_EQ(Allocate(), 3);
  EXPECT_EQ(Allocate(), 0);
  EXPECT_EQ(Allocate(), -ENFILE);
}

TEST_F(FixedFilesTest, ARangeKeepsAllocationsTogether) {  // Fact F4.
  MakeTable(4);
  ASSERT_TRUE(SetRange(1, 2).has_value());
  EXPECT_EQ(SetRange(3, 2).error(), EINVAL);
  EXPECT_EQ(Allocate(), 1);
  EXPECT_EQ(Allocate(), 2);
  EXPECT_EQ(Allocate(), -ENFILE);
  ConnectPeer();
  AcceptDirect(1, 4);  // Slots that are named may lie outside.
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
}

TEST_F(FixedFilesTest, AFailureLosesTheConnection) {  // Fact A10.
  const auto none = ConnectPeer();
  AcceptDirect(1, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENXIO, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(none));
  MakeTable(1);
  const auto outside = ConnectPeer();
  AcceptDirect(2, 2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -EINVAL, 0}}));
  EXPECT_TRUE(machine_.kernel.PeerEnded(outside));
  const auto fits = ConnectPeer();
  const auto lost = ConnectPeer();
  const auto waits = ConnectPeer();
  AcceptDirect(3, IORING_FILE_INDEX_ALLOC, /*multishot=*/true);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, kMore | kNotEmpty}, {3, -ENFILE, kNotEmpty}}));
  EXPECT_FALSE(machine_.kernel.PeerEnded(fits));
  EXPECT_TRUE(machine_.kernel.PeerEnded(lost));
  EXPECT_FALSE(machine_.kernel.PeerEnded(waits));
}

TEST_F(FixedFilesTest, WhatCannotBeIsRefused) {  // Fact A9.
  AcceptDirect(1, 1, /*multishot=*/true);
  machine_.Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    sqe->file_index = 1;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {2, -EINVAL, 0}}));
}

TEST_F(FixedFilesTest, AnUpdateByTheRingFillsSlots) {  // Fact F5.
  const int fd = *machine_.kernel.MakeEventFd();
  std::array<int, 3> fds = {fd, 999, fd};
  Update(1, fds, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENXIO, 0}}));
  MakeTable(4);
  Update(2, fds, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, 0}}));
  Update(3, fds, IORING_FILE_INDEX_ALLOC);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 1, 0}}));
  EXPECT_EQ(fds[0], 2);
  EXPECT_EQ(fds[1], 999);
  machine_.kernel.Close(fd);
  EXPECT_EQ(machine_.kernel.open_files(), 2U);  // And the listener.
}

}  // namespace
}  // namespace orrery::model
