// When two servers' replies to one command are the same, and the list of accepted differences.
//
// Replies are the same when their bytes are. Every exception is a row of AcceptedDifferences(),
// with its reason. No state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::e2e {

enum class Comparison : uint8_t {
  kExact,
  kAnyOrder,       // An array of the same elements.
  kScan,           // Of a whole scan the same keys; else a cursor and an array.
  kNear,           // Integers that differ by at most `slack`.
  kSameType,       // The first byte.
  kWithoutId,      // A map in which the value of "id" may differ.
  kDocumentation,  // Of each command: what ours says is what Redis says.
  kTableEntries,   // Entries of the command table: of each command that both have, the same.
  kNewer,          // Redis does not know the command; ours answers as the sequential model.
  kHelp,           // Ours has lines of Redis's, in its order, and those about what is newer.
};

struct AcceptedDifference {
  // "TTL", or "CLIENT LIST".
  std::string_view command;
  Comparison comparison;
  int64_t slack = 0;
  std::string_view reason;
};

std::span<const AcceptedDifference> AcceptedDifferences();

// Whether Redis 7.0 does not have this command or subcommand yet, and this server has.
bool IsNewer(std::string_view full_name);

// The elements of an aggregate, keys and values of a map in turn; nothing for any other reply. They
// are views into `reply`.
std::optional<std::vector<std::string_view>> ElementsOf(std::string_view reply);

// The text of a bulk or simple string; nothing for any other reply. A view into `reply`.
std::optional<std::string_view> TextIn(std::string_view reply);

// Why `ours` is not what Redis answers to `arguments`; nothing when it is.
std::optional<std::string> Difference(const std::vector<std::string>& arguments,
                                      std::string_view ours, std::string_view redis);

}  // namespace orrery::e2e
