// The poll on an eventfd by which other threads end the sleep of who drives a ring (runtime/waker.h
// says when they ring).
//
// Armed all the while by the one operation that is started as reserved, so that neither a full SQ
// nor other operations keep it out. Owned by the driver, used on the ring's thread.
#pragma once

#include <cstdint>
#include <expected>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/operations/operations.h"

namespace orrery {

class WakePoll final : public RingOperation {
 public:
  // `operations` outlives it and has a place reserved for it.
  WakePoll(Operations& operations, int eventfd) : operations_(operations), eventfd_(eventfd) {}

  // To be called every turn: starts the poll where it has ended.
  void Arm();
  // When the next Arm() has something to do, if not before: kNever, unless the kernel has refused.
  Nanoseconds retry_at() const { return retry_at_; }

 private:
  void OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) override;
  // Nothing of it is the kernel's but its number.
  void OnLost() override { SurviveLoss(); }

  Operations& operations_;
  const int eventfd_;
  Nanoseconds retry_at_ = kNever;
};

}  // namespace orrery
