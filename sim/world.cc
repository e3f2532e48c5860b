#include "sim/world.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/check.h"

namespace orrery::sim {
namespace {

// How often the clock may be told to move without anybody running in between. Several timers may be
// due one after the other with nobody waiting for them; without end it would be a bug of a
// participant that is due but not ready.
constexpr unsigned kAdvancesWithoutStepMax = 1'000'000;

}  // namespace

std::string_view NameOf(StopReason reason) {
  switch (reason) {
    case StopReason::kPredicate:
      return "done";
    case StopReason::kViolation:
      return "violation";
    case StopReason::kQuiescent:
      return "quiescent";
    case StopReason::kTimeLimit:
      return "time limit";
    case StopReason::kEventLimit:
      return "event limit";
    case StopReason::kStepLimit:
      return "step limit";
  }
  return "?";
}

World::World(model::ModelKernel& kernel, model::Choice& choice, EventLog& log,
             const WorldOptions& options)
    : kernel_(kernel), log_(log), chooser_(choice), options_(options) {
  log_.set_now(kernel_.MonotonicNow());
}

void World::AddShard(uint64_t number, Turnable& shard, model::ModelRing& ring) {
  CheckNumber(number);
  Participant participant;
  participant.number = number;
  participant.shard = &shard;
  participant.ring = &ring;
  participants_.push_back(participant);
}

void World::AddActor(uint64_t number, Actor& actor) {
  CheckNumber(number);
  Participant participant;
  participant.number = number;
  participant.actor = &actor;
  participants_.push_back(participant);
}

void World::CheckNumber(uint64_t number) const {
  ORRERY_CHECK_OP(number, <=, kNumberMax);
  for (const Participant& other : participants_) ORRERY_CHECK_OP(number, !=, other.number);
}

StopReason World::RunUntil(const std::function<bool()>& done, const RunLimits& limits) {
  while (true) {
    if (log_.violation().has_value()) return StopReason::kViolation;
    if (done()) return StopReason::kPredicate;
    if (log_.count() >= limits.events_max) return StopReason::kEventLimit;
    if (steps_ >= limits.steps_max) return StopReason::kStepLimit;
    Collect();
    if (!candidates_.empty()) {
      Step();
      continue;
    }
    const Nanoseconds due = NextDue();
    if (due == kNever) return StopReason::kQuiescent;
    if (due > limits.time_max) return StopReason::kTimeLimit;
    Advance(due);
  }
}

bool World::CanRun(const Participant& participant) const {
  if (participant.actor != nullptr) {
    const bool held = participant.blocked && participant.activity_when_blocked == log_.activity();
    return !held && participant.actor->Ready(log_.now());
  }
  if (participant.phase == Phase::kSleep) return participant.ring->CanFinish();
  return participant.phase == Phase::kBegin || !participant.shard->finished();
}

void World::Collect() {
  candidates_.clear();
  const size_t count = participants_.size();
  for (size_t offset = 0; offset < count; ++offset) {
    const size_t index = (next_ + offset) % count;
    if (CanRun(participants_[index])) candidates_.push_back(index);
  }
}

void World::Step() {
  ++steps_;
  advances_without_step_ = 0;
  // The question belongs to whoever is due in fair order, so that leaving one participant out of a
  // plan does not renumber the questions of the others.
  const uint64_t entity = participants_[candidates_.front()].number;
  names_.clear();
  for (const size_t candidate : candidates_) names_.push_back(participants_[candidate].number);
  const uint64_t pick = chooser_.ChooseAmong(model::Site::kSchedule, entity, names_).answer;
  const size_t index = candidates_[pick];
  next_ = (index + 1) % participants_.size();
  Participant& participant = participants_[index];
  if (participant.actor != nullptr) {
    StepActor(participant);
  } else {
    StepShard(participant);
  }
  NoteMovement();
}

void World::StepActor(Participant& actor) {
  actor.blocked = !actor.actor->Step(log_.now());
  actor.activity_when_blocked = log_.activity();
}

void World::StepShard(Participant& shard) {
  switch (shard.phase) {
    case Phase::kTurn:
      InterruptMaybe(shard);
      shard.request = shard.shard->Turn();
      shard.phase = Phase::kBegin;
      WatchForSpin(shard);
      return;
    case Phase::kBegin: {
      InterruptMaybe(shard);
      const std::optional<EnterResult> result = shard.ring->Begin(shard.request);
      shard.phase = result.has_value() ? Phase::kTurn : Phase::kSleep;
      if (result.has_value()) shard.shard->OnEntered(*result);
      return;
    }
    case Phase::kSleep: {
      const EnterResult result = shard.ring->Finish();
      shard.phase = Phase::kTurn;
      shard.shard->OnEntered(result);
      return;
    }
  }
}

void World::InterruptMaybe(Participant& shard) {
  if (!options_.interrupts) return;
  const uint64_t put_off = chooser_.Choose(model::Site::kInterrupt, shard.number, 2).answer;
  if (put_off == 0) shard.ring->Interrupt();
}

void World::WatchForSpin(Participant& shard) {
  if (++shard.idle_turns < options_.spin_turns_max) return;
  log_.OnViolation("spinning", "shard " + std::to_string(shard.number) + " turned " +
                                   std::to_string(shard.idle_turns) +
                                   " times at one instant, and nothing moved");
}

Nanoseconds World::NextDue() const {
  Nanoseconds due = kernel_.NextEventAt();
  for (const Participant& participant : participants_) {
    if (participant.actor != nullptr) {
      const Nanoseconds next = participant.actor->NextAt(log_.now());
      ORRERY_CHECK_OP(next, >, log_.now());
      due = std::min(due, next);
    } else if (participant.phase == Phase::kSleep) {
      due = std::min(due, participant.ring->deadline());
    }
  }
  return due;
}

void World::Advance(Nanoseconds time) {
  ORRERY_CHECK_MSG(++advances_without_step_ < kAdvancesWithoutStepMax,
                   "something is due, and nobody can run");
  const Nanoseconds before = log_.now();
  // What is due may have become due while somebody ran: the clock never goes back.
  const Nanoseconds target = std::max(time, before);
  log_.set_now(target);
  kernel_.AdvanceTo(target);
  if (target == before) return;
  for (Participant& participant : participants_) {
    participant.idle_turns = 0;
    participant.blocked = false;
  }
}

void World::NoteMovement() {
  if (log_.progress() == progress_seen_) return;
  progress_seen_ = log_.progress();
  for (Participant& participant : participants_) participant.idle_turns = 0;
}

}  // namespace orrery::sim
