// The family of publish and subscribe.
//
// What a client is told of its own subscriptions is a push as much as a message is: neither is held
// back by CLIENT REPLY.

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/gather.h"
#include "server/publish.h"
#include "server/subscriptions.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// What is said of a subscription that begins or ends: how many the client has now. Shard channels
// are counted apart.
class Announcer {
 public:
  Announcer(CommandCall& call, std::string_view what, TopicKind kind)
      : call_(call), what_(what), kind_(kind), muted_(call.reply.muted()) {
    call.reply.set_muted(false);
  }
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;
  ~Announcer() { call_.reply.set_muted(muted_); }

  // `name` must last until now only.
  void Begin(std::string_view name) {
    call_.reply.Push(3);
    call_.reply.Bulk(what_);
    call_.reply.Bulk(name);
  }
  void BeginWithoutName() {
    call_.reply.Push(3);
    call_.reply.Bulk(what_);
    call_.reply.Null();
  }
  void End() { call_.reply.Integer(static_cast<int64_t>(Count())); }

 private:
  size_t Count() const {
    const Subscriber* subscriber = call_.client.subscriber.get();
    if (subscriber == nullptr) return 0;
    if (kind_ == TopicKind::kShardChannel) return subscriber->count(kind_);
    return subscriber->count(TopicKind::kChannel) + subscriber->count(TopicKind::kPattern);
  }

  CommandCall& call_;
  std::string_view what_;
  TopicKind kind_;
  bool muted_;
};

void SubscribeTo(CommandCall& call, TopicKind kind) {
  Announcer announcer(call, call.spec.name, kind);
  for (size_t i = 1; i < call.size(); ++i) {
    call.server.subscriptions.Subscribe(call.client, kind, call[i]);
    announcer.Begin(call[i]);
    announcer.End();
  }
}

void UnsubscribeFromAll(CommandCall& call, TopicKind kind) {
  Announcer announcer(call, call.spec.name, kind);
  Client& client = call.client;
  if (client.subscriber == nullptr || client.subscriber->count(kind) == 0) {
    announcer.BeginWithoutName();
    announcer.End();
    return;
  }
  while (client.subscriber != nullptr && client.subscriber->count(kind) > 0) {
    const std::string_view name = client.subscriber->of(kind).front()->topic.name;
    announcer.Begin(name);
    call.server.subscriptions.Unsubscribe(client, kind, name);
    announcer.End();
  }
}

void UnsubscribeFrom(CommandCall& call, TopicKind kind) {
  if (call.size() == 1) return UnsubscribeFromAll(call, kind);
  Announcer announcer(call, call.spec.name, kind);
  for (size_t i = 1; i < call.size(); ++i) {
    call.server.subscriptions.Unsubscribe(call.client, kind, call[i]);
    announcer.Begin(call[i]);
    announcer.End();
  }
}

void Subscribe(CommandCall& call) { SubscribeTo(call, TopicKind::kChannel); }
void PatternSubscribe(CommandCall& call) { SubscribeTo(call, TopicKind::kPattern); }
void ShardSubscribe(CommandCall& call) { SubscribeTo(call, TopicKind::kShardChannel); }
void Unsubscribe(CommandCall& call) { UnsubscribeFrom(call, TopicKind::kChannel); }
void PatternUnsubscribe(CommandCall& call) { UnsubscribeFrom(call, TopicKind::kPattern); }
void ShardUnsubscribe(CommandCall& call) { UnsubscribeFrom(call, TopicKind::kShardChannel); }

// A message of an EXEC that runs on several shards.
class MessageToAll final : public Gather {
 public:
  MessageToAll(unsigned shards, TopicKind kind, std::string_view channel, std::string_view message)
      : kind_(kind), channel_(channel), message_(message), receivers_(shards) {}

  void RunAt(ServerContext& shard) override {
    receivers_[shard.shard] = Publish(shard, kind_, channel_, {.bytes = message_});
  }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    int64_t sum = 0;
    receivers_.ForEach([&sum](int64_t receivers) { sum += receivers; });
    reply.Integer(sum);
  }

 private:
  const TopicKind kind_;
  const std::string channel_;
  const std::string message_;
  PerShard<int64_t> receivers_;
};

// Whether the command is one of an EXEC.
bool IsQueued(const CommandCall& call) {
  return call.client.transaction != nullptr && call.client.transaction->begun > 0;
}

void PublishTo(CommandCall& call, TopicKind kind) {
  RemoteListeners* others = call.server.remote_listeners;
  if (others != nullptr && IsQueued(call)) {
    return RunGather<MessageToAll>(call, GatherOrder::kAtOnce, kind, call[1], call[2]);
  }
  const Payload payload{.bytes = call[2], .body = call.arguments.BodyAt(2)};
  const int64_t receivers = Publish(call.server, kind, call[1], payload);
  if (others != nullptr && others->Publish(call, kind, payload, receivers)) return;
  call.reply.Integer(receivers);
}

void PublishToChannel(CommandCall& call) { PublishTo(call, TopicKind::kChannel); }
void PublishToShardChannel(CommandCall& call) { PublishTo(call, TopicKind::kShardChannel); }

// --- PUBSUB

// The names of topics that somebody listens to, on whatever shard.
class TopicNames final : public Gather {
 public:
  // `pattern`: if any, the names match it. `counted`: only their number is replied.
  TopicNames(unsigned shards, TopicKind kind, std::optional<std::string> pattern, bool counted)
      : kind_(kind), pattern_(std::move(pattern)), counted_(counted), names_(shards) {}

  void RunAt(ServerContext& shard) override {
    shard.subscriptions.ForEachTopic(kind_, [&](const Topic& topic) {
      if (pattern_ && !MatchesPattern(*pattern_, topic.name, LetterCase::kMatters)) return;
      names_[shard.shard].push_back(topic.name);
    });
  }

  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    std::set<std::string_view> seen;
    std::vector<std::string_view> once;
    names_.ForEach([&](const std::vector<std::string>& names) {
      for (const std::string_view name : names) {
        if (seen.insert(name).second) once.push_back(name);
      }
    });
    if (counted_) return reply.Integer(static_cast<int64_t>(once.size()));
    reply.Array(once.size());
    for (const std::string_view name : once) reply.Bulk(name);
  }

 private:
  const TopicKind kind_;
  const std::optional<std::string> pattern_;
  const bool counted_;
  PerShard<std::vector<std::string>> names_;
};

// How many listen to each of some channels, on all shards.
class SubscriberCounts final : public Gather {
 public:
  SubscriberCounts(unsigned shards, TopicKind kind, std::vector<std::string> channels)
      : kind_(kind), channels_(std::move(channels)), counts_(shards) {}

  void RunAt(ServerContext& shard) override {
    for (const std::string& channel : channels_) {
      counts_[shard.shard].push_back(shard.subscriptions.subscribers(kind_, channel));
    }
  }

  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    reply.Array(channels_.size() * 2);
    for (size_t i = 0; i < channels_.size(); ++i) {
      size_t sum = 0;
      counts_.ForEach([&](const std::vector<size_t>& counts) { sum += counts[i]; });
      reply.Bulk(channels_[i]);
      reply.Integer(static_cast<int64_t>(sum));
    }
  }

 private:
  const TopicKind kind_;
  const std::vector<std::string> channels_;
  PerShard<std::vector<size_t>> counts_;
};

void ReplyChannels(CommandCall& call, TopicKind kind) {
  if (call.size() > 3) {
    call.reply.Error("ERR unknown subcommand or wrong number of arguments for '" +
                     std::string(AsCString(call[1], call[1].size())) + "'. Try PUBSUB HELP.");
    return;
  }
  std::optional<std::string> pattern;
  if (call.size() == 3) pattern = call[2];
  RunGather<TopicNames>(call, GatherOrder::kAtOnce, kind, std::move(pattern), false);
}

void ReplySubscribers(CommandCall& call, TopicKind kind) {
  std::vector<std::string> channels;
  for (size_t i = 2; i < call.size(); ++i) channels.emplace_back(call[i]);
  RunGather<SubscriberCounts>(call, GatherOrder::kAtOnce, kind, std::move(channels));
}

void PubSubChannels(CommandCall& call) { ReplyChannels(call, TopicKind::kChannel); }
void PubSubShardChannels(CommandCall& call) { ReplyChannels(call, TopicKind::kShardChannel); }
void PubSubNumSub(CommandCall& call) { ReplySubscribers(call, TopicKind::kChannel); }
void PubSubShardNumSub(CommandCall& call) { ReplySubscribers(call, TopicKind::kShardChannel); }

void PubSubNumPat(CommandCall& call) {
  RunGather<TopicNames>(call, GatherOrder::kAtOnce, TopicKind::kPattern, std::nullopt, true);
}

void PubSubHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "CHANNELS [<pattern>]",
      "    Return the currently active channels matching a <pattern> (default: '*').",
      "NUMPAT",
      "    Return number of subscriptions to patterns.",
      "NUMSUB [<channel> ...]",
      "    Return the number of subscribers for the specified channels, excluding",
      "    pattern subscriptions(default: no channels).",
      "SHARDCHANNELS [<pattern>]",
      "    Return the currently active shard level channels matching a <pattern> (default: '*').",
      "SHARDNUMSUB [<shardchannel> ...]",
      "    Return the number of subscribers for the specified shard level channel(s)",
  });
  ReplyHelp(call, "PUBSUB", kLines);
}

constexpr auto kSubcommands = std::to_array<CommandSpec>({
    {.name = "pubsub|channels",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .categories = kCategoryPubSub,
     .on_all_shards = true,
     .handler = PubSubChannels,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "List active channels",
     .complexity = "O(N) where N is the number of active channels, and assuming constant time "
                   "pattern matching (relatively short channels and patterns)"},
    {.name = "pubsub|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = PubSubHelp,
     .group = "pubsub",
     .since = "6.2.0",
     .summary = "Show helpful text about the different subcommands",
     .complexity = "O(1)"},
    {.name = "pubsub|numpat",
     .arity = 2,
     .flags = kPubSub | kLoading | kStale,
     .categories = kCategoryPubSub,
     .on_all_shards = true,
     .handler = PubSubNumPat,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "Get the count of unique patterns pattern subscriptions",
     .complexity = "O(1)"},
    {.name = "pubsub|numsub",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .categories = kCategoryPubSub,
     .on_all_shards = true,
     .handler = PubSubNumSub,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "Get the count of subscribers for channels",
     .complexity = "O(N) for the NUMSUB subcommand, where N is the number of requested channels"},
    {.name = "pubsub|shardchannels",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .categories = kCategoryPubSub,
     .on_all_shards = true,
     .handler = PubSubShardChannels,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "List active shard channels",
     .complexity = "O(N) where N is the number of active shard channels, and assuming constant "
                   "time pattern matching (relatively short shard channels)."},
    {.name = "pubsub|shardnumsub",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .categories = kCategoryPubSub,
     .on_all_shards = true,
     .handler = PubSubShardNumSub,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Get the count of subscribers for shard channels",
     .complexity =
         "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "psubscribe",
     .arity = -2,
     .flags = kPubSub | kNoScript | kLoading | kStale | kForListeners,
     .categories = kCategoryPubSub,
     .handler = PatternSubscribe,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Listen for messages published to channels matching the given patterns",
     .complexity = "O(N) where N is the number of patterns the client is already subscribed to."},
    {.name = "publish",
     .arity = 3,
     .flags = kPubSub | kLoading | kStale | kFast | kPausedLikeWrites | kToListeners,
     .categories = kCategoryPubSub,
     .on_all_shards = true,
     .handler = PublishToChannel,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Post a message to a channel",
     .complexity = "O(N+M) where N is the number of clients subscribed to the receiving channel "
                   "and M is the total number of subscribed patterns (by any client)."},
    {.name = "pubsub",
     .arity = -2,
     .subcommands = kSubcommands,
     .group = "pubsub",
     .since = "2.8.0",
     .summary = "A container for Pub/Sub commands",
     .complexity = "Depends on subcommand."},
    {.name = "punsubscribe",
     .arity = -1,
     .flags = kPubSub | kNoScript | kLoading | kStale | kForListeners,
     .categories = kCategoryPubSub,
     .handler = PatternUnsubscribe,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Stop listening for messages posted to channels matching the given patterns",
     .complexity = "O(N+M) where N is the number of patterns the client is already subscribed and "
                   "M is the number of total patterns subscribed in the system (by any client)."},
    {.name = "spublish",
     .arity = 3,
     .flags = kPubSub | kLoading | kStale | kFast | kPausedLikeWrites | kToListeners,
     .categories = kCategoryPubSub,
     .shard_channels = {1, 1, 1},
     .on_all_shards = true,
     .handler = PublishToShardChannel,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Post a message to a shard channel",
     .complexity =
         "O(N) where N is the number of clients subscribed to the receiving shard channel."},
    {.name = "ssubscribe",
     .arity = -2,
     .flags = kPubSub | kNoScript | kLoading | kStale | kForListeners,
     .categories = kCategoryPubSub,
     .shard_channels = {1, -1, 1},
     .handler = ShardSubscribe,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Listen for messages published to the given shard channels",
     .complexity = "O(N) where N is the number of shard channels to subscribe to."},
    {.name = "subscribe",
     .arity = -2,
     .flags = kPubSub | kNoScript | kLoading | kStale | kForListeners,
     .categories = kCategoryPubSub,
     .handler = Subscribe,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Listen for messages published to the given channels",
     .complexity = "O(N) where N is the number of channels to subscribe to."},
    {.name = "sunsubscribe",
     .arity = -1,
     .flags = kPubSub | kNoScript | kLoading | kStale | kForListeners,
     .categories = kCategoryPubSub,
     .shard_channels = {1, -1, 1},
     .handler = ShardUnsubscribe,
     .group = "pubsub",
     .since = "7.0.0",
     .summary = "Stop listening for messages posted to the given shard channels",
     .complexity = "O(N) where N is the number of clients already subscribed to a shard channel."},
    {.name = "unsubscribe",
     .arity = -1,
     .flags = kPubSub | kNoScript | kLoading | kStale | kForListeners,
     .categories = kCategoryPubSub,
     .handler = Unsubscribe,
     .group = "pubsub",
     .since = "2.0.0",
     .summary = "Stop listening for messages posted to the given channels",
     .complexity = "O(N) where N is the number of clients already subscribed to a channel."},
});

}  // namespace

std::span<const CommandSpec> PubSubCommands() { return kCommands; }

}  // namespace orrery::server
