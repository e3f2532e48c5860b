// Bodies received in their own memory, through the whole reactor, on Linux and on the fake kernel:
// whenever the change of the receive comes, no byte is lost, doubled or put elsewhere.
#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/shared_bytes.h"
#include "gtest/gtest.h"
#include "runtime/incoming_body.h"
#include "runtime/reactor_fixture.h"

namespace orrery {
namespace {

// An application for streams of "<three letters><body>" of one length: the letters come by events.
class InPlaceTest : public ReactorTest {
 protected:
  static constexpr size_t kHeadBytes = 3;

  void SetUpBodies(const Options& options, size_t body_bytes) {
    body_bytes_ = body_bytes;
    SetUpWorld(options);
    echo_.on_event = [this](Session&, const ConnectionEvent& event) { OnEvent(event); };
  }

  void OnEvent(const ConnectionEvent& event) {
    Connection& connection = *event.connection;
    if (!connection.open()) return;
    if (event.kind == Kind::kEndOfInput) return reactor_->Finish(connection);
    if (event.kind == Kind::kBody) return Take(connection);
    std::string_view data = event.data;
    while (!data.empty()) {
      if (connection.body() != nullptr) {
        data.remove_prefix(reactor_->FeedBody(connection, data));
        if (connection.body()->complete()) Take(connection);
        continue;
      }
      const size_t part = std::min(data.size(), kHeadBytes - head_.size());
      head_ += data.substr(0, part);
      data.remove_prefix(part);
      if (head_.size() < kHeadBytes) continue;
      received_ += std::exchange(head_, "");
      reactor_->ReceiveBody(connection, IncomingBody(body_bytes_));
    }
  }

  void Take(Connection& connection) {
    std::optional<SharedBytes> body = reactor_->TakeBody(connection);
    ASSERT_TRUE(body.has_value());
    EXPECT_EQ(body->size(), body_bytes_);
    received_ += body->view();
    ++bodies_;
  }

  std::string Stream(size_t bodies) const { return Pattern(bodies * (kHeadBytes + body_bytes_)); }

  // Sends `stream` in pieces of `piece` bytes, a turn after each.
  void Send(Peer peer, std::string_view stream, size_t piece) {
    EXPECT_TRUE(RunUntil([&] {
      stream.remove_prefix(world_->Send(peer, stream.substr(0, piece)));
      return stream.empty();
    }));
  }

  size_t body_bytes_ = 0;
  std::string head_;
  std::string received_;
  size_t bodies_ = 0;
};

TEST_P(InPlaceTest, BodiesOfAnySizeInPiecesOfAnySize) {
  SetUpBodies({}, 1);
  const std::vector<Peer> peers = ConnectAll(1);
  std::string expected;
  for (const size_t body : {1, 2, 3, 100, 5000}) {
    body_bytes_ = body;
    for (const size_t piece : {1, 2, 4, 103, 4000}) {
      if (body / piece > 100) continue;
      const std::string stream = Stream(4);
      expected += stream;
      Send(peers[0], stream, piece);
      ASSERT_TRUE(RunUntil([&] { return received_.size() == expected.size(); }))
          << body << " in " << piece << ": " << received_.size() << " of " << expected.size();
      ASSERT_TRUE(received_ == expected) << body << " in " << piece;
    }
  }
}

TEST_P(InPlaceTest, ALargeBodyComesAndTheStreamGoesOn) {
  SetUpBodies({}, 3'000'000);
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string stream = Stream(2);
  Send(peers[0], stream, ~size_t{0});
  EXPECT_TRUE(RunUntil([&] { return bodies_ == 2; }));
  EXPECT_TRUE(received_ == stream);
}

class InPlaceExactTest : public InPlaceTest {};

// Counts what is cancelled.
class CancelCounter final : public Ring {
 public:
  CancelCounter(std::unique_ptr<Ring> ring, int& cancels)
      : ring_(std::move(ring)), cancels_(cancels) {
    memory_ = ring_->memory();
  }

  EnterResult Enter(const EnterRequest& request) override {
    const io_uring_sq& sq = memory_.sq;
    for (unsigned index = *sq.khead; index != *sq.ktail; ++index) {
      if (sq.sqes[index & *sq.kring_mask].opcode == IORING_OP_ASYNC_CANCEL) ++cancels_;
    }
    return ring_->Enter(request);
  }
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override {
    return ring_->Register(opcode, argument, count);
  }

 private:
  std::unique_ptr<Ring> ring_;
  int& cancels_;
};

TEST_P(InPlaceExactTest, ABodySoonBehindAnotherNeedsNoCancel) {
  int cancels = 0;
  wrap_ring_ = [&cancels](std::unique_ptr<Ring> ring) {
    return std::make_unique<CancelCounter>(std::move(ring), cancels);
  };
  SetUpBodies({}, 4'000'000);
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string stream = Stream(1);
  for (size_t count = 1; count <= 5; ++count) {
    Send(peers[0], stream, ~size_t{0});
    EXPECT_TRUE(RunUntil([&] { return bodies_ == count; }));
    EXPECT_EQ(cancels, 1);
  }
  // What comes otherwise is received by a multishot again, which the next body ends.
  const auto bodies = std::exchange(echo_.on_event, nullptr);
  for (int count = 0; count < 5; ++count) EXPECT_EQ(Exchange(peers[0], "hello", 5), "hello");
  echo_.on_event = bodies;
  Send(peers[0], stream, ~size_t{0});
  EXPECT_TRUE(RunUntil([&] { return bodies_ == 6; }));
  EXPECT_EQ(cancels, 2);
}

TEST_P(InPlaceTest, OneSubmissionEntryIsEnough) {
  Options options;
  options.ring = {.sq_entries = 1, .cq_entries = 2};
  SetUpBodies(options, 2000);
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string stream = Stream(10);
  Send(peers[0], stream, 700);
  EXPECT_TRUE(RunUntil([&] { return bodies_ == 10; }));
  EXPECT_TRUE(received_ == stream);
}

TEST_P(InPlaceTest, AStarvedConnectionReceivesItsBody) {
  Options options;
  options.reactor.buffers = 1;
  options.reactor.buffer_bytes = 16;
  SetUpBodies(options, 10'000);
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string stream = Stream(3);
  Send(peers[0], stream, ~size_t{0});
  EXPECT_TRUE(RunUntil([&] { return bodies_ == 3; }));
  EXPECT_TRUE(received_ == stream);
}

TEST_P(InPlaceTest, PausedInTheMiddleItGoesOnWhereItWas) {
  SetUpBodies({}, 30'000);
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string stream = Stream(1);
  Send(peers[0], std::string_view(stream).substr(0, 10'000), 3000);
  Settle();
  InTurn([this] { reactor_->PauseReads(connection(0)); });
  Settle();
  const size_t filled = connection(0).body()->filled_bytes();
  EXPECT_GT(filled, 0U);
  Send(peers[0], std::string_view(stream).substr(10'000), 3000);
  Settle();
  EXPECT_EQ(connection(0).body()->filled_bytes(), filled);
  InTurn([this] { reactor_->ResumeReads(connection(0)); });
  EXPECT_TRUE(RunUntil([&] { return bodies_ == 1; }));
  EXPECT_TRUE(received_ == stream);
}

TEST_P(InPlaceTest, APeerThatLeavesInTheMiddleEndsTheConnection) {
  SetUpBodies({}, 1000);
  const std::vector<Peer> peers = ConnectAll(3);
  for (const Peer peer : peers) {
    head_.clear();
    Send(peer, "abc and a part of the body", ~size_t{0});
    Settle();
  }
  world_->Close(peers[0]);
  world_->Reset(peers[1]);
  world_->ShutdownWrite(peers[2]);
  EXPECT_TRUE(RunUntil([this] { return session(0).closed && session(1).closed; }));
  const PeerInput input = ReadToTheEnd(peers[2]);
  EXPECT_TRUE(input.end);
  EXPECT_EQ(bodies_, 0U);
}

TEST_P(InPlaceTest, FinishedOrAbortedInTheMiddle) {
  SetUpBodies({}, 1000);
  const std::vector<Peer> peers = ConnectAll(2);
  for (const Peer peer : peers) {
    head_.clear();
    Send(peer, "abc and a part of the body", ~size_t{0});
    Settle();
  }
  InTurn([this] {
    connection(0).output().Append("enough");
    reactor_->Finish(connection(0));
    reactor_->Abort(connection(1));
  });
  // More of it comes, and is thrown away.
  Send(peers[0], std::string(5000, 'x'), 1000);
  world_->ShutdownWrite(peers[0]);
  EXPECT_EQ(ReadToTheEnd(peers[0]).bytes, "enough");
  EXPECT_TRUE(RunUntil([this] { return session(0).closed && session(1).closed; }));
}

INSTANTIATE_TEST_SUITE_P(Kernels, InPlaceExactTest, ExactWorlds(), NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, InPlaceTest, AllWorlds(), NameOf);

}  // namespace
}  // namespace orrery
