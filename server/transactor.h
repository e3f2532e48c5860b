// Commands on several shards, one as if nothing else happened meanwhile: MSET and its like, EXEC,
// WATCH. A shard's end of it, as the home of some transactions and as a part of others.
//
//   LOCK    visits the shards concerned in ascending order. Each queues all of its keys in one
//           step (server/lock_table.h); when it has them all, it looks at them and sends the next
//           shard its part. The last one sends its part home: all locks are held, and this is the
//           moment at which the transaction takes place.
//   run     The home puts the other shards' keys into its own keyspace as guests, runs the ordinary
//           handlers with the ordinary client, and takes the guests out again. The reply is there.
//   FINISH  goes to all parts at once. Each puts back what has changed, and releases its locks.
//
// A transaction of a command that asks all shards in the middle of an EXEC has rounds between LOCK
// and FINISH: each part puts back what has changed, does what is asked, and looks again.
//
// A command on one shard needs none of this: where nothing is locked it runs at once, at the price
// of one branch; otherwise it waits in the queues of its keys (Wait()) like a part would, and
// holds nothing else.
//
// Why it ends: no transaction is given up, and none waits for anything but locks. One that waits
// on a shard holds locks of lower shards only; of one shard all queues have one order, that of
// coming. So of all that wait on the highest shard where anybody waits, the first waits for one
// that waits nowhere; its messages need no room that could be refused, and it ends. Whether its
// client is still there plays no part.
//
// What bounds it: a client has one transaction at a time, so a shard has as many as it has clients.
// A transaction has the keys of its commands, which the limits of a client's input bound, and
// copies of their values while it runs.
//
// Owned by the shard, used by its thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "server/client.h"
#include "server/command_table.h"
#include "server/errand.h"
#include "server/gather.h"
#include "server/lock_table.h"
#include "server/resp_parser.h"
#include "server/server_context.h"
#include "server/transaction.h"

namespace orrery::server {

// What a transactor asks of what is around it.
class TransactorHost {
 public:
  virtual ~TransactorHost() = default;
  // Sends the errand, in the order of posting. Never refused; `target` may be this shard.
  virtual void Post(unsigned target, Errand& errand) = 0;
  // An errand that had to Wait() may run now: it runs, then says Release().
  virtual void OnLocked(Errand& errand) = 0;
  // The reply is complete. Its client, if it is still there, goes on.
  virtual void OnReply(Transaction& transaction) = 0;
};

class Transactor final : private WriteObserver, private KeyWatchOwner {
 public:
  // All must outlive the transactor. Before it dies, all that it has started has ended: idle().
  Transactor(ServerContext& server, TransactorHost& host, unsigned self, unsigned shards);
  Transactor(const Transactor&) = delete;
  Transactor& operator=(const Transactor&) = delete;
  ~Transactor() override;

  // --- Of one shard.

  // Nothing is locked here.
  bool nothing_locked() const { return locks_.empty(); }
  // Whether a command on these keys, all of which are here, must wait. REQUIRES: arguments that
  // `spec` takes; it is the one to run.
  bool MustWait(const Command& command, const CommandSpec& spec);
  // Queues for the keys; `lock` belongs to the errand that OnLocked() will be called with, which
  // may be at once.
  void Wait(LockRequest& lock, const Command& command, const CommandSpec& spec);
  void Release(LockRequest& lock);

  // --- As a home. The client waits for OnReply().

  // The transaction that the client's next command needs; null: it runs on one shard, by itself.
  // `its_spec` is what the table has under its name. The transaction takes the command; Start() it
  // when it is known whom it has to answer.
  Transaction* MakeIfNeeded(Command& command, const CommandSpec& its_spec, Client& client);
  // `gather` runs on every shard, and nothing else does between.
  Transaction& MakeGather(Gather& gather, Client& client);
  void Start(Transaction& transaction);
  // While an EXEC runs that has been given all shards: one of its commands asks them all. False:
  // none runs.
  bool StartRound(Gather& gather);

  // Nothing that this shard has started is in progress.
  bool idle() const { return in_progress_ == 0 && watches_away_ == 0; }

  // --- What comes by mail.

  void Receive(TransactionPart& part);
  void Receive(KeyWatch& watch);

 private:
  // A key that a transaction wants.
  struct Wanted {
    uint32_t shard = 0;
    std::string_view key;
    KeyNeed need = KeyNeed::kNothing;
  };

  // Whether all of its keys are here, and none is locked.
  bool IsHere(const Command& command, const CommandSpec& spec);
  bool IsOnOneShard(const Command& command, const CommandSpec& spec) const;
  // Whether an EXEC of this client can run at once: all that it needs is here, and not locked.
  bool ExecIsLocal(const Client& client);
  Transaction& New(Transaction::Kind kind, Client& client);
  Transaction& MakeCommand(Command& command, const CommandSpec& its_spec, Client& client);
  Transaction& MakeExec(Command& command, const CommandSpec& its_spec, Client& client);
  Transaction& MakeWatch(Command& command, const CommandSpec& its_spec, Client& client);
  void Want(const Command& command, const CommandSpec& spec);
  // Makes the parts of what is wanted.
  void MakeParts(Transaction& transaction);
  // Whether its keys are of another shard than home.
  static bool IsGuest(const TransactionPart& part) { return part.shard != part.home; }

  // As a part.
  void Lock(TransactionPart& part);
  void OnLocked(TransactionPart& part);
  // Takes images of its keys.
  void Look(TransactionPart& part);
  void PutBack(TransactionPart& part);
  void GoHome(TransactionPart& part);

  // As a home.
  void ReceiveHome(TransactionPart& part);
  // Its client, or who stands in for it.
  Client& ClientOf(Transaction& transaction);
  // All of its parts are locked, or a round has ended.
  void Run(Transaction& transaction);
  void RunCommand(Transaction& transaction, Client& client, ReplyWriter& reply);
  void RunExec(Transaction& transaction, Client& client, ReplyWriter& reply);
  void RunWatch(Transaction& transaction, ReplyWriter& reply);
  void Send(Transaction& transaction, TransactionPart::Step step);
  void End(Transaction& transaction);

  template <typename Body>
  void RunWithGuests(Transaction& transaction, Body body);
  void BringGuests(Transaction& transaction);
  // What has become of them.
  void LookAtGuests(Transaction& transaction);
  void SendGuestsOff(Transaction& transaction);
  // WriteObserver, while guests are here.
  void OnWrite(std::string_view key, Write write) override;
  void OnClear() override;
  // KeyWatchOwner.
  void Unwatch(KeyWatch& watch) override;

  ServerContext& server_;
  TransactorHost& host_;
  const uint32_t self_;
  const uint32_t shards_;
  LockTable locks_;
  size_t in_progress_ = 0;
  size_t watches_away_ = 0;
  Transaction* running_ = nullptr;  // Its guests are here.
  bool granting_ = false;
  // Of the transaction that is being made: what keys, and which shards.
  std::vector<Wanted> wanted_;
  std::vector<bool> concerned_;
  Client stand_in_;  // For clients that have gone.
  ErrandPool<Transaction> transaction_pool_;
  ErrandPool<KeyWatch> watch_pool_;
};

}  // namespace orrery::server
