// The family of string commands.

#include <array>
#include <limits>
#include <optional>
#include <string>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

void Get(CommandCall& call) {
  if (const Keyspace::Place place = LookUpFirst(call)) {
    ReplyValue(call, *place);
  } else {
    call.reply.Null();
  }
}

// --- SET

enum class SetIf : uint8_t { kAlways, kMissing, kPresent };
enum class ExpiryUnit : uint8_t { kNone, kSeconds, kMilliseconds, kUnixSeconds, kUnixMilliseconds };

struct SetOptions {
  SetIf condition = SetIf::kAlways;
  bool get = false;
  bool keep_expiry = false;
  ExpiryUnit unit = ExpiryUnit::kNone;
  size_t expiry_index = 0;  // Of the argument with the time.
};

ExpiryUnit ExpiryUnitOf(std::string_view option) {
  if (EqualsIgnoreCase(option, "ex")) return ExpiryUnit::kSeconds;
  if (EqualsIgnoreCase(option, "px")) return ExpiryUnit::kMilliseconds;
  if (EqualsIgnoreCase(option, "exat")) return ExpiryUnit::kUnixSeconds;
  if (EqualsIgnoreCase(option, "pxat")) return ExpiryUnit::kUnixMilliseconds;
  return ExpiryUnit::kNone;
}

// Nothing when they are not SET's. As in Redis, an option may be repeated but not contradicted.
std::optional<SetOptions> ParseSetOptions(const CommandCall& call) {
  SetOptions options;
  for (size_t i = 3; i < call.size(); ++i) {
    const std::string_view option = call[i];
    if (EqualsIgnoreCase(option, "nx") && options.condition != SetIf::kPresent) {
      options.condition = SetIf::kMissing;
    } else if (EqualsIgnoreCase(option, "xx") && options.condition != SetIf::kMissing) {
      options.condition = SetIf::kPresent;
    } else if (EqualsIgnoreCase(option, "get")) {
      options.get = true;
    } else if (EqualsIgnoreCase(option, "keepttl") && options.unit == ExpiryUnit::kNone) {
      options.keep_expiry = true;
    } else {
      const ExpiryUnit unit = ExpiryUnitOf(option);
      const bool contradicts =
          options.keep_expiry || (options.unit != ExpiryUnit::kNone && options.unit != unit);
      if (unit == ExpiryUnit::kNone || contradicts || i + 1 == call.size()) return std::nullopt;
      options.unit = unit;
      options.expiry_index = ++i;
    }
  }
  return options;
}

// The point in Unix time that the options name; on nothing the error has been replied.
std::optional<int64_t> SetExpiryOrReply(CommandCall& call, const SetOptions& options) {
  if (options.unit == ExpiryUnit::kNone) return kNoExpiry;
  const std::optional<int64_t> number = IntegerOrReply(call, options.expiry_index);
  if (!number) return std::nullopt;
  const bool seconds =
      options.unit == ExpiryUnit::kSeconds || options.unit == ExpiryUnit::kUnixSeconds;
  const bool relative =
      options.unit == ExpiryUnit::kSeconds || options.unit == ExpiryUnit::kMilliseconds;
  int64_t time_ms = *number;
  const bool overflows =
      (seconds && __builtin_mul_overflow(time_ms, int64_t{1000}, &time_ms)) ||
      (relative && __builtin_add_overflow(time_ms, call.server.now_ms, &time_ms));
  if (*number <= 0 || overflows) {
    ReplyInvalidExpireTime(call);
    return std::nullopt;
  }
  return time_ms;
}

void Set(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  if (call.size() == 3) {
    keyspace.Assign(keyspace.Find(key, call.server.now_ms), key, call[2], kNoExpiry);
    call.reply.Ok();
    return;
  }
  const std::optional<SetOptions> options = ParseSetOptions(call);
  if (!options) {
    call.reply.Error(kSyntaxError);
    return;
  }
  const std::optional<int64_t> expires_at_ms = SetExpiryOrReply(call, *options);
  if (!expires_at_ms) return;

  const Keyspace::Place place =
      options->get ? LookUp(call, key) : keyspace.Find(key, call.server.now_ms);
  const bool present = static_cast<bool>(place);
  const bool refused = (options->condition == SetIf::kMissing && present) ||
                       (options->condition == SetIf::kPresent && !present);
  if (options->get && present) {
    ReplyValue(call, *place);
  } else if (options->get || refused) {
    call.reply.Null();
  } else {
    call.reply.Ok();
  }
  if (refused) return;
  const bool keep = options->keep_expiry && present;
  keyspace.Assign(place, key, call[2], keep ? place->expires_at_ms() : *expires_at_ms);
}

// --- the others

void AddToValue(CommandCall& call, int64_t increment) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  const Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  const std::optional<int64_t> old = place ? ParseInteger(place->value()) : 0;
  if (!old) {
    call.reply.Error(kNotAnInteger);
    return;
  }
  int64_t value = 0;
  if (__builtin_add_overflow(*old, increment, &value)) {
    call.reply.Error("ERR increment or decrement would overflow");
    return;
  }
  std::array<char, kIntegerTextMax> text;
  const size_t length = FormatInteger(value, text);
  keyspace.Assign(place, key, {text.data(), length}, place ? place->expires_at_ms() : kNoExpiry);
  call.reply.Integer(value);
}

void Incr(CommandCall& call) { AddToValue(call, 1); }
void Decr(CommandCall& call) { AddToValue(call, -1); }

void Append(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  const std::string_view bytes = call[2];
  const Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  if (!place) {
    keyspace.Assign(place, key, bytes, kNoExpiry);
    call.reply.Integer(static_cast<int64_t>(bytes.size()));
    return;
  }
  const size_t total = place->value().size() + bytes.size();
  if (total > call.server.config.bulk_bytes_max) {
    call.reply.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return;
  }
  keyspace.Append(place, bytes);
  call.reply.Integer(static_cast<int64_t>(total));
}

void MGet(CommandCall& call) {
  call.reply.Array(call.size() - 1);
  ForEachKey(call, [&](size_t, HashedKey key) {
    if (const Keyspace::Place place = LookUp(call, key)) {
      ReplyValue(call, *place);
    } else {
      call.reply.Null();
    }
  });
}

void MSet(CommandCall& call) {
  if (call.size() % 2 == 0) {
    call.reply.Error("ERR wrong number of arguments for 'mset' command");
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  ForEachKey(call, [&](size_t index, HashedKey key) {
    keyspace.Assign(keyspace.Find(key, call.server.now_ms), key, call[index + 1], kNoExpiry);
  });
  call.reply.Ok();
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "append",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW insert",
     .handler = Append,
     .group = "string",
     .since = "2.0.0",
     .summary = "Append a value to a key",
     .complexity = "O(1) amortized: the memory of a value that is appended to grows by half."},
    {.name = "decr",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = Decr,
     .group = "string",
     .since = "1.0.0",
     .summary = "Decrement the integer value of a key by one",
     .complexity = "O(1)"},
    {.name = "get",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = Get,
     .group = "string",
     .since = "1.0.0",
     .summary = "Get the value of a key",
     .complexity = "O(1)"},
    {.name = "incr",
     .arity = 2,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = Incr,
     .group = "string",
     .since = "1.0.0",
     .summary = "Increment the integer value of a key by one",
     .complexity = "O(1)"},
    {.name = "mget",
     .arity = -2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryString,
     .keys = {1, -1, 1},
     .key_flags = "RO access",
     .handler = MGet,
     .tips = "request_policy:multi_shard",
     .group = "string",
     .since = "1.0.0",
     .summary = "Get the values of all the given keys",
     .complexity = "O(N) where N is the number of keys to retrieve."},
    {.name = "mset",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, -1, 2},
     .key_flags = "OW update",
     .handler = MSet,
     .tips = "request_policy:multi_shard response_policy:all_succeeded",
     .group = "string",
     .since = "1.0.1",
     .summary = "Set multiple keys to multiple values",
     .complexity = "O(N) where N is the number of keys to set."},
    {.name = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update variable_flags",
     .key_notes = "RW and ACCESS due to the optional `GET` argument",
     .handler = Set,
     .group = "string",
     .since = "1.0.0",
     .summary = "Set the string value of a key",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> StringCommands() { return kCommands; }

}  // namespace orrery::server
