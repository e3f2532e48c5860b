// A shard that cannot start must stop the others, and be named; one that has finished must not be
// gone while another still has its messages. Real threads, rings and eventfds: shards that pass a
// message round, sleep in between, and stop; for tsan, too.
#include "runtime/shard_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/units.h"
#include "runtime/bells.h"
#include "runtime/mailboxes.h"
#include "runtime/reactor.h"
#include "runtime/ring/linux_kernel.h"

namespace orrery {
namespace {

// Travels from shard to shard, so many times, and tells everybody when it is over.
struct Token {
  uint64_t hops_left = 0;
  bool over = false;
};

struct World {
  explicit World(unsigned shards)
      : boxes({.shards = shards}), bells(Bells::Create(kernel, shards).value()) {}

  LinuxKernel kernel;
  Mailboxes<Token*> boxes;
  std::unique_ptr<Bells> bells;
  Token token;
  std::atomic<unsigned> alive = 0;
  std::atomic<uint64_t> received = 0;
  std::atomic<uint64_t> turns = 0;
  std::atomic<bool> begin_when_woken = false;
};

// The smallest application with mail.
class RelayShard final : public Application {
 public:
  static std::expected<std::unique_ptr<RelayShard>, std::string> Create(unsigned number, Ring& ring,
                                                                        World& world) {
    std::unique_ptr<RelayShard> shard(new RelayShard(number, world));
    auto reactor = Reactor::Create(ring, world.kernel, *shard, {.buffers = 8});
    if (!reactor) return std::unexpected(reactor.error().ToString());
    shard->reactor_ = std::move(*reactor);
    shard->reactor_->Watch(world.bells->eventfd(number), Reactor::Ownership::kLent);
    return shard;
  }
  ~RelayShard() override { world_.alive.fetch_sub(1); }

  EnterRequest Turn() { return reactor_->Turn(); }
  void OnEntered(const EnterResult& result) { reactor_->OnEntered(result); }
  bool finished() const { return reactor_->finished(); }

  // On the first shard's thread.
  void Begin(Token* token) { mail_.Post(0, token); }

 private:
  RelayShard(unsigned number, World& world) : world_(world), mail_(world.boxes, number) {
    world.alive.fetch_add(1);
  }

  void OnEvents(std::span<const ConnectionEvent>) override {}
  void OnWoken() override {
    if (world_.begin_when_woken.exchange(false)) Begin(&world_.token);
  }
  Nanoseconds OnTurn(Nanoseconds) override {
    world_.turns.fetch_add(1);
    mail_.Drain([this](unsigned, Token* token) { Take(token); });
    mail_.Flush([this](unsigned shard) { world_.bells->Ring(shard); });
    return kNever;
  }
  bool TrySleep() override { return mail_.TryArm(); }
  void OnAwake() override { mail_.Disarm(); }

  void Take(Token* token) {
    world_.received.fetch_add(1);
    const unsigned next = (mail_.self() + 1) % mail_.shards();
    if (token->over) {
      // It goes round once more, and stops everybody.
      if (next != 0) mail_.Post(next, token);
      reactor_->Stop();
      return;
    }
    if (token->hops_left == 0) {
      token->over = true;
      mail_.Post(0, token);
    } else {
      --token->hops_left;
      mail_.Post(next, token);
    }
  }

  World& world_;
  Mail<Token*> mail_;
  std::unique_ptr<Reactor> reactor_;
};

auto MakeRelay(World& world) {
  return [&world](unsigned number, Ring& ring) { return RelayShard::Create(number, ring, world); };
}

TEST(ShardThreads, PassMessagesAndStop) {
  constexpr uint64_t kHops = 2'000;
  for (const unsigned shards : {1U, 2U, 3U}) {
    World world(shards);
    world.token.hops_left = kHops;
    const auto result = RunShards<RelayShard>(world.kernel, {.shards = shards}, MakeRelay(world),
                                              [&](std::span<RelayShard* const> all) {
                                                EXPECT_EQ(all.size(), shards);
                                                EXPECT_EQ(world.alive.load(), shards);
                                                all.front()->Begin(&world.token);
                                              });
    ASSERT_TRUE(result.has_value()) << result.error();
    EXPECT_EQ(world.alive.load(), 0U);
    EXPECT_EQ(world.received.load(), kHops + 1 + shards);
  }
}

TEST(ShardThreads, OneThatCannotStartStopsTheOthers) {
  World world(3);
  bool started = false;
  const auto result = RunShards<RelayShard>(
      world.kernel, {.shards = 3},
      [&](unsigned number, Ring& ring) -> std::expected<std::unique_ptr<RelayShard>, std::string> {
        if (number > 0) return std::unexpected("no room for shard " + std::to_string(number));
        return RelayShard::Create(number, ring, world);
      },
      [&](std::span<RelayShard* const>) { started = true; });
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), "no room for shard 1");
  EXPECT_FALSE(started);
  EXPECT_EQ(world.alive.load(), 0U);
}

TEST(ShardThreads, EachKeepsToItsCore) {
  const std::vector<unsigned> cores = UsableCores();
  const auto shards = static_cast<unsigned>(cores.size()) + 1;
  World world(shards);
  std::vector<std::set<unsigned>> used(shards);
  // A thread of its own: the caller's is the first shard's, and stays pinned.
  std::thread caller([&] {
    const auto result = RunShards<RelayShard>(
        world.kernel, {.shards = shards, .pin = true},
        [&](unsigned number, Ring& ring) {
          for (const unsigned core : UsableCores()) used[number].insert(core);
          return RelayShard::Create(number, ring, world);
        },
        [&](std::span<RelayShard* const> all) { all.front()->Begin(&world.token); });
    EXPECT_TRUE(result.has_value());
  });
  caller.join();
  for (unsigned shard = 0; shard < shards; ++shard) {
    EXPECT_EQ(used[shard], std::set<unsigned>{cores[shard % cores.size()]});
  }
}

// A shard with nothing to do sleeps. (One that does not makes some hundred thousand turns in this
// time.)
TEST(ShardThreads, IdleShardsDoNotTurn) {
  constexpr unsigned kShards = 3;
  constexpr uint64_t kTurnsMax = 20;  // Of a shard: the first ones, and those of the end.
  World world(kShards);
  std::thread later([&world] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    world.begin_when_woken.store(true);
    world.bells->Ring(0);
  });
  const auto result = RunShards<RelayShard>(world.kernel, {.shards = kShards}, MakeRelay(world),
                                            [](std::span<RelayShard* const>) {});
  later.join();
  ASSERT_TRUE(result.has_value()) << result.error();
  EXPECT_LE(world.turns.load(), kTurnsMax * kShards);
}

}  // namespace
}  // namespace orrery
