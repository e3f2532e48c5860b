#include "server/command_support.h"

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

Keyspace::Place LookUp(CommandCall& call, HashedKey key) {
  const Keyspace::Place place = call.server.keyspace.Find(key, call.server.now_ms);
  ++(place ? call.server.stats.keyspace_hits : call.server.stats.keyspace_misses);
  return place;
}

void ReplyValue(CommandCall& call, const Entry& entry) {
  if (entry.is_shared()) {
    call.reply.BulkBody(entry.shared());
  } else {
    call.reply.Bulk(entry.value());
  }
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
