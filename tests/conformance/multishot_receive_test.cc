// The multishot receive: which completion is its last, and what that means. The reactor re-arms,
// starves or closes a connection by these.
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

class MultishotReceive : public Conformance {
 protected:
  void Arm(const Connection& connection, const BufferGroup& buffers, uint32_t id) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(id)));
    Submit();
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, MultishotReceive, AllWorlds(), WorldName);

TEST_P(MultishotReceive, M2_OneCompletionABuffer) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 4);
  Deliver(connection, "abcdefghij");
  Arm(connection, buffers, 1);
  const std::vector<Seen> seen = Await(3);
  ASSERT_THAT(seen, ElementsAre(More(1, 4), More(1, 4), More(1, 2)));
  EXPECT_EQ(buffers.BytesOf(seen[0]), "abcd");
  EXPECT_EQ(buffers.BytesOf(seen[1]), "efgh");
  EXPECT_EQ(buffers.BytesOf(seen[2]), "ij");
  EXPECT_TRUE(seen[0].not_empty());
  EXPECT_FALSE(seen[2].not_empty());
}

TEST_P(MultishotReceive, M3_UsingUpTheLastBufferDoesNotEndIt) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(1, 2, 4);
  Arm(connection, buffers, 1);
  Deliver(connection, "abcd");
  EXPECT_THAT(Await(1), ElementsAre(More(1, 4)));
  Deliver(connection, "efgh");
  EXPECT_THAT(Await(1), ElementsAre(More(1, 4)));
  ExpectQuiet();
  // A buffer that comes back in time keeps it alive.
  buffers.Publish(1);
  Deliver(connection, "ij");
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, More(1, 2));
  EXPECT_EQ(buffers.BytesOf(seen), "ij");
}

TEST_P(MultishotReceive, M4_ExhaustedBuffersEndTheMultishotWithEnobufs) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(1, 2, 4);
  Arm(connection, buffers, 1);
  Deliver(connection, "abcdefghijkl");
  const std::vector<Seen> seen = Await(3);
  ASSERT_THAT(seen, ElementsAre(More(1, 4), More(1, 4), Final(1, -ENOBUFS)));
  EXPECT_EQ(seen[2].flags, 0U);

  // Buffers alone do not revive it, and what it did not receive is still there.
  buffers.Publish(0);
  buffers.Publish(1);
  ExpectQuiet();
  Arm(connection, buffers, 2);
  const Seen rest = AwaitOne();
  EXPECT_THAT(rest, More(2, 4));
  EXPECT_EQ(buffers.BytesOf(rest), "ijkl");
}

TEST_P(MultishotReceive, M5_AnEndThatMeetsAnEmptyGroupIsEnobufs) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(1, 1, 4);
  Arm(connection, buffers, 1);
  Deliver(connection, "abcd");
  EXPECT_THAT(Await(1), ElementsAre(More(1, 4)));
  world().Close(connection.peer);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ENOBUFS)));
  buffers.Publish(0);
  Arm(connection, buffers, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
}

TEST_P(MultishotReceive, M5_AResetThatMeetsAnEmptyGroupIsEnobufs) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(1, 1, 4);
  Arm(connection, buffers, 1);
  Deliver(connection, "abcd");
  EXPECT_THAT(Await(1), ElementsAre(More(1, 4)));
  world().Reset(connection.peer);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ENOBUFS)));
  buffers.Publish(0);
  Arm(connection, buffers, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ECONNRESET)));
}

TEST_P(MultishotReceive, M6_TheEndIsZeroWithoutABuffer) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  Arm(connection, buffers, 1);
  world().Close(connection.peer);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.buffer(), std::nullopt);
}

TEST_P(MultishotReceive, M6_AResetIsReportedOnceThenTheEnd) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  Arm(connection, buffers, 1);
  world().Reset(connection.peer);
  const Seen reset = AwaitOne();
  EXPECT_THAT(reset, Final(1, -ECONNRESET));
  EXPECT_EQ(reset.flags, 0U);
  Arm(connection, buffers, 2);
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
}

TEST_P(MultishotReceive, M7_BytesAndTheEndKnownTogetherComeInOneRun) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_EQ(world().Send(connection.peer, "bye"), 3U);
  world().Close(connection.peer);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 3));
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  Arm(connection, buffers, 1);
  const std::vector<Seen> seen = Visible();
  ASSERT_THAT(seen, ElementsAre(More(1, 3), Final(1, 0)));
  EXPECT_EQ(buffers.BytesOf(seen[0]), "bye");
}

TEST_P(MultishotReceive, M7_BytesAndAResetKnownTogetherComeInOneRun) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_EQ(world().Send(connection.peer, "bye"), 3U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 3));
  world().Reset(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  Arm(connection, buffers, 1);
  const std::vector<Seen> seen = Visible();
  ASSERT_THAT(seen, ElementsAre(More(1, 3), Final(1, -ECONNRESET)));
  EXPECT_EQ(buffers.BytesOf(seen[0]), "bye");
}

TEST_P(MultishotReceive, M8_DeferredTaskWorkReceivesEverythingThatIsThere) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  Arm(connection, buffers, 1);
  for (const std::string_view piece : {"abc", "def", "ghi"}) {
    ASSERT_EQ(world().Send(connection.peer, piece), piece.size());
  }
  if (deferred()) {
    ASSERT_TRUE(world().AwaitReadable(connection.fd, 9));
  }
  std::string all;
  while (all.size() < 9) {
    const std::vector<Seen> seen = Await(1);
    if (deferred()) {
      EXPECT_THAT(seen, ElementsAre(More(1, 9)));
    }
    for (const Seen& one : seen) {
      ASSERT_TRUE(one.more());
      all += buffers.BytesOf(one);
    }
  }
  EXPECT_EQ(all, "abcdefghi");
}

TEST_P(MultishotReceive, M9_OneRunGivesAtMostThirtyThreeCompletionsOfARequest) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 128, 1);
  Arm(connection, buffers, 1);
  const std::string bytes = Pattern(0, 100);
  Deliver(connection, bytes);
  std::vector<size_t> passes;
  std::string all;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Enter(0));
    const std::vector<Seen> seen = Visible();
    passes.push_back(seen.size());
    for (const Seen& one : seen) all += buffers.BytesOf(one);
  }
  EXPECT_EQ(all, bytes);
  if (deferred()) {
    EXPECT_THAT(passes, ElementsAre(33, 33, 33, 1, 0));
  } else {
    EXPECT_THAT(passes, ElementsAre(100, 0, 0, 0, 0));
  }
}

TEST_P(MultishotReceive, M14_BuffersThatComeBackAreUsedAgain) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(1, 2, 16);
  Arm(connection, buffers, 1);
  std::string all;
  for (size_t i = 0; i < 20; ++i) {
    Deliver(connection, Pattern(3 * i, 3));
    const Seen seen = AwaitOne();
    ASSERT_THAT(seen, More(1, 3));
    EXPECT_EQ(seen.buffer(), i % 2);
    all += buffers.BytesOf(seen);
    buffers.Publish(*seen.buffer());
  }
  EXPECT_EQ(all, Pattern(0, 60));
}

TEST_P(MultishotReceive, M1_NeedsAGroupAndDoesNotWaitForAll) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 1, 64);
  std::array<std::byte, 8> memory{};
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv_multishot(sqe, connection.fd, memory.data(), memory.size(), 0);
  });
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 0, MSG_WAITALL);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 7;
  });
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
}

TEST_P(MultishotReceive, M1_DontWaitTakesWhatIsThere) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 4, 4);
  Deliver(connection, "abcdef");
  for (const uint32_t id : {1U, 2U}) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(id)));
    LastSqe().msg_flags |= MSG_DONTWAIT;
  }
  EXPECT_THAT(Await(4), ElementsAre(More(1, 4), More(1, 2), Final(1, -EAGAIN), Final(2, -EAGAIN)));
}

TEST_P(MultishotReceive, M10_ALengthCapsEachCompletion) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 8, 64);
  ASSERT_EQ(world().Send(connection.peer, Pattern(0, 25)), 25U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 25));
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 10, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 7;
  });
  EXPECT_THAT(Await(3), ElementsAre(More(1, 10), More(1, 10), More(1, 5)));
}

TEST_P(MultishotReceive, M10_ATotalEndsItOnceItIsReached) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 8, 64);
  ASSERT_EQ(world().Send(connection.peer, Pattern(0, 40)), 40U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 40));
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 10, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 7;
    sqe->file_index = 25;  // Newer headers name it optlen.
  });
  EXPECT_THAT(Await(3), ElementsAre(More(1, 10), More(1, 10), Final(1, 10)));
  ExpectQuiet();
}

TEST_P(MultishotReceive, M11_UnregisteringTheGroupEndsItAtTheNextEvent) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 2, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), 7, Id(1)));
  Submit();
  io_uring_buf_reg registration{};
  registration.bgid = 7;
  ASSERT_TRUE(ring().Register(IORING_UNREGISTER_PBUF_RING, &registration, 1).has_value());
  world().ShutdownWrite(connection.peer);
  EXPECT_THAT(AwaitOne(), Final(1, -ENOBUFS));
}

class MultishotRead : public Conformance {
 protected:
  void Read(uint32_t id, int fd, uint16_t group) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_rw(49, sqe, fd, nullptr, 0, 0);  // IORING_OP_READ_MULTISHOT
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = group;
    });
    Submit();
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, MultishotRead, AllWorlds(), WorldName);

TEST_P(MultishotRead, M15_GivesEachWriteOfAnEventFd) {
  BufferGroup& buffers = UseBuffers(7, 4, 64);
  const int fd = kernel().MakeEventFd().value();
  Read(1, fd, 7);
  ExpectQuiet();
  for (uint16_t round = 0; round < 2; ++round) {
    world().SignalEventFd(fd);
    const Seen seen = AwaitOne();
    EXPECT_THAT(seen, More(1, 8));
    EXPECT_EQ(seen.buffer(), round);
    EXPECT_EQ(buffers.BytesOf(seen), std::string("\1\0\0\0\0\0\0\0", 8));
  }
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  (void)UseBuffers(8, 1, 4);
  Read(3, fd, 8);
  EXPECT_THAT(AwaitOne(), Final(3, -EINVAL));
  kernel().Close(fd);
}

TEST_P(MultishotRead, M15_OnASocketItGivesNoHint) {
  const Connection connection = Connect();
  BufferGroup& buffers = UseBuffers(7, 4, 4);
  ASSERT_EQ(world().Send(connection.peer, "abcdefghij"), 10U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 10));
  Read(1, connection.fd, 7);
  const std::vector<Seen> seen = Await(3);
  ASSERT_THAT(seen, ElementsAre(More(1, 4), More(1, 4), More(1, 2)));
  EXPECT_EQ(buffers.BytesOf(seen[0]) + buffers.BytesOf(seen[1]) + buffers.BytesOf(seen[2]),
            "abcdefghij");
  EXPECT_FALSE(seen[0].not_empty());
  world().ShutdownWrite(connection.peer);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.flags, 0U);
}

TEST_P(MultishotRead, M15_NeedsAGroup) {
  const Connection connection = Connect();
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_rw(49, sqe, connection.fd, nullptr, 0, 0); });
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
}

}  // namespace
}  // namespace orrery::conformance
