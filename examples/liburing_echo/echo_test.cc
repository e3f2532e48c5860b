// The echo server on the fake kernel, one test a seed: everybody reads what they sent, also beside
// peers that vanish, and the server ends when it is told to.
//
// One seed again: --test_arg=--gtest_filter='*/57'.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/prng.h"
#include "examples/liburing_echo/echo_server.h"
#include "sim/program_world.h"

namespace orrery::sim {
namespace {

constexpr uint64_t kSeeds = 400;

void RunSeed(ProgramWorld& world) {
  world.Start([] { return echo_serve(echo_listen(7)); });
  std::vector<const StreamPeer*> peers;
  for (int i = 0; i < 6; ++i) {
    StreamPeer::Options options;
    const size_t bytes = world.prng().Below(30'000);
    if (world.prng().Chance(1, 4)) options.vanishes_after = world.prng().Below(10'000);
    const StreamPeer& peer = world.AddPeer(7, world.Bytes(bytes), options);
    if (options.vanishes_after >= bytes) peers.push_back(&peer);
  }
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  for (const StreamPeer* peer : peers)
    ASSERT_TRUE(peer->received() == peer->sent()) << world.Story();
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
  ASSERT_EQ(world.program().status(), 0) << world.Story();
}

class Echo : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Echo, testing::Range<uint64_t>(0, kSeeds));

TEST_P(Echo, EverybodyReadsWhatTheySent) {
  ProgramWorld world(GetParam());
  RunSeed(world);
}

// One number for all runs, for comparing builds.
TEST(EchoRuns, AreAFunctionOfTheirSeeds) {
  const auto run = [] {
    uint64_t all = 0;
    for (uint64_t seed = 0; seed < kSeeds && !testing::Test::HasFailure(); ++seed) {
      ProgramWorld world(seed);
      RunSeed(world);
      all = Combine(all, world.hash());
    }
    return all;
  };
  const uint64_t once = run();
  if (HasFailure()) return;  // The seed's own test says more.
  EXPECT_EQ(run(), once);
  testing::Test::RecordProperty("hash", std::to_string(once));
  printf("hash of %d runs: %016lx\n", static_cast<int>(kSeeds), once);
}

}  // namespace
}  // namespace orrery::sim
