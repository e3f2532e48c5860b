// How connections and the reactor end: finished, aborted, lingering, stopped. A reply that a close
// takes away, or a stop that waits for somebody for ever, shows here.
#include <string>
#include <vector>

#include "base/shared_bytes.h"
#include "gtest/gtest.h"
#include "runtime/reactor.h"
#include "runtime/reactor_fixture.h"

namespace orrery {
namespace {

class EndingTest : public ReactorTest {};
class EndingExactTest : public ReactorTest {};

TEST_P(EndingTest, FinishWithUnreadInputDeliversTheReplyAndNoReset) {
  SetUpWorld({});
  echo_.on_event = [this](Session&, const ConnectionEvent& event) {
    if (event.kind != Kind::kData || !event.connection->open()) return;
    event.connection->output().Append("-ERR no more\r\n");
    reactor_->Finish(*event.connection);
    EXPECT_FALSE(event.connection->open());
  };
  const std::vector<Peer> peers = ConnectAll(1);
  ASSERT_EQ(world_->Send(peers[0], "start"), 5U);
  // It goes on sending, as a client with a long pipeline does.
  for (int turn = 0; turn < 50; ++turn) {
    (void)world_->Send(peers[0], Pattern(2000));
    Turn();
  }
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_EQ(input.bytes, "-ERR no more\r\n");
  EXPECT_TRUE(input.end);
  EXPECT_FALSE(input.reset);
  EXPECT_FALSE(session(0).closed);  // Until the peer ends, too.
  world_->Close(peers[0]);
  EXPECT_TRUE(RunUntil([this] { return session(0).closed; }));
}

TEST_P(EndingTest, FinishSendsAllOutputFirst) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  const SharedBytes body = SharedBytes::Copy(Pattern(400'000));
  InTurn([&] {
    connection(0).output().AppendBody(body);
    reactor_->Flush(connection(0));
    reactor_->Finish(connection(0));
    reactor_->Finish(connection(0));  // Once is enough; twice does no harm.
  });
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_TRUE(input.bytes == body.view());
  EXPECT_TRUE(input.end);
}

TEST_P(EndingTest, FinishOfAPausedConnectionDrainsIt) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] { reactor_->PauseReads(connection(0)); });
  ASSERT_EQ(world_->Send(peers[0], Pattern(5000)), 5000U);
  Settle();
  InTurn([this] {
    connection(0).output().Append("bye");
    reactor_->Finish(connection(0));
  });
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_EQ(input.bytes, "bye");
  EXPECT_FALSE(input.reset);
  world_->Close(peers[0]);
  EXPECT_TRUE(RunUntil([this] { return session(0).closed; }));
}

TEST_P(EndingTest, LingeringIsBounded) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  options.reactor.linger = 30 * kMillisecond;
  options.reactor.flush_timeout = 60 * kMillisecond;
  SetUpWorld(options);
  // One never closes, the other never reads what it is owed.
  const std::vector<Peer> peers = ConnectAll(2);
  const SharedBytes body = SharedBytes::Copy(Pattern(1'000'000));
  Nanoseconds begin = 0;
  InTurn([&] {
    begin = reactor_->now();
    connection(1).output().AppendBody(body);
    reactor_->Finish(connection(0));
    reactor_->Finish(connection(1));
  });
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
  EXPECT_GE(reactor_->now() - begin, options.reactor.flush_timeout);
  EXPECT_EQ(body.references(), 1U);
}

TEST_P(EndingTest, AFinishedConnectionsSlowReaderGetsEverything) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  options.reactor.linger = 20 * kMillisecond;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  const SharedBytes body = SharedBytes::Copy(Pattern(400'000));
  Nanoseconds begin = 0;
  InTurn([&] {
    begin = reactor_->now();
    connection(0).output().AppendBody(body);
    reactor_->Finish(connection(0));
  });
  // Nothing moves for longer than a connection lingers that has sent everything.
  EXPECT_TRUE(RunUntil([&] { return reactor_->now() > begin + 3 * options.reactor.linger; }));
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_TRUE(input.bytes == body.view());
  EXPECT_TRUE(input.end);
}

TEST_P(EndingTest, AStopDoesNotWaitForASlowReaderForLong) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  options.reactor.linger = 20 * kMillisecond;
  options.reactor.flush_timeout = 100'000 * kSecond;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(2);
  const SharedBytes body = SharedBytes::Copy(Pattern(1'000'000));
  InTurn([&] {
    for (size_t index = 0; index < 2; ++index) {
      connection(index).output().AppendBody(body);
      reactor_->Flush(connection(index));
    }
    reactor_->Finish(connection(0));
  });
  Settle();
  InTurn([this] { reactor_->Stop(); });
  EXPECT_TRUE(RunUntil([this] { return reactor_->finished(); }));
}

TEST_P(EndingExactTest, LingeringEndsAWait) {
  Options options;
  options.reactor.linger = 1000 * kSecond;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] { reactor_->Finish(connection(0)); });
  const Nanoseconds before = reactor_->now();
  Settle();
  // The clock started when the write side was shut down.
  const Nanoseconds after = reactor_->now();
  echo_.tick = 2000 * kSecond;
  const Nanoseconds deadline = reactor_->Turn().deadline;
  EXPECT_GE(deadline, before + options.reactor.linger);
  EXPECT_LE(deadline, after + options.reactor.linger);
  reactor_->OnEntered(std::unexpected(Errno(EINTR)));
  echo_.tick = Echo::kTick;
}

TEST_P(EndingTest, DrainingIsBoundedInBytes) {
  Options options;
  options.reactor.drain_bytes_max = 50'000;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] { reactor_->Finish(connection(0)); });
  size_t sent = 0;
  EXPECT_TRUE(RunUntil([&] {
    sent += world_->Send(peers[0], Pattern(1000));
    return session(0).closed;
  }));
  EXPECT_GT(reactor_->counters().received_bytes, options.reactor.drain_bytes_max);
  EXPECT_EQ(session(0).received, "");
}

TEST_P(EndingTest, AbortWithReceiveAndSendInFlight) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  const SharedBytes body = SharedBytes::Copy(Pattern(1'000'000));
  InTurn([&] {
    connection(0).output().AppendBody(body);
    reactor_->Flush(connection(0));
  });
  Settle();
  EXPECT_EQ(body.references(), 2U);
  InTurn([this] { reactor_->Abort(connection(0)); });
  // The kernel may still read the body: it is held until the connection is closed.
  EXPECT_EQ(body.references(), session(0).closed ? 1U : 2U);
  EXPECT_TRUE(RunUntil([this] { return session(0).closed; }));
  EXPECT_EQ(body.references(), 1U);
  // The peer is told: a close alone, with a receive armed, would leave it waiting for ever.
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_LT(input.bytes.size(), body.size());
  EXPECT_EQ(input.bytes, body.view().substr(0, input.bytes.size()));
}

TEST_P(EndingTest, AbortOfAnIdleConnectionTellsThePeer) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(1);
  Settle();
  InTurn([this] { reactor_->Abort(connection(0)); });
  EXPECT_TRUE(ReadToTheEnd(peers[0]).end);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(EndingTest, AbortRightAfterAcceptAndInTheMiddleOfABatch) {
  SetUpWorld({});
  echo_.on_event = [this](Session&, const ConnectionEvent& event) {
    if (event.kind == Kind::kOpened || event.kind == Kind::kData) {
      reactor_->Abort(*event.connection);
    }
  };
  std::vector<Peer> peers;
  for (int count = 0; count < 20; ++count) {
    peers.push_back(Connect());
    ASSERT_EQ(world_->Send(peers.back(), "x"), 1U);
    if (count % 3 == 0) world_->Reset(peers.back());
  }
  EXPECT_TRUE(
      RunUntil([this] { return echo_.sessions.size() == 20 && reactor_->connections() == 0; }));
}

TEST_P(EndingTest, CallsOnAConnectionThatEndsDoNoHarm) {
  SetUpWorld({});
  echo_.on_event = [this](Session&, const ConnectionEvent& event) {
    if (event.kind != Kind::kClosed) return;
    Connection& connection = *event.connection;
    connection.output().Append("too late");
    reactor_->Flush(connection);
    reactor_->PauseReads(connection);
    reactor_->ResumeReads(connection);
    reactor_->Finish(connection);
    reactor_->Abort(connection);
  };
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] { reactor_->Abort(connection(0)); });
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
  EXPECT_EQ(Exchange(Connect(), "", 0), "");
}

TEST_P(EndingTest, StopFinishesWhatIsInFlightAndRefusesTheRest) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(3);
  const SharedBytes body = SharedBytes::Copy(Pattern(200'000));
  InTurn([&] {
    connection(0).output().AppendBody(body);
    reactor_->Flush(connection(0));
    reactor_->PauseReads(connection(1));
  });
  InTurn([this] { reactor_->Stop(); });
  EXPECT_TRUE(reactor_->stopping());
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_TRUE(input.bytes == body.view());
  EXPECT_TRUE(input.end);
  for (const Peer peer : peers) world_->Close(peer);
  EXPECT_TRUE(RunUntil([this] { return reactor_->finished(); }));
  // The last turn does not sleep.
  EXPECT_EQ(reactor_->Turn().min_complete, 0U);
}

TEST_P(EndingTest, StopTwiceAbortsEverything) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  options.reactor.linger = 1000 * kSecond;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(6);
  const SharedBytes body = SharedBytes::Copy(Pattern(1'000'000));
  InTurn([&] {
    for (size_t index = 0; index < 4; ++index) {
      connection(index).output().AppendBody(body);
      reactor_->Flush(connection(index));
    }
    reactor_->PauseReads(connection(1));
    reactor_->Finish(connection(2));
    reactor_->Abort(connection(3));
  });
  InTurn([this] { reactor_->Stop(); });
  Settle();
  EXPECT_FALSE(reactor_->finished());
  EXPECT_GT(reactor_->connections(), 0U);
  InTurn([this] { reactor_->Stop(); });
  EXPECT_TRUE(RunUntil([this] { return reactor_->finished(); }));
  EXPECT_EQ(body.references(), 1U);
}

TEST_P(EndingTest, StopWithOneSubmissionEntry) {
  Options options;
  options.ring = {.sq_entries = 1, .cq_entries = 2};
  SetUpWorld(options);
  std::vector<Peer> peers = ConnectAll(15);
  for (const Peer peer : peers) ASSERT_EQ(world_->Send(peer, Pattern(100)), 100U);
  InTurn([this] { reactor_->Stop(); });
  for (const Peer peer : peers) EXPECT_TRUE(ReadToTheEnd(peer).end);
  for (const Peer peer : peers) world_->Close(peer);
  EXPECT_TRUE(RunUntil([this] { return reactor_->finished(); }));
}

TEST_P(EndingExactTest, StoppingDoesNotSpin) {
  Options options;
  options.reactor.linger = 1000 * kSecond;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(3);
  InTurn([this] { reactor_->Stop(); });
  Settle();
  // Everybody waits for the peers: each turn may sleep until the application's deadline.
  const EnterRequest request = reactor_->Turn();
  EXPECT_EQ(request.min_complete, 1U);
  EXPECT_EQ(request.to_submit, 0U);
  EXPECT_EQ(request.deadline, reactor_->now() + Echo::kTick);
  reactor_->OnEntered(ring_->Enter(request));
}

INSTANTIATE_TEST_SUITE_P(Kernels, EndingExactTest, ExactWorlds(), NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, EndingTest, AllWorlds(), NameOf);

}  // namespace
}  // namespace orrery
