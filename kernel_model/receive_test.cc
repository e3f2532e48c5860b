// RECV in its three forms: wrong here, every program tested on the model learns the wrong rules.
#include <gtest/gtest.h>

#include "kernel_model/test_machine.h"

namespace orrery::model {
namespace {

constexpr uint16_t kGroup = 7;

uint32_t Id(uint16_t id) { return kBuffer | uint32_t{id} << IORING_CQE_BUFFER_SHIFT; }

TEST(ReceiveMultishot, GivesOneCqePerBufferAndStaysArmed) {  // Facts M2, M3.
  TestBuffers buffers(kGroup, 4, 4);
  TestMachine machine;
  ASSERT_TRUE(buffers.Register(machine.ring()).has_value());
  buffers.PublishAll();
  const auto [fd, peer] = machine.Connect();
  machine.ReceiveMultishot(1, fd, kGroup);
  EXPECT_EQ(machine.Look(), Cqes{});
  machine.PeerSend(peer, "abcdefgh");
  EXPECT_EQ(machine.Look(), (Cqes{{1, 4, Id(0) | kMore | kNotEmpty}, {1, 4, Id(1) | kMore}}));
  EXPECT_EQ(buffers.Text(0, 4), "abcd");
  EXPECT_EQ(buffers.Text(1, 4), "efgh");
  machine.PeerSend(peer, "ij");
  EXPECT_EQ(machine.Look(), (Cqes{{1, 2, Id(2) | kMore}}));
  machine.DestroyRing();
}

TEST(Machine, FirstLight) {
  TestMachine machine;
  const int listener = machine.Listen();
  machine.AcceptMultishot(1, listener);
  EXPECT_EQ(machine.Look(), Cqes{});
  ASSERT_TRUE(machine.kernel.PeerConnect(*machine.kernel.LocalPort(listener)).has_value());
  const Cqes cqes = machine.Look();
  ASSERT_EQ(cqes.size(), 1U);
  EXPECT_EQ(cqes[0].flags, kMore);
  const int event = *machine.kernel.MakeEventFd();
  machine.PollMultishot(2, event, POLLIN);
  machine.Cancel(3, 1);
  EXPECT_EQ(machine.Look(), (Cqes{{3, 0, 0}, {1, -ECANCELED, 0}}));
  machine.kernel.SignalEventFd(event);
  EXPECT_EQ(machine.Look(), (Cqes{{2, POLLIN, kMore}}));
}

}  // namespace
}  // namespace orrery::model
