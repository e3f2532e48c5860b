// Who takes part in the world of a server besides its clients: its shards, the signal that stops
// it, and somebody who sets the clock.
//
// Owned by a run, stepped by the world.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "runtime/ring/ring.h"
#include "server/shard.h"
#include "sim/event_log.h"
#include "sim/world.h"
#include "tests/scenarios/server_setup.h"

namespace orrery::scenarios {

class ShardUnderTest final : public sim::Turnable {
 public:
  // `turned` is called after each turn.
  ShardUnderTest(server::Shard& shard, std::function<void()> turned)
      : shard_(shard), turned_(std::move(turned)) {}
  EnterRequest Turn() override {
    const EnterRequest request = shard_.Turn();
    turned_();
    return request;
  }
  void OnEntered(const EnterResult& result) override { shard_.OnEntered(result); }
  bool finished() const override { return shard_.finished(); }

 private:
  server::Shard& shard_;
  std::function<void()> turned_;
};

// What SIGTERM does, at its time.
class Stopper final : public sim::Actor {
 public:
  // `stop` tells the server.
  Stopper(std::function<void()> stop, const sim::World& world)
      : stop_(std::move(stop)), world_(world) {}

  void StopAt(Nanoseconds time);
  // When the world has taken so many steps: most are taken when much is going on.
  void StopAtStep(uint64_t step) { stop_at_step_ = step; }
  bool stopped() const { return stopped_; }

  bool Ready(Nanoseconds now) const override;
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

 private:
  std::function<void()> stop_;
  const sim::World& world_;
  Nanoseconds stop_at_ = kNever;
  uint64_t stop_at_step_ = UINT64_MAX;
  bool stopped_ = false;
};

// Keeps a shard from running for a while, from a step of the world on.
class Pauser final : public sim::Actor {
 public:
  Pauser(uint64_t shard_number, uint64_t at_step, Nanoseconds duration, sim::World& world,
         sim::EventLog& log)
      : shard_number_(shard_number),
        at_step_(at_step),
        duration_(duration),
        world_(world),
        log_(log) {}

  bool Ready(Nanoseconds) const override { return !done_ && world_.steps() >= at_step_; }
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds) const override { return kNever; }

 private:
  const uint64_t shard_number_;
  const uint64_t at_step_;
  const Nanoseconds duration_;
  sim::World& world_;
  sim::EventLog& log_;
  bool done_ = false;
};

// Sets the wall clock, at its times.
class ClockSetter final : public sim::Actor {
 public:
  // `number` is its own, for the log.
  ClockSetter(uint64_t number, std::vector<WallJump> jumps, Nanoseconds start,
              model::ModelKernel& kernel, sim::EventLog& log)
      : number_(number), jumps_(std::move(jumps)), start_(start), kernel_(kernel), log_(log) {}

  size_t done() const { return done_; }

  bool Ready(Nanoseconds now) const override { return now >= NextTime(); }
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

 private:
  Nanoseconds NextTime() const;

  const uint64_t number_;
  const std::vector<WallJump> jumps_;
  const Nanoseconds start_;
  model::ModelKernel& kernel_;
  sim::EventLog& log_;
  size_t done_ = 0;
};

}  // namespace orrery::scenarios
