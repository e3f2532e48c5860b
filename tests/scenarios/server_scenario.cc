#include "tests/scenarios/server_scenario.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/reactor.h"
#include "server/client.h"
#include "server/resp_parser.h"
#include "server/server_context.h"
#include "server/shard.h"
#include "sim/interrupted_kernel.h"
#include "sim/world.h"
#include "tests/scenarios/judge.h"
#include "tests/scenarios/resp_client.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {
namespace {

constexpr uint16_t kPort = 6379;
// Numbers of participants, for choices.
constexpr uint64_t kShardNumber = 0;
constexpr uint64_t kStopperNumber = 1;
constexpr uint64_t kClockSetterNumber = 2;
constexpr uint64_t kFirstClientNumber = 16;
// Scripts take a few seconds of virtual time; more than this is left to the second part.
constexpr Nanoseconds kScriptsMax = 60 * kSecond;
// With faults off, everything that is due happens within this; lingering connections take longest.
constexpr Nanoseconds kSettleMax = 60 * kSecond;
// No run needs nearly as many; it ends one that would go on for ever.
constexpr uint64_t kStepsMax = 20'000'000;
// A server that waits so long for a client, and takes so much from it, loses none of its replies.
constexpr Nanoseconds kPatientLinger = 1 * kSecond;
constexpr size_t kPatientDrainBytes = 8 * kMiB;
// Everybody reads in the end: nothing that a zero-copy send has pinned is ever given up.
constexpr Nanoseconds kNotificationTimeout = 1000 * kSecond;
static_assert(kNotificationTimeout > kScriptsMax + kSettleMax);
// One more than the server itself has.
constexpr int64_t kDescriptorsMin = 7;
// When nobody is connected: the accept and the waker's poll.
constexpr size_t kRequestsAtRest = 2;
// Input as the server holds it takes at most this much more memory than it had bytes: arguments may
// be of no bytes, and what is known of one takes 16; and memory that is kept for the next frame.
constexpr size_t kInputMemoryFactor = 8;
constexpr size_t kInputMemoryAtRest = 64 * kKiB;

// --- Drawing.

uint64_t PowerOfTwo(Prng& prng, unsigned low_bits, unsigned high_bits) {
  return uint64_t{1} << prng.Between(low_bits, high_bits);
}

void SetOutputPause(uint64_t bytes, sim::Configuration& configuration) {
  configuration["output_pause_bytes"] = static_cast<int64_t>(bytes);
  configuration["output_resume_bytes"] = static_cast<int64_t>(bytes / 4);
}

// Swarm style: each knob is often at its default and sometimes at an end.
sim::Configuration DrawConfiguration(Prng& prng) {
  sim::Configuration configuration;
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  set("prompt", prng.Below(2));
  const uint64_t sq_bits = prng.Chance(1, 2) ? prng.Below(4) : prng.Between(4, 10);
  set("sq_entries", uint64_t{1} << sq_bits);
  const uint64_t cq_more_bits = prng.Chance(1, 2) ? prng.Below(3) : prng.Between(3, 6);
  set("cq_entries", uint64_t{1} << (sq_bits + cq_more_bits));
  const uint64_t socket_low_bit = prng.Chance(1, 8) ? 0 : 4;
  const uint64_t socket_bytes = PowerOfTwo(prng, static_cast<unsigned>(socket_low_bit), 18);
  set("socket_buffer_bytes", socket_bytes + prng.Below(socket_bytes));
  const unsigned buffers_high_bit = prng.Chance(1, 2) ? 3 : 8;
  set("buffers", PowerOfTwo(prng, 0, buffers_high_bit));
  const uint64_t buffer_bytes = PowerOfTwo(prng, 4, 13);
  set("buffer_bytes", buffer_bytes + prng.Below(buffer_bytes));
  set("iovecs_max", prng.Chance(1, 2) ? PowerOfTwo(prng, 0, 4) : 1024);
  const uint64_t pause_bytes = prng.Chance(1, 2) ? PowerOfTwo(prng, 6, 16) : 1 * kMiB;
  SetOutputPause(pause_bytes, configuration);
  set("descriptors_max", prng.Chance(1, 4) ? prng.Between(8, 12) : 1024);
  set("linger_ns", prng.Chance(1, 2) ? prng.Below(100 * kMillisecond) : 2 * kSecond);
  set("drain_bytes_max", prng.Chance(1, 4) ? PowerOfTwo(prng, 0, 10) : 16 * kMiB);
  if (prng.Chance(1, 5)) {
    set("stop_after_ns", prng.Below(static_cast<uint64_t>(500 * kMillisecond)));
  }
  return configuration;
}

uint64_t BytesAtOnce(const sim::Configuration& configuration) {
  return static_cast<uint64_t>(std::min(sim::ValueOr(configuration, "socket_buffer_bytes", 0),
                                        sim::ValueOr(configuration, "buffer_bytes", 0)));
}

// Long values through tiny buffers would take most of the time of all seeds, for little.
void FitToBuffers(const sim::Configuration& configuration, WorkloadOptions& options) {
  const uint64_t bytes_at_once = BytesAtOnce(configuration);
  static constexpr uint64_t kPiecesMax = 2000;
  static constexpr uint64_t kBytesForGarbage = 16;
  static constexpr uint64_t kBytesForWide = 2000;
  options.value_bytes_max = std::min(options.value_bytes_max, bytes_at_once * kPiecesMax);
  if (bytes_at_once < kBytesForGarbage) options.protocol_error_odds = 0;
  if (bytes_at_once < kBytesForWide) options.wide_odds = 0;
}

// The model sums up all that is left of a message whenever a zero-copy send has sent a piece of it.
void FitToSums(const sim::Configuration& configuration, WorkloadOptions& options) {
  static constexpr uint64_t kSummedBytesMax = 16 * kMiB;
  static constexpr uint64_t kBytesMin = 16 * kKiB;
  uint64_t& bytes = options.value_bytes_max;
  while (bytes > kBytesMin && bytes / BytesAtOnce(configuration) * bytes > kSummedBytesMax) {
    bytes /= 2;
  }
}

// What few worlds have. Drawn from a sequence of its own, so that all others stay as they are.
struct RareTraits {
  bool many_keys = false;       // A keyspace that grows and shrinks.
  bool tight_ring = false;      // A submission queue that is full when it matters.
  bool rush = false;            // Many connect at once.
  bool early_stop = false;      // A stop when a client connects, or in the middle of much going on.
  bool few_clients = false;     // More come than the server takes.
  bool deaf_client = false;     // One of them stops reading, and the server is to stop.
  bool deep_pipelines = false;  // More commands at once than the server looks at at once.
  bool controls = false;        // Clients that pause, end and silence each other.
  bool lossy_resets = false;    // A reset takes along what the client has not read.
};

RareTraits DrawRareTraits(Prng& prng) {
  RareTraits traits;
  traits.many_keys = prng.Chance(1, 10);
  traits.tight_ring = prng.Chance(1, 4);
  traits.rush = prng.Chance(1, traits.tight_ring ? 2 : 20);
  traits.early_stop = traits.tight_ring ? prng.Chance(3, 4) : prng.Chance(1, 10);
  traits.few_clients = prng.Chance(1, 8);
  traits.deaf_client = prng.Chance(1, 8);
  traits.deep_pipelines = prng.Chance(1, 8);
  traits.controls = prng.Chance(1, 6);
  traits.lossy_resets = prng.Chance(1, 3);
  return traits;
}

// A table of many small segments, of which little is done at a time: some dozens of keys make it
// grow, shrink and be freed by as many steps as millions do.
void DrawSmallSegments(Prng& prng, sim::Configuration& configuration) {
  configuration["table_segment_bits"] = static_cast<int64_t>(prng.Between(2, 4));
  configuration["background_buckets"] = static_cast<int64_t>(PowerOfTwo(prng, 0, 4));
}

// Fills the table and clears it, again and again, sooner than what it left has been freed.
void AddFiller(Prng& prng, uint64_t keys, Workload& workload) {
  Script script;
  script.client = workload.back().client + 1;
  script.connect_after = static_cast<Nanoseconds>(prng.Below(100)) * kMillisecond;
  const uint64_t rounds = prng.Between(2, 6);
  for (uint64_t round = 0; round < rounds; ++round) {
    ScriptStep fill;
    fill.kind = ScriptStep::Kind::kSend;
    Command command = {Bytes::Text("MSET")};
    for (uint64_t key = 0; key < keys; ++key) {
      command.push_back(Bytes::Text("k" + std::to_string(key)));
      command.push_back(Bytes::Text(std::to_string(round)));
    }
    Command scan = {Bytes::Text("SCAN"), Bytes::Text("0")};
    if (prng.Chance(1, 2)) {
      scan.push_back(Bytes::Text("COUNT"));
      scan.push_back(Bytes::Text("100000"));
    }
    fill.commands = {std::move(command), std::move(scan)};
    if (prng.Chance(3, 4)) fill.commands.push_back({Bytes::Text("FLUSHALL")});
    script.steps.push_back(std::move(fill));
    ScriptStep wait;
    wait.kind = ScriptStep::Kind::kWait;
    wait.duration = static_cast<Nanoseconds>(prng.Below(8000)) * kMicrosecond;
    script.steps.push_back(wait);
  }
  workload.push_back(std::move(script));
}

void DrawLimits(Prng& prng, uint64_t clients, sim::Configuration& configuration) {
  const uint64_t clients_max = prng.Between(1, std::max<uint64_t>(1, clients - clients / 2));
  configuration["clients_max"] = static_cast<int64_t>(clients_max);
  if (!prng.Chance(1, 2)) return;
  configuration["connections_max"] = static_cast<int64_t>(clients_max + prng.Below(3));
}

// A client that has asked for much and reads nothing of it, when the server is told to stop.
void AddDeafClient(Prng& prng, sim::Configuration& configuration, Workload& workload) {
  Script& script = workload[prng.Below(workload.size())];
  ScriptStep deaf;
  deaf.kind = ScriptStep::Kind::kDeaf;
  const auto at = static_cast<ptrdiff_t>(prng.Below(script.steps.size() + 1));
  script.steps.insert(script.steps.begin() + at, std::move(deaf));
  ScriptStep ask;
  ask.kind = ScriptStep::Kind::kSend;
  Bytes value;
  value.fill_bytes = prng.Between(1, 10'000);
  ask.commands.push_back({Bytes::Text("SET"), Bytes::Text("k0"), value});
  ask.commands.push_back({Bytes::Text("MGET"), Bytes::Repeated("k0", prng.Between(1, 200))});
  script.steps.push_back(std::move(ask));
  if (configuration.contains("stop_after_ns")) return;
  configuration["stop_after_ns"] =
      static_cast<int64_t>(prng.Below(static_cast<uint64_t>(500 * kMillisecond)));
}

void DeepenPipelines(Prng& prng, sim::Configuration& configuration, WorkloadOptions& options) {
  options.pipeline_max = prng.Between(80, 200);
  if (prng.Chance(1, 3)) return;
  // So that they come as a whole.
  options.value_bytes_max = 100;
  configuration["buffer_bytes"] = 16 * kKiB;
  configuration["socket_buffer_bytes"] = 64 * kKiB;
}

// Deletes what the others have set, and gives the background work time.
void AddCleaner(uint64_t keys, Workload& workload) {
  ScriptStep clean;
  clean.kind = ScriptStep::Kind::kSend;
  Command command = {Bytes::Text("DEL")};
  for (uint64_t key = 0; key < keys; ++key) {
    command.push_back(Bytes::Text("k" + std::to_string(key)));
  }
  clean.commands.push_back(std::move(command));
  ScriptStep wait;
  wait.kind = ScriptStep::Kind::kWait;
  wait.duration = 500 * kMillisecond;
  Script script;
  script.client = workload.back().client + 1;
  script.connect_after = 500 * kMillisecond;
  script.steps = {std::move(clean), wait};
  workload.push_back(std::move(script));
}

// Clients that ask for a large value many times over, read slowly, and at times go in the middle.
void AddLargeReaders(Prng& prng, uint64_t value_bytes, Workload& workload) {
  const uint64_t readers = prng.Between(1, 3);
  for (uint64_t reader = 0; reader < readers; ++reader) {
    ScriptStep ask;
    ask.kind = ScriptStep::Kind::kSend;
    const uint64_t bytes = std::max<uint64_t>(value_bytes >> prng.Below(3), 1);
    ask.commands.push_back({Bytes::Text("SET"), Bytes::Text("large"),
                            Bytes{.text = "", .fill_bytes = bytes, .fill_seed = prng.Below(1000)}});
    const uint64_t times = prng.Between(1, 8);
    for (uint64_t count = 0; count < times; ++count) {
      ask.commands.push_back({Bytes::Text("GET"), Bytes::Text("large")});
    }
    ScriptStep pause;
    pause.kind = ScriptStep::Kind::kPause;
    pause.duration = static_cast<Nanoseconds>(prng.Between(1, 20'000)) * kMicrosecond;
    ScriptStep end;
    constexpr std::array kEnds = {ScriptStep::Kind::kAwait, ScriptStep::Kind::kHalfClose,
                                  ScriptStep::Kind::kClose, ScriptStep::Kind::kReset};
    end.kind = kEnds[prng.Below(kEnds.size())];
    Script script;
    script.client = workload.back().client + 1;
    script.connect_after = static_cast<Nanoseconds>(prng.Below(5'000)) * kMicrosecond;
    script.steps = {std::move(ask), pause, end};
    workload.push_back(std::move(script));
  }
}

void TightenRing(Prng& prng, sim::Configuration& configuration) {
  configuration["sq_entries"] = static_cast<int64_t>(PowerOfTwo(prng, 0, 1));
  const unsigned more_bits_max = prng.Chance(1, 2) ? 3 : 0;
  configuration["cq_entries"] =
      configuration["sq_entries"] * static_cast<int64_t>(PowerOfTwo(prng, 0, more_bits_max));
  // What is left of it stays full only when an Enter fails; and only a ring with interrupts then
  // has completions all the same.
  configuration["prompt"] = prng.Chance(3, 4) ? 1 : 0;
  static constexpr std::array kSites = {model::Site::kEnterConsumesFewer, model::Site::kEnterAgain,
                                        model::Site::kEnterBusy};
  sim::SiteRates rates = RatesIn(configuration);
  rates.Set(kSites[prng.Below(kSites.size())], sim::SiteRates::kAlways / 2);
  WriteRates(rates, configuration);
  if (prng.Chance(1, 2)) SetOutputPause(PowerOfTwo(prng, 6, 10), configuration);
}

constexpr int64_t kSegmentBitsMin = 2;
constexpr int64_t kSegmentBitsMax = 16;

// What they mean for the configuration, and for the workload that is to be drawn.
void ApplyTraits(const RareTraits& traits, Prng& prng, sim::Configuration& configuration,
                 WorkloadOptions& options) {
  if (traits.tight_ring) {
    TightenRing(prng, configuration);
    // More than there are descriptors for.
    if (prng.Chance(1, 2)) {
      configuration["descriptors_max"] = static_cast<int64_t>(prng.Between(7, 10));
      options.clients = prng.Between(6, 12);
    }
  }
  if (traits.deep_pipelines) DeepenPipelines(prng, configuration, options);
  if (traits.controls) {
    options.control_odds = prng.Between(2, 4);
    options.clients = std::max<uint64_t>(options.clients, 4);
  }
  if (traits.lossy_resets) {
    sim::SiteRates rates = RatesIn(configuration);
    rates.Set(model::Site::kResetLosesData, sim::SiteRates::kAlways / 2);
    WriteRates(rates, configuration);
    // Nothing else loses what a client is to read.
    configuration["linger_ns"] = 2 * kSecond;
    configuration["drain_bytes_max"] = 16 * kMiB;
    options.protocol_error_odds = 4;
  }
  if (traits.few_clients) {
    options.clients = std::max<uint64_t>(options.clients, 2);
    DrawLimits(prng, options.clients, configuration);
  }
  if (traits.many_keys) {
    options.keys = prng.Between(30, 300);
    options.pipeline_max = 64;
    options.value_bytes_max = std::min<uint64_t>(options.value_bytes_max, 5000);
  }
  if (traits.rush) {
    options.clients = std::max<uint64_t>(options.clients, prng.Between(8, 24));
    options.steps_max = std::min<uint64_t>(options.steps_max, 4);
  }
}

// Names in a configuration: when the wall clock jumps, counted from the start, and how far.
constexpr uint64_t kJumpsMax = 4;
constexpr int64_t kJumpMax = 400 * 86'400 * kSecond;
std::string JumpName(uint64_t index, const char* what) {
  return "wall_jump_" + std::to_string(index) + "_" + what;
}

// Somebody sets the wall clock, in few worlds. Drawn from a sequence of its own.
void DrawJumps(Prng& prng, sim::Configuration& configuration) {
  if (!prng.Chance(1, 8)) return;
  const uint64_t jumps = prng.Between(1, kJumpsMax);
  Nanoseconds back = 0;  // How far the next jump goes to undo all.
  for (uint64_t index = 0; index < jumps; ++index) {
    const bool early = prng.Chance(1, 2);
    const uint64_t at_us = prng.Below(early ? 100'000 : 3'000'000);
    // From a millisecond to some days, each size as likely as another.
    const uint64_t low_ms = uint64_t{1} << prng.Below(29);
    auto by = static_cast<Nanoseconds>(prng.Between(low_ms, 2 * low_ms)) * kMillisecond;
    by += static_cast<Nanoseconds>(prng.Below(static_cast<uint64_t>(kMillisecond)));
    if (prng.Chance(1, 2)) by = -by;
    if (back != 0 && prng.Chance(1, 2)) by = back;
    back -= by;
    configuration[JumpName(index, "at_ns")] = static_cast<Nanoseconds>(at_us) * kMicrosecond;
    configuration[JumpName(index, "by_ns")] = by;
  }
}

// Zero-copy sends, in some worlds, with slots for much or for next to nothing, and values that are
// worth it. Drawn from a sequence of its own.
void DrawZeroCopy(Prng& prng, sim::Configuration& configuration, WorkloadOptions& options) {
  if (!prng.Chance(1, 3)) return;
  options.big_value_odds = prng.Between(1, 4);
  FitToSums(configuration, options);
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  const uint64_t bytes_min = PowerOfTwo(prng, 0, 14);
  set("zero_copy_bytes_min", bytes_min + prng.Below(bytes_min));
  if (prng.Chance(1, 4)) return;
  set("send_slots", PowerOfTwo(prng, 0, 2));
  set("send_iovecs", prng.Between(1, 8));
  set("send_guards", prng.Between(1, 4));
  set("copy_slots", PowerOfTwo(prng, 0, 2));
  set("copy_bytes", PowerOfTwo(prng, 0, 9));
}

// In some worlds connections have slots of a fixed-file table. There are more than clients: of who
// finds it full the server never learns.
void DrawFixedFiles(Prng& prng, sim::Configuration& configuration) {
  constexpr int64_t kSlots = 1000;
  if (prng.Chance(1, 4) && configuration["descriptors_max"] >= kSlots) {
    configuration["fixed_files"] = kSlots;
  }
}

// Large values come in more completions than are taken at once.
void ReceiveByHundreds(sim::Configuration& configuration, WorkloadOptions& options) {
  configuration["cq_entries"] = 4096;
  configuration["buffers"] = 1024;
  configuration["buffer_bytes"] = 64;
  configuration["socket_buffer_bytes"] = 64 * kKiB;
  options.big_value_odds = 4;
}

// From which size on arguments are received in place: in some worlds from almost none, in some none
// are. Drawn from a sequence of its own.
void DrawInPlace(Prng& prng, sim::Configuration& configuration, WorkloadOptions& options) {
  static constexpr int64_t kForMegabytes = 128 * kKiB;
  static constexpr int64_t kNever = 1024 * kMiB;
  if (!prng.Chance(1, 3)) {
    if (!prng.Chance(1, 2)) return;
    configuration["in_place_bytes_min"] = kNever;
    if (prng.Chance(1, 16)) ReceiveByHundreds(configuration, options);
    return;
  }
  const uint64_t bytes_min = PowerOfTwo(prng, 0, prng.Chance(1, 2) ? 4 : 16);
  configuration["in_place_bytes_min"] = static_cast<int64_t>(bytes_min + prng.Below(bytes_min));
  if (prng.Chance(1, 2)) {
    configuration["in_place_trusted_bytes"] = static_cast<int64_t>(PowerOfTwo(prng, 0, 16));
  }
  if (prng.Chance(1, 2)) options.big_value_odds = prng.Between(1, 4);
  // From one byte to megabytes, where they pass in large pieces, and few clients ask for them.
  if (prng.Chance(1, 3) && configuration["socket_buffer_bytes"] >= kForMegabytes &&
      !configuration.contains("zero_copy_bytes_min")) {
    options.value_bytes_max = 8 * kMiB;
    options.clients = prng.Between(1, 2);
    options.pipeline_max = 2;
  }
}

// --- Running.

struct WallJump {
  Nanoseconds at = 0;  // From the start.
  Nanoseconds by = 0;
};

// In their order in time.
std::vector<WallJump> JumpsIn(const sim::Configuration& configuration) {
  std::vector<WallJump> jumps;
  for (uint64_t index = 0; index < kJumpsMax; ++index) {
    const int64_t by = sim::ValueOr(configuration, JumpName(index, "by_ns"), 0);
    if (by == 0) continue;
    const WallJump jump{.at = sim::ValueOr(configuration, JumpName(index, "at_ns"), 0), .by = by};
    const auto later = std::find_if(jumps.begin(), jumps.end(),
                                    [&](const WallJump& other) { return other.at > jump.at; });
    jumps.insert(later, jump);
  }
  return jumps;
}

// The knobs as the server and the kernel take them.
struct Setup {
  model::ModelOptions kernel;
  server::ShardOptions shard;
  bool prompt = false;
  std::optional<Nanoseconds> stop_after;
  std::optional<uint64_t> stop_after_steps;
  std::vector<WallJump> jumps;
};

template <typename T>
void Take(const sim::Configuration& configuration, std::string_view name, T& value) {
  value = static_cast<T>(sim::ValueOr(configuration, name, static_cast<int64_t>(value)));
}

Setup ReadSetup(const sim::Plan& plan) {
  const sim::Configuration& configuration = plan.configuration;
  Setup setup;
  Take(configuration, "prompt", setup.prompt);
  setup.kernel.task_work = setup.prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred;
  setup.kernel.entropy_seed = plan.seed;
  Take(configuration, "sq_entries", setup.kernel.sq_entries);
  Take(configuration, "cq_entries", setup.kernel.cq_entries);
  Take(configuration, "socket_buffer_bytes", setup.kernel.socket_buffer_bytes);
  Take(configuration, "descriptors_max", setup.kernel.descriptors_max);
  Take(configuration, "clients_max", setup.shard.clients_max);
  Take(configuration, "connections_max", setup.shard.reactor.connections_max);
  setup.shard.listen.port = kPort;
  Take(configuration, "buffers", setup.shard.reactor.buffers);
  Take(configuration, "buffer_bytes", setup.shard.reactor.buffer_bytes);
  Take(configuration, "fixed_files", setup.shard.reactor.fixed_files);
  Take(configuration, "iovecs_max", setup.shard.reactor.iovecs_max);
  Take(configuration, "linger_ns", setup.shard.reactor.linger);
  setup.shard.reactor.flush_timeout = setup.shard.reactor.linger;
  setup.shard.reactor.notification_timeout = kNotificationTimeout;
  Take(configuration, "drain_bytes_max", setup.shard.reactor.drain_bytes_max);
  ZeroCopyOptions& zero_copy = setup.shard.reactor.zero_copy;
  Take(configuration, "zero_copy_bytes_min", zero_copy.body_bytes_min);
  Take(configuration, "send_slots", zero_copy.slab.slots);
  Take(configuration, "send_iovecs", zero_copy.slab.iovecs);
  Take(configuration, "send_guards", zero_copy.slab.guards);
  Take(configuration, "copy_slots", zero_copy.copy_slots);
  Take(configuration, "copy_bytes", zero_copy.copy_bytes);
  Take(configuration, "in_place_bytes_min", setup.shard.in_place_bytes_min);
  Take(configuration, "in_place_trusted_bytes", setup.shard.in_place_trusted_bytes);
  Take(configuration, "output_pause_bytes", setup.shard.output_pause_bytes);
  Take(configuration, "output_resume_bytes", setup.shard.output_resume_bytes);
  Take(configuration, "table_segment_bits", setup.shard.table_segment_bits);
  Take(configuration, "background_buckets", setup.shard.background_buckets);
  const int64_t stop_after = sim::ValueOr(configuration, "stop_after_ns", -1);
  if (stop_after >= 0) setup.stop_after = stop_after;
  const int64_t stop_after_steps = sim::ValueOr(configuration, "stop_after_steps", -1);
  if (stop_after_steps >= 0) setup.stop_after_steps = static_cast<uint64_t>(stop_after_steps);
  setup.jumps = JumpsIn(configuration);
  return setup;
}

// A plan edited by hand gets a reason instead of a failing check.
std::optional<std::string> ProblemOf(const sim::Configuration& configuration) {
  const auto at_least = [&configuration](const char* name,
                                         int64_t low) -> std::optional<std::string> {
    if (sim::ValueOr(configuration, name, low) >= low) return std::nullopt;
    return "configuration: \"" + std::string(name) + "\" must be at least " + std::to_string(low);
  };
  for (const char* name :
       {"sq_entries", "cq_entries", "socket_buffer_bytes", "buffers", "buffer_bytes", "iovecs_max",
        "output_pause_bytes", "zero_copy_bytes_min", "send_slots", "send_iovecs", "send_guards",
        "copy_slots", "copy_bytes", "in_place_bytes_min", "in_place_trusted_bytes",
        "background_buckets", "clients_max", "connections_max"}) {
    if (auto problem = at_least(name, 1)) return problem;
  }
  if (auto problem = at_least("descriptors_max", kDescriptorsMin)) return problem;
  const int64_t segment_bits = sim::ValueOr(configuration, "table_segment_bits", kSegmentBitsMin);
  if (segment_bits < kSegmentBitsMin || segment_bits > kSegmentBitsMax) {
    return "configuration: \"table_segment_bits\" must be 2 to 16";
  }
  for (uint64_t index = 0; index < kJumpsMax; ++index) {
    if (auto problem = at_least(JumpName(index, "at_ns").c_str(), 0)) return problem;
    const std::string name = JumpName(index, "by_ns");
    const int64_t by = sim::ValueOr(configuration, name, 0);
    if (by < -kJumpMax || by > kJumpMax) {
      return "configuration: \"" + name + "\" must be 400 days at most";
    }
  }
  return std::nullopt;
}

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
  Stopper(server::Shard& shard, model::ModelKernel& kernel, Judge& judge, const sim::World& world)
      : shard_(shard), kernel_(kernel), judge_(judge), world_(world) {}

  void StopAt(Nanoseconds time) { stop_at_ = std::min(stop_at_, time); }
  // When the world has taken so many steps: most are taken when much is going on.
  void StopAtStep(uint64_t step) { stop_at_step_ = step; }
  bool stopped() const { return stopped_; }

  bool Ready(Nanoseconds now) const override {
    return !stopped_ && (now >= stop_at_ || world_.steps() >= stop_at_step_);
  }
  bool Step(Nanoseconds) override {
    stopped_ = true;
    judge_.OnServerStops();
    shard_.RequestStop();
    kernel_.SignalEventFd(shard_.waker());
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return stopped_ || stop_at_ <= now ? kNever : stop_at_;
  }

 private:
  server::Shard& shard_;
  model::ModelKernel& kernel_;
  Judge& judge_;
  const sim::World& world_;
  Nanoseconds stop_at_ = kNever;
  uint64_t stop_at_step_ = UINT64_MAX;
  bool stopped_ = false;
};

// Sets the wall clock, at its times.
class ClockSetter final : public sim::Actor {
 public:
  ClockSetter(std::vector<WallJump> jumps, Nanoseconds start, model::ModelKernel& kernel,
              sim::EventLog& log)
      : jumps_(std::move(jumps)), start_(start), kernel_(kernel), log_(log) {}

  size_t done() const { return done_; }

  bool Ready(Nanoseconds now) const override { return now >= NextTime(); }
  bool Step(Nanoseconds) override {
    const Nanoseconds by = jumps_[done_++].by;
    log_.Note("wall-jump", kClockSetterNumber, by, 0);
    kernel_.JumpRealtime(by);
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return NextTime() > now ? NextTime() : kNever;
  }

 private:
  Nanoseconds NextTime() const {
    return done_ < jumps_.size() ? start_ + jumps_[done_].at : kNever;
  }

  const std::vector<WallJump> jumps_;
  const Nanoseconds start_;
  model::ModelKernel& kernel_;
  sim::EventLog& log_;
  size_t done_ = 0;
};

// Between the model and the log: knows which connection is which of the server's files, and so who
// its clients are; and counts what goes through the kernel.
class KernelWatcher final : public model::Observer {
 public:
  KernelWatcher(sim::EventLog& log, Judge& judge) : log_(log), judge_(judge) {}

  void OnEvent(const model::Event& event) override {
    log_.OnEvent(event);
    switch (event.kind) {
      case model::EventKind::kAccepted:
        connections_by_file_[event.a] = event.entity;
        judge_.admission().OnAccepted(event.entity);
        break;
      case model::EventKind::kClosed:
        judge_.admission().OnClosed(event.entity);
        break;
      case model::EventKind::kSubmit:
        ++submitted_;
        break;
      case model::EventKind::kReceived:
        received_bytes_ += static_cast<uint64_t>(event.a);
        break;
      default:
        break;
    }
  }
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    log_.OnViolation(invariant, detail);
  }
  void OnSqe(const io_uring_sqe& sqe) override { log_.OnSqe(sqe); }
  void OnBytes(std::span<const std::byte> bytes) override { log_.OnBytes(bytes); }

  // The server has taken in a client, whose connection is `file`.
  void OnClient(const server::Client& client, const File& file) {
    const auto found = connections_by_file_.find(file.number);
    ORRERY_CHECK_MSG(found != connections_by_file_.end(),
                     "the server has a client that was never accepted");
    connections_by_client_[client.id] = found->second;
    judge_.OnServed(found->second);
  }
  void OnClientGone(const server::Client& client) {
    judge_.admission().OnGone(connections_by_client_.at(client.id));
  }
  // The connection of the server's client `id`; nothing when there is none.
  std::optional<uint64_t> ConnectionOf(uint64_t id) const {
    const auto found = connections_by_client_.find(id);
    if (found == connections_by_client_.end()) return std::nullopt;
    return found->second;
  }
  uint64_t submitted() const { return submitted_; }            // SQEs.
  uint64_t received_bytes() const { return received_bytes_; }  // By the server.

 private:
  sim::EventLog& log_;
  Judge& judge_;
  // By descriptor, or by slot of the fixed-file table; of each, the last.
  std::map<int64_t, uint64_t> connections_by_file_;
  std::map<uint64_t, uint64_t> connections_by_client_;
  uint64_t submitted_ = 0;
  uint64_t received_bytes_ = 0;
};

// Tells the judge what the server executes, in its order.
class ExecutionWatcher final : public server::CommandObserver {
 public:
  ExecutionWatcher(KernelWatcher& watcher, model::ModelKernel& kernel, Judge& judge)
      : watcher_(watcher), kernel_(kernel), judge_(judge) {}

  // `output_max`: when a client has so much to get, nothing more of it is executed.
  void Watch(const server::Shard& shard, size_t output_max) {
    shard_ = &shard;
    output_max_ = output_max;
  }

  void OnClient(const server::Client& client) override {
    watcher_.OnClient(client, shard_->ConnectionOf(client).file());
  }
  void OnClientGone(const server::Client& client) override { watcher_.OnClientGone(client); }
  void OnCommand(const server::Client& client, const server::Command& command,
                 int64_t now_ms) override {
    std::vector<std::string> arguments;
    for (size_t index = 0; index < command.size(); ++index) {
      arguments.emplace_back(command[index]);
    }
    const std::optional<uint64_t> connection = watcher_.ConnectionOf(client.id);
    ORRERY_CHECK_MSG(connection.has_value(), "a client that was not let in has a command");
    judge_.CheckOutput(*connection, shard_->MemoryOf(client).output_bytes, output_max_);
    judge_.OnExecuted(*connection, arguments, now_ms, Now());
  }
  void OnExpired(std::string_view key, int64_t expires_at_ms) override {
    judge_.OnExpired(std::string(key), expires_at_ms, Now());
  }

 private:
  // The clocks themselves, whatever the server has read.
  Moment Now() {
    return {.wall_ms = kernel_.RealtimeNow() / kMillisecond,
            .monotonic_ms = kernel_.MonotonicNow() / kMillisecond};
  }

  KernelWatcher& watcher_;
  model::ModelKernel& kernel_;
  Judge& judge_;
  const server::Shard* shard_ = nullptr;
  size_t output_max_ = 0;
};

// One run. The order of members is that of construction: the ring dies before its kernel.
class ServerRun {
 public:
  static std::expected<std::unique_ptr<ServerRun>, std::string> Make(const sim::Plan& plan,
                                                                     Workload workload,
                                                                     sim::RecordingChoice& choice,
                                                                     sim::EventLog& log) {
    const Setup setup = ReadSetup(plan);
    auto run = std::unique_ptr<ServerRun>(new ServerRun(setup, choice, log));
    auto ring = run->kernel_.MakeRing({});
    if (!ring) return std::unexpected("the ring: " + ring.error());
    run->ring_ = *std::move(ring);
    run->descriptors_before_server_ = run->kernel_.open_descriptors();
    auto shard = server::Shard::Create(*run->ring_, run->interrupted_kernel_, setup.shard,
                                       &run->executions_);
    if (!shard) return std::unexpected("the server: " + shard.error());
    run->shard_ = *std::move(shard);
    run->Populate(setup, std::move(workload));
    return run;
  }

  void Go() {
    if (RunScripts() && Settle() && Leave()) Stop();
  }

  void Count(RunResult& result) const {
    result.steps = world_.steps();
    result.counters["clients"] = clients_.size();
    result.counters["commands"] = judge_.executed();
    result.counters["replies"] = judge_.replies();
    result.counters["wall_jumps"] = clock_setter_->done();
    const ReactorCounters& counters = shard_->reactor().counters();
    result.counters["reactor.turns"] = counters.turns;
    result.counters["reactor.accepted"] = counters.accepted;
    result.counters["reactor.accept_failures"] = counters.accept_failures;
    result.counters["reactor.starved"] = counters.starved;
    result.counters["reactor.refused"] = counters.refused;
    result.counters["reactor.stale_completions"] = counters.stale_completions;
    result.counters["reactor.enter_retries"] = counters.enter_retries;
    result.counters["reactor.zero_copy_sends"] = counters.zero_copy_sends;
  }

 private:
  ServerRun(const Setup& setup, sim::RecordingChoice& choice, sim::EventLog& log)
      : choice_(choice),
        log_(log),
        judge_(log),
        watcher_(log, judge_),
        kernel_(setup.kernel, choice, &watcher_),
        executions_(watcher_, kernel_, judge_),
        world_(kernel_, choice, log, {.interrupts = setup.prompt, .spin_turns_max = 2000}),
        start_(kernel_.MonotonicNow()) {
    interrupted_kernel_.OnInterrupt([this] { world_.InterruptMaybe(kShardNumber); });
    judge_.FindClientsBy([this](uint64_t id) { return watcher_.ConnectionOf(id); });
  }

  void Populate(const Setup& setup, Workload workload) {
    descriptors_at_rest_ = kernel_.open_descriptors();
    const ReactorOptions& reactor = setup.shard.reactor;
    if (reactor.linger < kPatientLinger || reactor.drain_bytes_max < kPatientDrainBytes) {
      judge_.AllowHastyEnds();
    }
    executions_.Watch(*shard_, setup.shard.output_pause_bytes);
    judge_.admission().SetClientsMax(setup.shard.clients_max);
    judge_.admission().SetConnectionsMax(reactor.connections_max);
    turnable_ = std::make_unique<ShardUnderTest>(*shard_, [this] { AfterTurn(); });
    stopper_ = std::make_unique<Stopper>(*shard_, kernel_, judge_, world_);
    if (setup.stop_after_steps.has_value()) stopper_->StopAtStep(*setup.stop_after_steps);
    if (setup.stop_after.has_value()) stopper_->StopAt(start_ + *setup.stop_after);
    world_.AddShard(kShardNumber, *turnable_, *kernel_.rings().front());
    world_.AddActor(kStopperNumber, *stopper_);
    clock_setter_ = std::make_unique<ClockSetter>(setup.jumps, start_, kernel_, log_);
    world_.AddActor(kClockSetterNumber, *clock_setter_);
    for (Script& script : workload) {
      const uint64_t number = kFirstClientNumber + script.client;
      clients_.push_back(
          std::make_unique<RespClient>(std::move(script), kPort, start_, kernel_, judge_));
      world_.AddActor(number, *clients_.back());
    }
  }

  void AfterTurn() {
    judge_.admission().OnTurn();
    // What the server holds of its input grows with what has come, not with what was announced.
    const size_t held = shard_->input_memory_bytes();
    if (held > kInputMemoryAtRest + kInputMemoryFactor * watcher_.received_bytes()) {
      log_.OnViolation("input-memory",
                       "the server holds " + std::to_string(held) + " bytes after " +
                           std::to_string(watcher_.received_bytes()) + " have come");
    }
  }

  // Runs until `done`. False after a violation; that it does not come about is one.
  bool Await(const std::function<bool()>& done, std::string_view invariant) {
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = world_.now() + kSettleMax, .steps_max = kStepsMax});
    if (reason == sim::StopReason::kPredicate) return true;
    judge_.CheckNothingOutstanding();
    log_.OnViolation(invariant,
                     DescribeState() + "; the world stopped at: " + std::string(NameOf(reason)));
    return false;
  }

  std::string DescribeState() {
    const auto open = std::count_if(clients_.begin(), clients_.end(),
                                    [](const auto& client) { return !client->closed(); });
    return std::to_string(open) + " clients open; the server has " +
           std::to_string(shard_->reactor().connections()) + " connections, " +
           std::to_string(kernel_.open_descriptors()) + " descriptors (" +
           std::to_string(descriptors_at_rest_) + " at rest), " +
           std::to_string(kernel_.requests_in_flight()) + " requests in flight, " +
           std::to_string(judge_.ExpiredKeys(kernel_.RealtimeNow() / kMillisecond)) +
           " keys that have expired";
  }

  bool AllClients(bool (RespClient::*holds)() const) const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [holds](const auto& client) { return (client.get()->*holds)(); });
  }

  bool RunScripts() {
    const auto done = [this] { return AllClients(&RespClient::script_done); };
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = start_ + kScriptsMax, .steps_max = kStepsMax});
    return reason != sim::StopReason::kViolation;
  }

  // Faults are off: a server that was told to stop does not wait for its clients; everything that
  // was sent completely is answered, and everybody leaves.
  bool Settle() {
    choice_.TurnFaultsOff();
    // What a zero-copy send has pinned may wait for a client that does not read.
    const auto gone = [this] { return shard_->reactor().connections() == 0; };
    if (stopper_->stopped() && !Await(gone, "stop")) return false;
    for (const auto& client : clients_) client->Hurry();
    return Await([this] { return AllClients(&RespClient::closed); }, "liveness");
  }

  // Nobody is there: the server is as it was before.
  bool Leave() {
    const auto at_rest = [this] {
      if (stopper_->stopped()) return true;
      return shard_->reactor().connections() == 0 &&
             kernel_.open_descriptors() == descriptors_at_rest_ &&
             kernel_.requests_in_flight() <= kRequestsAtRest &&
             judge_.ExpiredKeys(kernel_.RealtimeNow() / kMillisecond) == 0;
    };
    return Await(at_rest, "left-over");
  }

  // Nothing is left.
  void Stop() {
    stopper_->StopAt(world_.now());
    if (!Await([this] { return shard_->finished(); }, "stop")) return;
    if (kernel_.requests_in_flight() != 0 ||
        kernel_.open_descriptors() != descriptors_before_server_) {
      log_.OnViolation("left-over", "after the server has ended: " + DescribeState());
    }
    CheckCounters(shard_->reactor().counters(), shard_->reactor().arm_visits());
  }

  // What holds of a whole run.
  void CheckCounters(const ReactorCounters& counters, uint64_t visits) {
    // A connection waits for the last completion of each of its operations, and what a zero-copy
    // send has pinned for its notification.
    const uint64_t stale = counters.stale_completions + counters.notifications_stale;
    if (stale != 0) {
      log_.OnViolation("slot-died-early",
                       std::to_string(stale) + " completions came after their slot was gone");
    }
    // A reply is copied once, or never.
    const uint64_t queued = counters.copied_bytes + counters.borrowed_bytes;
    const uint64_t gone = counters.sent_bytes + counters.unsent_bytes;
    if (queued != gone) {
      log_.OnViolation("output-copied-again", std::to_string(queued) +
                                                  " bytes were copied or borrowed for " +
                                                  std::to_string(gone) + " of output");
    }
    // A connection is visited for what it wants to have submitted, or because it has just changed
    // its mind.
    const uint64_t reasons = watcher_.submitted() + counters.refused + counters.completions;
    if (visits > reasons) {
      log_.OnViolation("idle-visits", std::to_string(visits) + " visits of connections for " +
                                          std::to_string(reasons) + " operations and completions");
    }
  }

  sim::RecordingChoice& choice_;
  sim::EventLog& log_;
  Judge judge_;
  KernelWatcher watcher_;
  model::ModelKernel kernel_;
  sim::InterruptedKernel interrupted_kernel_{kernel_};  // As the server sees it.
  ExecutionWatcher executions_;
  sim::World world_;
  Nanoseconds start_;
  size_t descriptors_before_server_ = 0;
  size_t descriptors_at_rest_ = 0;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<server::Shard> shard_;
  std::unique_ptr<ShardUnderTest> turnable_;
  std::unique_ptr<Stopper> stopper_;
  std::unique_ptr<ClockSetter> clock_setter_;
  std::vector<std::unique_ptr<RespClient>> clients_;
};

}  // namespace

sim::Plan ServerScenario::Draw(uint64_t seed) const {
  // Each part has a sequence of its own, so that a new knob does not change the workload.
  Prng configuration_prng(Combine(seed, 1));
  Prng rates_prng(Combine(seed, 2));
  Prng workload_prng(Combine(seed, 3));
  sim::Plan plan;
  plan.scenario = name();
  plan.seed = seed;
  plan.configuration = DrawConfiguration(configuration_prng);
  WriteRates(sim::SiteRates::Draw(rates_prng), plan.configuration);
  DrawStrategy(seed, plan.configuration);
  WorkloadOptions options = DrawWorkloadOptions(workload_prng);
  Prng rare_prng(Combine(seed, 5));
  const RareTraits traits = DrawRareTraits(rare_prng);
  ApplyTraits(traits, rare_prng, plan.configuration, options);
  Prng table_prng(Combine(seed, 7));
  const bool small_segments = traits.many_keys && table_prng.Chance(3, 4);
  if (small_segments) DrawSmallSegments(table_prng, plan.configuration);
  Prng zero_copy_prng(Combine(seed, 8));
  DrawZeroCopy(zero_copy_prng, plan.configuration, options);
  Prng in_place_prng(Combine(seed, 9));
  DrawInPlace(in_place_prng, plan.configuration, options);
  Prng fixed_files_prng(Combine(seed, 10));
  DrawFixedFiles(fixed_files_prng, plan.configuration);
  FitToBuffers(plan.configuration, options);
  Workload workload = GenerateWorkload(workload_prng, options);
  if (plan.configuration.contains("zero_copy_bytes_min")) {
    AddLargeReaders(zero_copy_prng, options.value_bytes_max, workload);
  }
  if (traits.rush) {
    for (Script& script : workload) script.connect_after = 0;
  }
  if (traits.many_keys) AddCleaner(options.keys, workload);
  if (small_segments) AddFiller(table_prng, options.keys, workload);
  if (traits.deaf_client) AddDeafClient(rare_prng, plan.configuration, workload);
  if (traits.early_stop) {
    const Script& script = workload[rare_prng.Below(workload.size())];
    const uint64_t steps = PowerOfTwo(rare_prng, 3, 10);
    if (rare_prng.Chance(1, 4)) {
      plan.configuration["stop_after_ns"] = script.connect_after;
    } else {
      plan.configuration["stop_after_steps"] =
          static_cast<int64_t>(rare_prng.Between(steps, 2 * steps));
    }
  }
  Prng jumps_prng(Combine(seed, 6));
  DrawJumps(jumps_prng, plan.configuration);
  WriteWorkload(workload, plan.workload);
  return plan;
}

std::expected<RunResult, std::string> ServerScenario::Run(const sim::Plan& plan,
                                                          sim::RecordingChoice& choice,
                                                          sim::EventLog& log) const {
  if (auto problem = ProblemOf(plan.configuration)) return std::unexpected(*std::move(problem));
  auto workload = ReadWorkload(plan.workload);
  if (!workload) return std::unexpected(workload.error());
  auto run = ServerRun::Make(plan, *std::move(workload), choice, log);
  if (!run) return std::unexpected(run.error());
  (*run)->Go();
  RunResult result;
  (*run)->Count(result);
  if (log.violation().has_value()) Abandon(*std::move(run));
  return result;
}

}  // namespace orrery::scenarios
