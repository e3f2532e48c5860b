#include "tests/scenarios/workload.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "base/check.h"
#include "tests/scenarios/draws.h"

namespace orrery::scenarios {
namespace {

using sim::Json;

// A plan may be edited by hand; more than this in one value is a mistake.
constexpr uint64_t kFillBytesMax = 64 * kMiB;
constexpr uint64_t kTimesMax = 1'000'000;

struct KindName {
  ScriptStep::Kind kind;
  std::string_view name;
};
constexpr std::array kKindNames = {
    KindName{ScriptStep::Kind::kSend, "send"},
    KindName{ScriptStep::Kind::kRaw, "raw"},
    KindName{ScriptStep::Kind::kPause, "pause"},
    KindName{ScriptStep::Kind::kWait, "wait"},
    KindName{ScriptStep::Kind::kAwait, "await"},
    KindName{ScriptStep::Kind::kHalfClose, "half_close"},
    KindName{ScriptStep::Kind::kDeaf, "deaf"},
    KindName{ScriptStep::Kind::kClose, "close"},
    KindName{ScriptStep::Kind::kReset, "reset"},
};

struct FormName {
  Form form;
  std::string_view name;
};
constexpr std::array kFormNames = {
    FormName{Form::kArray, "array"},
    FormName{Form::kInlineDouble, "inline"},
    FormName{Form::kInlineSingle, "inline-single"},
};

// --- Generating.

// Something that is not RESP, and what Redis says to it.
struct Garbage {
  Bytes bytes;
  std::string_view error;  // Empty: no answer, and the connection goes on.
};

// Above 64 KiB without a line's end, Redis gives up on a line.
constexpr uint64_t kLineTooLong = 64 * kKiB + 1000;

Garbage DrawGarbage(Prng& prng) {
  struct Text {
    std::string_view bytes;
    std::string_view error;
  };
  static constexpr std::array kTexts = {
      Text{"\r\n", ""},
      Text{"\n", ""},
      Text{"   \r\n", ""},
      Text{"*0\r\n", ""},
      Text{"*-1\r\n", ""},
      Text{"*abc\r\n", "invalid multibulk length"},
      Text{"*2147483648\r\n", "invalid multibulk length"},
      Text{"*3x\r\n$3\r\nGET\r\n", "invalid multibulk length"},
      Text{"*1\r\nPING\r\n", "expected '$', got 'P'"},
      Text{"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$', got ':'"},
      Text{"*1\r\n$-1\r\n", "invalid bulk length"},
      Text{"*1\r\n$abc\r\n", "invalid bulk length"},
      Text{"*1\r\n$536870913\r\n", "invalid bulk length"},
      Text{"*2\r\n$3\r\nGET\r\n$99999999999999999999\r\n", "invalid bulk length"},
      Text{"GET \"abc\r\n", "unbalanced quotes in request"},
      Text{"GET 'abc\r\n", "unbalanced quotes in request"},
      Text{"GET \"abc\"d\r\n", "unbalanced quotes in request"},
  };
  const uint64_t pick = prng.Below(kTexts.size() + 3);
  if (pick < kTexts.size())
    return {Bytes::Text(std::string(kTexts[pick].bytes)), kTexts[pick].error};
  const auto too_long = [](std::string_view start) {
    return Bytes{.text = std::string(start), .fill_bytes = kLineTooLong, .fill_seed = 2};
  };
  if (pick == kTexts.size()) return {too_long(""), "too big inline request"};
  if (pick == kTexts.size() + 1) return {too_long("*1"), "too big mbulk count string"};
  return {too_long("*1\r\n$1"), "too big bulk count string"};
}

class Generator {
 public:
  Generator(Prng& prng, const WorkloadOptions& options)
      : prng_(prng),
        options_(options),
        command_options_{.theme = options.theme,
                         .keys = options.keys,
                         .value_bytes_max = options.value_bytes_max,
                         .big_value_odds = options.big_value_odds,
                         .big_value_bytes = options.big_value_bytes,
                         .bad_command_odds = options.bad_command_odds,
                         .control_odds = options.control_odds,
                         .admin_odds = options.admin_odds,
                         .pubsub_odds = options.pubsub_odds,
                         .far_times = options.far_times} {}

  Script Generate(uint64_t client) {
    Script script;
    script.client = client;
    if (prng_.Chance(1, 2)) script.connect_after = Microseconds(prng_, 20'000);
    if (prng_.Chance(1, 3)) script.read_bytes = LogUniform(prng_, 64 * kKiB);
    if (OneIn(prng_, options_.stay_odds)) script.stay = Microseconds(prng_, 5'000'000);
    const uint64_t steps = prng_.Between(1, options_.steps_max);
    for (uint64_t index = 0; index < steps; ++index) {
      if (AddStep(script)) return script;
    }
    return script;
  }

 private:
  // True when the script ends here.
  bool AddStep(Script& script) {
    if (OneIn(prng_, options_.protocol_error_odds)) return AddGarbage(script);
    if (OneIn(prng_, options_.disconnect_odds)) return AddDisconnect(script);
    if (OneIn(prng_, options_.pause_odds)) {
      ScriptStep pause;
      pause.kind = ScriptStep::Kind::kPause;
      pause.duration = Microseconds(prng_, 50'000);
      script.steps.push_back(pause);
    }
    if (OneIn(prng_, options_.wide_odds)) {
      // Millions of bytes come back: not one by one.
      script.read_bytes = std::max<uint64_t>(script.read_bytes, 4 * kKiB);
      script.steps.push_back(DrawWide());
    } else {
      script.steps.push_back(DrawSend());
    }
    const uint64_t after = prng_.Below(6);
    if (after == 0) {
      ScriptStep wait;
      wait.kind = ScriptStep::Kind::kWait;
      wait.duration = Microseconds(prng_, 300'000);
      script.steps.push_back(wait);
    } else if (after <= 2) {
      ScriptStep await;
      await.kind = ScriptStep::Kind::kAwait;
      script.steps.push_back(await);
    }
    return false;
  }

  bool AddGarbage(Script& script) {
    Garbage garbage = DrawGarbage(prng_);
    ScriptStep raw;
    raw.kind = ScriptStep::Kind::kRaw;
    raw.raw = std::move(garbage.bytes);
    if (!garbage.error.empty()) {
      raw.error = "-ERR Protocol error: " + std::string(garbage.error) + "\r\n";
    }
    raw.portions = DrawPortions(raw.raw.size());
    script.steps.push_back(std::move(raw));
    if (garbage.error.empty()) return false;
    // What comes after must be ignored, and must not cost the client its error reply.
    if (prng_.Chance(2, 3)) script.steps.push_back(DrawSend());
    return true;
  }

  bool AddDisconnect(Script& script) {
    ScriptStep send = DrawSend();
    if (prng_.Chance(1, 2)) send.cut_bytes = LogUniform(prng_, 64);
    script.steps.push_back(std::move(send));
    if (script.steps.back().cut_bytes == 0 && prng_.Chance(1, 2)) {
      script.steps.push_back(DrawAnnouncement());
    }
    ScriptStep end;
    const uint64_t pick = prng_.Below(3);
    end.kind = pick == 0   ? ScriptStep::Kind::kHalfClose
               : pick == 1 ? ScriptStep::Kind::kClose
                           : ScriptStep::Kind::kReset;
    script.steps.push_back(end);
    return true;
  }

  // The beginning of much that never comes.
  ScriptStep DrawAnnouncement() {
    static constexpr std::array<std::string_view, 4> kBeginnings = {
        "*1048576\r\n", "*1048576\r\n$3\r\nDEL\r\n", "*2\r\n$3\r\nGET\r\n$536870912\r\n",
        "*2\r\n$3\r\nGET\r\n$536870912\r\nabc"};
    ScriptStep raw;
    raw.kind = ScriptStep::Kind::kRaw;
    raw.raw = Bytes::Text(std::string(kBeginnings[prng_.Below(kBeginnings.size())]));
    return raw;
  }

  // A long value many times in one reply, or in one each: every time a part of its own, sent from
  // where it is stored.
  ScriptStep DrawWide() {
    Bytes value;
    value.fill_bytes = prng_.Between(4096, 5000);
    value.fill_seed = prng_.Below(1000);
    const uint64_t times = prng_.Between(500, 1300);
    ScriptStep step;
    step.kind = ScriptStep::Kind::kSend;
    step.commands.push_back({Bytes::Text("SET"), Bytes::Text("k0"), value});
    if (prng_.Chance(1, 3)) {
      step.commands.insert(step.commands.end(), times, {Bytes::Text("GET"), Bytes::Text("k0")});
    } else {
      step.commands.push_back({Bytes::Text("MGET"), Bytes::Repeated("k0", times)});
    }
    return step;
  }

  ScriptStep DrawSend() {
    ScriptStep step;
    step.kind = ScriptStep::Kind::kSend;
    const uint64_t commands = LogUniform(prng_, options_.pipeline_max);
    uint64_t bytes = 0;
    for (uint64_t index = 0; index < commands; ++index) {
      step.commands.push_back(commands_.Draw());
      for (const Bytes& argument : step.commands.back()) bytes += argument.size();
    }
    const uint64_t style = prng_.Below(2);
    // An inline request is bounded at 64 KiB, quotes and escapes included.
    if (OneIn(prng_, options_.inline_odds) && bytes < 8 * kKiB) {
      step.form = style == 0 ? Form::kInlineDouble : Form::kInlineSingle;
    }
    step.portions = DrawPortions(bytes);
    return step;
  }

  // How about `bytes` bytes go out. Tiny portions only where that does not take for ever.
  std::vector<uint64_t> DrawPortions(uint64_t bytes) {
    std::vector<uint64_t> portions;
    if (prng_.Chance(1, 2)) return portions;
    const uint64_t low = 1 + bytes / 200;
    const uint64_t count = prng_.Between(1, 5);
    for (uint64_t index = 0; index < count; ++index) {
      portions.push_back(low + LogUniform(prng_, 64) - 1);
    }
    return portions;
  }

  Prng& prng_;
  const WorkloadOptions& options_;
  const CommandOptions command_options_;
  CommandGenerator commands_{prng_, command_options_};
};

// --- Transactions.

// In a transaction, these would leave an array without its end, or write something else into the
// middle of it: they silence the client, end it, or tell it of messages.
bool CutsReplies(const Command& command) {
  const auto is = [&command](size_t index, std::string_view word) {
    return command.size() > index &&
           std::ranges::equal(command[index].text, word,
                              [](char a, char b) { return (a | 0x20) == b; });
  };
  static constexpr std::array<std::string_view, 8> kOfMessages = {
      "subscribe",    "psubscribe",   "ssubscribe", "unsubscribe",
      "punsubscribe", "sunsubscribe", "publish",    "spublish"};
  return (is(0, "client") && (is(1, "reply") || is(1, "kill"))) ||
         std::ranges::any_of(kOfMessages, [&](std::string_view name) { return is(0, name); });
}

Command Words(std::initializer_list<std::string_view> words) {
  Command command;
  for (const std::string_view word : words) command.push_back(Bytes::Text(std::string(word)));
  return command;
}

Command DrawWatch(Prng& prng, uint64_t keys) {
  Command watch = Words({"WATCH"});
  for (uint64_t left = prng.Between(1, 3); left > 0; --left) {
    watch.push_back(Bytes::Text("k" + std::to_string(prng.Below(keys))));
  }
  return watch;
}

// Puts a part of the step's commands between MULTI and EXEC.
void WrapPart(Prng& prng, uint64_t keys, std::vector<Command>& commands) {
  const uint64_t begin = prng.Below(commands.size() + 1);
  const uint64_t length_max = std::min<uint64_t>(commands.size() - begin, 8);
  uint64_t end = begin + prng.Below(length_max + 1);
  for (uint64_t index = begin; index < end; ++index) {
    if (CutsReplies(commands[index])) end = index;
  }
  const auto at = [&commands](uint64_t index) {
    return commands.begin() + static_cast<ptrdiff_t>(index);
  };
  const uint64_t last = prng.Below(16);
  commands.insert(at(end), last == 0   ? Words({"DISCARD"})
                           : last == 1 ? Words({"EXEC", "what"})
                                       : Words({"EXEC"}));
  if (prng.Chance(1, 12)) {
    const uint64_t odd = prng.Below(3);
    commands.insert(at(end), odd == 0   ? Words({"MULTI"})
                             : odd == 1 ? DrawWatch(prng, keys)
                                        : Words({"UNWATCH"}));
  }
  commands.insert(at(begin), Words({"MULTI"}));
  if (prng.Chance(1, 2)) commands.insert(at(prng.Below(begin + 1)), DrawWatch(prng, keys));
}

// A WATCH of its own, before any step that leaves something unfinished: others write meanwhile.
void AddWatch(Prng& prng, uint64_t keys, std::vector<ScriptStep>& steps) {
  const auto unfinished = std::ranges::find_if(steps, [](const ScriptStep& step) {
    return step.cut_bytes != 0 ||
           (step.kind != ScriptStep::Kind::kSend && step.kind != ScriptStep::Kind::kPause &&
            step.kind != ScriptStep::Kind::kWait && step.kind != ScriptStep::Kind::kAwait);
  });
  const auto before = static_cast<uint64_t>(unfinished - steps.begin());
  ScriptStep watch;
  watch.commands.push_back(DrawWatch(prng, keys));
  steps.insert(steps.begin() + static_cast<ptrdiff_t>(prng.Below(before + 1)), std::move(watch));
}

// --- Writing.

Json WriteBytes(const Bytes& bytes) {
  if (bytes.fill_bytes == 0 && bytes.times == 1) return sim::BytesToJson(bytes.text);
  Json json = Json::object();
  if (!bytes.text.empty()) json["text"] = sim::BytesToJson(bytes.text);
  if (bytes.fill_bytes != 0) json["fill"] = bytes.fill_bytes;
  if (bytes.fill_seed != 0) json["seed"] = bytes.fill_seed;
  if (bytes.times != 1) json["times"] = bytes.times;
  return json;
}

Json WriteStep(uint64_t client, const ScriptStep& step) {
  const auto name = std::find_if(kKindNames.begin(), kKindNames.end(),
                                 [&step](const KindName& row) { return row.kind == step.kind; });
  Json json;
  json["op"] = name->name;
  json["client"] = client;
  if (step.kind == ScriptStep::Kind::kSend) {
    json["commands"] = Json::array();
    for (const Command& command : step.commands) {
      Json arguments = Json::array();
      for (const Bytes& argument : command) arguments.push_back(WriteBytes(argument));
      json["commands"].push_back(std::move(arguments));
    }
    if (step.form != Form::kArray) {
      json["form"] = kFormNames[static_cast<size_t>(step.form)].name;
    }
  }
  if (step.kind == ScriptStep::Kind::kRaw) {
    json["bytes"] = WriteBytes(step.raw);
    if (!step.error.empty()) json["error"] = step.error;
  }
  if (!step.portions.empty()) json["portions"] = step.portions;
  if (step.cut_bytes != 0) json["cut"] = step.cut_bytes;
  if (step.duration != 0) json["ns"] = static_cast<uint64_t>(step.duration);
  return json;
}

// --- Reading. The strings are what is wrong.

std::optional<std::string> ReadUnsigned(const Json& object, const char* name, uint64_t& number) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if (!found->is_number_unsigned()) {
    return "\"" + std::string(name) + "\" must be a whole number, not negative";
  }
  number = found->get<uint64_t>();
  return std::nullopt;
}

std::optional<std::string> ReadDuration(const Json& object, const char* name,
                                        Nanoseconds& duration) {
  auto nanoseconds = static_cast<uint64_t>(duration);
  if (auto problem = ReadUnsigned(object, name, nanoseconds)) return problem;
  // A day is more than any run lasts.
  if (nanoseconds > static_cast<uint64_t>(86'400 * kSecond)) {
    return "\"" + std::string(name) + "\" is more than a day";
  }
  duration = static_cast<Nanoseconds>(nanoseconds);
  return std::nullopt;
}

std::optional<std::string> ReadBytes(const Json& json, Bytes& bytes) {
  static constexpr char kWrong[] =
      "bytes must be a string of code points below 256, or {\"fill\":size,\"seed\":pattern}";
  if (json.is_string()) {
    auto text = sim::BytesFromJson(json);
    if (!text) return kWrong;
    bytes.text = *std::move(text);
    return std::nullopt;
  }
  if (!json.is_object()) return kWrong;
  if (json.contains("text")) {
    auto text = sim::BytesFromJson(json["text"]);
    if (!text) return kWrong;
    bytes.text = *std::move(text);
  }
  if (auto problem = ReadUnsigned(json, "fill", bytes.fill_bytes)) return problem;
  if (bytes.fill_bytes > kFillBytesMax) return "\"fill\" is too large";
  if (auto problem = ReadUnsigned(json, "times", bytes.times)) return problem;
  if (bytes.times == 0 || bytes.times > kTimesMax) return "\"times\" must be 1 to 1000000";
  return ReadUnsigned(json, "seed", bytes.fill_seed);
}

std::optional<std::string> ReadCommands(const Json& item, ScriptStep& step) {
  const auto found = item.find("commands");
  if (found == item.end() || !found->is_array()) return "\"commands\" must be an array of arrays";
  for (const Json& arguments : *found) {
    if (!arguments.is_array() || arguments.empty()) {
      return "each of \"commands\" must be an array that is not empty";
    }
    Command command;
    for (const Json& argument : arguments) {
      Bytes bytes;
      if (auto problem = ReadBytes(argument, bytes)) return problem;
      command.push_back(std::move(bytes));
    }
    step.commands.push_back(std::move(command));
  }
  return std::nullopt;
}

std::optional<std::string> ReadForm(const Json& item, ScriptStep& step) {
  const auto found = item.find("form");
  if (found == item.end()) return std::nullopt;
  for (const FormName& row : kFormNames) {
    if (*found == row.name) {
      step.form = row.form;
      return std::nullopt;
    }
  }
  return "\"form\" must be array, inline or inline-single";
}

std::optional<std::string> ReadPortions(const Json& item, ScriptStep& step) {
  const auto found = item.find("portions");
  if (found == item.end()) return std::nullopt;
  static constexpr char kWrong[] = "\"portions\" must be an array of positive numbers";
  if (!found->is_array()) return kWrong;
  for (const Json& portion : *found) {
    if (!portion.is_number_unsigned() || portion.get<uint64_t>() == 0) return kWrong;
    step.portions.push_back(portion.get<uint64_t>());
  }
  return std::nullopt;
}

// An inline command begins with a plain word, or it would not be one.
bool FitsForm(const ScriptStep& step) {
  if (step.form == Form::kArray) return true;
  return std::all_of(step.commands.begin(), step.commands.end(), [](const Command& command) {
    const std::string& word = command.front().text;
    return !word.empty() && word.front() != '*' && command.front().fill_bytes == 0;
  });
}

std::optional<std::string> ReadStep(const Json& item, ScriptStep& step) {
  const Json& op = item["op"];
  const auto row = std::find_if(kKindNames.begin(), kKindNames.end(),
                                [&op](const KindName& candidate) { return op == candidate.name; });
  if (row == kKindNames.end()) return "no step has the name " + op.dump();
  step.kind = row->kind;
  if (step.kind == ScriptStep::Kind::kSend) {
    if (auto problem = ReadCommands(item, step)) return problem;
    if (auto problem = ReadForm(item, step)) return problem;
    if (!FitsForm(step)) return "an inline command must begin with a plain word";
  }
  if (step.kind == ScriptStep::Kind::kRaw) {
    if (!item.contains("bytes")) return "\"bytes\" is missing";
    if (auto problem = ReadBytes(item["bytes"], step.raw)) return problem;
    if (item.contains("error")) {
      if (!item["error"].is_string()) return "\"error\" must be a string";
      step.error = item["error"].get<std::string>();
    }
  }
  if (auto problem = ReadPortions(item, step)) return problem;
  if (auto problem = ReadUnsigned(item, "cut", step.cut_bytes)) return problem;
  return ReadDuration(item, "ns", step.duration);
}

std::optional<std::string> ReadClient(const Json& item, Script& script) {
  if (auto problem = ReadDuration(item, "ns", script.connect_after)) return problem;
  if (auto problem = ReadDuration(item, "stay_ns", script.stay)) return problem;
  if (auto problem = ReadUnsigned(item, "read_bytes", script.read_bytes)) return problem;
  if (script.read_bytes == 0 || script.read_bytes > kMiB)
    return "\"read_bytes\" must be 1 to 1048576";
  return std::nullopt;
}

std::optional<std::string> ReadItem(const Json& item, std::map<uint64_t, Script>& scripts) {
  uint64_t client = 0;
  if (!item.contains("client")) return "\"client\" is missing";
  if (auto problem = ReadUnsigned(item, "client", client)) return problem;
  Script& script = scripts[client];
  script.client = client;
  if (item["op"] == "client") return ReadClient(item, script);
  ScriptStep step;
  if (auto problem = ReadStep(item, step)) return problem;
  script.steps.push_back(std::move(step));
  return std::nullopt;
}

}  // namespace

WorkloadOptions DrawWorkloadOptions(Prng& prng) {
  WorkloadOptions options;
  const bool crowd = prng.Chance(1, 10);
  options.clients = crowd ? prng.Between(7, 40) : prng.Between(1, 6);
  options.steps_max = prng.Between(1, crowd ? 4 : 12);
  options.pipeline_max = prng.Between(1, 24);
  options.keys = prng.Between(1, 8);
  options.value_bytes_max = prng.Chance(1, 4) ? 1 * kMiB : 100'000;
  const auto odds = [&prng](uint64_t often) {
    const uint64_t pick = prng.Below(3);
    return pick == 0 ? 0 : pick == 1 ? often : often * 4;
  };
  options.big_value_odds = odds(4);
  options.inline_odds = odds(3);
  options.bad_command_odds = odds(6);
  options.protocol_error_odds = odds(8);
  options.disconnect_odds = odds(6);
  options.pause_odds = odds(4);
  options.wide_odds = prng.Chance(1, 6) ? 8 : 0;
  options.stay_odds = odds(3);
  options.control_odds = odds(12);
  static constexpr std::array kThemes = {Theme::kNone, Theme::kNone, Theme::kLargeValues,
                                         Theme::kShortLives};
  options.theme = kThemes[prng.Below(kThemes.size())];
  if (options.theme != Theme::kNone && prng.Chance(1, 2)) {
    // So that a value takes another's place.
    options.big_value_odds = 2;
    options.big_value_bytes = prng.Between(4000, 20'000);
  }
  return options;
}

Workload GenerateWorkload(Prng& prng, const WorkloadOptions& options) {
  Workload workload;
  for (uint64_t client = 0; client < options.clients; ++client) {
    // Each script has a sequence of its own: another number of clients changes no script.
    Prng script_prng(Combine(prng.Next(), client));
    workload.push_back(Generator(script_prng, options).Generate(client));
  }
  return workload;
}

void AddTransactions(Prng& prng, uint64_t keys, Workload& workload) {
  for (Script& script : workload) {
    for (ScriptStep& step : script.steps) {
      if (step.kind == ScriptStep::Kind::kSend && prng.Chance(1, 3)) {
        WrapPart(prng, keys, step.commands);
      }
    }
    if (prng.Chance(1, 3)) AddWatch(prng, keys, script.steps);
  }
}

void WriteWorkload(const Workload& workload, std::vector<sim::Json>& items) {
  for (const Script& script : workload) {
    Json client;
    client["op"] = "client";
    client["client"] = script.client;
    client["ns"] = static_cast<uint64_t>(script.connect_after);
    client["read_bytes"] = script.read_bytes;
    if (script.stay != 0) client["stay_ns"] = static_cast<uint64_t>(script.stay);
    items.push_back(std::move(client));
    for (const ScriptStep& step : script.steps) items.push_back(WriteStep(script.client, step));
  }
}

std::expected<Workload, std::string> ReadWorkload(const std::vector<sim::Json>& items) {
  std::map<uint64_t, Script> scripts;
  for (size_t index = 0; index < items.size(); ++index) {
    if (const auto problem = ReadItem(items[index], scripts)) {
      return std::unexpected("item " + std::to_string(index + 1) + " of the workload: " + *problem);
    }
  }
  Workload workload;
  for (auto& [client, script] : scripts) workload.push_back(std::move(script));
  return workload;
}

uint64_t CommandsIn(const Workload& workload) {
  uint64_t commands = 0;
  for (const Script& script : workload) {
    for (const ScriptStep& step : script.steps) commands += step.commands.size();
  }
  return commands;
}

}  // namespace orrery::scenarios
