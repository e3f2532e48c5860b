// The family of string commands: values as a whole, and parts of them.

#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// The value of the first key, or null.
Keyspace::Place ReplyFirst(CommandCall& call) {
  const Keyspace::Place place = LookUpFirst(call);
  if (place) {
    ReplyValue(call, *place);
  } else {
    call.reply.Null();
  }
  return place;
}

void Get(CommandCall& call) { ReplyFirst(call); }

void GetDel(CommandCall& call) {
  if (const Keyspace::Place place = ReplyFirst(call)) call.server.keyspace.Erase(place);
}

void GetSet(CommandCall& call) {
  const Keyspace::Place place = ReplyFirst(call);
  call.server.keyspace.Assign(place, call.first_key(), call.value(2), kNoExpiry);
}

void StrLen(CommandCall& call) {
  const Keyspace::Place place = LookUpFirst(call);
  call.reply.Integer(place ? static_cast<int64_t>(place->value().size()) : 0);
}

// --- SET

enum class SetIf : uint8_t { kAlways, kMissing, kPresent };
enum class ExpiryUnit : uint8_t { kNone, kSeconds, kMilliseconds, kUnixSeconds, kUnixMilliseconds };

struct SetOptions {
  SetIf condition = SetIf::kAlways;
  bool get = false;
  bool keep_expiry = false;
  bool persist = false;
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

// Whether an option that asks for `unit` may follow what has been given. As in Redis, an option may
// be repeated but not contradicted.
bool MayAdd(const SetOptions& options, ExpiryUnit unit) {
  if (options.keep_expiry || options.persist) return false;
  return options.unit == ExpiryUnit::kNone || options.unit == unit;
}

// Takes "EX 10" and its like at `index`, and moves it to the time. False when it is none.
bool TakeExpiry(const CommandCall& call, size_t& index, SetOptions& options) {
  const ExpiryUnit unit = ExpiryUnitOf(call[index]);
  if (unit == ExpiryUnit::kNone || !MayAdd(options, unit) || index + 1 == call.size()) return false;
  options.unit = unit;
  options.expiry_index = ++index;
  return true;
}

// Nothing when they are not SET's.
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
    } else if (!TakeExpiry(call, i, options)) {
      return std::nullopt;
    }
  }
  return options;
}

// Nothing when they are not GETEX's.
std::optional<SetOptions> ParseGetExOptions(const CommandCall& call) {
  SetOptions options;
  for (size_t i = 2; i < call.size(); ++i) {
    if (EqualsIgnoreCase(call[i], "persist") && options.unit == ExpiryUnit::kNone) {
      options.persist = true;
    } else if (!TakeExpiry(call, i, options)) {
      return std::nullopt;
    }
  }
  return options;
}

bool IsAbsolute(ExpiryUnit unit) {
  return unit == ExpiryUnit::kUnixSeconds || unit == ExpiryUnit::kUnixMilliseconds;
}

// The point in Unix time that the options name; on nothing the error has been replied.
std::optional<int64_t> SetExpiryOrReply(CommandCall& call, const SetOptions& options) {
  if (options.unit == ExpiryUnit::kNone) return kNoExpiry;
  const std::optional<int64_t> number = IntegerOrReply(call, options.expiry_index);
  if (!number) return std::nullopt;
  const bool seconds =
      options.unit == ExpiryUnit::kSeconds || options.unit == ExpiryUnit::kUnixSeconds;
  int64_t time_ms = *number;
  const bool overflows =
      (seconds && __builtin_mul_overflow(time_ms, int64_t{1000}, &time_ms)) ||
      (!IsAbsolute(options.unit) && __builtin_add_overflow(time_ms, call.server.now_ms, &time_ms));
  if (*number <= 0 || overflows) {
    ReplyInvalidExpireTime(call);
    return std::nullopt;
  }
  return time_ms;
}

// Apart from Set(), which would pay for its frame.
[[gnu::noinline]] void SetWithOptions(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
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
  keyspace.Assign(place, key, call.value(2), keep ? place->expires_at_ms() : *expires_at_ms);
}

void Set(CommandCall& call) {
  if (call.size() > 3) return SetWithOptions(call);
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  // Peek(): Assign() says that it is used.
  keyspace.Assign(keyspace.Peek(key, call.server.now_ms), key, call.value(2), kNoExpiry);
  call.reply.Ok();
}

void SetNx(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  const Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  if (!place) keyspace.Assign(place, key, call.value(2), kNoExpiry);
  call.reply.Integer(place ? 0 : 1);
}

void SetWithExpiry(CommandCall& call, ExpiryUnit unit) {
  const std::optional<int64_t> expires_at_ms =
      SetExpiryOrReply(call, {.unit = unit, .expiry_index = 2});
  if (!expires_at_ms) return;
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  keyspace.Assign(keyspace.Find(key, call.server.now_ms), key, call.value(3), *expires_at_ms);
  call.reply.Ok();
}

void SetEx(CommandCall& call) { SetWithExpiry(call, ExpiryUnit::kSeconds); }
void PSetEx(CommandCall& call) { SetWithExpiry(call, ExpiryUnit::kMilliseconds); }

void GetEx(CommandCall& call) {
  const std::optional<SetOptions> options = ParseGetExOptions(call);
  if (!options) {
    call.reply.Error(kSyntaxError);
    return;
  }
  const Keyspace::Place place = LookUpFirst(call);
  if (!place) {
    call.reply.Null();
    return;
  }
  const std::optional<int64_t> expires_at_ms = SetExpiryOrReply(call, *options);
  if (!expires_at_ms) return;
  ReplyValue(call, *place);
  Keyspace& keyspace = call.server.keyspace;
  if (IsAbsolute(options->unit) && *expires_at_ms <= call.server.now_ms) {
    keyspace.Erase(place);
  } else if (options->persist ? place->expires() : options->unit != ExpiryUnit::kNone) {
    keyspace.SetExpiry(place, *expires_at_ms);
  }
}

// --- parts of values

// Whether a value of so many bytes may be built; if not, the error has been replied.
bool FitsOrReply(CommandCall& call, uint64_t offset, uint64_t bytes) {
  const uint64_t total = offset + bytes;
  if (total >= offset && total <= call.server.config.bulk_bytes_max) return true;
  call.reply.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
  return false;
}

void Append(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  const std::string_view bytes = call[2];
  const Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  if (!place) {
    keyspace.Assign(place, key, call.value(2), kNoExpiry);
    call.reply.Integer(static_cast<int64_t>(bytes.size()));
    return;
  }
  const size_t total = place->value().size() + bytes.size();
  if (!FitsOrReply(call, place->value().size(), bytes.size())) return;
  keyspace.Append(place, bytes);
  call.reply.Integer(static_cast<int64_t>(total));
}

void SetRange(CommandCall& call) {
  const std::optional<int64_t> offset = IntegerOrReply(call, 2);
  if (!offset) return;
  if (*offset < 0) {
    call.reply.Error("ERR offset is out of range");
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  const std::string_view bytes = call[3];
  if (bytes.empty()) {
    call.reply.Integer(place ? static_cast<int64_t>(place->value().size()) : 0);
    return;
  }
  const auto start = static_cast<uint64_t>(*offset);
  if (!FitsOrReply(call, start, bytes.size())) return;
  if (!place) place = keyspace.AddEmpty(key, call.server.now_ms);
  const std::span<char> value = keyspace.Edit(place, start + bytes.size());
  std::memcpy(value.data() + start, bytes.data(), bytes.size());
  call.reply.Integer(static_cast<int64_t>(value.size()));
}

void GetRange(CommandCall& call) {
  const std::optional<int64_t> first = IntegerOrReply(call, 2);
  if (!first) return;
  const std::optional<int64_t> last = IntegerOrReply(call, 3);
  if (!last) return;
  const Keyspace::Place place = LookUpFirst(call);
  const std::string_view value = place ? place->value() : std::string_view();
  const std::optional<IndexRange> range = ClampForwardRange(*first, *last, value.size());
  call.reply.Bulk(range ? value.substr(range->first, range->last - range->first + 1)
                        : std::string_view());
}

// --- several keys

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

bool ArePairsOrReply(CommandCall& call) {
  if (call.size() % 2 != 0) return true;
  ReplyWrongArity(call);
  return false;
}

void MSet(CommandCall& call) {
  if (!ArePairsOrReply(call)) return;
  Keyspace& keyspace = call.server.keyspace;
  ForEachKey(call, [&](size_t index, HashedKey key) {
    keyspace.Assign(keyspace.Find(key, call.server.now_ms), key, call.value(index + 1), kNoExpiry);
  });
  call.reply.Ok();
}

void MSetNx(CommandCall& call) {
  if (!ArePairsOrReply(call)) return;
  Keyspace& keyspace = call.server.keyspace;
  bool any = false;
  ForEachKey(call, [&](size_t, HashedKey key) {
    any = any || static_cast<bool>(keyspace.Find(key, call.server.now_ms));
  });
  if (!any) {
    ForEachKey(call, [&](size_t index, HashedKey key) {
      keyspace.Assign(keyspace.Find(key, call.server.now_ms), key, call.value(index + 1),
                      kNoExpiry);
    });
  }
  call.reply.Integer(any ? 0 : 1);
}

// Without GET, it does not read.
std::string_view SetKeyFlags(const CommandCall& call, size_t start) {
  for (size_t i = start + 3; i < call.size(); ++i) {
    if (EqualsIgnoreCase(call[i], "get")) return "RW access update";
  }
  return "OW update";
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
     .complexity =
         "O(1). The amortized time complexity is O(1) assuming the appended value is small and the "
         "already present value is of any size, since the dynamic string library used by Redis "
         "will double the free space available on every reallocation."},
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
    {.name = "getdel",
     .arity = 2,
     .flags = kWrite | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access delete",
     .handler = GetDel,
     .group = "string",
     .since = "6.2.0",
     .summary = "Get the value of a key and delete the key",
     .complexity = "O(1)"},
    {.name = "getex",
     .arity = -2,
     .flags = kWrite | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .key_notes = "RW and UPDATE because it changes the TTL",
     .handler = GetEx,
     .group = "string",
     .since = "6.2.0",
     .summary = "Get the value of a key and optionally set its expiration",
     .complexity = "O(1)"},
    {.name = "getrange",
     .arity = 4,
     .flags = kReadOnly,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = GetRange,
     .group = "string",
     .since = "2.4.0",
     .summary = "Get a substring of the string stored at a key",
     .complexity =
         "O(N) where N is the length of the returned string. The complexity is ultimately "
         "determined by the returned length, but because creating a substring from an existing "
         "string is very cheap, it can be considered O(1) for small strings."},
    {.name = "getset",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = GetSet,
     .group = "string",
     .since = "1.0.0",
     .summary = "Set the string value of a key and return its old value",
     .complexity = "O(1)",
     .doc_flags = "deprecated",
     .deprecated_since = "6.2.0",
     .replaced_by = "`SET` with the `!GET` argument"},
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
     .key_need = KeyNeed::kNothing,
     .handler = MSet,
     .tips = "request_policy:multi_shard response_policy:all_succeeded",
     .group = "string",
     .since = "1.0.1",
     .summary = "Set multiple keys to multiple values",
     .complexity = "O(N) where N is the number of keys to set."},
    {.name = "msetnx",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, -1, 2},
     .key_flags = "OW insert",
     .handler = MSetNx,
     .tips = "request_policy:multi_shard response_policy:agg_min",
     .group = "string",
     .since = "1.0.1",
     .summary = "Set multiple keys to multiple values, only if none of the keys exist",
     .complexity = "O(N) where N is the number of keys to set."},
    {.name = "psetex",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "OW update",
     .key_need = KeyNeed::kNothing,
     .handler = PSetEx,
     .group = "string",
     .since = "2.6.0",
     .summary = "Set the value and expiration in milliseconds of a key",
     .complexity = "O(1)"},
    {.name = "set",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update variable_flags",
     .key_notes = "RW and ACCESS due to the optional `GET` argument",
     .key_flags_of = SetKeyFlags,
     .handler = Set,
     .group = "string",
     .since = "1.0.0",
     .summary = "Set the string value of a key",
     .complexity = "O(1)"},
    {.name = "setex",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "OW update",
     .key_need = KeyNeed::kNothing,
     .handler = SetEx,
     .group = "string",
     .since = "2.0.0",
     .summary = "Set the value and expiration of a key",
     .complexity = "O(1)"},
    {.name = "setnx",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "OW insert",
     .handler = SetNx,
     .group = "string",
     .since = "1.0.0",
     .summary = "Set the value of a key, only if the key does not exist",
     .complexity = "O(1)"},
    {.name = "setrange",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW update",
     .handler = SetRange,
     .group = "string",
     .since = "2.2.0",
     .summary = "Overwrite part of a string at key starting at the specified offset",
     .complexity = "O(1), not counting the time taken to copy the new string in place. Usually, "
                   "this string is very small so the amortized complexity is O(1). Otherwise, "
                   "complexity is O(M) with M being the length of the value argument."},
    {.name = "strlen",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RO",
     .handler = StrLen,
     .group = "string",
     .since = "2.2.0",
     .summary = "Get the length of the value stored in a key",
     .complexity = "O(1)"},
    {.name = "substr",
     .arity = 4,
     .flags = kReadOnly,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RO access",
     .handler = GetRange,
     .group = "string",
     .since = "1.0.0",
     .summary = "Get a substring of the string stored at a key",
     .complexity =
         "O(N) where N is the length of the returned string. The complexity is ultimately "
         "determined by the returned length, but because creating a substring from an existing "
         "string is very cheap, it can be considered O(1) for small strings.",
     .doc_flags = "deprecated",
     .deprecated_since = "2.0.0",
     .replaced_by = "`GETRANGE`"},
});

}  // namespace

std::span<const CommandSpec> StringCommands() { return kCommands; }

}  // namespace orrery::server
