// What INFO says of a shard, as numbers; those of several shards are added up.
//
// Read on the shard's thread; a value from then on.
#pragma once

#include <cstdint>

#include "server/server_context.h"
#include "server/server_stats.h"

namespace orrery::server {

struct ShardFigures {
  // What the shard counts now. REQUIRES: nothing has been read or added.
  void Read(ServerContext& shard);
  // Both together.
  void Add(const ShardFigures& other);

  ServerStats stats;
  Traffic rates;  // A second.
  uint64_t connected_clients = 0;
  // Of the client that has most of it.
  uint64_t client_input_bytes_max = 0;
  uint64_t client_output_bytes_max = 0;
  uint64_t clients_memory_bytes = 0;
  uint64_t output_copied_bytes = 0;  // Since the start.
  uint64_t memory_bytes = 0;         // Of the keys, and of the table that holds them.
  uint64_t memory_bytes_max = 0;
  uint64_t memory_bytes_at_start = 0;
  uint64_t table_bytes = 0;
  uint64_t keys = 0;
  uint64_t keys_expiring = 0;
  // What a key that will expire has left, and of a million keys how many are found expired: of all
  // shards, as far as they have such keys.
  int64_t average_ttl_ms = 0;
  int64_t expired_stale_ppm = 0;
  // Since the statistics were reset.
  uint64_t keys_expired = 0;
  uint64_t keys_freed = 0;
  uint64_t keys_dying = 0;  // Still to be freed.
};

}  // namespace orrery::server
