// What would break: replies that overtake each other, torn reads and lost messages would pass, or a
// right server would not. The judge is told what a server of our own making answers.
#include "tests/scenarios/shards_judge.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/event_log.h"

namespace orrery::scenarios {
namespace {

class ShardsJudgeTest : public testing::Test {
 protected:
  void SetUp() override {
    judge_.OnConnected(1, 11);
    judge_.OnConnected(2, 12);
  }
  void Send(uint64_t connection, std::vector<std::string> arguments) {
    Unit unit;
    unit.arguments = std::move(arguments);
    judge_.OnSent(connection, std::move(unit));
  }
  void Reply(uint64_t connection, std::string_view reply) { judge_.OnReply(connection, reply); }
  void Do(uint64_t connection, std::vector<std::string> arguments, std::string_view reply) {
    Send(connection, std::move(arguments));
    Reply(connection, reply);
  }
  std::string Broken() {
    if (!log_.violation()) judge_.CheckHistory(1000);
    if (!log_.violation()) return "";
    const std::string cause = log_.violation()->cause;
    return log_.violation()->invariant + (cause.empty() ? "" : "/" + cause);
  }

  sim::EventLog log_;
  ShardsJudge judge_{log_, 2};
};

TEST_F(ShardsJudgeTest, WhatIsRightIsRight) {
  Send(1, {"SET", "k", "v"});
  Send(1, {"ECHO", "x"});
  EXPECT_TRUE(judge_.Outstanding(1));
  Reply(1, "+OK\r\n");
  Reply(1, "$1\r\nx\r\n");
  EXPECT_FALSE(judge_.Outstanding(1));
  Do(2, {"GET", "k"}, "$1\r\nv\r\n");
  EXPECT_EQ(Broken(), "");
  EXPECT_EQ(judge_.operations(), 2u);
}

TEST_F(ShardsJudgeTest, RepliesDoNotOvertakeEachOther) {
  Send(1, {"GET", "k"});
  Send(1, {"ECHO", "x"});
  Reply(1, "$1\r\nx\r\n");
  Reply(1, "$-1\r\n");
  EXPECT_EQ(Broken(), "reply-mismatch");
}

TEST_F(ShardsJudgeTest, NothingIsAnsweredUnasked) {
  Reply(1, "+OK\r\n");
  EXPECT_EQ(Broken(), "reply-without-command");
}

TEST_F(ShardsJudgeTest, ReadsAreNotTorn) {
  Send(1, {"MSET", "a", "1", "b", "1"});
  Do(2, {"MGET", "a", "b"}, "*2\r\n$1\r\n1\r\n$-1\r\n");
  Reply(1, "+OK\r\n");
  EXPECT_EQ(Broken(), "linearizability");
}

TEST_F(ShardsJudgeTest, ATransactionIsOneOperation) {
  Do(1, {"MULTI"}, "+OK\r\n");
  Do(1, {"SET", "a", "1"}, "+QUEUED\r\n");
  Do(1, {"GET", "a"}, "+QUEUED\r\n");
  Do(1, {"EXEC"}, "*2\r\n+OK\r\n$1\r\n1\r\n");
  EXPECT_EQ(judge_.operations(), 1u);
  EXPECT_EQ(judge_.transactions(), 1u);
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, AMessageOfATransactionIsCounted) {
  Do(1, {"SUBSCRIBE", "ch"}, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
  Do(2, {"MULTI"}, "+OK\r\n");
  Do(2, {"PUBLISH", "ch", "m"}, "+QUEUED\r\n");
  Do(2, {"SET", "a", "1"}, "+QUEUED\r\n");
  Send(2, {"EXEC"});
  EXPECT_FALSE(judge_.Outstanding(1));
  Reply(2, "*2\r\n:1\r\n+OK\r\n");
  EXPECT_TRUE(judge_.Outstanding(1));
  Reply(1, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
  Do(2, {"GET", "a"}, "$1\r\n1\r\n");
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, AMessageOfAnAbortedTransactionIsAStray) {
  Do(1, {"SUBSCRIBE", "ch"}, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
  Do(2, {"WATCH", "a"}, "+OK\r\n");
  Do(2, {"SET", "a", "1"}, "+OK\r\n");
  Do(2, {"MULTI"}, "+OK\r\n");
  Do(2, {"PUBLISH", "ch", "m"}, "+QUEUED\r\n");
  Do(2, {"EXEC"}, "*-1\r\n");
  EXPECT_EQ(judge_.aborted(), 1u);
  Reply(1, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
  EXPECT_EQ(Broken(), "publish-stray");
}

TEST_F(ShardsJudgeTest, TheTimeOfATransactionIsThatOfItsExec) {
  Do(1, {"SET", "a", "1", "PX", "10"}, "+OK\r\n");
  judge_.OnExecuted(1, false, {"SET", "a", "1", "PX", "10"}, 1000);
  Do(1, {"MULTI"}, "+OK\r\n");
  Send(1, {"GET", "a"});
  Send(1, {"EXEC"});
  judge_.OnExecuted(1, true, {"GET", "a"}, 1001);
  judge_.OnExecuted(1, true, {"EXEC"}, 1011);
  Reply(1, "+QUEUED\r\n");
  Reply(1, "*1\r\n$-1\r\n");
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, AnAbortNeedsAReason) {
  Do(1, {"WATCH", "a"}, "+OK\r\n");
  Do(1, {"MULTI"}, "+OK\r\n");
  Do(1, {"EXEC"}, "*-1\r\n");
  EXPECT_EQ(judge_.aborted(), 1u);
  EXPECT_EQ(Broken(), "linearizability");
}

TEST_F(ShardsJudgeTest, DiscardForgetsWhatWasWatched) {
  Do(1, {"WATCH", "a"}, "+OK\r\n");
  Do(1, {"MULTI"}, "+OK\r\n");
  Do(1, {"DISCARD"}, "+OK\r\n");
  Do(2, {"SET", "a", "1"}, "+OK\r\n");
  Do(1, {"MULTI"}, "+OK\r\n");
  Do(1, {"GET", "a"}, "+QUEUED\r\n");
  Do(1, {"EXEC"}, "*1\r\n$1\r\n1\r\n");
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, WhatIsNotQueuedSpoilsTheTransaction) {
  Do(1, {"MULTI"}, "+OK\r\n");
  Do(1, {"NOSUCH"}, "-ERR unknown command 'NOSUCH'\r\n");
  Do(1, {"EXEC"}, "-EXECABORT Transaction discarded because of previous errors.\r\n");
  EXPECT_EQ(Broken(), "");
  Do(1, {"EXEC"}, "*0\r\n");
  EXPECT_EQ(Broken(), "reply-mismatch");
}

TEST_F(ShardsJudgeTest, AMessageIsNoReply) {
  Do(1, {"SUBSCRIBE", "ch"}, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
  Do(2, {"PUBLISH", "ch", "m"}, ":1\r\n");
  EXPECT_TRUE(judge_.Outstanding(1));
  Send(1, {"PING"});
  Reply(1, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
  Reply(1, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_FALSE(judge_.Outstanding(1));
  EXPECT_EQ(judge_.messages(), 1u);
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, AMessageThatDoesNotComeIsMissed) {
  Do(1, {"HELLO", "3"}, "%0\r\n");
  Do(1, {"SUBSCRIBE", "ch"}, ">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
  Do(2, {"PUBLISH", "ch", "m"}, ":1\r\n");
  judge_.CheckNothingOutstanding();
  EXPECT_EQ(Broken(), "liveness/no-message");
}

TEST_F(ShardsJudgeTest, AReplyThatDoesNotComeIsMissed) {
  Send(1, {"GET", "k"});
  judge_.CheckNothingOutstanding();
  EXPECT_EQ(Broken(), "liveness/no-reply");
}

TEST_F(ShardsJudgeTest, AConnectionEndsForAReasonOnly) {
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(Broken(), "connection-lost/ended");
}

TEST_F(ShardsJudgeTest, AsManyMayBeLostAsHaveBeenKilled) {
  judge_.OnConnected(3, 13);
  Send(1, {"CLIENT", "KILL", "TYPE", "normal"});
  judge_.OnEnd(2, true, "");
  Reply(1, ":1\r\n");
  judge_.CheckKills();
  EXPECT_EQ(Broken(), "");
  judge_.OnEnd(3, true, "");
  EXPECT_EQ(Broken(), "connection-lost/reset");
}

TEST_F(ShardsJudgeTest, MoreAreLostThanHaveBeenKilled) {
  Send(1, {"CLIENT", "KILL", "ID", "7"});
  judge_.OnEnd(2, true, "");
  Reply(1, ":0\r\n");
  judge_.CheckKills();
  EXPECT_EQ(Broken(), "connection-lost");
}

TEST_F(ShardsJudgeTest, OneWhoLosesItsReplyByItselfHasNotBeenKilled) {
  Send(2, {"QUIT"});
  Send(2, {"GET", "k"});
  Send(1, {"CLIENT", "KILL", "TYPE", "pubsub"});
  judge_.OnEnd(2, true, "");
  Reply(1, ":0\r\n");
  judge_.CheckKills();
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, OneWhoIsCutOffGetsNoReplies) {
  Send(1, {"GET", "k"});
  judge_.OnCutOff(1);
  EXPECT_TRUE(judge_.ServerEnds(1));
  judge_.OnEnd(1, true, "$5\r\nunf");
  EXPECT_EQ(Broken(), "");
}

TEST_F(ShardsJudgeTest, AConnectionThatEndsHasHadItsReplies) {
  Send(1, {"GET", "k"});
  judge_.OnHalfClosed(1);
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(Broken(), "reply-lost");
}

TEST_F(ShardsJudgeTest, WhatComesAfterQuitDoesNotCount) {
  Send(1, {"QUIT"});
  Send(1, {"GET", "k"});
  Reply(1, "+OK\r\n");
  EXPECT_TRUE(judge_.ServerEnds(1));
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(Broken(), "");
}

}  // namespace
}  // namespace orrery::scenarios
