// A refused operation that was half written, or a flag left over from an SQE's last use, runs
// something that nobody asked for. No kernel here: the ring is memory, and entering it is a
// mistake. What a kernel makes of each SQE is shown by //tests/conformance.
#include "runtime/ring/submission_queue.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace orrery {
namespace {

constexpr unsigned kEntries = 4;

// Ring memory with nobody behind it; Consume() plays the kernel's part on the submission queue.
class MemoryRing final : public Ring {
 public:
  MemoryRing() {
    memory_.sq.khead = &head_;
    memory_.sq.ktail = &tail_;
    memory_.sq.kflags = &flags_;
    memory_.sq.sqes = sqes_.data();
    memory_.sq.ring_entries = kEntries;
    memory_.sq.ring_mask = kEntries - 1;
    // What an earlier use may have left.
    std::memset(sqes_.data(), 0xff, sizeof sqes_);
  }

  EnterResult Enter(const EnterRequest&) override { return std::unexpected(Errno(ENOSYS)); }
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override {
    registered_opcode = opcode;
    if (opcode == IORING_REGISTER_FILES2) {
      files = *static_cast<const io_uring_rsrc_register*>(argument);
    } else {
      update = *static_cast<const io_uring_files_update*>(argument);
      updated_fd = *reinterpret_cast<const int*>(update.fds);
    }
    if (fail_registration) return std::unexpected(Errno(EBUSY));
    return count;
  }

  void Consume(unsigned count) { head_ += count; }
  unsigned published_tail() const { return tail_; }
  const io_uring_sqe& sqe(unsigned index) const { return sqes_[index]; }

  unsigned registered_opcode = 0;
  io_uring_rsrc_register files{};
  io_uring_files_update update{};
  int updated_fd = 0;
  bool fail_registration = false;

 private:
  unsigned head_ = 0;
  unsigned tail_ = 0;
  unsigned flags_ = 0;
  std::array<io_uring_sqe, kEntries> sqes_;
};

constexpr UserData kId{.operation = Operation::kTest, .slot = {7, 9}};

class SubmissionQueueTest : public testing::Test {
 protected:
  MemoryRing ring_;
  SubmissionQueue queue_{ring_};
};

TEST_F(SubmissionQueueTest, APreparedOperationIsCopiedAndGetsItsUserData) {
  io_uring_sqe prepared{};
  io_uring_prep_openat(&prepared, 5, "name", 7, 0644);
  prepared.user_data = 1;
  ASSERT_TRUE(queue_.Push(prepared, kId));
  EXPECT_EQ(ring_.sqe(0).user_data, kId.Pack());
  prepared.user_data = kId.Pack();
  EXPECT_EQ(std::memcmp(&ring_.sqe(0), &prepared, sizeof prepared), 0);
  while (queue_.space_left() > 0) ASSERT_TRUE(queue_.Nop(kId));
  EXPECT_FALSE(queue_.Push(prepared, kId));
}

TEST_F(SubmissionQueueTest, FullIsAnAnswerAndNothingIsLost) {
  EXPECT_EQ(queue_.space_left(), kEntries);
  for (uint32_t i = 0; i < kEntries; ++i) {
    ASSERT_TRUE(queue_.Nop({.operation = Operation::kTest, .slot = {i, 0}}));
  }
  EXPECT_EQ(queue_.space_left(), 0U);
  const std::array<std::byte, 3> bytes{};
  EXPECT_FALSE(queue_.Send(File::Descriptor(1), bytes, 0, kId));
  EXPECT_FALSE(queue_.Nop(kId));
  for (uint32_t i = 0; i < kEntries; ++i) {
    EXPECT_EQ(ring_.sqe(i).opcode, IORING_OP_NOP);
    EXPECT_EQ(UserData::Unpack(ring_.sqe(i).user_data).slot.index, i);
  }

  // The kernel takes one: there is space for one, in the oldest slot.
  EXPECT_EQ(queue_.Publish(), kEntries);
  ring_.Consume(1);
  EXPECT_EQ(queue_.pending(), kEntries - 1);
  EXPECT_EQ(queue_.space_left(), 1U);
  ASSERT_TRUE(queue_.Send(File::Descriptor(1), bytes, 0, kId));
  EXPECT_FALSE(queue_.Nop(kId));
  EXPECT_EQ(ring_.sqe(0).opcode, IORING_OP_SEND);
}

TEST_F(SubmissionQueueTest, PublishShowsTheTailOnlyWhenAsked) {
  ASSERT_TRUE(queue_.Nop(kId));
  EXPECT_EQ(ring_.published_tail(), 0U);
  EXPECT_EQ(queue_.Publish(), 1U);
  EXPECT_EQ(ring_.published_tail(), 1U);
  EXPECT_EQ(queue_.Publish(), 1U);
  ring_.Consume(1);
  EXPECT_EQ(queue_.Publish(), 0U);
}

TEST_F(SubmissionQueueTest, NoFlagSurvivesItsSqe) {
  ASSERT_TRUE(queue_.ReceiveMultishot(File::Fixed(3), 5, kId));
  for (unsigned i = 1; i < kEntries; ++i) ASSERT_TRUE(queue_.Nop(kId));
  queue_.Publish();
  ring_.Consume(kEntries);
  ASSERT_TRUE(queue_.Nop(kId));
  io_uring_sqe expected{};
  ::io_uring_prep_nop(&expected);
  expected.user_data = kId.Pack();
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): the kernel sees all bytes.
  EXPECT_EQ(std::memcmp(&ring_.sqe(0), &expected, sizeof expected), 0);
}

TEST_F(SubmissionQueueTest, FixedFilesAreMarked) {
  std::array<std::byte, 8> bytes{};
  ASSERT_TRUE(queue_.Write(File::Fixed(6), bytes, 0, kId));
  EXPECT_EQ(ring_.sqe(0).fd, 6);
  EXPECT_EQ(ring_.sqe(0).flags, IOSQE_FIXED_FILE);
  ASSERT_TRUE(queue_.ReceiveMultishot(File::Fixed(2), 5, kId));
  EXPECT_EQ(ring_.sqe(1).flags, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
  EXPECT_EQ(ring_.sqe(1).buf_group, 5);
  EXPECT_EQ(ring_.sqe(1).ioprio, IORING_RECV_MULTISHOT);
  ASSERT_TRUE(queue_.Write(File::Descriptor(6), bytes, 0, kId));
  EXPECT_EQ(ring_.sqe(2).flags, 0);
}

TEST_F(SubmissionQueueTest, CloseNamesAFixedSlotByItsIndex) {
  ASSERT_TRUE(queue_.Close(File::Fixed(4), kId));
  EXPECT_EQ(ring_.sqe(0).fd, 0);
  EXPECT_EQ(ring_.sqe(0).flags, 0);  // IOSQE_FIXED_FILE on a close is EBADF.
  EXPECT_EQ(ring_.sqe(0).file_index, 5U);
  ASSERT_TRUE(queue_.Close(File::Descriptor(4), kId));
  EXPECT_EQ(ring_.sqe(1).fd, 4);
  EXPECT_EQ(ring_.sqe(1).file_index, 0U);
}

TEST_F(SubmissionQueueTest, SendsNeverRaiseSigpipe) {
  const std::array<std::byte, 8> bytes{};
  const msghdr message{};
  ASSERT_TRUE(queue_.Send(File::Descriptor(4), bytes, MSG_DONTWAIT, kId));
  EXPECT_EQ(ring_.sqe(0).msg_flags, static_cast<uint32_t>(MSG_NOSIGNAL | MSG_DONTWAIT));
  ASSERT_TRUE(queue_.SendMessage(File::Descriptor(4), message, MSG_MORE, kId));
  EXPECT_EQ(ring_.sqe(1).msg_flags, static_cast<uint32_t>(MSG_NOSIGNAL | MSG_MORE));
}

TEST_F(SubmissionQueueTest, CancelNamesItsTarget) {
  const UserData target{.operation = Operation::kReceive, .slot = {0xffffff, 0xffffffff}};
  ASSERT_TRUE(queue_.Cancel(target, kId));
  EXPECT_EQ(ring_.sqe(0).opcode, IORING_OP_ASYNC_CANCEL);
  EXPECT_EQ(ring_.sqe(0).addr, target.Pack());
  EXPECT_EQ(ring_.sqe(0).user_data, kId.Pack());
}

TEST_F(SubmissionQueueTest, AMessageCarriesUserDataAndAValue) {
  const UserData message{.operation = Operation::kReceive, .slot = {0xffffff, 0xffffffff}};
  ASSERT_TRUE(queue_.Message(File::Descriptor(4), message, 0x80000001, kId));
  EXPECT_EQ(ring_.sqe(0).off, message.Pack());
  EXPECT_EQ(ring_.sqe(0).len, 0x80000001);
  EXPECT_EQ(ring_.sqe(0).addr, 0U);
  EXPECT_EQ(ring_.sqe(0).user_data, kId.Pack());
  ASSERT_TRUE(queue_.PassFile(File::Descriptor(4), 6, message, kId));
  EXPECT_EQ(ring_.sqe(1).off, message.Pack());
  EXPECT_EQ(ring_.sqe(1).addr, 1U);
  EXPECT_EQ(ring_.sqe(1).addr3, 6U);
  EXPECT_EQ(ring_.sqe(1).file_index, static_cast<uint32_t>(IORING_FILE_INDEX_ALLOC));
}

TEST_F(SubmissionQueueTest, EveryOperationHasItsOpcodeAndItsTag) {
  std::array<std::byte, 8> bytes{};
  const std::array<iovec, 1> iovecs{{{.iov_base = bytes.data(), .iov_len = bytes.size()}}};
  const msghdr message{};
  const __kernel_timespec duration{.tv_sec = 1, .tv_nsec = 0};
  const File file = File::Descriptor(5);
  const uint64_t offset = SubmissionQueue::kCurrentOffset;

  std::vector<int> seen;
  const auto take = [&](bool accepted) {
    ASSERT_TRUE(accepted);
    const io_uring_sqe& sqe = ring_.sqe(ring_.published_tail() % kEntries);
    EXPECT_EQ(sqe.user_data, kId.Pack());
    seen.push_back(sqe.opcode);
    queue_.Publish();
    ring_.Consume(1);
  };
  take(queue_.Nop(kId));
  take(queue_.Read(file, bytes, offset, kId));
  take(queue_.Write(file, bytes, offset, kId));
  take(queue_.WriteVector(file, iovecs, offset, kId));
  take(queue_.Send(file, bytes, 0, kId));
  take(queue_.SendMessage(file, message, 0, kId));
  take(queue_.Receive(file, bytes, 0, kId));
  take(queue_.ReceiveBuffer(file, 1, kId));
  take(queue_.ReceiveMultishot(file, 1, kId));
  take(queue_.Accept(file, SOCK_CLOEXEC, kId));
  take(queue_.AcceptMultishot(file, SOCK_CLOEXEC, kId));
  take(queue_.AcceptFixed(file, kId));
  take(queue_.Timeout(duration, 0, kId));
  take(queue_.Cancel(kId, kId));
  take(queue_.Shutdown(file, SHUT_WR, kId));
  take(queue_.Close(file, kId));
  take(queue_.Message(file, kId, 3, kId));
  take(queue_.PassFile(file, 3, kId, kId));
  take(queue_.PollMultishot(file, POLLIN, kId));
  EXPECT_EQ(seen,
            (std::vector<int>{IORING_OP_NOP, IORING_OP_READ, IORING_OP_WRITE, IORING_OP_WRITEV,
                              IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_RECV, IORING_OP_RECV,
                              IORING_OP_RECV, IORING_OP_ACCEPT, IORING_OP_ACCEPT, IORING_OP_ACCEPT,
                              IORING_OP_TIMEOUT, IORING_OP_ASYNC_CANCEL, IORING_OP_SHUTDOWN,
                              IORING_OP_CLOSE, IORING_OP_MSG_RING, IORING_OP_MSG_RING,
                              IORING_OP_POLL_ADD}));
}

TEST_F(SubmissionQueueTest, SparseTableAndItsUpdate) {
  ASSERT_TRUE(RegisterSparseFiles(ring_, 64));
  EXPECT_EQ(ring_.registered_opcode, static_cast<unsigned>(IORING_REGISTER_FILES2));
  EXPECT_EQ(ring_.files.nr, 64U);
  EXPECT_EQ(ring_.files.flags, static_cast<unsigned>(IORING_RSRC_REGISTER_SPARSE));
  ASSERT_TRUE(UpdateFixedFile(ring_, 9, 33));
  EXPECT_EQ(ring_.registered_opcode, static_cast<unsigned>(IORING_REGISTER_FILES_UPDATE));
  EXPECT_EQ(ring_.update.offset, 9U);
  EXPECT_EQ(ring_.updated_fd, 33);
  ring_.fail_registration = true;
  EXPECT_EQ(RegisterSparseFiles(ring_, 1).error(), Errno(EBUSY));
  EXPECT_EQ(UpdateFixedFile(ring_, 1, -1).error(), Errno(EBUSY));
}

}  // namespace
}  // namespace orrery
