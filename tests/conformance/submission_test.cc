// What Enter consumes and returns, and when completions become visible. The reactor counts on each
// of these to know what is still in its queue and when it may sleep.
#include <poll.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Submission : public Conformance {};
INSTANTIATE_TEST_SUITE_P(Kernels, Submission, AllWorlds(), WorldName);

TEST_P(Submission, U1_EnterReturnsWhatWasConsumedNotWhatCompleted) {
  ASSERT_TRUE(queue().Nop(Id(1)));
  ASSERT_TRUE(queue().Nop(Id(2)));
  EXPECT_EQ(Enter(), 2U);
  // Two completions wait, but this call consumed nothing.
  EXPECT_EQ(Enter(1), 0U);
  EXPECT_THAT(Visible(), SizeIs(2));
}

TEST_P(Submission, U2_FewerThanQueuedLeavesTheRest) {
  for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(queue().Nop(Id(i)));
  queue().Publish();
  EXPECT_EQ(ring().Enter({.to_submit = 1}), 1U);
  EXPECT_EQ(queue().pending(), 2U);
  EXPECT_THAT(Visible(), ElementsAre(Final(0, 0)));
  EXPECT_EQ(Enter(), 2U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, 0)));
}

TEST_P(Submission, U3_AShortSubmissionSkipsTheWait) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  Deliver(connection, "hello");
  // One is asked for, none is there: back at once, although completions were waited for without
  // end, and task work did not run.
  EXPECT_EQ(ring().Enter({.to_submit = 1, .min_complete = 2}), 0U);
  if (deferred()) {
    EXPECT_THAT(Visible(), IsEmpty());
  }
  ASSERT_TRUE(queue().Nop(Id(2)));
  queue().Publish();
  EXPECT_EQ(ring().Enter({.to_submit = 2, .min_complete = 5}), 1U);
  if (deferred()) {
    EXPECT_THAT(Visible(), ElementsAre(Final(2, 0)));
    EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
  } else {
    EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, 5), Final(2, 0)));
  }
}

// Five ways to be wrong that are found when an SQE is read.
class BadSqe {
 public:
  static constexpr int kKinds = 5;

  static int32_t Spoil(io_uring_sqe& sqe, int kind) {
    switch (kind) {
      case 0:
        sqe.opcode = 0xfe;
        return -EINVAL;
      case 1:
        sqe.flags |= 1U << 7;  // No flag of Linux 6.18.
        return -EINVAL;
      case 2:
        sqe.ioprio = 1;
        return -EINVAL;
      case 3:
        sqe.opcode = IORING_OP_CLOSE;
        sqe.off = 1;
        return -EINVAL;
      default:
        sqe.opcode = IORING_OP_WRITEV;
        sqe.len = 1025;
        return -EINVAL;
    }
  }
};

TEST_P(Submission, U4_AnErrorOfPreparationStopsTheBatchBehindIt) {
  UseRing(16, Mode(0));
  for (int kind = 0; kind < BadSqe::kKinds; ++kind) {
    SCOPED_TRACE(kind);
    ASSERT_TRUE(queue().Nop(Id(1)));
    const int32_t error = BadSqe::Spoil(Raw(IORING_OP_NOP, 2), kind);
    ASSERT_TRUE(queue().Nop(Id(3)));
    ASSERT_TRUE(queue().Nop(Id(4)));
    EXPECT_EQ(Enter(4), 2U) << "the bad one is consumed, and nothing is waited for";
    EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, error)));
    EXPECT_EQ(queue().pending(), 2U);
    EXPECT_EQ(Enter(), 2U);
    EXPECT_THAT(Visible(), ElementsAre(Final(3, 0), Final(4, 0)));
  }
}

TEST_P(Submission, U4_UnlessTheRingSubmitsAll) {
  UseRing(16, Mode(IORING_SETUP_SUBMIT_ALL));
  for (int kind = 0; kind < BadSqe::kKinds; ++kind) {
    SCOPED_TRACE(kind);
    ASSERT_TRUE(queue().Nop(Id(1)));
    const int32_t error = BadSqe::Spoil(Raw(IORING_OP_NOP, 2), kind);
    ASSERT_TRUE(queue().Nop(Id(3)));
    EXPECT_EQ(Enter(), 3U);
    EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, error), Final(3, 0)));
  }
}

TEST_P(Submission, U5_ABadDescriptorDoesNotStopTheBatch) {
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Nop(Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(987'654), bytes, 0, Id(2)));
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_EQ(Enter(), 3U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), Final(2, -EBADF), Final(3, 0)));
}

TEST_P(Submission, U7_AnIndexOutOfRangeIsDroppedAndEndsTheSubmission) {
  for (uint32_t id = 1; id <= 3; ++id) ASSERT_TRUE(queue().Nop(Id(id)));
  const io_uring_sq& sq = ring().memory().sq;
  unsigned& second = sq.array[(*sq.khead + 1) & sq.ring_mask];
  const unsigned index = second;
  second = sq.ring_entries;
  const unsigned dropped = *sq.kdropped;
  EXPECT_EQ(Enter(), 1U);
  EXPECT_EQ(*sq.kdropped, dropped + 1);
  second = index;
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
  EXPECT_EQ(queue().pending(), 1U);
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(3, 0)));
}

TEST_P(Submission, U9_AFixedFileOnAnOperationWithoutAFileIsIgnored) {
  Raw(IORING_OP_NOP, 1).flags = IOSQE_FIXED_FILE;
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Submission, U10_WhatIsNoRingCannotBeEntered) {
  EXPECT_EQ(driven().EnterWith(1U << 30), std::unexpected(Errno(EINVAL)));
  EXPECT_EQ(world().Enter(987'654, {}), std::unexpected(Errno(EBADF)));
  const int fd = kernel().MakeEventFd().value();
  EXPECT_EQ(world().Enter(fd, {}), std::unexpected(Errno(EOPNOTSUPP)));
  kernel().Close(fd);
}

TEST_P(Submission, U10_WithoutGeteventsNothingIsWaitedFor) {
  EXPECT_EQ(driven().EnterWith(0, /*min_complete=*/5), 0U);
  ASSERT_TRUE(queue().Nop(Id(1)));
  EXPECT_EQ(driven().EnterWith(0, /*min_complete=*/5), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Submission, U11_MoreCanBeInFlightThanTheCompletionQueueHolds) {
  constexpr uint32_t kPolls = 64;
  UseRing({.sq_entries = 4, .cq_entries = 4});
  const int fd = kernel().MakeEventFd().value();
  for (uint32_t id = 0; id < kPolls; ++id) {
    ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(id)));
    EXPECT_EQ(Enter(), 1U);
  }
  EXPECT_THAT(Visible(), IsEmpty());
  ASSERT_TRUE(queue().Cancel({}, Id(kPolls)));
  LastSqe().cancel_flags = IORING_ASYNC_CANCEL_ANY;
  const std::vector<Seen> seen = Await(kPolls + 1);
  EXPECT_THAT(seen, SizeIs(kPolls + 1));
  EXPECT_THAT(seen, testing::Contains(Final(kPolls, kPolls)));
  kernel().Close(fd);
}

TEST_P(Submission, U12_ANopAnswersWhatItIsTold) {
  for (const int result : {7, -EIO}) {
    io_uring_sqe& sqe = Raw(IORING_OP_NOP, 1);
    sqe.rw_flags = 1;  // IORING_NOP_INJECT_RESULT
    sqe.len = static_cast<uint32_t>(result);
    EXPECT_EQ(Enter(), 1U);
    EXPECT_THAT(Visible(), ElementsAre(Final(1, result)));
  }
}

TEST_P(Submission, V1_InlineCompletionsAreThereWhenEnterReturns) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 5));
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("world"), 0, Id(2)));
  EXPECT_EQ(Enter(), 2U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 5), Final(2, 5)));
}

TEST_P(Submission, V2_WithoutDeferredTaskWorkLateCompletionsAppearByThemselves) {
  if (deferred()) GTEST_SKIP() << "V3 is the deferred side";
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  std::vector<Seen> seen;
  for (int i = 0; i < 10'000 && seen.empty(); ++i) {
    world().Pause();
    seen = Visible();
  }
  EXPECT_THAT(seen, ElementsAre(Final(1, 5)));
}

TEST_P(Submission, V3_DeferredCompletionsAppearInEnterOnly) {
  if (!deferred()) GTEST_SKIP() << "V2 is the other side";
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 5));
  for (int i = 0; i < 20; ++i) world().Pause();
  EXPECT_THAT(Visible(), IsEmpty());
  // Nor in one that does not ask for events, be it that it submits.
  EXPECT_EQ(driven().EnterWith(0), 0U);
  ASSERT_TRUE(queue().Nop(Id(2)));
  EXPECT_EQ(driven().EnterWith(0), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(2, 0)));
  EXPECT_EQ(Enter(0), 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 5)));
}

TEST_P(Submission, V5_TaskWorkComesAfterTheBatchWhenDeferredAndBeforeItOtherwise) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  Deliver(connection, "hello");
  ASSERT_TRUE(queue().Nop(Id(2)));
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_EQ(Enter(), 2U);
  if (deferred()) {
    EXPECT_THAT(Visible(), ElementsAre(Final(2, 0), Final(3, 0), Final(1, 5)));
  } else {
    EXPECT_THAT(Visible(), ElementsAre(Final(1, 5), Final(2, 0), Final(3, 0)));
  }
}

TEST_P(Submission, V6_InlineCompletionsKeepTheOrderOfSubmission) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 5));
  ASSERT_TRUE(queue().Nop(Id(1)));
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(2)));
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_EQ(Enter(), 3U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0), More(2, 5), Final(3, 0)));
}

TEST_P(Submission, V7_ACallThatNeedNotSleepRunsTwentyItemsOfTaskWork) {
  constexpr uint32_t kPolls = 50;
  std::vector<int> fds;
  for (uint32_t i = 0; i < kPolls; ++i) {
    fds.push_back(kernel().MakeEventFd().value());
    ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fds.back()), POLLIN, Id(i)));
  }
  Submit();
  EXPECT_THAT(Visible(), IsEmpty());
  for (const int fd : fds) world().SignalEventFd(fd);

  std::vector<size_t> passes;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Enter(0), 0U);
    passes.push_back(Visible().size());
  }
  if (deferred()) {
    EXPECT_THAT(passes, ElementsAre(20, 20, 10, 0));
  } else {
    EXPECT_THAT(passes, ElementsAre(kPolls, 0, 0, 0));
  }
  // Asking for more in one call gives more.
  for (const int fd : fds) world().SignalEventFd(fd);
  EXPECT_EQ(Enter(30), 0U);
  EXPECT_THAT(Visible(), SizeIs(deferred() ? 30 : kPolls));
  EXPECT_THAT(deferred() ? Await(20) : std::vector<Seen>(20), SizeIs(20));
  for (const int fd : fds) kernel().Close(fd);
}

TEST_P(Submission, V7b_ACallThatSleptDeliversTheMissingNumberOnly) {
  constexpr uint32_t kTimers = 30;
  constexpr Nanoseconds kDuration = 20 * kMillisecond;
  const __kernel_timespec duration{.tv_sec = 0, .tv_nsec = kDuration};
  const Nanoseconds begin = kernel().MonotonicNow();
  for (uint32_t i = 0; i < kTimers; ++i) ASSERT_TRUE(queue().Timeout(duration, 0, Id(i)));
  EXPECT_EQ(Enter(1), kTimers);
  const bool slept = kernel().MonotonicNow() - begin < 2 * kDuration;
  size_t count = Visible().size();
  if (deferred() && slept) {
    EXPECT_EQ(count, 1U);
  }
  EXPECT_GE(count, 1U);
  // The others are not lost: they come with the next calls.
  count += Await(kTimers - count).size();
  EXPECT_EQ(count, kTimers);
}

TEST_P(Submission, V7c_WhatIsLeftOverFromOneRunLetsOneMoreThanTwentyRunInTheNext) {
  constexpr uint32_t kPolls = 50;
  std::vector<int> fds;
  for (uint32_t i = 0; i < kPolls; ++i) {
    fds.push_back(kernel().MakeEventFd().value());
    ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fds.back()), POLLIN, Id(i)));
  }
  Submit();
  const auto signal = [&](uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; ++i) world().SignalEventFd(fds[i]);
  };
  const auto pass = [&] {
    EXPECT_EQ(Enter(0), 0U);
    return Visible().size();
  };
  // Exactly twenty are left over: their run takes the first of those that came later as well.
  signal(0, 40);
  std::vector<size_t> passes = {pass()};
  signal(40, 5);
  passes.push_back(pass());
  passes.push_back(pass());
  EXPECT_THAT(passes, deferred() ? ElementsAre(20, 21, 4) : ElementsAre(40, 5, 0));
  // Fewer are left over: twenty in all.
  signal(0, 39);
  passes = {pass()};
  signal(40, 5);
  passes.push_back(pass());
  passes.push_back(pass());
  EXPECT_THAT(passes, deferred() ? ElementsAre(20, 20, 4) : ElementsAre(39, 5, 0));
  for (const int fd : fds) kernel().Close(fd);
}

TEST_P(Submission, V7d_ACallThatSubmitsRunsTaskWorkTwice) {
  constexpr uint32_t kPolls = 50;
  std::vector<int> fds;
  for (uint32_t i = 0; i < kPolls; ++i) {
    fds.push_back(kernel().MakeEventFd().value());
    ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fds.back()), POLLIN, Id(i)));
  }
  Submit();
  for (const int fd : fds) world().SignalEventFd(fd);
  ASSERT_TRUE(queue().Nop(Id(kPolls)));
  EXPECT_EQ(Enter(1), 1U);
  EXPECT_THAT(Visible(), SizeIs(1 + (deferred() ? 40 : kPolls)));
  EXPECT_EQ(Enter(0), 0U);
  EXPECT_THAT(Visible(), SizeIs(deferred() ? 10 : 0));
  for (const int fd : fds) kernel().Close(fd);
}

TEST_P(Submission, V8_TaskWorkRunsAlthoughEnoughHasCompleted) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  ASSERT_TRUE(queue().Nop(Id(2)));
  Submit();
  Deliver(connection, "hello");
  EXPECT_EQ(Enter(1), 0U);
  EXPECT_THAT(Visible(), ElementsAre(Final(2, 0), Final(1, 5)));
}

TEST_P(Submission, V9_OneItemOfTaskWorkMayPostMoreThanTwentyCompletions) {
  constexpr unsigned kBuffers = 32;
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, kBuffers, 1);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  Submit();
  Deliver(connection, std::string(kBuffers, 'x'));
  EXPECT_EQ(Enter(0), 0U);
  EXPECT_THAT(Visible(), SizeIs(kBuffers));
}

TEST_P(Submission, V11_UntilItsTaskWorkRunsAnOperationIsArmed) {
  if (!deferred()) GTEST_SKIP() << "task work runs by itself";
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  world().SignalEventFd(fd);
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(1, -ECANCELED)));
  kernel().Close(fd);
}

TEST_P(Submission, V12_WakeUpsOfDifferentFilesRunInTheOrderInWhichTheyCame) {
  const Connection first = Connect();
  const Connection second = Connect();
  std::array<std::byte, 16> of_first{};
  std::array<std::byte, 16> of_second{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(first.fd), of_first, 0, Id(1)));
  ASSERT_TRUE(queue().Receive(File::Descriptor(second.fd), of_second, 0, Id(2)));
  Submit();
  Deliver(second, "second");
  Deliver(first, "first");
  if (deferred()) {
    EXPECT_THAT(Await(2), ElementsAre(Final(2, 6), Final(1, 5)));
  } else {
    EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, 6), Final(1, 5)));
  }
}

}  // namespace
}  // namespace orrery::conformance
