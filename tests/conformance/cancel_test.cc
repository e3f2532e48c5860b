// Cancelling: what the cancel and its victim answer, in which order, and what stays in the socket.
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class Cancelling : public Conformance {
 protected:
  void Cancel(uint32_t id, unsigned flags, uint64_t user_data = 0, int fd = -1,
              unsigned operation = 0) {
    io_uring_sqe& sqe = Raw(IORING_OP_ASYNC_CANCEL, id);
    sqe.fd = fd;
    sqe.addr = user_data;
    sqe.len = operation;
    sqe.cancel_flags = flags;
  }
  std::expected<unsigned, Errno> CancelNow(unsigned flags, uint64_t user_data, int fd = -1) {
    io_uring_sync_cancel_reg request{};
    request.addr = user_data;
    request.fd = fd;
    request.flags = flags;
    request.timeout = {.tv_sec = 1, .tv_nsec = 0};
    return ring().Register(IORING_REGISTER_SYNC_CANCEL, &request, 1);
  }

  std::array<std::byte, 64> memory_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Cancelling, AllWorlds(), WorldName);

TEST_P(Cancelling, C1_FoundIsZeroAndAbsentIsEnoent) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(7), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ENOENT)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(4)));
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -ENOENT)));
}

TEST_P(Cancelling, C1_OneMatchIsCancelledOfSeveral) {
  const Connection first = Connect();
  const Connection second = Connect();
  std::array<std::byte, 64> other{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(first.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(second.fd), other, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
}

// Legal: either order. What both kernels do is the cancel first; a deferred victim needs the wait
// part of Enter, which every Enter of ours has.
TEST_P(Cancelling, C2_AllSaysHowMany) {
  const Connection first = Connect();
  const Connection second = Connect();
  std::array<std::byte, 64> other{};
  constexpr __kernel_timespec kLong{.tv_sec = 3600, .tv_nsec = 0};
  ASSERT_TRUE(queue().Receive(File::Descriptor(first.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(second.fd), other, 0, Id(1)));
  ASSERT_TRUE(queue().Timeout(kLong, 0, Id(2)));
  Submit();
  Cancel(3, IORING_ASYNC_CANCEL_ALL, Id(1).Pack());
  EXPECT_THAT(Await(3),
              UnorderedElementsAre(Final(3, 2), Final(1, -ECANCELED), Final(1, -ECANCELED)));
  Cancel(4, IORING_ASYNC_CANCEL_ALL, Id(1).Pack());
  EXPECT_THAT(Await(1), ElementsAre(Final(4, 0)));
  Cancel(5, IORING_ASYNC_CANCEL_ANY);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(5, 1), Final(2, -ECANCELED)));
  Cancel(6, IORING_ASYNC_CANCEL_ANY);
  EXPECT_THAT(Await(1), ElementsAre(Final(6, 0)));
  Cancel(7, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD);
  EXPECT_THAT(Await(1), ElementsAre(Final(7, -EINVAL)));
}

TEST_P(Cancelling, C3_ByFileAndByOperation) {
  constexpr unsigned kUserData = 1U << 4;   // IORING_ASYNC_CANCEL_USERDATA
  constexpr unsigned kOperation = 1U << 5;  // IORING_ASYNC_CANCEL_OP
  const Connection first = Connect();
  const Connection second = Connect();
  std::array<std::byte, 64> other{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(first.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(first.fd), POLLIN, Id(2)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(second.fd), other, 0, Id(3)));
  Submit();
  // Both must match.
  Cancel(4, IORING_ASYNC_CANCEL_FD | kUserData, Id(3).Pack(), first.fd);
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -ENOENT)));
  Cancel(5, IORING_ASYNC_CANCEL_FD | kUserData, Id(3).Pack(), second.fd);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(5, 0), Final(3, -ECANCELED)));
  Cancel(6, kOperation, 0, -1, IORING_OP_POLL_ADD);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(6, 0), Final(2, -ECANCELED)));
  Cancel(7, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL, 0, first.fd);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(7, 1), Final(1, -ECANCELED)));
  Cancel(8, IORING_ASYNC_CANCEL_FD, 0, 987'654);
  EXPECT_THAT(Await(1), ElementsAre(Final(8, -EBADF)));
  Cancel(9, 1U << 9);
  EXPECT_THAT(Await(1), ElementsAre(Final(9, -EINVAL)));
}

TEST_P(Cancelling, C3_AClosedNumberFindsNothingAlthoughItsFileIsInUse) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  Cancel(3, IORING_ASYNC_CANCEL_FD, 0, connection.fd);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, -EBADF)));
  Cancel(4, 0, Id(1).Pack());
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(4, 0), Final(1, -ECANCELED)));
}

TEST_P(Cancelling, C4_TheCancelsOwnCompletionComesDuringSubmission) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  Submit();
  EXPECT_THAT(Visible(), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
}

TEST_P(Cancelling, C5_ARaceWithBytesHasTwoOutcomesAndLosesNothing) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  Deliver(connection, "race");
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  const std::vector<Seen> seen = Await(2);
  const bool cancelled =
      testing::Matches(UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)))(seen);
  if (!cancelled) {
    EXPECT_THAT(seen, UnorderedElementsAre(Final(1, 4), Final(2, -ENOENT)));
  }
  // Until task work runs the request is still armed, so the cancel wins.
  EXPECT_TRUE(cancelled || !deferred());
  if (cancelled) {
    ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(3)));
    EXPECT_THAT(Await(1), ElementsAre(Final(3, 4)));
  }
  EXPECT_EQ(std::memcmp(memory_.data(), "race", 4), 0);
}

TEST_P(Cancelling, C6_AReceiveOfAllThatHasSomeIsNotCancelledButShort) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, MSG_WAITALL, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "part"), 4U);
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, 4), Final(2, 0)));
  EXPECT_EQ(std::memcmp(memory_.data(), "part", 4), 0);
}

TEST_P(Cancelling, C7_AMultishotReceiveEndsWithEcanceledAndLeavesTheBytes) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "one"), 3U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, 3)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  std::vector<Seen> seen = Await(2);
  EXPECT_THAT(seen, UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  for (const Seen& one : seen) EXPECT_EQ(one.flags, 0U);

  ASSERT_EQ(world().Send(connection.peer, "two"), 3U);
  ExpectQuiet();
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(More(3, 3)));
}

TEST_P(Cancelling, C7_AMultishotAcceptEndsWithEcanceledAndLeavesTheConnection) {
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  ASSERT_TRUE(world().Connect(port()));
  ExpectQuiet();
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(3)));
  EXPECT_GE(AwaitOne().result, 0);
}

TEST_P(Cancelling, C7_AMultishotPollEndsWithEcanceled) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  world().SignalEventFd(fd);
  ExpectQuiet();
  kernel().Close(fd);
}

TEST_P(Cancelling, C11_ACancelCannotFindItself) {
  ASSERT_TRUE(queue().Cancel(Id(1), Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ENOENT)));
}

TEST_P(Cancelling, C12_WorksInTheBatchOfItsTarget) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
}

TEST_P(Cancelling, C13_ASynchronousCancelAnswersAsTheOthersDo) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(2)));
  Submit();
  EXPECT_EQ(CancelNow(0, Id(7).Pack()), std::unexpected(Errno(ENOENT)));
  EXPECT_EQ(CancelNow(0, Id(1).Pack()), 0U);
  if (deferred()) {
    EXPECT_THAT(Visible(), testing::IsEmpty());
  }
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ECANCELED)));
  EXPECT_EQ(CancelNow(IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL, 0, connection.fd), 1U);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ECANCELED)));
  EXPECT_EQ(CancelNow(IORING_ASYNC_CANCEL_ANY, 0), 0U);
  EXPECT_EQ(CancelNow(IORING_ASYNC_CANCEL_FD, 0, 987'654), std::unexpected(Errno(EBADF)));
  EXPECT_EQ(CancelNow(1U << 9, 0), std::unexpected(Errno(EINVAL)));
}

TEST_P(Cancelling, C14_WhatWaitsForWorkersCountsAsOne) {
  const Connection first = Connect();
  const Connection second = Connect();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(first.fd), SHUT_RD, Id(1)));
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(second.fd), SHUT_RD, Id(2)));
  Raw(IORING_OP_ASYNC_CANCEL, 3).cancel_flags = IORING_ASYNC_CANCEL_ANY;
  int32_t cancelled = -1;
  size_t victims = 0;
  for (const Seen& seen : Await(3)) {
    if (seen.id == 3) cancelled = seen.result;
    if (seen.id != 3 && seen.result == -ECANCELED) ++victims;
  }
  // Legal: workers have done some of it. While one is at work nothing of theirs is counted.
  EXPECT_GE(cancelled, victims == 2 ? 1 : 0);
  EXPECT_LE(cancelled, victims > 0 ? 1 : 0);
}

}  // namespace
}  // namespace orrery::conformance
