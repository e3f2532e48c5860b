// What a command costs before anything is done with it: a pipeline parsed in place.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "server/resp_parser.h"

namespace orrery::server {
namespace {

void ParseAll(benchmark::State& state, std::string_view frame) {
  std::string input;
  for (int64_t command = 0; command < state.range(0); ++command) input += frame;
  RespParser parser;
  Command command;
  for (auto _ : state) {
    std::string_view rest = input;
    while (!rest.empty()) {
      const ParseResult result = parser.Parse(rest, {}, command);
      rest.remove_prefix(result.consumed_bytes);
      benchmark::DoNotOptimize(command[0].data());
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(input.size()));
}

constexpr std::string_view kGet = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n";
constexpr std::string_view kSet = "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$3\r\nxxx\r\n";
constexpr std::string_view kInline = "SET key:000000000042 xxx\r\n";

BENCHMARK_CAPTURE(ParseAll, get, kGet)->Arg(1)->Arg(16)->Arg(64);
BENCHMARK_CAPTURE(ParseAll, set, kSet)->Arg(1)->Arg(16)->Arg(64);
BENCHMARK_CAPTURE(ParseAll, inline_set, kInline)->Arg(16);

}  // namespace
}  // namespace orrery::server
