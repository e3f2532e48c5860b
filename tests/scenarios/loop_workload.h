// What the callers of a submission loop do, and the peers of their connections, as plain data.
//
// Generated from a seed, written to and read from the lines of a plan. Nothing refers to what is
// answered: a step that makes no sense when it is reached (a send without a connection) is passed
// over, so taking lines away leaves a workload. Invariant: WriteLoopWorkload then ReadLoopWorkload
// gives an equal workload.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "sim/plan.h"

namespace orrery::scenarios {

// One step of a caller.
struct CallerStep {
  enum class Kind : uint8_t {
    kNop,  // Requests, of which these need nothing,
    kTimeout,
    kAccept,
    kReceive,  // these a connection of the caller's,
    kReceiveExactly,
    kSend,
    kPoll,
    kClose,
    kOpen,
    kReadAt,  // and these its file.
    kWriteAt,
    kSync,
    kDropConnection,  // Uses a connection no more; requests that are under way still do.
    kCancel,          // A request,
    kGiveUp,          // or its result;
    kAwait,           // or waits for all of them.
    kWait,            // Does nothing for a while.
    kLeave,           // Is no submitter any more.
    kAcceptAll,       // Multishot requests, raw: one needs nothing,
    kPollAll,         // one a connection.
  };
  Kind kind = Kind::kNop;
  // Which of its connections, or of its requests under way: modulo those that there are.
  uint64_t which = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
  Nanoseconds duration = 0;  // Of a wait or timeout; of a request, its deadline after now, or 0.

  friend bool operator==(const CallerStep&, const CallerStep&) = default;
};

// One step of a peer.
struct PeerStep {
  enum class Kind : uint8_t { kSend, kPause, kHalfClose, kClose, kReset };
  Kind kind = Kind::kSend;
  uint64_t bytes = 0;
  Nanoseconds duration = 0;  // In which it does nothing, nor reads.

  friend bool operator==(const PeerStep&, const PeerStep&) = default;
};

struct CallerScript {
  uint64_t caller = 0;
  std::vector<CallerStep> steps;
  friend bool operator==(const CallerScript&, const CallerScript&) = default;
};

struct PeerScript {
  uint64_t peer = 0;
  Nanoseconds connect_after = 0;
  std::vector<PeerStep> steps;
  friend bool operator==(const PeerScript&, const PeerScript&) = default;
};

// Both in ascending order of their numbers.
struct LoopWorkload {
  std::vector<CallerScript> callers;
  std::vector<PeerScript> peers;
  friend bool operator==(const LoopWorkload&, const LoopWorkload&) = default;
};

// `all_deadlines`: every request that may have one has one.
LoopWorkload GenerateLoopWorkload(Prng& prng, bool all_deadlines);
// Has the callers make multishot requests, too.
void AddMultishots(Prng& prng, bool all_deadlines, LoopWorkload& workload);

void WriteLoopWorkload(const LoopWorkload& workload, std::vector<sim::Json>& items);
// The error names the item, counted from 1.
std::expected<LoopWorkload, std::string> ReadLoopWorkload(const std::vector<sim::Json>& items);

}  // namespace orrery::scenarios
