// Connections in the ring's fixed-file table, through the whole reactor, on Linux and on the fake
// kernel: slots come back, and who finds the table full is served on a descriptor.
#include <cerrno>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/reactor_fixture.h"

namespace orrery {
namespace {

class FixedFilesTest : public ReactorTest {
 protected:
  static Options Slots(unsigned slots) {
    Options options;
    options.reactor.fixed_files = slots;
    return options;
  }
};

class FixedFilesExactTest : public FixedFilesTest {};

TEST_P(FixedFilesTest, SlotsComeBack) {
  SetUpWorld(Slots(4));
  for (int round = 0; round < 10; ++round) {
    const Peer peer = Connect();
    const std::string text = Pattern(20'000, static_cast<size_t>(round));
    EXPECT_TRUE(Exchange(peer, text, text.size()) == text);
    EXPECT_EQ(connection(static_cast<size_t>(round)).descriptor(), -1);
    world_->Close(peer);
    EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
  }
}

TEST_P(FixedFilesTest, HalfClosedResetAndAborted) {
  SetUpWorld(Slots(16));
  const std::vector<Peer> peers = ConnectAll(3);
  EXPECT_EQ(Exchange(peers[0], "hello", 5), "hello");
  world_->ShutdownWrite(peers[0]);
  EXPECT_TRUE(ReadToTheEnd(peers[0]).end);
  world_->Reset(peers[1]);
  InTurn([this] { reactor_->Abort(connection(2)); });
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(FixedFilesExactTest, WhoFindsTheTableFullHasADescriptor) {
  SetUpWorld(Slots(2));
  const std::vector<Peer> peers = ConnectAll(3);
  EXPECT_EQ(connection(0).descriptor(), -1);
  EXPECT_EQ(connection(1).descriptor(), -1);
  EXPECT_GE(connection(2).descriptor(), 0);
  for (const Peer peer : peers) EXPECT_EQ(Exchange(peer, "hello", 5), "hello");
  world_->Close(peers[1]);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 2; }));
  // The accept that waits for the next one began while the table was full.
  const std::vector<Peer> later = ConnectAll(2);
  EXPECT_GE(connection(3).descriptor(), 0);
  EXPECT_EQ(connection(4).descriptor(), -1);
  for (const Peer peer : later) EXPECT_EQ(Exchange(peer, "hello", 5), "hello");
  EXPECT_EQ(reactor_->counters().accepted_beside_table, 2U);
  EXPECT_EQ(reactor_->counters().accept_failures, 0U);
}

TEST_P(FixedFilesTest, NobodyOfACrowdIsLost) {
  SetUpWorld(Slots(3));
  std::vector<Peer> peers;
  for (int count = 0; count < 12; ++count) peers.push_back(Connect());
  for (const Peer peer : peers) EXPECT_EQ(Exchange(peer, "hello", 5), "hello");
  EXPECT_EQ(reactor_->connections(), 12U);
  EXPECT_GE(reactor_->counters().accepted_beside_table, 9U);
}

TEST_P(FixedFilesExactTest, AListenerThatWaitsHoldsASlot) {
  SetUpWorld(Slots(1));
  const auto other = world_->kernel().Listen({});
  ASSERT_TRUE(other.has_value());
  world_->Prepare(*other);
  const uint16_t port = world_->kernel().LocalPort(*other).value();
  reactor_->Listen(*other);
  const Peer peer = world_->Connect(port);
  EXPECT_EQ(Exchange(peer, "hello", 5), "hello");
  EXPECT_GE(connection(0).descriptor(), 0);
  EXPECT_EQ(Exchange(Connect(), "hello", 5), "hello");
  EXPECT_EQ(connection(1).descriptor(), -1);
}

TEST_P(FixedFilesExactTest, AboveTheLimitOfConnectionsTheirSlotsComeBack) {
  Options options = Slots(3);
  options.reactor.connections_max = 1;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  for (int count = 0; count < 5; ++count) (void)ReadToTheEnd(Connect());
  EXPECT_EQ(reactor_->counters().connections_refused, 5U);
  EXPECT_EQ(reactor_->counters().accept_failures, 0U);
  EXPECT_EQ(Exchange(peers[0], "hello", 5), "hello");
}

TEST_P(FixedFilesExactTest, ATableThatIsTooLargeIsAnError) {
  world_ = GetParam().make({});
  ring_ = world_->kernel().MakeRing({}).value();
  ReactorOptions options;
  options.fixed_files = 1U << 31;
  const auto reactor = Reactor::Create(*ring_, world_->kernel(), echo_, options);
  ASSERT_FALSE(reactor.has_value());
  EXPECT_EQ(reactor.error(), EMFILE);
}

INSTANTIATE_TEST_SUITE_P(Kernels, FixedFilesExactTest, ExactWorlds(), NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, FixedFilesTest, AllWorlds(), NameOf);

}  // namespace
}  // namespace orrery
