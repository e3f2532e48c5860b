// What servers have in common, on Linux and on the fake kernel with faults: what would break is the
// limit of connections, or the last bytes of one.
#include "runtime/coro/server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "runtime/coro/io_world.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::coro {
namespace {

using ServerTest = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernels, ServerTest, AllWorlds(), NameOf);

// Everything up to the end of the stream; and whether it was an end and not a reset.
Task<std::pair<std::string, bool>> ReadToTheEnd(Connection& connection) {
  std::string received;
  std::array<char, 1000> buffer;
  for (;;) {
    const auto count = co_await connection.ReadSome(buffer);
    if (!count || *count == 0) co_return std::pair(received, count.has_value());
    received.append(buffer.data(), *count);
  }
}

TEST_P(ServerTest, KeepsItsLimitAndServesEverybodyInTheEnd) {
  constexpr int kClients = 12;
  int now = 0;
  int most = 0;
  const auto serve = [&](Connection connection) -> Task<> {
    most = std::max(most, ++now);
    (void)co_await io().Sleep(2 * kMillisecond);
    (void)co_await connection.WriteAll("served");
    --now;
  };
  const auto ask = [&](uint16_t port) -> Task<bool> {
    auto connection = co_await Connect(io(), SocketAddress::Loopback(port));
    if (!connection) co_return false;
    const auto [text, ended] = co_await ReadToTheEnd(*connection);
    co_return text == "served" && ended;
  };
  const auto body = [&]() -> Task<> {
    auto listener = Listener::Bind(io(), {});
    EXPECT_TRUE(listener.has_value());
    std::vector<Task<bool>> clients;
    for (int i = 0; i < kClients; ++i) clients.push_back(ask(listener->port()));
    const ServeOptions options = {.connections_max = 3, .accept_again = kMillisecond};
    const auto first =
        co_await WhenAny(WhenAll(std::move(clients)), ServeAll(io(), *listener, options, serve));
    EXPECT_EQ(first.index(), 0u);
    for (const bool served : std::get<0>(first)) EXPECT_TRUE(served);
  };
  io().Run(body());
  EXPECT_EQ(most, 3);
  for (const std::string& line : log()) EXPECT_TRUE(line.starts_with("cannot accept: ")) << line;
  if (!faults()) {
    EXPECT_TRUE(log().empty());
  }
  EXPECT_EQ(now, 0);
}

// The client sends more than the server reads. A plain close would reset the connection, and the
// answer could be lost.
TEST_P(ServerTest, AGentleEndLosesNothing) {
  const std::string much(5000, 'x');
  const auto serve = [&](Connection connection) -> Task<> {
    std::array<char, 10> buffer;
    (void)co_await connection.ReadSome(buffer);
    (void)co_await connection.WriteAll("the answer");
    co_await EndGently(connection, io().now() + 10 * kSecond);
  };
  const auto ask = [&](uint16_t port) -> Task<> {
    auto connection = co_await Connect(io(), SocketAddress::Loopback(port));
    EXPECT_TRUE(connection.has_value());
    if (!connection) co_return;
    EXPECT_TRUE(co_await connection->WriteAll(much));
    const auto [text, ended] = co_await ReadToTheEnd(*connection);
    EXPECT_EQ(text, "the answer");
    EXPECT_TRUE(ended) << "it was a reset";
  };
  const auto body = [&]() -> Task<> {
    auto listener = Listener::Bind(io(), {});
    EXPECT_TRUE(listener.has_value());
    const ServeOptions options = {.accept_again = kMillisecond};
    const auto first =
        co_await WhenAny(ask(listener->port()), ServeAll(io(), *listener, options, serve));
    EXPECT_EQ(first.index(), 0u);
  };
  io().Run(body());
}

}  // namespace
}  // namespace orrery::coro
