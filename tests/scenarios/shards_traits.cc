#include "tests/scenarios/shards_traits.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"

namespace orrery::scenarios {
namespace {

struct Traits {
  bool expiry = false;
  bool controls = false;
  bool messages = false;        // In transactions.
  bool slow_listeners = false;  // And a limit of what may wait for them.
};

Traits DrawTraits(Prng& prng, const ShardsWorkloadOptions& options) {
  Traits traits;
  traits.expiry = prng.Chance(1, 5);
  traits.controls = prng.Chance(1, 8);
  const bool messages = prng.Chance(1, 2);
  // Behind what asks all shards, a transaction goes by a later time.
  traits.messages = messages && !traits.expiry && options.publish > 0 && options.transactions > 0;
  const bool slow = prng.Chance(1, 3);
  traits.slow_listeners = slow && options.publish > 0;
  return traits;
}

bool Listens(const Script& script) {
  for (const ScriptStep& step : script.steps) {
    for (const Command& command : step.commands) {
      if (command[0].text.ends_with("SUBSCRIBE")) return true;
    }
  }
  return false;
}

// Adds commands to the script of one client.
class Enricher {
 public:
  Enricher(Prng& prng, const ShardsWorkloadOptions& options, const Traits& traits, Script& script)
      : prng_(prng), options_(options), traits_(traits), script_(script) {}

  void Enrich() {
    for (ScriptStep& step : script_.steps) {
      std::vector<Command> commands;
      for (Command& command : step.commands) {
        AddBefore(commands);
        const std::string name = command[0].text;
        if (name == "MULTI") in_multi_ = true;
        if (name == "EXEC" || name == "DISCARD") in_multi_ = false;
        commands.push_back(IsUnfit(name) ? DrawTimed() : std::move(command));
      }
      step.commands = std::move(commands);
    }
  }

 private:
  void AddBefore(std::vector<Command>& commands) {
    if (traits_.expiry && prng_.Chance(1, 2)) commands.push_back(DrawTimed());
    if (traits_.messages && in_multi_ && prng_.Chance(1, 2)) commands.push_back(DrawPublish());
    if (traits_.controls && !in_multi_ && prng_.Chance(1, 4)) commands.push_back(DrawControl());
  }
  // Which keys have expired by one time of all shards, the server does not say.
  bool IsUnfit(std::string_view name) const {
    if (!traits_.expiry) return false;
    return name == "DBSIZE" || name == "KEYS" || (name == "FLUSHALL" && in_multi_);
  }

  static Command Words(std::initializer_list<std::string_view> words) {
    Command command;
    for (const std::string_view word : words) command.push_back(Bytes::Text(std::string(word)));
    return command;
  }
  Bytes Key() { return DrawShardsKey(prng_, options_, !options_.across_shards); }
  Bytes Value() {
    const uint64_t number = values_++;
    return Bytes::Text("x" + std::to_string(script_.client) + "." + std::to_string(number));
  }
  // Up to some tens, small ones more likely.
  std::string Milliseconds() {
    const uint64_t low = uint64_t{1} << prng_.Below(5);
    return std::to_string(prng_.Between(low, 2 * low));
  }

  Command DrawTimed() {
    static constexpr std::array<std::string_view, 8> kNames = {
        "SET", "SET", "PSETEX", "PEXPIRE", "PTTL", "PEXPIRETIME", "GETEX", "PERSIST"};
    const std::string_view name = kNames[prng_.Below(kNames.size())];
    Command command = Words({name});
    command.push_back(Key());
    if (name == "SET") command.push_back(Value());
    if (name == "SET" || name == "GETEX") command.push_back(Bytes::Text("PX"));
    const bool timed = name == "SET" || name == "GETEX" || name == "PSETEX" || name == "PEXPIRE";
    if (timed) command.push_back(Bytes::Text(Milliseconds()));
    if (name == "PEXPIRE" && prng_.Chance(1, 6)) command.back() = Bytes::Text("-1");
    if (name == "PSETEX") command.push_back(Value());
    return command;
  }
  Command DrawPublish() {
    Command command = Words({"PUBLISH"});
    command.push_back(Bytes::Text("ch" + std::to_string(prng_.Below(options_.channels))));
    command.push_back(Value());
    return command;
  }
  Command DrawControl() {
    const uint64_t kind = prng_.Below(6);
    if (kind == 0) return Words({"CLIENT", "UNPAUSE"});
    if (kind <= 2) {
      const std::string_view what = kind == 1 ? "ALL" : "WRITE";
      return Words({"CLIENT", "PAUSE", Milliseconds(), what});
    }
    if (kind == 3) return Words({"CLIENT", "KILL", "TYPE", "pubsub"});
    if (kind == 4 && prng_.Chance(1, 4)) return Words({"CLIENT", "KILL", "TYPE", "normal"});
    // Ids count from 1, in the order in which clients come.
    const std::string id = std::to_string(prng_.Between(1, options_.clients));
    return Words({"CLIENT", "KILL", "ID", id});
  }

  Prng& prng_;
  const ShardsWorkloadOptions& options_;
  const Traits& traits_;
  Script& script_;
  bool in_multi_ = false;
  uint64_t values_ = 0;
};

// Subscribers who stop reading for a while; much is published, and little may wait for them.
void AddSlowListeners(Prng& prng, sim::Configuration& configuration, Workload& workload) {
  const uint64_t limit_low = uint64_t{1} << prng.Between(8, 13);
  const uint64_t limit = prng.Between(limit_low, 2 * limit_low);
  const bool soft = prng.Chance(1, 3);
  configuration[soft ? "output_soft_bytes" : "output_hard_bytes"] = static_cast<int64_t>(limit);
  if (soft) configuration["output_soft_seconds"] = static_cast<int64_t>(prng.Below(2));
  configuration["socket_buffer_bytes"] = static_cast<int64_t>(prng.Between(256, 1024));
  for (Script& script : workload) {
    if (Listens(script)) {
      ScriptStep pause;
      pause.kind = ScriptStep::Kind::kPause;
      const uint64_t most_ms = soft ? 4000 : 500;
      pause.duration = static_cast<Nanoseconds>(prng.Between(20, most_ms)) * kMillisecond;
      script.steps.push_back(std::move(pause));
      continue;
    }
    for (ScriptStep& step : script.steps) {
      for (Command& command : step.commands) {
        if (command[0].text == "PUBLISH") command[2].fill_bytes = prng.Between(1, limit);
      }
    }
  }
}

}  // namespace

void AddShardsTraits(Prng& prng, const ShardsWorkloadOptions& options,
                     sim::Configuration& configuration, Workload& workload) {
  const Traits traits = DrawTraits(prng, options);
  for (Script& script : workload) {
    // Who listens may say little else.
    if (!Listens(script)) Enricher(prng, options, traits, script).Enrich();
  }
  if (traits.slow_listeners) AddSlowListeners(prng, configuration, workload);
}

}  // namespace orrery::scenarios
