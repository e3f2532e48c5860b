// The family of transactions: MULTI and EXEC, and the keys that are watched meanwhile.

#include <array>
#include <memory>

#include "base/mark.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/exec.h"
#include "server/gather.h"
#include "server/hash_slot.h"

namespace orrery::server {
namespace {

ClientTransaction& TransactionOf(Client& client) {
  if (client.transaction == nullptr) client.transaction = std::make_unique<ClientTransaction>();
  return *client.transaction;
}

void Multi(CommandCall& call) {
  if (call.client.in_multi()) {
    call.reply.Error("ERR MULTI calls can not be nested");
    return;
  }
  TransactionOf(call.client).queues = true;
  call.reply.Ok();
}

void Discard(CommandCall& call) {
  if (!call.client.in_multi()) {
    call.reply.Error("ERR DISCARD without MULTI");
    return;
  }
  EndTransaction(call.client);
  call.reply.Ok();
}

void Watch(CommandCall& call) {
  if (call.client.in_multi()) {
    call.reply.Error("ERR WATCH inside MULTI is not allowed");
    return;
  }
  ClientTransaction& transaction = TransactionOf(call.client);
  const ServerContext& server = call.server;
  ForEachKey(call, [&](size_t, HashedKey key) {
    // Those of other shards are watched there (server/transactor.h).
    if (server.shards > 1 && ShardOfKey(key.bytes, server.shards) != server.shard) return;
    call.server.watches.Watch(transaction.watched, key, server.now_ms);
  });
  call.reply.Ok();
}

void Unwatch(CommandCall& call) {
  // Queued, it runs when the transaction has looked at what it watched.
  if (!call.client.in_multi()) EndTransaction(call.client);
  call.reply.Ok();
}

// A queued command of one shard that keys do not tell (SCAN): it runs there.
class VisitGather final : public Gather {
 public:
  VisitGather(unsigned shards, const ClientTransaction::QueuedCommand& queued, RespVersion version,
              bool muted)
      : queued_(queued),
        target_(queued.spec->shard_of(queued.command, shards)),
        version_(version),
        muted_(muted) {}

  void RunAt(ServerContext& shard) override {
    if (shard.shard != target_) return;
    Client visitor;
    visitor.version = version_;
    ReplyWriter reply(reply_, version_, shard.stats.errors);
    reply.set_muted(muted_);
    CommandCall call{.arguments = queued_.command,
                     .spec = *queued_.spec,
                     .client = visitor,
                     .server = shard,
                     .reply = reply,
                     .first_key_hash = 0};
    RunCommand(call);
  }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    reply.output().TakeAll(reply_);
  }

 private:
  const ClientTransaction::QueuedCommand& queued_;
  const uint32_t target_;
  const RespVersion version_;
  const bool muted_;
  OutputBlockPool blocks_;
  PendingOutput reply_{blocks_};
};

// Runs what is queued, until a command must wait. The client gets the replies that it wants: CLIENT
// REPLY may be among the commands, or the end of its connection.
void RunQueued(CommandCall& exec) {
  Client& client = exec.client;
  ClientTransaction& transaction = *client.transaction;
  while (transaction.begun < transaction.commands.size()) {
    const ClientTransaction::QueuedCommand& queued = transaction.commands[transaction.begun++];
    exec.reply.set_muted(client.reply_off || client.skip_reply || client.closing);
    const auto first_key = static_cast<size_t>(queued.spec->keys.first);
    CommandCall call{
        .arguments = queued.command,
        .spec = *queued.spec,
        .client = client,
        .server = exec.server,
        .reply = exec.reply,
        .first_key_hash = first_key > 0 ? exec.server.keyspace.Hash(queued.command[first_key]) : 0};
    if (queued.spec->shard_of != nullptr && exec.server.shards > 1) {
      const bool muted = client.reply_off || client.skip_reply || client.closing;
      RunGather<VisitGather>(call, GatherOrder::kAlone, queued, client.version, muted);
    } else {
      RunCommand(call);
    }
    if (transaction.waits) return;
  }
  EndTransaction(client);
}

void Exec(CommandCall& call) {
  Client& client = call.client;
  if (!client.in_multi()) {
    call.reply.Error("ERR EXEC without MULTI");
    return;
  }
  ClientTransaction& transaction = *client.transaction;
  const bool changed = transaction.changed_elsewhere ||
                       call.server.watches.Changed(transaction.watched, call.server.now_ms);
  if (!transaction.refused && !changed) {
    // Or its own writes would look for it.
    transaction.watched.Clear();
    call.reply.Array(transaction.commands.size());
    RunQueued(call);
    return;
  }
  ORRERY_MARK_IF(!transaction.refused, "transaction.watched-key-changed");
  if (transaction.refused) {
    call.reply.Error("EXECABORT Transaction discarded because of previous errors.");
  } else {
    call.reply.NullArray();
  }
  EndTransaction(client);
}

constexpr uint32_t kFlags = kNoScript | kLoading | kStale | kFast | kAllowBusy;

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "discard",
     .arity = 1,
     .flags = kFlags,
     .categories = kCategoryTransaction,
     .runs_in_multi = true,
     .handler = Discard,
     .group = "transactions",
     .since = "2.0.0",
     .summary = "Discard all commands issued after MULTI",
     .complexity = "O(N), when N is the number of queued commands"},
    {.name = "exec",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kSkipSlowlog,
     .categories = kCategoryTransaction,
     .runs_in_multi = true,
     .handler = Exec,
     .group = "transactions",
     .since = "1.2.0",
     .summary = "Execute all commands issued after MULTI",
     .complexity = "Depends on commands in the transaction"},
    {.name = "multi",
     .arity = 1,
     .flags = kFlags,
     .categories = kCategoryTransaction,
     .runs_in_multi = true,
     .handler = Multi,
     .group = "transactions",
     .since = "1.2.0",
     .summary = "Mark the start of a transaction block",
     .complexity = "O(1)"},
    {.name = "unwatch",
     .arity = 1,
     .flags = kFlags,
     .categories = kCategoryTransaction,
     .handler = Unwatch,
     .group = "transactions",
     .since = "2.2.0",
     .summary = "Forget about all watched keys",
     .complexity = "O(1)"},
    {.name = "watch",
     .arity = -2,
     .flags = kFlags,
     .categories = kCategoryTransaction,
     .keys = {1, -1, 1},
     .key_flags = "RO",
     .runs_in_multi = true,
     .handler = Watch,
     .group = "transactions",
     .since = "2.2.0",
     .summary = "Watch the given keys to determine execution of the MULTI/EXEC block",
     .complexity = "O(1) for every key."},
});

}  // namespace

void ContinueExec(const Command& exec, const CommandSpec& spec, Client& client,
                  ServerContext& server, ReplyWriter& reply) {
  CommandCall call{.arguments = exec,
                   .spec = spec,
                   .client = client,
                   .server = server,
                   .reply = reply,
                   .first_key_hash = 0};
  client.transaction->waits = false;
  RunQueued(call);
}

std::span<const CommandSpec> TransactionCommands() { return kCommands; }

}  // namespace orrery::server
