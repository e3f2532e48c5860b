// ACCEPT, and what listeners and peers do. Each test names the facts that it holds the model to.
#include <gtest/gtest.h>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

class AcceptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    listener_ = machine_.Listen();
    port_ = *machine_.kernel.LocalPort(listener_);
  }
  ModelKernel::PeerId Connect() {
    const auto peer = machine_.kernel.PeerConnect(port_);
    EXPECT_TRUE(peer.has_value());
    return peer.value_or(0);
  }

  TestMachine machine_;
  int listener_ = -1;
  uint16_t port_ = 0;
};

TEST_F(AcceptTest, SingleTakesOneAndHintsAtMore) {  // Fact A1.
  Connect();
  Connect();
  machine_.Accept(1, listener_);
  machine_.Accept(2, listener_);
  const Cqes cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 2U);
  EXPECT_EQ(cqes[0].flags, kNotEmpty);
  EXPECT_EQ(cqes[1].flags, 0U);
  EXPECT_EQ(cqes[1].res, cqes[0].res + 1);  // The lowest free descriptors.
}

TEST_F(AcceptTest, BadArguments) {  // Fact A1.
  machine_.Add(
      1, [&](io_uring_sqe* sqe) { io_uring_prep_accept(sqe, listener_, nullptr, nullptr, 1); });
  machine_.Add(2, [&](io_uring_sqe* sqe) {
    io_uring_prep_accept(sqe, listener_, nullptr, nullptr, 0);
    sqe->len = 1;
  });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {2, -EINVAL, 0}}));
}

TEST_F(AcceptTest, ArmedAcceptsAreServedInTurn) {  // Fact A2.
  machine_.Accept(1, listener_);
  machine_.Accept(2, listener_);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Connect();
  Cqes cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 1U);
  EXPECT_EQ(cqes[0].user_data, 1U);
  Connect();
  cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 1U);
  EXPECT_EQ(cqes[0].user_data, 2U);
}

TEST_F(AcceptTest, TheFirstMultishotTakesEverything) {  // Fact A2.
  machine_.AcceptMultishot(1, listener_);
  machine_.AcceptMultishot(2, listener_);
  EXPECT_EQ(machine_.Look(), Cqes{});
  for (int round = 0; round < 3; ++round) {
    Connect();
    const Cqes cqes = machine_.Look();
    ASSERT_EQ(cqes.size(), 1U);
    EXPECT_EQ(cqes[0].user_data, 1U);
  }
}

TEST_F(AcceptTest, ANewAcceptOvertakesAnArmedOne) {  // Fact A2.
  machine_.Accept(1, listener_);
  EXPECT_EQ(machine_.Look(), Cqes{});
  Connect();
  machine_.Accept(2, listener_);
  const Cqes cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 1U);
  EXPECT_EQ(cqes[0].user_data, 2U);
}

TEST_F(AcceptTest, MultishotDrainsWithoutACap) {  // Fact A3.
  const int listener = machine_.Listen(100);
  for (int count = 0; count < 60; ++count) {
    ASSERT_TRUE(machine_.kernel.PeerConnect(*machine_.kernel.LocalPort(listener)).has_value());
  }
  machine_.AcceptMultishot(1, listener);
  const Cqes cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 60U);
  EXPECT_EQ(cqes[0].flags, kMore | kNotEmpty);
  EXPECT_EQ(cqes[58].flags, kMore | kNotEmpty);
  EXPECT_EQ(cqes[59].flags, kMore);
}

TEST_F(AcceptTest, WrongFilesAreRefused) {  // Fact A5.
  const auto stream = machine_.Connect();
  const int event = *machine_.kernel.MakeEventFd();
  machine_.Accept(1, stream.fd);
  machine_.AcceptMultishot(2, event);
  machine_.Accept(3, 999);
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {2, -ENOTSOCK, 0}, {3, -EBADF, 0}}));
}

TEST_F(AcceptTest, ClosingTheListenerChangesNothing) {  // Facts A6, X1.
  machine_.AcceptMultishot(1, listener_);
  machine_.Close(2, listener_);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 0, 0}}));
  Connect();
  EXPECT_EQ(machine_.Look().size(), 1U);
  machine_.Cancel(3, 1);
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}, {1, -ECANCELED, 0}}));
  EXPECT_EQ(machine_.kernel.PeerConnect(port_).error(), ECONNREFUSED);
}

TEST_F(AcceptTest, ShutdownOfReadingEndsAcceptsAndRefuses) {  // Fact A6.
  machine_.Accept(1, listener_);
  machine_.AcceptMultishot(2, listener_);
  machine_.Add(3, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, listener_, SHUT_WR); });
  EXPECT_EQ(machine_.Look(), (Cqes{{3, 0, 0}}));
  machine_.Add(4, [&](io_uring_sqe* sqe) { io_uring_prep_shutdown(sqe, listener_, SHUT_RDWR); });
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EINVAL, 0}, {2, -EINVAL, 0}, {4, 0, 0}}));
  EXPECT_EQ(machine_.kernel.PeerConnect(port_).error(), ECONNREFUSED);
}

TEST_F(AcceptTest, ClosingAListenerResetsItsBacklog) {
  const auto peer = Connect();
  machine_.kernel.Close(listener_);
  EXPECT_TRUE(machine_.kernel.PeerReceive(peer, {}).reset);
  EXPECT_EQ(machine_.kernel.open_files(), 0U);
}

TEST_F(AcceptTest, AFullTableEndsAMultishotAndLosesNothing) {  // Fact A7.
  TestMachine machine({.descriptors_max = 6});  // 0 to 2, the ring, the listener, and one more.
  const int listener = machine.Listen();
  const uint16_t port = *machine.kernel.LocalPort(listener);
  machine.AcceptMultishot(1, listener);
  ASSERT_TRUE(machine.kernel.PeerConnect(port).has_value());
  ASSERT_TRUE(machine.kernel.PeerConnect(port).has_value());
  const Cqes cqes = machine.Look();
  ASSERT_EQ(cqes.size(), 2U);
  EXPECT_EQ(cqes[1], (Cqe{1, -EMFILE, 0}));
  // Even without a connection: the descriptor is reserved first.
  machine.Accept(2, listener);
  EXPECT_EQ(machine.Look(), (Cqes{{2, -EMFILE, 0}}));
  machine.kernel.Close(cqes[0].res);
  machine.Accept(3, listener);
  EXPECT_EQ(machine.Look(), (Cqes{{3, cqes[0].res, 0}}));
}

TEST_F(AcceptTest, AnAcceptMayMeetTheLimit) {  // Fact A7.
  machine_.AcceptMultishot(1, listener_);
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.choice.Always(Site::kAcceptFails, 1);
  Connect();
  EXPECT_EQ(machine_.Look(), (Cqes{{1, -EMFILE, 0}}));
  machine_.choice.Never(Site::kAcceptFails);
  machine_.AcceptMultishot(2, listener_);
  EXPECT_EQ(machine_.Look().size(), 1U);
  EXPECT_EQ(machine_.observer.Faults(Site::kAcceptFails), 1U);
}

TEST_F(AcceptTest, AResetConnectionIsStillAccepted) {  // Fact A8.
  const auto peer = Connect();
  machine_.kernel.PeerReset(peer);
  machine_.Accept(1, listener_);
  const Cqes cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 1U);
  ASSERT_GE(cqes[0].res, 0);
  std::byte memory[4];
  machine_.Receive(2, cqes[0].res, memory);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, -ECONNRESET, 0}}));
}

TEST_F(AcceptTest, TheBacklogHoldsOneMore) {  // Fact A11.
  const int listener = machine_.Listen(2);
  const uint16_t port = *machine_.kernel.LocalPort(listener);
  for (int count = 0; count < 3; ++count) {
    EXPECT_TRUE(machine_.kernel.PeerConnect(port).has_value());
  }
  EXPECT_EQ(machine_.kernel.PeerConnect(port).error(), EAGAIN);
}

TEST_F(AcceptTest, WhatAPeerSendsBeforeTheAcceptIsKept) {
  const auto peer = Connect();
  EXPECT_EQ(machine_.PeerSend(peer, "early"), 5U);
  machine_.kernel.PeerShutdownWrite(peer);
  machine_.Accept(1, listener_);
  const Cqes cqes = machine_.Look();
  ASSERT_EQ(cqes.size(), 1U);
  std::byte memory[8];
  machine_.Receive(2, cqes[0].res, memory);
  EXPECT_EQ(machine_.Look(), (Cqes{{2, 5, kNotEmpty}}));
}

TEST_F(AcceptTest, AConnectionMayArriveLate) {
  machine_.choice.Always(Site::kWakeDelay, 3);
  machine_.AcceptMultishot(1, listener_);
  const auto peer = Connect();
  machine_.choice.Never(Site::kWakeDelay);
  EXPECT_EQ(machine_.PeerSend(peer, "x"), 1U);  // Does not overtake the handshake.
  EXPECT_EQ(machine_.Look(), Cqes{});
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_EQ(machine_.Look().size(), 1U);
}

TEST_F(AcceptTest, AConnectionThatArrivesAfterItsListenerIsReset) {
  machine_.choice.Always(Site::kWakeDelay, 3);
  const auto peer = Connect();
  machine_.kernel.Close(listener_);
  machine_.kernel.AdvanceTo(kMillisecond);
  EXPECT_TRUE(machine_.kernel.PeerReceive(peer, {}).reset);
}

TEST_F(AcceptTest, APortIsTakenForEveryAddress) {  // As docs/kernel_divergences.md says.
  EXPECT_EQ(machine_.kernel.Listen({.address = "127.0.0.2", .port = port_}).error(), EADDRINUSE);
}

TEST_F(AcceptTest, PortsAreTakenAndFreed) {
  EXPECT_EQ(machine_.kernel.Listen({.address = "127.0.0.1", .port = port_}).error(), EADDRINUSE);
  machine_.kernel.Close(listener_);
  EXPECT_TRUE(machine_.kernel.Listen({.address = "::1", .port = port_}).has_value());
  EXPECT_EQ(machine_.kernel.Listen({.address = "localhost"}).error(), EINVAL);
}

}  // namespace
}  // namespace orrery::model
