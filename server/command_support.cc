#include "server/command_support.h"

#include <algorithm>
#include <limits>
#include <string>

#include "server/number.h"

namespace orrery::server {

std::optional<int64_t> IntegerOrReply(CommandCall& call, size_t index, std::string_view error) {
  const std::optional<int64_t> value = ParseInteger(call[index]);
  if (!value) call.reply.Error(error);
  return value;
}

void ReplyInvalidExpireTime(CommandCall& call) {
  call.reply.Error("ERR invalid expire time in '" + std::string(call.spec.name) + "' command");
}

void ReplyWrongArity(CommandCall& call) {
  call.reply.Error("ERR wrong number of arguments for '" + std::string(call.spec.name) +
                   "' command");
}

bool DatabaseOrReply(CommandCall& call, size_t index) {
  const std::optional<int64_t> database = IntegerOrReply(call, index);
  if (!database) return false;
  if (*database < std::numeric_limits<int>::min() || *database > std::numeric_limits<int>::max()) {
    call.reply.Error("ERR value is out of range, value must between -2147483648 and 2147483647");
    return false;
  }
  if (*database == 0) return true;
  call.reply.Error("ERR DB index is out of range");
  return false;
}

std::optional<IndexRange> ClampRange(int64_t first, int64_t last, size_t size) {
  const auto end = static_cast<int64_t>(size);
  if (first < 0) first = std::max<int64_t>(first + end, 0);
  if (last < 0) last = std::max<int64_t>(last + end, 0);
  last = std::min(last, end - 1);
  if (first > last) return std::nullopt;
  return IndexRange{.first = static_cast<size_t>(first), .last = static_cast<size_t>(last)};
}

std::optional<IndexRange> ClampForwardRange(int64_t first, int64_t last, size_t size) {
  if (first < 0 && last < 0 && first > last) return std::nullopt;
  return ClampRange(first, last, size);
}

bool IsShowable(std::string_view name) {
  for (const char c : name) {
    if (c < '!' || c > '~') return false;
  }
  return true;
}

bool SetNameOrReply(CommandCall& call, std::string_view name) {
  if (!IsShowable(name)) {
    call.reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
  }
  if (name != call.client.names().name) call.client.mutable_names().name = name;
  return true;
}

void ReplyHelp(CommandCall& call, std::string_view command,
               std::span<const std::string_view> lines) {
  call.reply.Array(lines.size() + 3);
  call.reply.SimpleString(std::string(command) +
                          " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const std::string_view line : lines) call.reply.SimpleString(line);
  call.reply.SimpleString("HELP");
  call.reply.SimpleString("    Prints this help.");
}

}  // namespace orrery::server
