// A command whose keys are on several shards, or locked, while it runs; and its parts, which
// travel.
//
// Belongs to its home, where its client is, and outlives the client if need be. A part is of one
// shard: the keys there, their locks, and what goes to and fro. While parts are away, each is
// touched only by the shard that has it; what is not in a part is the home's, but for what is said
// to be read by all. See server/transactor.h for the protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/client_transaction.h"
#include "server/command_table.h"
#include "server/errand.h"
#include "server/gather.h"
#include "server/key_image.h"
#include "server/key_watch.h"
#include "server/lock_table.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"

namespace orrery::server {

struct Transaction;

struct TransactionPart final : Errand {
  enum class Step : uint8_t {
    kLock,  // Take the locks, then look at the keys; then to the next part, from the last one home.
    kRound,   // Put changed keys back, run `gather`, look at the keys again; then home.
    kFinish,  // Put changed keys back, release the locks; then home.
  };

  TransactionPart(unsigned its_home, Transaction& its_transaction)
      : Errand(ErrandKind::kTransactionPart, its_home), transaction(its_transaction), lock(*this) {}

  // Keys that a part keeps the memory of.
  static constexpr size_t kKeysKept = 64;

  // Adds a key; `key` is copied.
  KeyImage& AddKey(std::string_view key, KeyNeed need);
  // Forgets them.
  void ClearKeys();
  std::span<KeyImage> images() { return {keys.data(), key_count}; }

  Transaction& transaction;
  uint32_t shard = 0;
  Step step = Step::kLock;
  TransactionPart* next = nullptr;  // Of a higher shard. Null: this is the last.
  // Of this shard, in ascending order and each once. The memory of former ones is kept.
  std::vector<KeyImage> keys;
  size_t key_count = 0;
  LockRequest lock;
  bool whole = false;  // The locks are on all keys of the shard.
  // The time by which it has looked at them, in Unix milliseconds.
  int64_t looked_ms = 0;
  // What the client watches here; `changed` says whether it has.
  std::vector<KeyWatch*> watches;
  bool changed = false;
};

struct Transaction final : WideCommand {
  enum class Kind : uint8_t {
    kCommand,  // Runs at home, with the keys of the others as guests.
    kExec,     // The same, of several commands.
    kWatch,    // The parts begin to watch their keys.
    kGather,   // Each part runs `gather`, which replies.
  };

  explicit Transaction(unsigned its_home) : home(its_home) {}

  // The next one, of a higher shard than those before.
  TransactionPart& AddPart(uint32_t shard);
  // Null: it has none.
  TransactionPart* PartOf(uint32_t shard);
  // Calls visit(part) for each.
  template <typename Visit>
  void ForEachPart(Visit visit) {
    for (size_t index = 0; index < part_count; ++index) visit(parts[index]);
  }

  const unsigned home;
  // Read by all, and not changed while a part is away.
  Kind kind = Kind::kCommand;
  // Of a kGather, or of the command of an EXEC that waits for all shards.
  Gather* gather = nullptr;

  // --- The home's.

  Command command;
  const CommandSpec* spec = nullptr;
  // Of EXEC: what its client had queued and watched.
  std::unique_ptr<ClientTransaction> queue;
  // What the command needs to know of a client that has gone.
  uint64_t client_id = 0;
  RespVersion version = RespVersion::k2;
  bool no_touch = false;
  bool authenticated = false;

  // In ascending order of their shards; the memory of former ones is kept.
  std::deque<TransactionPart> parts;
  size_t part_count = 0;
  bool whole = false;  // All keys of all shards.
  size_t parts_away = 0;
  Transaction* next = nullptr;  // In the pool.

 private:
  static constexpr size_t kBlocksKept = 2;
  OutputBlockPool blocks_{kBlocksKept};

 public:
  PendingOutput reply{blocks_};
};

}  // namespace orrery::server
