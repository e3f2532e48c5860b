// The proxy on the fake kernel, before an echo server in the same program, one test a seed: what a
// peer sends through both comes back whole, whoever else vanishes, and all ends when it is told to.
#include "examples/proxy.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <vector>

#include "examples/echo.h"
#include "runtime/coro/run.h"
#include "sim/program_world.h"

namespace orrery::examples::proxy {
namespace {

class Proxy : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Proxy, testing::Range<uint64_t>(0, 200));

// Both servers; the proxy's Main() hears the signal, and its end stops the other.
coro::Task<int> Both(coro::IoContext& io) {
  auto listener = coro::Listener::Bind(io, {.port = 7});
  EXPECT_TRUE(listener.has_value());
  const auto first = co_await coro::WhenAny(Main(io, 8, coro::SocketAddress::Loopback(7)),
                                            coro::ServeAll(io, *listener, {}, echo::ServeOne));
  EXPECT_EQ(first.index(), 0u);
  co_return std::get<0>(first);
}

TEST_P(Proxy, PassesBothWays) {
  sim::ProgramWorld world(GetParam());
  world.Start([] { return coro::RunMain("proxy_test", Both); });
  std::vector<const sim::StreamPeer*> peers;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(&world.AddPeer(8, world.Bytes(world.prng().Below(20'000))));
    (void)world.AddPeer(8, world.Bytes(10'000), {.vanishes_after = world.prng().Below(10'000)});
  }
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  for (const sim::StreamPeer* peer : peers) {
    ASSERT_TRUE(peer->received() == peer->sent()) << world.Story();
  }
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
  ASSERT_EQ(world.program().status(), 0) << world.Story();
}

// Who says nothing more is not waited for longer than the proxy says, however the clock gets there.
TEST_P(Proxy, EndsWhatDoesNotMove) {
  sim::ProgramWorld world(GetParam());
  world.Start([] { return coro::RunMain("proxy_test", Both); });
  const sim::StreamPeer& peer = world.AddPeer(8, "hello", {.ends = false});
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  ASSERT_EQ(peer.received(), "hello") << world.Story();
  ASSERT_GE(world.log().now(), kIdleMax);
  ASSERT_LT(world.log().now(), 2 * kIdleMax) << world.Story();
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
}

}  // namespace
}  // namespace orrery::examples::proxy
