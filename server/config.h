// The configuration, and its parameters as CONFIG GET and SET and a configuration file name them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/units.h"

namespace orrery::server {

// What maxclients can be at most.
inline constexpr uint32_t kClientsMaxHighest = 1'000'000;

// How clients differ in what they may have waiting for them.
enum class ClientClass : uint8_t { kNormal, kReplica, kPubSub };
inline constexpr size_t kClientClasses = 3;

// How much may wait to be sent to a client, in flight or not. Who reaches a limit is cut off. 0:
// no limit.
struct OutputLimit {
  uint64_t hard_bytes = 0;  // At once.
  uint64_t soft_bytes = 0;  // For longer than `soft_seconds`.
  uint32_t soft_seconds = 0;

  friend bool operator==(const OutputLimit&, const OutputLimit&) = default;
};

struct ServerConfig {
  std::string bind = "127.0.0.1";
  uint16_t port = 6379;
  uint32_t backlog = 511;
  // A UNIX socket to listen on as well, and its file's permissions: 0 leaves what umask says.
  std::string unix_path;
  uint32_t unix_permissions = 0;
  // Connections served at once; one more is refused with Redis's error.
  uint32_t clients_max = 10'000;
  // The most that this may be set to: there are descriptors, or slots, for so many. No parameter.
  uint32_t clients_possible = kClientsMaxHighest;
  // The longest bulk that is read, and the longest value that a command may build.
  uint64_t bulk_bytes_max = 512 * kMiB;
  // By ClientClass.
  std::array<OutputLimit, kClientClasses> output_limits = {{
      {},
      {.hard_bytes = 256 * kMiB, .soft_bytes = 64 * kMiB, .soft_seconds = 60},
      {.hard_bytes = 32 * kMiB, .soft_bytes = 8 * kMiB, .soft_seconds = 60},
  }};
  // A client that has sent more than this without completing a command is cut off.
  uint64_t input_bytes_max = 1024 * kMiB;
  // A client from which, and to which, nothing has gone for so long is cut off. 0: none is.
  uint32_t idle_seconds_max = 0;
  // How long the kernel leaves a silent connection alone before it asks whether the peer is there;
  // of connections that are accepted from now on. 0: it never asks.
  uint32_t keepalive_seconds = 300;
  // What clients have to say before anything else; empty: they need not.
  std::string password;
  // While there is no password, clients from other machines are refused.
  bool protected_mode = true;
  // When keys take more than this, commands that need memory are refused. 0: no limit.
  uint64_t memory_bytes_max = 0;
  // A command that takes as long is kept in the slow log. Negative: none is.
  int64_t slow_from_us = 10'000;
  // How many of them are kept, the newest.
  uint64_t slow_commands_max = 128;
};

struct ConfigParameter {
  // What is wrong with a value: one line for a person. Nothing: it was set.
  using Error = std::optional<std::string>;

  std::string_view name;
  // For --help: one line.
  std::string_view summary;
  std::string (*get)(const ServerConfig& config);
  Error (*set)(ServerConfig& config, std::string_view value);
  // It does not change while the server runs.
  bool at_start_only = false;
  // Nobody is to read it over somebody's shoulder.
  bool secret = false;
  // Of a value that is several words: so many make a line of a file. 0: the value is one word.
  uint32_t words_per_line = 0;
};

// In alphabetical order.
std::span<const ConfigParameter> ConfigParameters();

// Null when there is none of this name. The case of letters does not matter.
const ConfigParameter* FindConfigParameter(std::string_view name);

}  // namespace orrery::server
