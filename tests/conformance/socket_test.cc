// Sockets made, bound and connected by the ring.
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>

#include "base/loopback.h"
#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

constexpr uint8_t kOpBind = 56;    // IORING_OP_BIND
constexpr uint8_t kOpListen = 57;  // IORING_OP_LISTEN

class Sockets : public Conformance {
 protected:
  int Socket() {
    Add(800, [](io_uring_sqe* sqe) {
      ::io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
    });
    const Seen seen = AwaitOne();
    EXPECT_GE(seen.result, 0);
    return seen.result;
  }
  void AddressOperation(uint32_t id, uint8_t opcode, int fd, uint16_t port,
                        size_t bytes = sizeof(sockaddr_in)) {
    address_ = Loopback(port);
    Add(id, [&](io_uring_sqe* sqe) { ::io_uring_prep_rw(opcode, sqe, fd, &address_, 0, bytes); });
  }
  void ConnectTo(uint32_t id, int fd, uint16_t port, size_t bytes = sizeof(sockaddr_in)) {
    AddressOperation(id, IORING_OP_CONNECT, fd, port, bytes);
  }
  void ListenOn(uint32_t id, int fd, unsigned backlog) {
    Add(id,
        [&](io_uring_sqe* sqe) { ::io_uring_prep_rw(kOpListen, sqe, fd, nullptr, backlog, 0); });
  }
  // A port that nobody listens on.
  uint16_t DeadPort() {
    const int fd = Socket();
    AddressOperation(801, kOpBind, fd, 0);
    EXPECT_THAT(AwaitOne(), Final(801, 0));
    const uint16_t port = kernel().LocalPort(fd).value();
    kernel().Close(fd);
    return port;
  }

  sockaddr_in address_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Sockets, AllWorlds(), WorldName);

TEST_P(Sockets, A12_ConnectsByTaskWork) {
  const int fd = Socket();
  ConnectTo(1, fd, port());
  ASSERT_TRUE(queue().Nop(Id(2)));
  EXPECT_THAT(Await(2), ElementsAre(Final(2, 0), Final(1, 0)));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(3)));
  const int other = AwaitOne().result;
  ASSERT_GE(other, 0);
  // Both ends are ours.
  std::array<std::byte, 8> memory{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(other), memory, 0, Id(4)));
  Submit();
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("abc"), 0, Id(5)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(4, 3), Final(5, 3)));
  ASSERT_TRUE(queue().Close(File::Descriptor(other), Id(6)));
  EXPECT_THAT(AwaitOne(), Final(6, 0));
  ASSERT_TRUE(queue().Receive(File::Descriptor(fd), memory, 0, Id(7)));
  EXPECT_THAT(AwaitOne(), Final(7, 0));
  ConnectTo(8, fd, port());
  EXPECT_THAT(AwaitOne(), Final(8, -EISCONN));
  kernel().Close(fd);
}

TEST_P(Sockets, R4_AMarkThatWasSetBeforeTheConnectionHolds) {
  const int fd = Socket();
  ASSERT_TRUE(kernel().SetSocketOption(fd, SOL_SOCKET, SO_RCVLOWAT, 8));
  ConnectTo(1, fd, port());
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(2)));
  const int other = AwaitOne().result;
  ASSERT_GE(other, 0);
  std::array<std::byte, 16> memory{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(fd), memory, 0, Id(3)));
  ASSERT_TRUE(queue().Send(File::Descriptor(other), AsBytes("abc"), 0, Id(4)));
  EXPECT_THAT(AwaitOne(), Final(4, 3));
  ExpectQuiet();
  ASSERT_TRUE(queue().Send(File::Descriptor(other), AsBytes("defgh"), 0, Id(5)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(3, 8), Final(5, 5)));
  kernel().Close(other);
  kernel().Close(fd);
}

TEST_P(Sockets, A12_IsRefusedAndMayTryAgain) {
  const uint16_t dead = DeadPort();
  const int fd = Socket();
  for (const uint32_t id : {1U, 2U}) {
    ConnectTo(id, fd, dead);
    EXPECT_THAT(AwaitOne(), Final(id, -ECONNREFUSED));
  }
  ConnectTo(3, fd, port());
  EXPECT_THAT(AwaitOne(), Final(3, 0));
  kernel().Close(fd);
}

TEST_P(Sockets, A12_AnAddressMustBeWhole) {
  const int fd = Socket();
  ConnectTo(1, fd, port(), sizeof(sockaddr_in) - 1);
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  kernel().Close(fd);
}

TEST_P(Sockets, A14_MakingBindingAndListeningAreInline) {
  Add(1, [](io_uring_sqe* sqe) {
    ::io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
  });
  Submit();
  const std::vector<Seen> made = Visible();
  ASSERT_EQ(made.size(), 1U);
  const int fd = made[0].result;
  ASSERT_GE(fd, 0);
  AddressOperation(2, kOpBind, fd, 0);
  ListenOn(3, fd, 4);
  Submit();
  EXPECT_THAT(Visible(), ElementsAre(Final(2, 0), Final(3, 0)));
  const auto peer = world().Connect(kernel().LocalPort(fd).value());
  ASSERT_TRUE(peer.has_value());
  ASSERT_TRUE(queue().Accept(File::Descriptor(fd), SOCK_CLOEXEC, Id(4)));
  const Seen accepted = AwaitOne();
  EXPECT_GE(accepted.result, 0);
  kernel().Close(accepted.result);
  AddressOperation(5, kOpBind, fd, 0);
  EXPECT_THAT(AwaitOne(), Final(5, -EINVAL));
  const int other = Socket();
  AddressOperation(6, kOpBind, other, kernel().LocalPort(fd).value());
  EXPECT_THAT(AwaitOne(), Final(6, -EADDRINUSE));
  kernel().Close(other);
  kernel().Close(fd);
}

TEST_P(Sockets, A11_ABacklogTakesOneMoreThanItSays) {
  const int full = Socket();
  AddressOperation(1, kOpBind, full, 0);
  ListenOn(2, full, 1);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, 0)));
  std::array<int, 3> sockets{};
  for (int& fd : sockets) fd = Socket();
  for (uint32_t index = 0; index < sockets.size(); ++index) {
    ConnectTo(10 + index, sockets[index], kernel().LocalPort(full).value());
    Submit();
  }
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(10, 0), Final(11, 0)));
  ExpectQuiet();
  // Once there is room the next attempt, which takes a second, gets in.
  ASSERT_TRUE(queue().Accept(File::Descriptor(full), 0, Id(20)));
  const Seen accepted = AwaitOne();
  EXPECT_EQ(accepted.id, 20U);
  EXPECT_THAT(AwaitOne(), Final(12, 0));
  for (const int fd : sockets) kernel().Close(fd);
  kernel().Close(accepted.result);
  kernel().Close(full);
}

TEST_P(Sockets, A13_ACancelledConnectGoesOn) {
  const int full = Socket();
  AddressOperation(1, kOpBind, full, 0);
  ListenOn(2, full, 0);
  EXPECT_THAT(Await(2), ElementsAre(Final(1, 0), Final(2, 0)));
  const uint16_t its_port = kernel().LocalPort(full).value();
  const int first = Socket();
  ConnectTo(3, first, its_port);
  EXPECT_THAT(AwaitOne(), Final(3, 0));
  const int fd = Socket();
  ConnectTo(4, fd, its_port);
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(queue().Cancel(Id(4), Id(5)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(5, 0), Final(4, -ECANCELED)));
  ConnectTo(6, fd, its_port);
  EXPECT_THAT(AwaitOne(), Final(6, -EALREADY));
  kernel().Close(fd);
  kernel().Close(first);
  kernel().Close(full);
}

TEST_P(Sockets, R8_WithoutAConnectionNothingCanBeReceived) {
  const int fd = Socket();
  std::array<std::byte, 8> memory{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(fd), memory, 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, -ENOTCONN));
  kernel().Close(fd);
}

TEST_P(Sockets, T7_WithoutAConnectionNothingCanBeSent) {
  const int fd = Socket();
  ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("x"), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, -EPIPE));
  kernel().Close(fd);
}

TEST_P(Sockets, A5_AnUnboundSocketAcceptsNothing) {
  const int fd = Socket();
  ASSERT_TRUE(queue().Accept(File::Descriptor(fd), 0, Id(1)));
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  kernel().Close(fd);
}

}  // namespace
}  // namespace orrery::conformance
