// What would break: two different runs would pass for one (a field that is not hashed), one run
// would have two hashes, or a failure's report would lose the first violation or the events before
// it.
#include "sim/event_log.h"

#include <gtest/gtest.h>
#include <liburing.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/observer.h"
#include "runtime/ring/user_data.h"

namespace orrery::sim {
namespace {

using model::Event;
using model::EventKind;

uint64_t HashOf(const Event& event, Nanoseconds now = 0) {
  EventLog log;
  log.set_now(now);
  log.OnEvent(event);
  return log.hash();
}

TEST(EventLog, TheHashCoversEveryFieldTheTimeAndTheOrder) {
  const Event base{.kind = EventKind::kSent, .entity = 1, .a = 2, .b = 3, .c = 4};
  Event other = base;
  other.kind = EventKind::kReceived;
  EXPECT_NE(HashOf(base), HashOf(other));
  other = base;
  other.entity = 2;
  EXPECT_NE(HashOf(base), HashOf(other));
  other = base;
  other.a = -2;
  EXPECT_NE(HashOf(base), HashOf(other));
  other = base;
  other.b = 4;
  EXPECT_NE(HashOf(base), HashOf(other));
  other = base;
  other.c = 3;
  EXPECT_NE(HashOf(base), HashOf(other));
  EXPECT_NE(HashOf(base), HashOf(base, 1));
  EXPECT_EQ(HashOf(base), HashOf(base));

  other.entity = 9;
  EventLog one;
  one.OnEvent(base);
  one.OnEvent(other);
  EventLog two;
  two.OnEvent(other);
  two.OnEvent(base);
  EXPECT_NE(one.hash(), two.hash());
}

TEST(EventLog, TheHashIsTheOneThatTheHeaderSpecifies) {
  EventLog log;
  log.set_now(5);
  log.OnEvent({.kind = EventKind::kComplete, .entity = 1, .a = 7, .b = -32, .c = 2});
  uint64_t expected = 0;
  for (const uint64_t word : {uint64_t{5}, uint64_t{static_cast<uint64_t>(EventKind::kComplete)},
                              uint64_t{1}, uint64_t{7}, ~uint64_t{31}, uint64_t{2}, uint64_t{0}}) {
    expected = Combine(expected, word);
  }
  EXPECT_EQ(log.hash(), expected);
}

TEST(EventLog, NotesAreHashedWithTheirNameAndText) {
  const auto hash_of_note = [](std::string_view name, std::string_view text) {
    EventLog log;
    log.Note(name, 1, 2, 3, text);
    return log.hash();
  };
  EXPECT_EQ(hash_of_note("reply", "OK"), hash_of_note("reply", "OK"));
  EXPECT_NE(hash_of_note("reply", "OK"), hash_of_note("reply", "KO"));
  EXPECT_NE(hash_of_note("reply", "OK"), hash_of_note("executed", "OK"));
  EXPECT_NE(HashBytes(std::string_view("\0", 1)), HashBytes(""));
  EXPECT_NE(HashBytes("12345678"), HashBytes(std::string_view("12345678\0", 9)));
}

TEST(EventLog, HowMuchIsKeptChangesNothing) {
  EventLog small({.recent_max = 1, .recent_per_connection_max = 1});
  EventLog large({.recent_max = 1000, .recent_per_connection_max = 1000});
  for (EventLog* log : {&small, &large}) {
    for (int64_t index = 0; index < 100; ++index) {
      log->OnEvent({.kind = EventKind::kSent, .entity = 1, .a = index});
      log->Note("reply", 2, index, 0);
    }
  }
  EXPECT_EQ(small.hash(), large.hash());
  EXPECT_EQ(small.count(), large.count());
  EXPECT_EQ(small.Recent(50).size(), 1u);
  EXPECT_EQ(large.Recent(50).size(), 50u);
}

TEST(EventLog, KeepsTheLastEventsOfEachConnectionApart) {
  EventLog log({.recent_max = 4, .recent_per_connection_max = 3});
  log.OnEvent({.kind = EventKind::kAccepted, .entity = 1, .a = 5});
  for (int64_t index = 0; index < 10; ++index) {
    log.OnEvent({.kind = EventKind::kReceived, .entity = 2, .a = index});
  }
  const std::vector<LoggedEvent> first = log.RecentOf(1, 10);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].number, 1u);
  const std::vector<LoggedEvent> second = log.RecentOf(2, 10);
  ASSERT_EQ(second.size(), 3u);
  EXPECT_EQ(second[0].event.a, 7);
  EXPECT_EQ(second[2].event.a, 9);
  EXPECT_EQ(log.Recent(10).size(), 4u);
  EXPECT_TRUE(log.RecentOf(3, 10).empty());
  EXPECT_EQ(log.count(EventKind::kReceived), 10u);
}

TEST(EventLog, OnlyMovementIsProgress) {
  EventLog log;
  log.OnEvent({.kind = EventKind::kEnter, .entity = 0, .a = 1, .b = 1});
  log.OnEvent({.kind = EventKind::kSubmit, .entity = 0});
  log.OnEvent({.kind = EventKind::kComplete, .entity = 0, .a = 0, .b = -ENOBUFS});
  log.OnEvent({.kind = EventKind::kReturn, .entity = 0});
  log.OnEvent({.kind = EventKind::kPeer, .entity = 3, .a = 0});
  log.OnEvent({.kind = EventKind::kPeer,
               .entity = 3,
               .a = static_cast<int64_t>(model::PeerAction::kRead),
               .b = 0});
  EXPECT_EQ(log.progress(), 0u);
  EXPECT_EQ(log.activity(), 2u) << "the submission and the completion";
  log.OnEvent({.kind = EventKind::kReceived, .entity = 3, .a = 1});
  EXPECT_EQ(log.progress(), 1u);
  EXPECT_EQ(log.activity(), 3u);
}

TEST(EventLog, TheFirstViolationStays) {
  EventLog log;
  log.set_now(3 * kMillisecond);
  log.OnEvent({.kind = EventKind::kSent, .entity = 1});
  log.OnViolation("first", "seen");
  log.set_now(4 * kMillisecond);
  log.ReportViolation("second", "too late", 1);
  ASSERT_TRUE(log.violation().has_value());
  EXPECT_EQ(log.violation()->invariant, "first");
  EXPECT_EQ(log.violation()->time, 3 * kMillisecond);
  EXPECT_EQ(log.violation()->event, 1u);
  EXPECT_EQ(log.violation()->cause, "");
  EXPECT_FALSE(log.violation()->has_connection);
}

TEST(EventLog, TooManyEventsAreAViolation) {
  EventLog log({.events_max = 3});
  for (int64_t step = 0; step < 2; ++step) log.Note("step", 1, step, 0);
  EXPECT_FALSE(log.violation().has_value());
  for (int64_t step = 0; step < 2; ++step) log.Note("step", 1, step, 0);
  ASSERT_TRUE(log.violation().has_value());
  EXPECT_EQ(log.violation()->invariant, "endless");
  EXPECT_EQ(log.violation()->event, 3u);
}

TEST(EventLog, AViolationMayNameItsCause) {
  EventLog log;
  log.ReportViolation("liveness/never-executed", "seen", 1);
  EXPECT_EQ(log.violation()->invariant, "liveness");
  EXPECT_EQ(log.violation()->cause, "never-executed");
}

TEST(Render, NamesOperationsAndErrors) {
  const auto user_data = static_cast<int64_t>(
      UserData{.operation = Operation::kReceive, .slot = {.index = 3, .generation = 1}}.Pack());
  const auto render = [](const Event& event) {
    return Render({.number = 12, .time = 1'500'000, .event = event, .note = {}, .text = {}});
  };
  const std::string submit =
      render({.kind = EventKind::kSubmit, .entity = 0, .a = user_data, .b = IORING_OP_RECV});
  EXPECT_NE(submit.find("receive 3.1 recv"), std::string::npos) << submit;
  EXPECT_NE(submit.find("1.500000 ms"), std::string::npos) << submit;
  const std::string complete = render({.kind = EventKind::kComplete,
                                       .entity = 0,
                                       .a = user_data,
                                       .b = -ENOBUFS,
                                       .c = IORING_CQE_F_MORE});
  EXPECT_NE(complete.find("receive 3.1 = -ENOBUFS more"), std::string::npos) << complete;
  const std::string received = render({.kind = EventKind::kReceived, .entity = 7, .a = 100});
  EXPECT_NE(received.find("conn 7"), std::string::npos) << received;
  EXPECT_NE(received.find("100 bytes"), std::string::npos) << received;
  const std::string sends = render({.kind = EventKind::kPeer, .entity = 7, .a = 100});
  EXPECT_NE(sends.find("sends 100 bytes"), std::string::npos) << sends;
  const std::string resets = render({.kind = EventKind::kPeer,
                                     .entity = 7,
                                     .a = static_cast<int64_t>(model::PeerAction::kReset)});
  EXPECT_NE(resets.find("resets"), std::string::npos) << resets;
}

}  // namespace
}  // namespace orrery::sim
