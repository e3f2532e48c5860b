// Who must get which published message, who may, and who did.
//
// The ledger is told when things are sent and when they are confirmed; between the two they may
// have happened or not. What it holds the server to, for each subscription (a channel or a pattern
// of one connection):
//   publish-order    messages of one publisher come in the order in which it sent them
//   publish-twice    ... and each of them once
//   publish-stray    ... and only such as were published while it may have been there
//   publish-lost     ... and all that were published while it was there: the message was sent after
//                    the subscription was confirmed, and replied to before its end was asked for
//   publish-count    the reply to PUBLISH is a number between those who must and those who may get
//   it
// A connection's subscriptions end when it may be closed for a reason. Payloads name their message.
// Single-threaded; points in time are numbers of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery::scenarios {

enum class TopicKind : uint8_t { kChannel, kPattern };

class PublishLedger {
 public:
  // A broken rule: its name, and what was seen.
  struct Breach {
    std::string_view rule;
    std::string detail;
  };
  using Finding = std::optional<Breach>;

  // --- Subscriptions, by number.
  size_t OnSubscribeSent(uint64_t connection, TopicKind kind, const std::string& topic);
  // Its messages come after this.
  void OnSubscribed(size_t subscription);
  void OnUnsubscribeSent(size_t subscription);
  // Its messages have come before this.
  [[nodiscard]] Finding OnUnsubscribed(size_t subscription);
  // The connection may end from now on, or has ended; what is still on its way to it may be lost.
  void OnEnding(uint64_t connection);

  // --- Messages. Returns the message's number.
  size_t OnPublishSent(uint64_t publisher, const std::string& channel, const std::string& payload);
  [[nodiscard]] Finding OnPublished(size_t message, int64_t receivers);
  // It was not published, and nobody gets it.
  [[nodiscard]] Finding OnNotPublished(size_t message);
  // `topic`: the pattern, or the channel.
  [[nodiscard]] Finding OnMessage(uint64_t connection, TopicKind kind, const std::string& topic,
                                  const std::string& channel, const std::string& payload);

  // Whether messages are certainly on their way to it.
  bool Awaits(uint64_t connection) const;
  uint64_t received() const { return received_; }

 private:
  static constexpr uint64_t kNever = UINT64_MAX;

  struct Message {
    uint64_t publisher = 0;
    std::string channel;
    std::string payload;
    uint64_t sent = 0;
    uint64_t replied = kNever;
    bool refused = false;
  };
  struct Subscription {
    uint64_t connection = 0;
    TopicKind kind = TopicKind::kChannel;
    std::string topic;
    uint64_t asked = 0;
    uint64_t confirmed = kNever;
    uint64_t end_asked = kNever;
    uint64_t ended = kNever;
    std::set<size_t> received;
    std::set<size_t> awaited;                // Must come, and have not.
    std::map<uint64_t, size_t> last_number;  // The last message of each publisher.
  };
  using Name = std::pair<TopicKind, std::string>;

  static bool IsAbout(const Subscription& subscription, const Message& message);
  static bool MustGet(const Subscription& subscription, const Message& message);
  static bool MayGet(const Subscription& subscription, const Message& message);
  std::string Describe(const Subscription& subscription, size_t message) const;

  std::vector<Message> messages_;
  std::vector<Subscription> subscriptions_;  // All that ever were.
  // Of a connection, the numbers of all, and of those whose messages come now.
  std::map<uint64_t, std::vector<size_t>> of_connection_;
  std::map<uint64_t, std::map<Name, size_t>> current_;
  std::map<std::string, size_t> by_payload_;
  uint64_t now_ = 0;
  uint64_t received_ = 0;
};

}  // namespace orrery::scenarios
