// OBJECT: what Redis tells of how it keeps a value. Ours are kept otherwise; the answers are what
// Redis would say.

#include <array>
#include <limits>
#include <string_view>

#include "server/access_clock.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/number.h"

namespace orrery::server {
namespace {

// A value of up to this size is "embstr" in Redis.
constexpr size_t kEmbeddedBytesMax = 44;
// Integers from 0 below this are one object for all keys.
constexpr int64_t kSharedIntegers = 10'000;

// Looks the key up without using it; on nothing the reply is done.
Keyspace::Place ObjectOrReply(CommandCall& call) {
  const Keyspace::Place place = LookUpFirst(call, Use::kAsks);
  if (!place) call.reply.Null();
  return place;
}

bool IsInteger(const Entry& entry) {
  const bool natural =
      entry.encoding() == Encoding::kNatural || entry.encoding() == Encoding::kOwnInteger;
  return natural && ParseInteger(entry.value()).has_value();
}

void ObjectEncoding(CommandCall& call) {
  const Keyspace::Place place = ObjectOrReply(call);
  if (!place) return;
  const bool raw = place->encoding() == Encoding::kRaw || place->value().size() > kEmbeddedBytesMax;
  call.reply.Bulk(IsInteger(*place) ? "int" : raw ? "raw" : "embstr");
}

void ObjectRefCount(CommandCall& call) {
  const Keyspace::Place place = ObjectOrReply(call);
  if (!place) return;
  const bool shared = place->encoding() == Encoding::kNatural && IsInteger(*place) &&
                      *ParseInteger(place->value()) >= 0 &&
                      *ParseInteger(place->value()) < kSharedIntegers;
  call.reply.Integer(shared ? std::numeric_limits<int32_t>::max() : 1);
}

void ObjectIdleTime(CommandCall& call) {
  const Keyspace::Place place = ObjectOrReply(call);
  if (!place) return;
  call.reply.Integer(IdleSeconds(place->accessed(), AccessClock(call.server.now_ms)));
}

void ObjectFreq(CommandCall& call) {
  if (!ObjectOrReply(call)) return;
  call.reply.Error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
      "when switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void ObjectHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "ENCODING <key>",
      "    Return the kind of internal representation used in order to store the value",
      "    associated with a <key>.",
      "FREQ <key>",
      "    Return the access frequency index of the <key>. The returned integer is",
      "    proportional to the logarithm of the recent access frequency of the key.",
      "IDLETIME <key>",
      "    Return the idle time of the <key>, that is the approximated number of",
      "    seconds elapsed since the last access to the key.",
      "REFCOUNT <key>",
      "    Return the number of references of the value associated with the specified",
      "    <key>.",
  });
  ReplyHelp(call, "OBJECT", kLines);
}

constexpr auto kSubcommands = std::to_array<CommandSpec>({
    {.name = "object|encoding",
     .arity = 3,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .keys = {2, 2, 1},
     .key_flags = "RO",
     .handler = ObjectEncoding,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "2.2.3",
     .summary = "Inspect the internal encoding of a Redis object",
     .complexity = "O(1)"},
    {.name = "object|freq",
     .arity = 3,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .keys = {2, 2, 1},
     .key_flags = "RO",
     .handler = ObjectFreq,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "4.0.0",
     .summary = "Get the logarithmic access frequency counter of a Redis object",
     .complexity = "O(1)"},
    {.name = "object|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCategoryKeyspace,
     .handler = ObjectHelp,
     .group = "generic",
     .since = "6.2.0",
     .summary = "Show helpful text about the different subcommands",
     .complexity = "O(1)"},
    {.name = "object|idletime",
     .arity = 3,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .keys = {2, 2, 1},
     .key_flags = "RO",
     .handler = ObjectIdleTime,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "2.2.3",
     .summary = "Get the time since a Redis object was last accessed",
     .complexity = "O(1)"},
    {.name = "object|refcount",
     .arity = 3,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .keys = {2, 2, 1},
     .key_flags = "RO",
     .handler = ObjectRefCount,
     .tips = "nondeterministic_output",
     .group = "generic",
     .since = "2.2.3",
     .summary = "Get the number of references to the value of the key",
     .complexity = "O(1)"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "object",
     .arity = -2,
     .subcommands = kSubcommands,
     .group = "generic",
     .since = "2.2.3",
     .summary = "A container for object introspection commands",
     .complexity = "Depends on subcommand."},
});

}  // namespace

std::span<const CommandSpec> ObjectCommands() { return kCommands; }

}  // namespace orrery::server
