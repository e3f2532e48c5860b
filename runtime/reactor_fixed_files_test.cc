// Connections in the ring's fixed-file table, through the whole reactor, on Linux and on the fake
// kernel: slots come back, and a full table refuses and recovers.
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

TEST_P(FixedFilesExactTest, AFullTableRefusesAndRecovers) {
  SetUpWorld(Slots(2));
  const std::vector<Peer> peers = ConnectAll(2);
  const Peer refused = Connect();
  const PeerInput input = ReadToTheEnd(refused);
  EXPECT_EQ(input.bytes, "");
  EXPECT_TRUE(RunUntil([this] { return reactor_->counters().accept_failures == 1; }));
  EXPECT_EQ(Exchange(peers[0], "still here", 10), "still here");
  world_->Close(peers[1]);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 1; }));
  const Peer next = Connect();
  EXPECT_EQ(Exchange(next, "hello", 5), "hello");
  EXPECT_EQ(reactor_->connections(), 2U);
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
