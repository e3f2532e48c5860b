// The echo server on the fake kernel, one test a seed: everybody reads what they sent, also beside
// peers that vanish, and the server ends when it is told to. Then on the kernel of this machine.
//
// One seed again: --test_arg=--gtest_filter='*/57'.
#include "examples/echo.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <vector>

#include "base/prng.h"
#include "sim/program_world.h"

namespace orrery::examples::echo {
namespace {

class Echo : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Echo, testing::Range<uint64_t>(0, 300));

TEST_P(Echo, EverybodyReadsWhatTheySent) {
  sim::ProgramWorld world(GetParam());
  world.Start([] { return RunServer(7); });
  std::vector<const sim::StreamPeer*> peers;
  for (int i = 0; i < 6; ++i) {
    peers.push_back(&world.AddPeer(7, world.Bytes(world.prng().Below(30'000))));
    (void)world.AddPeer(7, world.Bytes(10'000), {.vanishes_after = world.prng().Below(10'000)});
  }
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  for (const sim::StreamPeer* peer : peers) {
    ASSERT_TRUE(peer->received() == peer->sent()) << world.Story();
  }
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
  ASSERT_EQ(world.program().status(), 0) << world.Story();
}

// The signal comes while everybody talks: what is in flight is cancelled, and nothing is left of
// it.
TEST_P(Echo, StopsInTheMiddle) {
  sim::ProgramWorld world(GetParam());
  world.Start([] { return RunServer(7); });
  std::vector<const sim::StreamPeer*> peers;
  for (int i = 0; i < 6; ++i) peers.push_back(&world.AddPeer(7, world.Bytes(100'000)));
  const size_t enough = world.prng().Below(50'000);
  ASSERT_TRUE(world.RunUntil([&] { return peers[0]->received().size() >= enough; }))
      << world.Story();
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
  ASSERT_EQ(world.program().status(), 0) << world.Story();
  ASSERT_EQ(world.kernel().requests_in_flight(), 0u) << world.Story();
  for (const sim::StreamPeer* peer : peers) {
    ASSERT_TRUE(peer->sent().starts_with(peer->received())) << world.Story();
  }
}

// A run is a function of its seed: nothing in a task depends on addresses, or on what ran before.
TEST(EchoRuns, AreAFunctionOfTheirSeeds) {
  const auto run = [](uint64_t seed) {
    sim::ProgramWorld world(seed);
    world.Start([] { return RunServer(7); });
    for (int i = 0; i < 6; ++i) (void)world.AddPeer(7, world.Bytes(10'000));
    EXPECT_TRUE(world.RunUntilPeersLeave()) << world.Story();
    EXPECT_TRUE(world.Stop(SIGTERM)) << world.Story();
    return world.hash();
  };
  std::vector<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 50; ++seed) hashes.push_back(run(seed));
  uint64_t all = 0;
  for (uint64_t seed = 50; seed-- > 0;) {  // The other way round, in memory that has been used.
    EXPECT_EQ(run(seed), hashes[seed]) << "seed " << seed;
    all = Combine(all, hashes[seed]);
  }
  std::printf("hash of 50 runs: %016lx\n", all);  // For comparing builds.
}

}  // namespace
}  // namespace orrery::examples::echo
