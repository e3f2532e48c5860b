// The configuration, and its parameters as CONFIG GET and SET name them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/units.h"

namespace orrery::server {

// What maxclients can be at most.
inline constexpr uint32_t kClientsMaxHighest = 1'000'000;

struct ServerConfig {
  std::string bind = "127.0.0.1";
  uint16_t port = 6379;
  // Connections served at once.
  uint32_t clients_max = 10'000;
  // The longest bulk that is read, and the longest value that a command may build.
  uint64_t bulk_bytes_max = 512 * kMiB;
};

struct ConfigParameter {
  std::string_view name;
  std::string (*get)(const ServerConfig& config);
  // Null when it cannot be set at run time. The error says what is wrong with the value.
  std::optional<std::string> (*set)(ServerConfig& config, std::string_view value);
};

std::span<const ConfigParameter> ConfigParameters();

// Null when there is none of this name. The case of letters does not matter.
const ConfigParameter* FindConfigParameter(std::string_view name);

}  // namespace orrery::server
