#include "server/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

using Error = ConfigParameter::Error;

constexpr uint64_t kBulkBytesMaxLowest = 1 * kMiB;
constexpr uint64_t kBulkBytesMaxHighest = 512 * kMiB;

template <typename Number>
Error OutOfRange(Number low, Number high) {
  return "argument must be between " + std::to_string(low) + " and " + std::to_string(high) +
         " inclusive";
}

// "100", "1k" (1000), "1kb" (1024), and so on to g and gb.
std::optional<uint64_t> ParseMemory(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::string unit = ToLower(std::string_view(stop, static_cast<size_t>(end - stop)));
  struct Unit {
    std::string_view name;
    uint64_t bytes;
  };
  constexpr std::array<Unit, 8> kUnits = {{{"", 1},
                                           {"b", 1},
                                           {"k", 1'000},
                                           {"kb", kKiB},
                                           {"m", 1'000'000},
                                           {"mb", kMiB},
                                           {"g", 1'000'000'000},
                                           {"gb", kKiB * kMiB}}};
  for (const Unit& candidate : kUnits) {
    if (candidate.name != unit) continue;
    if (number > std::numeric_limits<uint64_t>::max() / candidate.bytes) return std::nullopt;
    return number * candidate.bytes;
  }
  return std::nullopt;
}

// --- Kinds of parameters. Each names a member of the configuration and its range.

template <auto kMember>
std::string GetNumber(const ServerConfig& config) {
  return std::to_string(config.*kMember);
}

template <auto kMember, uint64_t kLow, uint64_t kHigh>
Error SetMemory(ServerConfig& config, std::string_view value) {
  const std::optional<uint64_t> bytes = ParseMemory(value);
  if (!bytes) return "argument must be a memory value";
  if (*bytes < kLow || *bytes > kHigh) return OutOfRange(kLow, kHigh);
  config.*kMember = *bytes;
  return std::nullopt;
}

template <auto kMember, int64_t kLow, int64_t kHigh>
Error SetInteger(ServerConfig& config, std::string_view value) {
  const std::optional<int64_t> number = ParseInteger(value);
  if (!number) return "argument couldn't be parsed into an integer";
  if (*number < kLow || *number > kHigh) return OutOfRange(kLow, kHigh);
  config.*kMember = static_cast<std::remove_reference_t<decltype(config.*kMember)>>(*number);
  return std::nullopt;
}

template <auto kMember>
std::string GetSwitch(const ServerConfig& config) {
  return config.*kMember ? "yes" : "no";
}

template <auto kMember>
Error SetSwitch(ServerConfig& config, std::string_view value) {
  const bool yes = EqualsIgnoreCase(value, "yes");
  if (!yes && !EqualsIgnoreCase(value, "no")) return "argument must be 'yes' or 'no'";
  config.*kMember = yes;
  return std::nullopt;
}

template <auto kMember>
std::string GetText(const ServerConfig& config) {
  return config.*kMember;
}

template <auto kMember>
Error SetText(ServerConfig& config, std::string_view value) {
  config.*kMember = value;
  return std::nullopt;
}

template <auto kMember, uint64_t kLow, uint64_t kHigh>
constexpr ConfigParameter Memory(std::string_view name, std::string_view summary) {
  return {.name = name,
          .summary = summary,
          .get = GetNumber<kMember>,
          .set = SetMemory<kMember, kLow, kHigh>};
}

template <auto kMember, int64_t kLow, int64_t kHigh>
constexpr ConfigParameter Integer(std::string_view name, std::string_view summary) {
  return {.name = name,
          .summary = summary,
          .get = GetNumber<kMember>,
          .set = SetInteger<kMember, kLow, kHigh>};
}

template <auto kMember>
constexpr ConfigParameter Switch(std::string_view name, std::string_view summary) {
  return {.name = name, .summary = summary, .get = GetSwitch<kMember>, .set = SetSwitch<kMember>};
}

template <auto kMember>
constexpr ConfigParameter Text(std::string_view name, std::string_view summary) {
  return {.name = name, .summary = summary, .get = GetText<kMember>, .set = SetText<kMember>};
}

constexpr ConfigParameter AtStartOnly(ConfigParameter parameter) {
  parameter.at_start_only = true;
  return parameter;
}

constexpr ConfigParameter Secret(ConfigParameter parameter) {
  parameter.secret = true;
  return parameter;
}

// --- Those that are one of a kind.

Error SetClientsMax(ServerConfig& config, std::string_view value) {
  constexpr int64_t kMax = std::numeric_limits<uint32_t>::max();
  ServerConfig wanted;
  if (auto error = SetInteger<&ServerConfig::clients_max, 1, kMax>(wanted, value)) return error;
  if (wanted.clients_max > config.clients_possible) {
    return "The operating system is not able to handle the specified number of clients, try with " +
           std::to_string(config.clients_possible);
  }
  config.clients_max = wanted.clients_max;
  return std::nullopt;
}

// Octal, as chmod(1) has it.
std::string GetPermissions(const ServerConfig& config) {
  std::array<char, 12> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), config.unix_permissions, 8).ptr;
  return {text.data(), end};
}

Error SetPermissions(ServerConfig& config, std::string_view value) {
  uint32_t permissions = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, permissions, 8);
  if (error != std::errc() || stop != end) return "argument couldn't be parsed as an octal number";
  if (permissions > 0777) return "argument must be between 0 and 777 inclusive";
  config.unix_permissions = permissions;
  return std::nullopt;
}

// By ClientClass; Redis's older word for a replica is the one that it prints.
constexpr std::array<std::string_view, kClientClasses> kClassNames = {"normal", "slave", "pubsub"};

std::optional<size_t> ClassOf(std::string_view name) {
  if (EqualsIgnoreCase(name, "replica")) return static_cast<size_t>(ClientClass::kReplica);
  for (size_t index = 0; index < kClassNames.size(); ++index) {
    if (EqualsIgnoreCase(name, kClassNames[index])) return index;
  }
  return std::nullopt;
}

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// "normal 0 0 0 slave 268435456 67108864 60": the class, hard, soft, seconds.
std::string GetOutputLimits(const ServerConfig& config) {
  std::string text;
  for (size_t index = 0; index < kClientClasses; ++index) {
    const OutputLimit& limit = config.output_limits[index];
    if (!text.empty()) text += ' ';
    text.append(kClassNames[index]).append(" ").append(std::to_string(limit.hard_bytes));
    text.append(" ").append(std::to_string(limit.soft_bytes));
    text.append(" ").append(std::to_string(limit.soft_seconds));
  }
  return text;
}

// Some of the classes or all of them.
Error SetOutputLimits(ServerConfig& config, std::string_view value) {
  constexpr size_t kWords = 4;
  const std::vector<std::string_view> words = SplitWords(value);
  if (words.empty() || words.size() % kWords != 0) {
    return "Wrong number of arguments in buffer limit configuration.";
  }
  auto limits = config.output_limits;
  for (size_t i = 0; i < words.size(); i += kWords) {
    const std::optional<size_t> index = ClassOf(words[i]);
    if (!index) return "Invalid client class specified in buffer limit configuration.";
    const std::optional<uint64_t> hard = ParseMemory(words[i + 1]);
    const std::optional<uint64_t> soft = ParseMemory(words[i + 2]);
    const std::optional<int64_t> seconds = ParseInteger(words[i + 3]);
    if (!hard || !soft || !seconds || !std::in_range<uint32_t>(*seconds)) {
      return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    }
    limits[*index] = {
        .hard_bytes = *hard, .soft_bytes = *soft, .soft_seconds = static_cast<uint32_t>(*seconds)};
  }
  config.output_limits = limits;
  return std::nullopt;
}

// Some parameters have one value only in this version. They exist because clients and tools ask for
// them, and setting them to the value that they have is harmless.
template <const std::string_view& kOnlyValue>
std::string GetOnlyValue(const ServerConfig&) {
  return std::string(kOnlyValue);
}
template <const std::string_view& kOnlyValue>
Error SetOnlyValue(ServerConfig&, std::string_view value) {
  if (EqualsIgnoreCase(value, kOnlyValue)) return std::nullopt;
  return "this server supports only '" + std::string(kOnlyValue) + "'";
}

constexpr std::string_view kNothing = "";
constexpr std::string_view kNo = "no";
constexpr std::string_view kNoEviction = "noeviction";
constexpr std::string_view kOneDatabase = "1";

template <const std::string_view& kOnlyValue>
constexpr ConfigParameter OnlyValue(std::string_view name, std::string_view summary) {
  return {.name = name,
          .summary = summary,
          .get = GetOnlyValue<kOnlyValue>,
          .set = SetOnlyValue<kOnlyValue>};
}

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kIntMax = std::numeric_limits<int32_t>::max();

constexpr auto kParameters = std::to_array<ConfigParameter>({
    OnlyValue<kNo>("appendonly", "Whether a log is kept"),
    AtStartOnly(Text<&ServerConfig::bind>("bind", "Numeric IPv4 or IPv6 address to listen on")),
    {.name = "client-output-buffer-limit",
     .summary = "What may wait for a client: its class, bytes, and soft bytes for how many seconds",
     .get = GetOutputLimits,
     .set = SetOutputLimits,
     .words_per_line = 4},
    Memory<&ServerConfig::input_bytes_max, 1 * kMiB, uint64_t{kInt64Max}>(
        "client-query-buffer-limit", "What a client may send without completing a command"),
    AtStartOnly(OnlyValue<kOneDatabase>("databases", "How many databases there are")),
    {.name = "maxclients",
     .summary = "Clients served at once; more are refused with an error",
     .get = GetNumber<&ServerConfig::clients_max>,
     .set = SetClientsMax},
    Memory<&ServerConfig::memory_bytes_max, 0, std::numeric_limits<uint64_t>::max()>(
        "maxmemory", "Above it, commands that need memory are refused; 0: no limit"),
    OnlyValue<kNoEviction>("maxmemory-policy", "What is given up for new keys"),
    AtStartOnly(Integer<&ServerConfig::port, 0, 65535>(
        "port", "TCP port to listen on; 0 picks a free one")),
    Memory<&ServerConfig::bulk_bytes_max, kBulkBytesMaxLowest, kBulkBytesMaxHighest>(
        "proto-max-bulk-len", "The longest argument, and the longest value"),
    Switch<&ServerConfig::protected_mode>(
        "protected-mode", "Whether other machines are refused while there is no password"),
    Secret(Text<&ServerConfig::password>("requirepass", "The password that clients have to say")),
    OnlyValue<kNothing>("save", "When keys are saved"),
    Integer<&ServerConfig::slow_from_us, -1, kInt64Max>(
        "slowlog-log-slower-than", "Microseconds from which a command is slow; -1: none is"),
    Integer<&ServerConfig::slow_commands_max, 0, kInt64Max>("slowlog-max-len",
                                                            "How many slow commands are kept"),
    AtStartOnly(Integer<&ServerConfig::backlog, 0, kIntMax>(
        "tcp-backlog", "Connections that wait to be accepted")),
    Integer<&ServerConfig::keepalive_seconds, 0, kIntMax>(
        "tcp-keepalive", "Silence after which the kernel asks for a peer; 0: never"),
    Integer<&ServerConfig::idle_seconds_max, 0, kIntMax>(
        "timeout", "How long a client may be idle; 0: for ever"),
    AtStartOnly(Text<&ServerConfig::unix_path>("unixsocket", "A UNIX socket to listen on as well")),
    AtStartOnly({.name = "unixsocketperm",
                 .summary = "Its permissions, in octal; 0 leaves what umask says",
                 .get = GetPermissions,
                 .set = SetPermissions}),
});

}  // namespace

std::span<const ConfigParameter> ConfigParameters() { return kParameters; }

const ConfigParameter* FindConfigParameter(std::string_view name) {
  for (const ConfigParameter& parameter : kParameters) {
    if (EqualsIgnoreCase(parameter.name, name)) return &parameter;
  }
  return nullptr;
}

}  // namespace orrery::server
