// How long turns take while the table of keys grows: a histogram, and the longest one.
//
//   bazel run --config=bench //bench:growth_bench
//   bazel run --config=bench //bench:growth_bench -- 1000000
//
// A turn is what a shard does in one: a pipeline of SETs of new keys, then its share of background
// work. Time is that of the thread, so that other processes are not measured. The argument is how
// many keys there are in the end (10 million without one, for which it takes about 1.5 GiB).
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/siphash.h"
#include "base/units.h"
#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/command_table.h"
#include "server/commands.h"
#include "server/keyspace.h"
#include "server/server_context.h"

namespace orrery::server {
namespace {

constexpr uint64_t kKeysAtStart = 100'000;
constexpr uint64_t kKeysInTheEnd = 10'000'000;
constexpr uint64_t kSetsATurn = 64;
constexpr uint32_t kBackgroundBuckets = 256;
constexpr Nanoseconds kGoal = 1 * kMillisecond;

Nanoseconds ThreadTime() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

std::string Pipeline(uint64_t first_key) {
  std::string pipeline;
  for (uint64_t key = first_key; key < first_key + kSetsATurn; ++key) {
    pipeline += fmt::format("*3\r\n$3\r\nSET\r\n$16\r\nkey:{:012}\r\n$8\r\nv{:07}\r\n", key,
                            key % 10'000'000);
  }
  return pipeline;
}

// How many turns took how long: by powers of two of nanoseconds.
class Histogram {
 public:
  void Add(Nanoseconds time) {
    ++turns_[std::bit_width(static_cast<uint64_t>(time))];
    longest_ = std::max(longest_, time);
    if (time > kGoal) ++over_;
  }
  void Print(const char* title) const {
    fmt::print("{}\n", title);
    for (size_t bits = 0; bits < turns_.size(); ++bits) {
      if (turns_[bits] == 0) continue;
      fmt::print("  below {:9.1f} us: {:8} turns\n", static_cast<double>(uint64_t{1} << bits) / 1e3,
                 turns_[bits]);
    }
    fmt::print("  longest: {:.1f} us; over 1 ms: {}\n", static_cast<double>(longest_) / 1e3, over_);
  }

 private:
  std::array<uint64_t, 65> turns_{};
  Nanoseconds longest_ = 0;
  uint64_t over_ = 0;
};

void Measure(uint64_t keys_max) {
  Keyspace keyspace(SipHashKey{.low = 1, .high = 2});
  const CommandTable table;
  ServerContext context{.keyspace = keyspace, .commands = table};
  context.now_ms = 1'700'000'000'000;
  CommandProcessor processor(context);
  OutputBlockPool pool;
  PendingOutput output(pool);
  Client client;
  Histogram growing;
  Histogram settled;
  uint64_t splits = 0;
  for (uint64_t key = 0; key < keys_max; key += kSetsATurn) {
    const std::string pipeline = Pipeline(key);
    const uint64_t splits_before = keyspace.counters().splits;
    const Nanoseconds before = ThreadTime();
    processor.Process(pipeline, client, output, SIZE_MAX);
    keyspace.ExpireSome(context.now_ms, kBackgroundBuckets);
    keyspace.Step(kBackgroundBuckets);
    const Nanoseconds time = ThreadTime() - before;
    output.Advance(output.size_bytes());
    if (key < kKeysAtStart) continue;
    const uint64_t split = keyspace.counters().splits - splits_before;
    splits += split;
    (split > 0 ? growing : settled).Add(time);
  }
  fmt::print("{} to {} keys, {} SETs a turn, {} buckets split, CPU time of the thread\n",
             kKeysAtStart, keyspace.size(), kSetsATurn, splits);
  growing.Print("turns in which the table grew:");
  settled.Print("turns in which it did not:");
}

}  // namespace
}  // namespace orrery::server

int main(int argc, char** argv) {
  const uint64_t keys =
      argc > 1 ? std::strtoull(argv[1], nullptr, 10) : orrery::server::kKeysInTheEnd;
  orrery::server::Measure(keys);
}
