// A server that loses a byte, a wake-up or a descriptor does so here first: an echo application on
// the whole reactor, on Linux and on the fake kernel.
#include "runtime/reactor.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "base/shared_bytes.h"
#include "gtest/gtest.h"
#include "kernel_model/model_kernel.h"
#include "runtime/model_world.h"
#include "runtime/reactor_fixture.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {
namespace {

// --- Opening, echoing, ending

TEST_P(ReactorTest, StopsWithNothingDone) { SetUpWorld({}); }

TEST_P(ReactorTest, EchoesAndEndsWithItsPeer) {
  SetUpWorld({});
  const Peer peer = Connect();
  EXPECT_EQ(Exchange(peer, "hello", 5), "hello");
  EXPECT_EQ(Exchange(peer, " again", 6), " again");
  EXPECT_EQ(reactor_->connections(), 1U);
  EXPECT_EQ(reactor_->counters().received_bytes, 11U);
  EXPECT_TRUE(RunUntil([this] { return reactor_->counters().sent_bytes == 11; }));
  world_->Close(peer);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
  EXPECT_TRUE(session(0).end_of_input);
  EXPECT_TRUE(session(0).closed);
}

TEST_P(ReactorTest, ManyAtOnce) {
  SetUpWorld({});
  std::vector<Peer> peers;
  std::vector<PeerInput> inputs(100);
  for (size_t index = 0; index < inputs.size(); ++index) {
    peers.push_back(Connect());
    ASSERT_EQ(world_->Send(peers.back(), Pattern(3000, index)), 3000U);
  }
  EXPECT_TRUE(RunUntil([&] {
    for (size_t index = 0; index < peers.size(); ++index) {
      world_->Receive(peers[index], inputs[index], 3000);
    }
    return std::all_of(inputs.begin(), inputs.end(),
                       [](const PeerInput& input) { return input.bytes.size() == 3000; });
  }));
  for (size_t index = 0; index < inputs.size(); ++index) {
    EXPECT_EQ(inputs[index].bytes, Pattern(3000, index));
  }
}

TEST_P(ReactorTest, HalfCloseGetsTheWholeEchoAndThenTheEnd) {
  SetUpWorld({});
  const Peer peer = Connect();
  const std::string sent = Pattern(30'000);
  ASSERT_EQ(world_->Send(peer, sent), sent.size());
  world_->ShutdownWrite(peer);
  const PeerInput input = ReadToTheEnd(peer);
  EXPECT_EQ(input.bytes, sent);
  EXPECT_TRUE(input.end);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(ReactorTest, AResetEndsTheConnectionAndNothingElse) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(3);
  EXPECT_EQ(Exchange(peers[1], "x", 1), "x");
  world_->Reset(peers[1]);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 2; }));
  EXPECT_TRUE(session(1).closed);
  EXPECT_FALSE(session(1).end_of_input);
  EXPECT_EQ(Exchange(peers[0], "a", 1), "a");
  EXPECT_EQ(Exchange(peers[2], "b", 1), "b");
}

TEST_P(ReactorTest, ASlotIsReusedUnderANewGeneration) {
  SetUpWorld({});
  const std::vector<Peer> first = ConnectAll(1);
  world_->Close(first[0]);
  ASSERT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
  const std::vector<Peer> second = ConnectAll(1);
  EXPECT_EQ(session(1).handle.index, session(0).handle.index);
  EXPECT_NE(session(1).handle.generation, session(0).handle.generation);
  EXPECT_EQ(Exchange(second[0], "x", 1), "x");
}

TEST_P(ReactorTest, AboveItsLimitConnectionsAreClosedAtOnce) {
  Options options;
  options.reactor.connections_max = 2;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(2);
  const Peer third = Connect();
  const PeerInput input = ReadToTheEnd(third);
  EXPECT_EQ(input.bytes, "");
  EXPECT_EQ(reactor_->counters().connections_refused, 1U);
  EXPECT_EQ(reactor_->connections(), 2U);
  // There is room again when one has left.
  world_->Close(peers[0]);
  ASSERT_TRUE(RunUntil([this] { return reactor_->connections() == 1; }));
  EXPECT_EQ(Exchange(Connect(), "x", 1), "x");
}

TEST_P(ReactorTest, TheWakerWakes) {
  SetUpWorld({});
  Settle();
  EXPECT_EQ(echo_.woken, 0);
  world_->Ring(eventfd_);
  EXPECT_TRUE(RunUntil([this] { return echo_.woken == 1; }));
  Settle();
  EXPECT_EQ(echo_.woken, 1);
  world_->Ring(eventfd_);
  EXPECT_TRUE(RunUntil([this] { return echo_.woken == 2; }));
}

// --- Reading

// Work that has come by memory is not slept over, and a sleep that was announced is over for the
// application when Enter returns.
TEST_P(ReactorTest, SleepsWhenTheApplicationLetsIt) {
  SetUpWorld({});
  Settle();
  echo_.may_sleep = false;
  const EnterRequest awake = reactor_->Turn();
  EXPECT_EQ(awake.min_complete, 0U);
  const int sleeps = echo_.sleeps;
  reactor_->OnEntered(ring_->Enter(awake));
  EXPECT_EQ(echo_.sleeps, sleeps);

  echo_.may_sleep = true;
  EXPECT_TRUE(RunUntil([&] { return echo_.sleeps > sleeps; }));
  // Between the announcement and the wait.
  for (const bool rung : {false, true}) {
    EnterRequest request;
    do {
      request = reactor_->Turn();
      if (request.min_complete == 0) reactor_->OnEntered(ring_->Enter(request));
    } while (request.min_complete == 0);
    EXPECT_TRUE(echo_.asleep);
    if (rung) world_->Ring(eventfd_);
    reactor_->OnEntered(ring_->Enter(request));
    EXPECT_FALSE(echo_.asleep);
    EXPECT_TRUE(RunUntil([&] { return !rung || echo_.woken > 0; }));
  }
}

TEST_P(ReactorTest, SeveralListeners) {
  SetUpWorld({});
  const int second = world_->kernel().Listen({}).value();
  const uint16_t second_port = world_->kernel().LocalPort(second).value();
  InTurn([&] { reactor_->Listen(second); });
  for (const uint16_t port : {second_port, port_, second_port}) {
    const size_t accepted = echo_.sessions.size();
    const Peer peer = world_->Connect(port);
    EXPECT_TRUE(RunUntil([&] { return echo_.sessions.size() > accepted; }));
    EXPECT_EQ(Exchange(peer, "to whom?", 8), "to whom?");
  }
}

// A connection that one reactor accepts and another serves; here they are the same.
TEST_P(ReactorTest, AcceptedForSomebodyElse) {
  SetUpWorld({});
  const int second = world_->kernel().Listen({}).value();
  const uint16_t second_port = world_->kernel().LocalPort(second).value();
  InTurn([&] { reactor_->Listen(second, Reactor::Accepted::kHandedOut); });
  const Peer peer = world_->Connect(second_port);
  EXPECT_TRUE(RunUntil([&] { return !echo_.handed_out.empty(); }));
  EXPECT_EQ(reactor_->connections(), 0U);
  InTurn([&] {
    Connection* const connection = reactor_->Adopt(echo_.handed_out.front());
    ASSERT_NE(connection, nullptr);
    echo_.Begin(*connection);
  });
  EXPECT_EQ(Exchange(peer, "for you", 7), "for you");
  // One that comes too late is closed.
  const Peer late = world_->Connect(second_port);
  EXPECT_TRUE(RunUntil([&] { return echo_.handed_out.size() == 2; }));
  InTurn([&] { reactor_->Stop(); });
  if (reactor_->finished()) return;
  InTurn([&] { EXPECT_EQ(reactor_->Adopt(echo_.handed_out.back()), nullptr); });
  const PeerInput input = ReadToTheEnd(late);
  EXPECT_TRUE(input.bytes.empty());
}

TEST_P(ReactorExactTest, SpinsForAWhileAndThenSleeps) {
  constexpr int kSpins = 7;
  Options options;
  options.reactor.spin_turns = kSpins;
  SetUpWorld(options);
  echo_.tick = kSecond;
  // Turns until one that sleeps, which is rung.
  const auto awake_turns = [&] {
    for (int awake = 0;; ++awake) {
      const EnterRequest request = reactor_->Turn();
      if (request.min_complete > 0) world_->Ring(eventfd_);
      reactor_->OnEntered(ring_->Enter(request));
      if (request.min_complete > 0) return awake;
    }
  };
  (void)awake_turns();
  EXPECT_EQ(awake_turns(), kSpins);
  for (int turn = 0; turn < 3 * kSpins; ++turn) {
    echo_.next_turn = [&] { reactor_->NoteWork(); };
    const EnterRequest request = reactor_->Turn();
    EXPECT_EQ(request.min_complete, 0U);
    reactor_->OnEntered(ring_->Enter(request));
  }
  EXPECT_EQ(awake_turns(), kSpins - 1) << "the last turn with work was the first of them";
}

TEST_P(ReactorTest, PausedReadsDeliverNothingAndLoseNothing) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] { reactor_->PauseReads(connection(0)); });
  EXPECT_TRUE(connection(0).reads_paused());
  Settle();
  ASSERT_EQ(world_->Send(peers[0], "paused"), 6U);
  Settle();
  EXPECT_EQ(session(0).received, "");
  InTurn([this] { reactor_->ResumeReads(connection(0)); });
  EXPECT_TRUE(RunUntil([this] { return session(0).received == "paused"; }));
  EXPECT_EQ(Exchange(peers[0], "!", 7), "paused!");
}

TEST_P(ReactorTest, DataBetweenTheCancelAndTheEndOfTheReceiveIsNotLost) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(1);
  std::string sent;
  for (int round = 0; round < 20; ++round) {
    const std::string before = Pattern(50, static_cast<size_t>(round));
    const std::string after = Pattern(70, static_cast<size_t>(round) + 100);
    ASSERT_EQ(world_->Send(peers[0], before), before.size());
    // The cancel is prepared, data comes, and only then does the kernel see the cancel.
    echo_.next_turn = [this] { reactor_->PauseReads(connection(0)); };
    const EnterRequest request = reactor_->Turn();
    ASSERT_EQ(world_->Send(peers[0], after), after.size());
    reactor_->OnEntered(ring_->Enter(request));
    if (round % 2 == 0) Turns(round / 2);
    InTurn([this] { reactor_->ResumeReads(connection(0)); });
    sent += before + after;
    ASSERT_TRUE(RunUntil([&] { return session(0).received.size() == sent.size(); })) << round;
    ASSERT_EQ(session(0).received, sent);
  }
}

TEST_P(ReactorTest, PauseAndResumeInAnyRhythmKeepTheStream) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string stream = Pattern(40'000);
  std::string_view rest = stream;
  for (int step = 0; step < 300; ++step) {
    const std::string_view part = rest.substr(0, 130);
    rest.remove_prefix(world_->Send(peers[0], part));
    echo_.next_turn = [this, step] {
      // Twice in one turn now and then: what counts is the last word.
      if (step % 3 != 0) reactor_->PauseReads(connection(0));
      if (step % 5 != 0) reactor_->ResumeReads(connection(0));
    };
    Turns(step % 4 == 0 ? 2 : 1);
  }
  InTurn([this] { reactor_->ResumeReads(connection(0)); });
  EXPECT_EQ(Exchange(peers[0], rest, stream.size()), stream);
}

TEST_P(ReactorTest, EndOfInputWhilePausedComesWithResume) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] { reactor_->PauseReads(connection(0)); });
  Settle();
  ASSERT_EQ(world_->Send(peers[0], "last"), 4U);
  world_->ShutdownWrite(peers[0]);
  Settle();
  EXPECT_FALSE(session(0).end_of_input);
  InTurn([this] { reactor_->ResumeReads(connection(0)); });
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_EQ(input.bytes, "last");
  EXPECT_TRUE(input.end);
}

TEST_P(ReactorTest, ASlowReaderIsHeldBackByPausing) {
  Options options;
  options.world.socket_buffer_bytes = 8192;
  SetUpWorld(options);
  constexpr size_t kOutputMax = 32'768;
  size_t highest = 0;
  echo_.on_event = [&](Session&, const ConnectionEvent& event) {
    echo_.EchoBack(event);
    Connection& connection = *event.connection;
    highest = std::max(highest, connection.output().size_bytes());
    if (connection.output().size_bytes() > kOutputMax) reactor_->PauseReads(connection);
    if (event.kind == Kind::kSent && connection.output().size_bytes() < kOutputMax / 2) {
      reactor_->ResumeReads(connection);
    }
  };
  const std::vector<Peer> peers = ConnectAll(1);
  const std::string sent = Pattern(2'000'000);
  std::string_view rest = sent;
  // It sends and never reads: what is queued for it is bounded.
  for (int turn = 0; turn < 300; ++turn) {
    rest.remove_prefix(world_->Send(peers[0], rest.substr(0, 20'000)));
    Turn();
  }
  EXPECT_TRUE(connection(0).reads_paused());
  EXPECT_LT(highest, kOutputMax + 8 * options.reactor.buffer_bytes);
  EXPECT_EQ(Exchange(peers[0], rest, sent.size()), sent);
  EXPECT_GT(session(0).sent_events, 0);
}

// --- Provided buffers

TEST_P(ReactorExactTest, OneTinyBufferServesManyConnections) {
  Options options;
  options.reactor.buffers = 1;
  options.reactor.buffer_bytes = 16;
  SetUpWorld(options);
  constexpr size_t kPeers = 40;
  constexpr size_t kBytes = 500;
  std::vector<Peer> peers = ConnectAll(kPeers);
  for (size_t index = 0; index < kPeers; ++index) {
    ASSERT_EQ(world_->Send(peers[index], Pattern(kBytes, index)), kBytes);
  }
  EXPECT_TRUE(RunUntil([&] {
    return std::all_of(echo_.sessions.begin(), echo_.sessions.end(),
                       [&](const auto& each) { return each->received.size() == kBytes; });
  }));
  for (size_t index = 0; index < kPeers; ++index) {
    EXPECT_EQ(session(index).received, Pattern(kBytes, index));
  }
  // Each receive that brought bytes may end starved, and each connection once more at the start.
  // More would be a storm of receives that are armed though no buffer is free.
  EXPECT_GT(reactor_->counters().starved, 0U);
  EXPECT_LE(reactor_->counters().starved, kPeers * (kBytes / 16 + 1) + 2 * kPeers);
  EXPECT_LE(turns_, 4 * kPeers * (kBytes / 16 + 1));
  // And it is over: nobody spins.
  const uint64_t starved = reactor_->counters().starved;
  Settle();
  EXPECT_EQ(reactor_->counters().starved, starved);
}

TEST_P(ReactorTest, StarvedConnectionsSeeTheEndAndTheReset) {
  Options options;
  options.reactor.buffers = 1;
  options.reactor.buffer_bytes = 8;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(10);
  for (size_t index = 0; index < peers.size(); ++index) {
    ASSERT_EQ(world_->Send(peers[index], Pattern(100, index)), 100U);
    if (index % 2 == 0) world_->ShutdownWrite(peers[index]);
  }
  for (size_t index = 0; index < peers.size(); index += 2) {
    EXPECT_EQ(ReadToTheEnd(peers[index]).bytes, Pattern(100, index));
  }
  for (size_t index = 1; index < peers.size(); index += 2) world_->Reset(peers[index]);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(ReactorTest, StarvedConnectionsCanBePausedAndAborted) {
  Options options;
  options.reactor.buffers = 1;
  options.reactor.buffer_bytes = 8;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(9);
  for (const Peer peer : peers) ASSERT_EQ(world_->Send(peer, Pattern(100)), 100U);
  for (int turn = 0; turn < 6; ++turn) {
    InTurn([this, turn] {
      for (size_t index = 0; index < 9; ++index) {
        Session& each = session(index);
        if (each.connection == nullptr || !each.connection->open()) continue;
        if (index % 3 == 0) reactor_->PauseReads(*each.connection);
        if (index % 3 == 1 && turn == 3) reactor_->Abort(*each.connection);
      }
    });
  }
  EXPECT_TRUE(RunUntil([this] {
    return reactor_->connections() == 6 && session(2).received.size() == 100 &&
           session(5).received.size() == 100 && session(8).received.size() == 100;
  }));
  InTurn([this] {
    for (size_t index = 0; index < 9; index += 3) reactor_->ResumeReads(connection(index));
  });
  EXPECT_TRUE(RunUntil([this] {
    return session(0).received.size() == 100 && session(3).received.size() == 100 &&
           session(6).received.size() == 100;
  }));
}

TEST_P(ReactorExactTest, AStaleCompletionGivesItsBufferBack) {
  Options options;
  options.reactor.buffers = 1;
  options.reactor.buffer_bytes = 16;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(2);
  InTurn([this] { reactor_->PauseReads(connection(0)); });
  Settle();
  // A receive of a connection that is long gone, with the group's only buffer.
  const UserData stale{.operation = Operation::kReceive, .slot = {.index = 0, .generation = 77}};
  SubmissionQueue submission(*ring_);
  ASSERT_TRUE(submission.ReceiveMultishot(File::Descriptor(connection(0).descriptor()),
                                          Reactor::kBufferGroup, stale));
  Turn();
  ASSERT_EQ(world_->Send(peers[0], "stale"), 5U);
  EXPECT_TRUE(RunUntil([this] { return reactor_->counters().stale_completions == 1; }));
  EXPECT_EQ(session(0).received, "");
  EXPECT_EQ(reactor_->counters().received_bytes, 0U);
  EXPECT_EQ(Exchange(peers[1], Pattern(200), 200), Pattern(200));
  ASSERT_TRUE(submission.Cancel(stale, {.operation = Operation::kTest, .slot = {}}));
  stale_completions_ = 3;  // The data, the receive's end and the cancel's.
  EXPECT_TRUE(RunUntil([this] { return reactor_->counters().stale_completions == 3; }));
}

// --- The submission queue and the completion queue are full

TEST_P(ReactorTest, OneSubmissionEntryIsEnough) {
  Options options;
  options.ring = {.sq_entries = 1, .cq_entries = 64};
  SetUpWorld(options);
  std::vector<Peer> peers;
  std::vector<PeerInput> inputs(20);
  for (size_t index = 0; index < inputs.size(); ++index) {
    peers.push_back(Connect());
    ASSERT_EQ(world_->Send(peers[index], Pattern(1000, index)), 1000U);
  }
  EXPECT_TRUE(RunUntil([&] {
    for (size_t index = 0; index < peers.size(); ++index) {
      world_->Receive(peers[index], inputs[index], 1000);
    }
    return std::all_of(inputs.begin(), inputs.end(),
                       [](const PeerInput& input) { return input.bytes.size() == 1000; });
  }));
  EXPECT_GT(reactor_->counters().refused, 0U);
  for (const Peer peer : peers) world_->Close(peer);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(ReactorExactTest, RefusedCancelsAreNotForgotten) {
  Options options;
  options.ring = {.sq_entries = 1, .cq_entries = 64};
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(10);
  Settle();
  // All want a cancel in the same turn, and one fits.
  InTurn([this] {
    for (size_t index = 0; index < 10; ++index) reactor_->PauseReads(connection(index));
  });
  Settle();
  for (const Peer peer : peers) ASSERT_EQ(world_->Send(peer, "later"), 5U);
  Settle();
  for (size_t index = 0; index < 10; ++index) EXPECT_EQ(session(index).received, "") << index;
  InTurn([this] {
    for (size_t index = 0; index < 10; ++index) reactor_->Abort(connection(index));
  });
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(ReactorExactTest, AFullSubmissionQueueAsksNotToSleep) {
  Options options;
  options.ring = {.sq_entries = 1, .cq_entries = 64};
  SetUpWorld(options);
  // The accept and the waker's poll are two operations for one entry.
  EnterRequest request = reactor_->Turn();
  EXPECT_EQ(request.to_submit, 1U);
  EXPECT_EQ(request.min_complete, 0U);
  reactor_->OnEntered(ring_->Enter(request));
  request = reactor_->Turn();
  EXPECT_EQ(request.to_submit, 1U);
  EXPECT_EQ(request.min_complete, 1U);
  EXPECT_EQ(request.deadline, reactor_->now() + Echo::kTick);
  reactor_->OnEntered(ring_->Enter(request));
}

TEST_P(ReactorExactTest, IdleConnectionsAreNeitherVisitedNorAwake) {
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(50);
  Settle();
  const uint64_t visits = reactor_->arm_visits();
  for (int turn = 0; turn < 10; ++turn) {
    const EnterRequest request = reactor_->Turn();
    EXPECT_EQ(request.to_submit, 0U);
    EXPECT_EQ(request.min_complete, 1U);
    reactor_->OnEntered(ring_->Enter(request));
  }
  EXPECT_EQ(reactor_->arm_visits(), visits);
  EXPECT_EQ(Exchange(peers[7], "x", 1), "x");
  EXPECT_LE(reactor_->arm_visits(), visits + 2);
}

TEST_P(ReactorTest, AnEnterThatConsumesFewerLosesNothing) {
  SetUpWorld({});
  std::vector<Peer> peers;
  std::vector<PeerInput> inputs(20);
  for (size_t index = 0; index < inputs.size(); ++index) {
    peers.push_back(Connect());
    ASSERT_EQ(world_->Send(peers[index], Pattern(1000, index)), 1000U);
  }
  const auto all_there = [&] {
    return std::all_of(inputs.begin(), inputs.end(),
                       [](const PeerInput& input) { return input.bytes.size() == 1000; });
  };
  for (int turn = 0; turn < 2000 && !all_there(); ++turn) {
    EnterRequest request = reactor_->Turn();
    // As if the kernel had stopped in the middle.
    request.to_submit = std::min(request.to_submit, 1U);
    reactor_->OnEntered(ring_->Enter(request));
    for (size_t index = 0; index < peers.size(); ++index) {
      world_->Receive(peers[index], inputs[index], 1000);
    }
  }
  EXPECT_TRUE(all_there());
}

TEST_P(ReactorTest, ATinyCompletionQueueOverflowsAndNothingIsLost) {
  Options options;
  options.ring = {.sq_entries = 2, .cq_entries = 2};
  SetUpWorld(options);
  std::vector<Peer> peers;
  std::vector<PeerInput> inputs(30);
  for (size_t index = 0; index < inputs.size(); ++index) peers.push_back(Connect());
  for (int round = 1; round <= 5; ++round) {
    for (size_t index = 0; index < peers.size(); ++index) {
      ASSERT_EQ(world_->Send(peers[index], Pattern(200, index)), 200U);
    }
    world_->Ring(eventfd_);
    EXPECT_TRUE(RunUntil([&] {
      for (size_t index = 0; index < peers.size(); ++index) {
        world_->Receive(peers[index], inputs[index], ~size_t{0});
      }
      return std::all_of(inputs.begin(), inputs.end(), [round](const PeerInput& input) {
        return input.bytes.size() == 200U * static_cast<size_t>(round);
      });
    })) << round;
    EXPECT_TRUE(RunUntil([&] { return echo_.woken >= round; }));
  }
  for (const Peer peer : peers) world_->Close(peer);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(ReactorExactTest, EnterMayFailAndTheLoopGoesOn) {
  SetUpWorld({});
  const Peer peer = Connect();
  for (const int error : {EINTR, EAGAIN, EBUSY, ETIME}) {
    (void)reactor_->Turn();
    reactor_->OnEntered(std::unexpected(Errno(error)));  // Nothing was submitted.
    EXPECT_EQ(Exchange(peer, "x", 1), "x");
  }
  EXPECT_EQ(reactor_->counters().enter_retries, 3U);
  EXPECT_DEATH(reactor_->OnEntered(std::unexpected(Errno(EBADF))), "io_uring_enter.*EBADF");
}

// --- Writing

TEST_P(ReactorTest, OutputLargerThanTheSocketIsExactAndBodiesAreLetGoInTime) {
  Options options;
  options.world.socket_buffer_bytes = 8192;
  SetUpWorld(options);
  const SharedBytes body = SharedBytes::Copy(Pattern(300'000));
  const SharedBytes small = SharedBytes::Copy("v");
  std::string expected;
  size_t body_ends_at = 0;
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    PendingOutput& output = connection(0).output();
    output.Append(Pattern(50'000));
    output.AppendBody(body);
    expected = Pattern(50'000) + std::string(body.view());
    body_ends_at = expected.size();
    // More parts than one chunk may have.
    for (int count = 0; count < 3000; ++count) {
      output.Append("$1\r\n");
      output.AppendBody(small);
      expected += "$1\r\nv";
    }
    output.Append(Pattern(10'000, 5));
    expected += Pattern(10'000, 5);
    reactor_->Flush(connection(0));
  });
  PeerInput input;
  EXPECT_TRUE(RunUntil([&] {
    world_->Receive(peers[0], input, 3000);
    // Held while a byte of it may still have to be sent, and not longer.
    EXPECT_EQ(body.references(), reactor_->counters().sent_bytes < body_ends_at ? 2U : 1U);
    return input.bytes.size() == expected.size();
  }));
  EXPECT_TRUE(input.bytes == expected);
  EXPECT_TRUE(RunUntil([&small] { return small.unique(); }));
  EXPECT_TRUE(RunUntil([this] { return connection(0).output().empty(); }));
}

TEST_P(ReactorTest, ManyLargeOutputsShareOneEnter) {
  // More iovecs than one Enter has room for.
  SetUpWorld({});
  const std::vector<Peer> peers = ConnectAll(12);
  const SharedBytes body = SharedBytes::Copy("bb");
  std::string expected;
  for (int count = 0; count < 1500; ++count) expected += "h" + std::string(body.view());
  InTurn([&] {
    for (size_t index = 0; index < peers.size(); ++index) {
      for (int count = 0; count < 1500; ++count) {
        connection(index).output().Append("h");
        connection(index).output().AppendBody(body);
      }
      reactor_->Flush(connection(index));
    }
  });
  for (const Peer peer : peers) EXPECT_TRUE(Exchange(peer, "", expected.size()) == expected);
  EXPECT_TRUE(RunUntil([&body] { return body.unique(); }));
}

// A hundred megabytes behind a peer that takes a byte at first: what is left is not copied for it.
TEST_P(ReactorExactTest, NothingIsCopiedAfterAShortWrite) {
  constexpr int kReplies = 100;
  constexpr size_t kCopiedMax = 64 * kKiB;
  // The model sums up what is sent at every send.
  const bool is_model = std::string(GetParam().name) != "Linux";
  const SharedBytes body = SharedBytes::Copy(Pattern(is_model ? 10'000 : 1 * kMiB));
  const std::string header = "$" + std::to_string(body.size()) + "\r\n";
  Options options;
  options.world.socket_buffer_bytes = 65'536;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([&] {
    for (int count = 0; count < kReplies; ++count) {
      connection(0).output().Append(header);
      connection(0).output().AppendBody(body);
      connection(0).output().Append("\r\n");
    }
    reactor_->Flush(connection(0));
  });
  PeerInput input;
  EXPECT_TRUE(RunUntil([&] {
    world_->Receive(peers[0], input, 1 - input.bytes.size());
    return input.bytes.size() == 1 && reactor_->counters().sent_bytes > 0;
  }));
  const size_t expected_bytes = kReplies * (header.size() + body.size() + 2);
  ASSERT_LT(reactor_->counters().sent_bytes, expected_bytes) << "it was no short write";
  const uint64_t copied_bytes = connection(0).output().copied_bytes();
  size_t read_bytes = 1;
  EXPECT_TRUE(RunUntil([&] {
    input.bytes.clear();
    world_->Receive(peers[0], input, 4 * kMiB);
    read_bytes += input.bytes.size();
    return read_bytes == expected_bytes;
  })) << read_bytes;
  EXPECT_TRUE(RunUntil([this] { return connection(0).output().empty(); }));
  const uint64_t copied_later = connection(0).output().copied_bytes() - copied_bytes;
  RecordProperty("copied_after_the_short_write", std::to_string(copied_later));
  EXPECT_LT(copied_later, kCopiedMax);
  EXPECT_LT(copied_bytes, kCopiedMax);
  EXPECT_TRUE(body.unique());
}

TEST_P(ReactorTest, AppendingWhileASendIsInFlightKeepsTheOrder) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(1);
  std::string expected;
  PeerInput input;
  for (size_t step = 0; step < 200; ++step) {
    InTurn([&] {
      const std::string part = Pattern(1 + step * 13 % 3000, step);
      connection(0).output().Append(part);
      connection(0).output().AppendBody(SharedBytes::Copy(part));
      expected += part + part;
      reactor_->Flush(connection(0));
    });
    world_->Receive(peers[0], input, 1000);
  }
  EXPECT_TRUE(RunUntil([&] {
    world_->Receive(peers[0], input, 20'000);
    return input.bytes.size() == expected.size();
  }));
  EXPECT_TRUE(input.bytes == expected);
}

TEST_P(ReactorTest, APeerThatLeavesDuringASendEndsTheConnection) {
  Options options;
  options.world.socket_buffer_bytes = 4096;
  SetUpWorld(options);
  const std::vector<Peer> peers = ConnectAll(2);
  const SharedBytes body = SharedBytes::Copy(Pattern(1'000'000));
  InTurn([&] {
    for (size_t index = 0; index < 2; ++index) {
      connection(index).output().AppendBody(body);
      reactor_->Flush(connection(index));
    }
  });
  Settle();
  EXPECT_EQ(body.references(), 3U);
  world_->Reset(peers[0]);
  world_->Close(peers[1]);  // With unread input: a reset as well.
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
  EXPECT_EQ(body.references(), 1U);
}

// --- What only a script can bring about

TEST_P(ReactorModelTest, AcceptsPauseAtTheDescriptorLimitAndGoOnWhenOneIsFree) {
  // The ring, the listener and the waker take the first of them.
  SetUpScripted({}, 10);
  std::vector<Peer> peers;
  for (int count = 0; count < 20; ++count) peers.push_back(Connect());
  Turns(10);
  const uint32_t accepted = reactor_->connections();
  EXPECT_GT(accepted, 3U);
  EXPECT_LT(accepted, 10U);
  EXPECT_EQ(reactor_->counters().accept_failures, 1U);
  const Nanoseconds paused_at = reactor_->now();
  for (uint32_t index = 0; index < accepted; ++index) {
    EXPECT_EQ(Exchange(peers[index], "x", 1), "x");  // Those that are there are served.
  }
  // One leaves: somebody takes its place at once, not after the pause.
  world_->Close(peers[0]);
  ASSERT_TRUE(RunUntil([&] { return reactor_->counters().accepted == accepted + 1; }));
  EXPECT_LT(reactor_->now() - paused_at, ReactorOptions().accept_retry);
  // All get their turn.
  for (size_t index = 1; index < peers.size(); ++index) {
    EXPECT_EQ(Exchange(peers[index], "y", 1), "y");
    world_->Close(peers[index]);
  }
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 0; }));
}

TEST_P(ReactorModelTest, AcceptsAtTheDescriptorLimitDoNotSpin) {
  SetUpScripted({});
  script_->Always(model::Site::kAcceptFails, 1);
  (void)Connect();
  const Nanoseconds begin = world_->kernel().MonotonicNow();
  ASSERT_TRUE(RunUntil([&] { return reactor_->now() - begin >= kSecond; }));
  const auto attempts = static_cast<uint64_t>(kSecond / ReactorOptions().accept_retry);
  EXPECT_GE(reactor_->counters().accept_failures, attempts - 1);
  EXPECT_LE(reactor_->counters().accept_failures, attempts + 1);
  // Nothing else happens: the pause ends the sleep, or the application's deadline does.
  echo_.tick = 1000 * kSecond;
  EXPECT_LE(reactor_->Turn().deadline, reactor_->now() + ReactorOptions().accept_retry);
  reactor_->OnEntered(std::unexpected(Errno(EINTR)));
  echo_.tick = Echo::kTick;
  script_->Never(model::Site::kAcceptFails);
  EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 1; }));
}

TEST_P(ReactorModelTest, SendsThatTakeOneByteAtATime) {
  SetUpScripted({});
  script_->Always(model::Site::kSendPartial, 1);
  const std::vector<Peer> peers = ConnectAll(1);
  const SharedBytes body = SharedBytes::Copy(Pattern(700));
  const SharedBytes second = SharedBytes::Copy(Pattern(300, 9));
  InTurn([&] {
    PendingOutput& output = connection(0).output();
    output.Append("$700\r\n");
    output.AppendBody(body);
    output.Append("\r\n");
    output.AppendBody(second);
    reactor_->Flush(connection(0));
  });
  const uint64_t copied = connection(0).output().copied_bytes();
  const std::string expected =
      "$700\r\n" + std::string(body.view()) + "\r\n" + std::string(second.view());
  const uint64_t begin = turns_;
  EXPECT_EQ(Exchange(peers[0], "", expected.size()), expected);
  EXPECT_GE(turns_ - begin, expected.size() / 2);  // It was cut to pieces indeed.
  EXPECT_EQ(connection(0).output().copied_bytes(), copied);
  Settle();
  EXPECT_TRUE(body.unique());
  EXPECT_TRUE(second.unique());
}

TEST_P(ReactorModelTest, WhatIsAppendedAfterTheShutdownIsNotSent) {
  // It would meet EPIPE, and closing then would reset what the peer has not read yet.
  SetUpScripted({});
  constexpr uint64_t kLongest = 99;
  script_->Always(model::Site::kWorkerDelay, kLongest);
  const std::vector<Peer> peers = ConnectAll(1);
  InTurn([this] {
    connection(0).output().Append("bye");
    reactor_->Finish(connection(0));
  });
  Settle();  // The shutdown is on its way.
  InTurn([this] {
    connection(0).output().Append("too late");
    reactor_->Flush(connection(0));
  });
  ASSERT_EQ(world_->Send(peers[0], "unread"), 6U);
  const PeerInput input = ReadToTheEnd(peers[0]);
  EXPECT_EQ(input.bytes, "bye");
  EXPECT_FALSE(input.reset);
  world_->Close(peers[0]);
  EXPECT_TRUE(RunUntil([this] { return session(0).closed; }));
}

TEST_P(ReactorModelTest, DataBeforeTheCancelledReceiveEnds) {
  // The target's last completion comes before its cancel's, and after.
  for (const uint64_t target_first : {0, 1}) {
    SetUpScripted({});
    script_->Always(model::Site::kCancelOrder, target_first);
    const std::vector<Peer> peers = ConnectAll(4);
    for (int round = 0; round < 5; ++round) {
      InTurn([this] {
        for (size_t index = 0; index < 4; ++index) reactor_->PauseReads(connection(index));
      });
      for (const Peer peer : peers) ASSERT_EQ(world_->Send(peer, "data"), 4U);
      if (round % 2 == 0) Settle();
      InTurn([this] {
        for (size_t index = 0; index < 4; ++index) reactor_->ResumeReads(connection(index));
      });
      Settle();
    }
    for (size_t index = 0; index < 4; ++index) {
      EXPECT_EQ(session(index).received, "datadatadatadatadata");
    }
    TearDown();
    echo_.sessions.clear();
  }
}

TEST_P(ReactorModelTest, TheOrderOfTheCancelsDoesNotMatterForTheEnd) {
  for (const uint64_t target_first : {0, 1}) {
    Options options;
    options.world.socket_buffer_bytes = 1000;
    SetUpScripted(options);
    script_->Always(model::Site::kCancelOrder, target_first);
    const std::vector<Peer> peers = ConnectAll(3);
    const SharedBytes body = SharedBytes::Copy(Pattern(5000));
    InTurn([&] {
      for (size_t index = 0; index < 3; ++index) {
        connection(index).output().AppendBody(body);
        reactor_->Flush(connection(index));
      }
    });
    Settle();
    InTurn([this] { reactor_->Abort(connection(0)); });
    // The target ends by itself while its cancel is on its way.
    echo_.next_turn = [this] { reactor_->Abort(connection(1)); };
    const EnterRequest request = reactor_->Turn();
    world_->Reset(peers[1]);
    reactor_->OnEntered(ring_->Enter(request));
    EXPECT_TRUE(RunUntil([this] { return reactor_->connections() == 1; }));
    EXPECT_EQ(body.references(), 2U);
    TearDown();
    echo_.sessions.clear();
    EXPECT_TRUE(body.unique());
  }
}

TEST_P(ReactorModelTest, TenThousandIdleConnectionsCostNothing) {
  constexpr size_t kPeers = 10'000;
  Options options;
  options.ring = {.sq_entries = 1024, .cq_entries = 8192};
  SetUpScripted(options, kPeers + 100);
  std::vector<Peer> peers;
  while (peers.size() < kPeers) {
    for (int count = 0; count < 500; ++count) peers.push_back(Connect());
    ASSERT_TRUE(RunUntil([&] { return reactor_->connections() == peers.size(); }));
  }
  Settle();
  const std::vector<size_t> active = {3, 4999, 9998};
  uint64_t visits = reactor_->arm_visits();
  for (int round = 0; round < 20; ++round) {
    for (const size_t index : active) ASSERT_EQ(world_->Send(peers[index], "x"), 1U);
    Turns(5);
    // The echo's send, and nothing of the others.
    EXPECT_EQ(reactor_->arm_visits() - visits, active.size());
    visits = reactor_->arm_visits();
  }
  for (const size_t index : active) EXPECT_EQ(Exchange(peers[index], "", 20), std::string(20, 'x'));
}

INSTANTIATE_TEST_SUITE_P(Kernels, ReactorExactTest, ExactWorlds(), NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, ReactorModelTest, testing::Values(kModelDeferred), NameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, ReactorTest, AllWorlds(), NameOf);

}  // namespace
}  // namespace orrery
