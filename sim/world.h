// The scheduler of a simulated machine: who runs next, and when the clock moves.
//
// One ModelKernel, the shards of the program under test (each a turnable and its ring), and actors
// (clients, signals: whatever else lives in the world). Everything is one thread. At each step the
// world collects who can run now, in a fixed order, and a choice picks one; 0 is fair round robin.
// The virtual clock moves only when nobody can run, and then to the next thing that is due.
//
// Invariant: what happens is a function of the participants, of the order in which they were added,
// and of the choices.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/ring/ring.h"
#include "sim/event_log.h"
#include "sim/transcript.h"

namespace orrery::sim {

// The program under test, one shard of it: entering the kernel as data.
class Turnable {
 public:
  virtual ~Turnable() = default;
  // Runs up to the next io_uring_enter and says how to call it.
  virtual EnterRequest Turn() = 0;
  // What that call returned.
  virtual void OnEntered(const EnterResult& result) = 0;
  // Nothing is left to do: it is not turned any more.
  virtual bool finished() const = 0;
};

// Anything else that acts in the world.
class Actor {
 public:
  virtual ~Actor() = default;
  // Whether Step() might do something now.
  virtual bool Ready(Nanoseconds now) const = 0;
  // Does one small piece of work. False: it could not, for a reason that only others can lift (a
  // full stream); it is asked again when somebody has done something.
  virtual bool Step(Nanoseconds now) = 0;
  // When it becomes ready by the clock alone: later than `now`, or kNever.
  virtual Nanoseconds NextAt(Nanoseconds now) const = 0;
};

enum class StopReason : uint8_t {
  kPredicate,  // What was waited for has come.
  kViolation,  // The log has a violation.
  kQuiescent,  // Nothing can run, and no clock would change that.
  kTimeLimit,  // The next thing that is due lies after the limit.
  kEventLimit,
  kStepLimit,
};
std::string_view NameOf(StopReason reason);

struct RunLimits {
  Nanoseconds time_max = kNever;     // A point in virtual time.
  uint64_t events_max = UINT64_MAX;  // As the log counts.
  uint64_t steps_max = UINT64_MAX;   // As the world counts.
};

struct WorldOptions {
  // Whether rings run task work at interrupts (TaskWork::kPrompt). A choice may put off each.
  bool interrupts = false;
  // How often a shard may turn at one instant while nothing moves, before that is a violation
  // ("spinning").
  unsigned spin_turns_max = 2000;
};

class World {
 public:
  // All must outlive the world.
  World(model::ModelKernel& kernel, model::Choice& choice, EventLog& log,
        const WorldOptions& options);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  static constexpr uint64_t kNumberMax = 65535;

  // Adds a participant. `number` names it in choices: unique, and the same in every run of one
  // plan, also when others are left out of it.
  void AddShard(uint64_t number, Turnable& shard, model::ModelRing& ring);
  void AddActor(uint64_t number, Actor& actor);

  // The shard of this number is not run before `until`, as one whose thread has no processor.
  void PauseShard(uint64_t number, Nanoseconds until);

  // An interrupt may come, as a choice says: for the shard of this number, from within its turn.
  // Does nothing in a world without interrupts.
  void InterruptMaybe(uint64_t number);

  // Runs until `done`, asked after every step and first of all, or until a limit or a violation.
  StopReason RunUntil(const std::function<bool()>& done, const RunLimits& limits);

  Nanoseconds now() const { return log_.now(); }
  // Steps taken so far, over all runs.
  uint64_t steps() const { return steps_; }

 private:
  enum class Phase : uint8_t { kTurn, kBegin, kSleep };

  struct Participant {
    uint64_t number = 0;
    Actor* actor = nullptr;  // Or a shard:
    Turnable* shard = nullptr;
    model::ModelRing* ring = nullptr;
    Phase phase = Phase::kTurn;
    EnterRequest request{};
    Nanoseconds paused_until = 0;
    // Turns since something moved.
    unsigned idle_turns = 0;
    // An actor that could not go on, and how much had been done by then.
    bool blocked = false;
    uint64_t activity_when_blocked = 0;
  };

  void CheckNumber(uint64_t number) const;
  bool CanRun(const Participant& participant) const;
  // Fills candidates_ with who can run, from the one after the last that ran.
  void Collect();
  void Step();
  void StepShard(Participant& shard);
  void StepActor(Participant& actor);
  void InterruptMaybe(Participant& shard);
  void WatchForSpin(Participant& shard);
  // When the next thing is due; kNever when nothing is.
  Nanoseconds NextDue() const;
  void Advance(Nanoseconds time);
  void NoteMovement();
  // When the log's transcript asks what the world looks like.
  void AnswerMaybe() const;
  Facts Describe(std::optional<uint64_t> connection) const;

  model::ModelKernel& kernel_;
  EventLog& log_;
  model::Chooser chooser_;
  WorldOptions options_;
  std::vector<Participant> participants_;
  std::vector<size_t> candidates_;
  std::vector<uint64_t> names_;  // Numbers of the candidates.
  size_t next_ = 0;              // Where round robin goes on.
  uint64_t steps_ = 0;
  uint64_t progress_seen_ = 0;
  unsigned advances_without_step_ = 0;
};

}  // namespace orrery::sim
