#include "server/publish.h"

#include "base/check.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// Pushes what server.push is encoded as.
int64_t PushTo(ServerContext& server, Topic& topic) {
  int64_t receivers = 0;
  auto& subscriptions = topic.subscriptions;
  for (Subscription* subscription = subscriptions.front(); subscription != nullptr;
       subscription = subscriptions.Next(*subscription)) {
    if (server.host->Push(subscription->subscriber.client, server.push)) ++receivers;
  }
  return receivers;
}

}  // namespace

int64_t Publish(ServerContext& server, TopicKind kind, std::string_view channel,
                const Payload& payload) {
  ORRERY_CHECK(kind != TopicKind::kPattern);
  Subscriptions& subscriptions = server.subscriptions;
  const bool shard_channel = kind == TopicKind::kShardChannel;
  int64_t receivers = 0;
  server.push.SetPayload(payload);
  if (Topic* topic = subscriptions.Find(kind, channel)) {
    server.push.Encode({shard_channel ? "smessage" : "message", channel});
    receivers += PushTo(server, *topic);
  }
  if (!shard_channel) {
    subscriptions.ForEachTopic(TopicKind::kPattern, [&](Topic& pattern) {
      if (!MatchesPattern(pattern.name, channel, LetterCase::kMatters)) return;
      server.push.Encode({"pmessage", pattern.name, channel});
      receivers += PushTo(server, pattern);
    });
  }
  server.push.Clear();
  return receivers;
}

}  // namespace orrery::server
