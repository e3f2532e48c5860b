// The family of commands on keys, whatever their values.

#include <array>
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

void CountFound(CommandCall& call, Use use) {
  int64_t found = 0;
  ForEachKey(call, [&](size_t, HashedKey key) { found += LookUp(call, key, use) ? 1 : 0; });
  call.reply.Integer(found);
}

void Exists(CommandCall& call) { CountFound(call, Use::kAsks); }

// Uses keys also for a client with NO-TOUCH.
void Touch(CommandCall& call) {
  call.server.keyspace.CountUses(true);
  CountFound(call, Use::kUses);
}

void Type(CommandCall& call) {
  call.reply.SimpleString(LookUpFirst(call, Use::kAsks) ? "string" : "none");
}

// --- to another key

void RenameTo(CommandCall& call, bool replace) {
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey from = call.first_key();
  const HashedKey to = keyspace.WithHash(call[2]);
  if (!keyspace.Find(from, call.server.now_ms)) {
    call.reply.Error("ERR no such key");
    return;
  }
  const bool refused = !replace && keyspace.Find(to, call.server.now_ms);
  if (!refused && from.bytes != to.bytes) keyspace.Rename(from, to, call.server.now_ms);
  if (replace) {
    call.reply.Ok();
  } else {
    call.reply.Integer(refused ? 0 : 1);
  }
}

void Rename(CommandCall& call) { RenameTo(call, true); }
void RenameNx(CommandCall& call) { RenameTo(call, false); }

// False when the error has been replied.
bool CopyOptionsOrReply(CommandCall& call, bool& replace) {
  for (size_t i = 3; i < call.size(); ++i) {
    if (EqualsIgnoreCase(call[i], "replace")) {
      replace = true;
    } else if (EqualsIgnoreCase(call[i], "db") && i + 1 < call.size()) {
      if (!DatabaseOrReply(call, ++i)) return false;
    } else {
      call.reply.Error(kSyntaxError);
      return false;
    }
  }
  return true;
}

void Copy(CommandCall& call) {
  bool replace = false;
  if (!CopyOptionsOrReply(call, replace)) return;
  if (call[1] == call[2]) {
    call.reply.Error("ERR source and destination objects are the same");
    return;
  }
  Keyspace& keyspace = call.server.keyspace;
  const HashedKey to = keyspace.WithHash(call[2]);
  if (!LookUpFirst(call)) {
    call.reply.Integer(0);
    return;
  }
  const Keyspace::Place to_place = keyspace.Find(to, call.server.now_ms);
  if (to_place && !replace) {
    call.reply.Integer(0);
    return;
  }
  // Found again: looking for the other one may have moved it.
  keyspace.Copy(keyspace.Find(call.first_key(), call.server.now_ms), to_place, to);
  call.reply.Integer(1);
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "copy",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .categories = kCategoryKeyspace,
     .keys = {1, 2, 1},
     .key_flags = "RO access",
     .second_key_flags = "OW update",
     .handler = Copy,
     .group = "generic",
     .since = "6.2.0",
     .summary = "Copy a key",
     .complexity = "O(N) worst case for collections, where N is the number of nested items. O(1) "
                   "for string values."},
    {.name = "del",
     .arity = -2,
     .flags = kWrite,
     .categories = kCategoryKeyspace,
     .keys = {1, -1, 1},
     .key_flags = "RM delete",
     .key_need = KeyNeed::kPresence,
     .handler = Del,
     .tips = "request_policy:multi_shard response_policy:agg_sum",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Delete a key",
     .complexity = "O(N) where N is the number of keys that will be removed. When a key to remove "
                   "holds a value other than a string, the individual complexity for this key is "
                   "O(M) where M is the number of elements in the list, set, sorted set or hash. "
                   "Removing a single key that holds a string value is O(1)."},
    {.name = "exists",
     .arity = -2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, -1, 1},
     .key_flags = "RO",
     .key_need = KeyNeed::kPresence,
     .handler = Exists,
     .tips = "request_policy:multi_shard response_policy:agg_sum",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Determine if a key exists",
     .complexity = "O(N) where N is the number of keys to check."},
    {.name = "rename",
     .arity = 3,
     .flags = kWrite,
     .categories = kCategoryKeyspace,
     .keys = {1, 2, 1},
     .key_flags = "RW access delete",
     .second_key_flags = "OW update",
     .handler = Rename,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Rename a key",
     .complexity = "O(1)"},
    {.name = "renamenx",
     .arity = 3,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 2, 1},
     .key_flags = "RW access delete",
     .second_key_flags = "OW insert",
     .handler = RenameNx,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Rename a key, only if the new key does not exist",
     .complexity = "O(1)"},
    {.name = "touch",
     .arity = -2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, -1, 1},
     .key_flags = "RO",
     .key_need = KeyNeed::kPresence,
     .handler = Touch,
     .tips = "request_policy:multi_shard response_policy:agg_sum",
     .group = "generic",
     .since = "3.2.1",
     .summary =
         "Alters the last access time of a key(s). Returns the number of existing keys specified.",
     .complexity = "O(N) where N is the number of keys that will be touched."},
    {.name = "type",
     .arity = 2,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, 1, 1},
     .key_flags = "RO",
     .handler = Type,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Determine the type stored at key",
     .complexity = "O(1)"},
    {.name = "unlink",
     .arity = -2,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace,
     .keys = {1, -1, 1},
     .key_flags = "RM delete",
     .key_need = KeyNeed::kPresence,
     .handler = Del,
     .tips = "request_policy:multi_shard response_policy:agg_sum",
     .group = "generic",
     .since = "4.0.0",
     .summary = "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but "
                "non blocking.",
     .complexity = "O(1) for each key removed regardless of its size. Then the command does O(N) "
                   "work in a different thread in order to reclaim memory, where N is the number "
                   "of allocations the deleted objects where composed of."},
});

}  // namespace

std::span<const CommandSpec> KeyCommands() { return kCommands; }

}  // namespace orrery::server
