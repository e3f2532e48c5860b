// Bundles: one completion for several provided buffers. Whoever counts buffers wrongly recycles
// those that the kernel still owns.
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

constexpr uint16_t kBundle = 1U << 4;      // IORING_RECVSEND_BUNDLE
constexpr uint16_t kIncremental = 2;       // IOU_PBUF_RING_INC
constexpr uint32_t kBufferMore = 1U << 4;  // IORING_CQE_F_BUF_MORE
constexpr unsigned kBytes = 64;

class Bundles : public Conformance {
 protected:
  void Receive(uint32_t id, int fd, bool multishot, unsigned length = 0) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_recv(sqe, fd, nullptr, length, 0);
      if (multishot) sqe->ioprio |= IORING_RECV_MULTISHOT;
      sqe->ioprio |= kBundle;
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 7;
    });
  }
  static unsigned BuffersOf(const Seen& seen) {
    return (static_cast<unsigned>(seen.result) + kBytes - 1) / kBytes;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Bundles, AllWorlds(), WorldName);

TEST_P(Bundles, D1_BuffersFollowEachOther) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 8, kBytes);
  const std::string bytes = Pattern(0, 300);
  ASSERT_EQ(world().Send(connection.peer, bytes), bytes.size());
  ASSERT_TRUE(world().AwaitReadable(connection.fd, bytes.size()));
  std::string received;
  unsigned next = 0;
  // Fact D2: any number of them in one completion.
  while (received.size() < bytes.size()) {
    Receive(1, connection.fd, false);
    const Seen seen = AwaitOne();
    ASSERT_GT(seen.result, 0);
    ASSERT_EQ(seen.buffer(), next);
    received += buffers.Bytes(*seen.buffer(), 0, static_cast<size_t>(seen.result));
    next += BuffersOf(seen);
  }
  EXPECT_EQ(received, bytes);
}

TEST_P(Bundles, D2_ACompletionNeedNotHoldEverything) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 16, kBytes);
  Receive(1, connection.fd, true);
  Submit();
  std::string received;
  std::string sent;
  unsigned next = 0;
  for (const size_t part : {150, 10, 200}) {
    sent += Pattern(sent.size(), part);
    ASSERT_EQ(world().Send(connection.peer, sent.substr(sent.size() - part)), part);
    while (received.size() < sent.size()) {
      const std::vector<Seen> some = Await(1);
      ASSERT_FALSE(some.empty());
      for (const Seen& seen : some) {
        ASSERT_GT(seen.result, 0);
        ASSERT_TRUE(seen.more());
        ASSERT_EQ(seen.buffer(), next);
        received += buffers.Bytes(*seen.buffer(), 0, static_cast<size_t>(seen.result));
        next += BuffersOf(seen);
      }
    }
  }
  EXPECT_EQ(received, sent);
}

TEST_P(Bundles, D3_EmptyingTheGroupMayEndItWithASuccess) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 2, kBytes);
  const std::string bytes = Pattern(0, 300);
  ASSERT_EQ(world().Send(connection.peer, bytes), bytes.size());
  ASSERT_TRUE(world().AwaitReadable(connection.fd, bytes.size()));
  Receive(1, connection.fd, true);
  std::string received;
  Seen last;
  do {
    const std::vector<Seen> some = Await(1);
    ASSERT_FALSE(some.empty());
    for (const Seen& seen : some) {
      last = seen;
      if (seen.result > 0)
        received += buffers.Bytes(*seen.buffer(), 0, static_cast<size_t>(seen.result));
    }
    ASSERT_NE(last.id, 0U);
  } while (last.more());
  EXPECT_EQ(received, bytes.substr(0, 2 * kBytes));
  EXPECT_TRUE(last.result > 0 || last.result == -ENOBUFS) << last.result;
}

TEST_P(Bundles, D4_ALengthCapsItInWholeBuffers) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 8, kBytes);
  ASSERT_EQ(world().Send(connection.peer, Pattern(0, 300)), 300U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 300));
  Receive(1, connection.fd, false, 100);
  EXPECT_THAT(AwaitOne(), Final(1, kBytes));
  Receive(2, connection.fd, false, 20);
  EXPECT_THAT(AwaitOne(), Final(2, 20));
}

TEST_P(Bundles, D9_OneThatKnowsOfMoreThanItsGroupHoldsFails) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 1, kBytes);
  ASSERT_EQ(world().Send(connection.peer, Pattern(0, kBytes + 2)), kBytes + 2);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, kBytes + 2));
  Receive(1, connection.fd, false, kBytes);
  LastSqe().flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
  ASSERT_TRUE(queue().Nop(Id(2)));
  // No success that could be skipped, although all that was asked for has come. Fact L7: what is
  // linked behind ends with it, unseen.
  EXPECT_THAT(AwaitOne(), Final(1, kBytes));
  ExpectQuiet();
}

TEST_P(Bundles, D5_WithoutAGroupItIsIgnored) {
  const Connection connection = Connect();
  Deliver(connection, "abc");
  std::array<std::byte, 8> memory{};
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv(sqe, connection.fd, memory.data(), memory.size(), 0);
    sqe->ioprio |= kBundle;
  });
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 3));
  EXPECT_EQ(seen.buffer(), std::nullopt);
}

TEST_P(Bundles, D6_BytesBeforeTheEnd) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 8, kBytes);
  ASSERT_EQ(world().Send(connection.peer, Pattern(0, 100)), 100U);
  world().ShutdownWrite(connection.peer);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 100));
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  Receive(1, connection.fd, true);
  int received = 0;
  Seen last;
  do {
    for (const Seen& seen : Await(1)) {
      last = seen;
      received += seen.result;
    }
    ASSERT_NE(last.id, 0U);
  } while (last.more());
  EXPECT_EQ(received, 100);
  EXPECT_THAT(last, Final(1, 0));
  EXPECT_EQ(last.buffer(), std::nullopt);
}

class Incremental : public Conformance {
 protected:
  void Arm(uint32_t id, int fd) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(fd), 7, Id(id)));
    Submit();
  }
  Seen SendAndSee(const Connection& connection, std::string_view bytes) {
    EXPECT_EQ(world().Send(connection.peer, bytes), bytes.size());
    return AwaitOne();
  }
  static bool RoomLeft(const Seen& seen) { return (seen.flags & kBufferMore) != 0; }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Incremental, AllWorlds(), WorldName);

TEST_P(Incremental, I1_ABufferIsTakenPieceByPiece) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 2, kBytes, kIncremental);
  Arm(1, connection.fd);
  const Seen first = SendAndSee(connection, "abc");
  EXPECT_THAT(first, More(1, 3));
  EXPECT_EQ(first.buffer(), 0);
  EXPECT_TRUE(RoomLeft(first));
  const Seen second = SendAndSee(connection, "defgh");
  EXPECT_THAT(second, More(1, 5));
  EXPECT_EQ(second.buffer(), 0);
  EXPECT_TRUE(RoomLeft(second));
  EXPECT_EQ(buffers.Bytes(0, 0, 8), "abcdefgh");
}

TEST_P(Incremental, I2_SocketsShareTheBufferInFront) {
  const Connection one = Connect();
  const Connection other = Connect();
  const BufferGroup& buffers = UseBuffers(7, 2, kBytes, kIncremental);
  Arm(1, one.fd);
  Arm(2, other.fd);
  EXPECT_THAT(SendAndSee(one, "abc"), More(1, 3));
  EXPECT_THAT(SendAndSee(other, "xy"), More(2, 2));
  EXPECT_THAT(SendAndSee(one, "def"), More(1, 3));
  EXPECT_EQ(buffers.Bytes(0, 0, 8), "abcxydef");
}

TEST_P(Incremental, I3_FillingABufferHandsItOver) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 2, 8, kIncremental);
  Arm(1, connection.fd);
  EXPECT_TRUE(RoomLeft(SendAndSee(connection, "abc")));
  const Seen full = SendAndSee(connection, "defgh");
  EXPECT_EQ(full.buffer(), 0);
  EXPECT_FALSE(RoomLeft(full));
  const Seen next = SendAndSee(connection, "12345678");
  EXPECT_EQ(next.buffer(), 1);
  EXPECT_FALSE(RoomLeft(next));
  EXPECT_EQ(buffers.Bytes(0, 0, 16), "abcdefgh12345678");
  EXPECT_THAT(SendAndSee(connection, "x"), Final(1, -ENOBUFS));
}

TEST_P(Incremental, I3_TheEndTakesNothing) {
  const Connection connection = Connect();
  (void)UseBuffers(7, 1, 8, kIncremental);
  Arm(1, connection.fd);
  EXPECT_TRUE(RoomLeft(SendAndSee(connection, "abc")));
  world().ShutdownWrite(connection.peer);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 0));
  EXPECT_EQ(end.buffer(), std::nullopt);
}

TEST_P(Incremental, I4_ABundleSaysWhetherItsLastHasRoom) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(7, 4, kBytes, kIncremental);
  const std::string bytes = Pattern(0, 100);
  ASSERT_EQ(world().Send(connection.peer, bytes), bytes.size());
  ASSERT_TRUE(world().AwaitReadable(connection.fd, bytes.size()));
  std::string received;
  size_t position = 0;
  while (received.size() < bytes.size()) {
    Add(1, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_recv(sqe, connection.fd, nullptr, 0, 0);
      sqe->ioprio |= kBundle;
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 7;
    });
    const Seen seen = AwaitOne();
    ASSERT_GT(seen.result, 0);
    const auto count = static_cast<size_t>(seen.result);
    ASSERT_EQ(seen.buffer(), position / kBytes);
    received += buffers.Bytes(*seen.buffer(), position % kBytes, count);
    position += count;
    EXPECT_EQ(RoomLeft(seen), position % kBytes != 0);
  }
  EXPECT_EQ(received, bytes);
}

}  // namespace
}  // namespace orrery::conformance
