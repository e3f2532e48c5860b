// An operation that ends twice runs a dead caller; one that never ends holds it for ever; one whose
// memory goes before its last CQE lets the kernel write into somebody else's. On Linux and on the
// fake kernel, and there with faults.
#include "runtime/operations/operations.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/scripted_choice.h"
#include "runtime/benign_worlds.h"
#include "runtime/model_world.h"
#include "runtime/test_world.h"

namespace orrery {
namespace {

// Remembers how it ended; what it does on the way is the test's.
class Probe final : public RingOperation {
 public:
  using RingOperation::sqe;

  int ended() const { return done + released + lost; }
  // Of one that has completed.
  std::string_view error() const { return result ? std::string_view("none") : name_; }

  std::function<bool(const Completion&)> again;  // Whether there is more to do.
  std::function<void()> on_done;
  int done = 0;
  int released = 0;
  int lost = 0;
  int more = 0;
  int submissions_ended = 0;
  Outcome outcome{};
  std::expected<uint32_t, Errno> result;
  std::array<std::byte, 64> bytes{};

 private:
  void OnMore(const Completion&) override { ++more; }
  Next OnTerminal(const Completion& completion) override {
    ++submissions_ended;
    return again && again(completion) ? Next::kAgain : Next::kDone;
  }
  void OnDone(Outcome how, const std::expected<uint32_t, Errno>& what) override {
    ++done;
    outcome = how;
    result = what;
    if (!what) name_ = what.error().ToString();
    if (on_done) on_done();
  }
  void OnReleased() override { ++released; }
  void OnLost() override { ++lost; }

  std::string name_;
};

// For deadlines that are to pass, but only after what a test does before: the machine may be busy.
constexpr Nanoseconds kSoon = 100 * kMillisecond;

class OperationsTest : public testing::TestWithParam<BenignWorld> {
 protected:
  void SetUp() override { SetUpWorld(GetParam().make(), {}, 8); }

  void SetUpWorld(std::unique_ptr<TestWorld> world, const OperationsOptions& options,
                  unsigned entries) {
    operations_.reset();
    ring_.reset();
    world_ = std::move(world);
    auto ring = world_->kernel().MakeRing({.sq_entries = entries, .cq_entries = 4 * entries});
    ASSERT_TRUE(ring.has_value()) << ring.error();
    ring_ = std::move(*ring);
    operations_ = std::make_unique<Operations>(*ring_, world_->kernel(), options);
    listener_ = world_->kernel().Listen({}).value();
    port_ = world_->kernel().LocalPort(listener_).value();
  }
  void Restart(const OperationsOptions& options, unsigned entries) {
    world_->kernel().Close(listener_);
    SetUpWorld(GetParam().make(), options, entries);
  }

  void TearDown() override {
    EXPECT_EQ(operations_->active(), 0U);
    EXPECT_TRUE(RunUntil([&] { return operations_->idle(); })) << "a cancel has no end";
    EXPECT_EQ(operations_->counters().stale_completions, 0U);
    const OperationsCounters& counters = operations_->counters();
    EXPECT_EQ(counters.started,
              counters.completed + counters.timed_out + counters.cancelled + counters.lost);
    for (const int fd : open_) world_->kernel().Close(fd);
    world_->kernel().Close(listener_);
  }

  void Turn() {
    operations_->BeginTurn();
    const uint64_t refused = operations_->counters().refused;
    // The tick ends every wait: a test must never hang.
    const EnterRequest request = operations_->EndTurn(false, operations_->now() + kMillisecond);
    if (request.min_complete > 0) {
      EXPECT_EQ(operations_->counters().refused, refused) << "it sleeps on what was refused";
    }
    ASSERT_TRUE(operations_->OnEntered(ring_->Enter(request)).has_value());
  }
  template <typename Predicate>
  [[nodiscard]] bool RunUntil(Predicate predicate) {
    for (int turn = 0; turn < 5000 && !predicate(); ++turn) Turn();
    return predicate();
  }
  void Await(Probe& probe) {
    EXPECT_TRUE(RunUntil([&] { return probe.ended() > 0; }));
    EXPECT_EQ(probe.ended(), 1);
  }
  Nanoseconds In(Nanoseconds delay) { return world_->kernel().MonotonicNow() + delay; }

  // A connection: our descriptor, and its peer.
  std::pair<int, TestWorld::Peer> Connect() {
    const TestWorld::Peer peer = world_->Connect(port_);
    Probe accept;
    io_uring_prep_accept(&accept.sqe(), listener_, nullptr, nullptr, SOCK_CLOEXEC);
    operations_->Start(accept);
    Await(accept);
    open_.push_back(static_cast<int>(accept.result.value()));
    return {open_.back(), peer};
  }
  static void PrepareReceive(Probe& probe, int fd, int flags = 0) {
    io_uring_prep_recv(&probe.sqe(), fd, probe.bytes.data(), probe.bytes.size(), flags);
  }

  std::unique_ptr<TestWorld> world_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Operations> operations_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<int> open_;
};

TEST_P(OperationsTest, CompletesWithTheKernelsResult) {
  Probe nop;
  io_uring_prep_nop(&nop.sqe());
  operations_->Start(nop);
  EXPECT_TRUE(nop.active());
  Await(nop);
  EXPECT_EQ(nop.outcome, Outcome::kCompleted);
  EXPECT_EQ(nop.result, 0U);
  EXPECT_FALSE(nop.active());

  Probe bad;
  PrepareReceive(bad, 9999);
  operations_->Start(bad);
  Await(bad);
  EXPECT_EQ(bad.outcome, Outcome::kCompleted);
  EXPECT_EQ(bad.result.error(), EBADF);
}

TEST_P(OperationsTest, ReceivesBytesThatComeLater) {
  const auto [fd, peer] = Connect();
  Probe receive;
  PrepareReceive(receive, fd);
  operations_->Start(receive, In(100 * kSecond));
  Turn();
  EXPECT_EQ(receive.ended(), 0);
  EXPECT_EQ(world_->Send(peer, "hello"), 5U);
  Await(receive);
  EXPECT_EQ(receive.result, 5U);
  EXPECT_EQ(static_cast<char>(receive.bytes[4]), 'o');
}

TEST_P(OperationsTest, ManyMoreThanTheQueueHolds) {
  std::deque<Probe> nops(1000);
  std::vector<size_t> order;
  for (size_t index = 0; index < nops.size(); ++index) {
    io_uring_prep_nop(&nops[index].sqe());
    nops[index].on_done = [&order, index] { order.push_back(index); };
    operations_->Start(nops[index]);
  }
  EXPECT_TRUE(RunUntil([&] { return operations_->active() == 0; }));
  ASSERT_EQ(order.size(), nops.size());
  for (size_t index = 0; index < order.size(); ++index) ASSERT_EQ(order[index], index);
  EXPECT_GT(operations_->counters().refused, 0U);
}

TEST_P(OperationsTest, AnEndMayStartTheNext) {
  Probe nop;
  io_uring_prep_nop(&nop.sqe());
  nop.on_done = [&] {
    if (nop.done < 100) operations_->Start(nop);
  };
  operations_->Start(nop);
  EXPECT_TRUE(RunUntil([&] { return nop.done == 100; }));
}

// --- Deadlines and cancels

TEST_P(OperationsTest, TheDeadlineEndsWhatTheKernelHas) {
  const auto [fd, peer] = Connect();
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    Probe receive;
    PrepareReceive(receive, fd);
    const Nanoseconds deadline = In(kSoon);
    operations_->Start(receive, deadline, by);
    Await(receive);
    EXPECT_EQ(receive.outcome, Outcome::kTimedOut);
    EXPECT_EQ(receive.result.error(), ETIME);
    EXPECT_GE(world_->kernel().MonotonicNow(), deadline);
  }
  EXPECT_EQ(operations_->counters().cancels_sent, 1U) << "the kernel's own timeout needs none";
  // Nothing was taken from the stream.
  EXPECT_EQ(world_->Send(peer, "late"), 4U);
  Probe receive;
  PrepareReceive(receive, fd);
  operations_->Start(receive);
  Await(receive);
  EXPECT_EQ(receive.result, 4U);
}

TEST_P(OperationsTest, CompleteInTimeIsSuccessAlthoughTheDeadlineHasPassed) {
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    Probe nop;
    io_uring_prep_nop(&nop.sqe());
    operations_->Start(nop, In(100 * kSecond), by);
    Await(nop);
    EXPECT_EQ(nop.outcome, Outcome::kCompleted);
  }
  const auto [fd, peer] = Connect();
  EXPECT_EQ(world_->Send(peer, "x"), 1U);
  Probe receive;
  PrepareReceive(receive, fd);
  operations_->Start(receive, In(100 * kSecond));
  Turn();  // The kernel has it, and it is complete; the cancel comes too late.
  operations_->Cancel(receive);
  Await(receive);
  EXPECT_EQ(receive.outcome, Outcome::kCompleted);
  EXPECT_EQ(receive.result, 1U);
}

TEST_P(OperationsTest, ACancelIsNoTimeout) {
  const auto [fd, peer] = Connect();
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    Probe receive;
    PrepareReceive(receive, fd);
    operations_->Start(receive, In(100 * kSecond), by);
    Turn();
    operations_->Cancel(receive);
    operations_->Cancel(receive);
    Await(receive);
    EXPECT_EQ(receive.outcome, Outcome::kCancelled);
    EXPECT_EQ(receive.result.error(), ECANCELED);
  }
  EXPECT_EQ(operations_->counters().cancels_sent, 2U);
}

TEST_P(OperationsTest, AnEcanceledThatNobodyAskedForIsTheOperationsOwn) {
  const auto [fd, peer] = Connect();
  Probe receive;
  PrepareReceive(receive, fd);
  operations_->Start(receive, In(100 * kSecond));
  Turn();
  Probe canceller;
  io_uring_prep_cancel_fd(&canceller.sqe(), fd, 0);
  operations_->Start(canceller);
  Await(receive);
  EXPECT_EQ(receive.outcome, Outcome::kCompleted);
  EXPECT_EQ(receive.result.error(), ECANCELED);
}

TEST_P(OperationsTest, WhatWasNeverSubmittedIsCancelledWithoutTheKernel) {
  Probe nop;
  io_uring_prep_nop(&nop.sqe());
  operations_->Start(nop);
  operations_->Cancel(nop);
  EXPECT_EQ(nop.ended(), 0) << "told from within Cancel()";
  Await(nop);
  EXPECT_EQ(nop.outcome, Outcome::kCancelled);
  EXPECT_EQ(nop.submissions_ended, 0);
}

TEST_P(OperationsTest, ADeadlineThatHasPassedBeforeTheStart) {
  const auto [fd, peer] = Connect();
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    Probe receive;
    PrepareReceive(receive, fd);
    operations_->Start(receive, 0, by);
    Await(receive);
    EXPECT_EQ(receive.outcome, Outcome::kTimedOut);
  }
}

TEST_P(OperationsTest, ProgressAndThenTheDeadlineIsATimeout) {
  const auto [fd, peer] = Connect();
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    size_t got = 0;
    Probe receive;
    PrepareReceive(receive, fd);
    receive.again = [&](const Completion& completion) {
      if (completion.ok()) got += completion.value();
      return completion.ok() && got < 10;
    };
    EXPECT_EQ(world_->Send(peer, "1234"), 4U);
    operations_->Start(receive, In(kSoon), by);
    Await(receive);
    EXPECT_EQ(receive.outcome, Outcome::kTimedOut);
    EXPECT_EQ(got, 4U);
    EXPECT_EQ(receive.submissions_ended, 2);
  }
}

TEST_P(OperationsTest, ProgressAndThenTheRestIsSuccess) {
  const auto [fd, peer] = Connect();
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    size_t got = 0;
    Probe receive;
    PrepareReceive(receive, fd);
    receive.again = [&](const Completion& completion) {
      got += completion.value();
      return got < 8;
    };
    operations_->Start(receive, In(100 * kSecond), by);
    EXPECT_EQ(world_->Send(peer, "1234"), 4U);
    EXPECT_TRUE(RunUntil([&] { return got == 4; }));
    EXPECT_EQ(world_->Send(peer, "5678"), 4U);
    Await(receive);
    EXPECT_EQ(receive.outcome, Outcome::kCompleted);
    EXPECT_EQ(got, 8U);
  }
}

TEST_P(OperationsTest, ASleepEndsInTimeOrIsCancelled) {
  Probe sleep;
  const Nanoseconds time = In(2 * kMillisecond);
  operations_->Sleep(sleep, time);
  Await(sleep);
  EXPECT_EQ(sleep.outcome, Outcome::kCompleted);
  EXPECT_GE(world_->kernel().MonotonicNow(), time);
  Probe endless;
  operations_->Sleep(endless, kNever);
  Turn();
  operations_->Cancel(endless);
  Await(endless);
  EXPECT_EQ(endless.outcome, Outcome::kCancelled);
}

TEST_P(OperationsTest, WhatBecameOfTheLastUseIsForgotten) {
  const auto [fd, peer] = Connect();
  Probe receive;
  PrepareReceive(receive, fd);
  operations_->Start(receive, In(2 * kMillisecond), DeadlineBy::kLinkedTimeout);
  EXPECT_TRUE(RunUntil([&] { return receive.done == 1; }));
  EXPECT_EQ(receive.outcome, Outcome::kTimedOut);
  operations_->Start(receive, In(100 * kSecond));
  Turn();
  operations_->Cancel(receive);
  EXPECT_TRUE(RunUntil([&] { return receive.done == 2; }));
  EXPECT_EQ(receive.outcome, Outcome::kCancelled);
  EXPECT_EQ(world_->Send(peer, "1234"), 4U);
  operations_->Start(receive);
  EXPECT_TRUE(RunUntil([&] { return receive.done == 3; }));
  EXPECT_EQ(receive.result, 4U);
}

// --- Limits

TEST_P(OperationsTest, OperationsThatWaitForQueuedOnesNeedDeadlines) {
  Restart({.in_flight_max = 2}, 8);
  const auto [first_fd, first_peer] = Connect();
  const auto [second_fd, second_peer] = Connect();
  Probe first;
  Probe second;
  PrepareReceive(first, first_fd);
  PrepareReceive(second, second_fd);
  operations_->Start(first, In(kSoon));
  operations_->Start(second);
  // What the others wait for, say: it finds no slot.
  Probe third;
  io_uring_prep_nop(&third.sqe());
  operations_->Start(third);
  Turn();
  Turn();
  EXPECT_EQ(third.ended(), 0);
  EXPECT_EQ(operations_->in_flight(), 2U);
  // The deadline of one that has it lets the next in.
  Await(first);
  EXPECT_EQ(first.outcome, Outcome::kTimedOut);
  Await(third);
  EXPECT_EQ(third.outcome, Outcome::kCompleted);
  operations_->Cancel(second);
  Await(second);
}

TEST_P(OperationsTest, ADeadlineHoldsInTheQueueToo) {
  Restart({.in_flight_max = 1}, 8);
  const auto [fd, peer] = Connect();
  Probe first;
  PrepareReceive(first, fd);
  operations_->Start(first);
  for (const DeadlineBy by : {DeadlineBy::kWheel, DeadlineBy::kLinkedTimeout}) {
    Probe queued;
    io_uring_prep_nop(&queued.sqe());
    operations_->Start(queued, In(2 * kMillisecond), by);
    EXPECT_TRUE(RunUntil([&] { return queued.ended() > 0; }));
    EXPECT_EQ(queued.outcome, Outcome::kTimedOut);
    EXPECT_EQ(queued.submissions_ended, 0);
  }
  operations_->Cancel(first);
  Await(first);
}

TEST_P(OperationsTest, ALinkedTimeoutIsSubmittedWithItsOperationOrNotAtAll) {
  Restart({}, 4);
  std::deque<Probe> nops(3);
  for (Probe& nop : nops) io_uring_prep_nop(&nop.sqe());
  Probe linked;
  io_uring_prep_nop(&linked.sqe());
  for (Probe& nop : nops) operations_->Start(nop);
  operations_->Start(linked, In(100 * kSecond), DeadlineBy::kLinkedTimeout);
  // One entry is left, and two are needed.
  operations_->BeginTurn();
  const EnterRequest request = operations_->EndTurn(false);
  EXPECT_EQ(request.to_submit, 3U);
  EXPECT_EQ(request.min_complete, 0U) << "it sleeps on what was refused";
  EXPECT_EQ(operations_->counters().refused, 1U);
  ASSERT_TRUE(operations_->OnEntered(ring_->Enter(request)).has_value());
  Await(linked);
  EXPECT_EQ(linked.outcome, Outcome::kCompleted);
}

TEST_P(OperationsTest, TheReservedOneIsSubmittedWhateverIsQueued) {
  Restart({.in_flight_max = 3, .reserved = 1}, 4);
  std::deque<Probe> nops(10);
  for (Probe& nop : nops) {
    io_uring_prep_nop(&nop.sqe());
    operations_->Start(nop);
  }
  operations_->BeginTurn();
  // The queue is as full as others may make it, and nothing is consumed.
  EXPECT_EQ(operations_->EndTurn(false).to_submit, 3U);
  Probe reserved;
  io_uring_prep_nop(&reserved.sqe());
  operations_->StartReserved(reserved);
  operations_->BeginTurn();
  const EnterRequest request = operations_->EndTurn(false);
  EXPECT_EQ(request.to_submit, 4U);
  ASSERT_TRUE(operations_->OnEntered(ring_->Enter(request)).has_value());
  operations_->BeginTurn();
  EXPECT_EQ(reserved.done, 1);
  EXPECT_TRUE(RunUntil([&] { return operations_->active() == 0; }));
}

// --- Giving up

TEST_P(OperationsTest, WhoGivesUpLosesTheResultAndNeverTheMemory) {
  const auto [fd, peer] = Connect();
  Probe cancelled;
  PrepareReceive(cancelled, fd);
  operations_->Start(cancelled);
  Turn();
  operations_->Abandon(cancelled, true);
  EXPECT_EQ(cancelled.released, 0) << "the kernel still has its memory";
  Await(cancelled);
  EXPECT_EQ(cancelled.released, 1);

  Probe left;
  PrepareReceive(left, fd);
  operations_->Start(left);
  Turn();
  operations_->Abandon(left, false);
  for (int turn = 0; turn < 5; ++turn) Turn();
  EXPECT_EQ(left.released, 0);
  EXPECT_EQ(world_->Send(peer, "x"), 1U);
  Await(left);
  EXPECT_EQ(left.released, 1);
}

TEST_P(OperationsTest, MultishotGoesOnUntilItsTerminal) {
  const auto eventfd = world_->kernel().MakeEventFd().value();
  Probe poll;
  io_uring_prep_poll_multishot(&poll.sqe(), eventfd, POLLIN);
  operations_->Start(poll);
  for (int rings = 1; rings <= 3; ++rings) {
    Turn();
    world_->Ring(eventfd);
    EXPECT_TRUE(RunUntil([&] { return poll.more >= rings; }));
  }
  EXPECT_EQ(poll.ended(), 0);
  operations_->Cancel(poll);
  Await(poll);
  EXPECT_EQ(poll.outcome, Outcome::kCancelled);
  world_->kernel().Close(eventfd);
}

INSTANTIATE_TEST_SUITE_P(Worlds, OperationsTest, BenignWorlds(), NameOf);

// --- What only the model does when it is told to

class ModelOperationsTest : public OperationsTest {
 protected:
  void SetUp() override {
    auto choice = std::make_unique<model::ScriptedChoice>();
    choice_ = choice.get();
    SetUpWorld(std::make_unique<ModelWorld>(model::ModelOptions{}, std::move(choice)), {}, 8);
  }
  model::ScriptedChoice* choice_ = nullptr;
};

TEST_F(ModelOperationsTest, ALinkedTimeoutThatIsCutOffIsKeptByTheWheel) {
  const auto [fd, peer] = Connect();
  Probe receive;
  PrepareReceive(receive, fd);
  // Of the two SQEs the first Enter takes one.
  choice_->Always(model::Site::kEnterConsumesFewer, 1);
  operations_->Start(receive, In(5 * kMillisecond), DeadlineBy::kLinkedTimeout);
  Turn();
  choice_->Never(model::Site::kEnterConsumesFewer);
  Await(receive);
  EXPECT_EQ(receive.outcome, Outcome::kTimedOut);
  EXPECT_EQ(operations_->counters().cancels_sent, 1U);
}

TEST_F(ModelOperationsTest, BackPressureOfEnterIsNoError) {
  choice_->Always(model::Site::kEnterAgain, 1);
  Probe nop;
  io_uring_prep_nop(&nop.sqe());
  operations_->Start(nop);
  for (int turn = 0; turn < 3; ++turn) Turn();
  EXPECT_EQ(nop.ended(), 0);
  EXPECT_EQ(operations_->counters().enter_retries, 3U);
  choice_->Never(model::Site::kEnterAgain);
  Await(nop);
  EXPECT_EQ(nop.outcome, Outcome::kCompleted);
}

TEST_F(ModelOperationsTest, ACancelThatCameTooEarlyIsRepeated) {
  const int eventfd = world_->kernel().MakeEventFd().value();
  open_.push_back(eventfd);
  // Cut off from its timeout the poll starts on a worker, and a cancel that finds the worker at
  // work stops nothing.
  choice_->Always(model::Site::kEnterConsumesFewer, 1);
  choice_->Always(model::Site::kWorkerDelay, 4);
  choice_->Always(model::Site::kWorkerStarted, 1);
  Probe poll;
  io_uring_prep_poll_add(&poll.sqe(), eventfd, POLLIN);
  operations_->Start(poll, In(100 * kSecond), DeadlineBy::kLinkedTimeout);
  Turn();
  choice_->Never(model::Site::kEnterConsumesFewer);
  operations_->Cancel(poll);
  Await(poll);
  EXPECT_EQ(poll.outcome, Outcome::kCancelled);
  EXPECT_GT(operations_->counters().cancels_sent, 1U);
}

TEST_F(ModelOperationsTest, AnyOtherErrorOfEnterIsTheDrivers) {
  for (const int back_pressure : {EINTR, EAGAIN, EBUSY, ETIME}) {
    EXPECT_TRUE(operations_->OnEntered(std::unexpected(Errno(back_pressure))).has_value());
  }
  EXPECT_EQ(operations_->OnEntered(std::unexpected(Errno(EBADF))).error(), EBADF);
}

TEST_F(ModelOperationsTest, LosingTellsEverybodyOnce) {
  const auto [fd, peer] = Connect();
  Probe sleeping;
  operations_->Sleep(sleeping, kNever);
  // Nothing below is on the stack of a frame that ends: the kernel keeps what is lost.
  static auto* const in_flight = new Probe;
  PrepareReceive(*in_flight, fd);
  operations_->Start(*in_flight, In(100 * kSecond));
  Turn();
  Probe queued;
  io_uring_prep_nop(&queued.sqe());
  operations_->Start(queued);
  operations_->Lose();
  EXPECT_EQ(in_flight->lost, 1);
  EXPECT_EQ(queued.outcome, Outcome::kCancelled);
  EXPECT_EQ(sleeping.outcome, Outcome::kCancelled);
  EXPECT_EQ(operations_->counters().lost, 1U);
  Probe late;
  io_uring_prep_nop(&late.sqe());
  operations_->Start(late);
  Await(late);
  EXPECT_EQ(late.outcome, Outcome::kCancelled);
  // The kernel has not heard of it, and what it says is not delivered.
  EXPECT_EQ(world_->Send(peer, "x"), 1U);
  for (int turn = 0; turn < 3; ++turn) Turn();
  EXPECT_EQ(in_flight->ended(), 1);
  EXPECT_EQ(operations_->counters().stale_completions, 1U);
  // TearDown() wants none: the test has caused this one.
  operations_ = std::make_unique<Operations>(*ring_, world_->kernel(), OperationsOptions{});
}

// --- Anything, with faults

// Operations of all kinds, started, cancelled and abandoned at random: each ends once.
void Storm(uint64_t seed) {
  Prng prng(seed);
  const bool prompt = prng.Chance(1, 2);
  ModelWorld world({.task_work = prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred},
                   std::make_unique<SeededChoice>(seed, 4));
  const unsigned entries = 2U << prng.Below(4);
  const auto ring = world.kernel().MakeRing({.sq_entries = entries, .cq_entries = entries}).value();
  const auto in_flight_max = static_cast<uint32_t>(prng.Between(1, 12));
  Operations operations(*ring, world.kernel(), {.in_flight_max = in_flight_max});
  const int eventfd = world.kernel().MakeEventFd().value();
  std::deque<Probe> probes(40);
  std::vector<int> starts(probes.size(), 0);
  const auto turn = [&] {
    operations.BeginTurn();
    ASSERT_LE(operations.in_flight(), in_flight_max);
    const EnterRequest request = operations.EndTurn(false, operations.now() + kMillisecond);
    ASSERT_TRUE(operations.OnEntered(ring->Enter(request)).has_value());
    if (prompt) world.Interrupt();
  };
  for (int step = 0; step < 400; ++step) {
    const size_t index = prng.Below(probes.size());
    Probe& probe = probes[index];
    const uint64_t kind = prng.Below(8);
    if (probe.active()) {
      if (kind == 0) operations.Cancel(probe);
      if (kind == 1) operations.Abandon(probe, prng.Chance(1, 2));
    } else {
      const bool endless = kind < 4;
      if (endless) {
        io_uring_prep_poll_add(&probe.sqe(), eventfd, POLLIN);
      } else {
        io_uring_prep_nop(&probe.sqe());
      }
      const auto delay = static_cast<Nanoseconds>(prng.Below(10 * kMillisecond));
      const Nanoseconds deadline =
          endless || kind == 5 ? world.kernel().MonotonicNow() + delay : kNever;
      const bool linked = prng.Chance(1, 2);
      ++starts[index];
      operations.Start(probe, deadline, linked ? DeadlineBy::kLinkedTimeout : DeadlineBy::kWheel);
    }
    if (prng.Chance(1, 3)) turn();
  }
  for (int count = 0; count < 20'000 && !(operations.active() == 0 && operations.idle()); ++count) {
    turn();
  }
  ASSERT_EQ(operations.active(), 0U) << "seed " << seed;
  ASSERT_TRUE(operations.idle()) << "seed " << seed;
  for (size_t index = 0; index < probes.size(); ++index) {
    ASSERT_EQ(probes[index].ended(), starts[index]) << "seed " << seed;
  }
  ASSERT_EQ(operations.counters().stale_completions, 0U) << "seed " << seed;
  ASSERT_EQ(world.model().requests_in_flight(), 0U) << "seed " << seed;
  world.kernel().Close(eventfd);
}

TEST(OperationsStorm, EveryOperationEndsOnce) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Storm(seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace orrery
