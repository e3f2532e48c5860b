// What would break: a server that loses updates or shows half of an MSET would pass, or a right one
// would be called wrong. Histories made by hand, each with the verdict that it must have.
#include "tests/linearizability/checker.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "tests/linearizability/footprint.h"
#include "tests/linearizability/history.h"

namespace orrery::linearizability {
namespace {

constexpr const char* kOk = "+OK\r\n";
constexpr const char* kNull = "$-1\r\n";

std::string Bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}
std::string Number(int64_t number) { return ":" + std::to_string(number) + "\r\n"; }
std::string Array(const std::vector<std::string>& elements) {
  std::string text = "*" + std::to_string(elements.size()) + "\r\n";
  for (const std::string& element : elements) text += element;
  return text;
}

class CheckerTest : public testing::Test {
 protected:
  size_t Call(uint64_t client, Arguments arguments) {
    Operation operation;
    operation.client = client;
    // As if each key was on a shard of its own.
    operation.flows = FootprintOf(arguments).keys.size() == 1;
    operation.commands.push_back(std::move(arguments));
    return history_.Call(std::move(operation));
  }
  size_t Watch(uint64_t client, const std::string& key) {
    Operation operation;
    operation.kind = Operation::Kind::kWatch;
    operation.client = client;
    operation.commands.push_back({"WATCH", key});
    const size_t index = history_.Call(std::move(operation));
    history_.Return(index, {kOk});
    return index;
  }
  size_t CallExec(uint64_t client, std::vector<Arguments> commands,
                  std::vector<size_t> watches = {}) {
    Operation operation;
    operation.kind = Operation::Kind::kTransaction;
    operation.client = client;
    operation.commands = std::move(commands);
    operation.watches = std::move(watches);
    return history_.Call(std::move(operation));
  }
  void Return(size_t index, std::string reply) { history_.Return(index, {std::move(reply)}); }
  // Called, and returned before anything else happens.
  void Do(uint64_t client, Arguments arguments, std::string reply) {
    Return(Call(client, std::move(arguments)), std::move(reply));
  }

  Verdict Check() const { return linearizability::Check(history_.operations(), {}); }
  void ExpectRight() const {
    const Verdict verdict = Check();
    EXPECT_EQ(verdict.violation, "");
    EXPECT_EQ(verdict.undecided, 0u);
  }
  void ExpectWrong() const { EXPECT_TRUE(Check().violated()); }

  History history_;
};

TEST_F(CheckerTest, WhatHappensOneAfterTheOtherIsRight) {
  Do(1, {"SET", "a", "1"}, kOk);
  Do(2, {"INCRBY", "a", "4"}, Number(5));
  Do(1, {"DEL", "a", "b"}, Number(1));
  Do(2, {"GET", "a"}, kNull);
  ExpectRight();
}

TEST_F(CheckerTest, AReadMayNotBeStale) {
  Do(1, {"SET", "a", "old"}, kOk);
  Do(1, {"SET", "a", "new"}, kOk);
  Do(2, {"GET", "a"}, Bulk("old"));
  ExpectWrong();
}

TEST_F(CheckerTest, AReadDuringAWriteMayBeOldOrNewButNotGoBack) {
  Do(1, {"SET", "a", "old"}, kOk);
  const size_t write = Call(1, {"SET", "a", "new"});
  Do(2, {"GET", "a"}, Bulk("old"));
  Do(2, {"GET", "a"}, Bulk("new"));
  Do(3, {"GET", "a"}, Bulk("new"));
  Return(write, kOk);
  ExpectRight();
  const size_t again = Call(1, {"SET", "a", "newer"});
  Do(2, {"GET", "a"}, Bulk("newer"));
  Do(3, {"GET", "a"}, Bulk("new"));
  Return(again, kOk);
  ExpectWrong();
}

TEST_F(CheckerTest, NoUpdateIsLost) {
  const size_t one = Call(1, {"INCR", "a"});
  const size_t other = Call(2, {"INCR", "a"});
  Return(one, Number(1));
  Return(other, Number(1));
  ExpectWrong();
}

TEST_F(CheckerTest, OnlyOneConditionalSetWins) {
  const size_t one = Call(1, {"SET", "a", "1", "NX"});
  const size_t other = Call(2, {"SETNX", "a", "2"});
  Return(one, kNull);
  Return(other, Number(1));
  ExpectRight();
  Do(3, {"DEL", "a"}, Number(1));
  const size_t again = Call(1, {"SETNX", "a", "1"});
  const size_t other_again = Call(2, {"SETNX", "a", "2"});
  Return(again, Number(1));
  Return(other_again, Number(1));
  ExpectWrong();
}

TEST_F(CheckerTest, AReadMayNotBeTorn) {
  Do(1, {"MSET", "a", "0", "b", "0"}, kOk);
  const size_t write = Call(1, {"MSET", "a", "1", "b", "1"});
  const size_t read = Call(2, {"MGET", "a", "b"});
  Return(write, kOk);
  Return(read, Array({Bulk("1"), Bulk("0")}));
  ExpectWrong();
}

TEST_F(CheckerTest, TwoReadersMustAgreeOnTheOrderOfTwoWrites) {
  const size_t a = Call(1, {"SET", "a", "1"});
  const size_t b = Call(2, {"SET", "b", "1"});
  const size_t one = Call(3, {"MGET", "a", "b"});
  const size_t other = Call(4, {"MGET", "a", "b"});
  Return(one, Array({Bulk("1"), kNull}));
  Return(a, kOk);
  Return(b, kOk);
  Return(other, Array({kNull, Bulk("1")}));
  ExpectWrong();
}

TEST_F(CheckerTest, TransactionsMayNotSkew) {
  const size_t one = CallExec(1, {{"GET", "a"}, {"SET", "b", "1"}});
  const size_t other = CallExec(2, {{"GET", "b"}, {"SET", "a", "1"}});
  history_.Return(one, {kNull, kOk});
  history_.Return(other, {kNull, kOk});
  ExpectWrong();
}

TEST_F(CheckerTest, ATransactionComesAsAWhole) {
  const size_t transaction = CallExec(1, {{"INCR", "a"}, {"INCR", "a"}});
  const size_t read = Call(2, {"GET", "a"});
  history_.Return(transaction, {Number(1), Number(2)});
  Return(read, Bulk("1"));
  ExpectWrong();
}

TEST_F(CheckerTest, WhatWasWatchedHasNotChanged) {
  const size_t watch = Watch(1, "a");
  Do(2, {"SET", "a", "1"}, kOk);
  const size_t transaction = CallExec(1, {{"SET", "b", "1"}}, {watch});
  history_.Return(transaction, {kOk});
  ExpectWrong();
}

TEST_F(CheckerTest, AChangeAndItsUndoingAreAChange) {
  Do(2, {"SET", "a", "1"}, kOk);
  const size_t watch = Watch(1, "a");
  Do(2, {"INCR", "a"}, Number(2));
  Do(2, {"DECR", "a"}, Number(1));
  const size_t transaction = CallExec(1, {{"GET", "a"}}, {watch});
  history_.Return(transaction, {Bulk("1")});
  ExpectWrong();
}

TEST_F(CheckerTest, WithoutAChangeNothingIsAborted) {
  const size_t watch = Watch(1, "a");
  Do(2, {"SET", "b", "1"}, kOk);
  Do(2, {"GET", "a"}, kNull);
  history_.ReturnAborted(CallExec(1, {{"GET", "b"}}, {watch}));
  ExpectWrong();
}

TEST_F(CheckerTest, AChangeAborts) {
  const size_t watch = Watch(1, "a");
  Do(2, {"SET", "a", "1"}, kOk);
  history_.ReturnAborted(CallExec(1, {{"SET", "a", "2"}}, {watch}));
  Do(2, {"GET", "a"}, Bulk("1"));
  ExpectRight();
}

TEST_F(CheckerTest, AWriteThatChangesNothingMayAbort) {
  for (const bool aborts : {false, true}) {
    const size_t watch = Watch(1, "a");
    Do(2, {"DEL", "a"}, Number(0));
    const size_t transaction = CallExec(1, {{"GET", "a"}}, {watch});
    if (aborts) {
      history_.ReturnAborted(transaction);
    } else {
      history_.Return(transaction, {kNull});
    }
  }
  ExpectRight();
}

TEST_F(CheckerTest, AWatchCountsFromItsOwnTimeOn) {
  Do(2, {"SET", "a", "1"}, kOk);
  const size_t watch = Watch(1, "a");
  history_.ReturnAborted(CallExec(1, {{"GET", "a"}}, {watch}));
  ExpectWrong();
}

// What its client sent next has taken effect, so the transaction is over: aborted.
TEST_F(CheckerTest, ATransactionThatWasNotAnsweredMayHaveBeenAborted) {
  const size_t watch = Watch(1, "a");
  Do(2, {"SET", "a", "1"}, kOk);
  (void)CallExec(1, {{"SET", "a", "2"}}, {watch});
  (void)Call(1, {"SET", "b", "1"});
  Do(2, {"MGET", "a", "b"}, Array({Bulk("1"), Bulk("1")}));
  ExpectRight();
  Do(2, {"GET", "a"}, Bulk("2"));
  ExpectWrong();
}

TEST_F(CheckerTest, WhatWasNotAnsweredMayHaveHappenedAtAnyTimeOrNever) {
  (void)Call(1, {"SET", "a", "1"});
  Do(2, {"GET", "a"}, kNull);
  ExpectRight();
  Do(2, {"GET", "a"}, Bulk("1"));
  ExpectRight();
  Do(2, {"GET", "a"}, kNull);
  ExpectWrong();
}

TEST_F(CheckerTest, WhatWasNotAnsweredHappensOnce) {
  (void)Call(1, {"INCR", "a"});
  Do(2, {"GET", "a"}, Bulk("1"));
  Do(2, {"GET", "a"}, Bulk("2"));
  ExpectWrong();
}

TEST_F(CheckerTest, PipelinedCommandsOnOneKeyKeepTheirOrder) {
  const size_t write = Call(1, {"SET", "a", "1"});
  const size_t read = Call(1, {"GET", "a"});
  Return(write, kOk);
  Return(read, kNull);
  ExpectWrong();
}

// Another client sees the second and not the first.
TEST_F(CheckerTest, PipelinedCommandsOnOneKeyEachMayTakeEffectInAnyOrder) {
  const size_t first = Call(1, {"SET", "a", "1"});
  const size_t second = Call(1, {"SET", "b", "1"});
  Do(2, {"MGET", "a", "b"}, Array({kNull, Bulk("1")}));
  Return(first, kOk);
  Return(second, kOk);
  ExpectRight();
}

TEST_F(CheckerTest, APipelinedCommandOnSeveralKeysKeepsItsPlace) {
  const size_t first = Call(1, {"MSET", "a", "1", "c", "1"});
  const size_t second = Call(1, {"SET", "b", "1"});
  Do(2, {"MGET", "a", "b"}, Array({kNull, Bulk("1")}));
  Return(first, kOk);
  Return(second, kOk);
  ExpectWrong();
}

TEST_F(CheckerTest, TheWholeKeyspaceIsOneThing) {
  const size_t one = Call(1, {"SET", "a", "1"});
  const size_t other = Call(2, {"SET", "b", "1"});
  const size_t clear = Call(3, {"FLUSHALL"});
  Return(clear, kOk);
  Return(one, kOk);
  Return(other, kOk);
  Do(4, {"DBSIZE"}, Number(1));
  Do(4, {"GET", "a"}, kNull);
  ExpectRight();
  Do(4, {"KEYS", "*"}, Array({Bulk("a")}));
  ExpectWrong();
}

TEST_F(CheckerTest, RepliesAreReadInTheProtocolOfTheirConnection) {
  Operation operation;
  operation.client = 1;
  operation.protocol = 3;
  operation.commands = {{"GET", "a"}};
  history_.Return(history_.Call(operation), {"_\r\n"});
  ExpectRight();
  history_.Return(history_.Call(operation), {kNull});
  ExpectWrong();
}

TEST_F(CheckerTest, KeysThatNothingLinksAreJudgedApart) {
  Do(1, {"SET", "a", "1"}, kOk);
  Do(1, {"SET", "b", "1"}, kOk);
  Do(1, {"PING"}, "+PONG\r\n");
  EXPECT_EQ(Check().parts, 3u);
  Do(1, {"MGET", "a", "b"}, Array({Bulk("1"), Bulk("1")}));
  EXPECT_EQ(Check().parts, 2u);
  Do(1, {"SET", "c", "1"}, kOk);
  const size_t watch = Watch(1, "c");
  history_.Return(CallExec(1, {{"GET", "a"}}, {watch}), {Bulk("1")});
  EXPECT_EQ(Check().parts, 2u);
  ExpectRight();
}

TEST_F(CheckerTest, KeysExpireByTheTimesOfTheOperations) {
  const auto do_at = [this](int64_t clock_ms, Arguments arguments, std::string reply) {
    const size_t call = Call(1, std::move(arguments));
    history_.Hint(call, clock_ms);
    Return(call, std::move(reply));
  };
  do_at(1000, {"SET", "a", "1", "PX", "10"}, kOk);
  do_at(1010, {"GET", "a"}, Bulk("1"));
  do_at(1005, {"PTTL", "a"}, Number(5));
  do_at(1011, {"GET", "a"}, kNull);
  ExpectRight();
  do_at(1011, {"EXISTS", "a"}, Number(1));
  ExpectWrong();
}

TEST_F(CheckerTest, AWatchedKeyThatHasExpiredMayAbort) {
  for (const bool aborts : {true, false}) {
    history_ = {};
    const size_t set = Call(1, {"SET", "a", "1", "PX", "10"});
    history_.Hint(set, 1000);
    Return(set, kOk);
    const size_t watch = Watch(1, "a");
    const size_t exec = CallExec(1, {{"GET", "a"}}, {watch});
    history_.Hint(exec, 1011);
    aborts ? history_.ReturnAborted(exec) : Return(exec, kNull);
    ExpectRight();
  }
}

TEST_F(CheckerTest, ToTakeAwayWhatHasExpiredIsNoChange) {
  const size_t set = Call(1, {"SET", "a", "1", "PX", "10"});
  history_.Hint(set, 1000);
  Return(set, kOk);
  const size_t watch = Watch(1, "a");
  const size_t take = Call(1, {"GETDEL", "a"});
  history_.Hint(take, 1020);
  Return(take, kNull);
  Return(CallExec(1, {{"PING"}}, {watch}), "+PONG\r\n");
  ExpectRight();
}

TEST_F(CheckerTest, WhatIsTooMuchIsNotDecided) {
  std::vector<size_t> calls;
  for (uint64_t client = 0; client < 12; ++client) {
    calls.push_back(Call(client, {"APPEND", "a", std::to_string(client)}));
  }
  for (const size_t call : calls) Return(call, Number(1));
  Do(99, {"GET", "b"}, kNull);
  const Verdict verdict = linearizability::Check(history_.operations(), {.steps_max = 10});
  EXPECT_FALSE(verdict.violated());
  EXPECT_EQ(verdict.parts, 2u);
  EXPECT_EQ(verdict.undecided, 1u);
  ExpectWrong();
}

TEST_F(CheckerTest, TheExplanationIsTheShortestBeginning) {
  Do(1, {"MSET", "a", "0", "b", "0"}, kOk);
  const size_t write = Call(1, {"MSET", "a", "1", "b", "1"});
  Do(2, {"MGET", "a", "b"}, Array({Bulk("0"), Bulk("1")}));
  Return(write, kOk);
  Do(3, {"GET", "a"}, Bulk("never written"));
  EXPECT_EQ(Check().violation,
            "no order explains the replies up to this one:\n"
            "  client 2 [3, 4] 'MGET' 'a' 'b' -> '*2\\r\\n$1\\r\\n0\\r\\n$1\\r\\n1\\r\\n'\n"
            "with these operations called before it returned:\n"
            "  client 1 [0, 1] 'MSET' 'a' '0' 'b' '0' -> '+OK\\r\\n'\n"
            "  client 1 [2, never] 'MSET' 'a' '1' 'b' '1'\n"
            "without that reply there is an order, which ends with: 'a' = '0', 'b' = '0'");
}

}  // namespace
}  // namespace orrery::linearizability
