// RECVMSG and SENDMSG on streams: where the bytes go, and what stands in the header. Whoever reads
// a length or a flag there that the kernel did not write takes old bytes for new ones.
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/loopback.h"
#include "tests/conformance/fixture.h"
#include "tests/conformance/message_fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

class Messages : public MessageFixture {
 protected:
  void ReceiveStream(uint32_t id, const Connection& connection, Message& message, int flags = 0) {
    ReceiveMessage(id, connection.fd, message, flags);
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Messages, AllWorlds(), WorldName);

TEST_P(Messages, R14_AStreamNamesNobody) {
  const Connection connection = Connect();
  Message message(8);
  ReceiveStream(1, connection, message);
  Submit();
  ExpectQuiet();
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 3));
  EXPECT_EQ(message.Bytes(seen), "abc");
  EXPECT_EQ(message.header.msg_namelen, 0U);
  EXPECT_EQ(message.header.msg_flags, 0);
  Deliver(connection, "0123456789");
  ReceiveStream(2, connection, message);
  seen = AwaitOne();
  EXPECT_THAT(seen, Final(2, 8));
  EXPECT_TRUE(seen.not_empty());
  EXPECT_EQ(message.header.msg_flags, 0);
  world().ShutdownWrite(connection.peer);
  ASSERT_TRUE(world().AwaitHangup(connection.fd));
  ReceiveStream(3, connection, message);
  EXPECT_THAT(AwaitOne(), Final(3, 2));
  ReceiveStream(4, connection, message);
  EXPECT_THAT(AwaitOne(), Final(4, 0));
}

TEST_P(Messages, R15_PeekingLeavesTheBytes) {
  const Connection connection = Connect();
  Message message(8);
  std::array<iovec, 2> parts = {iovec{.iov_base = message.memory.data(), .iov_len = 2},
                                iovec{.iov_base = message.memory.data() + 4, .iov_len = 4}};
  message.header.msg_iov = parts.data();
  message.header.msg_iovlen = parts.size();
  ReceiveStream(1, connection, message, MSG_PEEK);
  Submit();
  ExpectQuiet();
  Deliver(connection, "abcdefgh");
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 6));
  EXPECT_TRUE(seen.not_empty());
  EXPECT_EQ(message.memory, "ab--cdef");
  std::array<std::byte, 8> memory{};
  Receive(2, connection.fd, memory);
  EXPECT_THAT(AwaitOne(), Final(2, 8));
  EXPECT_EQ(std::memcmp(memory.data(), "abcdefgh", 8), 0);
}

TEST_P(Messages, R15_PeekingAgainAndAgainUsesUpTheBuffers) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(kGroup, 2, 8);
  Deliver(connection, "abc");
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(connection.fd), kGroup, Id(1)));
  LastSqe().msg_flags |= MSG_PEEK;
  const std::vector<Seen> seen = Await(3);
  ASSERT_THAT(seen, ElementsAre(More(1, 3), More(1, 3), Final(1, -ENOBUFS)));
  EXPECT_EQ(buffers.BytesOf(seen[1]), "abc");
}

TEST_P(Messages, T1_AStreamIgnoresANameToSendTo) {
  const Connection connection = Connect();
  Message message(0);
  message.memory = "abc";
  message.part = {.iov_base = message.memory.data(), .iov_len = 3};
  message.name = Loopback(1);
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(connection.fd), message.header, 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  EXPECT_EQ(ReadFromPeer(connection.peer, 3).bytes, "abc");
}

TEST_P(Messages, R5_WaitAllScattersOverManyArrivals) {
  const Connection connection = Connect();
  Message message(8);
  std::array<iovec, 2> parts = {iovec{.iov_base = message.memory.data(), .iov_len = 3},
                                iovec{.iov_base = message.memory.data() + 4, .iov_len = 4}};
  message.header.msg_iov = parts.data();
  message.header.msg_iovlen = parts.size();
  ReceiveStream(1, connection, message, MSG_WAITALL);
  Submit();
  Deliver(connection, "ab");
  ExpectQuiet();
  Deliver(connection, "cdefg");
  EXPECT_THAT(AwaitOne(), Final(1, 7));
  EXPECT_EQ(message.memory, "abc-defg");
}

TEST_P(Messages, R3_DontWaitIsAnsweredWithEagain) {
  const Connection connection = Connect();
  Message message(8);
  ReceiveStream(1, connection, message, MSG_DONTWAIT);
  EXPECT_THAT(AwaitOne(), Final(1, -EAGAIN));
}

TEST_P(Messages, T10_TooManyParts) {
  const Connection connection = Connect();
  std::vector<iovec> parts(1025);
  Message message(8);
  message.header.msg_iov = parts.data();
  message.header.msg_iovlen = parts.size();
  ReceiveStream(1, connection, message);
  EXPECT_THAT(AwaitOne(), Final(1, -EMSGSIZE));
}

TEST_P(Messages, M2_AMultishotPutsAHeaderBeforeTheBytes) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(kGroup, 4, 24);
  msghdr header{};
  header.msg_namelen = 4;
  Deliver(connection, "abcdef");
  ReceiveMessages(1, connection.fd, header);
  std::vector<Seen> seen = Await(2);
  ASSERT_THAT(seen, ElementsAre(More(1, 24), More(1, 22)));
  io_uring_recvmsg_out out;
  std::memcpy(&out, buffers.BytesOf(seen[0]).data(), sizeof out);
  EXPECT_EQ(out.namelen, 0U);
  EXPECT_EQ(out.payloadlen, 4U);
  EXPECT_EQ(out.flags, 0U);
  EXPECT_EQ(buffers.BytesOf(seen[0]).substr(20), "abcd");
  EXPECT_EQ(buffers.BytesOf(seen[1]).substr(20), "ef");
  // The end has a header, and so a buffer.
  world().ShutdownWrite(connection.peer);
  const Seen end = AwaitOne();
  EXPECT_THAT(end, Final(1, 20));
  ASSERT_EQ(end.buffer(), 2);
  std::memcpy(&out, buffers.BytesOf(end).data(), sizeof out);
  EXPECT_EQ(out.payloadlen, 0U);
}

TEST_P(Messages, M6_AResetHasNoHeader) {
  const Connection connection = Connect();
  (void)UseBuffers(kGroup, 4, 24);
  msghdr header{};
  ReceiveMessages(1, connection.fd, header);
  Submit();
  world().Reset(connection.peer);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, -ECONNRESET));
  EXPECT_EQ(seen.buffer(), std::nullopt);
}

TEST_P(Messages, B3_AGroupGivesOneMessageItsBuffer) {
  const Connection connection = Connect();
  const BufferGroup& buffers = UseBuffers(kGroup, 4, 8);
  Message message(0);
  message.part = {.iov_base = nullptr, .iov_len = 2};
  Deliver(connection, "abcdef");
  ReceiveStream(1, connection, message);
  LastSqe().flags |= IOSQE_BUFFER_SELECT;
  LastSqe().buf_group = kGroup;
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 2));
  EXPECT_EQ(buffers.BytesOf(seen), "ab");
  message.header.msg_iovlen = 0;
  ReceiveStream(2, connection, message);
  LastSqe().flags |= IOSQE_BUFFER_SELECT;
  LastSqe().buf_group = kGroup;
  const Seen rest = AwaitOne();
  EXPECT_THAT(rest, Final(2, 4));
  EXPECT_EQ(buffers.BytesOf(rest), "cdef");
}

TEST_P(Messages, U8_TheHeaderIsWrittenAtTheEnd) {
  const Connection connection = Connect();
  Message message(8);
  std::array<iovec, 1> parts = {message.part};
  message.header.msg_iov = parts.data();
  message.header.msg_flags = 0x55;
  ReceiveStream(1, connection, message);
  Submit();
  parts = {};  // Read at submission.
  EXPECT_EQ(message.header.msg_flags, 0x55);
  ASSERT_EQ(world().Send(connection.peer, "abc"), 3U);
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  EXPECT_EQ(message.memory.substr(0, 3), "abc");
  EXPECT_EQ(message.header.msg_flags, 0);
}

}  // namespace
}  // namespace orrery::conformance
