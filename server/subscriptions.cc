#include "server/subscriptions.h"

#include <memory>

#include "base/check.h"

namespace orrery::server {

Subscriptions::~Subscriptions() {
  for (const Kind& kind : kinds_) {
    ORRERY_CHECK_MSG(kind.order.empty(), "subscriptions are left of clients that have gone");
  }
}

void Subscriptions::TellOthers(Interest& interest) {
  ORRERY_CHECK(subscriptions_.size() == 0);
  interest_ = &interest;
}

Topic* Subscriptions::Find(TopicKind kind, std::string_view name) const {
  return OfKind(kind).by_name.Find(hash_(name),
                                   [name](const Topic& topic) { return topic.name == name; });
}

uint64_t Subscriptions::HashOf(const Topic& topic, const Client& client) const {
  const std::array<uint64_t, 2> pair = {topic.number, client.id};
  // Any object may be read as bytes.
  return hash_({reinterpret_cast<const char*>(pair.data()), sizeof(pair)});
}

Subscription* Subscriptions::Find(const Topic& topic, const Client& client) const {
  return subscriptions_.Find(
      HashOf(topic, client), [&topic, &client](const Subscription& subscription) {
        return &subscription.topic == &topic && &subscription.subscriber.client == &client;
      });
}

bool Subscriptions::Subscribe(Client& client, TopicKind kind, std::string_view name) {
  Topic* topic = Find(kind, name);
  if (topic != nullptr && Find(*topic, client) != nullptr) return false;
  if (topic == nullptr) {
    topic = new Topic{.kind = kind, .name = std::string(name), .number = ++last_topic_number_};
    OfKind(kind).by_name.Insert(*topic, hash_(name));
    OfKind(kind).order.PushBack(*topic);
    if (interest_ != nullptr) interest_->Add(kind, name);
  }
  if (client.subscriber == nullptr) client.subscriber = std::make_unique<Subscriber>(client);
  auto* subscription = new Subscription{.subscriber = *client.subscriber,
                                        .topic = *topic,
                                        .of_topic = {},
                                        .of_subscriber = {},
                                        .link = {}};
  topic->subscriptions.PushBack(*subscription);
  client.subscriber->of(kind).PushBack(*subscription);
  subscriptions_.Insert(*subscription, HashOf(*topic, client));
  return true;
}

void Subscriptions::Remove(Subscription& subscription) {
  Topic& topic = subscription.topic;
  Subscriber& subscriber = subscription.subscriber;
  subscriptions_.Remove(subscription);
  topic.subscriptions.Remove(subscription);
  subscriber.of(topic.kind).Remove(subscription);
  delete &subscription;
  if (topic.subscriptions.empty()) {
    if (interest_ != nullptr) interest_->Remove(topic.kind, topic.name);
    OfKind(topic.kind).by_name.Remove(topic);
    OfKind(topic.kind).order.Remove(topic);
    delete &topic;
  }
  if (subscriber.count() == 0) subscriber.client.subscriber.reset();
}

bool Subscriptions::Unsubscribe(Client& client, TopicKind kind, std::string_view name) {
  if (client.subscriber == nullptr) return false;
  const Topic* topic = Find(kind, name);
  Subscription* subscription = topic == nullptr ? nullptr : Find(*topic, client);
  if (subscription == nullptr) return false;
  Remove(*subscription);
  return true;
}

void Subscriptions::Drop(Client& client) {
  for (const TopicKind kind :
       {TopicKind::kChannel, TopicKind::kPattern, TopicKind::kShardChannel}) {
    while (client.subscriber != nullptr && client.subscriber->count(kind) > 0) {
      Remove(*client.subscriber->of(kind).front());
    }
  }
}

}  // namespace orrery::server
