// What would break: a picture of a run would show bytes, SQEs or faults at the wrong events, and
// whoever looks for a bug would be led astray; or looking at a run would change it.
#include "sim/transcript.h"

#include <gtest/gtest.h>
#include <liburing.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "kernel_model/choice.h"
#include "kernel_model/observer.h"
#include "runtime/ring/user_data.h"
#include "sim/event_log.h"

namespace orrery::sim {
namespace {

using model::Event;
using model::EventKind;
using model::Site;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Always the same answer.
class Constant final : public model::Choice {
 public:
  explicit Constant(uint64_t answer) : answer_(answer) {}
  uint64_t Choose(Site, uint64_t, uint64_t, uint64_t) override { return answer_; }

 private:
  uint64_t answer_;
};

io_uring_sqe Receive(int fd) {
  io_uring_sqe sqe{};
  io_uring_prep_recv_multishot(&sqe, fd, nullptr, 0, 0);
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = 7;
  sqe.user_data = UserData{.operation = Operation::kReceive, .slot = {3, 1}}.Pack();
  return sqe;
}

TEST(Transcript, DetailsBelongToTheNextEventOfTheirKind) {
  Transcript transcript;
  EventLog log({}, &transcript);
  log.OnSqe(Receive(9));
  log.OnEvent({.kind = EventKind::kSubmit, .entity = 0, .a = 5, .b = IORING_OP_RECV});
  log.OnBytes(Bytes("ab"));
  log.OnBytes(Bytes("cd"));
  log.OnEvent({.kind = EventKind::kFault, .entity = 4});
  log.OnEvent({.kind = EventKind::kReceived, .entity = 4, .a = 4});
  log.OnEvent({.kind = EventKind::kSent, .entity = 4, .a = 0});
  ASSERT_EQ(transcript.entries().size(), 4u);
  ASSERT_TRUE(transcript.entries()[0].sqe.has_value());
  EXPECT_EQ(transcript.entries()[0].sqe->fd, 9);
  EXPECT_EQ(transcript.entries()[1].bytes, "");
  EXPECT_EQ(transcript.entries()[2].bytes, "abcd");
  EXPECT_FALSE(transcript.entries()[2].sqe.has_value());
  EXPECT_EQ(transcript.entries()[3].bytes, "");
}

TEST(Transcript, ItChangesNoHash) {
  const auto run = [](EventLog& log) {
    log.OnBytes(Bytes("abc"));
    log.OnEvent({.kind = EventKind::kSent, .entity = 1, .a = 3});
    log.Note("reply", 1, 1, 3, "abc");
    return log.hash();
  };
  Transcript transcript;
  EventLog watched({}, &transcript);
  EventLog alone;
  EXPECT_EQ(run(watched), run(alone));
  EXPECT_EQ(transcript.entries().size(), 2u);
}

TEST(Transcript, KeepsTheLastEventsAndTheFirstBytes) {
  Transcript transcript({.entries_max = 2, .bytes_max = 3});
  EventLog log({}, &transcript);
  for (int round = 0; round < 5; ++round) {
    log.OnBytes(Bytes("ab"));
    log.OnBytes(Bytes("cdef"));
    log.OnEvent({.kind = EventKind::kSent, .entity = 1, .a = 6});
  }
  ASSERT_EQ(transcript.entries().size(), 2u);
  EXPECT_EQ(transcript.entries().front().event.number, 4u);
  EXPECT_EQ(transcript.entries().front().bytes, "abc");
  EXPECT_EQ(transcript.left_out(), 3u);
}

TEST(TranscriptChoice, TellsTheModelsFaultsFromTheWorldsChoices) {
  Transcript transcript;
  EventLog log({}, &transcript);
  Constant inner(2);
  TranscriptChoice choice(inner, transcript);
  // The model reports the fault; the world reports nothing.
  EXPECT_EQ(choice.Choose(Site::kSendPartial, 4, 0, 10), 2u);
  log.OnEvent({.kind = EventKind::kFault,
               .entity = 4,
               .a = static_cast<int64_t>(Site::kSendPartial),
               .b = 0,
               .c = 2});
  EXPECT_EQ(choice.Choose(Site::kSchedule, 16, 5, 3), 2u);
  EXPECT_EQ(choice.Choose(Site::kSchedule, 17, 6, 3), 2u);
  log.OnEvent({.kind = EventKind::kEnter, .entity = 0});
  ASSERT_EQ(transcript.entries().size(), 2u);
  EXPECT_EQ(transcript.entries()[0].alternatives, 10u);
  ASSERT_EQ(transcript.world_choices().size(), 2u);
  const WorldChoice& first = transcript.world_choices()[0];
  EXPECT_EQ(first.after_event, 1u);
  EXPECT_EQ(first.choice.site, Site::kSchedule);
  EXPECT_EQ(first.choice.entity, 16u);
  EXPECT_EQ(first.alternatives, 3u);
}

TEST(TranscriptChoice, BenignAnswersLeaveNoTrace) {
  Transcript transcript;
  EventLog log({}, &transcript);
  Constant inner(0);
  TranscriptChoice choice(inner, transcript);
  EXPECT_EQ(choice.Choose(Site::kSchedule, 16, 5, 3), 0u);
  log.OnEvent({.kind = EventKind::kEnter, .entity = 0});
  EXPECT_TRUE(transcript.world_choices().empty());
}

std::string Find(const Facts& facts, std::string_view name) {
  for (const auto& [known, value] : facts) {
    if (known == name) return value;
  }
  return "(none)";
}

TEST(FactsOf, NamesTheFieldsAndLeavesAddressesOut) {
  io_uring_sqe sqe = Receive(9);
  const Facts facts = FactsOf(sqe);
  EXPECT_EQ(Find(facts, "opcode"), "recv");
  EXPECT_EQ(Find(facts, "fd"), "9");
  EXPECT_EQ(Find(facts, "flags"), "BUFFER_SELECT");
  EXPECT_EQ(Find(facts, "ioprio"), "MULTISHOT");
  EXPECT_EQ(Find(facts, "buffer group"), "7");
  sqe.addr = 0x7f001234;
  EXPECT_EQ(FactsOf(sqe), facts);
  EXPECT_FALSE(TargetOf(sqe).has_value());
}

TEST(FactsOf, ACancelHasATarget) {
  io_uring_sqe sqe{};
  const uint64_t target = UserData{.operation = Operation::kReceive, .slot = {3, 1}}.Pack();
  io_uring_prep_cancel64(&sqe, target, 0);
  EXPECT_EQ(TargetOf(sqe), target);
  EXPECT_EQ(Find(FactsOf(sqe), "target"), "receive 3.1");
}

}  // namespace
}  // namespace orrery::sim
