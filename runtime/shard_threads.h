// A thread for each shard: it makes the ring, sets the shard up, drives it until it has finished,
// and takes it down.
//
//     auto result = RunShards<Shard>(
//         kernel, {.shards = 4},
//         [&](unsigned number, Ring& ring) { return Shard::Create(ring, kernel, ...); },
//         [&](std::span<Shard* const> shards) { ... });   // All are set up.
//
// A Shard has Turn(), OnEntered() and finished(), as runtime/reactor.h says. Either all shards
// start or none: when one cannot be set up, the others are destroyed without a turn. All have
// finished before the first is destroyed, so that what travels between them finds its shard alive.
//
// The first shard runs on the calling thread, which stays pinned: a program of one shard has one
// thread. It is no part of a simulation: there the shards are driven by turns.
#pragma once

#include <algorithm>
#include <expected>
#include <latch>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"

namespace orrery {

struct ShardThreadsOptions {
  unsigned shards = 1;
  // Each thread keeps to a core of those that the process may use, in their order; with more shards
  // than cores, they share.
  bool pin = false;
  RingOptions ring = {};
};

// The cores that this process may use, by number; never empty.
std::vector<unsigned> UsableCores();

// Keeps the calling thread to a core. The error is a line for a person.
std::expected<void, std::string> PinToCore(unsigned core);

// `make(unsigned shard, Ring& ring)`, on the shard's thread: std::unique_ptr<Shard>, or why not, in
// a line for a person. `started(std::span<Shard* const> shards)`, on the calling thread: all shards
// are set up, none has been turned. Returns when all have finished; or the first error.
template <typename Shard, typename Make, typename Started>
std::expected<void, std::string> RunShards(Kernel& kernel, const ShardThreadsOptions& options,
                                           Make make, Started started) {
  ORRERY_CHECK(options.shards >= 1);
  const std::vector<unsigned> cores = options.pin ? UsableCores() : std::vector<unsigned>();
  std::vector<Shard*> shards(options.shards, nullptr);
  std::vector<std::string> problems(options.shards);
  bool all_made = false;
  std::latch made(options.shards);
  std::latch released(1);
  std::latch finished(options.shards);

  const auto set_up =
      [&](unsigned number,
          std::unique_ptr<Ring>& ring) -> std::expected<std::unique_ptr<Shard>, std::string> {
    if (options.pin) {
      const auto pinned = PinToCore(cores[number % cores.size()]);
      if (!pinned) return std::unexpected(pinned.error());
    }
    auto made_ring = kernel.MakeRing(options.ring);
    if (!made_ring) return std::unexpected(made_ring.error());
    ring = std::move(*made_ring);
    return make(number, *ring);
  };
  const auto run = [&](unsigned number) {
    std::unique_ptr<Ring> ring;
    auto shard = set_up(number, ring);
    if (shard) {
      shards[number] = shard->get();
    } else {
      problems[number] = shard.error();
    }
    made.count_down();
    if (number == 0) {
      made.wait();
      all_made = std::ranges::all_of(shards, [](const Shard* each) { return each != nullptr; });
      if (all_made) started(std::span<Shard* const>(shards));
      released.count_down();
    }
    released.wait();
    if (all_made) {
      while (!(*shard)->finished()) (*shard)->OnEntered(ring->Enter((*shard)->Turn()));
    }
    finished.arrive_and_wait();
  };

  std::vector<std::thread> threads;
  for (unsigned number = 1; number < options.shards; ++number) threads.emplace_back(run, number);
  run(0);
  for (std::thread& thread : threads) thread.join();
  if (all_made) return {};
  const auto problem =
      std::ranges::find_if(problems, [](const std::string& each) { return !each.empty(); });
  return std::unexpected(*problem);
}

}  // namespace orrery
