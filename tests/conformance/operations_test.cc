// Every operation that SubmissionQueue prepares does on both kernels what its name says. If one
// fails here, nothing built on it can be right.
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

class Operations : public Conformance {};
INSTANTIATE_TEST_SUITE_P(Kernels, Operations, AllWorlds(), WorldName);

TEST_P(Operations, Nop) {
  ASSERT_TRUE(queue().Nop(Id(1)));
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Operations, ReadOfAnEventFd) {
  const int fd = kernel().MakeEventFd().value();
  uint64_t count = 0;
  ASSERT_TRUE(queue().Read(File::Descriptor(fd), std::as_writable_bytes(std::span(&count, 1)),
                           SubmissionQueue::kCurrentOffset, Id(1)));
  Submit();
  ExpectQuiet();
  world().SignalEventFd(fd);
  world().SignalEventFd(fd);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 8)));
  EXPECT_GE(count, 1U);
  EXPECT_LE(count, 2U);
  kernel().Close(fd);
}

TEST_P(Operations, WriteToASocket) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Write(File::Descriptor(connection.fd), AsBytes("written"),
                            SubmissionQueue::kCurrentOffset, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 7)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 7).bytes, "written");
}

TEST_P(Operations, WriteToAFixedFile) {
  const Connection connection = Connect();
  ASSERT_TRUE(RegisterSparseFiles(ring(), 8));
  ASSERT_TRUE(UpdateFixedFile(ring(), 5, connection.fd));
  ASSERT_TRUE(
      queue().Write(File::Fixed(5), AsBytes("fixed"), SubmissionQueue::kCurrentOffset, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 5).bytes, "fixed");
}

TEST_P(Operations, WriteVector) {
  const Connection connection = Connect();
  std::string first = "one,";
  std::string second = "two";
  const std::array<iovec, 3> iovecs = {iovec{.iov_base = first.data(), .iov_len = first.size()},
                                       iovec{.iov_base = nullptr, .iov_len = 0},
                                       iovec{.iov_base = second.data(), .iov_len = second.size()}};
  ASSERT_TRUE(queue().WriteVector(File::Descriptor(connection.fd), iovecs,
                                  SubmissionQueue::kCurrentOffset, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 7)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 7).bytes, "one,two");
}

TEST_P(Operations, Send) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("sent"), 0, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 4)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 4).bytes, "sent");
}

TEST_P(Operations, SendMessage) {
  const Connection connection = Connect();
  std::string first = "header,";
  std::string second = "body";
  std::array<iovec, 2> iovecs = {iovec{.iov_base = first.data(), .iov_len = first.size()},
                                 iovec{.iov_base = second.data(), .iov_len = second.size()}};
  msghdr message{};
  message.msg_iov = iovecs.data();
  message.msg_iovlen = iovecs.size();
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message, 0, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 11)));
  EXPECT_EQ(ReadFromPeer(connection.peer, 11).bytes, "header,body");
}

TEST_P(Operations, Receive) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
  EXPECT_EQ(std::memcmp(bytes.data(), "hello", 5), 0);
}

TEST_P(Operations, ReceiveMultishot) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), buffers.group(), Id(1)));
  Submit();
  for (const std::string_view text : {"first", "second", "third"}) {
    ASSERT_EQ(world().Send(connection.peer, text), text.size());
    const Seen seen = AwaitOne();
    EXPECT_THAT(seen, More(1, text.size()));
    EXPECT_EQ(buffers.BytesOf(seen), text);
  }
}

TEST_P(Operations, ReceiveMultishotOnAFixedFile) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(1, 4, 64);
  ASSERT_TRUE(RegisterSparseFiles(ring(), 8));
  ASSERT_TRUE(UpdateFixedFile(ring(), 0, connection.fd));
  ASSERT_TRUE(queue().ReceiveMultishot(File::Fixed(0), buffers.group(), Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "first"), 5U);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, More(1, 5));
  EXPECT_EQ(buffers.BytesOf(seen), "first");
}

TEST_P(Operations, Accept) {
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(world().Connect(port()));
  ASSERT_TRUE(world().Connect(port()));
  const Seen accepted = AwaitOne();
  EXPECT_GE(accepted.result, 0);
  EXPECT_FALSE(accepted.more());
}

TEST_P(Operations, AcceptMultishot) {
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  Submit();
  int last = -1;
  for (int i = 0; i < 3; ++i) {
    const World::Peer peer = world().Connect(port()).value();
    const Seen accepted = AwaitOne();
    EXPECT_TRUE(accepted.more());
    ASSERT_GE(accepted.result, 0);
    EXPECT_NE(accepted.result, last);
    last = accepted.result;
    // It is this peer's connection.
    ASSERT_TRUE(queue().Send(File::Descriptor(accepted.result), AsBytes("hi"), 0, Id(2)));
    EXPECT_THAT(Await(1), ElementsAre(Final(2, 2)));
    EXPECT_EQ(ReadFromPeer(peer, 2).bytes, "hi");
  }
}

TEST_P(Operations, Timeout) {
  constexpr Nanoseconds kDuration = 3 * kMillisecond;
  const __kernel_timespec duration{.tv_sec = 0, .tv_nsec = kDuration};
  const Nanoseconds begin = kernel().MonotonicNow();
  ASSERT_TRUE(queue().Timeout(duration, 0, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -ETIME)));
  EXPECT_GE(kernel().MonotonicNow() - begin, kDuration);
}

TEST_P(Operations, Cancel) {
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
}

TEST_P(Operations, CloseOfADescriptor) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  const PeerRead read = ReadToEnd(connection.peer);
  EXPECT_EQ(read.bytes, "");
  EXPECT_TRUE(read.end);
  ASSERT_TRUE(queue().Close(File::Descriptor(connection.fd), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -EBADF)));
}

TEST_P(Operations, CloseOfAFixedFile) {
  const Connection connection = Connect();
  ASSERT_TRUE(RegisterSparseFiles(ring(), 8));
  ASSERT_TRUE(UpdateFixedFile(ring(), 3, connection.fd));
  ASSERT_TRUE(queue().Close(File::Fixed(3), Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  ASSERT_TRUE(queue().Close(File::Fixed(3), Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -EBADF)));
  // The descriptor is another name of the file, and still open.
  ASSERT_TRUE(queue().Send(File::Descriptor(connection.fd), AsBytes("x"), 0, Id(3)));
  EXPECT_THAT(Await(1), ElementsAre(Final(3, 1)));
}

TEST_P(Operations, Shutdown) {
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(connection.fd), SHUT_WR, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 0)));
  EXPECT_TRUE(ReadToEnd(connection.peer).end);
  // The other direction is open.
  ASSERT_EQ(world().Send(connection.peer, "still"), 5U);
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, 5)));
}

TEST_P(Operations, PollMultishot) {
  const int fd = kernel().MakeEventFd().value();
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(1)));
  Submit();
  ExpectQuiet();
  for (int i = 0; i < 3; ++i) {
    world().SignalEventFd(fd);
    EXPECT_THAT(Await(1), ElementsAre(More(1, POLLIN)));
  }
  kernel().Close(fd);
}

TEST_P(Operations, AFullQueueRefusesAndLosesNothing) {
  UseRing({.sq_entries = 4, .cq_entries = 32});
  uint32_t accepted = 0;
  while (queue().Nop(Id(accepted))) ++accepted;
  EXPECT_EQ(accepted, 4U);
  EXPECT_FALSE(queue().Nop(Id(99)));
  EXPECT_EQ(Enter(), 4U);
  // There is space again, and what was refused can be prepared now.
  ASSERT_TRUE(queue().Nop(Id(99)));
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Visible(),
              ElementsAre(Final(0, 0), Final(1, 0), Final(2, 0), Final(3, 0), Final(99, 0)));
}

}  // namespace
}  // namespace orrery::conformance
