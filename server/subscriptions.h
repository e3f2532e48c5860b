// Who listens to which channels and patterns, of the clients of one shard.
//
// A topic is there while somebody listens to it; a client that listens to nothing has no
// Subscriber. Whoever ends a client drops it here first. No operation takes longer than what it is
// about: the tables grow one bucket at a time. Owned by the shard, used by its thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/intrusive_hash_table.h"
#include "base/intrusive_list.h"
#include "server/client.h"
#include "server/interest.h"
#include "server/key_hash.h"
#include "server/subscription.h"

namespace orrery::server {

class Subscriptions {
 public:
  // Clients choose the names: the hash should be that of a secret key.
  explicit Subscriptions(const KeyHash& hash) : hash_(hash) {}
  Subscriptions(const Subscriptions&) = delete;
  Subscriptions& operator=(const Subscriptions&) = delete;
  // REQUIRES: nobody listens any more.
  ~Subscriptions();

  // From now on the other shards are told what somebody listens to here. REQUIRES: nobody does.
  void TellOthers(Interest& interest);

  // Both say whether that changed anything.
  bool Subscribe(Client& client, TopicKind kind, std::string_view name);
  bool Unsubscribe(Client& client, TopicKind kind, std::string_view name);
  // The client listens to nothing any more.
  void Drop(Client& client);

  // Null when nobody listens to it.
  Topic* Find(TopicKind kind, std::string_view name) const;
  size_t size() const { return subscriptions_.size(); }
  // How many topics somebody listens to, and how many listen to one.
  size_t topics(TopicKind kind) const { return OfKind(kind).order.size(); }
  size_t subscribers(TopicKind kind, std::string_view name) const {
    const Topic* topic = Find(kind, name);
    return topic == nullptr ? 0 : topic->subscriptions.size();
  }

  // Calls visit(topic) for the topics of a kind, in the order in which they came to be. `visit` may
  // change no subscription.
  template <typename Visit>
  void ForEachTopic(TopicKind kind, Visit visit) {
    auto& order = OfKind(kind).order;
    for (Topic* topic = order.front(); topic != nullptr; topic = order.Next(*topic)) visit(*topic);
  }

 private:
  struct Kind {
    IntrusiveHashTable<Topic, &Topic::link> by_name;
    IntrusiveList<Topic, &Topic::of_kind> order;
  };

  Kind& OfKind(TopicKind kind) { return kinds_[static_cast<size_t>(kind)]; }
  const Kind& OfKind(TopicKind kind) const { return kinds_[static_cast<size_t>(kind)]; }
  uint64_t HashOf(const Topic& topic, const Client& client) const;
  Subscription* Find(const Topic& topic, const Client& client) const;
  void Remove(Subscription& subscription);

  KeyHash hash_;
  Interest* interest_ = nullptr;  // Null where there are no others.
  std::array<Kind, kTopicKinds> kinds_;
  IntrusiveHashTable<Subscription, &Subscription::link> subscriptions_;
  uint64_t last_topic_number_ = 0;
};

}  // namespace orrery::server
