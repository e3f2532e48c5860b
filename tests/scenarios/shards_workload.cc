#include "tests/scenarios/shards_workload.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "tests/scenarios/draws.h"

namespace orrery::scenarios {
namespace {

class Generator {
 public:
  Generator(Prng& prng, const ShardsWorkloadOptions& options, uint64_t client)
      : prng_(prng), options_(options) {
    script_.client = client;
  }

  Script Generate() {
    if (prng_.Chance(1, 2)) script_.connect_after = Microseconds(prng_, 5'000);
    if (prng_.Chance(1, 4)) script_.read_bytes = LogUniform(prng_, 4 * kKiB);
    const bool resp3 = OneIn(prng_, options_.resp3_odds);
    if (resp3) AddSend({Words({"HELLO", "3"})});
    const bool listens = OneIn(prng_, options_.subscriber_odds);
    if (listens) AddSubscription();
    const uint64_t steps = prng_.Between(1, options_.steps_max);
    for (uint64_t step = 0; step < steps && !done_; ++step) {
      if (listens && (!resp3 || prng_.Chance(1, 3))) {
        AddListening();
      } else {
        AddWork();
      }
    }
    return std::move(script_);
  }

 private:
  using Kind = ScriptStep::Kind;

  // --- Arguments.

  static Command Words(std::initializer_list<std::string_view> words) {
    Command command;
    for (const std::string_view word : words) command.push_back(Bytes::Text(std::string(word)));
    return command;
  }
  Bytes Key() { return DrawShardsKey(prng_, options_, together_); }
  // Whether the keys of the command to be drawn are all on one shard.
  void DrawTogether() { together_ = !options_.across_shards || prng_.Chance(1, 4); }
  Bytes Counter() { return Bytes::Text("n" + std::to_string(prng_.Below(2))); }
  Bytes Value() {
    Bytes value = Bytes::Text("v" + std::to_string(script_.client) + "." + std::to_string(values_));
    ++values_;
    if (options_.big_value_bytes != 0 && prng_.Chance(1, 6)) {
      value.fill_bytes = prng_.Between(options_.big_value_bytes / 2, options_.big_value_bytes);
      value.fill_seed = values_;
    }
    return value;
  }
  Bytes Small() { return Bytes::Text(std::to_string(prng_.Below(8))); }
  Bytes Channel() { return Bytes::Text("ch" + std::to_string(prng_.Below(options_.channels))); }

  // --- Commands.

  Command DrawSingleKey() {
    static constexpr std::array<std::string_view, 12> kNames = {
        "GET",    "GET",    "SET",    "SET",   "SET NX",   "SET XX",
        "APPEND", "GETSET", "GETDEL", "SETNX", "SETRANGE", "GETRANGE"};
    const std::string_view name = Pick(prng_, kNames);
    Command command = Words({name.substr(0, name.find(' '))});
    command.push_back(Key());
    if (name == "GET" || name == "GETDEL") return command;
    if (name == "GETRANGE" || name == "SETRANGE") command.push_back(Small());
    command.push_back(name == "GETRANGE" ? Small() : Value());
    if (name.starts_with("SET ")) command.push_back(Bytes::Text(std::string(name.substr(4))));
    if (name.starts_with("SET ") && prng_.Chance(1, 3)) command.push_back(Bytes::Text("GET"));
    return command;
  }
  Command DrawCounter() {
    static constexpr std::array<std::string_view, 5> kNames = {"INCR", "INCRBY", "DECR", "GET",
                                                               "STRLEN"};
    const std::string_view name = Pick(prng_, kNames);
    Command command = Words({name});
    command.push_back(Counter());
    if (name == "INCRBY") command.push_back(Small());
    return command;
  }
  Command DrawManyKeys() {
    static constexpr std::array<std::string_view, 9> kNames = {
        "MGET", "MGET", "MGET", "MSET", "MSET", "MSETNX", "DEL", "UNLINK", "EXISTS"};
    const std::string_view name = Pick(prng_, kNames);
    Command command = Words({name});
    DrawTogether();
    const uint64_t count = prng_.Between(1, 5);
    for (uint64_t key = 0; key < count; ++key) {
      command.push_back(!together_ && prng_.Chance(1, 8) ? Counter() : Key());
      if (name.starts_with("MSET")) command.push_back(Value());
    }
    together_ = false;
    return command;
  }
  Command DrawBetweenKeys() {
    static constexpr std::array<std::string_view, 6> kNames = {"RENAME", "RENAMENX", "COPY",
                                                               "COPY",   "BITOP",    "LCS"};
    const std::string_view name = Pick(prng_, kNames);
    Command command = Words({name});
    if (name == "LCS") {
      // Of short values: it takes time and memory by the product of their sizes.
      command.push_back(Counter());
      command.push_back(Counter());
      command.push_back(Bytes::Text("LEN"));
      return command;
    }
    if (name == "BITOP") command.push_back(Bytes::Text("XOR"));
    DrawTogether();
    command.push_back(Key());
    command.push_back(Key());
    if (name == "BITOP") command.push_back(Key());
    together_ = false;
    if (name == "COPY" && prng_.Chance(1, 2)) command.push_back(Bytes::Text("REPLACE"));
    return command;
  }
  Command DrawNoKey() {
    if (prng_.Chance(1, 2)) return Words({"PING"});
    Command command = Words({"ECHO"});
    command.push_back(Value());
    return command;
  }
  Command DrawAllShards() {
    static constexpr std::array<std::string_view, 4> kNames = {"INFO", "SCAN", "CLIENT",
                                                               "RANDOMKEY"};
    const std::string_view name = Pick(prng_, kNames);
    Command command = Words({name});
    if (name == "SCAN") command.push_back(Bytes::Text("0"));
    if (name == "CLIENT") command.push_back(Bytes::Text("LIST"));
    return command;
  }
  Command DrawAllKeys() {
    static constexpr std::array<std::string_view, 5> kNames = {"DBSIZE", "DBSIZE", "KEYS", "KEYS",
                                                               "FLUSHALL"};
    const std::string_view name = Pick(prng_, kNames);
    Command command = Words({name});
    if (name == "KEYS") command.push_back(Bytes::Text("*"));
    return command;
  }
  Command DrawPublish() {
    Command command = Words({"PUBLISH"});
    command.push_back(Channel());
    command.push_back(Value());
    return command;
  }
  // What a transaction may consist of as well.
  Command DrawOnKeys() {
    const std::array weights = {options_.single_key, options_.counters, options_.many_keys,
                                options_.between_keys, options_.all_keys};
    switch (Weighted(prng_, weights)) {
      case 0:
        return DrawSingleKey();
      case 1:
        return DrawCounter();
      case 2:
        return DrawManyKeys();
      case 3:
        return DrawBetweenKeys();
      default:
        return DrawAllKeys();
    }
  }
  Command DrawCommand() {
    const uint64_t on_keys = options_.single_key + options_.counters + options_.many_keys +
                             options_.between_keys + options_.all_keys;
    const std::array weights = {on_keys, options_.no_key, options_.all_shards, options_.publish};
    switch (Weighted(prng_, weights)) {
      case 0:
        return DrawOnKeys();
      case 1:
        return DrawNoKey();
      case 2:
        return DrawAllShards();
      default:
        return DrawPublish();
    }
  }

  // --- Steps.

  void Add(Kind kind, Nanoseconds duration = 0) {
    ScriptStep step;
    step.kind = kind;
    step.duration = duration;
    script_.steps.push_back(std::move(step));
  }
  ScriptStep SendOf(std::vector<Command> commands) {
    ScriptStep step;
    step.kind = Kind::kSend;
    step.commands = std::move(commands);
    if (prng_.Chance(1, 4)) step.portions = {prng_.Between(1, 60)};
    return step;
  }
  void AddSend(std::vector<Command> commands) {
    script_.steps.push_back(SendOf(std::move(commands)));
  }
  void AddPauseMaybe() {
    if (OneIn(prng_, options_.pause_odds)) Add(Kind::kPause, Microseconds(prng_, 20'000));
  }

  void AddWork() {
    if (OneIn(prng_, options_.protocol_error_odds)) return AddProtocolError();
    if (OneIn(prng_, options_.disconnect_odds)) return AddDisconnect();
    AddPauseMaybe();
    const uint64_t others = options_.single_key + options_.counters + options_.many_keys +
                            options_.between_keys + options_.no_key;
    if (Weighted(prng_, std::array{others, options_.transactions}) == 1) {
      AddTransaction();
    } else {
      AddSend(DrawPipeline());
    }
    const uint64_t after = prng_.Below(6);
    if (after == 0) Add(Kind::kWait, Microseconds(prng_, 20'000));
    if (after >= 4) Add(Kind::kAwait);
  }

  std::vector<Command> DrawPipeline() {
    std::vector<Command> commands;
    const uint64_t count = LogUniform(prng_, options_.pipeline_max);
    for (uint64_t index = 0; index < count; ++index) commands.push_back(DrawCommand());
    return commands;
  }

  // MULTI and what follows, at times with WATCH, in one piece or in two.
  void AddTransaction() {
    std::vector<Command> commands;
    if (prng_.Chance(1, 2)) {
      Command watch = Words({"WATCH"});
      watch.push_back(Key());
      if (prng_.Chance(1, 3)) watch.push_back(Key());
      commands.push_back(std::move(watch));
      if (prng_.Chance(1, 2)) commands.push_back(DrawSingleKey());
      if (prng_.Chance(1, 2)) {
        AddSend(std::exchange(commands, {}));
        if (prng_.Chance(1, 2)) Add(Kind::kAwait);
      }
    }
    commands.push_back(Words({"MULTI"}));
    const uint64_t count = prng_.Below(5);
    for (uint64_t index = 0; index < count; ++index) commands.push_back(DrawOnKeys());
    if (prng_.Chance(1, 16)) commands.push_back(Words({"NOSUCH"}));
    if (prng_.Chance(1, 4)) AddSend(std::exchange(commands, {}));
    commands.push_back(Words({prng_.Chance(1, 10) ? "DISCARD" : "EXEC"}));
    if (prng_.Chance(1, 3)) commands.push_back(DrawCommand());
    AddSend(std::move(commands));
  }

  void AddSubscription() {
    static constexpr std::array<std::string_view, 3> kPatterns = {"ch*", "ch0*", "*"};
    std::vector<Command> commands;
    Command subscribe = Words({"SUBSCRIBE"});
    const uint64_t count = prng_.Between(1, 2);
    for (uint64_t index = 0; index < count; ++index) subscribe.push_back(Channel());
    commands.push_back(std::move(subscribe));
    if (prng_.Chance(1, 3)) {
      Command pattern = Words({"PSUBSCRIBE"});
      pattern.push_back(Bytes::Text(std::string(Pick(prng_, kPatterns))));
      commands.push_back(std::move(pattern));
    }
    AddSend(std::move(commands));
  }
  void AddListening() {
    AddPauseMaybe();
    switch (prng_.Below(8)) {
      case 0:
        return AddSubscription();
      case 1: {
        Command end = Words({"UNSUBSCRIBE"});
        end.push_back(Channel());
        return AddSend({std::move(end)});
      }
      case 2:
        return AddSend({Words({"PUNSUBSCRIBE", "ch*"})});
      case 3:
        return AddSend({Words({"PING"})});
      case 4:
        return OneIn(prng_, options_.disconnect_odds)
                   ? AddEnd()
                   : Add(Kind::kWait, Microseconds(prng_, 1'000));
      default:
        return Add(Kind::kWait, Microseconds(prng_, 20'000));
    }
  }

  void AddProtocolError() {
    ScriptStep raw;
    raw.kind = Kind::kRaw;
    raw.raw = Bytes::Text("*1\r\n$abc\r\n");
    raw.error = "-ERR Protocol error: invalid bulk length\r\n";
    script_.steps.push_back(std::move(raw));
    if (prng_.Chance(1, 2)) AddSend(DrawPipeline());
    done_ = true;
  }
  void AddDisconnect() {
    AddSend(DrawPipeline());
    const bool cut = prng_.Chance(1, 2);
    if (cut) script_.steps.back().cut_bytes = LogUniform(prng_, 64);
    AddEnd();
    if (!cut && prng_.Chance(1, 4)) script_.steps.back() = SendOf({Words({"QUIT"})});
  }
  void AddEnd() {
    static constexpr std::array kEnds = {Kind::kHalfClose, Kind::kClose, Kind::kReset};
    Add(kEnds[prng_.Below(kEnds.size())]);
    done_ = true;
  }

  Prng& prng_;
  const ShardsWorkloadOptions& options_;
  Script script_;
  bool done_ = false;
  bool together_ = false;
  uint64_t values_ = 0;
};

}  // namespace

ShardsWorkloadOptions DrawShardsWorkloadOptions(Prng& prng) {
  ShardsWorkloadOptions options;
  options.clients = prng.Between(1, 8);
  options.steps_max = prng.Between(2, 10);
  options.pipeline_max = prng.Chance(1, 3) ? 1 : prng.Between(2, 16);
  options.keys = prng.Between(1, 10);
  options.channels = prng.Between(1, 3);
  if (prng.Chance(1, 3)) options.big_value_bytes = prng.Between(4, 12) * kKiB;
  // Each family is left out in some worlds, and is most of others.
  for (uint64_t* const weight : {&options.counters, &options.many_keys, &options.between_keys,
                                 &options.no_key, &options.all_shards}) {
    *weight = prng.Chance(1, 4) ? 0 : uint64_t{1} << prng.Below(5);
  }
  options.across_shards = prng.Chance(7, 8);
  if (prng.Chance(1, 2)) options.transactions = uint64_t{1} << prng.Between(2, 6);
  if (prng.Chance(1, 4)) options.all_keys = prng.Between(1, 4);
  if (prng.Chance(1, 3)) {
    options.publish = uint64_t{1} << prng.Below(5);
    options.subscriber_odds = prng.Between(2, 4);
    options.clients = std::max<uint64_t>(options.clients, 3);
  }
  options.disconnect_odds = prng.Chance(1, 3) ? 5 : 24;
  options.pause_odds = prng.Chance(1, 3) ? 3 : 20;
  if (prng.Chance(1, 100)) {
    // A crowd, each of whom does little.
    options.clients = prng.Between(50, 300);
    options.steps_max = 2;
    options.pipeline_max = 3;
  }
  return options;
}

Bytes DrawShardsKey(Prng& prng, const ShardsWorkloadOptions& options, bool together) {
  const uint64_t number = prng.Chance(1, 2) ? 0 : prng.Below(options.keys);
  // Those with a tag are all on one shard; some others are, too.
  const bool tagged = together || number % 4 == 3;
  return Bytes::Text((tagged ? "{t}k" : "k") + std::to_string(number));
}

Workload GenerateShardsWorkload(Prng& prng, const ShardsWorkloadOptions& options) {
  Workload workload;
  for (uint64_t client = 1; client <= options.clients; ++client) {
    workload.push_back(Generator(prng, options, client).Generate());
  }
  return workload;
}

}  // namespace orrery::scenarios
