#include "server/router.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "server/authentication.h"
#include "server/execute.h"
#include "server/hash_slot.h"
#include "server/keyspace.h"

namespace orrery::server {
namespace {

// An argument of this size or more crosses as a value of its own, which is what it is stored as.
constexpr size_t kBodyBytesMin = kSharedValueMin;

bool IsMuted(const Client& client) { return client.reply_off || client.skip_reply; }

}  // namespace

Router::Router(const ShardPlace& place, const RouterOptions& options, ServerContext& server,
               RoutedClients& clients)
    : options_(options),
      group_(*place.group),
      server_(server),
      clients_(clients),
      mail_(place.group->mailboxes(), place.index),
      self_(place.index),
      peers_(place.group->shards()),
      transactor_(server, *this, place.index, place.group->shards()) {
  ORRERY_CHECK(options.replies_max >= 1);
  ORRERY_CHECK(options.errands_max >= 1);
  server.shards = group_.shards();
  server.shard = self_;
  server.gathers = this;
  server.remote_listeners = this;
  server.subscriptions.TellOthers(group_.interest(self_));
}

Router::~Router() { ORRERY_CHECK_MSG(away_ == 0, "a shard died before its errands came home"); }

Router::Target Router::TargetOf(const Command& command, const CommandSpec* spec) const {
  if (spec != nullptr) spec = spec->ForCall(command);
  if (spec == nullptr) return {};
  if (spec->shard_of != nullptr) {
    return {.extent = Extent::kOneShard, .shard = spec->shard_of(command, server_.shards)};
  }
  if (spec->keys.first == 0) {
    const bool to_listeners = (spec->flags & kToListeners) != 0;
    return {.extent = to_listeners ? Extent::kListeners : Extent::kNoKeys};
  }
  const size_t last = spec->keys.LastOf(command.size());
  const auto step = static_cast<size_t>(spec->keys.step);
  auto index = static_cast<size_t>(spec->keys.first);
  const uint32_t shard = ShardOfKey(command[index], server_.shards);
  while ((index += step) <= last) {
    if (ShardOfKey(command[index], server_.shards) != shard) {
      return {.extent = Extent::kSeveralShards};
    }
  }
  return {.extent = Extent::kOneShard, .shard = shard};
}

bool Router::Run(Command& command, const CommandSpec* spec, const Target& target,
                 uint64_t first_key_hash, Client& client, ReplyWriter& reply) {
  ClientRoute& route = *client.route;
  if (route.wide != nullptr) return false;
  // Who may not run it is told so here.
  const bool routed = !MustAuthenticate(client, server_.config) && !client.only_listens();
  const bool in_transaction =
      client.in_multi() || (spec != nullptr && (spec->categories & kCategoryTransaction) != 0);
  if (target.extent == Extent::kOneShard && routed && !in_transaction) {
    if (route.count >= options_.replies_max) {
      ORRERY_MARK("router.replies-full");
      route.wait = RouteWait::kReplies;
      return false;
    }
    if (target.shard != self_ || MustWaitHere(command, spec)) {
      return Send(command, spec, target.shard, first_key_hash, client);
    }
    RunHere(command, spec, first_key_hash, client, reply);
    return true;
  }
  if (target.extent == Extent::kListeners && routed && !in_transaction) {
    if (!MayPublish(command, *spec, client)) return false;
    Execute(command, spec, first_key_hash, client, server_, reply);
    return true;
  }
  if (!RepliesAreIn(client)) return false;
  if (routed && (in_transaction || target.extent == Extent::kSeveralShards) && spec != nullptr) {
    if (Transaction* transaction = transactor_.MakeIfNeeded(command, *spec, client)) {
      BeginWide(*transaction, client);
      transactor_.Start(*transaction);
      return true;
    }
  }
  Execute(command, spec, first_key_hash, client, server_, reply);
  return true;
}

bool Router::MustWaitHere(const Command& command, const CommandSpec* spec) {
  return !transactor_.nothing_locked() && transactor_.MustWait(command, *spec->ForCall(command));
}

bool Router::RepliesAreIn(Client& client) {
  if (!client.owes_replies()) return true;
  if (client.route->count > 0) client.route->wait = RouteWait::kReplies;
  ORRERY_MARK("router.barrier-waits");
  return false;
}

void Router::RunHere(Command& command, const CommandSpec* spec, uint64_t first_key_hash,
                     Client& client, ReplyWriter& reply) {
  if (client.route->count == 0) {
    Execute(command, spec, first_key_hash, client, server_, reply);
    return;
  }
  ReplyWriter behind(Behind(client), client.version, server_.stats.errors);
  behind.set_muted(IsMuted(client));
  Execute(command, spec, first_key_hash, client, server_, behind);
}

PendingOutput& Router::Behind(Client& client) {
  ClientRoute& route = *client.route;
  if (!route.last->complete) {
    Enqueue(client).complete = true;
  } else {
    ++route.last->replies;
    ++route.count;
  }
  return route.last->reply;
}

CommandErrand& Router::Enqueue(Client& client) {
  CommandErrand* errand = command_pool_.Take();
  if (errand == nullptr) errand = new CommandErrand(self_, *this);
  errand->client = &client;
  ClientRoute& route = *client.route;
  (route.first == nullptr ? route.first : route.last->next) = errand;
  route.last = errand;
  ++route.count;
  return *errand;
}

bool Router::HasCredit(uint32_t shard, Client& client) {
  Peer& peer = peers_[shard];
  const bool others_first = !peer.stalled.empty() && &client != resumed_;
  if (peer.away < options_.errands_max && !others_first) return true;
  ORRERY_MARK("router.no-credit");
  client.route->wait = RouteWait::kCredit;
  client.route->stalled_for = shard;
  peer.stalled.PushBack(*client.route);
  ++stalled_;
  return false;
}

bool Router::Send(Command& command, const CommandSpec* spec, uint32_t shard,
                  uint64_t first_key_hash, Client& client) {
  if (!HasCredit(shard, client)) return false;
  client.last_command = spec->ForCall(command);
  CommandErrand& errand = Enqueue(client);
  errand.target = shard;
  errand.client_id = client.id;
  errand.version = client.version;
  errand.muted = IsMuted(client);
  errand.no_touch = client.no_touch;
  errand.spec = spec;
  errand.command.TakeOver(command, kBodyBytesMin);
  ++peers_[shard].away;
  ++away_;
  if (shard == self_) {
    Arrive(errand, first_key_hash);
  } else {
    Post(shard, errand);
  }
  return true;
}

// --- What comes by mail

bool Router::Turn() {
  const size_t received = mail_.Drain([this](unsigned, Errand* errand) { Receive(*errand); });
  RunArrived();
  // Serving one may touch others.
  for (size_t i = 0; i < touched_.size(); ++i) {
    if (touched_[i] != nullptr) Serve(*touched_[i]);
  }
  touched_.clear();
  if (stalled_ > 0) SpendCredit();
  return received > 0;
}

void Router::Receive(Errand& errand) {
  if (errand.kind == ErrandKind::kCommand && !errand.returning) {
    if (arrived_count_ == kArrivedMax) RunArrived();
    arrived_[arrived_count_++] = static_cast<CommandErrand*>(&errand);
    return;
  }
  RunArrived();  // In the order in which they were sent.
  switch (errand.kind) {
    case ErrandKind::kCommand:
      return ComeHome(static_cast<CommandErrand&>(errand));
    case ErrandKind::kGatherPart:
      return ReceivePart(static_cast<GatherPart&>(errand));
    case ErrandKind::kPublicationPart:
      return ReceivePart(static_cast<PublicationPart&>(errand));
    case ErrandKind::kConnection:
      return ReceiveConnection(static_cast<ConnectionErrand&>(errand));
    case ErrandKind::kTransactionPart:
      return transactor_.Receive(static_cast<TransactionPart&>(errand));
    case ErrandKind::kKeyWatch:
      return transactor_.Receive(static_cast<KeyWatch&>(errand));
    case ErrandKind::kLentBody: {
      auto& lent = static_cast<LentBody&>(errand);
      lent.body = {};
      loan_pool_.Give(lent);
      --lent_;
      return;
    }
    case ErrandKind::kFarewell:
      ++farewells_;
      return;
  }
}

void Router::RunArrived() {
  const Keyspace& keyspace = server_.keyspace;
  std::array<uint64_t, kArrivedMax> hashes{};
  std::array<Keyspace::BucketHint, kArrivedMax> buckets{};
  for (size_t i = 0; i < arrived_count_; ++i) {
    const CommandErrand& errand = *arrived_[i];
    const auto key = static_cast<size_t>(errand.spec->keys.first);
    if (key == 0) continue;
    hashes[i] = keyspace.Hash(errand.command[key]);
    buckets[i] = keyspace.PrefetchBucket(hashes[i]);
  }
  for (size_t i = 0; i < arrived_count_; ++i) {
    if (buckets[i] != nullptr) Keyspace::PrefetchEntry(buckets[i], hashes[i]);
  }
  for (size_t i = 0; i < arrived_count_; ++i) Arrive(*arrived_[i], hashes[i]);
  arrived_count_ = 0;
}

void Router::Arrive(CommandErrand& errand, uint64_t first_key_hash) {
  if (MustWaitHere(errand.command, errand.spec)) {
    transactor_.Wait(errand.lock, errand.command, *errand.spec->ForCall(errand.command));
  } else {
    RunErrand(errand, first_key_hash);
  }
}

void Router::OnLocked(Errand& locked) {
  auto& errand = static_cast<CommandErrand&>(locked);
  const auto key = static_cast<size_t>(errand.spec->keys.first);
  RunErrand(errand, key > 0 ? server_.keyspace.Hash(errand.command[key]) : 0);
  transactor_.Release(errand.lock);
}

void Router::OnReply(Transaction& transaction) {
  EndWide(transaction, [&](Client& client, ReplyWriter& reply) {
    reply.output().TakeAll(transaction.reply);
    // CLIENT REPLY SKIP within an EXEC is for the command behind it.
    client.skip_reply = std::exchange(client.skip_next_reply, false);
  });
}

void Router::RunErrand(CommandErrand& errand, uint64_t first_key_hash) {
  visitor_.id = errand.client_id;
  visitor_.version = errand.version;
  visitor_.no_touch = errand.no_touch;
  ReplyWriter reply(errand.reply, errand.version, server_.stats.errors);
  reply.set_muted(errand.muted);
  server_.slow_visit = &errand.slow;
  Execute(errand.command, errand.spec, first_key_hash, visitor_, server_, reply);
  server_.slow_visit = nullptr;
  errand.command.Clear();  // Bodies are counted on this thread.
  errand.reply.ForEachBody([&](SharedBytes& body) { body = Lend(std::move(body), errand.router); });
  errand.returning = true;
  Post(errand.home, errand);
}

SharedBytes Router::Lend(SharedBytes body, Router& borrower) {
  LentBody* lent = loan_pool_.Take();
  if (lent == nullptr) lent = new LentBody(self_);
  lent->body = std::move(body);
  lent->borrower = &borrower;
  ++lent_;
  ORRERY_MARK("router.body-lent");
  return SharedBytes::Lend(lent->body.view(), *lent);
}

void LentBody::OnReturned() { borrower->GiveBack(*this); }

void Router::ComeHome(CommandErrand& errand) {
  --away_;
  --peers_[errand.target].away;
  if (errand.slow != nullptr) [[unlikely]] {
    KeepSlow(std::move(*std::exchange(errand.slow, nullptr)), errand.client, server_);
  }
  errand.returning = false;
  errand.complete = true;
  if (errand.client != nullptr) {
    Touch(*errand.client);
  } else {
    Release(errand);
  }
}

void Router::Touch(Client& client) {
  if (std::exchange(client.route->touched, true)) return;
  touched_.push_back(&client);
}

void Router::Release(CommandErrand& errand) {
  errand.reply.Advance(errand.reply.size_bytes());
  errand.client = nullptr;
  errand.complete = false;
  errand.publication = false;
  errand.replies = 1;
  command_pool_.Give(errand);
}

void Router::HandOut(int descriptor) {
  ConnectionErrand* errand = connection_pool_.Take();
  if (errand == nullptr) errand = new ConnectionErrand(self_);
  errand->descriptor = descriptor;
  ++away_;
  Post(next_to_serve_, *errand);
  next_to_serve_ = (next_to_serve_ + 1) % server_.shards;
}

void Router::ReceiveConnection(ConnectionErrand& errand) {
  if (errand.returning) {
    errand.returning = false;
    --away_;
    connection_pool_.Give(errand);
    return;
  }
  clients_.Adopt(errand.descriptor);
  errand.returning = true;
  Post(errand.home, errand);
}

// --- What clients get of it

void Router::Serve(Client& client) {
  client.route->touched = false;
  PendingOutput* output = clients_.OutputOf(client);
  if (output == nullptr) {
    Forget(client);
    return;
  }
  Collect(client, *output);
  clients_.Continue(client);
}

void Router::Collect(Client& client, PendingOutput& output) {
  ClientRoute& route = *client.route;
  while (route.first != nullptr && route.first->complete) {
    CommandErrand& errand = *std::exchange(route.first, route.first->next);
    route.count -= errand.replies;
    if (errand.publication) --route.publications;
    output.TakeAll(errand.reply);
    Release(errand);
  }
  if (route.first != nullptr) return;
  route.last = nullptr;
  if (route.wait == RouteWait::kReplies) route.wait = RouteWait::kNothing;
}

void Router::SpendCredit() {
  for (Peer& peer : peers_) {
    while (peer.away < options_.errands_max && !peer.stalled.empty()) {
      resumed_ = &peer.stalled.PopFront()->client;
      --stalled_;
      resumed_->route->wait = RouteWait::kNothing;
      clients_.Continue(*resumed_);
    }
  }
  resumed_ = nullptr;
}

void Router::Forget(Client& client) {
  ClientRoute& route = *client.route;
  while (route.first != nullptr) {
    CommandErrand& errand = *std::exchange(route.first, route.first->next);
    errand.client = nullptr;
    ORRERY_MARK_IF(!errand.complete, "router.client-gone-before-its-reply");
    if (errand.complete) Release(errand);
  }
  route.last = nullptr;
  route.count = route.publications = 0;
  if (route.wide != nullptr) std::exchange(route.wide, nullptr)->client = nullptr;
  if (route.stalled_link.linked()) {
    ORRERY_MARK("router.client-gone-without-credit");
    peers_[route.stalled_for].stalled.Remove(route);
    --stalled_;
  }
  if (std::exchange(route.touched, false)) {
    std::ranges::replace(touched_, &client, static_cast<Client*>(nullptr));
  }
}

// --- Wide commands

void Router::BeginWide(WideCommand& wide, Client& client) {
  ORRERY_CHECK(!client.owes_replies());
  wide.client = &client;
  wide.muted = IsMuted(client);
  client.route->wide = &wide;
  client.route->wait = RouteWait::kCommand;
}

void Router::Start(CommandCall& call, Gather& gather, GatherOrder order) {
  if (transactor_.StartRound(gather)) return;
  if (order == GatherOrder::kAlone) {
    Transaction& transaction = transactor_.MakeGather(gather, call.client);
    BeginWide(transaction, call.client);
    transactor_.Start(transaction);
    return;
  }
  GatherRun* run = gather_pool_.Take();
  if (run == nullptr) run = new GatherRun(self_, server_.shards);
  run->gather = &gather;
  run->order = order;
  BeginWide(*run, call.client);
  if (order == GatherOrder::kOneByOne) {
    run->parts_left = 1;
    ++away_;
    Post(0, run->parts.front());
    return;
  }
  run->parts_left = server_.shards;
  away_ += server_.shards;
  for (uint32_t shard = 0; shard < server_.shards; ++shard) Post(shard, run->parts[shard]);
}

void Router::ReceivePart(GatherPart& part) {
  GatherRun& run = part.run;
  if (!part.returning) {
    run.gather->RunAt(server_);
    const bool goes_round = run.order == GatherOrder::kOneByOne && self_ + 1 < server_.shards;
    part.returning = !goes_round;
    Post(goes_round ? self_ + 1 : part.home, part);
    return;
  }
  part.returning = false;
  --away_;
  if (--run.parts_left > 0) return;
  EndWide(run,
          [&](Client& client, ReplyWriter& reply) { run.gather->Reply(server_, client, reply); });
  std::exchange(run.gather, nullptr)->Release();
  gather_pool_.Give(run);
}

// --- The end

void Router::Leave() {
  ORRERY_CHECK(idle() && !left_);
  left_ = true;
  for (uint32_t shard = 0; shard < server_.shards; ++shard) {
    if (shard != self_) Post(shard, group_.farewell(self_));
  }
}

bool Router::all_left() const {
  if (!left_ || farewells_ + 1 < server_.shards || lent_ > 0 || mail_.work_left()) return false;
  for (uint32_t shard = 0; shard < server_.shards; ++shard) {
    if (mail_.backlog(shard) > 0) return false;
  }
  return true;
}

}  // namespace orrery::server
