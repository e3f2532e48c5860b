// What would break: an SQE would be joined to the CQE of another request, a fault or a connection's
// event would stand in a lane that is not its own, or the failure at an event that is not the last
// before it. All that draws a run would be wrong with it.
#include "tools/view/picture.h"

#include <gtest/gtest.h>
#include <liburing.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel_model/choice.h"
#include "kernel_model/observer.h"
#include "runtime/ring/user_data.h"
#include "sim/event_log.h"
#include "sim/transcript.h"
#include "tools/view/page.h"
#include "tools/view/trace_events.h"

namespace orrery::view {
namespace {

using model::EventKind;
using model::PeerAction;
using model::Site;

constexpr int kDescriptor = 6;
constexpr uint64_t kConnection = 4;

uint64_t ReceiveWord(uint32_t generation) {
  return UserData{.operation = Operation::kReceive, .slot = {0, generation}}.Pack();
}

// A run told event by event.
class PictureTest : public testing::Test {
 protected:
  void Submit(const io_uring_sqe& sqe) {
    log_.OnSqe(sqe);
    log_.OnEvent({.kind = EventKind::kSubmit,
                  .entity = 0,
                  .a = static_cast<int64_t>(sqe.user_data),
                  .b = sqe.opcode});
  }
  void SubmitReceive(uint32_t generation) {
    io_uring_sqe sqe{};
    io_uring_prep_recv_multishot(&sqe, kDescriptor, nullptr, 0, 0);
    sqe.user_data = ReceiveWord(generation);
    Submit(sqe);
  }
  void Complete(uint64_t word, int64_t result, uint32_t flags) {
    log_.OnEvent({.kind = EventKind::kComplete,
                  .entity = 0,
                  .a = static_cast<int64_t>(word),
                  .b = result,
                  .c = flags});
  }
  void Accept() {
    log_.OnEvent({.kind = EventKind::kAccepted, .entity = kConnection, .a = kDescriptor});
  }
  Picture Make() const { return MakePicture(transcript_, log_.violation()); }

  sim::Transcript transcript_;
  sim::EventLog log_{{}, &transcript_};
};

std::string LaneOf(const Picture& picture, size_t event) {
  return NameOf(picture.lanes[picture.events[event].lane]);
}

TEST_F(PictureTest, AMultishotHasOneSqeAndManyCqes) {
  Accept();
  SubmitReceive(1);
  Complete(ReceiveWord(1), 5, IORING_CQE_F_MORE);
  Complete(ReceiveWord(1), 6, IORING_CQE_F_MORE);
  Complete(ReceiveWord(1), -105, 0);
  SubmitReceive(1);  // The same user data again: another request.
  const Picture picture = Make();
  ASSERT_EQ(picture.requests.size(), 2u);
  const PictureRequest& first = picture.requests[0];
  EXPECT_EQ(first.name, "receive 0.1");
  EXPECT_EQ(first.submitted, 1u);
  EXPECT_EQ(first.completed, (std::vector<size_t>{2, 3, 4}));
  EXPECT_TRUE(first.ended);
  ASSERT_TRUE(first.connection.has_value());
  EXPECT_EQ(NameOf(picture.lanes[*first.connection]), "conn 4");
  EXPECT_EQ(NameOf(picture.lanes[first.ring]), "ring 0");
  EXPECT_EQ(picture.events[4].request, 0u);
  EXPECT_EQ(picture.requests[1].submitted, 5u);
  EXPECT_FALSE(picture.requests[1].ended);
  EXPECT_EQ(picture.events[5].request, 1u);
}

TEST_F(PictureTest, ACancelBelongsToTheConnectionOfItsTarget) {
  Accept();
  SubmitReceive(1);
  io_uring_sqe sqe{};
  io_uring_prep_cancel64(&sqe, ReceiveWord(1), 0);
  sqe.user_data = UserData{.operation = Operation::kReceiveCancel, .slot = {0, 1}}.Pack();
  Submit(sqe);
  const Picture picture = Make();
  ASSERT_EQ(picture.requests.size(), 2u);
  EXPECT_EQ(picture.requests[1].target, 0u);
  EXPECT_EQ(picture.requests[1].connection, picture.requests[0].connection);
}

TEST_F(PictureTest, ACompletionWithoutASubmissionStandsAlone) {
  Complete(ReceiveWord(9), 1, 0);
  const Picture picture = Make();
  EXPECT_TRUE(picture.requests.empty());
  EXPECT_FALSE(picture.events[0].request.has_value());
}

TEST_F(PictureTest, EventsStandInTheirLanes) {
  Accept();
  log_.OnEvent({.kind = EventKind::kFault,
                .entity = kConnection,
                .a = static_cast<int64_t>(Site::kSendPartial),
                .b = 2,
                .c = 7});
  log_.OnEvent({.kind = EventKind::kFault,
                .entity = 0,
                .a = static_cast<int64_t>(Site::kEnterAgain),
                .b = 0,
                .c = 1});
  log_.Note("wall-jump", 2, 1, 0);  // No connection has this number.
  log_.Note("reply", kConnection, 1, 5, "+OK");
  log_.OnEvent({.kind = EventKind::kPeer,
                .entity = kConnection,
                .a = static_cast<int64_t>(PeerAction::kRead),
                .b = 5});
  const Picture picture = Make();
  EXPECT_EQ(LaneOf(picture, 0), "conn 4");
  EXPECT_EQ(LaneOf(picture, 1), "conn 4");
  ASSERT_TRUE(picture.events[1].choice.has_value());
  EXPECT_EQ(picture.events[1].choice->site, Site::kSendPartial);
  EXPECT_EQ(picture.events[1].choice->value, 7u);
  EXPECT_EQ(LaneOf(picture, 2), "ring 0");
  EXPECT_EQ(LaneOf(picture, 3), "world");
  EXPECT_EQ(picture.events[3].kind, "wall-jump");
  EXPECT_EQ(LaneOf(picture, 4), "conn 4");
  EXPECT_EQ(picture.events[5].kind, "peer-read");
  EXPECT_EQ(picture.events[5].bytes_moved, 5u);
}

TEST_F(PictureTest, TheFailureStandsAtTheLastEventBeforeIt) {
  Accept();
  log_.set_now(7);
  log_.Note("reply", kConnection, 1, 5, "+OK");
  log_.ReportViolation("reply-mismatch", "not this", kConnection);
  log_.Note("gone", kConnection, 0, 0);
  const Picture picture = Make();
  ASSERT_TRUE(picture.failure.has_value());
  EXPECT_EQ(picture.failure->event, 1u);
  EXPECT_EQ(picture.failure->time, 7);
  ASSERT_TRUE(picture.failure->lane.has_value());
  EXPECT_EQ(NameOf(picture.lanes[*picture.failure->lane]), "conn 4");
}

TEST_F(PictureTest, AnEmptyRunIsAPicture) {
  log_.OnViolation("liveness/never-executed", "nothing happened");
  const Picture picture = Make();
  EXPECT_TRUE(picture.events.empty());
  ASSERT_TRUE(picture.failure.has_value());
  EXPECT_EQ(picture.failure->event, 0u);
  EXPECT_EQ(picture.failure->invariant, "liveness/never-executed");
  // Both writers take it.
  EXPECT_NE(WriteTraceEvents(picture).find("liveness/never-executed"), std::string::npos);
  EXPECT_NE(WritePage({}, picture).find("liveness/never-executed"), std::string::npos);
}

TEST_F(PictureTest, TheTraceJoinsSqeAndCqeAndMarksTheFailure) {
  Accept();
  transcript_.OnShard(0, 0);
  log_.OnEvent({.kind = EventKind::kEnter, .entity = 0, .a = 1, .b = 1});
  SubmitReceive(1);
  log_.set_now(2500);
  Complete(ReceiveWord(1), 5, 0);
  log_.OnEvent({.kind = EventKind::kReturn, .entity = 0, .a = 1, .b = 1});
  log_.ReportViolation("reply-mismatch", "not this", kConnection);
  const auto trace = nlohmann::json::parse(WriteTraceEvents(Make()));
  const nlohmann::json* begin = nullptr;
  const nlohmann::json* end = nullptr;
  const nlohmann::json* enter = nullptr;
  const nlohmann::json* failure = nullptr;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    if (event["ph"] == "b") begin = &event;
    if (event["ph"] == "e") end = &event;
    if (event["name"] == "io_uring_enter") enter = &event;
    if (event["name"] == "violated: reply-mismatch") failure = &event;
  }
  ASSERT_TRUE(begin != nullptr && end != nullptr && enter != nullptr && failure != nullptr);
  EXPECT_EQ((*begin)["id"], (*end)["id"]);
  EXPECT_EQ((*begin)["cat"], (*end)["cat"]);
  EXPECT_EQ((*begin)["pid"], (*end)["pid"]);
  EXPECT_EQ((*begin)["tid"], kConnection);
  EXPECT_EQ((*end)["ts"], 2.5);  // Microseconds.
  EXPECT_EQ((*enter)["dur"], 2.5);
  EXPECT_EQ((*failure)["s"], "g");
}

TEST_F(PictureTest, NothingInTheDataEndsThePagesScriptElement) {
  Accept();
  log_.OnBytes(std::as_bytes(std::span(std::string_view("</script><script>{{data}}"))));
  log_.OnEvent({.kind = EventKind::kSent, .entity = kConnection, .a = 25});
  PageHead head;
  head.scenario = "</script>";
  const std::string page = WritePage(head, Make());
  const size_t data = page.find("id=\"data\">");
  ASSERT_NE(data, std::string::npos);
  const size_t begin = data + std::string_view("id=\"data\">").size();
  const std::string_view text =
      std::string_view(page).substr(begin, page.find("</script>", begin) - begin);
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["head"]["scenario"], "</script>");
  EXPECT_EQ(json["events"]["bytes"]["1"][1], "</script><script>{{data}}");
  EXPECT_NE(page.find("class App"), std::string::npos);
}

}  // namespace
}  // namespace orrery::view
