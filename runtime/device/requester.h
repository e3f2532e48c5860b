// The device's side of a queue, for a device that is a thread or a process: publishes requests in
// order, and takes their results.
//
// Owned and used by one thread, the only one that publishes in this queue. Invariant: request
// number n is in slot n % N, and in no other.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/device/slot_queue.h"

namespace orrery {

class Requester {
 public:
  // `first`: the number of the next request, where an earlier requester has left the queue empty.
  explicit Requester(SlotQueue queue, uint64_t first = 0) : queue_(queue), published_(first) {}

  // How many requests there have been: the next one's number.
  uint64_t published() const { return published_; }

  // The request's number. Nothing: its slot has not been recycled yet, the queue is full.
  std::optional<uint64_t> TryPublish(const DeviceRequest& request) {
    if (!queue_.TryPublish(queue_.IndexOf(published_), request)) return std::nullopt;
    return published_++;
  }

  // The result of request `number`, once it is there; its slot is free then. To be taken once, in
  // any order: results that are not taken hold up requests that want their slots.
  std::optional<DeviceResult> TryTake(uint64_t number) {
    const uint32_t index = queue_.IndexOf(number);
    const std::optional<DeviceResult> result = queue_.Result(index);
    if (result.has_value()) (void)queue_.Recycle(index);  // It is completed.
    return result;
  }

 private:
  SlotQueue queue_;
  uint64_t published_;
};

}  // namespace orrery
