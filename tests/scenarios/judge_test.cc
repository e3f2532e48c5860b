// What would break: the simulation's power. Each rule of the judge has a history that breaks it and
// one beside it that does not.
#include "tests/scenarios/judge.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "sim/event_log.h"

namespace orrery::scenarios {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

class JudgeTest : public testing::Test {
 protected:
  JudgeTest() { judge_.OnConnected(1, 10); }

  void Send(std::vector<std::string> arguments, uint64_t connection = 1) {
    judge_.OnSent(connection,
                  {.kind = Unit::Kind::kCommand, .arguments = std::move(arguments), .error = {}});
  }
  void SendBad(std::string error) {
    judge_.OnSent(1, {.kind = Unit::Kind::kError, .arguments = {}, .error = std::move(error)});
  }
  void Execute(const std::vector<std::string>& arguments, uint64_t connection = 1) {
    judge_.OnExecuted(connection, arguments, kNow, {.wall_ms = kNow, .monotonic_ms = 0});
  }
  std::string violated() const {
    return log_.violation().has_value() ? log_.violation()->invariant : "";
  }

  sim::EventLog log_;
  Judge judge_{log_};
};

TEST_F(JudgeTest, TheServerMustGoByTheWallClock) {
  Send({"SET", "k", "a", "PX", "10"});
  Send({"PTTL", "k"});
  Execute({"SET", "k", "a", "PX", "10"});
  judge_.OnReply(1, "+OK\r\n");
  // Somebody has set the clock, and the server goes by the one that it had.
  judge_.OnExecuted(1, {"PTTL", "k"}, kNow, {.wall_ms = kNow + 5, .monotonic_ms = 0});
  EXPECT_EQ(violated(), "executed-by-wrong-clock");
}

TEST_F(JudgeTest, AKeyExpiresByTheWallClock) {
  Send({"SET", "k", "a", "PX", "10"});
  Execute({"SET", "k", "a", "PX", "10"});
  judge_.OnReply(1, "+OK\r\n");
  judge_.OnExpired("k", kNow + 10, {.wall_ms = kNow + 11, .monotonic_ms = 0});
  EXPECT_EQ(violated(), "");
  // It stays away when the clock goes back.
  Send({"GET", "k"});
  Execute({"GET", "k"});
  judge_.OnReply(1, "$-1\r\n");
  EXPECT_EQ(violated(), "");
  judge_.OnExpired("j", kNow + 10, {.wall_ms = kNow + 10, .monotonic_ms = 1'000'000});
  EXPECT_EQ(violated(), "expired-early");
}

TEST_F(JudgeTest, AcceptsTwoClientsWhoseCommandsInterleave) {
  judge_.OnConnected(2, 20);
  Send({"SET", "k", "a"}, 1);
  Send({"SET", "k", "b", "GET"}, 2);
  Send({"GET", "k"}, 1);
  Execute({"SET", "k", "a"}, 1);
  Execute({"SET", "k", "b", "GET"}, 2);
  judge_.OnReply(1, "+OK\r\n");
  Execute({"GET", "k"}, 1);
  judge_.OnReply(2, "$1\r\na\r\n");
  EXPECT_TRUE(judge_.AnythingOutstanding());
  judge_.OnReply(1, "$1\r\nb\r\n");
  EXPECT_FALSE(judge_.AnythingOutstanding());
  judge_.CheckNothingOutstanding();
  EXPECT_EQ(violated(), "");
  EXPECT_EQ(judge_.executed(), 3u);
  EXPECT_EQ(judge_.replies(), 3u);
}

TEST_F(JudgeTest, ARepliedValueMustBeTheOneAtTheTimeOfExecution) {
  Send({"SET", "k", "a"});
  Send({"GET", "k"});
  Execute({"SET", "k", "a"});
  Execute({"GET", "k"});
  judge_.OnReply(1, "+OK\r\n");
  judge_.OnReply(1, "$1\r\nb\r\n");
  EXPECT_EQ(violated(), "reply-mismatch");
  EXPECT_EQ(log_.violation()->connection, 1u);
  EXPECT_NE(log_.violation()->detail.find("client 10: to 'GET' 'k' expected '$1\\r\\na\\r\\n'"),
            std::string::npos)
      << log_.violation()->detail;
}

TEST_F(JudgeTest, NothingIsExecutedThatAPauseHoldsBack) {
  Send({"CLIENT", "PAUSE", "5", "WRITE"});
  Send({"GET", "k"});
  Send({"SET", "k", "a"});
  Execute({"CLIENT", "PAUSE", "5", "WRITE"});
  Execute({"GET", "k"});
  EXPECT_EQ(violated(), "");
  Execute({"SET", "k", "a"});
  EXPECT_EQ(violated(), "executed-while-paused");
}

TEST_F(JudgeTest, AKilledClientMayLoseItsRepliesAndExecutesNothing) {
  judge_.OnConnected(2, 20);
  judge_.FindClientsBy([](uint64_t id) { return std::optional<uint64_t>(id); });
  Send({"PING"}, 2);
  Send({"PING"}, 2);
  Execute({"PING"}, 2);
  Send({"CLIENT", "KILL", "ID", "2"}, 1);
  Execute({"CLIENT", "KILL", "ID", "2"}, 1);
  judge_.OnReply(1, ":1\r\n");
  EXPECT_TRUE(judge_.ServerEnds(2));
  EXPECT_FALSE(judge_.AnythingOutstanding());
  judge_.OnEnd(2, true, "");
  EXPECT_EQ(violated(), "");
  Execute({"PING"}, 2);
  EXPECT_EQ(violated(), "executed-after-end");
}

TEST_F(JudgeTest, WithRepliesOffThereAreNone) {
  Send({"CLIENT", "REPLY", "OFF"});
  Send({"PING"});
  Execute({"CLIENT", "REPLY", "OFF"});
  Execute({"PING"});
  EXPECT_FALSE(judge_.AnythingOutstanding());
  EXPECT_EQ(violated(), "");
  judge_.OnReply(1, "+PONG\r\n");
  EXPECT_EQ(violated(), "reply-without-command");
}

TEST_F(JudgeTest, RepliesMustKeepTheirOrder) {
  Send({"PING"});
  Send({"ECHO", "x"});
  Execute({"PING"});
  Execute({"ECHO", "x"});
  judge_.OnReply(1, "$1\r\nx\r\n");
  EXPECT_EQ(violated(), "reply-mismatch");
}

TEST_F(JudgeTest, NothingIsExecutedBeforeItIsSent) {
  Execute({"PING"});
  EXPECT_EQ(violated(), "executed-before-sent");
}

TEST_F(JudgeTest, WhoIsOneTooManyIsToldSoAndThatIsAll) {
  judge_.OnConnected(2, 20);
  judge_.admission().SetClientsMax(1);
  judge_.admission().OnAccepted(1);
  judge_.OnServed(1);
  judge_.admission().OnAccepted(2);
  Send({"PING"}, 2);
  EXPECT_TRUE(judge_.Outstanding(2));
  judge_.OnReply(2, "-ERR max number of clients reached\r\n");
  EXPECT_FALSE(judge_.Outstanding(2));
  EXPECT_TRUE(judge_.ServerEnds(2));
  judge_.OnEnd(2, false, "");
  EXPECT_EQ(violated(), "");
  // There is room again.
  judge_.admission().OnClosed(1);
  judge_.admission().OnGone(1);
  judge_.OnConnected(3, 30);
  judge_.admission().OnAccepted(3);
  judge_.OnReply(3, "-ERR max number of clients reached\r\n");
  EXPECT_EQ(violated(), "reply-without-command");
}

TEST_F(JudgeTest, NobodyIsRefusedWithoutAWord) {
  judge_.OnConnected(2, 20);
  judge_.admission().SetClientsMax(1);
  judge_.admission().OnAccepted(1);
  judge_.OnServed(1);
  judge_.admission().OnAccepted(2);
  judge_.OnEnd(2, false, "");
  EXPECT_EQ(violated(), "reply-lost");
}

TEST_F(JudgeTest, ConfigSetRaisesTheLimitOfClients) {
  judge_.OnConnected(2, 20);
  judge_.admission().SetClientsMax(1);
  judge_.admission().OnAccepted(1);
  judge_.OnServed(1);
  Send({"CONFIG", "SET", "maxclients", "10000"});
  Execute({"CONFIG", "SET", "maxclients", "10000"});
  judge_.admission().OnAccepted(2);
  judge_.OnServed(2);
  EXPECT_EQ(violated(), "");
}

TEST_F(JudgeTest, TheServerServesNoMoreThanItMay) {
  judge_.OnConnected(2, 20);
  judge_.admission().SetClientsMax(1);
  judge_.admission().OnAccepted(1);
  judge_.admission().OnAccepted(2);
  judge_.OnServed(1);
  EXPECT_EQ(violated(), "");
  judge_.OnServed(2);
  EXPECT_EQ(violated(), "too-many-clients");
}

TEST_F(JudgeTest, WhatADeafClientDoesNotReadMayBeLost) {
  Send({"QUIT"});
  Execute({"QUIT"});
  judge_.OnDeaf(1);
  judge_.OnEnd(1, true, "");
  EXPECT_EQ(violated(), "");
}

TEST_F(JudgeTest, NothingIsExecutedWhileTooMuchWaitsToBeSent) {
  judge_.CheckOutput(1, 99, 100);
  EXPECT_EQ(violated(), "");
  judge_.CheckOutput(1, 100, 100);
  EXPECT_EQ(violated(), "executed-while-full");
}

TEST_F(JudgeTest, KnowsWhichKeysHaveExpiredAndAreStillThere) {
  Send({"SET", "k", "a", "PX", "10"});
  Execute({"SET", "k", "a", "PX", "10"});
  EXPECT_EQ(judge_.ExpiredKeys(kNow + 10), 0u);
  EXPECT_EQ(judge_.ExpiredKeys(kNow + 11), 1u);
  judge_.OnExpired("k", kNow + 10, {.wall_ms = kNow + 11, .monotonic_ms = 0});
  EXPECT_EQ(judge_.ExpiredKeys(kNow + 11), 0u);
}

TEST_F(JudgeTest, NothingIsExecutedForNobody) {
  Execute({"PING"}, 7);
  EXPECT_EQ(violated(), "executed-before-sent");
}

TEST_F(JudgeTest, CommandsAreExecutedInOrderWithTheirArguments) {
  Send({"GET", "a"});
  Send({"GET", "b"});
  Execute({"GET", "b"});
  EXPECT_EQ(violated(), "executed-wrong-command");
}

TEST_F(JudgeTest, NothingIsRepliedBeforeItIsExecuted) {
  Send({"PING"});
  judge_.OnReply(1, "+PONG\r\n");
  EXPECT_EQ(violated(), "reply-without-command");
}

TEST_F(JudgeTest, NothingIsRepliedTwice) {
  Send({"PING"});
  Execute({"PING"});
  judge_.OnReply(1, "+PONG\r\n");
  EXPECT_EQ(violated(), "");
  judge_.OnReply(1, "+PONG\r\n");
  EXPECT_EQ(violated(), "reply-without-command");
}

TEST_F(JudgeTest, BadInputGetsItsErrorAndThenTheEnd) {
  Send({"PING"});
  judge_.OnSent(1, {.kind = Unit::Kind::kSilent, .arguments = {}, .error = {}});
  SendBad("-ERR Protocol error: x\r\n");
  Execute({"PING"});
  judge_.OnReply(1, "+PONG\r\n");
  EXPECT_TRUE(judge_.Outstanding(1));
  EXPECT_FALSE(judge_.ServerEnds(1));
  judge_.OnReply(1, "-ERR Protocol error: x\r\n");
  EXPECT_FALSE(judge_.Outstanding(1));
  EXPECT_TRUE(judge_.ServerEnds(1));
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(violated(), "");
}

TEST_F(JudgeTest, TheErrorForBadInputMustBeTheRightOne) {
  SendBad("-ERR Protocol error: x\r\n");
  judge_.OnReply(1, "-ERR Protocol error: y\r\n");
  EXPECT_EQ(violated(), "reply-mismatch");
}

TEST_F(JudgeTest, TheErrorForBadInputMustArrive) {
  SendBad("-ERR Protocol error: x\r\n");
  judge_.OnEnd(1, true, "");
  EXPECT_EQ(violated(), "reply-lost");
}

TEST_F(JudgeTest, NothingIsExecutedAfterBadInput) {
  SendBad("-ERR Protocol error: x\r\n");
  Send({"PING"});
  Execute({"PING"});
  EXPECT_EQ(violated(), "executed-after-end");
}

TEST_F(JudgeTest, QuitIsTheLastCommand) {
  Send({"QUIT"});
  Send({"PING"});
  Execute({"QUIT"});
  judge_.OnReply(1, "+OK\r\n");
  EXPECT_FALSE(judge_.Outstanding(1));
  Execute({"PING"});
  EXPECT_EQ(violated(), "executed-after-end");
}

TEST_F(JudgeTest, AConnectionEndsForAReasonOnly) {
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(violated(), "connection-lost");
}

TEST_F(JudgeTest, QuitAndStoppingAreReasons) {
  judge_.OnConnected(2, 20);
  Send({"QUIT"});
  Execute({"QUIT"});
  judge_.OnReply(1, "+OK\r\n");
  judge_.OnEnd(1, false, "");
  judge_.OnServerStops();
  judge_.OnEnd(2, false, "");
  EXPECT_EQ(violated(), "");
}

TEST_F(JudgeTest, WhatWasExecutedIsRepliedBeforeTheEnd) {
  judge_.OnServerStops();
  Send({"PING"});
  Execute({"PING"});
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(violated(), "reply-lost");
}

TEST_F(JudgeTest, AStreamDoesNotEndWithinAReply) {
  judge_.OnHalfClosed(1);
  judge_.OnEnd(1, false, "$5\r\nab");
  EXPECT_EQ(violated(), "reply-lost");
}

TEST_F(JudgeTest, WhatWasSentBeforeAHalfCloseIsExecuted) {
  Send({"PING"});
  judge_.OnHalfClosed(1);
  judge_.OnEnd(1, false, "");
  EXPECT_EQ(violated(), "reply-lost");
}

TEST_F(JudgeTest, AHastyServerMayLoseRepliesAtAnEndThatHasAReason) {
  judge_.OnConnected(2, 20);
  judge_.AllowHastyEnds();
  Send({"QUIT"});
  Execute({"QUIT"});
  judge_.OnEnd(1, true, "+O");
  EXPECT_EQ(violated(), "");
  judge_.OnEnd(2, false, "");
  EXPECT_EQ(violated(), "connection-lost");
}

TEST_F(JudgeTest, IdsAreConstantAndUnique) {
  judge_.OnConnected(2, 20);
  const auto ask = [this](uint64_t connection, const std::string& reply) {
    Send({"CLIENT", "ID"}, connection);
    Execute({"CLIENT", "ID"}, connection);
    judge_.OnReply(connection, reply);
  };
  ask(1, ":7\r\n");
  ask(1, ":7\r\n");
  ask(2, ":8\r\n");
  EXPECT_EQ(violated(), "");
  ask(2, ":7\r\n");
  EXPECT_EQ(violated(), "connection-id");
}

TEST_F(JudgeTest, IdsDoNotChange) {
  for (const char* reply : {":7\r\n", ":9\r\n"}) {
    Send({"CLIENT", "ID"});
    Execute({"CLIENT", "ID"});
    judge_.OnReply(1, reply);
  }
  EXPECT_EQ(violated(), "connection-id");
}

TEST_F(JudgeTest, LivenessNamesWhatWasForgotten) {
  Send({"GET", "k"});
  judge_.CheckNothingOutstanding();
  EXPECT_EQ(violated(), "liveness");
  EXPECT_NE(log_.violation()->detail.find("'GET' 'k' was sent completely and never executed"),
            std::string::npos);
}

TEST_F(JudgeTest, AClientThatHasGoneIsOwedNothing) {
  Send({"GET", "k"});
  judge_.OnGone(1);
  judge_.CheckNothingOutstanding();
  EXPECT_EQ(violated(), "");
  Execute({"GET", "k"});
  EXPECT_EQ(violated(), "") << "what was sent before may still be executed";
}

TEST_F(JudgeTest, MalformedRepliesAreViolations) {
  judge_.OnMalformedReply(1, "no reply begins with 'x'");
  EXPECT_EQ(violated(), "reply-malformed");
}

}  // namespace
}  // namespace orrery::scenarios
