// What a client has between MULTI, or WATCH, and the end of its transaction.
//
// Most clients have none. Queued commands hold copies of their arguments (large ones are moved), so
// they outlive the input that they came in; the client-query-buffer-limit counts them. Owned by the
// client, used by the shard's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "server/entry.h"
#include "server/key_watch.h"
#include "server/resp_parser.h"
#include "server/watch_table.h"

namespace orrery::server {

struct CommandSpec;

struct ClientTransaction {
  ClientTransaction() = default;
  ClientTransaction(const ClientTransaction&) = delete;
  ClientTransaction& operator=(const ClientTransaction&) = delete;
  ~ClientTransaction() {
    for (KeyWatch* watch : watches_elsewhere) watch->owner.Unwatch(*watch);
  }

  struct QueuedCommand {
    Command command;
    const CommandSpec* spec = nullptr;
  };

  // Moves the command to the end of the queue. `its_flags` are the spec's.
  void Queue(Command& command, const CommandSpec& spec, uint32_t its_flags) {
    commands.emplace_back();
    // What is long becomes what it is stored as.
    commands.back().command.TakeOver(command, kSharedValueMin);
    commands.back().spec = &spec;
    argument_bytes += commands.back().command.argument_bytes();
    flags |= its_flags;
  }
  size_t memory_bytes() const {
    size_t bytes = sizeof(ClientTransaction) + argument_bytes +
                   commands.size() * sizeof(QueuedCommand) + watched.memory_bytes();
    for (const KeyWatch* watch : watches_elsewhere) bytes += watch->memory_bytes;
    return bytes;
  }

  // After MULTI.
  bool queues = false;
  // Something after MULTI could not be queued: EXEC will run nothing.
  bool refused = false;
  std::deque<QueuedCommand> commands;
  size_t argument_bytes = 0;
  uint32_t flags = 0;  // Of all that is queued.
  // While EXEC runs: how many of them have begun, and whether the last of these waits for all
  // shards.
  size_t begun = 0;
  bool waits = false;
  // What it watches on this shard, and on others; and whether something there has changed.
  WatchSet watched;
  std::vector<KeyWatch*> watches_elsewhere;
  bool changed_elsewhere = false;
};

}  // namespace orrery::server
