// Publish and subscribe: lists that are searched from the front.

#include <algorithm>
#include <array>

#include "tests/scenarios/sequential_model_support.h"

namespace orrery::scenarios {
namespace {

// Those that a connection in RESP2 may still use while it listens, and one that nobody may.
constexpr auto kForListeners =
    std::to_array<std::string_view>({"ping", "subscribe", "psubscribe", "ssubscribe", "unsubscribe",
                                     "punsubscribe", "sunsubscribe", "quit", "reset", "debug"});
bool IsOneOf(const auto& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

std::string PushBytes(int protocol, const std::vector<std::string_view>& bulks) {
  std::string bytes = protocol == 3 ? ">" : "*";
  bytes += std::to_string(bulks.size()) + "\r\n";
  for (const std::string_view bulk : bulks) bytes += BulkBytes(bulk);
  return bytes;
}

// Of "subscribe", "psubscribe", "sunsubscribe" and so on, the kind in the order of TopicKind.
size_t KindIndex(std::string_view command) {
  if (command.starts_with('p') && command != "publish") return 1;
  return command.starts_with("ss") || command.starts_with("sun") || command.starts_with("sp") ||
                 command.starts_with("shard")
             ? 2
             : 0;
}

}  // namespace

bool SequentialModel::OnlyListens(const Connection& connection) {
  return connection.protocol == 2 && connection.listens();
}

std::optional<Expectation> SequentialModel::RefusalOfListener(const Call& call,
                                                              std::string_view name) {
  if (!OnlyListens(call.connection) || IsOneOf(kForListeners, name)) return std::nullopt;
  return Error(
      "ERR Can't execute '" + std::string(name) +
      "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
      "context");
}

SequentialModel::Topic* SequentialModel::FindTopic(TopicKind kind, const std::string& name) {
  const auto found = std::ranges::find_if(
      topics_, [&](const Topic& topic) { return topic.kind == kind && topic.name == name; });
  return found == topics_.end() ? nullptr : &*found;
}

void SequentialModel::Listen(Connection& connection, TopicKind kind, const std::string& name) {
  std::vector<std::string>& names = connection.topics[static_cast<size_t>(kind)];
  if (IsOneOf(names, name)) return;
  names.push_back(name);
  if (FindTopic(kind, name) == nullptr) {
    topics_.push_back({.kind = kind, .name = name, .listeners = {}});
  }
  FindTopic(kind, name)->listeners.push_back(&connection);
}

void SequentialModel::Unlisten(Connection& connection, TopicKind kind, const std::string& name) {
  std::erase(connection.topics[static_cast<size_t>(kind)], name);
  if (Topic* topic = FindTopic(kind, name)) std::erase(topic->listeners, &connection);
  std::erase_if(topics_, [](const Topic& topic) { return topic.listeners.empty(); });
}

void SequentialModel::Leave(Connection& connection) {
  for (const TopicKind kind :
       {TopicKind::kChannel, TopicKind::kPattern, TopicKind::kShardChannel}) {
    const std::vector<std::string> names = connection.topics[static_cast<size_t>(kind)];
    for (const std::string& name : names) Unlisten(connection, kind, name);
  }
}

Expectation::Push SequentialModel::Announce(const Call& call, TopicKind kind,
                                            std::string_view name_bytes) {
  const auto& [channels, patterns, shard_channels] = call.connection.topics;
  const size_t count =
      kind == TopicKind::kShardChannel ? shard_channels.size() : channels.size() + patterns.size();
  std::string bytes = call.connection.protocol == 3 ? ">3\r\n" : "*3\r\n";
  bytes += BulkBytes(call.word(0)) + std::string(name_bytes);
  bytes += ":" + std::to_string(count) + "\r\n";
  return {.connection = call.connection.number, .bytes = std::move(bytes)};
}

Expectation SequentialModel::Subscribe(Call& call) {
  const auto kind = static_cast<TopicKind>(KindIndex(call.word(0)));
  Expectation expectation{.kind = Expectation::Kind::kNone, .bytes = {}};
  for (size_t index = 1; index < call.count(); ++index) {
    Listen(call.connection, kind, call.at(index));
    expectation.pushes.push_back(Announce(call, kind, BulkBytes(call.at(index))));
  }
  return expectation;
}

Expectation SequentialModel::Unsubscribe(Call& call) {
  const auto kind = static_cast<TopicKind>(KindIndex(call.word(0)));
  Expectation expectation{.kind = Expectation::Kind::kNone, .bytes = {}};
  std::vector<std::string> names(call.arguments.begin() + 1, call.arguments.end());
  if (names.empty()) names = call.connection.topics[static_cast<size_t>(kind)];
  if (names.empty()) expectation.pushes.push_back(Announce(call, kind, call.NullText()));
  for (const std::string& name : names) {
    Unlisten(call.connection, kind, name);
    expectation.pushes.push_back(Announce(call, kind, BulkBytes(name)));
  }
  return expectation;
}

Expectation SequentialModel::Publish(Call& call) {
  const bool shard_channel = call.word(0) == "spublish";
  const std::string& channel = call.at(1);
  const std::string& message = call.at(2);
  Expectation expectation{.kind = Expectation::Kind::kInteger, .bytes = {}};
  const auto push = [&](const Topic& topic, const std::vector<std::string_view>& bulks) {
    for (const Connection* listener : topic.listeners) {
      expectation.pushes.push_back(
          {.connection = listener->number, .bytes = PushBytes(listener->protocol, bulks)});
    }
  };
  if (const Topic* topic =
          FindTopic(shard_channel ? TopicKind::kShardChannel : TopicKind::kChannel, channel)) {
    push(*topic, {shard_channel ? "smessage" : "message", channel, message});
  }
  for (const Topic& topic : topics_) {
    if (shard_channel || topic.kind != TopicKind::kPattern) continue;
    if (GlobMatches(topic.name, channel)) push(topic, {"pmessage", topic.name, channel, message});
  }
  expectation.low = expectation.high = static_cast<int64_t>(expectation.pushes.size());
  expectation.about_listeners = true;
  return expectation;
}

const std::vector<SequentialModel::Command>& SequentialModel::PubSubCommands() {
  static const auto* commands = new std::vector<Command>{
      {"channels", -2, &SequentialModel::PubSubChannels},
      {"shardchannels", -2, &SequentialModel::PubSubChannels},
      {"numsub", -2, &SequentialModel::PubSubListeners},
      {"shardnumsub", -2, &SequentialModel::PubSubListeners},
      {"numpat", 2, &SequentialModel::PubSubPatterns},
  };
  return *commands;
}

Expectation SequentialModel::PubSubChannels(Call& call) {
  if (call.count() > 3) {
    return Error("ERR unknown subcommand or wrong number of arguments for '" + call.at(1) +
                 "'. Try PUBSUB HELP.");
  }
  const auto kind = static_cast<TopicKind>(KindIndex(call.word(1)));
  Expectation expectation{.kind = Expectation::Kind::kAnyOrder, .bytes = {}};
  for (const Topic& topic : topics_) {
    if (topic.kind != kind) continue;
    if (call.count() == 3 && !GlobMatches(call.at(2), topic.name)) continue;
    expectation.choices.push_back(BulkBytes(topic.name));
  }
  expectation.about_listeners = true;
  return expectation;
}

Expectation SequentialModel::PubSubListeners(Call& call) {
  const auto kind = static_cast<TopicKind>(KindIndex(call.word(1)));
  std::string bytes = "*" + std::to_string(2 * (call.count() - 2)) + "\r\n";
  for (size_t index = 2; index < call.count(); ++index) {
    const Topic* topic = FindTopic(kind, call.at(index));
    const size_t listeners = topic == nullptr ? 0 : topic->listeners.size();
    bytes += BulkBytes(call.at(index)) + ":" + std::to_string(listeners) + "\r\n";
  }
  Expectation expectation = Exact(std::move(bytes));
  expectation.about_listeners = true;
  return expectation;
}

Expectation SequentialModel::PubSubPatterns(Call&) {
  const auto patterns = std::ranges::count_if(
      topics_, [](const Topic& topic) { return topic.kind == TopicKind::kPattern; });
  Expectation expectation = Integer(patterns);
  expectation.about_listeners = true;
  return expectation;
}

}  // namespace orrery::scenarios
