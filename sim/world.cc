#include "sim/world.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/check.h"

namespace orrery::sim {
namespace {

// How often the clock may be told to move without anybody running in between. Several timers may be
// due one after the other with nobody waiting for them; without end it would be a bug of a
// participant that is due but not ready.
constexpr unsigned kAdvancesWithoutStepMax = 1'000'000;

// The group that reactors register their buffers in.
constexpr uint16_t kBufferGroup = 0;

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
  if (Transcript* const transcript = log_.transcript()) transcript->OnShard(number, ring.number());
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
    AnswerMaybe();
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
  if (participant.paused_until > log_.now()) return false;
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

void World::PauseShard(uint64_t number, Nanoseconds until) {
  for (Participant& participant : participants_) {
    if (participant.shard != nullptr && participant.number == number) {
      participant.paused_until = std::max(participant.paused_until, until);
    }
  }
}

void World::InterruptMaybe(uint64_t number) {
  for (Participant& participant : participants_) {
    if (participant.number == number) InterruptMaybe(participant);
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
    } else if (participant.paused_until > log_.now()) {
      due = std::min(due, participant.paused_until);
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

void World::AnswerMaybe() const {
  Transcript* const transcript = log_.transcript();
  if (transcript == nullptr || !transcript->WantsAnswer(log_.count())) return;
  transcript->Answer(Describe(transcript->asked_connection()));
}

Facts World::Describe(std::optional<uint64_t> connection) const {
  Facts facts;
  for (const Participant& participant : participants_) {
    if (participant.shard == nullptr) continue;
    static constexpr std::array kDoing = {"is about to run", "is about to enter the kernel",
                                          "is in the kernel"};
    const char* const doing = participant.shard->finished()
                                  ? "has finished"
                                  : kDoing[static_cast<size_t>(participant.phase)];
    facts.emplace_back("shard " + std::to_string(participant.number), doing);
    std::string ring =
        std::to_string(participant.ring->requests_in_flight()) + " requests in flight";
    if (const auto buffers = participant.ring->provided_buffers(kBufferGroup)) {
      ring += ", " + std::to_string(*buffers) + " buffers with the kernel";
    }
    facts.emplace_back("ring " + std::to_string(participant.ring->number()), std::move(ring));
  }
  if (connection.has_value()) {
    const std::string unread = std::to_string(kernel_.PeerReadable(*connection)) + " bytes to read";
    facts.emplace_back("client",
                       kernel_.PeerEnded(*connection) ? unread + ", then the end" : unread);
  }
  return facts;
}

}  // namespace orrery::sim
