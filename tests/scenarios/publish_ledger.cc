#include "tests/scenarios/publish_ledger.h"

#include <algorithm>

#include "base/check.h"
#include "tests/scenarios/resp.h"

namespace orrery::scenarios {
namespace {

// Patterns of the workload end with a star, and have no other.
bool TopicMatches(TopicKind kind, std::string_view topic, std::string_view channel) {
  if (kind == TopicKind::kChannel) return topic == channel;
  ORRERY_CHECK(topic.ends_with('*'));
  return channel.starts_with(topic.substr(0, topic.size() - 1));
}

}  // namespace

size_t PublishLedger::OnSubscribeSent(uint64_t connection, TopicKind kind,
                                      const std::string& topic) {
  const size_t number = subscriptions_.size();
  Subscription subscription;
  subscription.connection = connection;
  subscription.kind = kind;
  subscription.topic = topic;
  subscription.asked = now_++;
  subscriptions_.push_back(std::move(subscription));
  of_connection_[connection].push_back(number);
  return number;
}

void PublishLedger::OnSubscribed(size_t number) {
  Subscription& subscription = subscriptions_[number];
  subscription.confirmed = now_++;
  current_[subscription.connection][{subscription.kind, subscription.topic}] = number;
}

void PublishLedger::OnUnsubscribeSent(size_t number) {
  Subscription& subscription = subscriptions_[number];
  if (subscription.end_asked == kNever) subscription.end_asked = now_++;
}

PublishLedger::Finding PublishLedger::OnUnsubscribed(size_t number) {
  Subscription& subscription = subscriptions_[number];
  subscription.ended = now_++;
  current_[subscription.connection].erase({subscription.kind, subscription.topic});
  if (subscription.awaited.empty()) return std::nullopt;
  return Breach{"publish-lost", Describe(subscription, *subscription.awaited.begin()) +
                                    " has not come when its end was confirmed"};
}

void PublishLedger::OnEnding(uint64_t connection) {
  for (const size_t number : of_connection_[connection]) {
    OnUnsubscribeSent(number);
    subscriptions_[number].awaited.clear();
  }
}

size_t PublishLedger::OnPublishSent(uint64_t publisher, const std::string& channel,
                                    const std::string& payload) {
  const size_t number = messages_.size();
  const bool added = by_payload_.emplace(payload, number).second;
  ORRERY_CHECK_MSG(added, "two messages have one payload");
  messages_.push_back(
      {.publisher = publisher, .channel = channel, .payload = payload, .sent = now_++});
  return number;
}

PublishLedger::Finding PublishLedger::OnPublished(size_t number, int64_t receivers) {
  Message& message = messages_[number];
  message.replied = now_++;
  int64_t must = 0;
  int64_t may = 0;
  for (Subscription& subscription : subscriptions_) {
    if (MayGet(subscription, message)) ++may;
    if (!MustGet(subscription, message)) continue;
    ++must;
    if (!subscription.received.contains(number)) subscription.awaited.insert(number);
  }
  if (receivers >= must && receivers <= may) return std::nullopt;
  return Breach{"publish-count", "PUBLISH of " + Printable(message.payload) + " says " +
                                     std::to_string(receivers) + ", " + std::to_string(must) +
                                     " must and " + std::to_string(may) + " may get it"};
}

PublishLedger::Finding PublishLedger::OnNotPublished(size_t number) {
  messages_[number].refused = true;
  for (const Subscription& subscription : subscriptions_) {
    if (!subscription.received.contains(number)) continue;
    return Breach{"publish-stray", Describe(subscription, number) + " was not published"};
  }
  return std::nullopt;
}

PublishLedger::Finding PublishLedger::OnMessage(uint64_t connection, TopicKind kind,
                                                const std::string& topic,
                                                const std::string& channel,
                                                const std::string& payload) {
  const auto found = by_payload_.find(payload);
  const std::map<Name, size_t>& names = current_[connection];
  const auto current = names.find({kind, topic});
  if (found == by_payload_.end() || current == names.end() ||
      messages_[found->second].channel != channel ||
      !MayGet(subscriptions_[current->second], messages_[found->second])) {
    return Breach{"publish-stray", Printable(payload) + " on " + Printable(channel) +
                                       " came to a subscription of " + Printable(topic) +
                                       " that was not there"};
  }
  Subscription& subscription = subscriptions_[current->second];
  const size_t number = found->second;
  ++received_;
  if (!subscription.received.insert(number).second) {
    return Breach{"publish-twice", Describe(subscription, number)};
  }
  subscription.awaited.erase(number);
  // Numbers are in the order of sending.
  const auto [last, first] = subscription.last_number.emplace(messages_[number].publisher, number);
  if (!first && last->second > number) {
    return Breach{"publish-order", Describe(subscription, number) + " came after " +
                                       Printable(messages_[last->second].payload)};
  }
  last->second = number;
  return std::nullopt;
}

bool PublishLedger::Awaits(uint64_t connection) const {
  const auto found = of_connection_.find(connection);
  return found != of_connection_.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [this](size_t number) { return !subscriptions_[number].awaited.empty(); });
}

bool PublishLedger::IsAbout(const Subscription& subscription, const Message& message) {
  return TopicMatches(subscription.kind, subscription.topic, message.channel);
}

bool PublishLedger::MustGet(const Subscription& subscription, const Message& message) {
  return IsAbout(subscription, message) && subscription.confirmed < message.sent &&
         subscription.end_asked > message.replied;
}

bool PublishLedger::MayGet(const Subscription& subscription, const Message& message) {
  return !message.refused && IsAbout(subscription, message) &&
         subscription.asked < message.replied && subscription.ended > message.sent;
}

std::string PublishLedger::Describe(const Subscription& subscription, size_t message) const {
  return Printable(messages_[message].payload) + " on " + Printable(messages_[message].channel) +
         " for the subscription of " + Printable(subscription.topic);
}

}  // namespace orrery::scenarios
