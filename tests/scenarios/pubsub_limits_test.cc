// Subscribers that do not read: where they are not cut off in time, the messages of others take all
// memory; where they are cut off in the wrong place, the server goes on with what is gone.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/units.h"
#include "gtest/gtest.h"
#include "server/shard.h"
#include "tests/scenarios/shard_fixture.h"

namespace orrery::scenarios {
namespace {

constexpr std::string_view kSubscribed = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";

class PubSubLimitsTest : public ShardFixture {
 protected:
  static server::ShardOptions WithLimit(const server::OutputLimit& limit) {
    server::ShardOptions options;
    options.config.output_limits[static_cast<size_t>(server::ClientClass::kPubSub)] = limit;
    return options;
  }

  Peer Subscribe() {
    const Peer peer = Connect();
    Ask(peer, "SUBSCRIBE news\r\n", kSubscribed);
    return peer;
  }
  void Publish(Peer peer, std::string_view text, int receivers) {
    Ask(peer, "PUBLISH news " + std::string(text) + "\r\n",
        ":" + std::to_string(receivers) + "\r\n");
  }
  // The most that waits for any client, as CLIENT LIST says it.
  uint64_t MostWaiting(Peer peer) {
    EXPECT_GT(world_.Send(peer, "CLIENT LIST\r\nPING\r\n"), 0u);
    PeerInput input;
    EXPECT_TRUE(RunUntil([&] {
      world_.Receive(peer, input, ~size_t{0});
      return input.bytes.ends_with("+PONG\r\n");
    }));
    uint64_t most = 0;
    constexpr std::string_view kField = " omem=";
    for (size_t at = input.bytes.find(kField); at != std::string::npos;
         at = input.bytes.find(kField, at + 1)) {
      most = std::max<uint64_t>(most, std::stoull(input.bytes.substr(at + kField.size())));
    }
    return most;
  }
};

TEST_F(PubSubLimitsTest, OneThatDoesNotReadIsCutOffAndTheOthersGoOn) {
  constexpr uint64_t kHardBytes = 100'000;
  SetUpShard(WithLimit({.hard_bytes = kHardBytes}));
  const Peer publisher = Connect();
  const Peer reader = Subscribe();
  const Peer deaf = Subscribe();
  for (const size_t size : {100u, 5000u}) {  // Copied, and borrowed.
    const std::string text(size, 'x');
    const std::string message =
        "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$" + std::to_string(size) + "\r\n" + text + "\r\n";
    for (size_t sent = 0; sent < 10 * kHardBytes && shard_->subscriptions().size() == 2;
         sent += size) {
      Publish(publisher, text, 2);
      Ask(reader, "", message);
      EXPECT_LT(MostWaiting(publisher), kHardBytes);
    }
    EXPECT_EQ(shard_->subscriptions().size(), 1u);
    if (size == 100u) Subscribe();
  }
  EXPECT_EQ(shard_->subscriptions().size(), 1u);
  Publish(publisher, "last", 1);
  Ask(reader, "", "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$4\r\nlast\r\n");
  const PeerInput rest = ReadToTheEnd(deaf);
  EXPECT_TRUE(rest.end || rest.reset);
}

TEST_F(PubSubLimitsTest, OneThatIsBehindForTooLongIsCutOff) {
  SetUpShard(WithLimit({.soft_bytes = 50'000, .soft_seconds = 10}));
  const Peer publisher = Connect();
  Subscribe();
  const std::string text(1000, 'x');
  while (MostWaiting(publisher) < 50'000) Publish(publisher, text, 1);
  SleepUntil(world_.kernel().MonotonicNow() + 9 * kSecond);
  EXPECT_EQ(shard_->subscriptions().size(), 1u);
  SleepUntil(world_.kernel().MonotonicNow() + 2 * kSecond);
  EXPECT_EQ(shard_->subscriptions().size(), 0u);
}

// The limit is reached while the commands of the one who is to be cut off are under way.
TEST_F(PubSubLimitsTest, OneThatSpeaksToItselfAndDoesNotReadIsCutOff) {
  SetUpShard(WithLimit({.hard_bytes = 100'000}));
  const Peer peer = Connect();
  std::string pipeline = "HELLO 3\r\nSUBSCRIBE news\r\nPSUBSCRIBE *\r\n";
  for (int i = 0; i < 2000; ++i) pipeline += "PUBLISH news " + std::string(500, 'x') + "\r\n";
  std::string_view rest = pipeline;
  EXPECT_TRUE(RunUntil([&] {
    rest.remove_prefix(world_.Send(peer, rest));
    return shard_->reactor().connections() == 0;
  }));
  EXPECT_EQ(shard_->subscriptions().size(), 0u);
}

}  // namespace
}  // namespace orrery::scenarios
