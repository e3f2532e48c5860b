// Datagrams and their choices: how they get lost, overtake each other and arrive twice, and what is
// on the way when a socket closes. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "base/loopback.h"
#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr size_t kCapacity = 4096;
// What a receive tries before a worker takes it (APOLL_MAX_RETRY).
constexpr size_t kTries = 128;

class DatagramTest : public ::testing::Test {
 protected:
  DatagramTest() : fd_(Socket()), peer_(machine_.kernel.OpenDatagramPeer()) {
    Address(91, fd_, 56, 0);  // BIND
    EXPECT_EQ(machine_.Look(), (Cqes{{91, 0, 0}}));
    port_ = *machine_.kernel.LocalPort(fd_);
  }

  int Socket() {
    machine_.Add(90, [](io_uring_sqe* sqe) {
      io_uring_prep_socket(sqe, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0);
    });
    const Cqes cqes = machine_.Look();
    return cqes.size() == 1 ? cqes[0].res : -1;
  }
  void Address(uint64_t user_data, int fd, uint8_t opcode, uint16_t port) {
    address_ = Loopback(port);
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_rw(opcode, sqe, fd, &address_, 0, sizeof address_);
    });
  }
  void Receive(uint64_t user_data, int flags = MSG_DONTWAIT) {
    machine_.Add(user_data, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, fd_, memory_, sizeof memory_, flags);
    });
  }
  void PeerSends(std::string_view text) {
    machine_.kernel.PeerSendDatagram(peer_, port_, std::as_bytes(std::span(text)));
  }
  // What a receive that does not wait gives: its result, and the bytes.
  std::string Next() {
    Receive(1);
    const Cqes cqes = machine_.Look();
    if (cqes.size() != 1) return "?";
    if (cqes[0].res < 0) return "nothing";
    return {reinterpret_cast<const char*>(memory_), static_cast<size_t>(cqes[0].res)};
  }

  TestMachine machine_{{.socket_buffer_bytes = kCapacity}};
  sockaddr_in address_{};
  std::byte memory_[64] = {};
  int fd_;
  ModelKernel::PeerId peer_;
  uint16_t port_ = 0;
};

TEST_F(DatagramTest, ArrivesInOrderAndOnce) {  // Fact E1.
  PeerSends("a");
  PeerSends("b");
  EXPECT_EQ(Next(), "a");
  EXPECT_EQ(Next(), "b");
  EXPECT_EQ(Next(), "nothing");
}

TEST_F(DatagramTest, SendsNeverWait) {  // As docs/kernel_divergences.md says.
  Address(2, fd_, IORING_OP_CONNECT, machine_.kernel.DatagramPort(peer_));
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  for (size_t count = 0; count < 2 * kCapacity; ++count) {
    machine_.Send(3, fd_, "x");
    EXPECT_EQ(machine_.Look(), (Cqes{{3, 1, 0}}));
  }
}

TEST_F(DatagramTest, AReceiveAfterAShutdownIsTriedInVainFirst) {  // Fact E11.
  machine_.Add(2, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, fd_, SHUT_RD); });
  (void)machine_.Look();
  Receive(3, 0);
  size_t looks = 0;
  Cqes seen = machine_.Look();
  for (; seen.empty() && looks < 2 * kTries; ++looks) seen = machine_.Look();
  EXPECT_EQ(seen, (Cqes{{3, 0, 0}}));
  EXPECT_GT(looks, kTries / 4);
}

TEST_F(DatagramTest, IsLostByChoice) {
  machine_.choice.Script(Site::kDatagramLost, 2, 0, 1);
  PeerSends("a");
  PeerSends("b");
  EXPECT_EQ(machine_.observer.Faults(Site::kDatagramLost), 1U);
  EXPECT_EQ(Next(), "b");
  EXPECT_EQ(Next(), "nothing");
}

TEST_F(DatagramTest, IsLostWithoutRoom) {  // Fact E9.
  for (int index = 0; index < 20; ++index)
    PeerSends(std::string(1, static_cast<char>('a' + index)));
  std::string received;
  for (std::string next = Next(); next != "nothing"; next = Next()) received += next;
  // Each takes what the kernel adds to it, too; the one that fills the buffer may go beyond.
  EXPECT_EQ(received, "abcdef");
  PeerSends("z");
  EXPECT_EQ(Next(), "z");
}

TEST_F(DatagramTest, TwiceByChoice) {
  machine_.choice.Always(Site::kDatagramTwice, 1);
  PeerSends("a");
  EXPECT_EQ(Next(), "a");
  EXPECT_EQ(Next(), "a");
  EXPECT_EQ(Next(), "nothing");
}

TEST_F(DatagramTest, IsDelayedAndKeepsItsPlace) {
  machine_.choice.Script(Site::kWakeDelay, 2, 0, 3);
  PeerSends("a");
  PeerSends("b");
  EXPECT_EQ(Next(), "nothing");
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(Next(), "a");
  EXPECT_EQ(Next(), "b");
}

TEST_F(DatagramTest, OvertakesByChoice) {
  machine_.choice.Script(Site::kWakeDelay, 2, 0, 3);
  machine_.choice.Always(Site::kDatagramOrder, 1);
  PeerSends("a");
  PeerSends("b");
  machine_.kernel.AdvanceTo(machine_.kernel.MonotonicNow());
  EXPECT_EQ(Next(), "b");
  EXPECT_EQ(Next(), "nothing");
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  EXPECT_EQ(Next(), "a");
}

TEST_F(DatagramTest, ThatFindsTheSocketClosedRefusesItsSender) {  // Fact E8.
  const int sender = Socket();
  Address(1, sender, IORING_OP_CONNECT, port_);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  machine_.choice.Script(Site::kWakeDelay, 2, 0, 3);
  const auto send = [&](uint64_t user_data) {
    machine_.Add(user_data,
                 [&](io_uring_sqe* sqe) { io_uring_prep_send(sqe, sender, memory_, 4, 0); });
  };
  send(2);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 4, 0}}));
  machine_.kernel.Close(fd_);
  send(3);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 4, 0}}));
  machine_.kernel.AdvanceTo(machine_.kernel.NextEventAt());
  send(4);
  EXPECT_EQ(machine_.Look(), (Cqes{{4, -ECONNREFUSED, 0}}));
}

TEST_F(DatagramTest, OfAStrangerIsNotHeard) {  // Fact E7.
  Address(1, fd_, IORING_OP_CONNECT, machine_.kernel.DatagramPort(peer_));
  EXPECT_EQ(machine_.Look(), (Cqes{{1, 0, 0}}));
  const ModelKernel::PeerId stranger = machine_.kernel.OpenDatagramPeer();
  machine_.kernel.PeerSendDatagram(stranger, port_, {});
  EXPECT_EQ(Next(), "nothing");
  PeerSends("a");
  EXPECT_EQ(Next(), "a");
}

}  // namespace
}  // namespace orrery::model
