// Not a sample of what may happen to the reactor, but all of it, in a small scope: two connections
// with three operations each. Every stream is exact, everything ends, and nothing is left.
//
// Each test prints how many runs there were and that these were all.
#include <array>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "sim/odometer.h"
#include "tests/exhaustive/echo_world.h"

namespace orrery::exhaustive {
namespace {

using model::Site;
using sim::Odometer;
using sim::OdometerScope;

constexpr size_t kOperations = 3;
constexpr uint64_t kRunsMax = 2'000'000;
// A turn for each thing that may be under way, and some more.
constexpr int kTurnsToRest = 8;

std::string Departures(const Odometer& odometer) {
  std::ostringstream text;
  for (const sim::PlannedChoice& choice : odometer.departures()) {
    text << "\n  " << model::InfoOf(choice.site).name << " of " << choice.entity << ", the "
         << choice.ordinal << "th: " << choice.value;
  }
  return text.str();
}

// Runs in which something rare happened: a scope that never gets there shows nothing.
struct Reached {
  uint64_t starved = 0;  // A receive ended for want of a buffer.
  uint64_t refused = 0;  // The submission queue was full.
  uint64_t retried = 0;  // Enter refused, or was interrupted.

  void Add(const ReactorCounters& counters) {
    starved += counters.starved > 0 ? 1 : 0;
    refused += counters.refused > 0 ? 1 : 0;
    retried += counters.enter_retries > 0 ? 1 : 0;
  }
};

// The odometer's last word: it saw everything.
void ExpectComplete(const std::string& what, const Odometer& odometer, const Reached& reached) {
  std::cout << what << ": " << odometer.ToString() << "; starved in " << reached.starved
            << ", submission queue full in " << reached.refused << ", Enter refused in "
            << reached.retried << "\n";
  EXPECT_TRUE(odometer.complete());
  EXPECT_GT(reached.starved, 0U);
  EXPECT_GT(reached.refused, 0U);
  EXPECT_GT(reached.retried, 0U);
}

struct Mode {
  model::TaskWork task_work;
  const char* name;
};
constexpr Mode kModes[] = {{model::TaskWork::kDeferred, "deferred"},
                           {model::TaskWork::kPrompt, "prompt"}};

// --- Every fate of every operation: 5 to the power of 6, in every mode, order and pace.

enum class Fate : uint64_t {
  kDelivered,
  kOneByte,     // What arrives and what leaves does so a byte at a time.
  kNoBuffers,   // More arrives than the group has buffers for.
  kCancelRace,  // The application pauses reads just when it arrives.
  kRefused,     // Enter refuses, and then takes fewer than it was given.
  kCount,
};

// What the kernel does while operations have their fates. Asks nobody.
class FatedChoice final : public model::Choice {
 public:
  uint64_t Choose(Site site, uint64_t entity, uint64_t, uint64_t alternatives) override {
    switch (site) {
      case Site::kReceiveShort:
      case Site::kSendPartial:
        return entity < kEntitiesMax && one_byte_[entity] ? 1 : 0;
      case Site::kEnterAgain:
        if (refusals_ != 2) return 0;
        --refusals_;
        return 1;
      case Site::kEnterConsumesFewer:
        if (refusals_ != 1) return 0;
        --refusals_;
        return alternatives - 1;
      default:
        return 0;
    }
  }

  void SetOneByte(uint64_t entity, bool on) { one_byte_.at(entity) = on; }
  void RefuseNext() { refusals_ = 2; }

 private:
  static constexpr uint64_t kEntitiesMax = 16;
  std::array<bool, kEntitiesMax> one_byte_{};
  int refusals_ = 0;
};

// Sends, sends, and ends.
class FatedRun {
 public:
  FatedRun(Odometer& odometer, model::TaskWork task_work)
      : odometer_(odometer), world_({.task_work = task_work}, kernel_) {}

  std::string Run() {
    const bool by_turns = Ask(kOrderEntity, 2) == 0;
    const bool at_rest = Ask(kPaceEntity, 2) == 0;
    for (size_t step = 0; step < kConnections * kOperations; ++step) {
      const size_t connection = by_turns ? step % kConnections : step / kOperations;
      const size_t operation = by_turns ? step / kConnections : step % kOperations;
      const auto fate = static_cast<Fate>(Ask(step, static_cast<uint64_t>(Fate::kCount)));
      Operate(connection, operation + 1 == kOperations, fate);
      const int turns = at_rest ? kTurnsToRest : 1;
      for (int turn = 0; turn < turns; ++turn) world_.Turn();
      world_.PeerReads(connection, 1);
    }
    world_.EndWell();
    return world_.failure();
  }
  const ReactorCounters& counters() const { return world_.counters(); }

 private:
  static constexpr uint64_t kOrderEntity = 100;
  static constexpr uint64_t kPaceEntity = 101;

  uint64_t Ask(uint64_t entity, uint64_t alternatives) {
    return odometer_.Choose(Site::kSchedule, entity, 0, alternatives);
  }

  void Operate(size_t connection, bool last, Fate fate) {
    kernel_.SetOneByte(world_.entity(connection), fate == Fate::kOneByte);
    world_.ResumeInNextTurn(connection);
    if (fate == Fate::kRefused) kernel_.RefuseNext();
    world_.PeerSends(connection, BytesOf(last, fate));
    if (last) world_.PeerEnds(connection);
    if (fate == Fate::kCancelRace) {
      world_.PauseInNextTurn(connection);
      world_.Turn();
      world_.ResumeInNextTurn(connection);
    }
  }

  // The end stands behind bytes, as it may, except where it is simply delivered.
  static size_t BytesOf(bool last, Fate fate) {
    if (fate == Fate::kNoBuffers) return EchoOptions{}.buffers + 1;
    return last && fate == Fate::kDelivered ? 0 : EchoOptions{}.buffers / 2;
  }

  Odometer& odometer_;
  FatedChoice kernel_;
  EchoWorld world_;
};

TEST(ReactorExhaustive, EveryFateOfThreeOperationsOnTwoConnections) {
  constexpr uint64_t kFates = 5 * 5 * 5 * 5 * 5 * 5;
  for (const Mode& mode : kModes) {
    Odometer odometer(OdometerScope().Open(Site::kSchedule), kRunsMax);
    Reached reached;
    while (odometer.NextRun()) {
      FatedRun run(odometer, mode.task_work);
      ASSERT_EQ(run.Run(), "") << mode.name << Departures(odometer);
      reached.Add(run.counters());
    }
    ExpectComplete(std::string("every fate, ") + mode.name, odometer, reached);
    EXPECT_EQ(odometer.runs(), kFates * 2 * 2);
  }
}

// --- Every choice of the model: all sequences with few departures from the benign one.

OdometerScope KernelScope(size_t departures_max) {
  OdometerScope scope;
  scope.Open(Site::kReceiveShort, {1})
      .Open(Site::kSendPartial, {1})
      .Open(Site::kWakeDelay, {2})  // Later than what is done at the same time.
      .Open(Site::kTaskWorkOrder)
      .Open(Site::kCancelOrder)
      .Open(Site::kNotEmptyHint)
      .Open(Site::kEnterConsumesFewer, {1, OdometerScope::kLast})
      .Open(Site::kEnterInterrupted, {1})
      .Open(Site::kEnterAgain)
      .Open(Site::kEnterBusy)
      .DeparturesAtMost(departures_max);
  return scope;
}

// Both connections send twice and end; in between each is paused while bytes arrive.
std::string RunKernel(Odometer& odometer, model::TaskWork task_work, Reached& reached) {
  EchoWorld world({.task_work = task_work, .buffers = 1, .buffer_bytes = 2}, odometer);
  for (size_t operation = 0; operation < kOperations; ++operation) {
    for (size_t connection = 0; connection < kConnections; ++connection) {
      if (operation + 1 == kOperations) {
        world.PeerEnds(connection);
      } else {
        world.PeerSends(connection, 3);
      }
      if (operation == 1) world.PauseInNextTurn(connection);
      world.Turn();
      world.ResumeInNextTurn(connection);
    }
    world.Turn();
  }
  world.EndWell();
  reached.Add(world.counters());
  return world.failure();
}

TEST(ReactorExhaustive, EverySequenceOfFewDeparturesOfTheKernel) {
  constexpr size_t kDeparturesMax = 4;
  for (const Mode& mode : kModes) {
    Odometer odometer(KernelScope(kDeparturesMax), kRunsMax);
    Reached reached;
    while (odometer.NextRun()) {
      const std::string failure = RunKernel(odometer, mode.task_work, reached);
      ASSERT_EQ(failure, "") << mode.name << Departures(odometer);
    }
    ExpectComplete("at most " + std::to_string(kDeparturesMax) + " departures, " + mode.name,
                   odometer, reached);
  }
}

}  // namespace
}  // namespace orrery::exhaustive
