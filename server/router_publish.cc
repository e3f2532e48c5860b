// The router's part in publish and subscribe: messages to the subscribers of other shards.

#include <utility>

#include "base/mark.h"
#include "server/interest.h"
#include "server/router.h"

namespace orrery::server {

void Router::FindListening(TopicKind kind, std::string_view channel) {
  listening_.clear();
  const size_t slot = Interest::SlotOf(channel);
  for (uint32_t shard = 0; shard < server_.shards; ++shard) {
    if (shard != self_ && group_.interest(shard).MayListen(kind, slot)) listening_.push_back(shard);
  }
}

bool Router::MayPublish(const Command& command, const CommandSpec& spec, Client& client) {
  ClientRoute& route = *client.route;
  if (route.count > route.publications || route.count >= options_.replies_max) {
    route.wait = RouteWait::kReplies;
    return false;
  }
  // Having waited for one shard it goes to all, so that two busy ones cannot hold it up in turns.
  // Each of a shard's credits lets one such message go.
  if (&client == resumed_) {
    resumed_ = nullptr;
    return true;
  }
  const bool to_shard_channel = spec.shard_channels.first != 0;
  FindListening(to_shard_channel ? TopicKind::kShardChannel : TopicKind::kChannel, command[1]);
  for (const uint32_t shard : listening_) {
    if (!HasCredit(shard, client)) return false;
  }
  return true;
}

bool Router::Publish(CommandCall& call, TopicKind kind, const Payload& payload, int64_t receivers) {
  FindListening(kind, call[1]);
  Client& client = call.client;
  if (listening_.empty() && client.route->count == 0) return false;
  CommandErrand& place = Enqueue(client);
  place.publication = true;
  ++client.route->publications;
  place.version = client.version;
  place.muted = call.reply.muted();
  Publication* publication = publication_pool_.Take();
  if (publication == nullptr) publication = new Publication(self_, server_.shards);
  publication->reply = &place;
  publication->receivers = receivers;
  publication->parts_left = static_cast<uint32_t>(listening_.size());
  if (listening_.empty()) {
    EndPublication(*publication);
    return true;
  }
  publication->kind = kind;
  publication->channel = call[1];
  if (payload.bytes.size() < PushMessage::kBorrowBytesMin) {
    publication->text = payload.bytes;
  } else {
    publication->body = payload.body != nullptr ? *payload.body : SharedBytes::Copy(payload.bytes);
  }
  for (const uint32_t shard : listening_) {
    ++peers_[shard].away;
    ++away_;
    Post(shard, publication->parts[shard]);
  }
  ORRERY_MARK("router.message-to-other-shards");
  return true;
}

void Router::ReceivePart(PublicationPart& part) {
  Publication& publication = part.publication;
  if (!part.returning) {
    part.receivers = server::Publish(server_, publication.kind, publication.channel,
                                     {.bytes = publication.message()});
    part.returning = true;
    Post(part.home, part);
    return;
  }
  part.returning = false;
  --away_;
  --peers_[part.target].away;
  publication.receivers += part.receivers;
  if (--publication.parts_left == 0) EndPublication(publication);
}

void Router::EndPublication(Publication& publication) {
  CommandErrand& place = *std::exchange(publication.reply, nullptr);
  ReplyWriter reply(place.reply, place.version, server_.stats.errors);
  reply.set_muted(place.muted);
  reply.Integer(publication.receivers);
  publication.body = {};
  publication_pool_.Give(publication);
  place.complete = true;
  if (place.client != nullptr) {
    Touch(*place.client);
  } else {
    Release(place);
  }
}

}  // namespace orrery::server
