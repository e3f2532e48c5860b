// Who acts in a device loop's world: the device, which carries out its script on the mapped queue,
// and the host, which gives out handles and withdraws them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/device/device_port.h"
#include "runtime/device/slot_queue.h"
#include "sim/world.h"
#include "tests/scenarios/device_oracle.h"
#include "tests/scenarios/device_workload.h"

namespace orrery::scenarios {

// How the device recycles its slots.
enum class Recycling : uint8_t {
  kEager,   // As soon as an answer is there.
  kLazy,    // When it wants the slot, or waits for all answers.
  kHoards,  // Not at all, until it is told to hurry.
  kCount,
};

class DeviceActor final : public sim::Actor {
 public:
  DeviceActor(std::vector<DeviceStep> script, Recycling recycling, SlotQueue queue,
              std::span<orrery_device_slot> slots, DeviceOracle& oracle, sim::EventLog& log);

  // Nothing of the script is left that it could do.
  bool script_done() const { return next_ >= script_.size() || stuck(); }
  // No further step; takes every answer, and mends every slot.
  void Hurry() { hurry_ = true; }
  // Asks, whatever the script says. REQUIRES: all are answered.
  void Probe(const DeviceRequest& request, Nanoseconds now);
  // Nothing is owed any more. Whoever has spoilt the order may wait for ever for a turn that comes
  // a lap later.
  bool AllAnswered() const { return oracle_.AllAnswered() || !oracle_.order_known; }
  // Whether it has ever touched what was not its own.
  bool has_scribbled() const { return scribbled_; }
  uint32_t status(uint32_t slot) const { return queue_.status(slot); }
  // Of a slot that it has published properly and whose turn comes in its order: since when.
  std::optional<Nanoseconds> PublishedAt(uint32_t slot) const;

  bool Ready(Nanoseconds now) const override;
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

 private:
  uint32_t next_slot() const { return queue_.IndexOf(published_); }
  bool stuck() const;
  // A slot whose answer it may take now.
  std::optional<uint64_t> Takable() const;
  bool NextSlotFree() const;
  void Take(uint64_t number);
  void Ask(const DeviceStep& step, Nanoseconds now);
  void Publish(const DeviceRequest& request, Nanoseconds now);
  void ScribbleWords(uint32_t slot, uint64_t value);
  void ScribbleStatus(uint32_t slot, uint64_t value);
  void ScribbleEmpty(uint64_t value);
  // Sets what is no status of anybody's doing back to EMPTY.
  void Mend(uint32_t slot);

  const std::vector<DeviceStep> script_;
  const Recycling recycling_;
  SlotQueue queue_;
  std::span<orrery_device_slot> slots_;
  DeviceOracle& oracle_;
  sim::EventLog& log_;
  size_t next_ = 0;
  uint64_t published_ = 0;
  // By slot: the number of the request that is in it, until it is recycled.
  std::vector<std::optional<uint64_t>> in_slot_;
  Nanoseconds wait_until_ = 0;
  bool hurry_ = false;
  bool scribbled_ = false;
};

class HostActor final : public sim::Actor {
 public:
  HostActor(std::vector<HostStep> script, DevicePort& port, DeviceOracle& oracle,
            sim::EventLog& log)
      : script_(std::move(script)), port_(port), oracle_(oracle), log_(log) {}

  // The steps up to the first wait: what there is from the start.
  void Begin(Nanoseconds now);
  // No further step.
  void Hurry() { next_ = script_.size(); }
  bool done() const { return next_ >= script_.size() && leaving_.empty(); }

  bool Ready(Nanoseconds now) const override;
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

 private:
  void Do(const HostStep& step, Nanoseconds now);
  void Withdraw(uint32_t handle);

  const std::vector<HostStep> script_;
  DevicePort& port_;
  DeviceOracle& oracle_;
  sim::EventLog& log_;
  size_t next_ = 0;
  // Withdrawn, and in use when it was last asked.
  std::vector<uint32_t> leaving_;
  Nanoseconds wait_until_ = 0;
};

}  // namespace orrery::scenarios
