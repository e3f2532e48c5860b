#include "tests/e2e/reply_comparison.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "tests/scenarios/resp.h"
#include "tests/scenarios/sequential_model.h"

namespace orrery::e2e {
namespace {

using scenarios::IntegerIn;
using scenarios::Printable;
using scenarios::ReplyLength;

constexpr auto kAccepted = std::to_array<AcceptedDifference>({
    // Two clocks: the second server runs the command later than the first.
    {"TTL", Comparison::kNear, 2, "two clocks"},
    {"PTTL", Comparison::kNear, 2000, "two clocks"},
    {"EXPIRETIME", Comparison::kNear, 2, "two clocks: of a time given as a duration"},
    {"PEXPIRETIME", Comparison::kNear, 2000, "two clocks: of a time given as a duration"},
    {"TIME", Comparison::kSameType, 0, "two clocks"},
    {"OBJECT IDLETIME", Comparison::kSameType, 0,
     "of a small integer, Redis says when anybody used that integer; table_test compares others"},
    // Two tables: the order of keys is nobody's promise.
    {"KEYS", Comparison::kAnyOrder, 0, "the order of keys"},
    {"SCAN", Comparison::kScan, 0, "the order of keys, and so the cursors"},
    {"PUBSUB CHANNELS", Comparison::kAnyOrder, 0, "the order of channels"},
    {"PUBSUB SHARDCHANNELS", Comparison::kAnyOrder, 0, "the order of channels"},
    {"RANDOMKEY", Comparison::kSameType, 0, "a random key"},
    // What a server says of itself.
    {"INFO", Comparison::kSameType, 0, "figures of the process"},
    {"LOLWUT", Comparison::kSameType, 0, "our own picture"},
    {"HELLO", Comparison::kWithoutId, 0, "the number of the connection"},
    {"CLIENT ID", Comparison::kSameType, 0, "the number of the connection"},
    {"CLIENT INFO", Comparison::kSameType, 0, "addresses, memory, descriptors"},
    {"CLIENT LIST", Comparison::kSameType, 0, "addresses, memory, descriptors"},
    {"CLIENT SETINFO", Comparison::kNewer, 0, "Redis has it since 7.2"},
    {"CLIENT NO-TOUCH", Comparison::kNewer, 0, "Redis has it since 7.2"},
    {"CLIENT HELP", Comparison::kHelp, 0, "names what this server has"},
    // The table of commands: those that this server has.
    {"COMMAND", Comparison::kSameType, 0, "fewer commands"},
    {"COMMAND COUNT", Comparison::kSameType, 0, "fewer commands"},
    {"COMMAND LIST", Comparison::kSameType, 0, "fewer commands, in another order"},
    {"COMMAND DOCS", Comparison::kDocumentation, 0, "neither arguments nor history"},
    {"COMMAND INFO", Comparison::kTableEntries, 0, "fewer commands; subcommands in another order"},
});

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& byte : upper) {
    if (byte >= 'a' && byte <= 'z') byte = static_cast<char>(byte - 'a' + 'A');
  }
  return upper;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& byte : lower) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  }
  return lower;
}

const AcceptedDifference* FindAccepted(const std::vector<std::string>& arguments) {
  const std::string name = Upper(arguments[0]);
  const std::string full = arguments.size() > 1 ? name + " " + Upper(arguments[1]) : name;
  // "COMMAND" alone is a command, too.
  const bool is_container = name == "COMMAND";
  for (const AcceptedDifference& row : kAccepted) {
    if (row.command == full || (row.command == name && !is_container)) return &row;
  }
  return nullptr;
}

bool IsError(std::string_view reply) { return reply.starts_with('-'); }

bool SameInAnyOrder(std::string_view ours, std::string_view redis) {
  auto left = ElementsOf(ours);
  auto right = ElementsOf(redis);
  if (!left || !right || ours[0] != redis[0]) return false;
  std::sort(left->begin(), left->end());
  std::sort(right->begin(), right->end());
  return *left == *right;
}

bool SameScan(std::string_view start, std::string_view ours, std::string_view redis) {
  const auto left = ElementsOf(ours);
  const auto right = ElementsOf(redis);
  if (!left || !right || left->size() != 2 || right->size() != 2) return false;
  constexpr std::string_view kDone = "$1\r\n0\r\n";
  const bool whole = (*left)[0] == kDone && (*right)[0] == kDone && start == "0";
  if (whole) return SameInAnyOrder((*left)[1], (*right)[1]);
  return (*left)[0].starts_with('$') && ElementsOf((*left)[1]).has_value();
}

bool SameWithoutId(std::string_view ours, std::string_view redis) {
  const auto left = ElementsOf(ours);
  const auto right = ElementsOf(redis);
  if (!left || !right || ours[0] != redis[0] || left->size() != right->size()) return false;
  for (size_t index = 0; index < left->size(); ++index) {
    const bool id = index > 0 && (*left)[index - 1] == "$2\r\nid\r\n";
    if (!id && (*left)[index] != (*right)[index]) return false;
  }
  return true;
}

bool NamesNewer(std::string_view name) {
  const auto text = TextIn(name);
  return text && IsNewer(*text);
}

// Of each command that ours describes, Redis has the same under the same name.
bool SameDocumentation(std::string_view ours, std::string_view redis) {
  const auto left = ElementsOf(ours);
  const auto right = ElementsOf(redis);
  if (!left || !right || ours[0] != redis[0] || left->size() > right->size()) return false;
  for (size_t index = 0; index + 1 < left->size(); index += 2) {
    const std::string_view name = (*left)[index];
    const std::string_view value = (*left)[index + 1];
    if (NamesNewer(name)) continue;
    const auto found = std::find(right->begin(), right->end(), name);
    if (found == right->end() || found + 1 == right->end()) return false;
    // The subcommands are maps of maps.
    if (ElementsOf(value) ? !SameDocumentation(value, found[1]) : value != found[1]) return false;
  }
  return true;
}

// Of a command's entry in the table: all before its subcommands is the same, and Redis has the same
// subcommands, and maybe others.
bool SameEntry(std::string_view ours, std::string_view redis) {
  const auto left = ElementsOf(ours);
  const auto right = ElementsOf(redis);
  constexpr size_t kFields = 10;
  if (!left || !right || left->size() != kFields || right->size() != kFields) return false;
  if (!std::equal(left->begin(), left->end() - 1, right->begin())) return false;
  const auto left_subcommands = ElementsOf(left->back());
  const auto right_subcommands = ElementsOf(right->back());
  if (!left_subcommands || !right_subcommands) return false;
  if (left_subcommands->empty() || right_subcommands->empty()) return left->back() == right->back();
  return std::ranges::all_of(*left_subcommands, [&](std::string_view entry) {
    const auto fields = ElementsOf(entry);
    return (fields && !fields->empty() && NamesNewer(fields->front())) ||
           std::ranges::any_of(*right_subcommands,
                               [&](std::string_view other) { return SameEntry(entry, other); });
  });
}

// Of the commands that were asked for; without names the tables are not the same.
bool SameEntries(const std::vector<std::string>& arguments, std::string_view ours,
                 std::string_view redis) {
  const auto left = ElementsOf(ours);
  const auto right = ElementsOf(redis);
  if (!left || !right) return false;
  constexpr size_t kFirstName = 2;
  if (arguments.size() == kFirstName) return ours[0] == redis[0];
  if (left->size() != right->size()) return false;
  for (size_t index = 0; index < left->size(); ++index) {
    const bool ours_only = IsNewer(Lower(arguments[kFirstName + index]));
    const bool redis_only = !ElementsOf((*left)[index]);
    if (!ours_only && !redis_only && !SameEntry((*left)[index], (*right)[index])) return false;
  }
  return true;
}

bool IsUnknownSubcommand(std::string_view reply) {
  return reply.starts_with("-ERR unknown subcommand '");
}

// Of a command whose reply depends on nothing but its arguments.
bool IsTheModels(const std::vector<std::string>& arguments, std::string_view ours) {
  scenarios::SequentialModel model;
  scenarios::SequentialModel::Connection connection;
  return model.Execute(connection, arguments, {}).Matches(ours);
}

// What it is about is the line that begins without a space; the lines below explain it.
bool SameHelp(std::string_view ours, std::string_view redis) {
  const auto left = ElementsOf(ours);
  const auto right = ElementsOf(redis);
  if (!left || !right || left->empty()) return false;
  auto at = right->begin();
  bool newer = false;
  for (const std::string_view line : *left) {
    const auto text = TextIn(line);
    if (!text) return false;
    if (!text->starts_with(' '))
      newer = IsNewer("client|" + Lower(text->substr(0, text->find(' '))));
    if (newer) continue;
    at = std::find(at, right->end(), line);
    if (at == right->end()) return false;
    ++at;
  }
  return true;
}

bool Near(std::string_view ours, std::string_view redis, int64_t slack) {
  const auto left = IntegerIn(ours);
  const auto right = IntegerIn(redis);
  // Redis adds 500 ms to round, and the largest times overflow.
  constexpr int64_t kOverflowed = -9'000'000'000'000'000;
  if (left && right && *right < kOverflowed) return *left > -kOverflowed;
  return left && right && std::llabs(*left - *right) <= slack;
}

bool Same(const AcceptedDifference& row, const std::vector<std::string>& arguments,
          std::string_view ours, std::string_view redis) {
  switch (row.comparison) {
    case Comparison::kExact:
      return false;
    case Comparison::kAnyOrder:
      return SameInAnyOrder(ours, redis);
    case Comparison::kScan:
      return SameScan(arguments[1], ours, redis);
    case Comparison::kNear:
      return Near(ours, redis, row.slack);
    case Comparison::kSameType:
      return ours[0] == redis[0] && !IsError(ours);
    case Comparison::kWithoutId:
      return SameWithoutId(ours, redis);
    case Comparison::kDocumentation:
      return SameDocumentation(ours, redis);
    case Comparison::kTableEntries:
      return SameEntries(arguments, ours, redis);
    case Comparison::kNewer:
      return IsUnknownSubcommand(redis) && IsTheModels(arguments, ours);
    case Comparison::kHelp:
      return SameHelp(ours, redis);
  }
  return false;
}

}  // namespace

bool IsNewer(std::string_view full_name) {
  return full_name == "client|setinfo" || full_name == "client|no-touch";
}

std::optional<std::vector<std::string_view>> ElementsOf(std::string_view reply) {
  if (reply.empty() || std::string_view("*%~>").find(reply[0]) == std::string_view::npos) {
    return std::nullopt;
  }
  const size_t line_end = reply.find("\r\n");
  if (line_end == std::string_view::npos || reply[1] == '-') return std::nullopt;
  std::vector<std::string_view> elements;
  for (size_t at = line_end + 2; at < reply.size();) {
    const auto length = ReplyLength(reply.substr(at));
    if (!length || *length == 0) return std::nullopt;
    elements.push_back(reply.substr(at, *length));
    at += *length;
  }
  return elements;
}

std::optional<std::string_view> TextIn(std::string_view reply) {
  const size_t line_end = reply.find("\r\n");
  if (line_end == std::string_view::npos) return std::nullopt;
  if (reply[0] == '+') return reply.substr(1, line_end - 1);
  if (reply[0] != '$' || reply[1] == '-') return std::nullopt;
  const std::string_view body = reply.substr(line_end + 2);
  return body.substr(0, body.size() - 2);
}

std::span<const AcceptedDifference> AcceptedDifferences() { return kAccepted; }

std::optional<std::string> Difference(const std::vector<std::string>& arguments,
                                      std::string_view ours, std::string_view redis) {
  if (ours == redis) return std::nullopt;
  const AcceptedDifference* row = FindAccepted(arguments);
  if (row != nullptr && Same(*row, arguments, ours, redis)) return std::nullopt;
  constexpr size_t kShownMax = 400;
  return "redis: " + Printable(redis, kShownMax) + "\nours:  " + Printable(ours, kShownMax);
}

}  // namespace orrery::e2e
