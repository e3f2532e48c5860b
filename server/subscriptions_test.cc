// What would break: a message goes to who has unsubscribed or gone, comes twice, or not at all; the
// order of receivers changes; topics that nobody listens to stay.
#include "server/subscriptions.h"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery::server {
namespace {

constexpr std::array kKinds = {TopicKind::kChannel, TopicKind::kPattern, TopicKind::kShardChannel};

std::vector<uint64_t> ListenersOf(const Subscriptions& subscriptions, TopicKind kind,
                                  std::string_view name) {
  std::vector<uint64_t> ids;
  Topic* topic = subscriptions.Find(kind, name);
  if (topic == nullptr) return ids;
  auto& list = topic->subscriptions;
  for (Subscription* each = list.front(); each != nullptr; each = list.Next(*each)) {
    ids.push_back(each->subscriber.client.id);
  }
  return ids;
}

std::vector<std::string> TopicsOf(Client& client, TopicKind kind) {
  std::vector<std::string> names;
  if (client.subscriber == nullptr) return names;
  auto& list = client.subscriber->of(kind);
  for (Subscription* each = list.front(); each != nullptr; each = list.Next(*each)) {
    names.push_back(each->topic.name);
  }
  return names;
}

TEST(Subscriptions, AClientThatListensToNothingHasNoSubscriber) {
  Subscriptions subscriptions(KeyHash({.low = 1, .high = 2}));
  Client client;
  EXPECT_EQ(client.subscriber, nullptr);
  EXPECT_FALSE(subscriptions.Unsubscribe(client, TopicKind::kChannel, "a"));
  EXPECT_TRUE(subscriptions.Subscribe(client, TopicKind::kChannel, "a"));
  EXPECT_FALSE(subscriptions.Subscribe(client, TopicKind::kChannel, "a"));
  EXPECT_TRUE(subscriptions.Subscribe(client, TopicKind::kPattern, "a"));
  EXPECT_EQ(client.subscriber->count(), 2u);
  EXPECT_TRUE(subscriptions.Unsubscribe(client, TopicKind::kChannel, "a"));
  EXPECT_NE(client.subscriber, nullptr);
  EXPECT_TRUE(subscriptions.Unsubscribe(client, TopicKind::kPattern, "a"));
  EXPECT_EQ(client.subscriber, nullptr);
  EXPECT_EQ(subscriptions.Find(TopicKind::kPattern, "a"), nullptr);
}

TEST(SubscriptionsDeathTest, NoClientDiesWhileItListens) {
  Subscriptions subscriptions(KeyHash({.low = 1, .high = 2}));
  auto client = std::make_unique<Client>();
  subscriptions.Subscribe(*client, TopicKind::kChannel, "a");
  EXPECT_DEATH(client.reset(), "a subscriber died while it listened");
  subscriptions.Drop(*client);
}

// The same by lists that are searched from the front.
class Model {
 public:
  using Key = std::pair<TopicKind, std::string>;

  bool Subscribe(uint64_t id, const Key& key) {
    if (std::ranges::find(pairs_, std::pair(id, key)) != pairs_.end()) return false;
    pairs_.emplace_back(id, key);
    if (std::ranges::find(topics_, key) == topics_.end()) topics_.push_back(key);
    return true;
  }
  bool Unsubscribe(uint64_t id, const Key& key) {
    const bool changed = std::erase(pairs_, std::pair(id, key)) > 0;
    ForgetEmptyTopics();
    return changed;
  }
  void Drop(uint64_t id) {
    std::erase_if(pairs_, [id](const auto& pair) { return pair.first == id; });
    ForgetEmptyTopics();
  }

  std::vector<uint64_t> ListenersOf(const Key& key) const {
    std::vector<uint64_t> ids;
    for (const auto& [id, topic] : pairs_) {
      if (topic == key) ids.push_back(id);
    }
    return ids;
  }
  std::vector<std::string> TopicsOf(uint64_t its_id, TopicKind kind) const {
    std::vector<std::string> names;
    for (const auto& [id, topic] : pairs_) {
      if (id == its_id && topic.first == kind) names.push_back(topic.second);
    }
    return names;
  }
  std::vector<std::string> Topics(TopicKind kind) const {
    std::vector<std::string> names;
    for (const Key& key : topics_) {
      if (key.first == kind) names.push_back(key.second);
    }
    return names;
  }

 private:
  void ForgetEmptyTopics() {
    std::erase_if(topics_, [this](const Key& key) { return ListenersOf(key).empty(); });
  }

  std::vector<std::pair<uint64_t, Key>> pairs_;  // In the order in which they subscribed.
  std::vector<Key> topics_;                      // In the order in which they came to be.
};

RC_GTEST_PROP(SubscriptionsProperty, AreThoseOfListsThatAreSearched, ()) {
  constexpr uint64_t kClients = 6;
  constexpr int kNames = 12;
  Subscriptions subscriptions(KeyHash({.low = 1, .high = 2}));
  std::deque<Client> clients(kClients);
  for (uint64_t id = 0; id < kClients; ++id) clients[id].id = id;
  Model model;
  const int steps = *rc::gen::inRange(0, 200);
  for (int step = 0; step < steps; ++step) {
    const auto id = *rc::gen::inRange<uint64_t>(0, kClients);
    Client& client = clients[id];
    const TopicKind kind = kKinds[*rc::gen::inRange<size_t>(0, kKinds.size())];
    const std::string name = "n" + std::to_string(*rc::gen::inRange(0, kNames));
    const int what = *rc::gen::inRange(0, 20);
    if (what == 0) {
      subscriptions.Drop(client);
      model.Drop(id);
    } else if (what < 12) {
      RC_ASSERT(subscriptions.Subscribe(client, kind, name) == model.Subscribe(id, {kind, name}));
    } else {
      RC_ASSERT(subscriptions.Unsubscribe(client, kind, name) ==
                model.Unsubscribe(id, {kind, name}));
    }
    RC_ASSERT(ListenersOf(subscriptions, kind, name) == model.ListenersOf({kind, name}));
    RC_ASSERT(TopicsOf(client, kind) == model.TopicsOf(id, kind));
    std::vector<std::string> topics;
    subscriptions.ForEachTopic(kind, [&](const Topic& topic) { topics.push_back(topic.name); });
    RC_ASSERT(topics == model.Topics(kind));
    RC_ASSERT(topics.size() == subscriptions.topics(kind));
  }
  for (Client& client : clients) subscriptions.Drop(client);
  for (const TopicKind kind : kKinds) RC_ASSERT(subscriptions.topics(kind) == 0u);
}

}  // namespace
}  // namespace orrery::server
