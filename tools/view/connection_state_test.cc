// What would break: --step would show a connection that is not as it was: bytes that are not on the
// way, requests in flight that have ended, or what happened only later.
#include "tools/view/connection_state.h"

#include <gtest/gtest.h>
#include <liburing.h>

#include <string>

#include "kernel_model/observer.h"
#include "runtime/ring/user_data.h"
#include "sim/event_log.h"
#include "sim/transcript.h"
#include "tools/view/picture.h"

namespace orrery::view {
namespace {

using model::EventKind;
using model::PeerAction;

constexpr uint64_t kConnection = 4;
constexpr int kDescriptor = 6;
constexpr uint64_t kWord =
    UserData{.operation = Operation::kReceive, .slot = {.index = 0, .generation = 1}}.Pack();

class ConnectionStateTest : public testing::Test {
 protected:
  ConnectionStateTest() {
    Peer(static_cast<int64_t>(PeerAction::kConnect));    // 0
    On(EventKind::kAccepted, kConnection, kDescriptor);  // 1
    io_uring_sqe sqe{};
    io_uring_prep_recv_multishot(&sqe, kDescriptor, nullptr, 0, 0);
    log_.OnSqe(sqe);
    On(EventKind::kSubmit, 0, static_cast<int64_t>(kWord), IORING_OP_RECV);          // 2
    Peer(10);                                                                        // 3
    On(EventKind::kReceived, kConnection, 7);                                        // 4
    On(EventKind::kComplete, 0, static_cast<int64_t>(kWord), 7, IORING_CQE_F_MORE);  // 5
    log_.Note("executed", kConnection, 1, 0, "PING");                                // 6
    On(EventKind::kSent, kConnection, 7);                                            // 7
    Peer(static_cast<int64_t>(PeerAction::kRead), 3);                                // 8
    On(EventKind::kComplete, 0, static_cast<int64_t>(kWord), -104, 0);               // 9
    Peer(static_cast<int64_t>(PeerAction::kReset));                                  // 10
    picture_ = MakePicture(transcript_, {});
    for (size_t lane = 0; lane < picture_.lanes.size(); ++lane) {
      if (picture_.lanes[lane].kind == Lane::Kind::kConnection) lane_ = lane;
    }
  }

  void On(EventKind kind, uint64_t entity, int64_t a, int64_t b = 0, int64_t c = 0) {
    log_.OnEvent({.kind = kind, .entity = entity, .a = a, .b = b, .c = c});
  }
  void Peer(int64_t a, int64_t b = 0) { On(EventKind::kPeer, kConnection, a, b); }
  ConnectionState After(size_t event) const { return StateOf(picture_, lane_, event); }

  sim::Transcript transcript_;
  sim::EventLog log_{{}, &transcript_};
  Picture picture_;
  size_t lane_ = 0;
};

TEST_F(ConnectionStateTest, CountsWhatHasHappenedUntilThenAndNothingElse) {
  ConnectionState state = After(0);
  EXPECT_TRUE(state.connected);
  EXPECT_FALSE(state.accepted);
  EXPECT_TRUE(state.in_flight.empty());
  state = After(3);
  EXPECT_TRUE(state.accepted);
  EXPECT_EQ(state.client_sent, 10u);
  EXPECT_EQ(state.program_received, 0u);
  ASSERT_EQ(state.in_flight.size(), 1u);
  state = After(8);
  EXPECT_EQ(state.program_received, 7u);
  EXPECT_EQ(state.program_sent, 7u);
  EXPECT_EQ(state.client_received, 3u);
  EXPECT_EQ(state.left, "");
  ASSERT_EQ(state.noted.size(), 1u);
  EXPECT_EQ(state.noted[0].kind, "executed");
  EXPECT_EQ(state.noted[0].count, 1u);
}

TEST_F(ConnectionStateTest, ARequestIsInFlightUntilItsTerminalCqe) {
  EXPECT_TRUE(After(1).in_flight.empty());
  EXPECT_EQ(After(2).in_flight.size(), 1u);
  EXPECT_EQ(After(5).in_flight.size(), 1u);  // A multishot goes on.
  EXPECT_TRUE(After(9).in_flight.empty());
  EXPECT_EQ(After(9).requests, 1u);
}

TEST_F(ConnectionStateTest, SaysItInWords) {
  const std::string text = Render(picture_, lane_, After(8));
  EXPECT_NE(text.find("conn 4"), std::string::npos) << text;
  EXPECT_NE(text.find("3 bytes for the program, 4 for the client"), std::string::npos) << text;
  EXPECT_NE(text.find("receive 0.1 recv, since #3"), std::string::npos) << text;
  EXPECT_NE(text.find("1 × executed, the last: 1 0 PING"), std::string::npos) << text;
  EXPECT_NE(Render(picture_, lane_, After(10)).find("gone, by reset"), std::string::npos);
}

}  // namespace
}  // namespace orrery::view
