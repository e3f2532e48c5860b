// What would break: two whole shards, each on its ring, lose a command between them, sleep while
// there is mail, or do not end together.
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "gtest/gtest.h"
#include "runtime/bells.h"
#include "runtime/test_world.h"
#include "server/hash_slot.h"
#include "server/shard.h"
#include "server/shard_group.h"
#include "tests/scenarios/server_fixture.h"

namespace orrery::scenarios {
namespace {

class ShardsTest : public ServerFixture {
 protected:
  static constexpr unsigned kShards = 3;

  void SetUp() override { Start({}); }

  void Start(const server::ShardOptions& options) {
    auto bells = Bells::Create(world_.kernel(), kShards);
    ASSERT_TRUE(bells.has_value());
    bells_ = std::move(*bells);
    group_ = std::make_unique<server::ShardGroup>(MailboxOptions{.shards = kShards, .capacity = 4},
                                                  bells_.get());
    for (unsigned index = 0; index < kShards; ++index) {
      auto ring = world_.kernel().MakeRing({});
      ASSERT_TRUE(ring.has_value()) << ring.error();
      rings_.push_back(std::move(*ring));
      auto shard = server::Shard::Create(*rings_.back(), world_.kernel(), options, nullptr,
                                         {.group = group_.get(), .index = index});
      ASSERT_TRUE(shard.has_value()) << shard.error();
      shards_.push_back(std::move(*shard));
    }
  }

  void TearDown() override {
    Stop();
    Stop();  // Peers that neither read nor leave are not waited for.
    EXPECT_TRUE(RunUntil([this] { return finished(); }));
  }

  void Stop() {
    group_->RequestStop();
    for (unsigned index = 0; index < kShards; ++index) bells_->Ring(index);
  }
  bool finished() const {
    return std::ranges::all_of(shards_, [](const auto& shard) { return shard->finished(); });
  }

  // A turn of each shard that does not wait. False: each would have slept.
  bool Round() {
    bool awake = false;
    for (unsigned index = 0; index < kShards; ++index) {
      if (shards_[index]->finished()) continue;
      EnterRequest request = shards_[index]->Turn();
      awake |= request.min_complete == 0;
      request.min_complete = 0;
      shards_[index]->OnEntered(rings_[index]->Enter(request));
    }
    return awake;
  }
  void TurnShards() override { (void)Round(); }

  Peer Connect(unsigned shard) { return world_.Connect(shards_[shard]->port()); }
  static std::string KeyOf(unsigned shard) {
    for (int number = 0;; ++number) {
      std::string key = "key:" + std::to_string(number);
      if (server::ShardOfKey(key, kShards) == shard) return key;
    }
  }
  // A pipeline of increments, each on another shard, and its replies.
  static std::pair<std::string, std::string> Increments(int rounds) {
    std::pair<std::string, std::string> pipeline;
    for (int round = 1; round <= rounds; ++round) {
      for (unsigned shard = 0; shard < kShards; ++shard) {
        pipeline.first += "INCR " + KeyOf(shard) + "\r\n";
        pipeline.second += ":" + std::to_string(round) + "\r\n";
      }
    }
    return pipeline;
  }

  std::unique_ptr<Bells> bells_;
  std::unique_ptr<server::ShardGroup> group_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::vector<std::unique_ptr<server::Shard>> shards_;
};

TEST_F(ShardsTest, APipelineOverAllShardsIsAnsweredInOrder) {
  const auto [pipeline, replies] = Increments(2000);
  Ask(Connect(1), pipeline, replies);
  Ask(Connect(0), "DBSIZE\r\nPING\r\n", ":3\r\n+PONG\r\n");
  for (unsigned index = 0; index < kShards; ++index) {
    EXPECT_EQ(shards_[index]->keyspace().size(), 1U);
  }
}

TEST_F(ShardsTest, ValuesOfAnotherShardAreSentWhole) {
  const std::string value(300'000, 'v');
  const Peer peer = Connect(0);
  const std::string bulk = "$300000\r\n" + value + "\r\n";
  Ask(peer,
      "*3\r\n$3\r\nSET\r\n$" + std::to_string(KeyOf(2).size()) + "\r\n" + KeyOf(2) + "\r\n" + bulk,
      "+OK\r\n");
  std::string gets;
  std::string bulks;
  for (int count = 0; count < 20; ++count) {
    gets += "GET " + KeyOf(2) + "\r\n";
    bulks += bulk;
  }
  Ask(peer, gets, bulks);
  EXPECT_EQ(shards_[0]->reactor().counters().copied_bytes, 0U) << "of connections that have ended";
}

TEST_F(ShardsTest, WithoutWorkTheySleepAndAreWoken) {
  const Peer peer = Connect(0);
  Ask(peer, "SET " + KeyOf(1) + " 1\r\n", "+OK\r\n");
  EXPECT_TRUE(RunUntil([this] { return !Round(); }));
  // All have announced their sleep and looked once: mail rings who is to have it.
  Ask(peer, "GET " + KeyOf(1) + "\r\n", "$1\r\n1\r\n");
  EXPECT_TRUE(RunUntil([this] { return !Round(); }));
}

TEST_F(ShardsTest, AClientThatEndsItsInputHasAllItsReplies) {
  const auto [pipeline, replies] = Increments(100);
  const Peer peer = Connect(0);
  std::string_view left = pipeline;
  EXPECT_TRUE(RunUntil([&] {
    left.remove_prefix(world_.Send(peer, left));
    return left.empty();
  }));
  world_.ShutdownWrite(peer);
  const PeerInput input = ReadToTheEnd(peer);
  EXPECT_TRUE(input.end);
  EXPECT_EQ(input.bytes, replies);
}

TEST_F(ShardsTest, ClientsThatAreCutOffLeaveNothing) {
  const auto [pipeline, replies] = Increments(200);
  for (int count = 0; count < 30; ++count) {
    const Peer peer = Connect(static_cast<unsigned>(count) % kShards);
    EXPECT_TRUE(RunUntil([&] { return world_.Send(peer, pipeline) > 0; }));
    for (int rounds = count; rounds > 0; --rounds) (void)Round();
    world_.Reset(peer);
  }
  Ask(Connect(0), "PING\r\n", "+PONG\r\n");
}

// What a client had sent before the stop and had been read is answered, though it is on its way.
TEST_F(ShardsTest, TheyStopTogether) {
  const auto [pipeline, replies] = Increments(30);
  std::vector<Peer> peers;
  for (unsigned shard = 0; shard < kShards; ++shard) peers.push_back(Connect(shard));
  for (const Peer peer : peers) Ask(peer, "PING\r\n", "+PONG\r\n");
  EXPECT_EQ(world_.Send(peers[0], pipeline), pipeline.size());
  while (shards_[0]->reactor().counters().received_bytes < pipeline.size()) (void)Round();
  Stop();
  EXPECT_EQ(ReadToTheEnd(peers[0]).bytes, replies);
  EXPECT_TRUE(ReadToTheEnd(peers[1]).end);
  for (const Peer peer : peers) world_.Close(peer);
  EXPECT_TRUE(RunUntil([this] { return finished(); }));
}

TEST_F(ShardsTest, ASecondStopWaitsForNobody) {
  const Peer peer = Connect(1);
  Ask(peer, "PING\r\n", "+PONG\r\n");
  // It never reads what it asks for.
  const std::string value(2'000'000, 'v');
  Ask(peer,
      "*3\r\n$3\r\nSET\r\n$" + std::to_string(KeyOf(2).size()) + "\r\n" + KeyOf(2) +
          "\r\n$2000000\r\n" + value + "\r\n",
      "+OK\r\n");
  EXPECT_GT(world_.Send(peer, "GET " + KeyOf(2) + "\r\n"), 0U);
  for (int round = 0; round < 100; ++round) (void)Round();
  Stop();
  for (int round = 0; round < 100; ++round) (void)Round();
  EXPECT_FALSE(shards_[1]->finished());
  EXPECT_FALSE(shards_[0]->finished()) << "somebody may still need its keys";
  Stop();
  EXPECT_TRUE(RunUntil([this] { return finished(); }));
}

}  // namespace
}  // namespace orrery::scenarios
