// Sockets for tasks, against each other, on Linux and on the fake kernel with faults: what would
// break is a byte, a wake-up, a deadline or a descriptor.
#include "runtime/coro/socket.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "base/units.h"
#include "runtime/coro/io_world.h"
#include "runtime/coro/task.h"
#include "runtime/coro/task_group.h"
#include "runtime/coro/when.h"

namespace orrery::coro {
namespace {

using SocketTest = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernels, SocketTest, AllWorlds(), NameOf);

Listener Listen(IoContext& io) {
  auto listener = Listener::Bind(io, {});
  EXPECT_TRUE(listener.has_value());
  return *std::move(listener);
}

std::string Numbers(size_t bytes) {
  std::string text;
  for (size_t at = 0; text.size() < bytes; ++at) text += std::to_string(at) + ' ';
  text.resize(bytes);
  return text;
}

// Limits that the faults make up are met again and again; the connection waits.
Task<std::expected<Connection, Errno>> AcceptInTheEnd(IoContext& io, Listener& listener) {
  for (;;) {
    std::expected<Connection, Errno> connection = co_await listener.Accept();
    const bool limit =
        !connection && (connection.error() == EMFILE || connection.error() == ENFILE);
    if (!limit) co_return connection;
    (void)co_await io.Sleep(kMillisecond);
  }
}

struct Ends {
  Connection server;
  Connection client;
};

Task<Ends> ConnectedEnds(IoContext& io, Listener& listener) {
  auto [server, client] = co_await WhenAll(AcceptInTheEnd(io, listener),
                                           Connect(io, SocketAddress::Loopback(listener.port())));
  EXPECT_TRUE(server.has_value() && client.has_value());
  co_return Ends{*std::move(server), *std::move(client)};
}

TEST_P(SocketTest, AStreamArrivesWhole) {
  const std::string text = Numbers(50'000);
  const auto write = [&](Connection& connection) -> Task<> {
    EXPECT_TRUE(co_await connection.WriteAll(text));
    EXPECT_TRUE(co_await connection.ShutdownWrite());
  };
  const auto read = [&](Connection& connection) -> Task<std::string> {
    std::string received;
    std::array<char, 700> buffer;
    for (;;) {
      const auto count = co_await connection.ReadSome(buffer);
      EXPECT_TRUE(count.has_value());
      if (!count || *count == 0) co_return received;
      received.append(buffer.data(), *count);
    }
  };
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io());
    Ends ends = co_await ConnectedEnds(io(), listener);
    // Both directions at once: a connection reads and writes at the same time.
    auto [a, b, c, d] = co_await WhenAll(write(ends.client), read(ends.server), write(ends.server),
                                         read(ends.client));
    EXPECT_EQ(b, text);
    EXPECT_EQ(d, text);
  };
  io().Run(body());
}

TEST_P(SocketTest, ReadExactlyFillsItsBufferUnlessTheStreamEnds) {
  const auto write = [&](Connection& connection) -> Task<> {
    for (const char* piece : {"ab", "c", "defg", "hij"}) {
      EXPECT_TRUE(co_await connection.WriteAll(piece));
      (void)co_await io().Sleep(kMillisecond);
    }
    EXPECT_TRUE(co_await connection.ShutdownWrite());
  };
  const auto read = [&](Connection& connection) -> Task<> {
    std::string buffer(7, '-');
    const auto first = co_await connection.ReadExactly(buffer);
    EXPECT_EQ(first, 7u);
    EXPECT_EQ(buffer, "abcdefg");
    const auto second = co_await connection.ReadExactly(buffer);
    EXPECT_EQ(second, 3u);
    EXPECT_EQ(buffer.substr(0, 3), "hij");
  };
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io());
    Ends ends = co_await ConnectedEnds(io(), listener);
    co_await WhenAll(write(ends.client), read(ends.server));
  };
  io().Run(body());
}

TEST_P(SocketTest, ADeadlineEndsAReadAndTheConnectionLivesOn) {
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io());
    Ends ends = co_await ConnectedEnds(io(), listener);
    std::array<char, 10> buffer;
    const Nanoseconds begin = io().now();
    const auto nothing = co_await ends.server.ReadSome(buffer, begin + 5 * kMillisecond);
    EXPECT_EQ(ErrorOf(nothing), ETIME);
    EXPECT_GE(io().now(), begin + 5 * kMillisecond);
    EXPECT_TRUE(co_await ends.client.WriteAll("x"));
    const auto something = co_await ends.server.ReadSome(buffer);
    EXPECT_EQ(something, 1u);
  };
  io().Run(body());
}

TEST_P(SocketTest, ADeadlineEndsAWriteThatNobodyReads) {
  const std::string text = Numbers(20'000'000);
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io());
    Ends ends = co_await ConnectedEnds(io(), listener);
    const auto written = co_await ends.client.WriteAll(text, io().now() + 20 * kMillisecond);
    EXPECT_EQ(ErrorOf(written), ETIME);
  };
  io().Run(body());
}

// L5: a stop is ECANCELED, whatever deadline there is.
TEST_P(SocketTest, AStopIsNoTimeout) {
  const auto read = [&](Connection& connection) -> Task<int> {
    std::array<char, 10> buffer;
    const auto count = co_await connection.ReadSome(buffer, io().now() + 10 * kSecond);
    co_return ErrorOf(count);
  };
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io());
    Ends ends = co_await ConnectedEnds(io(), listener);
    const auto stop_soon = [&]() -> Task<> { (void)co_await io().Sleep(kMillisecond); };
    // The first to end is the sleep; the read hears of it and says why it ended.
    int error = 0;
    const auto note = [&]() -> Task<> { error = co_await read(ends.server); };
    const auto first = co_await WhenAny(note(), stop_soon());
    EXPECT_EQ(first.index(), 1u);
    EXPECT_EQ(error, ECANCELED);
    // And at once when it was asked before.
    io().RequestStop();
    const int second = co_await read(ends.server);
    EXPECT_EQ(second, ECANCELED);
    const auto slept = co_await io().Sleep(kSecond);
    EXPECT_FALSE(slept.has_value());
  };
  io().Run(body());
}

TEST_P(SocketTest, ConnectSaysWhyItFailed) {
  const auto body = [&]() -> Task<> {
    uint16_t port = 0;
    {
      const Listener listener = Listen(io());
      port = listener.port();
    }
    const auto refused = co_await Connect(io(), SocketAddress::Loopback(port));
    EXPECT_EQ(ErrorOf(refused), ECONNREFUSED);
  };
  io().Run(body());
}

TEST_P(SocketTest, ConnectHasADeadline) {
  const auto body = [&]() -> Task<> {
    // A backlog that is full keeps the next connects waiting.
    auto listener = Listener::Bind(io(), {.backlog = 0});
    const SocketAddress address = SocketAddress::Loopback(listener->port());
    std::vector<Connection> connections;
    for (int i = 0; i < 5; ++i) {
      auto connection = co_await Connect(io(), address, io().now() + 20 * kMillisecond);
      if (!connection) {
        EXPECT_EQ(connection.error(), ETIME);
        co_return;
      }
      connections.push_back(*std::move(connection));
    }
    ADD_FAILURE() << "five connections in a backlog of none";
  };
  io().Run(body());
}

TEST_P(SocketTest, ManyClientsAtOnce) {
  constexpr int kClients = 20;
  const auto echo = [](Connection connection) -> Task<> {
    std::array<char, 300> buffer;
    for (;;) {
      const auto count = co_await connection.ReadSome(buffer);
      if (!count || *count == 0) break;
      const std::string_view data(buffer.data(), *count);
      if (const auto sent = co_await connection.WriteAll(data); !sent) break;
    }
  };
  const auto serve = [&](Listener& listener) -> Task<> {
    TaskGroup sessions(io().scheduler());
    for (int i = 0; i < kClients; ++i) {
      auto connection = co_await AcceptInTheEnd(io(), listener);
      EXPECT_TRUE(connection.has_value());
      sessions.Spawn(echo(*std::move(connection)));
    }
    co_await sessions.Join();
  };
  const auto ask = [&](int number, uint16_t port) -> Task<bool> {
    auto connection = co_await Connect(io(), SocketAddress::Loopback(port));
    if (!connection) co_return false;
    const std::string text = Numbers(static_cast<size_t>(number) * 500 + 1);
    std::string answer(text.size(), '-');
    const auto write = [&]() -> Task<bool> {
      const auto sent = co_await connection->WriteAll(text);
      co_return sent.has_value();
    };
    const auto read = [&]() -> Task<bool> {
      const auto count = co_await connection->ReadExactly(answer);
      co_return count == answer.size();
    };
    const auto [sent, received] = co_await WhenAll(write(), read());
    co_return sent&& received&& answer == text;
  };
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io());
    std::vector<Task<bool>> clients;
    for (int i = 0; i < kClients; ++i) clients.push_back(ask(i, listener.port()));
    const auto [served, answers] = co_await WhenAll(serve(listener), WhenAll(std::move(clients)));
    for (const bool right : answers) EXPECT_TRUE(right);
  };
  io().Run(body());
}

TEST_P(SocketTest, DatagramsKeepTheirBounds) {
  const auto body = [&]() -> Task<> {
    auto here = co_await DatagramSocket::Bind(io(), SocketAddress::Loopback(0));
    auto there = co_await DatagramSocket::Bind(io(), SocketAddress::Loopback(0));
    EXPECT_TRUE(here.has_value() && there.has_value());
    if (!here || !there) co_return;
    const SocketAddress to = SocketAddress::Loopback(there->port());
    std::string buffer(10, '-');
    // Datagrams may be lost: ask until one answers.
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(co_await here->SendTo("more than ten bytes", to));
      const auto received = co_await there->ReceiveFrom(buffer, io().now() + 50 * kMillisecond);
      if (!received) continue;
      EXPECT_EQ(received->bytes, 10u);
      EXPECT_TRUE(received->truncated);
      EXPECT_EQ(received->from.port(), here->port());
      EXPECT_EQ(buffer, "more than ");
      co_return;
    }
    ADD_FAILURE() << "no datagram arrived";
  };
  io().Run(body());
}

void ReadTwiceAtOnce() {
  const auto world = MakeBenign<model::TaskWork::kDeferred>();
  const auto ring = *world->kernel().MakeRing({});
  IoContext io(*ring, world->kernel());
  const auto read = [](Connection& connection) -> Task<> {
    std::array<char, 1> buffer;
    (void)co_await connection.ReadSome(buffer);
  };
  const auto body = [&]() -> Task<> {
    Listener listener = Listen(io);
    Ends ends = co_await ConnectedEnds(io, listener);
    co_await WhenAll(read(ends.server), read(ends.server));
  };
  io.Run(body());
}

TEST(SocketDeathTest, AStreamHasOneReader) { EXPECT_DEATH(ReadTwiceAtOnce(), "two receives"); }

}  // namespace
}  // namespace orrery::coro
