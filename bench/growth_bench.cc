// How long turns take while the table of keys grows: a histogram, the longest ones, and what of
// their time was the machine's.
//
//   bazel run --config=bench //bench:growth_bench
//   bazel run --config=bench //bench:growth_bench -- 1000000 5
//
// A turn is what a shard does in one: a pipeline of SETs of new keys, then its share of background
// work. Time is CPU time of the thread, which leaves out what other threads ran, and holds what
// interrupts, a hypervisor and cold caches took. So the same turns are run in several processes:
// their work is the same in each, to the order of their allocations, and what a turn takes in all
// of them is its own. What it takes in one of them only, is not. The arguments are how many keys
// there are in the end (10 million without one: 0.7 GiB) and how often it is run (3 times).
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "base/check.h"
#include "base/siphash.h"
#include "base/units.h"
#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/command_table.h"
#include "server/commands.h"
#include "server/keyspace.h"
#include "server/server_context.h"
#include "server/shard.h"
#include "server/subscriptions.h"

namespace orrery::server {
namespace {

constexpr uint64_t kKeysAtStart = 100'000;
constexpr uint64_t kKeysInTheEnd = 10'000'000;
constexpr uint64_t kRuns = 3;
constexpr uint64_t kSetsATurn = 64;
constexpr uint64_t kFirstTurn = kKeysAtStart / kSetsATurn;  // That is measured.
constexpr Nanoseconds kGoal = 1 * kMillisecond;

// One turn of one run.
struct Turn {
  Nanoseconds cpu = 0;
  Nanoseconds wall = 0;
  uint32_t splits = 0;
  uint32_t faults = 0;       // Pages touched for the first time.
  uint32_t preemptions = 0;  // Other threads that ran in its midst.
};

Nanoseconds Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

rusage Usage() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage;
}

std::string Pipeline(uint64_t first_key) {
  std::string pipeline;
  for (uint64_t key = first_key; key < first_key + kSetsATurn; ++key) {
    pipeline += fmt::format("*3\r\n$3\r\nSET\r\n$16\r\nkey:{:012}\r\n$8\r\nv{:07}\r\n", key,
                            key % 10'000'000);
  }
  return pipeline;
}

void Run(std::span<Turn> turns) {
  const uint32_t background = ShardOptions().background_buckets;
  Keyspace keyspace(SipHashKey{.low = 1, .high = 2});
  Subscriptions subscriptions(keyspace.hash());
  const CommandTable table;
  ServerContext context{.keyspace = keyspace, .subscriptions = subscriptions, .commands = table};
  context.now_ms = 1'700'000'000'000;
  CommandProcessor processor(context);
  OutputBlockPool pool;
  PendingOutput output(pool);
  Client client;
  for (size_t index = 0; index < turns.size(); ++index) {
    const std::string pipeline = Pipeline(index * kSetsATurn);
    const uint64_t splits = keyspace.counters().splits;
    const rusage usage = Usage();
    const Nanoseconds wall = Now(CLOCK_MONOTONIC);
    const Nanoseconds cpu = Now(CLOCK_THREAD_CPUTIME_ID);
    processor.Process(pipeline, client, output, SIZE_MAX);
    keyspace.ExpireSome(context.now_ms, background);
    keyspace.Step(background);
    Turn& turn = turns[index];
    turn.cpu = Now(CLOCK_THREAD_CPUTIME_ID) - cpu;
    turn.wall = Now(CLOCK_MONOTONIC) - wall;
    const rusage after = Usage();
    turn.splits = static_cast<uint32_t>(keyspace.counters().splits - splits);
    turn.faults = static_cast<uint32_t>(after.ru_minflt - usage.ru_minflt);
    turn.preemptions = static_cast<uint32_t>(after.ru_nivcsw - usage.ru_nivcsw);
    output.Advance(output.size_bytes());
  }
}

// How many turns took how long: by powers of two of nanoseconds.
class Histogram {
 public:
  void Add(Nanoseconds time) {
    ++turns_[std::bit_width(static_cast<uint64_t>(time))];
    longest_ = std::max(longest_, time);
    if (time > kGoal) ++over_;
  }
  void Print(const std::string& title) const {
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

// Memory that the runs, processes of their own, fill.
class Record {
 public:
  Record(uint64_t turns, uint64_t runs) : turns_(turns), runs_(runs) {
    void* memory = mmap(nullptr, turns * runs * sizeof(Turn), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ORRERY_CHECK(memory != MAP_FAILED);
    memory_ = static_cast<Turn*>(memory);
  }

  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  std::span<Turn> run(uint64_t run) const { return {memory_ + run * turns_, turns_}; }

  // Of the turns in which the table grew, or of the others: those of one run.
  Histogram OfRun(uint64_t run, bool growing) const {
    Histogram histogram;
    for (uint64_t turn = kFirstTurn; turn < turns_; ++turn) {
      const Turn& seen = this->run(run)[turn];
      if ((seen.splits > 0) == growing) histogram.Add(seen.cpu);
    }
    return histogram;
  }
  // The same, each turn by the run in which it took least.
  Histogram OfLeast(bool growing) const {
    Histogram histogram;
    for (uint64_t turn = kFirstTurn; turn < turns_; ++turn) {
      if ((run(0)[turn].splits > 0) == growing) histogram.Add(LeastOf(turn));
    }
    return histogram;
  }

  // Every turn over the goal in some run, with what it took in all of them.
  void PrintLong() const {
    for (uint64_t turn = kFirstTurn; turn < turns_; ++turn) {
      for (uint64_t run = 0; run < runs_; ++run) {
        const Turn& seen = this->run(run)[turn];
        if (seen.cpu <= kGoal) continue;
        fmt::print(
            "over 1 ms: run {}, key {}: {:.1f} us of {:.1f} us that passed; {} splits, {} page "
            "faults, {} preemptions; in all runs:",
            run + 1, turn * kSetsATurn, static_cast<double>(seen.cpu) / 1e3,
            static_cast<double>(seen.wall) / 1e3, seen.splits, seen.faults, seen.preemptions);
        for (uint64_t other = 0; other < runs_; ++other) {
          fmt::print(" {:.1f}", static_cast<double>(this->run(other)[turn].cpu) / 1e3);
        }
        fmt::print(" us\n");
      }
    }
  }

 private:
  Nanoseconds LeastOf(uint64_t turn) const {
    Nanoseconds least = run(0)[turn].cpu;
    for (uint64_t other = 1; other < runs_; ++other) {
      least = std::min(least, run(other)[turn].cpu);
    }
    return least;
  }

  uint64_t turns_;
  uint64_t runs_;
  Turn* memory_ = nullptr;
};

void Measure(uint64_t keys, uint64_t runs) {
  const Record record(keys / kSetsATurn, runs);
  for (uint64_t run = 0; run < runs; ++run) {
    const pid_t child = fork();
    ORRERY_CHECK(child >= 0);
    if (child == 0) {
      Run(record.run(run));
      _exit(0);
    }
    int status = 0;
    ORRERY_CHECK(waitpid(child, &status, 0) == child);
    ORRERY_CHECK(status == 0);
  }
  uint64_t splits = 0;
  for (const Turn& turn : record.run(0).subspan(kFirstTurn)) splits += turn.splits;
  fmt::print("{} to {} keys, {} SETs a turn, {} buckets split; CPU time\n", kKeysAtStart,
             keys / kSetsATurn * kSetsATurn, kSetsATurn, splits);
  for (uint64_t run = 0; run < runs; ++run) {
    record.OfRun(run, true).Print(fmt::format("run {}, turns in which the table grew:", run + 1));
    record.OfRun(run, false).Print(fmt::format("run {}, the others:", run + 1));
  }
  record.OfLeast(true).Print("each turn by its shortest run, turns in which the table grew:");
  record.OfLeast(false).Print("each turn by its shortest run, the others:");
  record.PrintLong();
}

int Main(int argc, char** argv) {
  const uint64_t keys = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : kKeysInTheEnd;
  const uint64_t runs = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : kRuns;
  if (keys < kKeysAtStart + kSetsATurn || runs == 0) {
    fmt::print(stderr, "usage: growth_bench [KEYS, more than {}] [RUNS]\n", kKeysAtStart);
    return 1;
  }
  Measure(keys, runs);
  return 0;
}

}  // namespace
}  // namespace orrery::server

int main(int argc, char** argv) { return orrery::server::Main(argc, argv); }
