// A message on its way to the subscribers of other shards.
//
// The message is copied once when it sets out; each shard that it goes to reads it where it is and
// makes the one copy that its receivers share. Belongs to its home's router.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/shared_bytes.h"
#include "server/command_errand.h"
#include "server/errand.h"
#include "server/subscription.h"

namespace orrery::server {

struct Publication;

// What goes to one shard.
struct PublicationPart : Errand {
  PublicationPart(unsigned its_home, Publication& its_publication, uint32_t its_target)
      : Errand(ErrandKind::kPublicationPart, its_home),
        publication(its_publication),
        target(its_target) {}
  Publication& publication;
  const uint32_t target;
  int64_t receivers = 0;  // There.
};

struct Publication {
  Publication(unsigned home, unsigned shards) {
    for (unsigned shard = 0; shard < shards; ++shard) parts.emplace_back(home, *this, shard);
  }

  // --- Set before the parts go, and only read while any of them is away.

  TopicKind kind = TopicKind::kChannel;
  std::string channel;
  // The message; a long one is in the body, which is counted at home only.
  std::string text;
  SharedBytes body;
  std::deque<PublicationPart> parts;  // By their shards.

  std::string_view message() const { return body.empty() ? std::string_view(text) : body.view(); }

  // --- The home's.

  CommandErrand* reply = nullptr;  // Its place among the client's replies.
  uint32_t parts_left = 0;
  int64_t receivers = 0;
  Publication* next = nullptr;
};

}  // namespace orrery::server
