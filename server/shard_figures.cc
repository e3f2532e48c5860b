#include "server/shard_figures.h"

#include <algorithm>

namespace orrery::server {
namespace {

// The mean of two numbers that are means of so many each.
int64_t Mean(int64_t mean, uint64_t of, int64_t other_mean, uint64_t of_others) {
  if (of_others == 0) return mean;
  if (of == 0) return other_mean;
  const double all = static_cast<double>(of) + static_cast<double>(of_others);
  return static_cast<int64_t>((static_cast<double>(mean) * static_cast<double>(of) +
                               static_cast<double>(other_mean) * static_cast<double>(of_others)) /
                              all);
}

}  // namespace

void ShardFigures::Read(ServerContext& shard) {
  const Keyspace& keyspace = shard.keyspace;
  stats.Add(shard.stats);
  rates = shard.rates.PerSecond(shard.monotonic_ns, shard.stats.traffic());
  connected_clients = shard.connected_clients;
  for (Client* client = shard.clients.front(); client != nullptr && shard.host != nullptr;
       client = shard.clients.Next(*client)) {
    const ClientMemory memory = shard.host->MemoryOf(*client);
    client_input_bytes_max = std::max<uint64_t>(client_input_bytes_max, memory.input_bytes);
    client_output_bytes_max = std::max<uint64_t>(client_output_bytes_max, memory.output_bytes);
    clients_memory_bytes += memory.total_bytes();
  }
  if (shard.host != nullptr) output_copied_bytes = shard.host->CopiedOutputBytes();
  memory_bytes = keyspace.memory_bytes();
  memory_bytes_max = std::max(shard.peak_memory_bytes, memory_bytes);
  memory_bytes_at_start = shard.identity.memory_bytes_at_start;
  table_bytes = keyspace.table_bytes();
  keys = keyspace.size();
  keys_expiring = keyspace.expiring();
  average_ttl_ms = shard.average_ttl_ms;
  expired_stale_ppm = shard.stats.expired_stale_ppm;
  keys_expired = keyspace.counters().expired - shard.stats.expired_before;
  keys_freed = keyspace.counters().freed - shard.stats.freed_before;
  keys_dying = keyspace.dying();
}

void ShardFigures::Add(const ShardFigures& other) {
  average_ttl_ms = Mean(average_ttl_ms, keys_expiring, other.average_ttl_ms, other.keys_expiring);
  expired_stale_ppm =
      Mean(expired_stale_ppm, keys_expired, other.expired_stale_ppm, other.keys_expired);
  stats.Add(other.stats);
  rates.commands += other.rates.commands;
  rates.input_bytes += other.rates.input_bytes;
  rates.output_bytes += other.rates.output_bytes;
  connected_clients += other.connected_clients;
  client_input_bytes_max = std::max(client_input_bytes_max, other.client_input_bytes_max);
  client_output_bytes_max = std::max(client_output_bytes_max, other.client_output_bytes_max);
  clients_memory_bytes += other.clients_memory_bytes;
  output_copied_bytes += other.output_copied_bytes;
  memory_bytes += other.memory_bytes;
  memory_bytes_max += other.memory_bytes_max;
  memory_bytes_at_start += other.memory_bytes_at_start;
  table_bytes += other.table_bytes;
  keys += other.keys;
  keys_expiring += other.keys_expiring;
  keys_expired += other.keys_expired;
  keys_freed += other.keys_freed;
  keys_dying += other.keys_dying;
}

}  // namespace orrery::server
