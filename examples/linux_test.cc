// The examples on the kernel of this machine, each with clients of its own on the same ring: that
// what the fake kernel runs are programs that work.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/echo.h"
#include "examples/file_server.h"
#include "examples/proxy.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/run.h"
#include "runtime/coro/server.h"
#include "runtime/coro/socket.h"
#include "runtime/coro/task.h"
#include "runtime/coro/when.h"

namespace orrery::examples {
namespace {

// Sends `text`, ends its stream, and reads to the end of the other's.
coro::Task<std::string> Ask(coro::IoContext& io, uint16_t port, std::string text) {
  auto connection = co_await coro::Connect(io, coro::SocketAddress::Loopback(port));
  EXPECT_TRUE(connection.has_value());
  if (!connection) co_return "no connection";
  const auto write = [](coro::Connection& to, const std::string& bytes) -> coro::Task<> {
    EXPECT_TRUE(co_await to.WriteAll(bytes));
    EXPECT_TRUE(co_await to.ShutdownWrite());
  };
  const auto read = [](coro::Connection& from) -> coro::Task<std::string> {
    std::string received;
    std::array<char, 5000> buffer;
    for (;;) {
      const auto count = co_await from.ReadSome(buffer);
      EXPECT_TRUE(count.has_value());
      if (!count || *count == 0) co_return received;
      received.append(buffer.data(), *count);
    }
  };
  auto [written, answer] = co_await coro::WhenAll(write(*connection, text), read(*connection));
  co_return answer;
}

std::string Text(size_t bytes, size_t seed) {
  std::string text(bytes, '\0');
  for (size_t at = 0; at < bytes; ++at) text[at] = static_cast<char>(at * 31 + seed);
  return text;
}

// Twenty clients at once, whose bytes must come back from `port`.
coro::Task<> AskTwenty(coro::IoContext& io, uint16_t port) {
  std::vector<coro::Task<std::string>> clients;
  for (size_t i = 0; i < 20; ++i) clients.push_back(Ask(io, port, Text(1000 + i * 20'000, i)));
  const std::vector<std::string> answers = co_await coro::WhenAll(std::move(clients));
  for (size_t i = 0; i < 20; ++i) EXPECT_TRUE(answers[i] == Text(1000 + i * 20'000, i));
}

coro::Listener Listen(coro::IoContext& io) {
  auto listener = coro::Listener::Bind(io, {});
  EXPECT_TRUE(listener.has_value());
  return *std::move(listener);
}

TEST(ExamplesOnLinux, EchoSendsBackWhatItReceives) {
  const auto body = [](coro::IoContext& io) -> coro::Task<int> {
    coro::Listener listener = Listen(io);
    const auto first = co_await coro::WhenAny(AskTwenty(io, listener.port()),
                                              coro::ServeAll(io, listener, {}, echo::ServeOne));
    co_return static_cast<int>(first.index());
  };
  EXPECT_EQ(coro::RunMain("linux_test", body), 0);
}

TEST(ExamplesOnLinux, ProxyPassesBothWays) {
  const auto body = [](coro::IoContext& io) -> coro::Task<int> {
    coro::Listener behind = Listen(io);
    coro::Listener before = Listen(io);
    const auto first = co_await coro::WhenAny(
        AskTwenty(io, before.port()), coro::ServeAll(io, behind, {}, echo::ServeOne),
        proxy::Serve(io, before, coro::SocketAddress::Loopback(behind.port())));
    co_return static_cast<int>(first.index());
  };
  EXPECT_EQ(coro::RunMain("linux_test", body), 0);
}

TEST(ExamplesOnLinux, FileServerSendsFilesAndParts) {
  const std::string content = Text(300'000, 7);
  const std::string folder = testing::TempDir();
  std::ofstream(folder + "/linux_test.txt", std::ios::binary) << content;
  const auto client = [&](coro::IoContext& io, uint16_t port) -> coro::Task<> {
    const std::string get = "GET /linux_test.txt HTTP/1.1\r\n";
    const std::string whole = co_await Ask(io, port, get + "\r\n");
    EXPECT_TRUE(whole.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n"));
    EXPECT_TRUE(whole.ends_with("\r\n\r\n" + content));
    const std::string part = co_await Ask(io, port, get + "Range: bytes=-5000\r\n\r\n");
    EXPECT_TRUE(
        part.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes "
                         "295000-299999/300000\r\n"));
    EXPECT_TRUE(part.ends_with("\r\n\r\n" + content.substr(295'000)));
    const std::string head = co_await Ask(io, port, "HEAD /linux_test.txt HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(head.ends_with("\r\n\r\n"));
    const std::string missing = co_await Ask(io, port, "GET /../etc/passwd HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(missing.starts_with("HTTP/1.1 400 "));
  };
  const auto body = [&](coro::IoContext& io) -> coro::Task<int> {
    coro::Listener listener = Listen(io);
    const auto first = co_await coro::WhenAny(client(io, listener.port()),
                                              file_server::Serve(io, listener, folder));
    co_return static_cast<int>(first.index());
  };
  EXPECT_EQ(coro::RunMain("linux_test", body), 0);
  (void)::unlink((folder + "/linux_test.txt").c_str());
}

}  // namespace
}  // namespace orrery::examples
