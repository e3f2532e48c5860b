// What callgrind counts for instructions.py: the same pipeline of GETs or SETs, over and over.
//
//     instructions_target get|set PIPELINE ROUNDS
//
// 10 000 keys of 16 bytes, 3-byte values, one shard, no network.
#include <fmt/core.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/prng.h"
#include "runtime/pending_output.h"
#include "server/testing_session.h"

namespace orrery::bench {
namespace {

constexpr uint64_t kKeys = 10'000;

std::string Request(std::string_view command, uint64_t key) {
  if (command == "get") return fmt::format("*2\r\n$3\r\nGET\r\n$16\r\nkey:{:012}\r\n", key);
  return fmt::format("*3\r\n$3\r\nSET\r\n$16\r\nkey:{:012}\r\n$3\r\nxxx\r\n", key);
}

uint64_t Number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  ORRERY_CHECK(error == std::errc() && end == text.data() + text.size());
  return number;
}

int Main(std::span<char*> arguments) {
  if (arguments.size() != 3) {
    std::fprintf(stderr, "usage: instructions_target get|set PIPELINE ROUNDS\n");
    return 2;
  }
  const std::string_view command = arguments[0];
  const uint64_t pipeline = Number(arguments[1]);
  const uint64_t rounds = Number(arguments[2]);
  server::TestingServer server;
  server::TestingSession session(server);
  Prng prng(1);
  for (uint64_t key = 0; key < kKeys; ++key) {
    session.Send(Request("set", key));
    session.output().Advance(session.output().size_bytes());
  }
  for (uint64_t round = 0; round < rounds; ++round) {
    std::string requests;
    for (uint64_t i = 0; i < pipeline; ++i) requests += Request(command, prng.Below(kKeys));
    session.Send(requests);
    session.output().Advance(session.output().size_bytes());
  }
  return 0;
}

}  // namespace
}  // namespace orrery::bench

int main(int argc, char** argv) {
  return orrery::bench::Main({argv + 1, static_cast<size_t>(argc - 1)});
}
