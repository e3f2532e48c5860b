// The file server on the fake kernel, with its disk, one test a seed: an answer is the right one,
// or it says or shows that it failed; never other bytes. And the server ends when it is told to.
#include "examples/file_server.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/coro/run.h"
#include "sim/program_world.h"

namespace orrery::examples::file_server {
namespace {

class FileServer : public testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, FileServer, testing::Range<uint64_t>(0, 200));

std::string Content() {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += std::to_string(i) + ' ';
  return text;
}

// Writes the file, however often the disk fails, and serves it.
coro::Task<int> WriteAndServe(coro::IoContext& io) {
  const std::string content = Content();
  for (bool done = false; !done;) {
    auto file = co_await coro::File::Open(io, "/numbers", O_WRONLY | O_CREAT);
    if (!file) continue;
    const auto written = co_await file->WriteAt(content, 0);
    done = written.has_value();
  }
  const int status = co_await Main(io, 80, "");
  co_return status;
}

struct Wanted {
  const sim::StreamPeer* peer;
  std::string answer;
};

TEST_P(FileServer, SendsTheFileOrSaysThatItCannot) {
  sim::ProgramWorld world(GetParam());
  world.Start([] { return coro::RunMain("file_server_test", WriteAndServe); });
  const std::string content = Content();
  const std::string end = "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n\r\n";
  const std::string size = std::to_string(content.size());
  const std::string get = "GET /numbers HTTP/1.1\r\n";
  const std::string all = "HTTP/1.1 200 OK\r\nContent-Length: " + size + "\r\n" + end + content;
  const std::string part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100-1099/" + size +
                           "\r\nContent-Length: 1000\r\n" + end + content.substr(100, 1000);
  std::vector<Wanted> wanted;
  const auto ask = [&](const std::string& request, const std::string& answer) {
    wanted.push_back({.peer = &world.AddPeer(80, request), .answer = answer});
  };
  ask(get + "\r\n", all);
  ask(get + "Range: bytes=100-1099\r\n\r\n", part);
  ask(get + "\r\n" + get + "Range: bytes=100-1099\r\n\r\n", all + part);  // A pipeline.
  ask("GET /missing HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  const std::string refused = "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  ask("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request" + refused);
  ask("GET /" + std::string(5000, 'x'), "HTTP/1.1 414 URI Too Long" + refused);
  ask(get + std::string(50'000, 'x'), "HTTP/1.1 431 Request Header Fields Too Large" + refused);
  (void)world.AddPeer(80, get + "\r\n", {.vanishes_after = world.prng().Below(20)});

  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  for (const auto& [peer, answer] : wanted) {
    const std::string& received = peer->received();
    // A disk or a table of descriptors with faults: a 503, or an end in the middle.
    const bool unavailable = received.find("HTTP/1.1 503") != std::string::npos;
    ASSERT_TRUE(unavailable || answer.starts_with(received)) << world.Story();
  }
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
  ASSERT_EQ(world.program().status(), 0) << world.Story();
}

// A request that never ends is not waited for longer than the server says.
TEST_P(FileServer, EndsASlowRequest) {
  sim::ProgramWorld world(GetParam());
  world.Start([] { return coro::RunMain("file_server_test", WriteAndServe); });
  const sim::StreamPeer& peer = world.AddPeer(80, "GET /numbers HTT", {.ends = false});
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  ASSERT_EQ(peer.received(), "") << world.Story();
  ASSERT_GE(world.log().now(), kRequestMax);
  ASSERT_LT(world.log().now(), 2 * kRequestMax) << world.Story();
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
}

// A machine without any fault, where every answer must be whole.
TEST(FileServerRuns, AreWholeWithoutFaults) {
  sim::ProgramWorld world(1, {});
  world.Start([] { return coro::RunMain("file_server_test", WriteAndServe); });
  const sim::StreamPeer& peer = world.AddPeer(80, "GET /numbers HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  EXPECT_TRUE(peer.received().ends_with("\r\n\r\n" + Content())) << world.Story();
  ASSERT_TRUE(world.Stop(SIGTERM)) << world.Story();
}

}  // namespace
}  // namespace orrery::examples::file_server
