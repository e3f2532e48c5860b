// Takes a message to all who listen on this shard.
//
// Receivers are served in the order in which they subscribed: those of the channel, then those of
// each pattern that matches it, as old as the pattern is. Called on the shard's thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "server/push_message.h"
#include "server/server_context.h"
#include "server/subscriptions.h"

namespace orrery::server {

struct CommandCall;

// Returns how many receive it; a client receives it for each of its subscriptions that it is about.
// REQUIRES: server.host != nullptr, or nobody listens; `kind` is no pattern.
int64_t Publish(ServerContext& server, TopicKind kind, std::string_view channel,
                const Payload& payload);

// Where there are several shards: takes messages to the others (server/router.h).
class RemoteListeners {
 public:
  virtual ~RemoteListeners() = default;
  // False: nobody else may listen, and the caller replies. True: how many receive it, the
  // `receivers` on this shard included, is replied when all have it.
  virtual bool Publish(CommandCall& call, TopicKind kind, const Payload& payload,
                       int64_t receivers) = 0;
};

}  // namespace orrery::server
