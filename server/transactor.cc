#include "server/transactor.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "server/entry.h"
#include "server/exec.h"
#include "server/execute.h"
#include "server/hash_slot.h"

namespace orrery::server {
namespace {

constexpr std::string_view kExecName = "exec";
constexpr std::string_view kWatchName = "watch";

// Calls visit(key) for each argument that is a key.
template <typename Visit>
void ForEachKeyOf(const Command& command, const CommandSpec& spec, Visit visit) {
  if (spec.keys.first == 0) return;
  const size_t last = spec.keys.LastOf(command.size());
  for (auto index = static_cast<size_t>(spec.keys.first); index <= last;
       index += static_cast<size_t>(spec.keys.step)) {
    visit(command[index]);
  }
}

// In an EXEC: what is not done by the keys of its commands.
bool NeedsAllShards(const CommandSpec& spec) {
  return spec.on_all_shards || spec.shard_of != nullptr;
}

// Gets an errand out of the pool, or a new one.
template <typename T, typename... Arguments>
T& TakeOrMake(ErrandPool<T>& pool, Arguments&&... arguments) {
  T* errand = pool.Take();
  return errand != nullptr ? *errand : *new T(std::forward<Arguments>(arguments)...);
}

}  // namespace

Transactor::Transactor(ServerContext& server, TransactorHost& host, unsigned self, unsigned shards)
    : server_(server), host_(host), self_(self), shards_(shards), concerned_(shards) {}

Transactor::~Transactor() {
  ORRERY_CHECK_MSG(idle(), "a shard died before its transactions had ended");
}

// --- Commands on one shard

bool Transactor::MustWait(const Command& command, const CommandSpec& spec) {
  if (spec.keys.first == 0) return !locks_.empty();
  bool locked = false;
  ForEachKeyOf(command, spec, [&](std::string_view key) {
    locked = locked || locks_.IsLocked(server_.keyspace.Hash(key));
  });
  return locked;
}

void Transactor::Wait(LockRequest& lock, const Command& command, const CommandSpec& spec) {
  ORRERY_MARK("transaction.command-waits-for-locks");
  lock.Clear();
  if (spec.keys.first == 0) lock.AddWholeShard();
  ForEachKeyOf(command, spec,
               [&](std::string_view key) { lock.AddKey(server_.keyspace.Hash(key)); });
  if (locks_.Acquire(lock)) host_.OnLocked(lock.errand());
}

void Transactor::Release(LockRequest& lock) {
  locks_.Release(lock);
  if (granting_) return;
  granting_ = true;
  while (LockRequest* granted = locks_.NextGranted()) {
    if (granted->errand().kind == ErrandKind::kTransactionPart) {
      OnLocked(static_cast<TransactionPart&>(granted->errand()));
    } else {
      host_.OnLocked(granted->errand());
    }
  }
  granting_ = false;
}

// --- As a home: the start

Transaction* Transactor::MakeIfNeeded(Command& command, const CommandSpec& its_spec,
                                      Client& client) {
  const CommandSpec* spec = its_spec.ForCall(command);
  if (spec == nullptr) return nullptr;
  if (client.in_multi()) {
    const bool runs = spec->name == kExecName && !client.transaction->refused;
    return runs && !ExecIsLocal(client) ? &MakeExec(command, its_spec, client) : nullptr;
  }
  if (spec->name == kWatchName) {
    return IsHere(command, *spec) ? nullptr : &MakeWatch(command, its_spec, client);
  }
  return IsOnOneShard(command, *spec) ? nullptr : &MakeCommand(command, its_spec, client);
}

bool Transactor::IsHere(const Command& command, const CommandSpec& spec) {
  bool here = true;
  ForEachKeyOf(command, spec, [&](std::string_view key) {
    here = here && ShardOfKey(key, shards_) == self_ &&
           (locks_.empty() || !locks_.IsLocked(server_.keyspace.Hash(key)));
  });
  return here;
}

bool Transactor::IsOnOneShard(const Command& command, const CommandSpec& spec) const {
  std::optional<uint32_t> first;
  bool one = true;
  ForEachKeyOf(command, spec, [&](std::string_view key) {
    const uint32_t shard = ShardOfKey(key, shards_);
    one = one && shard == first.value_or(shard);
    first = shard;
  });
  return one;
}

bool Transactor::ExecIsLocal(const Client& client) {
  const ClientTransaction& transaction = *client.transaction;
  bool local = transaction.watches_elsewhere.empty();
  for (const ClientTransaction::QueuedCommand& queued : transaction.commands) {
    local = local && !NeedsAllShards(*queued.spec) && IsHere(queued.command, *queued.spec);
  }
  transaction.watched.ForEachHash(
      [&](uint64_t hash) { local = local && (locks_.empty() || !locks_.IsLocked(hash)); });
  return local;
}

Transaction& Transactor::New(Transaction::Kind kind, Client& client) {
  ++in_progress_;
  Transaction& transaction = TakeOrMake(transaction_pool_, self_);
  transaction.kind = kind;
  transaction.client_id = client.id;
  transaction.version = client.version;
  transaction.no_touch = client.no_touch;
  transaction.authenticated = client.authenticated;
  wanted_.clear();
  concerned_.assign(shards_, false);
  return transaction;
}

Transaction& Transactor::MakeCommand(Command& command, const CommandSpec& its_spec,
                                     Client& client) {
  Transaction& transaction = New(Transaction::Kind::kCommand, client);
  transaction.spec = &its_spec;
  transaction.command.TakeOver(command, kSharedValueMin);
  Want(transaction.command, *its_spec.ForCall(transaction.command));
  MakeParts(transaction);
  return transaction;
}

Transaction& Transactor::MakeExec(Command& command, const CommandSpec& its_spec, Client& client) {
  Transaction& transaction = New(Transaction::Kind::kExec, client);
  transaction.spec = &its_spec;
  transaction.command.TakeOver(command, kSharedValueMin);
  transaction.queue = std::move(client.transaction);
  for (const ClientTransaction::QueuedCommand& queued : transaction.queue->commands) {
    Want(queued.command, *queued.spec);
    transaction.whole = transaction.whole || NeedsAllShards(*queued.spec);
  }
  if (!transaction.queue->watched.empty()) concerned_[self_] = true;
  for (const KeyWatch* watch : transaction.queue->watches_elsewhere) {
    concerned_[watch->shard] = true;
  }
  MakeParts(transaction);
  for (KeyWatch* watch : transaction.queue->watches_elsewhere) {
    transaction.PartOf(watch->shard)->watches.push_back(watch);
  }
  return transaction;
}

Transaction& Transactor::MakeWatch(Command& command, const CommandSpec& its_spec, Client& client) {
  Transaction& transaction = New(Transaction::Kind::kWatch, client);
  transaction.spec = &its_spec;
  transaction.command.TakeOver(command, kSharedValueMin);
  Want(transaction.command, its_spec);
  for (Wanted& wanted : wanted_) wanted.need = KeyNeed::kNothing;
  MakeParts(transaction);
  transaction.ForEachPart([&](TransactionPart& part) {
    if (!IsGuest(part)) return;
    KeyWatch& watch = TakeOrMake(watch_pool_, self_, static_cast<KeyWatchOwner&>(*this));
    watch.shard = part.shard;
    watch.memory_bytes = 0;
    for (const KeyImage& image : part.images()) {
      watch.memory_bytes += WatchSet::kBytesPerKey + image.key.size();
    }
    part.watches.push_back(&watch);
  });
  return transaction;
}

Transaction& Transactor::MakeGather(Gather& gather, Client& client) {
  Transaction& transaction = New(Transaction::Kind::kGather, client);
  transaction.gather = &gather;
  transaction.whole = true;
  MakeParts(transaction);
  return transaction;
}

void Transactor::Want(const Command& command, const CommandSpec& spec) {
  ForEachKeyOf(command, spec, [&](std::string_view key) {
    const uint32_t shard = ShardOfKey(key, shards_);
    concerned_[shard] = true;
    wanted_.push_back({.shard = shard, .key = key, .need = spec.key_need});
  });
}

void Transactor::MakeParts(Transaction& transaction) {
  if (transaction.whole) concerned_.assign(shards_, true);
  // Of one key, who needs most comes first.
  std::ranges::sort(wanted_, [](const Wanted& a, const Wanted& b) {
    return std::tie(a.shard, a.key, b.need) < std::tie(b.shard, b.key, a.need);
  });
  auto wanted = wanted_.begin();
  for (uint32_t shard = 0; shard < shards_; ++shard) {
    if (!concerned_[shard]) continue;
    TransactionPart& part = transaction.AddPart(shard);
    part.whole = transaction.whole;
    for (; wanted != wanted_.end() && wanted->shard == shard; ++wanted) {
      if (part.key_count > 0 && part.images().back().key == wanted->key) continue;
      part.AddKey(wanted->key, wanted->need);
    }
  }
}

void Transactor::Start(Transaction& transaction) {
  ORRERY_CHECK(transaction.part_count > 0);
  TransactionPart& first = transaction.parts.front();
  host_.Post(first.shard, first);
}

// --- As a part

void Transactor::Receive(TransactionPart& part) {
  using Step = TransactionPart::Step;
  if (part.returning) {
    part.returning = false;
    return ReceiveHome(part);
  }
  switch (part.step) {
    case Step::kLock:
      return Lock(part);
    case Step::kRound:
      PutBack(part);
      part.transaction.gather->RunAt(server_);
      Look(part);
      return GoHome(part);
    case Step::kFinish:
      PutBack(part);
      Release(part.lock);
      return GoHome(part);
  }
}

void Transactor::Lock(TransactionPart& part) {
  part.lock.Clear();
  if (part.whole) part.lock.AddWholeShard();
  for (const KeyImage& image : part.images()) part.lock.AddKey(server_.keyspace.Hash(image.key));
  const auto add = [&part](uint64_t hash) { part.lock.AddKey(hash); };
  for (const KeyWatch* watch : part.watches) watch->set.ForEachHash(add);
  // At home, what the client watches here is in the transaction.
  if (!IsGuest(part) && part.transaction.queue != nullptr) {
    part.transaction.queue->watched.ForEachHash(add);
  }
  if (locks_.Acquire(part.lock)) {
    OnLocked(part);
  } else {
    ORRERY_MARK("transaction.part-waits-for-locks");
  }
}

void Transactor::OnLocked(TransactionPart& part) {
  const Transaction& transaction = part.transaction;
  if (transaction.kind == Transaction::Kind::kGather) transaction.gather->RunAt(server_);
  for (KeyWatch* watch : part.watches) {
    if (transaction.kind == Transaction::Kind::kExec) {
      part.changed = part.changed || server_.watches.Changed(watch->set, server_.now_ms);
      continue;
    }
    for (const KeyImage& image : part.images()) {
      server_.watches.Watch(watch->set, server_.keyspace.WithHash(image.key), server_.now_ms);
    }
  }
  Look(part);
  if (part.next != nullptr) {
    host_.Post(part.next->shard, *part.next);
  } else {
    GoHome(part);
  }
}

void Transactor::Look(TransactionPart& part) {
  part.looked_ms = server_.now_ms;
  if (!IsGuest(part)) return;
  for (KeyImage& image : part.images()) {
    if (image.need != KeyNeed::kNothing) image.Take(server_.keyspace, server_.now_ms);
  }
}

void Transactor::PutBack(TransactionPart& part) {
  if (!IsGuest(part)) return;
  for (KeyImage& image : part.images()) {
    if (image.changed) {
      image.Put(server_.keyspace, server_.now_ms);
      image.changed = false;
    } else if (image.there) {
      image.PutAccessed(server_.keyspace, server_.now_ms);
    }
  }
}

void Transactor::GoHome(TransactionPart& part) {
  part.returning = true;
  host_.Post(part.home, part);
}

// --- As a home: the rest

void Transactor::ReceiveHome(TransactionPart& part) {
  Transaction& transaction = part.transaction;
  if (part.step == TransactionPart::Step::kLock) return Run(transaction);
  if (--transaction.parts_away > 0) return;
  if (part.step == TransactionPart::Step::kRound) {
    Run(transaction);
  } else {
    End(transaction);
  }
}

Client& Transactor::ClientOf(Transaction& transaction) {
  if (transaction.client != nullptr) return *transaction.client;
  ORRERY_MARK("transaction.client-has-gone");
  stand_in_.id = transaction.client_id;
  stand_in_.version = transaction.version;
  stand_in_.no_touch = transaction.no_touch;
  stand_in_.authenticated = transaction.authenticated;
  stand_in_.closing = stand_in_.reply_off = stand_in_.skip_reply = false;
  return stand_in_;
}

void Transactor::Run(Transaction& transaction) {
  using Kind = Transaction::Kind;
  // The latest time that any of its shards has read is the time of all: what one has seen expire
  // has expired.
  transaction.ForEachPart([this](const TransactionPart& part) {
    server_.now_ms = std::max(server_.now_ms, part.looked_ms);
  });
  Client& client = ClientOf(transaction);
  ReplyWriter reply(transaction.reply, client.version, server_.stats.errors);
  reply.set_muted(transaction.muted || transaction.client == nullptr);
  switch (transaction.kind) {
    case Kind::kGather:
      transaction.gather->Reply(server_, client, reply);
      std::exchange(transaction.gather, nullptr)->Release();
      break;
    case Kind::kWatch:
      RunWatch(transaction, reply);
      break;
    case Kind::kCommand:
      RunWithGuests(transaction, [&] { RunCommand(transaction, client, reply); });
      break;
    case Kind::kExec:
      client.transaction = std::move(transaction.queue);
      transaction.ForEachPart([&](const TransactionPart& part) {
        client.transaction->changed_elsewhere |= part.changed;
      });
      RunWithGuests(transaction, [&] { RunExec(transaction, client, reply); });
      if (transaction.gather == nullptr) break;
      transaction.queue = std::move(client.transaction);
      return Send(transaction, TransactionPart::Step::kRound);
  }
  host_.OnReply(transaction);
  Send(transaction, TransactionPart::Step::kFinish);
}

void Transactor::RunCommand(Transaction& transaction, Client& client, ReplyWriter& reply) {
  Command& command = transaction.command;
  const auto first_key = static_cast<size_t>(transaction.spec->keys.first);
  const uint64_t hash = first_key > 0 ? server_.keyspace.Hash(command[first_key]) : 0;
  Execute(command, transaction.spec, hash, client, server_, reply);
}

void Transactor::RunExec(Transaction& transaction, Client& client, ReplyWriter& reply) {
  if (transaction.gather == nullptr) return RunCommand(transaction, client, reply);
  // After a round.
  Gather& gather = *std::exchange(transaction.gather, nullptr);
  gather.Reply(server_, client, reply);
  gather.Release();
  ContinueExec(transaction.command, *transaction.spec, client, server_, reply);
}

void Transactor::RunWatch(Transaction& transaction, ReplyWriter& reply) {
  // Of its own shard, the handler does it.
  if (transaction.client != nullptr) RunCommand(transaction, *transaction.client, reply);
  transaction.ForEachPart([&](TransactionPart& part) {
    for (KeyWatch* watch : part.watches) {
      if (transaction.client != nullptr) {
        transaction.client->transaction->watches_elsewhere.push_back(watch);
      } else {
        Unwatch(*watch);
      }
    }
  });
}

bool Transactor::StartRound(Gather& gather) {
  if (running_ == nullptr) return false;
  ORRERY_CHECK(running_->whole && running_->gather == nullptr);
  running_->gather = &gather;
  ClientOf(*running_).transaction->waits = true;
  return true;
}

void Transactor::Send(Transaction& transaction, TransactionPart::Step step) {
  transaction.parts_away = transaction.part_count;
  transaction.ForEachPart([&](TransactionPart& part) {
    part.step = step;
    host_.Post(part.shard, part);
  });
}

void Transactor::End(Transaction& transaction) {
  ORRERY_CHECK(transaction.client == nullptr);
  transaction.command.Clear();
  transaction.queue.reset();
  transaction.reply.Advance(transaction.reply.size_bytes());
  transaction.ForEachPart([](TransactionPart& part) { part.ClearKeys(); });
  transaction.part_count = 0;
  transaction.whole = false;
  transaction_pool_.Give(transaction);
  --in_progress_;
}

void Transactor::Unwatch(KeyWatch& watch) {
  ++watches_away_;
  host_.Post(watch.shard, watch);
}

void Transactor::Receive(KeyWatch& watch) {
  if (!watch.returning) {
    watch.set.Clear();
    watch.returning = true;
    host_.Post(watch.home, watch);
    return;
  }
  watch.returning = false;
  --watches_away_;
  watch_pool_.Give(watch);
}

// --- Guests

template <typename Body>
void Transactor::RunWithGuests(Transaction& transaction, Body body) {
  running_ = &transaction;
  server_.watches.Suspend();
  BringGuests(transaction);
  server_.keyspace.ObserveWrites(this);
  body();
  LookAtGuests(transaction);
  server_.keyspace.ObserveWrites(nullptr);
  SendGuestsOff(transaction);
  server_.watches.Resume();
  running_ = nullptr;
}

void Transactor::BringGuests(Transaction& transaction) {
  transaction.ForEachPart([&](TransactionPart& part) {
    if (!IsGuest(part)) return;
    for (KeyImage& image : part.images()) {
      if (image.there) image.Put(server_.keyspace, server_.now_ms);
    }
  });
}

void Transactor::LookAtGuests(Transaction& transaction) {
  Keyspace& keyspace = server_.keyspace;
  transaction.ForEachPart([&](TransactionPart& part) {
    if (!IsGuest(part)) return;
    for (KeyImage& image : part.images()) {
      // One that expires now has changed, too.
      const Keyspace::Place place = keyspace.Peek(keyspace.WithHash(image.key), server_.now_ms);
      if (image.changed) {
        const KeyNeed need = std::exchange(image.need, KeyNeed::kValue);
        image.Take(keyspace, server_.now_ms);
        image.need = need;
      } else if (place) {
        image.accessed = place->accessed();
      }
    }
  });
}

void Transactor::SendGuestsOff(Transaction& transaction) {
  Keyspace& keyspace = server_.keyspace;
  transaction.ForEachPart([&](TransactionPart& part) {
    if (!IsGuest(part)) return;
    for (const KeyImage& image : part.images()) {
      const Keyspace::Place place = keyspace.Peek(keyspace.WithHash(image.key), server_.now_ms);
      if (place) keyspace.Erase(place);
    }
  });
}

void Transactor::OnWrite(std::string_view key, Write write) {
  const uint32_t shard = ShardOfKey(key, shards_);
  if (shard == self_) {
    if (!server_.watches.empty()) static_cast<WriteObserver&>(server_.watches).OnWrite(key, write);
    return;
  }
  TransactionPart* part = running_->PartOf(shard);
  ORRERY_CHECK_MSG(part != nullptr, "a command has written to a key that it has not named");
  const auto found = std::ranges::lower_bound(part->images(), key, {}, &KeyImage::key);
  ORRERY_CHECK(found != part->images().end() && found->key == key);
  found->changed = true;
}

void Transactor::OnClear() {
  ORRERY_CHECK_MSG(false, "a shard's keys are cleared on the shard itself");
}

}  // namespace orrery::server
