// The family of transactions: MULTI and EXEC, and the keys that are watched meanwhile.

#include <array>
#include <memory>

#include "base/mark.h"
#include "server/command_families.h"
#include "server/command_support.h"

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
  ForEachKey(call, [&](size_t, HashedKey key) {
    call.server.watches.Watch(transaction.watched, key, call.server.now_ms);
  });
  call.reply.Ok();
}

void Unwatch(CommandCall& call) {
  // Queued, it runs when the transaction has looked at what it watched.
  if (!call.client.in_multi()) EndTransaction(call.client);
  call.reply.Ok();
}

// The replies of the queued commands, as far as the client wants replies: CLIENT REPLY may be among
// them, or the end of its connection.
void RunQueued(CommandCall& exec, ClientTransaction& transaction) {
  Client& client = exec.client;
  exec.reply.Array(transaction.commands.size());
  for (const ClientTransaction::QueuedCommand& queued : transaction.commands) {
    exec.reply.set_muted(client.reply_off || client.skip_reply || client.closing);
    const auto first_key = static_cast<size_t>(queued.spec->keys.first);
    CommandCall call{
        .arguments = queued.command,
        .spec = *queued.spec,
        .client = client,
        .server = exec.server,
        .reply = exec.reply,
        .first_key_hash = first_key > 0 ? exec.server.keyspace.Hash(queued.command[first_key]) : 0};
    RunCommand(call);
  }
}

void Exec(CommandCall& call) {
  Client& client = call.client;
  if (!client.in_multi()) {
    call.reply.Error("ERR EXEC without MULTI");
    return;
  }
  ClientTransaction& transaction = *client.transaction;
  if (transaction.refused) {
    call.reply.Error("EXECABORT Transaction discarded because of previous errors.");
  } else if (call.server.watches.Changed(transaction.watched, call.server.now_ms)) {
    ORRERY_MARK("transaction.watched-key-changed");
    call.reply.NullArray();
  } else {
    // Or its own writes would look for it.
    transaction.watched.Clear();
    RunQueued(call, transaction);
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

std::span<const CommandSpec> TransactionCommands() { return kCommands; }

}  // namespace orrery::server
