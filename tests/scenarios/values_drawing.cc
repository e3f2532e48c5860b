#include "tests/scenarios/values_drawing.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/prng.h"
#include "base/units.h"
#include "tests/scenarios/command.h"
#include "tests/scenarios/draws.h"
#include "tests/scenarios/scenario.h"
#include "tests/scenarios/server_drawing.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {
namespace {

constexpr uint64_t kValueBytesMax = 8 * kMiB;
constexpr uint64_t kKeys = 3;  // Few, so that who writes meets who reads.

// Of so many bits and one more, each number of bits as likely as another.
uint64_t AboutPowerOfTwo(Prng& prng, unsigned low_bits, unsigned high_bits) {
  const uint64_t power = uint64_t{1} << prng.Between(low_bits, high_bits);
  return power + prng.Below(power);
}

// Buffers of the kernel through which megabytes pass in hundreds of pieces, and not in millions.
void DrawBuffers(Prng& prng, sim::Configuration& configuration) {
  configuration["socket_buffer_bytes"] = static_cast<int64_t>(AboutPowerOfTwo(prng, 14, 18));
  configuration["buffer_bytes"] = static_cast<int64_t>(AboutPowerOfTwo(prng, 12, 15));
  configuration["buffers"] = static_cast<int64_t>(uint64_t{1} << prng.Between(0, 6));
}

// From which size on arguments are received in place: as ever, never, or at any size.
void DrawInPlace(Prng& prng, sim::Configuration& configuration) {
  static constexpr int64_t kNever = 1024 * kMiB;
  const uint64_t kind = prng.Below(4);
  if (kind == 0) configuration["in_place_bytes_min"] = kNever;
  if (kind > 1) {
    configuration["in_place_bytes_min"] = static_cast<int64_t>(AboutPowerOfTwo(prng, 0, 17));
  }
  if (prng.Chance(1, 3)) {
    configuration["in_place_trusted_bytes"] = static_cast<int64_t>(AboutPowerOfTwo(prng, 0, 20));
  }
}

// From which size on replies go out without copies: never, or from any, with room for much or
// little.
void DrawZeroCopy(Prng& prng, sim::Configuration& configuration) {
  if (prng.Chance(1, 2)) return;
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  set("zero_copy_bytes_min", AboutPowerOfTwo(prng, 0, 15));
  if (prng.Chance(1, 3)) return;
  set("send_slots", prng.Between(1, 4));
  set("send_iovecs", prng.Between(1, 8));
  set("send_guards", prng.Between(1, 4));
  set("copy_slots", prng.Between(1, 4));
  set("copy_bytes", AboutPowerOfTwo(prng, 0, 9));
}

// The longest value. The model sums up what is left of a message whenever a zero-copy send has sent
// a piece of it: of few worlds, that would take most of the time of all.
uint64_t ValueBytesMax(const sim::Configuration& configuration) {
  static constexpr uint64_t kSummedBytesMax = 64 * kMiB;
  uint64_t bytes = kValueBytesMax;
  if (!configuration.contains("zero_copy_bytes_min")) return bytes;
  const auto piece = static_cast<uint64_t>(configuration.at("socket_buffer_bytes"));
  while (bytes / piece * bytes > kSummedBytesMax) bytes /= 2;
  return bytes;
}

class Drawer {
 public:
  Drawer(Prng& prng, const sim::Configuration& configuration)
      : prng_(prng),
        bytes_max_(ValueBytesMax(configuration)),
        in_place_from_(static_cast<uint64_t>(
            sim::ValueOr(configuration, "in_place_bytes_min", int64_t{32} * kKiB))) {}

  Workload Draw() {
    Workload workload;
    const uint64_t clients = prng_.Between(1, 2);
    for (uint64_t client = 0; client < clients; ++client) {
      Script script;
      script.client = client;
      script.connect_after = static_cast<Nanoseconds>(prng_.Below(3'000)) * kMicrosecond;
      script.read_bytes = AboutPowerOfTwo(prng_, 8, 17);
      for (uint64_t steps = prng_.Between(1, 3); steps > 0; --steps) {
        if (prng_.Chance(1, 4)) script.steps.push_back(Silence());
        script.steps.push_back(Send());
      }
      script.steps.push_back(End());
      workload.push_back(std::move(script));
    }
    return workload;
  }

 private:
  Bytes Key() { return Bytes::Text("v" + std::to_string(prng_.Below(kKeys))); }

  // The longest at times, or about where a receive in place begins to pay; otherwise of any size.
  Bytes Value() {
    uint64_t bytes = LogUniform(prng_, bytes_max_);
    if (OneIn(prng_, 24)) bytes = bytes_max_;
    if (in_place_from_ < bytes_max_ && OneIn(prng_, 4)) {
      bytes = std::min(in_place_from_ + prng_.Below(8), bytes_max_);
    }
    Bytes value;
    value.fill_bytes = bytes;
    value.fill_seed = prng_.Below(1000);
    return value;
  }

  // `arguments`: 'k' is a key, 'v' a value.
  Command Of(const char* name, std::string_view arguments) {
    Command command = {Bytes::Text(name)};
    for (const char kind : arguments) command.push_back(kind == 'k' ? Key() : Value());
    return command;
  }

  Command OneCommand() {
    switch (prng_.Below(10)) {
      case 0:
      case 1:
      case 2:
        return Of("SET", "kv");
      case 3:
        return Of("GETSET", "kv");
      case 4:
        return Of("MSET", "kvkv");
      case 5:
        return Of("APPEND", "kv");
      case 6:
        return Of("MGET", "kkk");
      case 7:
        return Of("ECHO", "v");
      default:
        return Of("GET", "k");
    }
  }

  ScriptStep Send() {
    ScriptStep step;
    step.kind = ScriptStep::Kind::kSend;
    for (uint64_t commands = prng_.Between(1, 3); commands > 0; --commands) {
      step.commands.push_back(OneCommand());
    }
    if (prng_.Chance(1, 3)) {
      // Such that ends of packets and of arguments meet at times.
      step.portions = {AboutPowerOfTwo(prng_, 12, 20)};
      step.portions.push_back(prng_.Between(1, 40));
    }
    return step;
  }

  ScriptStep Silence() {
    ScriptStep step;
    step.kind = prng_.Chance(1, 2) ? ScriptStep::Kind::kPause : ScriptStep::Kind::kAwait;
    if (step.kind == ScriptStep::Kind::kPause) {
      step.duration = static_cast<Nanoseconds>(prng_.Between(1, 20'000)) * kMicrosecond;
    }
    return step;
  }

  ScriptStep End() {
    static constexpr std::array kEnds = {ScriptStep::Kind::kAwait, ScriptStep::Kind::kAwait,
                                         ScriptStep::Kind::kHalfClose, ScriptStep::Kind::kClose,
                                         ScriptStep::Kind::kReset};
    ScriptStep step;
    step.kind = kEnds[prng_.Below(kEnds.size())];
    return step;
  }

  Prng& prng_;
  uint64_t bytes_max_;
  uint64_t in_place_from_;
};

}  // namespace

sim::Plan DrawValuesPlan(std::string_view scenario, uint64_t seed) {
  sim::Plan plan = DrawPlan(scenario, seed, DrawServerConfiguration);
  Prng ways_prng(Combine(seed, 5));
  DrawBuffers(ways_prng, plan.configuration);
  DrawInPlace(ways_prng, plan.configuration);
  DrawZeroCopy(ways_prng, plan.configuration);
  if (OneIn(ways_prng, 3)) {
    plan.configuration["fixed_files"] = static_cast<int64_t>(ways_prng.Between(1, 4));
  }
  Prng workload_prng(Combine(seed, kWorkloadSequence));
  WriteWorkload(Drawer(workload_prng, plan.configuration).Draw(), plan.workload);
  return plan;
}

}  // namespace orrery::scenarios
