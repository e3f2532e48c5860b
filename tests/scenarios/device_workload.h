// What a device asks of a device loop, and what the host gives to it and takes away, as plain data.
//
// Generated from a seed, written to and read from the lines of a plan. Nothing refers to what is
// answered: a step that makes no sense when it is reached (a scribble on a slot that is not
// claimed) is passed over, so taking lines away leaves a workload. Invariant: WriteDeviceWorkload
// then ReadDeviceWorkload gives an equal workload.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "sim/plan.h"

namespace orrery::scenarios {

// One step of the device.
struct DeviceStep {
  enum class Kind : uint8_t {
    kRead,  // Requests,
    kWrite,
    kFence,
    kNonsense,        // of which this is for an operation that there is not.
    kAwait,           // All requests are answered.
    kWait,            // Does nothing for a while, nor recycles.
    kScribbleWords,   // On the words of a claimed slot,
    kScribbleStatus,  // on the status of a claimed slot,
    kScribbleEmpty,   // or on that of the next slot, before it publishes there.
  };
  // What is wrong with a request's handles.
  enum class Wrong : uint8_t {
    kNothing,
    kSourceIsDestination,
    kSourceIsDescriptor,
    kSourceIsGarbage,
    kDestinationIsSource,
    kDestinationIsGarbage,
  };
  Kind kind = Kind::kRead;
  Wrong wrong = Wrong::kNothing;
  // Which of the handles that were ever given out, modulo those; of a scribble, which slot.
  uint64_t source = 0;
  uint64_t destination = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t value = 0;        // What is scribbled, or an operation.
  Nanoseconds duration = 0;  // Of a wait.

  friend bool operator==(const DeviceStep&, const DeviceStep&) = default;
};

// One step of the host.
struct HostStep {
  enum class Kind : uint8_t {
    kAddSource,
    kAddDestination,
    kWithdrawSource,
    kWithdrawDestination,
    kWait,
  };
  Kind kind = Kind::kWait;
  uint64_t which = 0;   // A handle as above; what is added: a file, or a place.
  uint64_t begin = 0;   // Of a source's range.
  uint64_t bytes = 0;   // Of the range; it may go on behind the end of the file.
  uint64_t access = 0;  // 1: reading, 2: writing, 3: both.
  Nanoseconds duration = 0;

  friend bool operator==(const HostStep&, const HostStep&) = default;
};

struct DeviceWorkload {
  std::vector<DeviceStep> device;
  std::vector<HostStep> host;
  friend bool operator==(const DeviceWorkload&, const DeviceWorkload&) = default;
};

// `file_bytes`, `place_bytes`: how large files are, and what a destination has at most.
DeviceWorkload GenerateDeviceWorkload(Prng& prng, uint64_t file_bytes, uint64_t place_bytes);

void WriteDeviceWorkload(const DeviceWorkload& workload, std::vector<sim::Json>& items);
// The error names the item, counted from 1.
std::expected<DeviceWorkload, std::string> ReadDeviceWorkload(const std::vector<sim::Json>& items);

}  // namespace orrery::scenarios
