// SOCKET, BIND, LISTEN, CONNECT, and connections between two sockets of the program. Each test
// names the facts that it holds the model to.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "base/loopback.h"
#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr size_t kCapacity = 8;

class SocketTest : public ::testing::Test {
 protected:
  int Socket() {
    machine_.Add(90, [](io_uring_sqe* sqe) {
      io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
    });
    const Cqes cqes = machine_.Look();
    return cqes.size() == 1 ? cqes[0].res : -1;
  }
  void Address(uint64_t user_data, int fd, uint8_t opcode, uint16_t port,
               size_t bytes = sizeof(sockaddr_in)) {
    address_ = Loopback(port);
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_rw(opcode, sqe, fd, &address_, 0, bytes);
    });
  }
  void Connect(uint64_t user_data, int fd, uint16_t port) {
    Address(user_data, fd, IORING_OP_CONNECT, port);
  }
  void Bind(uint64_t user_data, int fd, uint16_t port) { Address(user_data, fd, 56, port); }
  void ListenOn(uint64_t user_data, int fd, unsigned backlog) {
    machine_.Add(user_data,
                 [&](io_uring_sqe* sqe) { io_uring_prep_rw(57, sqe, fd, nullptr, backlog, 0); });
  }
  // Both ends of a new connection: {connected, accepted}.
  std::pair<int, int> Pair() {
    const int listener = machine_.Listen();
    const int near = Socket();
    Connect(91, near, *machine_.kernel.LocalPort(listener));
    EXPECT_EQ(machine_.Look(), (Cqes{{91, 0, 0}}));
    machine_.Accept(92, listener);
    const Cqes cqes = machine_.Look();
    machine_.kernel.Close(listener);
    return {near, cqes.at(0).res};
  }
  std::string Text(size_t bytes) const { return {reinterpret_cast<const char*>(memory_), bytes}; }

  TestMachine machine_{{.socket_buffer_bytes = kCapacity}};
  sockaddr_in address_{};
  std::byte memory_[64] = {};
};

TEST_F(SocketTest, BindsAndListens) {  // Fact A14.
  const int fd = Socket();
  Bind(1, fd, 0);
  ListenOn(2, fd, 4);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}, {2, 0, 0}}));
  const uint16_t port = *machine_.kernel.LocalPort(fd);
  EXPECT_NE(port, 0);
  EXPECT_TRUE(machine_.kernel.PeerConnect(port).has_value());
  const int other = Socket();
  Bind(3, other, port);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EADDRINUSE, 0}}));
  Bind(4, fd, 0);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -EINVAL, 0}}));
}

TEST_F(SocketTest, ConnectsByTaskWork) {  // Fact A12.
  const int listener = machine_.Listen();
  const uint16_t port = *machine_.kernel.LocalPort(listener);
  const int fd = Socket();
  Connect(1, fd, port);
  machine_.Nop(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, 0, 0}}));
  Connect(3, fd, port);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EISCONN, 0}}));
}

TEST_F(SocketTest, IsRefusedAndMayTryAgain) {  // Fact A12.
  const int fd = Socket();
  Connect(1, fd, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECONNREFUSED, 0}}));
  Connect(2, fd, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECONNREFUSED, 0}}));
  Connect(3, fd, *machine_.kernel.LocalPort(machine_.Listen()));
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}}));
}

TEST_F(SocketTest, AnAddressMustBeWhole) {  // Fact A12.
  const int fd = Socket();
  Address(1, fd, IORING_OP_CONNECT, 1, sizeof(sockaddr_in) - 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}}));
}

TEST_F(SocketTest, ACancelledConnectGoesOnByItself) {  // Fact A13.
  const int listener = machine_.Listen();
  const uint16_t port = *machine_.kernel.LocalPort(listener);
  const int fd = Socket();
  machine_.choice.Always(Site::kWakeDelay, 2);
  Connect(1, fd, port);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.Cancel(2, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}, {1, -ECANCELED, 0}}));
  Connect(3, fd, port);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -EALREADY, 0}}));
  machine_.Close(4, fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, 0}}));
}

TEST_F(SocketTest, AListenerThatGoesAwayRefuses) {
  const int listener = machine_.Listen();
  const int fd = Socket();
  machine_.choice.Always(Site::kWakeDelay, 2);
  Connect(1, fd, *machine_.kernel.LocalPort(listener));
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.Close(listener);
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ECONNREFUSED, 0}}));
}

TEST_F(SocketTest, BytesGoBothWays) {
  const auto [near, far] = Pair();
  machine_.Send(1, near, "abc");
  machine_.Receive(2, far, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}, {2, 3, 0}}));
  EXPECT_EQ(Text(3), "abc");
  machine_.Send(3, far, "xy");
  machine_.Receive(4, near, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 2, 0}, {4, 2, 0}}));
  EXPECT_EQ(Text(2), "xy");
}

TEST_F(SocketTest, ASenderWaitsForItsReceiver) {  // Fact T2.
  const auto [near, far] = Pair();
  const std::string text = "0123456789abcdefghijklmnopqrstuvwxyz";
  machine_.Send(1, near, text, MSG_WAITALL);
  EXPECT_EQ(machine_.Look(), Cqes{});
  std::string received;
  bool sent = false;
  for (int round = 0; round < 50 && received.size() < text.size(); ++round) {
    machine_.Receive(2, far, memory_);
    for (const Cqe& cqe : machine_.Look()) {
      if (cqe.user_data == 2) received += Text(static_cast<size_t>(cqe.res));
      if (cqe.user_data == 1) sent = cqe.res == static_cast<int>(text.size());
    }
  }
  EXPECT_EQ(received, text);
  EXPECT_TRUE(sent);
}

TEST_F(SocketTest, AShutdownAndACloseAreTheEnd) {  // Facts R8, X1.
  const auto [near, far] = Pair();
  machine_.Send(1, near, "abc");
  machine_.Add(2, [&, fd = near](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, fd, SHUT_WR); });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}, {2, 0, 0}}));
  machine_.Receive(3, far, memory_);
  machine_.Receive(4, far, memory_);
  machine_.Close(5, far);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 3, kNotEmpty}, {4, 0, kNotEmpty}, {5, 0, 0}}));
  machine_.Receive(6, near, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{6, 0, kNotEmpty}}));
  machine_.Close(7, near);
  EXPECT_EQ(machine_.Look(), (Cqes{{7, 0, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
}

TEST_F(SocketTest, UnreadBytesAtACloseResetTheOther) {  // Facts X4, R7.
  const auto [near, far] = Pair();
  machine_.Send(1, near, "abc");
  machine_.Close(2, far);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 3, 0}, {2, 0, 0}}));
  machine_.Receive(3, near, memory_);
  machine_.Receive(4, near, memory_);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, -ECONNRESET, 0}, {4, 0, 0}}));
}

TEST_F(SocketTest, SendingToOneThatIsClosedResets) {  // Fact T7.
  const auto [near, far] = Pair();
  machine_.Close(1, far);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  machine_.Send(2, near, "a");
  machine_.Send(3, near, "b");
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 1, 0}, {3, -EPIPE, 0}}));
  machine_.Close(4, near);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, 0, 0}}));
  Pair();  // What both have left is cleared away.
}

TEST_F(SocketTest, WithoutAConnectionNothingGoes) {  // Facts A5, R8, T7.
  const int fd = Socket();
  machine_.Send(1, fd, "a");
  machine_.Receive(2, fd, memory_);
  machine_.Accept(3, fd);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EPIPE, 0}, {2, -ENOTCONN, 0}, {3, -EINVAL, 0}}));
}

TEST_F(SocketTest, ASocketMayBeMadeInASlot) {  // Fact A9.
  machine_.Add(1, [](io_uring_sqe* sqe) {
    io_uring_prep_socket_direct(sqe, AF_INET, SOCK_STREAM, 0, 1, 0);
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -ENXIO, 0}}));
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
}

// Facts A15, A16. Without other choices they get connections in turn.
TEST_F(SocketTest, ListenersShareAPort) {
  const std::vector<int> listeners = machine_.kernel.ListenShared({}, 3).value();
  const uint16_t port = *machine_.kernel.LocalPort(listeners.front());
  for (const int listener : listeners) EXPECT_EQ(machine_.kernel.LocalPort(listener), port);
  EXPECT_EQ(machine_.kernel.Listen({.port = port}).error(), Errno(EADDRINUSE));
  for (int peer = 0; peer < 6; ++peer) ASSERT_TRUE(machine_.kernel.PeerConnect(port));
  for (size_t number = 0; number < listeners.size(); ++number) {
    for (uint64_t accept = 1; accept <= 3; ++accept) {
      machine_.Accept(10 * number + accept, listeners[number]);
    }
    EXPECT_EQ(machine_.Look().size(), 2U);
  }
  for (const int listener : listeners) machine_.kernel.Close(listener);
}

// Without room for all descriptors nothing stays open.
TEST_F(SocketTest, ListenersThatShareAPortAreMadeTogether) {
  const size_t before = machine_.kernel.open_descriptors();
  EXPECT_EQ(machine_.kernel.ListenShared({.port = 7000}, 2000).error(), Errno(EMFILE));
  EXPECT_EQ(machine_.kernel.open_descriptors(), before);
  const auto listener = machine_.kernel.Listen({.port = 7000});
  ASSERT_TRUE(listener);
  machine_.kernel.Close(*listener);
}

TEST_F(SocketTest, ASocketFileOutlivesItsListener) {  // unix(7)
  model::ModelKernel& kernel = machine_.kernel;
  EXPECT_EQ(kernel.PeerConnectUnix("/s").error(), Errno(ENOENT));
  const int first = kernel.ListenUnix({.path = "/s"}).value();
  EXPECT_EQ(kernel.ListenUnix({.path = "/s"}).error(), Errno(EADDRINUSE));
  EXPECT_TRUE(kernel.PeerConnectUnix("/s"));
  kernel.Close(first);
  EXPECT_EQ(kernel.PeerConnectUnix("/s").error(), Errno(ECONNREFUSED));
  const int second = kernel.ListenUnix({.path = "/s"}).value();
  EXPECT_TRUE(kernel.PeerConnectUnix("/s"));
  kernel.RemoveSocketFile("/s");
  EXPECT_EQ(kernel.PeerConnectUnix("/s").error(), Errno(ENOENT));
  kernel.Close(second);
}

}  // namespace
}  // namespace orrery::model
