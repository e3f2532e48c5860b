// What a close leaves running, and how a connection is really stopped.
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class Closing : public Conformance {
 protected:
  std::array<std::byte, 64> memory_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Closing, AllWorlds(), WorldName);

TEST_P(Closing, X1_CloseNeverTouchesWhatIsArmed) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  Submit();
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 0)));
  ExpectQuiet();
  // The peer sees no end, and what it sends still arrives.
  const PeerRead nothing = world().Receive(connection.peer, 10);
  EXPECT_FALSE(nothing.end || nothing.reset);
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, More(1, 5));
  EXPECT_EQ(buffers.BytesOf(seen), "hello");
  // The last request that ends closes the file.
  ASSERT_TRUE(queue().Cancel(Id(1), Id(3)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(3, 0)));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

TEST_P(Closing, X1_WhatIsDoneButNotShownHoldsItsFile) {
  if (!deferred()) GTEST_SKIP() << "shown at once";
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_RD, Id(1)));
  // An Enter that asks for no completions runs no task work (fact V3).
  const EnterResult entered =
      world().Enter(ring().memory().ring_fd, {.to_submit = queue().Publish()});
  ASSERT_EQ(entered, 1U);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  kernel().Close(connection.fd);
  world().Pause();
  EXPECT_FALSE(world().Receive(connection.peer, 1).end);
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

TEST_P(Closing, X3_ShutdownEndsWhatIsArmedAndSendsTheEnd) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_RDWR, Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, 0), Final(2, 0)));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

TEST_P(Closing, X3_ShutdownEndsAMultishotReceiveAndASend) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  (void)Fill(connection);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("x"), 0, Id(2)));
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_RDWR, Id(3)));
  EXPECT_THAT(Await(3), UnorderedElementsAre(Final(1, 0), Final(2, -EPIPE), Final(3, 0)));
}

TEST_P(Closing, X4_UnreadBytesTurnACloseIntoAReset) {
  const Connection connection = Connect();
  ASSERT_EQ(world().Send(connection.peer, "unread"), 6U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 6));
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  EXPECT_TRUE(ReadToEnd(connection.peer).reset);
}

TEST_P(Closing, X4_WithoutUnreadBytesACloseIsAnEnd) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("bye"), 0, Id(1)));
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 3), Final(2, 0)));
  const PeerRead read = ReadToEnd(connection.peer);
  EXPECT_EQ(read.bytes, "bye");
  EXPECT_TRUE(read.end);
}

TEST_P(Closing, X5_ADescriptorIsResolvedWhenItsSqeIsConsumed) {
  const Connection old = Connect();
  const World::Peer next = world().Connect(port()).value();
  // The three are prepared together: the close frees the number, the accept reuses it, and the
  // send goes to whom it belongs by then.
  ASSERT_TRUE(queue().Close(File::Descriptor(old.fd), Id(1)));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(2)));
  ASSERT_TRUE(queue().Send(File::Descriptor(old.fd), AsBytes("whose?"), 0, Id(3)));
  EXPECT_THAT(Await(3), ElementsAre(Final(1, 0), Final(2, old.fd), Final(3, 6)));
  EXPECT_EQ(ReadFromPeer(next, 6).bytes, "whose?");
  const PeerRead read = ReadToEnd(old.peer);
  EXPECT_EQ(read.bytes, "");
  EXPECT_TRUE(read.end);
}

TEST_P(Closing, X7_TheProgramsFinWakesOnceMoreWhenItIsAcknowledged) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(connection.fd), POLLOUT, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(More(1, POLLOUT)));
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("bye"), 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 3)));
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(3)));
  size_t wakes = 0;
  const auto count = [&](const std::vector<Seen>& seen) {
    for (const Seen& one : seen) {
      if (one.id == 1) {
        EXPECT_THAT(one, More(1, POLLOUT));
        ++wakes;
      }
    }
  };
  count(Await(2));  // The shutdown, and what it wakes.
  EXPECT_GE(wakes, 1U);
  // The latest moment: bytes are no reason to say that the socket takes some.
  Deliver(connection, "more");
  Submit();
  count(Visible());
  // Legal: one, when it was acknowledged so soon that the two were one.
  EXPECT_GE(wakes, 1U);
  EXPECT_LE(wakes, 2U);
  Deliver(connection, "still more");
  ExpectQuiet();
}

TEST_P(Closing, X5_AnArmedRequestKeepsItsFile) {
  const Connection old = Connect();
  ASSERT_TRUE(queue().Receive(File::Descriptor(old.fd), memory_, 0, Id(1)));
  Submit();
  const World::Peer next = world().Connect(port()).value();
  ASSERT_TRUE(queue().Close(File::Descriptor(old.fd), Id(2)));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(3)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(3, old.fd)));
  ASSERT_EQ(world().Send(next, "new"), 3U);
  ExpectQuiet();
  ASSERT_EQ(world().Send(old.peer, "old!"), 4U);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 4)));
}

TEST_P(Closing, X2_ACancelByFileAndACloseStopAConnectionInOneBatch) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  io_uring_sqe& poll = Raw(IORING_OP_POLL_ADD, 2);
  poll.fd = connection.fd;
  poll.poll32_events = POLLPRI;
  Submit();
  io_uring_sqe& cancel = Raw(IORING_OP_ASYNC_CANCEL, 3);
  cancel.fd = connection.fd;
  cancel.cancel_flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(4)));
  EXPECT_THAT(Await(4), UnorderedElementsAre(Final(3, 2), Final(4, 0), Final(1, -ECANCELED),
                                             Final(2, -ECANCELED)));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

TEST_P(Closing, X6_ARingThatGoesEndsItsRequestsAndClosesTheirFiles) {
  const Connection connection = Connect();
  DrivenRing& other = UseAnotherRing();
  ASSERT_TRUE(other.queue().Receive(File::Descriptor(connection.fd), memory_, 0, Id(1)));
  other.Submit();
  kernel().Close(connection.fd);
  for (int i = 0; i < 20; ++i) world().Pause();
  const PeerRead nothing = world().Receive(connection.peer, 10);
  EXPECT_FALSE(nothing.end || nothing.reset);
  DropOtherRings();
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
}

}  // namespace
}  // namespace orrery::conformance
