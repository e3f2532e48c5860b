// Several shards and their transactors without rings, stepped in any order: every reply is that of
// one server that has all keys and executes the same commands one after the other.
//
// What would break: a command on several shards is seen by halves, a WATCH misses a change or sees
// one that was none, a transaction waits for ever or leaves a lock behind. A command takes place
// when the server says that it executes it (CommandObserver): at that moment the one server
// executes it, too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/siphash.h"
#include "server/execute.h"
#include "server/hash_slot.h"
#include "server/testing_output.h"
#include "server/testing_session.h"
#include "server/transactor.h"
#include "tests/scenarios/command_generator.h"
#include "tests/scenarios/resp.h"

namespace orrery::server {
namespace {

// What differs for each client or server, and what is about all keys.
bool IsComparable(const std::vector<std::string>& arguments, const CommandSpec* spec) {
  if (spec == nullptr) return true;
  static constexpr std::string_view kRunAlone[] = {"multi",   "exec", "discard", "watch",
                                                   "unwatch", "echo", "ping"};
  if (std::ranges::find(kRunAlone, spec->name) != std::end(kRunAlone)) return true;
  if (!spec->subcommands.empty()) {
    const CommandSpec* sub = arguments.size() > 1 ? spec->FindSubcommand(arguments[1]) : nullptr;
    return sub != nullptr && sub->keys.first > 0;
  }
  return spec->keys.first > 0;
}

// A command on one shard, on its way; as simple as it can be.
struct Visit final : Errand {
  Visit(unsigned its_home, uint64_t its_client)
      : Errand(ErrandKind::kCommand, its_home), client(its_client) {}

  const uint64_t client;
  Command command;
  const CommandSpec* spec = nullptr;
  LockRequest lock{*this};
  OutputBlockPool blocks;
  PendingOutput reply{blocks};
};

class World;

class TestShard final : public TransactorHost {
 public:
  TestShard(World& world, unsigned self, unsigned shards, uint64_t seed);

  void Post(unsigned target, Errand& errand) override;
  void OnLocked(Errand& errand) override;
  void OnReply(Transaction& transaction) override;

  void Receive(Errand& errand);
  void Arrive(Visit& visit);
  void Run(Visit& visit);

  World& world;
  const unsigned self;
  Keyspace keyspace;
  Subscriptions subscriptions{keyspace.hash()};
  ServerContext context;
  Transactor transactor;
  Client visitor;
};

// What a client does: one command after the other, each when the one before is answered.
struct TestClient {
  explicit TestClient(uint64_t its_id, unsigned its_home) : home(its_home) { client.id = its_id; }

  const unsigned home;
  Client client;
  uint64_t left = 0;  // Commands.
  bool waits = false;
  Transaction* transaction = nullptr;  // That it waits for.
  std::optional<std::string> expected;
  std::string command;  // For messages.
};

class World final : public CommandObserver {
 public:
  World(uint64_t seed, unsigned shards, unsigned clients, uint64_t commands)
      : prng_(seed), options_(Options(prng_)), generator_(prng_, options_), mail_(shards * shards) {
    for (unsigned shard = 0; shard < shards; ++shard) {
      shards_.push_back(std::make_unique<TestShard>(*this, shard, shards, seed));
    }
    for (unsigned index = 0; index < clients; ++index) AddClient(commands);
    SetTime(1'700'000'000'000);
  }

  static scenarios::CommandOptions Options(Prng& prng) {
    return {.keys = prng.Between(2, 8),
            .value_bytes_max = 10'000,
            .big_value_odds = 10,
            .transaction_odds = prng.Between(2, 6)};
  }

  void SetTime(int64_t now_ms) {
    reference_.context.now_ms = now_ms;
    for (const auto& shard : shards_) shard->context.now_ms = now_ms;
  }

  // Everybody does what he has to do; false when something was wrong.
  bool Run() {
    for (;;) {
      std::vector<size_t> boxes;
      for (size_t box = 0; box < mail_.size(); ++box) {
        if (!mail_[box].empty()) boxes.push_back(box);
      }
      std::vector<uint64_t> ready;
      for (const auto& [id, client] : clients_) {
        if (!client->waits && client->left > 0) ready.push_back(id);
      }
      if (boxes.empty() && ready.empty()) break;
      if (prng_.Chance(1, 40)) SetTime(reference_.context.now_ms + prng_.Between(1, 30));
      if (prng_.Chance(1, 60)) Disconnect();
      if (!ready.empty() && (boxes.empty() || prng_.Chance(1, 3))) {
        const auto found = clients_.find(ready[prng_.Below(ready.size())]);
        if (found != clients_.end()) Issue(*found->second);
      } else {
        Deliver(boxes[prng_.Below(boxes.size())]);
      }
      if (testing::Test::HasFailure()) return false;
    }
    return CheckEnd();
  }

  bool CheckEnd() {
    for (auto& [id, client] : clients_) {
      EXPECT_FALSE(client->waits) << "client " << id << " waits for ever: " << client->command;
      EndTransaction(client->client);
    }
    while (DeliverAny()) {
    }
    for (const auto& shard : shards_) {
      EXPECT_TRUE(shard->transactor.nothing_locked());
      EXPECT_TRUE(shard->transactor.idle());
      EXPECT_TRUE(shard->context.watches.empty());
      shard->keyspace.CheckInvariants();
    }
    CheckKeys();
    return !testing::Test::HasFailure();
  }

  // Each key is where it belongs, as the one server has it.
  void CheckKeys() {
    size_t keys = 0;
    for (const auto& shard : shards_) {
      uint64_t cursor = 0;
      do {
        cursor = shard->keyspace.Scan(cursor, [&](const Entry& entry) {
          if (entry.expired(reference_.context.now_ms)) return;
          EXPECT_EQ(ShardOfKey(entry.key(), shards_.size()), shard->self);
          Keyspace& all = reference_.keyspace;
          const auto place = all.Peek(all.WithHash(entry.key()), reference_.context.now_ms);
          ASSERT_TRUE(place);
          EXPECT_EQ(place->value(), entry.value());
          EXPECT_EQ(place->expires_at_ms(), entry.expires_at_ms());
          EXPECT_EQ(place->accessed(), entry.accessed());
          ++keys;
        });
      } while (cursor != 0);
    }
    while (reference_.keyspace.ExpireSome(reference_.context.now_ms, 1'000'000).expired > 0) {
    }
    EXPECT_EQ(keys, reference_.keyspace.size());
  }

  // --- From the shards.

  void Post(unsigned source, unsigned target, Errand& errand) {
    mail_[source * shards_.size() + target].push_back(&errand);
  }

  void OnCommand(const Client& client, const Command& command, int64_t) override {
    std::vector<std::string> arguments;
    for (size_t index = 0; index < command.size(); ++index) arguments.emplace_back(command[index]);
    const auto session = sessions_.find(client.id);
    std::string reply = session->second->Call(arguments);
    const auto found = clients_.find(client.id);
    if (found == clients_.end()) return;
    ASSERT_FALSE(found->second->expected.has_value());
    found->second->expected = std::move(reply);
  }

  void OnReply(uint64_t id, PendingOutput& reply) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    TestClient& client = *found->second;
    client.waits = false;
    client.transaction = nullptr;
    ASSERT_TRUE(client.expected.has_value()) << client.command;
    ASSERT_EQ(TakeOutput(reply), *std::exchange(client.expected, std::nullopt)) << client.command;
    ++answered_;
  }

  const CommandTable& table() const { return reference_.table; }
  uint64_t answered() const { return answered_; }
  uint64_t transactions() const { return transactions_; }

 private:
  void AddClient(uint64_t commands) {
    const uint64_t id = ++last_id_;
    auto client = std::make_unique<TestClient>(id, prng_.Below(shards_.size()));
    client->left = commands;
    clients_.emplace(id, std::move(client));
    sessions_.emplace(id, std::make_unique<TestingSession>(reference_));
    // Whoever asks gets the same id from both.
    sessions_.at(id)->client().id = id;
  }

  void Issue(TestClient& client) {
    --client.left;
    std::vector<std::string> arguments;
    const CommandSpec* spec = nullptr;
    do {
      arguments = Materialize(generator_.Draw());
      spec = table().Find(arguments[0]);
    } while (!IsComparable(arguments, spec));
    // With what it has queued, for EXEC.
    if (!client.client.in_multi()) client.command.clear();
    for (const std::string& argument : arguments) {
      client.command += scenarios::Printable(argument, 20) + " ";
    }
    client.command += "; ";
    const std::string frame = TestingSession::Encode(arguments);
    Command command;
    RespParser parser;
    ASSERT_EQ(parser.Parse(frame, {}, command).status, ParseStatus::kCommand);
    client.waits = true;
    TestShard& home = *shards_[client.home];
    if (spec != nullptr) {
      if (Transaction* transaction = home.transactor.MakeIfNeeded(command, *spec, client.client)) {
        ++transactions_;
        transaction->client = &client.client;
        client.transaction = transaction;
        home.transactor.Start(*transaction);
        return;
      }
    }
    const CommandSpec* resolved = spec != nullptr ? spec->ForCall(command) : nullptr;
    const bool visits = !client.client.in_multi() && resolved != nullptr &&
                        resolved->keys.first > 0 &&
                        (resolved->categories & kCategoryTransaction) == 0;
    if (!visits) {
      OutputBlockPool blocks;
      PendingOutput output(blocks);
      ReplyWriter reply(output, client.client.version, home.context.stats.errors);
      Execute(command, spec, 0, client.client, home.context, reply);
      OnReply(client.client.id, output);
      output.Advance(output.size_bytes());
      return;
    }
    auto* visit = new Visit(client.home, client.client.id);
    visit->spec = spec;
    visit->command.TakeOver(command, kSharedValueMin);
    const size_t key = static_cast<size_t>(resolved->keys.first);
    const uint32_t shard = ShardOfKey(visit->command[key], shards_.size());
    if (shard == client.home) {
      home.Arrive(*visit);
    } else {
      home.Post(shard, *visit);
    }
  }

  void Deliver(size_t box) {
    Errand* errand = mail_[box].front();
    mail_[box].pop_front();
    shards_[box % shards_.size()]->Receive(*errand);
  }
  bool DeliverAny() {
    for (size_t box = 0; box < mail_.size(); ++box) {
      if (mail_[box].empty()) continue;
      Deliver(box);
      return true;
    }
    return false;
  }

  // One client goes, whatever it waits for, and another one comes.
  void Disconnect() {
    const auto victim =
        std::next(clients_.begin(), static_cast<ptrdiff_t>(prng_.Below(clients_.size())));
    TestClient& client = *victim->second;
    if (client.transaction != nullptr) client.transaction->client = nullptr;
    const uint64_t left = client.left;
    // What the one server knows of it goes with what is still on its way for it: a command that
    // takes place later is no change for anybody but for what it writes.
    EndTransaction(client.client);
    if (client.transaction == nullptr) EndTransaction(sessions_.at(victim->first)->client());
    clients_.erase(victim);
    if (left > 0) AddClient(left);
  }

  Prng prng_;
  const scenarios::CommandOptions options_;
  scenarios::CommandGenerator generator_;
  TestingServer reference_;
  std::map<uint64_t, std::unique_ptr<TestingSession>> sessions_;
  std::map<uint64_t, std::unique_ptr<TestClient>> clients_;
  std::vector<std::deque<Errand*>> mail_;  // By source and target.
  std::vector<std::unique_ptr<TestShard>> shards_;
  uint64_t last_id_ = 0;
  uint64_t answered_ = 0;
  uint64_t transactions_ = 0;
};

TestShard::TestShard(World& its_world, unsigned its_self, unsigned shards, uint64_t seed)
    : world(its_world),
      self(its_self),
      keyspace(SipHashKey{.low = seed, .high = its_self}),
      context{.keyspace = keyspace,
              .subscriptions = subscriptions,
              .commands = its_world.table(),
              .observer = &its_world},
      transactor(context, *this, its_self, shards) {
  context.shards = shards;
  context.shard = its_self;
  context.stats.commands = context.commands.MakeStats();
}

void TestShard::Post(unsigned target, Errand& errand) { world.Post(self, target, errand); }

void TestShard::Receive(Errand& errand) {
  switch (errand.kind) {
    case ErrandKind::kTransactionPart:
      return transactor.Receive(static_cast<TransactionPart&>(errand));
    case ErrandKind::kKeyWatch:
      return transactor.Receive(static_cast<KeyWatch&>(errand));
    default: {
      auto& visit = static_cast<Visit&>(errand);
      if (!visit.returning) return Arrive(visit);
      world.OnReply(visit.client, visit.reply);
      visit.reply.Advance(visit.reply.size_bytes());
      delete &visit;
    }
  }
}

void TestShard::Arrive(Visit& visit) {
  const CommandSpec& spec = *visit.spec->ForCall(visit.command);
  if (!transactor.nothing_locked() && transactor.MustWait(visit.command, spec)) {
    transactor.Wait(visit.lock, visit.command, spec);
  } else {
    Run(visit);
  }
}

void TestShard::OnLocked(Errand& errand) {
  auto& visit = static_cast<Visit&>(errand);
  Run(visit);
  transactor.Release(visit.lock);
}

void TestShard::Run(Visit& visit) {
  visitor.id = visit.client;
  const CommandSpec& spec = *visit.spec->ForCall(visit.command);
  const uint64_t hash = keyspace.Hash(visit.command[static_cast<size_t>(spec.keys.first)]);
  ReplyWriter reply(visit.reply, RespVersion::k2, context.stats.errors);
  Execute(visit.command, visit.spec, hash, visitor, context, reply);
  visit.returning = true;
  Post(visit.home, visit);
}

void TestShard::OnReply(Transaction& transaction) {
  Client* client = std::exchange(transaction.client, nullptr);
  if (client != nullptr) world.OnReply(client->id, transaction.reply);
}

TEST(TransactorProperty, EveryReplyIsThatOfOneServer) {
  uint64_t answered = 0;
  uint64_t transactions = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Prng prng(seed);
    const auto shards = static_cast<unsigned>(prng.Between(2, 6));
    const auto clients = static_cast<unsigned>(prng.Between(1, 8));
    World world(seed, shards, clients, 100);
    ASSERT_TRUE(world.Run()) << "seed " << seed << ", " << shards << " shards";
    answered += world.answered();
    transactions += world.transactions();
  }
  EXPECT_GT(answered, 50'000u);
  EXPECT_GT(transactions, 5'000u);
}

}  // namespace
}  // namespace orrery::server
