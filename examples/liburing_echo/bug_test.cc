// A bug that is planted in the echo server (a short send taken for a whole one) is found, and by
// the test that anybody would write.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "examples/liburing_echo/echo_server.h"
#include "sim/program_world.h"

namespace orrery::sim {
namespace {

// What went wrong with this seed; empty when nothing did.
std::string WhatGoesWrong(uint64_t seed) {
  ProgramWorld world(seed);
  world.Start([] { return echo_serve(echo_listen(7)); });
  const StreamPeer& peer = world.AddPeer(7, world.Bytes(10'000));
  if (!world.RunUntilPeersLeave()) return "it hangs\n" + world.Story();
  if (peer.received() != peer.sent()) return "wrong bytes\n" + world.Story();
  return world.Stop(SIGTERM) ? "" : "it does not stop\n" + world.Story();
}

TEST(EchoWithABug, IsFound) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const std::string story = WhatGoesWrong(seed);
    if (story.empty()) continue;
    printf("%s", story.c_str());
    EXPECT_EQ(story.substr(0, story.find('\n')), "wrong bytes");
    return;
  }
  FAIL() << "no seed finds it";
}

}  // namespace
}  // namespace orrery::sim
