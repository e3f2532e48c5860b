// The family of commands on the expiry of keys.

#include <array>
#include <optional>
#include <string>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/text.h"

namespace orrery::server {
namespace {

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

// EXPIRE and its like: `base_ms` is what the time counts from.
void SetTime(CommandCall& call, int64_t milliseconds_per_unit, int64_t base_ms) {
  const std::optional<ExpireConditions> conditions = ExpireConditionsOrReply(call);
  if (!conditions) return;
  const std::optional<int64_t> number = IntegerOrReply(call, 2);
  if (!number) return;
  int64_t when_ms = 0;
  if (__builtin_mul_overflow(*number, milliseconds_per_unit, &when_ms) ||
      __builtin_add_overflow(when_ms, base_ms, &when_ms)) {
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

void Expire(CommandCall& call) { SetTime(call, kMillisecondsPerSecond, call.server.now_ms); }
void PExpire(CommandCall& call) { SetTime(call, 1, call.server.now_ms); }
void ExpireAt(CommandCall& call) { SetTime(call, kMillisecondsPerSecond, 0); }
void PExpireAt(CommandCall& call) { SetTime(call, 1, 0); }

void Persist(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const Keyspace::Place place = keyspace.Find(call.first_key(), call.server.now_ms);
  const bool expires = place && place->expires();
  if (expires) keyspace.SetExpiry(place, kNoExpiry);
  call.reply.Integer(expires ? 1 : 0);
}

// When the key goes, in Unix milliseconds; on nothing the reply is done.
std::optional<int64_t> ExpiryOrReply(CommandCall& call) {
  constexpr int64_t kNoKey = -2;
  constexpr int64_t kNeverExpires = -1;
  const Keyspace::Place place = LookUpFirst(call, Use::kAsks);
  if (place && place->expires()) return place->expires_at_ms();
  call.reply.Integer(place ? kNeverExpires : kNoKey);
  return std::nullopt;
}

// Rounded to the nearest second, as in Redis; but the largest time does not overflow.
int64_t InSeconds(int64_t time_ms) {
  const bool up = time_ms % kMillisecondsPerSecond >= kMillisecondsPerSecond / 2;
  return time_ms / kMillisecondsPerSecond + (up ? 1 : 0);
}

void Ttl(CommandCall& call) {
  if (const auto expiry_ms = ExpiryOrReply(call)) {
    call.reply.Integer(InSeconds(*expiry_ms - call.server.now_ms));
  }
}

void PTtl(CommandCall& call) {
  if (const auto expiry_ms = ExpiryOrReply(call)) {
    call.reply.Integer(*expiry_ms - call.server.now_ms);
  }
}

void ExpireTime(CommandCall& call) {
  if (const auto expiry_ms = ExpiryOrReply(call)) call.reply.Integer(InSeconds(*expiry_ms));
}

void PExpireTime(CommandCall& call) {
  if (const auto expiry_ms = ExpiryOrReply(call)) call.reply.Integer(*expiry_ms);
}

constexpr auto kCommands = std::to_array<CommandSpec>({
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
    {.name = "expireat",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RW update",
     .handler = ExpireAt,
     .group = "generic",
     .since = "1.2.0",
     .summary = "Set the expiration for a key as a UNIX timestamp",
     .complexity = "O(1)"},
    {.name = "expiretime",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = ExpireTime,
     .group = "generic",
     .since = "7.0.0",
     .summary = "Get the expiration Unix timestamp for a key",
     .complexity = "O(1)"},
    {.name = "persist",
     .arity = 2,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RW update",
     .handler = Persist,
     .group = "generic",
     .since = "2.2.0",
     .summary = "Remove the expiration from a key",
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
    {.name = "pexpireat",
     .arity = -3,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RW update",
     .handler = PExpireAt,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
     .complexity = "O(1)"},
    {.name = "pexpiretime",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = PExpireTime,
     .group = "generic",
     .since = "7.0.0",
     .summary = "Get the expiration Unix timestamp for a key in milliseconds",
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

std::span<const CommandSpec> ExpiryCommands() { return kCommands; }

}  // namespace orrery::server
