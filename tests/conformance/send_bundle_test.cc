// Sends out of provided buffers, one or many at a time. Whoever counts wrongly which of them went
// sends bytes twice, or never.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

constexpr uint16_t kBundle = 1U << 4;  // IORING_RECVSEND_BUNDLE
constexpr uint16_t kGroup = 7;
constexpr unsigned kBytes = 64;

class SendBuffers : public Conformance {
 protected:
  // Out of the group; `length` 0: whole buffers.
  void Send(uint32_t id, int fd, unsigned length = 0, int flags = 0) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_send(sqe, fd, nullptr, length, flags);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = kGroup;
    });
  }
  void SendBundle(uint32_t id, int fd, unsigned length = 0, int flags = 0) {
    Send(id, fd, length, flags);
    LastSqe().ioprio |= kBundle;
  }
  // `count` buffers, each full of the next bytes of the pattern.
  BufferGroup& UseFullBuffers(unsigned count, unsigned bytes = kBytes) {
    BufferGroup& group = UseEmptyGroup(kGroup, 16, bytes);
    for (unsigned index = 0; index < count; ++index) {
      group.PublishText(static_cast<uint16_t>(index), Pattern(size_t{index} * bytes, bytes));
    }
    return group;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, SendBuffers, AllWorlds(), WorldName);

TEST_P(SendBuffers, D8_ASendTakesTheNextBuffer) {
  const Connection connection = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  group.PublishText(2, "first,");
  group.PublishText(0, "second,");
  Send(1, connection.fd);
  const Seen first = AwaitOne();
  EXPECT_THAT(first, Final(1, 6));
  EXPECT_EQ(first.buffer(), 2);
  Send(2, connection.fd);
  const Seen second = AwaitOne();
  EXPECT_THAT(second, Final(2, 7));
  EXPECT_EQ(second.buffer(), 0);
  Send(3, connection.fd);
  const Seen none = AwaitOne();
  EXPECT_THAT(none, Final(3, -ENOBUFS));
  EXPECT_EQ(none.buffer(), std::nullopt);
  EXPECT_EQ(ReadFromPeer(connection.peer, 13).bytes, "first,second,");
}

TEST_P(SendBuffers, D8_ALengthCutsTheBuffer) {
  const Connection connection = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  group.PublishText(0, "abcdef");
  group.PublishText(1, "xyz");
  Send(1, connection.fd, 4);
  EXPECT_THAT(AwaitOne(), Final(1, 4));
  Send(2, connection.fd, 100);
  EXPECT_THAT(AwaitOne(), Final(2, 3));
  EXPECT_EQ(ReadFromPeer(connection.peer, 7).bytes, "abcdxyz");
}

TEST_P(SendBuffers, D8_AnErrorAnswersWithTheBuffer) {
  const Connection connection = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  group.PublishText(0, "abc");
  group.PublishText(1, "def");
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  Send(2, connection.fd);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(2, -EPIPE));
  EXPECT_EQ(seen.buffer(), 0);
  SendBundle(3, connection.fd);
  const Seen bundle = AwaitOne();
  EXPECT_THAT(bundle, Final(3, -EPIPE));
  EXPECT_EQ(bundle.buffer(), 1);
}

TEST_P(SendBuffers, D8_MessagesAndZeroCopyTakeNone) {
  const Connection connection = Connect();
  (void)UseFullBuffers(2);
  msghdr header{};
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_sendmsg(sqe, connection.fd, &header, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kGroup;
  });
  EXPECT_THAT(AwaitOne(), Final(1, -EOPNOTSUPP));
  Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_sendmsg(sqe, connection.fd, &header, 0);
    sqe->ioprio |= kBundle;
  });
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
}

TEST_P(SendBuffers, D7_ABundleSendsWhatIsThere) {
  const Connection connection = Connect();
  BufferGroup& group = UseFullBuffers(5);
  SendBundle(1, connection.fd);
  Submit();
  const std::vector<Seen> seen = Visible();
  ASSERT_THAT(seen, ElementsAre(Final(1, 5 * kBytes)));
  EXPECT_EQ(seen[0].buffer(), 0);
  EXPECT_EQ(ReadFromPeer(connection.peer, 5 * kBytes).bytes, Pattern(0, 5 * kBytes));
  // All are the program's again.
  group.PublishText(0, "again");
  SendBundle(2, connection.fd);
  const Seen again = AwaitOne();
  EXPECT_THAT(again, Final(2, 5));
  EXPECT_EQ(again.buffer(), 0);
  EXPECT_EQ(ReadFromPeer(connection.peer, 5).bytes, "again");
}

TEST_P(SendBuffers, D7_AnEmptyGroupIsEnobufs) {
  const Connection connection = Connect();
  (void)UseEmptyGroup(kGroup, 4, kBytes);
  SendBundle(1, connection.fd);
  EXPECT_THAT(AwaitOne(), Final(1, -ENOBUFS));
}

TEST_P(SendBuffers, D7_ALengthMakesSeveralCompletions) {
  const Connection connection = Connect();
  (void)UseFullBuffers(4);
  SendBundle(1, connection.fd, 100);
  const std::vector<Seen> seen = Await(2);
  // The length counts for the first only, in whole buffers.
  ASSERT_THAT(seen, ElementsAre(More(1, kBytes), Final(1, 3 * kBytes)));
  EXPECT_EQ(seen[0].buffer(), 0);
  EXPECT_EQ(seen[1].buffer(), 1);
  EXPECT_EQ(ReadFromPeer(connection.peer, 4 * kBytes).bytes, Pattern(0, 4 * kBytes));
}

TEST_P(SendBuffers, D7_ALengthBelowOneBufferCutsIt) {
  const Connection connection = Connect();
  (void)UseFullBuffers(2);
  SendBundle(1, connection.fd, 10);
  const std::vector<Seen> seen = Await(2);
  ASSERT_THAT(seen, ElementsAre(More(1, 10), Final(1, kBytes)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 10 + kBytes).bytes,
            Pattern(0, 10) + Pattern(kBytes, kBytes));
}

TEST_P(SendBuffers, D7_ABundleWaitsUntilAllIsSent) {
  const Connection connection = Connect();
  constexpr unsigned kLarge = 64 * 1024;
  BufferGroup& group = UseEmptyGroup(kGroup, 64, kLarge);
  const size_t filled = Fill(connection);
  for (uint16_t index = 0; index < 3; ++index) {
    group.PublishText(index, Pattern(filled + size_t{index} * kLarge, kLarge));
  }
  SendBundle(1, connection.fd);
  Submit();
  ExpectQuiet();
  const size_t all = filled + 3 * kLarge;
  EXPECT_EQ(ReadFromPeer(connection.peer, all).bytes, Pattern(0, all));
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 3 * kLarge));
  EXPECT_EQ(seen.buffer(), 0);
}

TEST_P(SendBuffers, D7_ACancelAnswersWithWhatWasSent) {
  const Connection connection = Connect();
  constexpr unsigned kLarge = 64 * 1024;
  BufferGroup& group = UseEmptyGroup(kGroup, 64, kLarge);
  for (uint16_t index = 0; index < 64; ++index) {
    group.PublishText(index, Pattern(size_t{index} * kLarge, kLarge));
  }
  SendBundle(1, connection.fd);
  Submit();
  world().AwaitSteadyOutput(connection.fd);
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  int32_t sent = 0;
  for (const Seen& seen : Await(2)) {
    if (seen.id == 2) {
      EXPECT_THAT(seen, Final(2, 0));
      continue;
    }
    EXPECT_FALSE(seen.more());
    EXPECT_EQ(seen.buffer(), 0);
    sent = seen.result;
  }
  ASSERT_GT(sent, 0);
  ASSERT_LT(static_cast<size_t>(sent), size_t{64} * kLarge);
  EXPECT_EQ(ReadFromPeer(connection.peer, static_cast<size_t>(sent)).bytes,
            Pattern(0, static_cast<size_t>(sent)));
}

TEST_P(SendBuffers, D8_NothingFitsAndNobodyWaits) {
  const Connection connection = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  (void)Fill(connection);
  for (const uint16_t buffer : {0, 1, 2}) group.PublishText(buffer, "abc");
  Send(1, connection.fd, 0, MSG_DONTWAIT);
  const Seen one = AwaitOne();
  EXPECT_THAT(one, Final(1, -EAGAIN));
  EXPECT_EQ(one.buffer(), 0);
  // Both that are left.
  SendBundle(2, connection.fd, 0, MSG_DONTWAIT);
  const Seen rest = AwaitOne();
  EXPECT_THAT(rest, Final(2, -EAGAIN));
  EXPECT_EQ(rest.buffer(), 1);
  Send(3, connection.fd, 0, MSG_DONTWAIT);
  EXPECT_THAT(AwaitOne(), Final(3, -ENOBUFS));
}

TEST_P(SendBuffers, D8_ASendThatWaitsHasItsBuffer) {
  const Connection connection = Connect();
  const Connection other = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  const size_t filled = Fill(connection);
  group.PublishText(0, "one");
  group.PublishText(1, "two");
  Send(1, connection.fd);
  Submit();
  ExpectQuiet();
  Send(2, other.fd);
  const Seen second = AwaitOne();
  EXPECT_THAT(second, Final(2, 3));
  EXPECT_EQ(second.buffer(), 1);
  EXPECT_EQ(ReadFromPeer(other.peer, 3).bytes, "two");
  EXPECT_EQ(ReadFromPeer(connection.peer, filled).bytes, Pattern(0, filled));
  const Seen first = AwaitOne();
  EXPECT_THAT(first, Final(1, 3));
  EXPECT_EQ(first.buffer(), 0);
  EXPECT_EQ(ReadFromPeer(connection.peer, 3).bytes, "one");
}

TEST_P(SendBuffers, D8_ACancelGivesTheBufferBack) {
  const Connection connection = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  (void)Fill(connection);
  for (const uint16_t buffer : {0, 1, 2}) group.PublishText(buffer, "abc");
  Send(1, connection.fd);
  SendBundle(2, connection.fd);
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  ASSERT_TRUE(queue().Cancel(Id(2), Id(4)));
  for (const Seen& seen : Await(4)) {
    if (seen.id >= 3) continue;
    EXPECT_THAT(seen, Final(seen.id, -ECANCELED));
    EXPECT_EQ(seen.buffer(), seen.id - 1);
  }
}

TEST_P(SendBuffers, D7_WhatIsPublishedMeanwhileIsForTheNext) {
  const Connection connection = Connect();
  BufferGroup& group = UseEmptyGroup(kGroup, 4, kBytes);
  const size_t filled = Fill(connection);
  group.PublishText(0, "one");
  SendBundle(1, connection.fd);
  Submit();
  ExpectQuiet();
  group.PublishText(1, "two");
  EXPECT_EQ(ReadFromPeer(connection.peer, filled).bytes, Pattern(0, filled));
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  SendBundle(2, connection.fd);
  const Seen next = AwaitOne();
  EXPECT_THAT(next, Final(2, 3));
  EXPECT_EQ(next.buffer(), 1);
  EXPECT_EQ(ReadFromPeer(connection.peer, 6).bytes, "onetwo");
}

}  // namespace
}  // namespace orrery::conformance
