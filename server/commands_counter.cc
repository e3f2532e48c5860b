// The family of commands that count: values that read as numbers.

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/number.h"

namespace orrery::server {
namespace {

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
  keyspace.Assign(place, key, std::string_view(text.data(), length),
                  place ? place->expires_at_ms() : kNoExpiry);
  call.reply.Integer(value);
}

void Incr(CommandCall& call) { AddToValue(call, 1); }
void Decr(CommandCall& call) { AddToValue(call, -1); }

void IncrBy(CommandCall& call) {
  if (const std::optional<int64_t> increment = IntegerOrReply(call, 2)) {
    AddToValue(call, *increment);
  }
}

void DecrBy(CommandCall& call) {
  const std::optional<int64_t> decrement = IntegerOrReply(call, 2);
  if (!decrement) return;
  if (*decrement == std::numeric_limits<int64_t>::min()) {
    call.reply.Error("ERR decrement would overflow");
    return;
  }
  AddToValue(call, -*decrement);
}

void IncrByFloat(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey key = call.first_key();
  const Keyspace::Place place = keyspace.Find(key, call.server.now_ms);
  const std::optional<long double> old = place ? ParseFloat(place->value()) : 0.0L;
  const std::optional<long double> increment = ParseFloat(call[2]);
  if (!old || !increment) {
    call.reply.Error("ERR value is not a valid float");
    return;
  }
  const long double value = *old + *increment;
  if (std::isnan(value) || std::isinf(value)) {
    call.reply.Error("ERR increment would produce NaN or Infinity");
    return;
  }
  std::array<char, kFloatTextMax> text;
  const std::string_view digits(text.data(), FormatFloat(value, text));
  keyspace.Assign(place, key, digits, place ? place->expires_at_ms() : kNoExpiry, Encoding::kText);
  call.reply.Bulk(digits);
}

constexpr auto kCommands = std::to_array<CommandSpec>({
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
    {.name = "decrby",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = DecrBy,
     .group = "string",
     .since = "1.0.0",
     .summary = "Decrement the integer value of a key by the given number",
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
    {.name = "incrby",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = IncrBy,
     .group = "string",
     .since = "1.0.0",
     .summary = "Increment the integer value of a key by the given amount",
     .complexity = "O(1)"},
    {.name = "incrbyfloat",
     .arity = 3,
     .flags = kWrite | kDenyOom | kFast,
     .categories = kCategoryString,
     .keys = {1, 1, 1},
     .key_flags = "RW access update",
     .handler = IncrByFloat,
     .group = "string",
     .since = "2.6.0",
     .summary = "Increment the float value of a key by the given amount",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> CounterCommands() { return kCommands; }

}  // namespace orrery::server
