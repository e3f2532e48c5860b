// How everybody else reaches a device loop: what the device may name, the stop, what is counted.
//
// A port belongs to one queue and one loop, and outlives both the loop and its callers. Any thread
// may use it. What needs the ring, and so the loop's thread, it does not do: handles are tables
// under a mutex, and the stop is a word and a wake-up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/owned_count.h"
#include "base/time_histogram.h"
#include "runtime/device/handles.h"
#include "runtime/device/slot_queue.h"
#include "runtime/metrics.h"
#include "runtime/ring/kernel.h"
#include "runtime/waker.h"

namespace orrery {

// Why a request ended with ERROR.
enum class DeviceFailure : uint8_t {
  kOperation,  // There is no such operation: EINVAL.
  kHandle,     // EBADF
  kDirection,  // EACCES
  kRange,      // ERANGE
  kKernel,     // The kernel's own error.
  kStopped,    // The loop ended before it: ECANCELED, or the ring's error.
  kCount,
};

// Since the start; written by the loop's thread.
struct DeviceCounters {
  OwnedCount claimed;  // claimed = completed + lost + in_flight
  OwnedCount completed;
  std::array<OwnedCount, static_cast<size_t>(DeviceFailure::kCount)> failed;
  OwnedCount bytes_read;     // From files, of requests that ended well,
  OwnedCount bytes_written;  // and to them.
  OwnedCount in_flight;      // Claimed, and not completed.
  // Left CLAIMED for ever: the ring failed, and nobody can say when the kernel is through with it.
  OwnedCount lost;
  // Transitions of a slot that were not the device's to make, or not the host's any more.
  OwnedCount refused;
  // From the publication of requests that say when that was, to the claim; and from there to the
  // completion.
  BasicTimeHistogram<OwnedCount> queue_to_claim;
  BasicTimeHistogram<OwnedCount> claim_to_complete;

  uint64_t failures(DeviceFailure why) const { return failed[static_cast<size_t>(why)].value(); }
};

class DevicePort {
 public:
  // `queue`: the memory of the queue (device_queue.h); `regions`: what the loop registers with its
  // ring. The memory and `kernel` outlive the port. The error is a line for a person: a queue of a
  // bad size or alignment, an empty region or one of more than 1 GiB, no descriptor left.
  static std::expected<std::unique_ptr<DevicePort>, std::string> Create(
      Kernel& kernel, std::span<std::byte> queue, std::vector<std::span<std::byte>> regions);
  DevicePort(const DevicePort&) = delete;
  DevicePort& operator=(const DevicePort&) = delete;
  // REQUIRES: the loop is gone, and nobody stops it any more.
  ~DevicePort();

  DeviceHandles& handles() { return handles_; }
  const DeviceCounters& counters() const { return counters_; }
  // Adds what there is to count. The port outlives `metrics`.
  void Register(Metrics& metrics) const;

  // The loop claims nothing more, and ends when everything that it has claimed is completed; a
  // sleep of its is cut short. Asking again changes nothing.
  void RequestStop();

 private:
  friend class DeviceLoop;

  DevicePort(Kernel& kernel, int eventfd, SlotQueue queue,
             std::vector<std::span<std::byte>> regions);

  Kernel& kernel_;
  const int eventfd_;
  SlotQueue queue_;
  DeviceHandles handles_;
  DeviceCounters counters_;
  std::atomic<bool> stop_requested_{false};
  Waker waker_;
};

}  // namespace orrery
