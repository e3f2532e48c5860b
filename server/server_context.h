// What the commands of a shard work on, and what they may know of the server around them.
//
// The shard fills in the clocks once a turn: a command asks no clock, and all commands of a turn
// see one time. Owned by the shard, used by its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/prng.h"
#include "base/units.h"
#include "runtime/ring/kernel.h"
#include "server/client.h"
#include "server/config.h"
#include "server/keyspace.h"
#include "server/push_message.h"
#include "server/server_stats.h"
#include "server/slow_log.h"
#include "server/subscriptions.h"
#include "server/watch_table.h"

namespace orrery::server {

class Command;
class CommandTable;
class ConfigStore;
class GatherStarter;
class RemoteListeners;

// What clients are told that they speak to. The commands behave as this version of Redis.
inline constexpr const char kRedisVersion[] = "7.0.15";

// Why the server ends the connection of a client that has done nothing wrong but cost too much.
enum class CutReason : uint8_t {
  kIdle,    // timeout
  kInput,   // client-query-buffer-limit
  kOutput,  // client-output-buffer-limit
};

// Sees every client that is let in until it has gone, every command right before it runs, and every
// key that expires.
class CommandObserver : public ExpiryObserver {
 public:
  virtual void OnClient(const Client&) {}
  // The server is about to cut it off.
  virtual void OnCutOff(const Client&, CutReason) {}
  // It listens to nothing any more, because it is about to go.
  virtual void OnLeaving(const Client&) {}
  virtual void OnClientGone(const Client&) {}
  // `command` is valid during the call.
  virtual void OnCommand(const Client& client, const Command& command, int64_t now_ms) = 0;
  void OnExpired(std::string_view, int64_t) override {}
};

// What the client's connection holds.
struct ClientMemory {
  size_t input_bytes = 0;        // Received and not processed.
  size_t input_free_bytes = 0;   // Room for more of it.
  size_t parser_bytes = 0;       // Memory for what is known of an unfinished frame.
  size_t transaction_bytes = 0;  // Queued commands, and watched keys.
  size_t output_bytes = 0;       // Replied and not sent.
  size_t total_bytes() const {
    return sizeof(Client) + input_bytes + input_free_bytes + parser_bytes + transaction_bytes +
           output_bytes;
  }
};

// What commands ask of the shard around them.
class ServerHost {
 public:
  virtual ~ServerHost() = default;
  // Ends the connection of a client that is not the one whose command runs; what it had to get is
  // lost, and it is in the list of clients no more.
  virtual void Kill(Client& client) = 0;
  // `config` holds from now on.
  virtual void Configure(const ServerConfig& config) = 0;
  // Sends the client what it has not asked for, at the end of the turn. False: its connection has
  // ended or is about to, and nothing more reaches it.
  virtual bool Push(Client& client, PushMessage& message) = 0;
  // Stops the server, all its shards, as a signal does: clients get their replies.
  virtual void Shutdown() = 0;
  // Fills in the client's addresses, if they can be had.
  virtual void FindAddresses(Client& client) = 0;
  virtual ClientMemory MemoryOf(const Client& client) const = 0;
  // Bytes of output that were copied, since the start: all but the bodies that are borrowed.
  // O(clients).
  virtual uint64_t CopiedOutputBytes() const = 0;
  virtual ProcessUsage Usage() = 0;
  // For how long a command takes; the time of all else is ServerContext's.
  virtual Nanoseconds MonotonicNow() = 0;
};

// CLIENT PAUSE: commands wait.
struct Pause {
  static constexpr int64_t kNone = -1;
  int64_t end_ms = kNone;   // The last millisecond of it, by the monotonic clock.
  bool writes_only = true;  // Only those that write.
};

// What runs, and on what. For INFO; texts that nobody has filled in are empty.
struct ProgramIdentity {
  int64_t process_id = 0;
  std::string executable;        // Its path.
  std::string operating_system;  // "Linux 6.18.44 x86_64".
  std::string compiler_version;
};

// Does not change while the server runs.
struct ServerIdentity {
  std::string run_id;          // 40 hexadecimal digits.
  std::string replication_id;  // The same.
  Nanoseconds started_ns = 0;
  int64_t started_s = 0;  // Unix time.
  uint64_t memory_bytes_at_start = 0;
  ProgramIdentity program;
};

struct ServerContext {
  Keyspace& keyspace;
  Subscriptions& subscriptions;
  const CommandTable& commands;
  CommandObserver* observer = nullptr;
  ServerHost* host = nullptr;  // Null in tests of commands.
  // Of how many shards this is which.
  uint32_t shards = 1;
  uint32_t shard = 0;
  GatherStarter* gathers = nullptr;  // Null where there is one shard; and so is this:
  RemoteListeners* remote_listeners = nullptr;
  WatchTable watches{keyspace};
  ServerConfig config = {};
  // Null when there is no configuration file.
  ConfigStore* config_store = nullptr;
  ServerIdentity identity = {};
  ServerStats stats = {};
  SlowLog slow_log = {};
  // While a command of another shard's client runs: where it goes if it was slow.
  std::unique_ptr<SlowCommand>* slow_visit = nullptr;
  RateMeter rates = {};
  uint32_t calls_to_timed_one = ServerStats::kTimedOneIn;
  uint32_t connected_clients = 0;
  ClientList clients = {};
  Pause pause = {};
  // The most memory that the keys have taken, as seen once in a while.
  uint64_t peak_memory_bytes = 0;
  // What a key that will expire has left, on average, of those that expiry looked at last.
  int64_t average_ttl_ms = 0;
  // What the keys of the other shards take, while there is a limit to it.
  uint64_t memory_bytes_beside = 0;
  // What is being published.
  PushMessage push = {};
  // For commands whose answer is by chance.
  Prng prng{0};

  // Unix time in milliseconds, and the monotonic clock.
  int64_t now_ms = 0;
  int64_t now_us = 0;  // The same in microseconds.
  Nanoseconds monotonic_ns = 0;
  int64_t monotonic_ms() const { return monotonic_ns / kMillisecond; }
};

}  // namespace orrery::server
