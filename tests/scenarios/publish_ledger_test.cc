// What would break: a server that loses, repeats or reorders messages would pass, or a right one
// would not.
#include "tests/scenarios/publish_ledger.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace orrery::scenarios {
namespace {

constexpr uint64_t kListener = 1;
constexpr uint64_t kPublisher = 2;

std::string_view RuleOf(const PublishLedger::Finding& finding) {
  return finding ? finding->rule : "";
}

class PublishLedgerTest : public testing::Test {
 protected:
  size_t Subscribe(const std::string& topic, TopicKind kind = TopicKind::kChannel) {
    const size_t subscription = ledger_.OnSubscribeSent(kListener, kind, topic);
    ledger_.OnSubscribed(subscription);
    return subscription;
  }
  std::string_view Get(const std::string& payload) {
    return RuleOf(ledger_.OnMessage(kListener, TopicKind::kChannel, "ch", "ch", payload));
  }
  size_t Send(const std::string& payload) {
    return ledger_.OnPublishSent(kPublisher, "ch", payload);
  }

  PublishLedger ledger_;
};

TEST_F(PublishLedgerTest, WhatIsPublishedComesOnce) {
  Subscribe("ch");
  const size_t message = Send("a");
  EXPECT_EQ(Get("a"), "");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(message, 1)), "");
  EXPECT_FALSE(ledger_.Awaits(kListener));
  EXPECT_EQ(Get("a"), "publish-twice");
}

TEST_F(PublishLedgerTest, WhatIsNotPublishedComesToNobody) {
  Subscribe("ch");
  EXPECT_EQ(RuleOf(ledger_.OnNotPublished(Send("a"))), "");
  EXPECT_FALSE(ledger_.Awaits(kListener));
  EXPECT_EQ(Get("a"), "publish-stray");
  const size_t message = Send("b");
  EXPECT_EQ(Get("b"), "");
  EXPECT_EQ(RuleOf(ledger_.OnNotPublished(message)), "publish-stray");
}

TEST_F(PublishLedgerTest, OneWhoMustGetItIsAwaited) {
  const size_t subscription = Subscribe("ch");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("a"), 1)), "");
  EXPECT_TRUE(ledger_.Awaits(kListener));
  ledger_.OnUnsubscribeSent(subscription);
  EXPECT_EQ(RuleOf(ledger_.OnUnsubscribed(subscription)), "publish-lost");
}

TEST_F(PublishLedgerTest, OneWhoCameOrLeavesMeanwhileMayGetIt) {
  const size_t message = Send("a");
  const size_t subscription = Subscribe("ch");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(message, 0)), "");
  EXPECT_FALSE(ledger_.Awaits(kListener));
  const size_t other = Send("b");
  ledger_.OnUnsubscribeSent(subscription);
  EXPECT_EQ(RuleOf(ledger_.OnPublished(other, 1)), "");
  EXPECT_EQ(Get("b"), "");
  EXPECT_EQ(RuleOf(ledger_.OnUnsubscribed(subscription)), "");
}

TEST_F(PublishLedgerTest, NobodyGetsWhatWasPublishedBeforeOrAfter) {
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("a"), 0)), "");
  const size_t subscription = Subscribe("ch");
  EXPECT_EQ(Get("a"), "publish-stray");
  EXPECT_EQ(Get("never sent"), "publish-stray");
  ledger_.OnUnsubscribeSent(subscription);
  EXPECT_EQ(RuleOf(ledger_.OnUnsubscribed(subscription)), "");
  Send("b");
  EXPECT_EQ(Get("b"), "publish-stray");
}

TEST_F(PublishLedgerTest, MessagesOfOnePublisherKeepTheirOrder) {
  Subscribe("ch");
  Send("a");
  Send("b");
  ledger_.OnPublishSent(3, "ch", "of another");
  EXPECT_EQ(Get("of another"), "");
  EXPECT_EQ(Get("b"), "");
  EXPECT_EQ(Get("a"), "publish-order");
}

TEST_F(PublishLedgerTest, TheNumberOfReceiversIsTrue) {
  Subscribe("ch");
  Subscribe("c*", TopicKind::kPattern);
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("a"), 2)), "");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("b"), 1)), "publish-count");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("c"), 3)), "publish-count");
}

TEST_F(PublishLedgerTest, APatternIsASubscriptionOfItsOwn) {
  Subscribe("c*", TopicKind::kPattern);
  Send("a");
  EXPECT_EQ(RuleOf(ledger_.OnMessage(kListener, TopicKind::kPattern, "c*", "ch", "a")), "");
  EXPECT_EQ(RuleOf(ledger_.OnMessage(kListener, TopicKind::kPattern, "c*", "other", "a")),
            "publish-stray");
  EXPECT_EQ(Get("a"), "publish-stray");
}

TEST_F(PublishLedgerTest, OneThatEndsIsOwedNothing) {
  Subscribe("ch");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("a"), 1)), "");
  ledger_.OnEnding(kListener);
  EXPECT_FALSE(ledger_.Awaits(kListener));
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("b"), 0)), "");
  EXPECT_EQ(RuleOf(ledger_.OnPublished(Send("c"), 1)), "");
}

// What comes between the end of one and the beginning of the next belongs to neither.
TEST_F(PublishLedgerTest, ATopicMayBeAskedForAgainBeforeItsEndIsConfirmed) {
  const size_t first = Subscribe("ch");
  ledger_.OnUnsubscribeSent(first);
  const size_t second = ledger_.OnSubscribeSent(kListener, TopicKind::kChannel, "ch");
  Send("a");
  EXPECT_EQ(Get("a"), "");
  EXPECT_EQ(RuleOf(ledger_.OnUnsubscribed(first)), "");
  ledger_.OnSubscribed(second);
  EXPECT_EQ(Get("a"), "");
  Send("b");
  EXPECT_EQ(Get("b"), "");
}

}  // namespace
}  // namespace orrery::scenarios
