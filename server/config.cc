#include "server/config.h"

#include <array>
#include <charconv>
#include <limits>
#include <system_error>

#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

using Error = std::optional<std::string>;

constexpr uint64_t kBulkBytesMaxLowest = 1 * kMiB;
constexpr uint64_t kBulkBytesMaxHighest = 512 * kMiB;

Error OutOfRange(uint64_t low, uint64_t high) {
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

Error SetClientsMax(ServerConfig& config, std::string_view value) {
  const std::optional<int64_t> number = ParseInteger(value);
  if (!number) return "argument couldn't be parsed into an integer";
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
  if (*number < 1 || static_cast<uint64_t>(*number) > kMax) return OutOfRange(1, kMax);
  if (*number > kClientsMaxHighest) {
    return "The operating system is not able to handle the specified number of clients, try with " +
           std::to_string(kClientsMaxHighest);
  }
  config.clients_max = static_cast<uint32_t>(*number);
  return std::nullopt;
}

Error SetBulkBytesMax(ServerConfig& config, std::string_view value) {
  const std::optional<uint64_t> bytes = ParseMemory(value);
  if (!bytes) return "argument must be a memory value";
  if (*bytes < kBulkBytesMaxLowest || *bytes > kBulkBytesMaxHighest) {
    return OutOfRange(kBulkBytesMaxLowest, kBulkBytesMaxHighest);
  }
  config.bulk_bytes_max = *bytes;
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
constexpr std::string_view kZero = "0";
constexpr std::string_view kNoEviction = "noeviction";
constexpr std::string_view kOneDatabase = "1";

template <const std::string_view& kOnlyValue>
constexpr ConfigParameter OnlyValue(std::string_view name) {
  return {.name = name, .get = GetOnlyValue<kOnlyValue>, .set = SetOnlyValue<kOnlyValue>};
}

constexpr auto kParameters = std::to_array<ConfigParameter>({
    OnlyValue<kNo>("appendonly"),
    {.name = "bind", .get = [](const ServerConfig& config) { return config.bind; }, .set = nullptr},
    {.name = "databases", .get = GetOnlyValue<kOneDatabase>, .set = nullptr},
    {.name = "maxclients",
     .get = [](const ServerConfig& config) { return std::to_string(config.clients_max); },
     .set = SetClientsMax},
    OnlyValue<kZero>("maxmemory"),
    OnlyValue<kNoEviction>("maxmemory-policy"),
    {.name = "port",
     .get = [](const ServerConfig& config) { return std::to_string(config.port); },
     .set = nullptr},
    {.name = "proto-max-bulk-len",
     .get = [](const ServerConfig& config) { return std::to_string(config.bulk_bytes_max); },
     .set = SetBulkBytesMax},
    OnlyValue<kNothing>("save"),
    OnlyValue<kZero>("timeout"),
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
