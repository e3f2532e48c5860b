// That clients listen to channels and patterns: the objects, as client and registry hold them.
//
// Invariant: a subscription is in its topic's list and in its subscriber's. Only
// server/subscriptions.h makes, links and deletes them. Used by the shard's thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/intrusive_hash_table.h"
#include "base/intrusive_list.h"

namespace orrery::server {

struct Client;
struct Subscriber;
struct Topic;

enum class TopicKind : uint8_t { kChannel, kPattern, kShardChannel };
inline constexpr size_t kTopicKinds = 3;

// That one client listens to one topic.
struct Subscription {
  Subscriber& subscriber;
  Topic& topic;
  ListLink of_topic;
  ListLink of_subscriber;
  HashLink link;
};

// A channel, a pattern or a shard channel that somebody listens to.
struct Topic {
  TopicKind kind;
  std::string name;
  uint64_t number;  // Never that of another topic.
  // In the order in which they began, which is the order in which they are served.
  IntrusiveList<Subscription, &Subscription::of_topic> subscriptions = {};
  HashLink link = {};
  ListLink of_kind = {};
};

// What one client listens to, in the order in which it began.
struct Subscriber {
  explicit Subscriber(Client& its_client) : client(its_client) {}
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  ~Subscriber() { ORRERY_CHECK_MSG(count() == 0, "a subscriber died while it listened"); }

  IntrusiveList<Subscription, &Subscription::of_subscriber>& of(TopicKind kind) {
    return by_kind[static_cast<size_t>(kind)];
  }
  size_t count(TopicKind kind) const { return by_kind[static_cast<size_t>(kind)].size(); }
  size_t count() const {
    return count(TopicKind::kChannel) + count(TopicKind::kPattern) +
           count(TopicKind::kShardChannel);
  }

  Client& client;
  std::array<IntrusiveList<Subscription, &Subscription::of_subscriber>, kTopicKinds> by_kind;
};

}  // namespace orrery::server
