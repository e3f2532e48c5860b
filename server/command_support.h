// What several families of commands need: error texts, options, keys in bulk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/command_table.h"

namespace orrery::server {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

// The argument as an integer; on nothing the error has been replied.
std::optional<int64_t> IntegerOrReply(CommandCall& call, size_t index,
                                      std::string_view error = kNotAnInteger);

// Replies "ERR invalid expire time in 'set' command".
void ReplyInvalidExpireTime(CommandCall& call);
// Replies "ERR wrong number of arguments for 'mset' command".
void ReplyWrongArity(CommandCall& call);

// Finds the key and counts a hit or a miss. Who only asks about a key does not use it.
enum class Use : bool { kAsks, kUses };
inline Keyspace::Place LookUp(CommandCall& call, HashedKey key, Use use = Use::kUses) {
  Keyspace& keyspace = call.server.keyspace;
  const Keyspace::Place place = use == Use::kUses ? keyspace.Find(key, call.server.now_ms)
                                                  : keyspace.Peek(key, call.server.now_ms);
  ++(place ? call.server.stats.keyspace_hits : call.server.stats.keyspace_misses);
  return place;
}
inline Keyspace::Place LookUpFirst(CommandCall& call, Use use = Use::kUses) {
  return LookUp(call, call.first_key(), use);
}

// Whether the argument names a database that there is; if not, the error has been replied.
bool DatabaseOrReply(CommandCall& call, size_t index);

// Gives the client this name; false when the error has been replied.
bool SetNameOrReply(CommandCall& call, std::string_view name);
// Whether CLIENT LIST can show it: no spaces and nothing that is not printable ASCII.
bool IsShowable(std::string_view name);

// Positions of a value's bytes or bits.
struct IndexRange {
  size_t first = 0;
  size_t last = 0;
};
// From `first` to `last`, which count from the end where they are negative, as far as `size` goes.
// Nothing when it is empty.
std::optional<IndexRange> ClampRange(int64_t first, int64_t last, size_t size);
// The same, but two negative ends in the wrong order are always empty.
std::optional<IndexRange> ClampForwardRange(int64_t first, int64_t last, size_t size);

// A bulk of the value, borrowed where it is large.
inline void ReplyValue(CommandCall& call, const Entry& entry) {
  if (entry.is_shared()) {
    call.reply.BulkBody(entry.shared());
  } else {
    call.reply.Bulk(entry.value());
  }
}

// The reply of every HELP subcommand: `lines`, and how HELP itself is called.
void ReplyHelp(CommandCall& call, std::string_view command,
               std::span<const std::string_view> lines);

// Calls visit(index, key) for the arguments that are keys, in order. The next keys' buckets and
// entries are on their way into the cache while one is visited. `visit` may change the keyspace.
template <typename Visit>
void ForEachKey(const CommandCall& call, Visit visit) {
  constexpr size_t kWindow = 16;
  const Keyspace& keyspace = call.server.keyspace;
  const auto step = static_cast<size_t>(call.spec.keys.step);
  size_t next = static_cast<size_t>(call.spec.keys.first);
  while (next < call.size()) {
    std::array<HashedKey, kWindow> keys;
    std::array<Keyspace::BucketHint, kWindow> buckets;
    size_t count = 0;
    for (size_t index = next; index < call.size() && count < kWindow; index += step) {
      keys[count] = keyspace.WithHash(call[index]);
      buckets[count] = keyspace.PrefetchBucket(keys[count].hash);
      ++count;
    }
    for (size_t i = 0; i < count; ++i) Keyspace::PrefetchEntry(buckets[i], keys[i].hash);
    for (size_t i = 0; i < count; ++i, next += step) visit(next, keys[i]);
  }
}

}  // namespace orrery::server
