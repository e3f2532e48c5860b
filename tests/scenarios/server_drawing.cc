#include "tests/scenarios/server_drawing.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/units.h"
#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "tests/scenarios/scenario.h"
#include "tests/scenarios/server_setup.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {
namespace {

uint64_t PowerOfTwo(Prng& prng, unsigned low_bits, unsigned high_bits) {
  return uint64_t{1} << prng.Between(low_bits, high_bits);
}

void SetOutputPause(uint64_t bytes, sim::Configuration& configuration) {
  configuration["output_pause_bytes"] = static_cast<int64_t>(bytes);
  configuration["output_resume_bytes"] = static_cast<int64_t>(bytes / 4);
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

// Clients that publish and listen besides what the others do.
void AddListeners(Prng& prng, WorkloadOptions options, Workload& workload) {
  options.clients = prng.Between(2, 6);
  options.pubsub_odds = prng.Between(1, 3);
  for (Script& script : GenerateWorkload(prng, options)) {
    script.client = workload.back().client + 1;
    workload.push_back(std::move(script));
  }
}

// One who wants no replies and gets messages all the same, and one who publishes.
void AddSilentListener(Prng& prng, Workload& workload) {
  const auto add = [&workload](std::vector<Command> commands, Nanoseconds after) {
    ScriptStep send;
    send.kind = ScriptStep::Kind::kSend;
    send.commands = std::move(commands);
    ScriptStep wait;
    wait.kind = ScriptStep::Kind::kWait;
    wait.duration = 20 * kMillisecond;
    Script script;
    script.client = workload.back().client + 1;
    script.connect_after = after;
    script.steps = {std::move(send), std::move(wait)};
    workload.push_back(std::move(script));
  };
  const auto words = [](std::initializer_list<const char*> texts) {
    Command command;
    for (const char* text : texts) command.push_back(Bytes::Text(text));
    return command;
  };
  std::vector<Command> listening;
  if (prng.Chance(1, 2)) listening.push_back(words({"HELLO", "3"}));
  listening.push_back(words({"CLIENT", "REPLY", "OFF"}));
  listening.push_back(words({"SUBSCRIBE", "c1", "silent"}));
  add(std::move(listening), 0);
  const uint64_t messages = prng.Between(1, 3);
  add(std::vector<Command>(messages, words({"PUBLISH", "silent", "message"})),
      static_cast<Nanoseconds>(prng.Below(10)) * kMillisecond);
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

// Somebody sets the wall clock, in few worlds. Drawn from a sequence of its own.
void DrawJumps(Prng& prng, sim::Configuration& configuration) {
  if (!prng.Chance(1, 8)) return;
  const uint64_t jumps = prng.Between(1, kWallJumpsMax);
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
    configuration[WallJumpName(index, "at_ns")] = static_cast<Nanoseconds>(at_us) * kMicrosecond;
    configuration[WallJumpName(index, "by_ns")] = by;
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

// In some worlds connections have slots of a fixed-file table: all of them, or a few, and then the
// others have descriptors.
void DrawFixedFiles(Prng& prng, sim::Configuration& configuration) {
  constexpr uint64_t kForAll = 1000;
  if (!prng.Chance(1, 4)) return;
  const bool few = configuration["descriptors_max"] < static_cast<int64_t>(kForAll);
  configuration["fixed_files"] =
      static_cast<int64_t>(few || prng.Chance(1, 2) ? prng.Between(1, 4) : kForAll);
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

// What clients may cost, in some worlds: how much may wait for them, how long they may be idle,
// what they have to say first, and how much all keys may take. Drawn from a sequence of its own.
void DrawClientLimits(Prng& prng, sim::Configuration& configuration, WorkloadOptions& options) {
  if (!prng.Chance(1, 5)) return;
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  if (prng.Chance(1, 2)) {
    set("idle_seconds_max", prng.Between(1, 3));
    // Of arguments that come slowly, some are received in place.
    if (prng.Chance(1, 2)) set("in_place_bytes_min", PowerOfTwo(prng, 0, 6));
  }
  if (prng.Chance(1, 2)) {
    // Clients that read late, and ask for much.
    options.pause_odds = 2;
    options.wide_odds = 8;
    const uint64_t bytes = PowerOfTwo(prng, 9, 18);
    const uint64_t kinds = prng.Below(3);
    if (kinds != 0) set("output_hard_bytes", bytes + prng.Below(bytes));
    if (kinds != 1) {
      set("output_soft_bytes", std::max<uint64_t>(bytes >> prng.Below(5), 1));
      set("output_soft_seconds", prng.Below(3));
    }
    if (prng.Chance(3, 4)) SetOutputPause(1 * kMiB, configuration);
  }
  if (prng.Chance(1, 4)) set("input_bytes_max", PowerOfTwo(prng, 6, 14));
  if (prng.Chance(1, 4)) set("memory_bytes_max", PowerOfTwo(prng, 12, 20));
  if (prng.Chance(1, 3)) {
    set("password", 1);
    options.admin_odds = prng.Between(4, 20);
  }
}

// Clients that are silent for as long as the server bears it, or a little longer, or send so
// slowly.
void SlowDown(Prng& prng, Nanoseconds idle_max, Workload& workload) {
  const auto about_idle_max = [&] {
    return idle_max / 4 + static_cast<Nanoseconds>(prng.Below(static_cast<uint64_t>(idle_max) * 2));
  };
  for (Script& script : workload) {
    if (prng.Chance(1, 2)) continue;
    ScriptStep pause;
    pause.kind = prng.Chance(1, 2) ? ScriptStep::Kind::kWait : ScriptStep::Kind::kPause;
    pause.duration = about_idle_max();
    const auto at = static_cast<ptrdiff_t>(prng.Below(script.steps.size() + 1));
    script.steps.insert(script.steps.begin() + at, std::move(pause));
    ScriptStep& slow = script.steps[prng.Below(script.steps.size())];
    if (slow.kind != ScriptStep::Kind::kSend || !prng.Chance(1, 2)) continue;
    uint64_t bytes = 0;
    for (const Command& command : slow.commands) {
      for (const Bytes& argument : command) bytes += argument.size();
    }
    slow.portions = {bytes / prng.Between(2, 8) + 1};
    slow.duration = about_idle_max() / 2;
  }
}

Command SayPassword(std::string password) {
  return {Bytes::Text("AUTH"), Bytes::Text(std::move(password))};
}

// Everybody says the password first, and again after a RESET; and somebody does not know it.
void AddPasswords(Prng& prng, Workload& workload) {
  for (Script& script : workload) {
    for (ScriptStep& step : script.steps) {
      std::vector<Command> commands;
      for (Command& command : step.commands) {
        const std::string name = command[0].text;
        commands.push_back(std::move(command));
        if (name == "RESET" || name == "reset") commands.push_back(SayPassword(kPassword));
      }
      step.commands = std::move(commands);
    }
    ScriptStep first;
    first.kind = ScriptStep::Kind::kSend;
    first.commands = {SayPassword(kPassword)};
    script.steps.insert(script.steps.begin(), std::move(first));
  }
  Script stranger;
  stranger.client = workload.back().client + 1;
  stranger.connect_after = static_cast<Nanoseconds>(prng.Below(20'000)) * kMicrosecond;
  ScriptStep tries;
  tries.kind = ScriptStep::Kind::kSend;
  for (uint64_t count = prng.Between(1, 6); count > 0; --count) {
    switch (prng.Below(5)) {
      case 0:
        tries.commands.push_back(SayPassword("wrong"));
        break;
      case 1:
        tries.commands.push_back({Bytes::Text("SET"), Bytes::Text("k0"), Bytes::Text("stolen")});
        break;
      case 2:
        tries.commands.push_back({Bytes::Text("HELLO"), Bytes::Text("3")});
        break;
      case 3:
        tries.commands.push_back({Bytes::Text("RESET")});
        break;
      default:
        tries.commands.push_back({Bytes::Text("GET"), Bytes::Text("k0")});
        break;
    }
  }
  stranger.steps.push_back(std::move(tries));
  ScriptStep last;
  last.kind = ScriptStep::Kind::kRaw;
  if (prng.Chance(1, 2)) {
    last.raw = Bytes::Text("*11\r\n");
    last.error = "-ERR Protocol error: unauthenticated multibulk length\r\n";
  } else {
    last.raw = Bytes::Text("*2\r\n$4\r\nAUTH\r\n$16385\r\n");
    last.error = "-ERR Protocol error: unauthenticated bulk length\r\n";
  }
  stranger.steps.push_back(std::move(last));
  // Right behind the password, what a stranger may not say.
  for (Script& script : workload) {
    if (!prng.Chance(1, 2)) continue;
    Command wide = {Bytes::Text("EXISTS"), Bytes::Repeated("k0", prng.Between(10, 20))};
    script.steps.front().commands.push_back(std::move(wide));
  }
  workload.push_back(std::move(stranger));
}

// Whether a script may send commands behind this step, and the server still reads them as such.
bool MaySendBehind(const ScriptStep& step) {
  switch (step.kind) {
    case ScriptStep::Kind::kSend:
      return step.cut_bytes == 0;
    case ScriptStep::Kind::kPause:
    case ScriptStep::Kind::kWait:
    case ScriptStep::Kind::kAwait:
      return true;
    default:
      return false;
  }
}

// In some worlds that nothing else stops, a client does.
void AddShutdown(Prng& prng, const sim::Configuration& configuration, Workload& workload) {
  const bool stops =
      configuration.contains("stop_after_ns") || configuration.contains("stop_after_steps");
  if (stops || !prng.Chance(1, 12)) return;
  ScriptStep step;
  step.kind = ScriptStep::Kind::kSend;
  step.commands = {{Bytes::Text("SHUTDOWN")}};
  if (prng.Chance(1, 2)) step.commands[0].push_back(Bytes::Text("nosave"));
  if (prng.Chance(1, 2)) step.commands[0].push_back(Bytes::Text("NOW"));
  Script& script = workload[prng.Below(workload.size())];
  const auto end = std::ranges::find_if_not(script.steps, MaySendBehind);
  const auto steps = static_cast<uint64_t>(end - script.steps.begin());
  const auto at = static_cast<ptrdiff_t>(prng.Below(steps + 1));
  script.steps.insert(script.steps.begin() + at, std::move(step));
}

}  // namespace

sim::Configuration DrawServerConfiguration(Prng& prng) {
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

sim::Plan DrawServerPlan(std::string_view scenario, uint64_t seed) {
  sim::Plan plan = DrawPlan(scenario, seed, DrawServerConfiguration);
  Prng workload_prng(Combine(seed, kWorkloadSequence));
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
  Prng limits_prng(Combine(seed, 20));
  DrawClientLimits(limits_prng, plan.configuration, options);
  FitToBuffers(plan.configuration, options);
  Workload workload = GenerateWorkload(workload_prng, options);
  if (plan.configuration.contains("zero_copy_bytes_min")) {
    AddLargeReaders(zero_copy_prng, options.value_bytes_max, workload);
  }
  Prng listeners_prng(Combine(seed, 11));
  if (listeners_prng.Chance(1, 5)) AddListeners(listeners_prng, options, workload);
  Prng silence_prng(Combine(seed, 22));
  if (silence_prng.Chance(1, 12)) AddSilentListener(silence_prng, workload);
  Prng transactions_prng(Combine(seed, 13));
  if (transactions_prng.Chance(1, 3)) {
    AddTransactions(transactions_prng, options.keys, workload);
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
  if (plan.configuration.contains("idle_seconds_max")) {
    SlowDown(limits_prng, plan.configuration["idle_seconds_max"] * kSecond, workload);
  }
  Prng shutdown_prng(Combine(seed, 21));
  AddShutdown(shutdown_prng, plan.configuration, workload);
  if (plan.configuration.contains("password")) AddPasswords(limits_prng, workload);
  Prng jumps_prng(Combine(seed, 6));
  DrawJumps(jumps_prng, plan.configuration);
  WriteWorkload(workload, plan.workload);
  return plan;
}

}  // namespace orrery::scenarios
