// Multishot polls, by which a sleeping shard is woken.
#include <poll.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

class Polling : public Conformance {
 protected:
  // POLL_REMOVE, with what it changes.
  void Update(uint32_t target, uint32_t id, unsigned flags, unsigned events, uint64_t user_data) {
    io_uring_sqe& sqe = Raw(IORING_OP_POLL_REMOVE, id);
    sqe.addr = Id(target).Pack();
    sqe.len = flags;
    sqe.poll32_events = events;
    sqe.off = user_data;
  }
  uint64_t ReadCounter(int fd) {
    uint64_t count = 0;
    EXPECT_TRUE(queue().Read(File::Descriptor(fd), std::as_writable_bytes(std::span(&count, 1)),
                             SubmissionQueue::kCurrentOffset, Id(900)));
    EXPECT_THAT(Await(1), ElementsAre(Final(900, 8)));
    return count;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Polling, AllWorlds(), WorldName);

TEST_P(Polling, P2_WhatIsReadyAtFirstIsReportedOnce) {
  const int fd = kernel().MakeEventFd().value();
  world().SignalEventFd(fd);
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(More(1, POLLIN)));
  // It is still readable, but nothing new happens.
  ExpectQuiet();
  EXPECT_EQ(ReadCounter(fd), 1U);
  ExpectQuiet();
  kernel().Close(fd);
}

TEST_P(Polling, P2_EveryWakeUpIsReportedAlthoughNobodyRead) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  for (int i = 0; i < 5; ++i) {
    world().SignalEventFd(fd);
    EXPECT_THAT(Await(1), ElementsAre(More(1, POLLIN)));
  }
  EXPECT_EQ(ReadCounter(fd), 5U);
  kernel().Close(fd);
}

TEST_P(Polling, P3_SeveralWakeUpsBetweenTwoEntersAreOneToAsManyReports) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  for (int i = 0; i < 3; ++i) world().SignalEventFd(fd);
  std::vector<Seen> seen = Await(1);
  EXPECT_THAT(seen, Each(More(1, POLLIN)));
  EXPECT_LE(seen.size(), deferred() ? 1U : 3U);
  if (deferred()) {
    ExpectQuiet();
  }
  kernel().Close(fd);
}

TEST_P(Polling, P4_WhatItReportsMayBeOver) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  world().SignalEventFd(fd);
  // The read comes first, and still the poll reports what woke it.
  uint64_t count = 0;
  ASSERT_TRUE(queue().Read(File::Descriptor(fd), std::as_writable_bytes(std::span(&count, 1)),
                           SubmissionQueue::kCurrentOffset, Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(2, 8), More(1, POLLIN)));
  EXPECT_EQ(count, 1U);
  kernel().Close(fd);
}

TEST_P(Polling, P5_ThereAreNoPollsByLevel) {
  constexpr unsigned kLevel = 1U << 3;  // IORING_POLL_ADD_LEVEL
  const int fd = kernel().MakeEventFd().value();
  for (const unsigned flags : {kLevel, kLevel | IORING_POLL_ADD_MULTI}) {
    io_uring_sqe& sqe = Raw(IORING_OP_POLL_ADD, 1);
    sqe.fd = fd;
    sqe.poll32_events = POLLIN;
    sqe.len = flags;
    EXPECT_THAT(Await(1), ElementsAre(Final(1, -EINVAL)));
  }
  kernel().Close(fd);
}

TEST_P(Polling, P7_ASocketTellsOfBytesOfItsEndAndOfAReset) {
  const auto poll = [&](const Connection& connection, uint32_t events, uint32_t id) {
    io_uring_sqe& sqe = Raw(IORING_OP_POLL_ADD, id);
    sqe.fd = connection.fd;
    sqe.poll32_events = events;
  };
  const Connection ends = Connect();
  poll(ends, POLLIN, 1);
  Submit();
  Deliver(ends, "x");
  EXPECT_THAT(Await(1), ElementsAre(Final(1, POLLIN)));
  world().ShutdownWrite(ends.peer);
  ASSERT_TRUE(world().AwaitHangup(ends.fd));
  poll(ends, POLLIN, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, POLLIN | POLLRDHUP))) << "asked or not";

  const Connection breaks = Connect();
  world().Reset(breaks.peer);
  ASSERT_TRUE(world().AwaitHangup(breaks.fd));
  poll(breaks, POLLIN, 3);
  EXPECT_THAT(Await(1), ElementsAre(Final(3, POLLIN | POLLERR | POLLHUP | POLLRDHUP)));
}

TEST_P(Polling, P6_ClosingTheDescriptorDoesNotEndIt) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(connection.fd), POLLIN, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "x"), 1U);
  EXPECT_THAT(Await(1), ElementsAre(More(1, POLLIN)));
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
}

TEST_P(Polling, P6_RemovingAndUpdating) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  Update(1, 2, IORING_POLL_UPDATE_USER_DATA | IORING_POLL_ADD_MULTI, 0, Id(5).Pack());
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  world().SignalEventFd(fd);
  EXPECT_THAT(Await(1), ElementsAre(More(5, POLLIN)));
  // What is ready counts at once.
  Update(5, 3, IORING_POLL_UPDATE_EVENTS | IORING_POLL_ADD_MULTI, POLLOUT, 0);
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 0), More(5, POLLOUT)));
  Update(1, 4, IORING_POLL_UPDATE_EVENTS | IORING_POLL_ADD_MULTI, POLLIN, 0);
  EXPECT_THAT(Await(1), ElementsAre(Final(4, -ENOENT)));
  Update(5, 6, 0, 0, 0);
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(6, 0), Final(5, -ECANCELED)));
  Update(5, 7, 0, 0, 0);
  EXPECT_THAT(Await(1), ElementsAre(Final(7, -ENOENT)));
  kernel().Close(fd);
}

TEST_P(Polling, P6_ASingleShotThatAnUpdateFindsReadyEnds) {
  const int fd = kernel().MakeEventFd().value();
  ::io_uring_prep_poll_add(&Raw(IORING_OP_NOP, 1), fd, POLLIN);
  LastSqe().user_data = Id(1).Pack();
  Submit();
  Update(1, 2, IORING_POLL_UPDATE_EVENTS, POLLIN | POLLOUT, 0);
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(1, POLLOUT)));
  kernel().Close(fd);
}

TEST_P(Polling, P9_SpaceThatNobodyMissedWakesNobody) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(connection.fd), POLLOUT, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(More(1, POLLOUT)));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("some bytes"), 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 10)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 10).bytes, "some bytes");
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
}

TEST_P(Polling, P8_AReadOfAnEventFdIsEightBytes) {
  const int fd = kernel().MakeEventFd().value();
  std::array<std::byte, 4> too_short{};
  ASSERT_TRUE(
      queue().Read(File::Descriptor(fd), too_short, SubmissionQueue::kCurrentOffset, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EINVAL)));
  for (int i = 0; i < 3; ++i) world().SignalEventFd(fd);
  EXPECT_EQ(ReadCounter(fd), 3U);
  kernel().Close(fd);
}

TEST_P(Polling, P1_WhatIsNotOpenIsEbadf) {
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(987'654), POLLIN, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EBADF)));
}

}  // namespace
}  // namespace orrery::conformance
