// Commands that concern all shards or all clients: DBSIZE, KEYS, CLIENT LIST, CONFIG SET and so on.
//
// Such a command is a class: what it does on each shard, and how its reply is made of what it has
// found there. With one shard both happen at once. With several, a part goes to each, and the
// client's later commands wait for the reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "server/command_table.h"
#include "server/reply_writer.h"
#include "server/server_context.h"

namespace orrery::server {

class Gather {
 public:
  virtual ~Gather() = default;
  // On each shard once, on that shard's thread; several at the same time. Writes only what is this
  // shard's (PerShard). The command's arguments are gone by then.
  virtual void RunAt(ServerContext& shard) = 0;
  // At home, when all parts are done. Not called when the client has gone.
  virtual void Reply(ServerContext& home, Client& client, ReplyWriter& reply) = 0;
  // It is not used any more.
  virtual void Release() { delete this; }
};

enum class GatherOrder : uint8_t {
  kAtOnce,
  // Shard 0 first, then 1, and so on: of two commands that change something, all shards see the
  // same one first.
  kOneByOne,
  // Nothing else happens meanwhile: no command on any key (server/transactor.h).
  kAlone,
};

// What each shard has found: its own, until the gather is complete.
template <typename T>
class PerShard {
 public:
  explicit PerShard(unsigned shards) : others_(shards - 1) {}
  T& operator[](size_t shard) { return shard == 0 ? first_ : others_[shard - 1]; }
  template <typename Visit>
  void ForEach(Visit visit) {
    visit(first_);
    for (T& other : others_) visit(other);
  }

 private:
  T first_{};  // Of the only shard of most servers, without an allocation.
  std::vector<T> others_;
};

// Where there are several shards: sends the parts (server/router.h). Each command is for the reply.
class GatherStarter {
 public:
  virtual ~GatherStarter() = default;
  virtual void Start(CommandCall& call, Gather& gather, GatherOrder order) = 0;
};

// Runs a `T(number of shards, arguments...)`. The last thing that a handler does.
// REQUIRES: the command asks all shards, or one of them, by its CommandSpec.
template <typename T, typename... Arguments>
void RunGather(CommandCall& call, GatherOrder order, Arguments&&... arguments) {
  ORRERY_CHECK(call.spec.on_all_shards || call.spec.shard_of != nullptr);
  const unsigned shards = call.server.shards;
  if (call.server.gathers != nullptr) {
    auto gather = std::make_unique<T>(shards, std::forward<Arguments>(arguments)...);
    call.server.gathers->Start(call, *gather.release(), order);
    return;
  }
  T gather(shards, std::forward<Arguments>(arguments)...);
  gather.RunAt(call.server);
  gather.Reply(call.server, call.client, call.reply);
}

}  // namespace orrery::server
