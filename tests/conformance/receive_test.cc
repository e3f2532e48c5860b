// Receives into memory of our own: how a stream's bytes, end and reset are told apart.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

class Receive : public Conformance {
 protected:
  Seen ReceiveUpTo(const Connection& connection, size_t bytes, int flags = 0) {
    EXPECT_TRUE(queue().Receive(File::Descriptor(connection.fd), std::span(memory_).first(bytes),
                                flags, Id(1)));
    return AwaitOne();
  }
  std::string Received(const Seen& seen) const {
    // Bytes that were received are text to these tests.
    return {reinterpret_cast<const char*>(memory_.data()), static_cast<size_t>(seen.result)};
  }

  std::array<std::byte, 256> memory_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Receive, AllWorlds(), WorldName);

TEST_P(Receive, R1_GivesWhatIsThereAndHintsAtMore) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "abcdefgh"), 8U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 8));
  const Seen first = ReceiveUpTo(connection, 5);
  EXPECT_THAT(first, Final(1, 5));
  EXPECT_EQ(Received(first), "abcde");
  EXPECT_TRUE(first.not_empty());
  const Seen second = ReceiveUpTo(connection, 100);
  EXPECT_THAT(second, Final(1, 3));
  EXPECT_EQ(Received(second), "fgh");
  EXPECT_FALSE(second.not_empty());
}

TEST_P(Receive, R1_AQueuedEndCountsAsMore) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  world().ShutdownWrite(connection.peer);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 3));
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  const Seen last = ReceiveUpTo(connection, 100);
  EXPECT_THAT(last, Final(1, 3));
  EXPECT_TRUE(last.not_empty());
  const Seen end = ReceiveUpTo(connection, 100);
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_TRUE(end.not_empty());
}

TEST_P(Receive, R3_DontWaitIsAnsweredAtOnce) {
  const Connection connection = Connect();
  EXPECT_THAT(ReceiveUpTo(connection, 10, MSG_DONTWAIT), Final(1, -EAGAIN));
}

TEST_P(Receive, R7_AResetIsReportedOnceThenTheEnd) {
  const Connection connection = Connect();
  world().Reset(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  EXPECT_THAT(ReceiveUpTo(connection, 10), Final(1, -ECONNRESET));
  EXPECT_THAT(ReceiveUpTo(connection, 10), Final(1, 0));
  EXPECT_THAT(ReceiveUpTo(connection, 10), Final(1, 0));
}

TEST_P(Receive, R7_AResetEndsAReceiveThatWaits) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  world().Reset(connection.peer);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ECONNRESET)));
}

TEST_P(Receive, R7_BytesBeforeAResetComeFirst) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "last words"), 10U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 10));
  world().Reset(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  const Seen data = ReceiveUpTo(connection, 100);
  EXPECT_THAT(data, Final(1, 10));
  EXPECT_EQ(Received(data), "last words");
  EXPECT_THAT(ReceiveUpTo(connection, 100), Final(1, -ECONNRESET));
  EXPECT_THAT(ReceiveUpTo(connection, 100), Final(1, 0));
}

TEST_P(Receive, R7_APeerThatClosesWithUnreadBytesResets) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("unread"), 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 6)));
  world().Close(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  EXPECT_THAT(ReceiveUpTo(connection, 100), Final(1, -ECONNRESET));
}

TEST_P(Receive, R8_TheEndIsRepeatable) {
  const Connection connection = Connect();
  world().Close(connection.peer);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(ReceiveUpTo(connection, 10), Final(1, 0));
}

TEST_P(Receive, R8_WhatIsNoConnectionIsRefused) {
  EXPECT_THAT(ReceiveUpTo({.fd = listener()}, 10), Final(1, -ENOTCONN));
  const int event_fd = kernel().MakeEventFd().value();
  EXPECT_THAT(ReceiveUpTo({.fd = event_fd}, 10), Final(1, -ENOTSOCK));
  kernel().Close(event_fd);
  EXPECT_THAT(ReceiveUpTo({.fd = 987'654}, 10), Final(1, -EBADF));
}

TEST_P(Receive, R9_AfterShuttingReadingDownQueuedBytesAreStillThere) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_RD, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, 0), Final(2, 0)));
  ASSERT_EQ(world().Send(connection.peer, "late"), 4U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 4));
  const Seen late = ReceiveUpTo(connection, 100);
  EXPECT_THAT(late, Final(1, 4));
  EXPECT_EQ(Received(late), "late");
  EXPECT_THAT(ReceiveUpTo(connection, 100), Final(1, 0));
}

TEST_P(Receive, R10_OfSeveralOneTakesWhatCameAndTheOthersGoOnWaiting) {
  constexpr uint32_t kReceives = 3;
  const Connection connection = Connect();
  std::array<std::array<std::byte, 16>, kReceives> memory{};
  for (uint32_t id = 0; id < kReceives; ++id) {
    ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory[id], 0, Id(id)));
  }
  Submit();
  std::array<bool, kReceives> done{};
  for (uint32_t round = 0; round < kReceives; ++round) {
    ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
    const Seen seen = AwaitOne();
    EXPECT_EQ(seen.result, 5);
    ASSERT_LT(seen.id, kReceives);
    EXPECT_FALSE(done[seen.id]);
    done[seen.id] = true;
    if (round + 1 < kReceives) ExpectQuiet();
  }
}

TEST_P(Receive, R12_AReceiveSubmittedBeforeTaskWorkRanTakesTheBytes) {
  if (!deferred()) GTEST_SKIP() << "of deferred task work only";
  const Connection connection = Connect();
  std::array<std::byte, 16> other{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "taken"), 5U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 5));
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), other, 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 5)));
  EXPECT_EQ(std::memcmp(other.data(), "taken", 5), 0);
}

TEST_P(Receive, R2_NothingAskedForStillWaits) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), {}, 0, Id(1)));
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  const Seen bytes = ReceiveUpTo(connection, 10);
  EXPECT_THAT(bytes, Final(1, 3));
  EXPECT_EQ(Received(bytes), "abc");
}

TEST_P(Receive, R5_WaitAllAccumulates) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), std::span(memory_).first(8),
                              MSG_WAITALL, Id(1)));
  Submit();
  for (const std::string_view part : {"ab", "cde"}) {
    ASSERT_EQ(world().Send(connection.peer, part), part.size());
    ExpectQuiet();
  }
  ASSERT_EQ(world().Send(connection.peer, "fghij"), 5U);
  const Seen whole = AwaitOne();
  EXPECT_THAT(whole, Final(1, 8));
  EXPECT_EQ(Received(whole), "abcdefgh");
  EXPECT_THAT(ReceiveUpTo(connection, 10), Final(1, 2));
}

TEST_P(Receive, R5_AnEndCutsWaitAllShort) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), std::span(memory_).first(8),
                              MSG_WAITALL, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  const Seen part = AwaitOne();
  EXPECT_THAT(part, Final(1, 3));
  EXPECT_EQ(Received(part), "abc");
}

TEST_P(Receive, R5_WaitAllSwallowsTheResetThatCutsIt) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), std::span(memory_).first(8),
                              MSG_WAITALL, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  ExpectQuiet();
  world().Reset(connection.peer);
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  EXPECT_THAT(ReceiveUpTo(connection, 10), Final(1, 0));
}

TEST_P(Receive, R6_WaitAllDontWaitIsShort) {
  const Connection connection = Connect();
  EXPECT_THAT(ReceiveUpTo(connection, 8, MSG_WAITALL | MSG_DONTWAIT), Final(1, -EAGAIN));
  Deliver(connection, "abc");
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 3));
  EXPECT_THAT(ReceiveUpTo(connection, 8, MSG_WAITALL | MSG_DONTWAIT), Final(1, 3));
}

TEST_P(Receive, R4_ALowWaterMarkHoldsWaitingReceivesBackOnly) {
  const Connection connection = Connect();
  ASSERT_TRUE(kernel().SetSocketOption(connection.fd, SOL_SOCKET, SO_RCVLOWAT, 8));
  std::array<std::byte, 16> memory{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory, 0, Id(1)));
  Submit();
  Deliver(connection, "abc");
  ExpectQuiet();
  Deliver(connection, "defgh");
  EXPECT_THAT(AwaitOne(), Final(1, 8));
  Deliver(connection, "abc");
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory, 0, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, 3));
  // The end is not held back.
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory, 0, Id(3)));
  Submit();
  Deliver(connection, "x");
  ExpectQuiet();
  world().ShutdownWrite(connection.peer);
  EXPECT_THAT(AwaitOne(), Final(3, 1));
}

TEST_P(Receive, R16_BadMemoryIsAFaultAndTakesNothing) {
  const Connection connection = Connect();
  // Nothing is ever mapped in the first page.
  void* const nowhere = reinterpret_cast<void*>(uintptr_t{8});
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_recv(sqe, connection.fd, nowhere, 4, 0); });
  Submit();
  ExpectQuiet();  // Only bytes would show it.
  Deliver(connection, "abcdef");
  EXPECT_THAT(AwaitOne(), Final(1, -EFAULT));
  std::array<std::byte, 2> memory{};
  const std::array<iovec, 2> parts = {iovec{.iov_base = memory.data(), .iov_len = 2},
                                      iovec{.iov_base = nowhere, .iov_len = 4}};
  Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_readv(sqe, connection.fd, parts.data(), 2, ~uint64_t{0});
  });
  EXPECT_THAT(AwaitOne(), Final(2, -EFAULT));
  std::array<std::byte, 8> all{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), all, 0, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, 6));
}

TEST_P(Receive, R11_AReadTakesTheCurrentPositionOnly) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "abcd"), 4U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 4));
  const auto read = [&](uint64_t offset) {
    EXPECT_TRUE(
        queue().Read(File::Descriptor(connection.fd), std::span(memory_).first(2), offset, Id(1)));
    return AwaitOne();
  };
  EXPECT_THAT(read(5), Final(1, -ESPIPE));
  EXPECT_THAT(read(0), Final(1, 2));
  EXPECT_THAT(read(SubmissionQueue::kCurrentOffset), Final(1, 2));
}

TEST_P(Receive, R13_PollFirstGoesThroughTaskWork) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "abcd"), 4U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 4));
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv(sqe, connection.fd, memory_.data(), memory_.size(), 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
  });
  ASSERT_TRUE(queue().Nop(Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(1, 4)));
}

}  // namespace
}  // namespace orrery::conformance
