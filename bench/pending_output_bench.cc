// What the send path costs: appending replies, cutting chunks, advancing over what was sent.

#include <benchmark/benchmark.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/shared_bytes.h"
#include "runtime/pending_output.h"

namespace orrery {
namespace {

// One turn of a connection with `range(0)` small replies: append, gather, all sent.
void SmallReplies(benchmark::State& state) {
  OutputBlockPool pool;
  PendingOutput output(pool);
  std::array<iovec, 1024> iovecs;
  for (auto _ : state) {
    for (int64_t reply = 0; reply < state.range(0); ++reply) output.Append("$3\r\nxxx\r\n");
    const Chunk chunk = output.Gather(iovecs);
    benchmark::DoNotOptimize(iovecs[0].iov_base);
    output.Advance(chunk.bytes);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(SmallReplies)->Arg(1)->Arg(16)->Arg(64);

// `range(0)` borrowed bodies of 16 KiB, sent in short writes of `range(1)` bytes.
void BorrowedBodies(benchmark::State& state) {
  OutputBlockPool pool;
  PendingOutput output(pool);
  std::array<iovec, 1024> iovecs;
  const SharedBytes body = SharedBytes::Copy(std::string(16'384, 'x'));
  int64_t chunks = 0;
  for (auto _ : state) {
    for (int64_t reply = 0; reply < state.range(0); ++reply) {
      output.Append("$16384\r\n");
      output.AppendBody(body);
      output.Append("\r\n");
    }
    while (!output.empty()) {
      const Chunk chunk = output.Gather(iovecs);
      output.Advance(std::min<size_t>(chunk.bytes, static_cast<size_t>(state.range(1))));
      ++chunks;
    }
  }
  state.SetItemsProcessed(chunks);
}
BENCHMARK(BorrowedBodies)->Args({1, 1 << 30})->Args({100, 1 << 30})->Args({100, 5'000});

}  // namespace
}  // namespace orrery
