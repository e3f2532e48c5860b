// What must have been queued by when: if an answer here were wrong, the acceptor would refuse what
// Linux does, or search where there is nothing to find. Traces are written by hand, of receives
// that are armed in the first Enter.
#include "tests/acceptor/server_trace_schedule.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace orrery::acceptor {
namespace {

constexpr uint64_t kReceives = 40;
constexpr uint64_t kNop = 1000;
constexpr size_t kFirst = 2;  // The event of the first Enter after arming.

// What one Enter of a trace completes.
struct Enter {
  bool submits = false;                 // A NOP, which completes at once.
  std::vector<uint64_t> receives = {};  // User data in the order of their completions.
  std::vector<uint64_t> shares =
      {};  // Those whose 33 completions stand at the end, each with more.
};

TracedCompletion Received(uint64_t user_data, bool more_is_there) {
  TracedCompletion completion{
      .user_data = user_data, .result = 1, .flags = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE};
  if (more_is_there) completion.flags |= IORING_CQE_F_SOCK_NONEMPTY;
  return completion;
}

ServerTrace Trace(const std::vector<Enter>& enters) {
  ServerTrace trace;
  trace.events.emplace_back(
      TracedRing{.sq_entries = 64,
                 .cq_entries = 1024,
                 .flags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL});
  TracedEnter armed{.to_submit = kReceives, .result = kReceives};
  for (uint64_t user_data = 0; user_data < kReceives; ++user_data) {
    TracedSubmission submission;
    submission.sqe.opcode = IORING_OP_RECV;
    submission.sqe.ioprio = IORING_RECV_MULTISHOT;
    submission.sqe.flags = IOSQE_BUFFER_SELECT;
    submission.sqe.user_data = user_data;
    armed.submissions.push_back(submission);
  }
  trace.events.emplace_back(armed);
  for (const Enter& each : enters) {
    TracedEnter enter{
        .to_submit = each.submits ? 1U : 0U, .min_complete = 1, .result = each.submits ? 1 : 0};
    if (each.submits) {
      TracedSubmission nop;
      nop.sqe.opcode = IORING_OP_NOP;
      nop.sqe.user_data = kNop;
      enter.submissions.push_back(nop);
      enter.completions.push_back({.user_data = kNop});
    }
    for (const uint64_t user_data : each.receives) {
      enter.completions.push_back(Received(user_data, false));
    }
    for (const uint64_t user_data : each.shares) {
      for (int shot = 0; shot < 33; ++shot) enter.completions.push_back(Received(user_data, true));
    }
    trace.events.emplace_back(enter);
  }
  return trace;
}

// How many completions had been queued in the first Enter, by one of its runs.
TaskWorkSchedule::Answer ArrivedIn(const std::vector<Enter>& enters, bool again,
                                   bool sleeping = false) {
  const ServerTrace trace = Trace(enters);
  const ServerTraceIndex index(trace);
  EXPECT_EQ(index.broken(), "");
  EXPECT_EQ(index.unsupported(), "");
  TaskWorkSchedule schedule(trace, index);
  const uint32_t next = index.enter_begin(kFirst) + (enters.front().submits ? 1 : 0);
  auto answer = schedule.Find({.event = kFirst,
                               .next = next,
                               .queued_until = next,
                               .room = sleeping ? 1U : 20U,
                               .again = again,
                               .sleeping = sleeping});
  answer.arrived -= next;
  return answer;
}

std::vector<uint64_t> Sequence(uint64_t begin, uint64_t end) {
  std::vector<uint64_t> all;
  for (uint64_t user_data = begin; user_data < end; ++user_data) all.push_back(user_data);
  return all;
}

TEST(TaskWorkSchedule, UsuallyEverythingHadArrived) {
  const auto answer = ArrivedIn({{.submits = true, .receives = {1, 2, 3}}}, /*again=*/true);
  EXPECT_TRUE(answer.found);
  EXPECT_EQ(answer.arrived, 3U);
}

TEST(TaskWorkSchedule, WhatRunsTwiceArrivedAgainBetweenTheRuns) {
  const std::vector<Enter> enters = {{.submits = true, .receives = {1, 2, 1}}};
  EXPECT_EQ(ArrivedIn(enters, /*again=*/true).arrived, 2U);
  // There is one run only.
  EXPECT_FALSE(ArrivedIn({{.receives = {1, 2, 1}}}, /*again=*/false).found);
}

TEST(TaskWorkSchedule, TwoRunsOfTwentyAndOne) {  // Facts V7, V7c, V7d.
  const auto answer = ArrivedIn({{.submits = true, .receives = Sequence(0, 40)}}, /*again=*/true);
  EXPECT_TRUE(answer.found);
  EXPECT_FALSE(ArrivedIn({{.receives = Sequence(0, 21)}}, /*again=*/false).found);
  std::vector<uint64_t> all = Sequence(0, 40);
  all.push_back(0);
  // The last one runs although the limit is reached: exactly twenty were left over.
  const auto most = ArrivedIn({{.submits = true, .receives = all}}, /*again=*/true);
  EXPECT_TRUE(most.found);
  EXPECT_EQ(most.arrived, 40U);
  all.push_back(1);
  EXPECT_FALSE(ArrivedIn({{.submits = true, .receives = all}}, /*again=*/true).found);
}

TEST(TaskWorkSchedule, WhatHasHadItsShareWasInTheLastRun) {  // Fact M9.
  // In the first run it would have run again in the second.
  const std::vector<Enter> enters = {{.submits = true, .shares = {1}}, {.receives = {1}}};
  const auto first = ArrivedIn(enters, /*again=*/true);
  EXPECT_TRUE(first.found);
  EXPECT_EQ(first.arrived, 0U);
  EXPECT_EQ(ArrivedIn(enters, /*again=*/false).arrived, 1U);  // Its first completion is enough.
  // It does run again.
  EXPECT_GE(ArrivedIn({{.submits = true, .shares = {1, 1}}, {.receives = {1}}}, true).arrived, 1U);
}

TEST(TaskWorkSchedule, WhatRunsTwiceInOneRunWasLeftOverBefore) {  // Fact V7b.
  const std::vector<Enter> enters = {{.receives = {1}}, {.receives = {2, 1, 2}}};
  const auto awake = ArrivedIn(enters, /*again=*/false);
  EXPECT_TRUE(awake.found);
  EXPECT_EQ(awake.arrived, 0U);  // It slept.
  const auto asleep = ArrivedIn(enters, /*again=*/false, /*sleeping=*/true);
  EXPECT_TRUE(asleep.found);
  EXPECT_EQ(asleep.arrived, 2U);  // And woke up with one more than it ran.
}

}  // namespace
}  // namespace orrery::acceptor
