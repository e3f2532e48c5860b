// What a server counts, for INFO: since its start or since CONFIG RESETSTAT.
//
// Calls, failures and errors are counted each; how long a command takes is measured of its first
// calls, and then of one call in kTimedOneIn, because two looks at the clock cost as much as a GET
// (docs/decisions/0009-time-is-sampled.md). Owned by the shard, used by its thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time_histogram.h"
#include "base/units.h"

namespace orrery::server {

using TimeHistogram = BasicTimeHistogram<uint32_t>;

// Of one command or subcommand.
struct CommandStats {
  std::string_view name;
  uint64_t calls = 0;
  uint64_t rejected_calls = 0;  // Not run: a wrong number of arguments.
  uint64_t failed_calls = 0;    // Run, and answered by an error.
  // Of the calls that were timed.
  uint64_t timed_calls = 0;
  Nanoseconds timed = 0;
  std::unique_ptr<TimeHistogram> times;  // Made by the first of them.

  void AddTime(Nanoseconds time);
  void Add(const CommandStats& other);
  // Of all calls, if the others took as long as those that were timed.
  Nanoseconds EstimatedTime() const;
};

// Error replies, by their first word.
class ErrorCounts {
 public:
  // There are some ten. More than this, and the others count as "ERR".
  static constexpr size_t kCodesMax = 128;

  // `text` as the client gets it, without the "-".
  void Count(std::string_view text);
  void Add(const ErrorCounts& other);
  uint64_t total() const { return total_; }
  const std::map<std::string, uint64_t, std::less<>>& by_code() const { return by_code_; }

 private:
  uint64_t total_ = 0;
  std::map<std::string, uint64_t, std::less<>> by_code_;
};

// What rates are made of.
struct Traffic {
  uint64_t commands = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
};

struct ServerStats {
  // Of each command, the calls that are timed all.
  static constexpr uint64_t kTimedFirst = 16;
  // Of all the others, one in so many is timed. A prime, or of a repeated pipeline it might always
  // be the same command.
  static constexpr uint32_t kTimedOneIn = 251;

  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  // Clients that were cut off for what they cost.
  uint64_t cut_off_idle = 0;
  uint64_t cut_off_for_input = 0;
  uint64_t cut_off_for_output = 0;
  uint64_t commands_processed = 0;
  uint64_t reads_processed = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  uint64_t protocol_errors = 0;
  // Of what the keyspace and the reactor count, what was before the last CONFIG RESETSTAT.
  uint64_t expired_before = 0;
  uint64_t freed_before = 0;
  uint64_t output_bytes_before = 0;
  // Of a million keys that expiry looks at, how many have expired: the newest rounds count most.
  int64_t expired_stale_ppm = 0;
  ErrorCounts errors;
  std::vector<CommandStats> commands;  // By CommandSpec::number.

  Traffic traffic() const {
    return {
        .commands = commands_processed, .input_bytes = input_bytes, .output_bytes = output_bytes};
  }
  // What two shards have counted, but for what was before a reset and expired_stale_ppm, which no
  // sum is of.
  void Add(const ServerStats& other);
  // All starts at zero again. `expired` and `freed` are what the keyspace has counted.
  void Reset(uint64_t expired, uint64_t freed);
};

// Events a second over the last moments.
class RateMeter {
 public:
  static constexpr Nanoseconds kPeriod = 100 * kMillisecond;

  // When Record() has something to record.
  bool due(Nanoseconds now) const { return now >= next_; }
  // What has been counted until now. Call it once in a while; while nobody does, time still counts.
  void Record(Nanoseconds now, const Traffic& traffic);
  // Over the time since the oldest record of the last kWindow, or since the newest one; over
  // kPeriod at least.
  Traffic PerSecond(Nanoseconds now, const Traffic& traffic) const;

 private:
  static constexpr size_t kRecords = 16;
  static constexpr Nanoseconds kWindow = kRecords * kPeriod;

  struct Entry {
    Nanoseconds at = 0;
    Traffic traffic;
  };
  std::array<Entry, kRecords> entries_{};
  size_t recorded_ = 0;  // Ever; the newest is the one before.
  Nanoseconds next_ = 0;
};

}  // namespace orrery::server
