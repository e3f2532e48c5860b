// The family of commands that look for keys: KEYS, SCAN, RANDOMKEY.

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/gather.h"
#include "server/text.h"

namespace orrery::server {
namespace {

bool MatchesAll(std::string_view pattern) { return pattern == "*"; }

void ReplyKeys(CommandCall& call, const std::vector<std::string_view>& keys) {
  call.reply.Array(keys.size());
  for (const std::string_view key : keys) call.reply.Bulk(key);
}

class KeysGather final : public Gather {
 public:
  KeysGather(unsigned shards, std::string_view pattern) : found_(shards), pattern_(pattern) {}

  void RunAt(ServerContext& shard) override {
    const bool all = MatchesAll(pattern_);
    Found& found = found_[shard.shard];
    uint64_t cursor = 0;
    do {
      cursor = shard.keyspace.Scan(cursor, [&](const Entry& entry) {
        if (entry.expired(shard.now_ms)) return;
        if (all || MatchesPattern(pattern_, entry.key(), LetterCase::kMatters)) {
          found.Add(entry.key());
        }
      });
    } while (cursor != 0);
  }

  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    size_t keys = 0;
    found_.ForEach([&](const Found& found) { keys += found.keys; });
    reply.Array(keys);
    found_.ForEach([&](const Found& found) { reply.Raw(found.encoded); });
  }

 private:
  // As they are replied.
  struct Found {
    void Add(std::string_view key) {
      ++keys;
      encoded.append("$").append(std::to_string(key.size())).append("\r\n");
      encoded.append(key).append("\r\n");
    }
    size_t keys = 0;
    std::string encoded;
  };

  PerShard<Found> found_;
  const std::string pattern_;
};

void Keys(CommandCall& call) { RunGather<KeysGather>(call, GatherOrder::kAlone, call[1]); }

// A key of each shard, and of those one that is taken the more often the more keys its shard has.
class RandomKeyGather final : public Gather {
 public:
  explicit RandomKeyGather(unsigned shards) : drawn_(shards) {}

  void RunAt(ServerContext& shard) override {
    Drawn& drawn = drawn_[shard.shard];
    Keyspace& keyspace = shard.keyspace;
    while (const Entry* entry = keyspace.RandomEntry(shard.prng)) {
      drawn.keys = keyspace.size();
      drawn.key = entry->key();
      // An expired one is taken away, so this ends.
      if (keyspace.Peek(keyspace.WithHash(drawn.key), shard.now_ms)) return;
    }
    drawn.keys = 0;
  }

  void Reply(ServerContext& home, Client&, ReplyWriter& reply) override {
    size_t keys = 0;
    drawn_.ForEach([&](const Drawn& drawn) { keys += drawn.keys; });
    if (keys == 0) {
      reply.Null();
      return;
    }
    size_t number = home.shards == 1 ? 0 : home.prng.Below(keys);
    bool found = false;
    drawn_.ForEach([&](const Drawn& drawn) {
      if (found) return;
      found = number < drawn.keys;
      if (found) reply.Bulk(drawn.key);
      number -= std::min(number, drawn.keys);
    });
  }

 private:
  struct Drawn {
    size_t keys = 0;
    std::string key;
  };
  PerShard<Drawn> drawn_;
};

void RandomKey(CommandCall& call) { RunGather<RandomKeyGather>(call, GatherOrder::kAlone); }

// --- SCAN

// As strtoul(3) reads it, which takes "-1" for the largest and nothing at all for 0.
std::optional<uint64_t> ParseCursor(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  if (!text.empty() && kSpaces.find(text[0]) != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  errno = 0;
  char* end = nullptr;
  const uint64_t cursor = std::strtoull(terminated.c_str(), &end, 10);
  if (*end != '\0' || errno == ERANGE) return std::nullopt;
  return cursor;
}

struct ScanOptions {
  int64_t count = 10;
  std::string_view pattern = "*";
  // Every key is one of a string.
  bool wants_strings = true;
};

// On nothing the error has been replied.
std::optional<ScanOptions> ScanOptionsOrReply(CommandCall& call) {
  ScanOptions options;
  for (size_t i = 2; i < call.size(); i += 2) {
    const bool more = i + 1 < call.size();
    bool valid = true;
    if (more && EqualsIgnoreCase(call[i], "count")) {
      const std::optional<int64_t> count = IntegerOrReply(call, i + 1);
      if (!count) return std::nullopt;
      options.count = *count;
    } else if (more && EqualsIgnoreCase(call[i], "match")) {
      options.pattern = call[i + 1];
    } else if (more && EqualsIgnoreCase(call[i], "type")) {
      options.wants_strings =
          EqualsIgnoreCase(AsCString(call[i + 1], call[i + 1].size()), "string");
    } else {
      valid = false;
    }
    if (!valid || options.count < 1) {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

// A cursor of the server is one of a shard and which shard: whole numbers of shards, and the rest.
// So the shards are scanned one after the other, and with one shard the two are the same.
uint32_t ScanShard(const Command& command, uint32_t shards) {
  return static_cast<uint32_t>(ParseCursor(command[1]).value_or(0) % shards);
}

// Behind the last key of a shard comes the first one of the next.
uint64_t ServerCursor(uint64_t cursor, const ServerContext& server) {
  if (cursor != 0) return cursor * server.shards + server.shard;
  return server.shard + 1 < server.shards ? server.shard + 1 : 0;
}

void Scan(CommandCall& call) {
  const std::optional<uint64_t> start = ParseCursor(call[1]);
  if (!start) {
    call.reply.Error("ERR invalid cursor");
    return;
  }
  const std::optional<ScanOptions> options = ScanOptionsOrReply(call);
  if (!options) return;
  // As many buckets as Redis visits at most, when there are few keys in them.
  constexpr int64_t kBucketsPerKey = 10;
  int64_t buckets = 0;
  if (__builtin_mul_overflow(options->count, kBucketsPerKey, &buckets)) {
    buckets = std::numeric_limits<int64_t>::max();
  }
  const bool all = MatchesAll(options->pattern);
  Keyspace& keyspace = call.server.keyspace;
  std::vector<std::string_view> keys;
  std::vector<std::string> expired;
  uint64_t cursor = *start / call.server.shards;
  int64_t visited = 0;
  do {
    cursor = keyspace.Scan(cursor, [&](const Entry& entry) {
      ++visited;
      if (!options->wants_strings) return;
      if (!all && !MatchesPattern(options->pattern, entry.key(), LetterCase::kMatters)) return;
      if (entry.expired(call.server.now_ms)) {
        expired.emplace_back(entry.key());
      } else {
        keys.push_back(entry.key());
      }
    });
  } while (cursor != 0 && buckets-- > 0 && visited < options->count);
  cursor = ServerCursor(cursor, call.server);
  call.reply.Array(2);
  std::array<char, std::numeric_limits<uint64_t>::digits10 + 1> text;
  const char* end = std::to_chars(text.data(), text.data() + text.size(), cursor).ptr;
  call.reply.Bulk({text.data(), static_cast<size_t>(end - text.data())});
  ReplyKeys(call, keys);
  for (const std::string& key : expired) {
    (void)keyspace.Peek(keyspace.WithHash(key), call.server.now_ms);  // Takes it away.
  }
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "keys",
     .arity = 2,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace | kCategoryDangerous,
     .on_all_shards = true,
     .handler = Keys,
     .tips = "request_policy:all_shards nondeterministic_output_order",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Find all keys matching the given pattern",
     .complexity = "O(N) with N being the number of keys in the database, under the assumption "
                   "that the key names in the database and the given pattern have limited length."},
    {.name = "randomkey",
     .arity = 1,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .on_all_shards = true,
     .handler = RandomKey,
     .tips = "request_policy:all_shards nondeterministic_output",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Return a random key from the keyspace",
     .complexity = "O(1)"},
    {.name = "scan",
     .may_be_slow = true,  // With a large COUNT.
     .arity = -2,
     .flags = kReadOnly,
     .categories = kCategoryKeyspace,
     .handler = Scan,
     .tips = "nondeterministic_output request_policy:special",
     .group = "generic",
     .since = "2.8.0",
     .summary = "Incrementally iterate the keys space",
     .complexity =
         "O(1) for every call. O(N) for a complete iteration, including enough command calls for "
         "the cursor to return back to 0. N is the number of elements inside the collection.",
     .shard_of = ScanShard},
});

}  // namespace

std::span<const CommandSpec> ScanCommands() { return kCommands; }

}  // namespace orrery::server
