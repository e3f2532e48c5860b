// What the commands of a shard work on, and what they may know of the server around them.
//
// The shard fills in the clocks once a turn: a command asks no clock, and all commands of a turn
// see one time. Owned by the shard, used by its thread only.
#pragma once

#include <cstdint>
#include <string>

#include "base/prng.h"
#include "base/units.h"
#include "server/config.h"
#include "server/keyspace.h"

namespace orrery::server {

struct Client;
class Command;
class CommandTable;

// What clients are told that they speak to. The commands behave as this version of Redis.
inline constexpr const char kRedisVersion[] = "7.0.15";

// Sees every command right before it runs.
class CommandObserver {
 public:
  virtual ~CommandObserver() = default;
  // `command` is valid during the call.
  virtual void OnCommand(const Client& client, const Command& command, int64_t now_ms) = 0;
};

// Counted since the start or CONFIG RESETSTAT.
struct ServerStats {
  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands_processed = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  uint64_t protocol_errors = 0;
  // Of Keyspace::Counters::expired, what was before the last CONFIG RESETSTAT.
  uint64_t expired_before = 0;
};

// Does not change while the server runs.
struct ServerIdentity {
  std::string run_id;  // 40 hexadecimal digits.
  int64_t process_id = 0;
  Nanoseconds started_ns = 0;
};

struct ServerContext {
  Keyspace& keyspace;
  const CommandTable& commands;
  CommandObserver* observer = nullptr;
  ServerConfig config = {};
  ServerIdentity identity = {};
  ServerStats stats = {};
  uint32_t connected_clients = 0;
  // For commands whose answer is by chance.
  Prng prng{0};

  // Unix time in milliseconds, and the monotonic clock.
  int64_t now_ms = 0;
  Nanoseconds monotonic_ns = 0;
};

}  // namespace orrery::server
