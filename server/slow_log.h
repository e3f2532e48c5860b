// The commands that took long, the newest first: SLOWLOG.
//
// What it takes to know: docs/decisions/0017-the-slow-log.md. Owned by the shard, used by its
// thread only. Memory is bounded by the number of commands kept, each of which keeps little.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/units.h"
#include "server/resp_parser.h"

namespace orrery::server {

struct SlowCommand {
  int64_t id = 0;
  int64_t at_us = 0;  // Unix time.
  Nanoseconds took = 0;
  std::vector<std::string> arguments;
  // Of a client that had gone when this was known: nothing.
  std::string client_address = {};
  std::string client_name = {};
};

class SlowLog {
 public:
  // As in Redis, so many arguments of a command are kept, and so much of each.
  static constexpr size_t kArgumentsMax = 32;
  static constexpr size_t kArgumentBytesMax = 128;

  // The log of shard `shard` of `shards`: what ids are its own.
  void SetPlace(uint32_t shards, uint32_t shard) {
    id_step_ = shards;
    next_id_ = shard;
  }

  // Keeps it under an id of its own, and `commands_max` at most.
  void Add(SlowCommand command, uint64_t commands_max);
  void Trim(uint64_t commands_max);
  void Clear() { commands_.clear(); }
  const std::deque<SlowCommand>& commands() const { return commands_; }

 private:
  int64_t id_step_ = 1;
  int64_t next_id_ = 0;
  std::deque<SlowCommand> commands_;
};

// What of a command is kept: not its passwords, and not all of what is long.
std::vector<std::string> KeptArguments(const Command& command);

}  // namespace orrery::server
