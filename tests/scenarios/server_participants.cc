#include "tests/scenarios/server_participants.h"

#include <algorithm>

namespace orrery::scenarios {

void Stopper::StopAt(Nanoseconds time) { stop_at_ = std::min(stop_at_, time); }

bool Stopper::Ready(Nanoseconds now) const {
  return !stopped_ && (now >= stop_at_ || world_.steps() >= stop_at_step_);
}

bool Stopper::Step(Nanoseconds) {
  stopped_ = true;
  stop_();
  return true;
}

Nanoseconds Stopper::NextAt(Nanoseconds now) const {
  return stopped_ || stop_at_ <= now ? kNever : stop_at_;
}

bool Pauser::Step(Nanoseconds now) {
  done_ = true;
  log_.Note("shard-paused", shard_number_, duration_, 0);
  world_.PauseShard(shard_number_, now + duration_);
  return true;
}

bool ClockSetter::Step(Nanoseconds) {
  const Nanoseconds by = jumps_[done_++].by;
  log_.Note("wall-jump", number_, by, 0);
  kernel_.JumpRealtime(by);
  return true;
}

Nanoseconds ClockSetter::NextAt(Nanoseconds now) const {
  return NextTime() > now ? NextTime() : kNever;
}

Nanoseconds ClockSetter::NextTime() const {
  return done_ < jumps_.size() ? start_ + jumps_[done_].at : kNever;
}

}  // namespace orrery::scenarios
