// What the clients of a server of several shards do: commands that meet on few keys, of which every
// value is written once, so that who reads one knows whose it is.
//
// No state. A script refers to nothing that the server answers, so taking steps away leaves a
// workload.
#pragma once

#include <cstdint>

#include "base/prng.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {

// Odds are weights among each other; 0 never.
struct ShardsWorkloadOptions {
  uint64_t clients = 4;
  uint64_t steps_max = 10;    // A client.
  uint64_t pipeline_max = 8;  // Commands a step.
  uint64_t keys = 6;
  uint64_t channels = 3;
  uint64_t big_value_bytes = 0;  // One value in some has so many; 0: none.
  bool across_shards = false;    // A command may have keys on several shards.

  uint64_t single_key = 8;
  uint64_t counters = 2;
  uint64_t many_keys = 4;     // MGET, MSET, DEL and so on.
  uint64_t between_keys = 2;  // What reads one key and writes another.
  uint64_t no_key = 2;        // PING, ECHO.
  uint64_t all_shards = 1;    // INFO, SCAN, CLIENT LIST.
  uint64_t all_keys = 0;      // FLUSHALL, DBSIZE, KEYS.
  uint64_t transactions = 0;
  uint64_t publish = 0;

  // One client in so many; 0 none.
  uint64_t subscriber_odds = 0;
  uint64_t resp3_odds = 4;
  // One step in so many; 0 none.
  uint64_t disconnect_odds = 16;
  uint64_t pause_odds = 10;
  uint64_t protocol_error_odds = 40;
};

// Draws the options themselves: many small odd workloads beat one average one.
ShardsWorkloadOptions DrawShardsWorkloadOptions(Prng& prng);
Workload GenerateShardsWorkload(Prng& prng, const ShardsWorkloadOptions& options);

// A key of theirs, which half of the time is the first one; `together`: all such are on one shard.
Bytes DrawShardsKey(Prng& prng, const ShardsWorkloadOptions& options, bool together);

}  // namespace orrery::scenarios
