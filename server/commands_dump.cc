// DUMP and RESTORE: values as Redis writes them into its files.

#include <array>
#include <expected>
#include <optional>
#include <string>

#include "server/access_clock.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/rdb.h"
#include "server/text.h"

namespace orrery::server {
namespace {

void Dump(CommandCall& call) {
  if (const Keyspace::Place place = LookUpFirst(call)) {
    call.reply.Bulk(EncodeDump(place->value()));
  } else {
    call.reply.Null();
  }
}

struct RestoreOptions {
  bool replace = false;
  bool absolute = false;
  std::optional<int64_t> idle_s;
  std::optional<int64_t> frequency;
};

// IDLETIME and FREQ at `index`; false when the error has been replied.
bool NumberOptionOrReply(CommandCall& call, size_t index, RestoreOptions& options) {
  constexpr int64_t kFrequencyMax = 255;
  const bool idle = EqualsIgnoreCase(call[index], "idletime");
  const std::optional<int64_t> number = IntegerOrReply(call, index + 1);
  if (!number) return false;
  if (idle && *number < 0) {
    call.reply.Error("ERR Invalid IDLETIME value, must be >= 0");
    return false;
  }
  if (!idle && (*number < 0 || *number > kFrequencyMax)) {
    call.reply.Error("ERR Invalid FREQ value, must be >= 0 and <= 255");
    return false;
  }
  (idle ? options.idle_s : options.frequency) = number;
  return true;
}

// On nothing the error has been replied.
std::optional<RestoreOptions> RestoreOptionsOrReply(CommandCall& call) {
  RestoreOptions options;
  for (size_t i = 4; i < call.size(); ++i) {
    const bool more = i + 1 < call.size();
    if (EqualsIgnoreCase(call[i], "replace")) {
      options.replace = true;
    } else if (EqualsIgnoreCase(call[i], "absttl")) {
      options.absolute = true;
    } else if ((EqualsIgnoreCase(call[i], "idletime") && more && !options.frequency) ||
               (EqualsIgnoreCase(call[i], "freq") && more && !options.idle_s)) {
      if (!NumberOptionOrReply(call, i++, options)) return std::nullopt;
    } else {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

// The value in the payload; on nothing the error has been replied.
std::optional<std::string> ValueOrReply(CommandCall& call, std::string_view payload) {
  auto value = DecodeDump(payload, call.server.config.bulk_bytes_max);
  if (value) return *std::move(value);
  call.reply.Error(value.error() == DumpError::kFooter
                       ? "ERR DUMP payload version or checksum are wrong"
                       : "ERR Bad data format");
  return std::nullopt;
}

void Restore(CommandCall& call) {
  const std::optional<RestoreOptions> options = RestoreOptionsOrReply(call);
  if (!options) return;
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  const Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  if (place && !options->replace) {
    call.reply.Error("BUSYKEY Target key name already exists.");
    return;
  }
  const std::optional<int64_t> ttl = IntegerOrReply(call, 2);
  if (!ttl) return;
  if (*ttl < 0) {
    call.reply.Error("ERR Invalid TTL value, must be >= 0");
    return;
  }
  const std::optional<std::string> value = ValueOrReply(call, call[3]);
  if (!value) return;
  int64_t expires_at_ms = *ttl == 0 ? kNoExpiry : *ttl;
  if (*ttl != 0 && !options->absolute &&
      __builtin_add_overflow(*ttl, call.server.now_ms, &expires_at_ms)) {
    // As in Redis, where the sum becomes a time long ago.
    expires_at_ms = 0;
  }
  if (*ttl != 0 && expires_at_ms <= call.server.now_ms) {
    if (place) keyspace.Erase(place);
    call.reply.Ok();
    return;
  }
  keyspace.Assign(place, key, *value, expires_at_ms);
  if (options->idle_s) {
    keyspace.SetAccessed(keyspace.Peek(key, call.server.now_ms),
                         AccessedBefore(*options->idle_s, AccessClock(call.server.now_ms)));
  }
  call.reply.Ok();
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "dump",
     .arity = 2,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = Dump,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "2.6.0",
     .summary = "Return a serialized version of the value stored at the specified key.",
     .complexity =
         "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of "
         "Redis objects composing the value and M their average size. For small string values the "
         "time complexity is thus O(1)+O(1*M) where M is small, so simply O(1)."},
    {.name = "restore",
     .arity = -4,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryKeyspace | kCategoryDangerous,
     .keys = {1, 1, 1},
     .key_flags = "OW update",
     .handler = Restore,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Create a key using the provided serialized value, previously obtained using DUMP.",
     .complexity = "O(1) to create the new key and additional O(N*M) to reconstruct the serialized "
                   "value, where N is the number of Redis objects composing the value and M their "
                   "average size. For small string values the time complexity is thus O(1)+O(1*M) "
                   "where M is small, so simply O(1). However for sorted set values the complexity "
                   "is O(N*M*log(N)) because inserting values into sorted sets is O(log(N))."},
});

}  // namespace

std::span<const CommandSpec> DumpCommands() { return kCommands; }

}  // namespace orrery::server
