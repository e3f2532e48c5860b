// What the clients of a run do, as plain data: a script of steps for each.
//
// Generated from a seed, written to and read from the lines of a plan. Nothing in a script refers
// to what the server answers, so taking lines away leaves a workload. Invariant: WriteWorkload then
// ReadWorkload gives an equal workload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "sim/plan.h"
#include "tests/scenarios/command.h"
#include "tests/scenarios/command_generator.h"

namespace orrery::scenarios {

enum class Form : uint8_t {
  kArray,         // As client libraries send.
  kInlineDouble,  // A line; see InlineStyle.
  kInlineSingle,
};

struct ScriptStep {
  enum class Kind : uint8_t {
    kSend,       // Sends the commands, pipelined.
    kRaw,        // Sends bytes that are not a command.
    kPause,      // Stops reading for `duration`; the script goes on.
    kWait,       // Does nothing for `duration`; reading goes on.
    kAwait,      // Waits until every command sent so far is answered.
    kHalfClose,  // Will send nothing more, but goes on reading.
    kDeaf,       // Will read nothing more, but stays.
    kClose,
    kReset,
  };
  Kind kind = Kind::kSend;
  std::vector<Command> commands;  // kSend.
  Form form = Form::kArray;       // kSend.
  Bytes raw;                      // kRaw.
  // kRaw: the server's answer, after which it ends the connection. Empty: it does not answer these.
  std::string error;
  // kSend, kRaw: in which portions the bytes go out, over and over; empty: as much as fits.
  std::vector<uint64_t> portions;
  // kSend, kRaw: leaves out this many of the last bytes, so that something is unfinished.
  uint64_t cut_bytes = 0;
  Nanoseconds duration = 0;  // kPause, kWait; kSend, kRaw: from one portion to the next.

  friend bool operator==(const ScriptStep&, const ScriptStep&) = default;
};

struct Script {
  uint64_t client = 0;
  // When it connects, after the start.
  Nanoseconds connect_after = 0;
  // How many bytes it reads at once.
  uint64_t read_bytes = 64 * kKiB;
  // How long it stays after the server has ended the stream, before it closes its side.
  Nanoseconds stay = 0;
  std::vector<ScriptStep> steps;

  friend bool operator==(const Script&, const Script&) = default;
};

// In ascending order of clients.
using Workload = std::vector<Script>;

// What kind of workload. Counts are upper ends.
struct WorkloadOptions {
  uint64_t clients = 4;
  uint64_t steps_max = 12;     // A client.
  uint64_t pipeline_max = 16;  // Commands a step.
  uint64_t keys = 6;           // Few, so that clients meet on them.
  uint64_t value_bytes_max = 1 * kMiB;
  // One in so many; 0 never.
  uint64_t big_value_odds = 20;
  uint64_t big_value_bytes = 0;  // 0: many sizes.
  Theme theme = Theme::kNone;
  uint64_t inline_odds = 8;
  uint64_t bad_command_odds = 10;
  uint64_t control_odds = 0;
  uint64_t pubsub_odds = 0;
  uint64_t admin_odds = 0;
  // For a comparison with a server that has a clock of its own; see CommandOptions.
  bool far_times = false;
  uint64_t protocol_error_odds = 12;
  uint64_t disconnect_odds = 10;
  uint64_t pause_odds = 10;
  // Replies of more parts than one send may have.
  uint64_t wide_odds = 40;
  // Clients that stay after the end.
  uint64_t stay_odds = 6;
};

// Draws the options themselves: many small odd workloads beat one average one.
WorkloadOptions DrawWorkloadOptions(Prng& prng);
Workload GenerateWorkload(Prng& prng, const WorkloadOptions& options);
// Puts some of the commands into transactions: whole ones, given up ones, wrong ones, with keys
// watched or not.
void AddTransactions(Prng& prng, uint64_t keys, Workload& workload);

void WriteWorkload(const Workload& workload, std::vector<sim::Json>& items);
// The error names the item, counted from 1.
std::expected<Workload, std::string> ReadWorkload(const std::vector<sim::Json>& items);

// How many commands there are in all scripts.
uint64_t CommandsIn(const Workload& workload);

}  // namespace orrery::scenarios
