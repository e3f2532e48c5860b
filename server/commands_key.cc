// The family of commands on keys, whatever their values.

#include <array>
#include <limits>
#include <optional>
#include <string>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/text.h"

namespace orrery::server {
namespace {

void Del(CommandCall& call) {
  int64_t deleted = 0;
  ForEachKey(call, [&](size_t, HashedKey key) {
    if (const Keyspace::Place place = call.server.keyspace.Find(key, call.server.now_ms)) {
      call.server.keyspace.Erase(place);
      ++deleted;
    }
  });
  call.reply.Integer(deleted);
}

void Exists(CommandCall& call) {
  int64_t found = 0;
  ForEachKey(call, [&](size_t, HashedKey key) { found += LookUp(call, key) ? 1 : 0; });
  call.reply.Integer(found);
}

// --- expiry

constexpr int64_t kMillisecondsPerSecond = 1000;

struct ExpireConditions {
  bool none = false;     // NX: only a key without an expiry.
  bool present = false;  // XX: only one with an expiry.
  bool later = false;    // GT: only to a later time.
  bool earlier = false;  // LT: only to an earlier time; no expiry is later than any.
};

// On nothing the error has been replied.
std::optional<ExpireConditions> ExpireConditionsOrReply(CommandCall& call) {
  ExpireConditions conditions;
  for (size_t i = 3; i < call.size(); ++i) {
    const std::string_view option = call[i];
    if (EqualsIgnoreCase(option, "nx")) {
      conditions.none = true;
    } else if (EqualsIgnoreCase(option, "xx")) {
      conditions.present = true;
    } else if (EqualsIgnoreCase(option, "gt")) {
      conditions.later = true;
    } else if (EqualsIgnoreCase(option, "lt")) {
      conditions.earlier = true;
    } else {
      call.reply.Error("ERR Unsupported option " + std::string(AsCString(option, option.size())));
      return std::nullopt;
    }
  }
  if (conditions.none && (conditions.present || conditions.later || conditions.earlier)) {
    call.reply.Error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (conditions.later && conditions.earlier) {
    call.reply.Error("ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return conditions;
}

bool Allows(const ExpireConditions& conditions, int64_t old_ms, int64_t new_ms) {
  const bool expires = old_ms != kNoExpiry;
  if (conditions.none && expires) return false;
  if (conditions.present && !expires) return false;
  if (conditions.later && (!expires || new_ms <= old_ms)) return false;
  if (conditions.earlier && expires && new_ms >= old_ms) return false;
  return true;
}

void ExpireIn(CommandCall& call, int64_t milliseconds_per_unit) {
  const std::optional<ExpireConditions> conditions = ExpireConditionsOrReply(call);
  if (!conditions) return;
  const std::optional<int64_t> number = IntegerOrReply(call, 2);
  if (!number) return;
  int64_t when_ms = 0;
  if (__builtin_mul_overflow(*number, milliseconds_per_unit, &when_ms) ||
      __builtin_add_overflow(when_ms, call.server.now_ms, &when_ms)) {
    ReplyInvalidExpireTime(call);
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  const Keyspace::Place place = keyspace.Find(call.first_key(), call.server.now_ms);
  if (!place || !Allows(*conditions, place->expires_at_ms(), when_ms)) {
    call.reply.Integer(0);
    return;
  }
  if (when_ms <= call.server.now_ms) {
    keyspace.Erase(place);
  } else {
    keyspace.SetExpiry(place, when_ms);
  }
  call.reply.Integer(1);
}

void Expire(CommandCall& call) { ExpireIn(call, kMillisecondsPerSecond); }
void PExpire(CommandCall& call) { ExpireIn(call, 1); }

// The milliseconds that the key has left; on nothing the reply is done.
std::optional<int64_t> TimeLeftOrReply(CommandCall& call) {
  constexpr int64_t kNoKey = -2;
  constexpr int64_t kNeverExpires = -1;
  const Keyspace::Place place = LookUpFirst(call);
  if (!place || !place->expires()) {
    call.reply.Integer(place ? kNeverExpires : kNoKey);
    return std::nullopt;
  }
  return place->expires_at_ms() - call.server.now_ms;
}

void Ttl(CommandCall& call) {
  const std::optional<int64_t> left_ms = TimeLeftOrReply(call);
  if (!left_ms) return;
  // Rounded to the nearest second, as in Redis; written so that the largest time does not overflow.
  const int64_t seconds = *left_ms / kMillisecondsPerSecond;
  const bool up = *left_ms % kMillisecondsPerSecond >= kMillisecondsPerSecond / 2;
  call.reply.Integer(seconds + (up ? 1 : 0));
}

void PTtl(CommandCall& call) {
  if (const std::optional<int64_t> left_ms = TimeLeftOrReply(call)) call.reply.Integer(*left_ms);
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "del",
     .arity = -2,
     .flags = kWrite,
     .categories = kCategoryKeyspace,
     .keys = {1, -1, 1},
     .key_flags = "RM delete",
     .handler = Del,
     .tips = "request_policy:multi_shard response_policy:agg_sum",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Delete a key",
     .complexity = "O(N) where N is the number of keys that will be removed."},
    {.name = "exists",
     .arity = -2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, -1, 1},
     .key_flags = "RO",
     .handler = Exists,
     .tips = "request_policy:multi_shard response_policy:agg_sum",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Determine if a key exists",
     .complexity = "O(N) where N is the number of keys to check."},
    {.name = "expire",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RW update",
     .handler = Expire,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Set a key's time to live in seconds",
     .complexity = "O(1)"},
    {.name = "pexpire",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RW update",
     .handler = PExpire,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Set a key's time to live in milliseconds",
     .complexity = "O(1)"},
    {.name = "pttl",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = PTtl,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "2.6.0",
     .summary = "Get the time to live for a key in milliseconds",
     .complexity = "O(1)"},
    {.name = "ttl",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = Ttl,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Get the time to live for a key in seconds",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> KeyCommands() { return kCommands; }

}  // namespace orrery::server
