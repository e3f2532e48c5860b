// What would break: a shard is believed to have no listener, and does not get the message.
#include "server/interest.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery::server {
namespace {

bool MayListen(const Interest& interest, TopicKind kind, const std::string& channel) {
  return interest.MayListen(kind, Interest::SlotOf(channel));
}

TEST(Interest, APatternMayMatchAnyChannelButNoShardChannel) {
  Interest interest;
  EXPECT_FALSE(MayListen(interest, TopicKind::kChannel, "a"));
  interest.Add(TopicKind::kPattern, "x*");
  EXPECT_TRUE(MayListen(interest, TopicKind::kChannel, "a"));
  EXPECT_FALSE(MayListen(interest, TopicKind::kShardChannel, "a"));
  interest.Remove(TopicKind::kPattern, "x*");
  EXPECT_FALSE(MayListen(interest, TopicKind::kChannel, "a"));
}

RC_GTEST_PROP(InterestProperty, NoTopicIsMissedAndNoneIsLeft, ()) {
  Interest interest;
  std::set<std::pair<TopicKind, std::string>> topics;
  for (const int number : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 4000))) {
    const TopicKind kind = number % 2 == 0 ? TopicKind::kChannel : TopicKind::kShardChannel;
    const std::pair topic(kind, "topic" + std::to_string(number));
    if (topics.erase(topic) > 0) {
      interest.Remove(topic.first, topic.second);
    } else {
      topics.insert(topic);
      interest.Add(topic.first, topic.second);
    }
    for (const auto& [each, name] : topics) RC_ASSERT(MayListen(interest, each, name));
  }
  for (const auto& [kind, name] : topics) interest.Remove(kind, name);
  for (size_t slot = 0; slot < Interest::kSlots; ++slot) {
    RC_ASSERT(!interest.MayListen(TopicKind::kChannel, slot));
  }
}

}  // namespace
}  // namespace orrery::server
