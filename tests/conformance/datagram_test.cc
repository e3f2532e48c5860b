// Datagrams: what a receive makes of one, and what becomes of those that cannot be received.
// Whoever takes an empty datagram for the end, or a cut one for a whole, answers nonsense.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
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

constexpr uint8_t kOpBind = 56;    // IORING_OP_BIND
constexpr uint8_t kOpListen = 57;  // IORING_OP_LISTEN
// The largest that IPv4 carries.
constexpr size_t kDatagramBytesMax = 65507;

class Datagrams : public MessageFixture {
 protected:
  int Socket() {
    Add(800, [](io_uring_sqe* sqe) {
      ::io_uring_prep_socket(sqe, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0);
    });
    const Seen seen = AwaitOne();
    EXPECT_GE(seen.result, 0);
    return seen.result;
  }
  void BindTo(uint32_t id, int fd, uint16_t port) {
    address_ = Loopback(port);
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_rw(kOpBind, sqe, fd, &address_, 0, sizeof address_);
    });
  }
  void ConnectTo(uint32_t id, int fd, uint16_t port) {
    address_ = Loopback(port);
    // The ABI takes every family through one type.
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_connect(sqe, fd, reinterpret_cast<const sockaddr*>(&address_),
                              sizeof address_);
    });
  }
  int BoundSocket() {
    const int fd = Socket();
    BindTo(801, fd, 0);
    EXPECT_THAT(AwaitOne(), Final(801, 0));
    return fd;
  }
  int ConnectedSocket(uint16_t port) {
    const int fd = Socket();
    ConnectTo(802, fd, port);
    EXPECT_THAT(AwaitOne(), Final(802, 0));
    return fd;
  }
  uint16_t PortOf(int fd) { return kernel().LocalPort(fd).value(); }
  // A port that nobody has.
  uint16_t DeadPort() {
    const World::Peer peer = world().OpenDatagramPeer();
    const uint16_t port = world().DatagramPort(peer);
    world().CloseDatagramPeer(peer);
    return port;
  }

  void Arm(uint32_t id, int fd, uint16_t group = kGroup) {
    ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(fd), group, Id(id)));
    Submit();
  }
  // A datagram to the program, which has arrived when this returns.
  void Deliver(World::Peer peer, int fd, std::string_view bytes) {
    world().SendDatagram(peer, PortOf(fd), bytes);
    ASSERT_TRUE(world().AwaitDatagram(fd));
  }
  // One that the program sent.
  Datagram ReadFrom(World::Peer peer) {
    for (int tries = 0; tries < kTriesMax; ++tries) {
      if (const auto got = world().ReceiveDatagram(peer)) return *got;
      world().Pause();
    }
    ADD_FAILURE() << "no datagram came";
    return {};
  }

  static constexpr int kTriesMax = 10000;
  sockaddr_in address_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Datagrams, AllWorlds(), WorldName);

TEST_P(Datagrams, E1_AReceiveGivesOneDatagram) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Deliver(peer, fd, "first");
  Deliver(peer, fd, "second");
  std::array<std::byte, 64> memory{};
  Receive(1, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(1, 5));
  EXPECT_EQ(std::memcmp(memory.data(), "first", 5), 0);
  Receive(2, fd, memory);
  const Seen second = AwaitOne();
  EXPECT_THAT(second, Final(2, 6));
  EXPECT_FALSE(second.not_empty());
  EXPECT_EQ(std::memcmp(memory.data(), "second", 6), 0);
  Receive(3, fd, memory);
  Submit();
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "third");
  EXPECT_THAT(AwaitOne(), Final(3, 5));
  kernel().Close(fd);
}

TEST_P(Datagrams, E1_WhatDoesNotFitIsGone) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Deliver(peer, fd, "abcdefgh");
  Deliver(peer, fd, "next");
  std::array<std::byte, 4> memory{};
  Receive(1, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(1, 4));
  EXPECT_EQ(std::memcmp(memory.data(), "abcd", 4), 0);
  Receive(2, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(2, 4));
  EXPECT_EQ(std::memcmp(memory.data(), "next", 4), 0);
  kernel().Close(fd);
}

TEST_P(Datagrams, E1_WaitingForAllDoesNotAddThemUp) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory, MSG_WAITALL);
  LastSqe().flags |= IOSQE_IO_LINK;
  ASSERT_TRUE(queue().Nop(Id(2)));
  Submit();
  world().SendDatagram(peer, PortOf(fd), "abc");
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 3), Final(2, -ECANCELED)));
  // Nor is one that was cut whole.
  Deliver(peer, fd, "0123456789");
  Receive(3, fd, memory, MSG_WAITALL);
  LastSqe().flags |= IOSQE_IO_LINK;
  ASSERT_TRUE(queue().Nop(Id(4)));
  EXPECT_THAT(Await(2), ElementsAre(Final(3, 8), Final(4, -ECANCELED)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E2_AMessageSaysWhoSentItAndWhetherItWasCut) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Message message(4);
  ReceiveMessage(1, fd, message);
  Submit();
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "abc");
  Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, 3));
  EXPECT_EQ(message.Bytes(seen), "abc");
  EXPECT_EQ(message.header.msg_flags, 0);
  EXPECT_EQ(message.header.msg_namelen, sizeof(sockaddr_in));
  EXPECT_EQ(message.header.msg_controllen, 0U);
  EXPECT_EQ(message.name.sin_family, AF_INET);
  EXPECT_EQ(message.name.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(ntohs(message.name.sin_port), world().DatagramPort(peer));

  Deliver(peer, fd, "abcdefgh");
  ReceiveMessage(2, fd, message);
  seen = AwaitOne();
  EXPECT_THAT(seen, Final(2, 4));
  EXPECT_EQ(message.Bytes(seen), "abcd");
  EXPECT_EQ(message.header.msg_flags, MSG_TRUNC);
  kernel().Close(fd);
}

TEST_P(Datagrams, E2_ANameThatDoesNotFitIsCut) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Deliver(peer, fd, "abc");
  Message message(4);
  message.header.msg_namelen = 4;
  ReceiveMessage(1, fd, message);
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  EXPECT_EQ(message.header.msg_namelen, sizeof(sockaddr_in));
  EXPECT_EQ(ntohs(message.name.sin_port), world().DatagramPort(peer));
  EXPECT_EQ(message.name.sin_addr.s_addr, 0U);
  Deliver(peer, fd, "abc");
  message.header.msg_name = nullptr;
  message.header.msg_namelen = 77;
  ReceiveMessage(2, fd, message);
  EXPECT_THAT(AwaitOne(), Final(2, 3));
  EXPECT_EQ(message.header.msg_namelen, 77U);
  kernel().Close(fd);
}

TEST_P(Datagrams, E2_AMessageIsScattered) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Message message(8);
  std::array<iovec, 3> parts = {iovec{.iov_base = message.memory.data(), .iov_len = 2},
                                iovec{.iov_base = nullptr, .iov_len = 0},
                                iovec{.iov_base = message.memory.data() + 4, .iov_len = 4}};
  message.header.msg_iov = parts.data();
  message.header.msg_iovlen = parts.size();
  Deliver(peer, fd, "abcde");
  ReceiveMessage(1, fd, message);
  EXPECT_THAT(AwaitOne(), Final(1, 5));
  EXPECT_EQ(message.memory, "ab--cde-");
  kernel().Close(fd);
}

TEST_P(Datagrams, E3_AnEmptyDatagramIsNotTheEnd) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory);
  Submit();
  world().SendDatagram(peer, PortOf(fd), "");
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  Deliver(peer, fd, "");
  Deliver(peer, fd, "abc");
  Message message(8);
  ReceiveMessage(2, fd, message);
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  EXPECT_EQ(ntohs(message.name.sin_port), world().DatagramPort(peer));
  Receive(3, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(3, 3));
  kernel().Close(fd);
}

TEST_P(Datagrams, E3_AReceiveOfNothingTakesADatagram) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  std::array<std::byte, 8> memory{};
  Deliver(peer, fd, "abc");
  Deliver(peer, fd, "defg");
  Receive(1, fd, {});
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  Receive(2, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(2, 4));
  kernel().Close(fd);
}

TEST_P(Datagrams, E4_EachGoesIntoABufferOfItsOwn) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  const BufferGroup& buffers = UseBuffers(kGroup, 8, 4);
  Arm(1, fd);
  world().SendDatagram(peer, PortOf(fd), "abc");
  Seen seen = AwaitOne();
  EXPECT_THAT(seen, More(1, 3));
  EXPECT_EQ(buffers.BytesOf(seen), "abc");
  world().SendDatagram(peer, PortOf(fd), "defghi");
  world().SendDatagram(peer, PortOf(fd), "j");
  const std::vector<Seen> two = Await(2);
  ASSERT_THAT(two, ElementsAre(More(1, 4), More(1, 1)));
  EXPECT_EQ(buffers.BytesOf(two[0]), "defg");
  EXPECT_EQ(buffers.BytesOf(two[1]), "j");
  EXPECT_FALSE(two[0].not_empty());
  kernel().Close(fd);
}

TEST_P(Datagrams, R14_AnEmptyDatagramEndsAMultishot) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  const BufferGroup& buffers = UseBuffers(kGroup, 8, 4);
  Arm(1, fd);
  world().SendDatagram(peer, PortOf(fd), "abc");
  world().SendDatagram(peer, PortOf(fd), "");
  const std::vector<Seen> seen = Await(2);
  ASSERT_THAT(seen, ElementsAre(More(1, 3), Final(1, 0)));
  EXPECT_EQ(seen[1].buffer(), std::nullopt);
  // It was no end, and it took no buffer.
  Deliver(peer, fd, "def");
  Arm(2, fd);
  const Seen next = AwaitOne();
  EXPECT_THAT(next, More(2, 3));
  EXPECT_EQ(next.buffer(), 1);
  EXPECT_EQ(buffers.BytesOf(next), "def");
  kernel().Close(fd);
}

TEST_P(Datagrams, R14_TheBufferOfAMessageHasFourParts) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  constexpr unsigned kBytes = 128;
  constexpr unsigned kName = 24;
  constexpr unsigned kControl = 32;
  constexpr unsigned kHeader = sizeof(io_uring_recvmsg_out) + kName + kControl;
  const BufferGroup& buffers = UseBuffers(kGroup, 8, kBytes);
  msghdr header{};
  header.msg_namelen = kName;
  header.msg_controllen = kControl;
  ReceiveMessages(1, fd, header);
  Submit();
  const std::string longer = Pattern(0, kBytes);
  world().SendDatagram(peer, PortOf(fd), "abc");
  world().SendDatagram(peer, PortOf(fd), longer);
  const std::vector<Seen> seen = Await(2);
  ASSERT_THAT(seen, ElementsAre(More(1, kHeader + 3), More(1, kBytes)));
  const auto out_of = [&](const Seen& one) {
    io_uring_recvmsg_out out;
    std::memcpy(&out, buffers.BytesOf(one).data(), sizeof out);
    return out;
  };
  io_uring_recvmsg_out out = out_of(seen[0]);
  EXPECT_EQ(out.namelen, sizeof(sockaddr_in));
  EXPECT_EQ(out.controllen, 0U);
  EXPECT_EQ(out.payloadlen, 3U);
  EXPECT_EQ(out.flags, 0U);
  sockaddr_in name;
  std::memcpy(&name, buffers.BytesOf(seen[0]).data() + sizeof out, sizeof name);
  EXPECT_EQ(name.sin_family, AF_INET);
  EXPECT_EQ(ntohs(name.sin_port), world().DatagramPort(peer));
  EXPECT_EQ(buffers.BytesOf(seen[0]).substr(kHeader), "abc");
  out = out_of(seen[1]);
  EXPECT_EQ(out.payloadlen, kBytes - kHeader);
  EXPECT_EQ(out.flags, static_cast<uint32_t>(MSG_TRUNC));
  EXPECT_EQ(buffers.BytesOf(seen[1]).substr(kHeader), longer.substr(0, kBytes - kHeader));
  kernel().Close(fd);
}

TEST_P(Datagrams, R14_AnEmptyMessageEndsAMultishotAndTakesABuffer) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  const BufferGroup& buffers = UseBuffers(kGroup, 8, 64);
  msghdr header{};
  header.msg_namelen = sizeof(sockaddr_in);
  ReceiveMessages(1, fd, header);
  Submit();
  world().SendDatagram(peer, PortOf(fd), "");
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, sizeof(io_uring_recvmsg_out) + sizeof(sockaddr_in)));
  ASSERT_EQ(seen.buffer(), 0);
  io_uring_recvmsg_out out;
  std::memcpy(&out, buffers.BytesOf(seen).data(), sizeof out);
  EXPECT_EQ(out.payloadlen, 0U);
  EXPECT_EQ(out.namelen, sizeof(sockaddr_in));
  kernel().Close(fd);
}

TEST_P(Datagrams, R14_ABufferMustHoldTheHeader) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  (void)UseBuffers(kGroup, 2, 16);
  msghdr header{};
  header.msg_namelen = 1;
  ReceiveMessages(1, fd, header);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, Final(1, -EFAULT));
  EXPECT_EQ(seen.buffer(), std::nullopt);
  // With nothing but a header every message is an empty one.
  Deliver(peer, fd, "abc");
  header.msg_namelen = 0;
  ReceiveMessages(2, fd, header);
  const Seen cut = AwaitOne();
  EXPECT_THAT(cut, Final(2, 16));
  EXPECT_EQ(cut.buffer(), 0);
  kernel().Close(fd);
}

TEST_P(Datagrams, R14_ALengthOfTheFirstPartCapsAMessage) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  const BufferGroup& buffers = UseBuffers(kGroup, 4, 64);
  msghdr header{};
  iovec part{.iov_base = nullptr, .iov_len = 20};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Deliver(peer, fd, "abcdefgh");
  ReceiveMessages(1, fd, header);
  const Seen seen = AwaitOne();
  EXPECT_THAT(seen, More(1, 20));
  EXPECT_EQ(buffers.BytesOf(seen).substr(sizeof(io_uring_recvmsg_out)), "abcd");
  kernel().Close(fd);
}

TEST_P(Datagrams, R14_WhatAMultishotOfMessagesWillNotDo) {
  const int fd = BoundSocket();
  (void)UseBuffers(kGroup, 2, 64);
  std::array<iovec, 2> parts{};
  msghdr header{};
  ReceiveMessages(1, fd, header);
  LastSqe().flags = 0;  // No group.
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  ReceiveMessages(2, fd, header);
  LastSqe().msg_flags |= MSG_WAITALL;
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
  ReceiveMessages(3, fd, header);
  LastSqe().ioprio |= 1U << 4;  // IORING_RECVSEND_BUNDLE
  EXPECT_THAT(AwaitOne(), Final(3, -EINVAL));
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  ReceiveMessages(4, fd, header);
  EXPECT_THAT(AwaitOne(), Final(4, -EINVAL));
  kernel().Close(fd);
}

TEST_P(Datagrams, E5_TheLastBufferEndsAMultishot) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  (void)UseBuffers(kGroup, 2, 4);
  Arm(1, fd);
  world().SendDatagram(peer, PortOf(fd), "abc");
  EXPECT_THAT(AwaitOne(), More(1, 3));
  world().SendDatagram(peer, PortOf(fd), "def");
  EXPECT_THAT(Await(2), ElementsAre(More(1, 3), Final(1, -ENOBUFS)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E5_WithoutABufferADatagramStays) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  BufferGroup& buffers = UseBuffers(kGroup, 1, 4);
  Deliver(peer, fd, "abc");
  Deliver(peer, fd, "def");
  Arm(1, fd);
  EXPECT_THAT(Await(2), ElementsAre(More(1, 3), Final(1, -ENOBUFS)));
  buffers.Publish(0);
  Arm(2, fd);
  const std::vector<Seen> seen = Await(2);
  ASSERT_THAT(seen, ElementsAre(More(2, 3), Final(2, -ENOBUFS)));
  EXPECT_EQ(buffers.BytesOf(seen[0]), "def");
  kernel().Close(fd);
}

TEST_P(Datagrams, E6_ASendNamesItsReceiver) {
  const int fd = Socket();
  const World::Peer one = world().OpenDatagramPeer();
  const World::Peer other = world().OpenDatagramPeer();
  const sockaddr_in to_one = Loopback(world().DatagramPort(one));
  Message message(0);
  message.memory = "message";
  message.part = {.iov_base = message.memory.data(), .iov_len = message.memory.size()};
  message.name = Loopback(world().DatagramPort(other));
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(fd), message.header, 0, Id(1)));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("plain"), 0, Id(2)));
  // The ABI carries a pointer so.
  LastSqe().addr2 = reinterpret_cast<uint64_t>(&to_one);
  LastSqe().addr_len = sizeof to_one;
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 7), Final(2, 5)));
  const Datagram first = ReadFrom(other);
  EXPECT_EQ(first.bytes, "message");
  EXPECT_EQ(first.from, PortOf(fd));  // The first send chose one.
  EXPECT_NE(first.from, 0);
  EXPECT_EQ(ReadFrom(one).bytes, "plain");
  kernel().Close(fd);
}

TEST_P(Datagrams, E6_WithoutAReceiverNothingIsSent) {
  const int fd = Socket();
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("plain"), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, -EDESTADDRREQ));
  ASSERT_TRUE(
      queue().Write(File::Descriptor(fd), AsBytes("x"), SubmissionQueue::kCurrentOffset, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, -EDESTADDRREQ));
  kernel().Close(fd);
}

TEST_P(Datagrams, E6_AnAddressOfASendMustBeWhole) {
  const int fd = Socket();
  const sockaddr_in to = Loopback(world().DatagramPort(world().OpenDatagramPeer()));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("plain"), 0, Id(1)));
  LastSqe().addr2 = reinterpret_cast<uint64_t>(&to);  // As above.
  LastSqe().addr_len = sizeof to - 1;
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  const sockaddr_in nowhere = Loopback(0);
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("plain"), 0, Id(2)));
  LastSqe().addr2 = reinterpret_cast<uint64_t>(&nowhere);  // As above.
  LastSqe().addr_len = sizeof nowhere;
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
  kernel().Close(fd);
}

TEST_P(Datagrams, E6_ASendIsWholeOrRefused) {
  const World::Peer peer = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  const std::string most = Pattern(0, kDatagramBytesMax);
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes(most), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, kDatagramBytesMax));
  EXPECT_EQ(ReadFrom(peer).bytes, most);
  const std::string more = Pattern(0, kDatagramBytesMax + 1);
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes(more), 0, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, -EMSGSIZE));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), {}, 0, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, 0));
  EXPECT_EQ(ReadFrom(peer).bytes, "");
  kernel().Close(fd);
}

TEST_P(Datagrams, E7_ConnectingIsInlineAndMayBeDoneAgain) {
  const World::Peer one = world().OpenDatagramPeer();
  const World::Peer other = world().OpenDatagramPeer();
  const int fd = Socket();
  for (const World::Peer peer : {one, other}) {
    ConnectTo(1, fd, world().DatagramPort(peer));
    Submit();
    EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
    ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("abc"), 0, Id(2)));
    EXPECT_THAT(AwaitOne(), Final(2, 3));
    EXPECT_EQ(ReadFrom(peer).bytes, "abc");
  }
  kernel().Close(fd);
}

TEST_P(Datagrams, E7_OnlyThePeerIsHeard) {
  const World::Peer peer = world().OpenDatagramPeer();
  const World::Peer stranger = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory);
  Submit();
  world().SendDatagram(stranger, PortOf(fd), "strange");
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "abc");
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  // Others can be sent to.
  const sockaddr_in to = Loopback(world().DatagramPort(stranger));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("hello"), 0, Id(2)));
  LastSqe().addr2 = reinterpret_cast<uint64_t>(&to);  // The ABI carries a pointer so.
  LastSqe().addr_len = sizeof to;
  EXPECT_THAT(AwaitOne(), Final(2, 5));
  EXPECT_EQ(ReadFrom(stranger).bytes, "hello");
  kernel().Close(fd);
}

TEST_P(Datagrams, E8_NobodyThereIsToldToTheNextSend) {
  const int fd = ConnectedSocket(DeadPort());
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 1));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("b"), 0, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, -ECONNREFUSED));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("c"), 0, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, 1));
  // And to a receive, once.
  std::array<std::byte, 8> memory{};
  Receive(4, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(4, -ECONNREFUSED));
  Receive(5, fd, memory);
  Submit();
  ExpectQuiet();
  kernel().Close(fd);
}

TEST_P(Datagrams, E8_NobodyThereEndsAReceiveThatWaits) {
  const int fd = ConnectedSocket(DeadPort());
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory);
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, 1), Final(1, -ECONNREFUSED)));
  (void)UseBuffers(kGroup, 2, 8);
  Arm(3, fd);
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(4)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(4, 1), Final(3, -ECONNREFUSED)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E8_TheErrorComesBeforeWhatWasReceived) {
  const World::Peer peer = world().OpenDatagramPeer();
  const uint16_t port = world().DatagramPort(peer);
  const int fd = ConnectedSocket(port);
  Deliver(peer, fd, "last");
  world().CloseDatagramPeer(peer);
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 1));
  std::array<std::byte, 8> memory{};
  Receive(2, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(2, -ECONNREFUSED));
  Receive(3, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(3, 4));
  kernel().Close(fd);
}

TEST_P(Datagrams, E8_WithoutAConnectionNobodyIsTold) {
  const int fd = Socket();
  const sockaddr_in to = Loopback(DeadPort());
  for (const uint32_t id : {1U, 2U}) {
    ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(id)));
    LastSqe().addr2 = reinterpret_cast<uint64_t>(&to);  // The ABI carries a pointer so.
    LastSqe().addr_len = sizeof to;
    EXPECT_THAT(AwaitOne(), Final(id, 1));
  }
  kernel().Close(fd);
}

TEST_P(Datagrams, E9_WhatFindsNoRoomIsLost) {
  const int fd = BoundSocket();
  ASSERT_TRUE(kernel().SetSocketOption(fd, SOL_SOCKET, SO_RCVBUF, 8 * 1024));
  const World::Peer peer = world().OpenDatagramPeer();
  constexpr size_t kCount = 200;
  constexpr size_t kBytes = 1000;
  for (size_t index = 0; index < kCount; ++index) {
    world().SendDatagram(peer, PortOf(fd), Pattern(index, kBytes));
  }
  ASSERT_TRUE(world().AwaitDatagram(fd));
  std::string memory(kBytes, '-');
  size_t received = 0;
  for (;; ++received) {
    Receive(1, fd, std::as_writable_bytes(std::span(memory)), MSG_DONTWAIT);
    const Seen seen = AwaitOne();
    if (seen.result == -EAGAIN) break;
    ASSERT_THAT(seen, Final(1, kBytes));
    // The oldest stay.
    ASSERT_EQ(memory, Pattern(received, kBytes));
  }
  EXPECT_GT(received, 0U);
  EXPECT_LT(received, kCount);
  // There is room again.
  Deliver(peer, fd, "abc");
  Receive(2, fd, std::as_writable_bytes(std::span(memory)));
  EXPECT_THAT(AwaitOne(), Final(2, 3));
  kernel().Close(fd);
}

TEST_P(Datagrams, E9_TheSenderIsNotTold) {
  const int from = Socket();
  const int fd = BoundSocket();
  ASSERT_TRUE(kernel().SetSocketOption(fd, SOL_SOCKET, SO_RCVBUF, 8 * 1024));
  const uint16_t port = PortOf(fd);
  ConnectTo(1, from, port);
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  const std::string bytes = Pattern(0, 1000);
  for (int index = 0; index < 200; ++index) {
    ASSERT_TRUE(queue().Send(File::Descriptor(from), AsBytes(bytes), MSG_DONTWAIT, Id(2)));
    ASSERT_THAT(AwaitOne(), Final(2, bytes.size()));
  }
  kernel().Close(fd);
  kernel().Close(from);
}

TEST_P(Datagrams, A5_DatagramSocketsDoNotListen) {
  const int fd = BoundSocket();
  ASSERT_TRUE(queue().Accept(File::Descriptor(fd), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, -EOPNOTSUPP));
  Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_rw(kOpListen, sqe, fd, nullptr, 4, 0); });
  EXPECT_THAT(AwaitOne(), Final(2, -EOPNOTSUPP));
  kernel().Close(fd);
}

TEST_P(Datagrams, E10_APollSeesDatagrams) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, fd, POLLOUT); });
  EXPECT_THAT(AwaitOne(), Final(1, POLLOUT));
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLIN, Id(2)));
  Submit();
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "abc");
  EXPECT_THAT(AwaitOne(), More(2, POLLIN));
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "");
  EXPECT_THAT(AwaitOne(), More(2, POLLIN));
  kernel().Close(fd);
}

TEST_P(Datagrams, E10_APollSeesThatNobodyIsThere) {
  const int fd = ConnectedSocket(DeadPort());
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, fd, POLLIN); });
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, 1), Final(1, POLLERR)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E10_ASendWakesPollsForSpace) {
  const World::Peer peer = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLOUT, Id(1)));
  EXPECT_THAT(AwaitOne(), More(1, POLLOUT));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, 1), More(1, POLLOUT)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E10_TheSenderHearsOfSpaceBeforeTheReceiverOfTheDatagram) {
  const int to = BoundSocket();
  const int fd = ConnectedSocket(PortOf(to));
  std::array<std::byte, 8> memory{};
  Receive(1, to, memory);
  ASSERT_TRUE(queue().PollMultishot(File::Descriptor(fd), POLLOUT, Id(2)));
  EXPECT_THAT(AwaitOne(), More(2, POLLOUT));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(3)));
  EXPECT_THAT(Await(3), ElementsAre(Final(3, 1), More(2, POLLOUT), Final(1, 1)));
  kernel().Close(fd);
  kernel().Close(to);
}

TEST_P(Datagrams, C7_ACancelLeavesWhatWasNotReceived) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  (void)UseBuffers(kGroup, 4, 64);
  msghdr header{};
  ReceiveMessages(1, fd, header);
  Submit();
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  const std::vector<Seen> seen = Await(2);
  EXPECT_THAT(seen, testing::UnorderedElementsAre(Final(2, 0), Final(1, -ECANCELED)));
  Deliver(peer, fd, "abc");
  std::array<std::byte, 8> memory{};
  Receive(3, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(3, 3));
  kernel().Close(fd);
}

TEST_P(Datagrams, R16_BadMemoryCostsTheDatagram) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Deliver(peer, fd, "abc");
  Deliver(peer, fd, "defg");
  // Nothing is ever mapped in the first page.
  void* const nowhere = reinterpret_cast<void*>(uintptr_t{8});
  Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_recv(sqe, fd, nowhere, 4, 0); });
  EXPECT_THAT(AwaitOne(), Final(1, -EFAULT));
  std::array<std::byte, 8> memory{};
  Receive(2, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(2, 4));
  kernel().Close(fd);
}

TEST_P(Datagrams, R15_PeekingLeavesTheDatagram) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  Deliver(peer, fd, "abc");
  Message message(2);
  ReceiveMessage(1, fd, message, MSG_PEEK);
  EXPECT_THAT(AwaitOne(), Final(1, 2));
  EXPECT_EQ(message.header.msg_flags, MSG_TRUNC);
  std::array<std::byte, 8> memory{};
  for (const uint32_t id : {2U, 3U}) {
    Receive(id, fd, memory, MSG_PEEK);
    EXPECT_THAT(AwaitOne(), Final(id, 3));
  }
  Receive(4, fd, memory);
  EXPECT_THAT(AwaitOne(), Final(4, 3));
  Receive(5, fd, memory, MSG_PEEK | MSG_DONTWAIT);
  EXPECT_THAT(AwaitOne(), Final(5, -EAGAIN));
  kernel().Close(fd);
}

TEST_P(Datagrams, R15_PeekingAgainAndAgainUsesUpTheBuffers) {
  const int fd = BoundSocket();
  const World::Peer peer = world().OpenDatagramPeer();
  (void)UseBuffers(kGroup, 4, 8);
  Deliver(peer, fd, "abc");
  ASSERT_TRUE(queue().ReceiveMultishot(File::Descriptor(fd), kGroup, Id(1)));
  LastSqe().msg_flags |= MSG_PEEK;
  EXPECT_THAT(Await(5),
              ElementsAre(More(1, 3), More(1, 3), More(1, 3), More(1, 3), Final(1, -ENOBUFS)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E11_AMultishotOutlivesAShutdown) {
  const World::Peer peer = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  (void)UseBuffers(kGroup, 4, 8);
  Arm(1, fd);
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(fd), SHUT_RD, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "abc");
  EXPECT_THAT(AwaitOne(), More(1, 3));
  kernel().Close(fd);
}

TEST_P(Datagrams, E11_AShutdownEndsReceives) {
  const World::Peer peer = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory);
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(fd), SHUT_RDWR, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, 0), Final(1, 0)));
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("a"), 0, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, -EPIPE));
  kernel().Close(fd);
}

TEST_P(Datagrams, E11_AnUnconnectedOneIsShutDownWithAnError) {
  const int fd = BoundSocket();
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory);
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(fd), SHUT_RD, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, -ENOTCONN), Final(1, 0)));
  kernel().Close(fd);
}

TEST_P(Datagrams, E11_AReceiveBehindAShutdownIsTriedInVainFirst) {
  const int fd = BoundSocket();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(fd), SHUT_RD, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, -ENOTCONN));
  std::array<std::byte, 8> memory{};
  Receive(2, fd, memory);
  Submit();
  if (deferred()) {
    EXPECT_THAT(Visible(), testing::IsEmpty());
  }
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  kernel().Close(fd);
}

TEST_P(Datagrams, E12_APortHasOneSocket) {
  const int one = BoundSocket();
  const int other = Socket();
  BindTo(1, other, PortOf(one));
  EXPECT_THAT(AwaitOne(), Final(1, -EADDRINUSE));
  BindTo(2, one, 0);
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
  const uint16_t port = PortOf(one);
  kernel().Close(one);
  BindTo(3, other, port);
  EXPECT_THAT(AwaitOne(), Final(3, 0));
  EXPECT_EQ(PortOf(other), port);
  kernel().Close(other);
}

TEST_P(Datagrams, E13_ReadsAndWritesAreReceivesAndSends) {
  const World::Peer peer = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  ASSERT_TRUE(
      queue().Write(File::Descriptor(fd), AsBytes("abc"), SubmissionQueue::kCurrentOffset, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, 3));
  EXPECT_EQ(ReadFrom(peer).bytes, "abc");
  std::array<std::byte, 2> memory{};
  ASSERT_TRUE(queue().Read(File::Descriptor(fd), memory, SubmissionQueue::kCurrentOffset, Id(2)));
  Submit();
  ExpectQuiet();
  world().SendDatagram(peer, PortOf(fd), "xyz");
  EXPECT_THAT(AwaitOne(), Final(2, 2));
  ASSERT_TRUE(queue().Read(File::Descriptor(fd), memory, 5, Id(3)));
  EXPECT_THAT(AwaitOne(), Final(3, -ESPIPE));
  kernel().Close(fd);
}

TEST_P(Datagrams, E14_SocketsOfTheProgramSendToEachOther) {
  const int one = BoundSocket();
  const int other = ConnectedSocket(PortOf(one));
  Message message(16);
  ReceiveMessage(1, one, message);
  Submit();
  ASSERT_TRUE(queue().Send(File::Descriptor(other), AsBytes("ping"), 0, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(2, 4), Final(1, 4)));
  EXPECT_EQ(ntohs(message.name.sin_port), PortOf(other));
  // Back to where it came from.
  std::array<std::byte, 8> memory{};
  Receive(3, other, memory);
  Submit();
  message.part.iov_len = 4;
  ASSERT_TRUE(queue().SendMessage(File::Descriptor(one), message.header, 0, Id(4)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(4, 4), Final(3, 4)));
  EXPECT_EQ(std::memcmp(memory.data(), "ping", 4), 0);
  kernel().Close(one);
  kernel().Close(other);
}

TEST_P(Datagrams, E15_AZeroCopySendIsNotifiedAtOnce) {
  const World::Peer peer = world().OpenDatagramPeer();
  const int fd = ConnectedSocket(world().DatagramPort(peer));
  for (const size_t bytes : {size_t{100}, size_t{40000}}) {
    const std::string text = Pattern(0, bytes);
    Add(1, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_send_zc(sqe, fd, text.data(), text.size(), 0, 0);
    });
    const std::vector<Seen> seen = Await(2);
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_THAT(seen[0], More(1, bytes));
    EXPECT_THAT(seen[1], Final(1, 0));
    EXPECT_NE(seen[1].flags & IORING_CQE_F_NOTIF, 0U);
    EXPECT_EQ(ReadFrom(peer).bytes, text);
  }
  kernel().Close(fd);
}

TEST_P(Datagrams, X1_ClosingItLeavesWhatIsArmed) {
  const int fd = BoundSocket();
  const uint16_t port = PortOf(fd);
  const World::Peer peer = world().OpenDatagramPeer();
  std::array<std::byte, 8> memory{};
  Receive(1, fd, memory);
  Submit();
  kernel().Close(fd);
  world().SendDatagram(peer, port, "abc");
  EXPECT_THAT(AwaitOne(), Final(1, 3));
}

}  // namespace
}  // namespace orrery::conformance
