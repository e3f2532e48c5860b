// The family of commands that look for keys: KEYS, SCAN, RANDOMKEY.

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
#include "server/text.h"

namespace orrery::server {
namespace {

bool MatchesAll(std::string_view pattern) { return pattern == "*"; }

void ReplyKeys(CommandCall& call, const std::vector<std::string_view>& keys) {
  call.reply.Array(keys.size());
  for (const std::string_view key : keys) call.reply.Bulk(key);
}

void Keys(CommandCall& call) {
  const std::string_view pattern = call[1];
  const bool all = MatchesAll(pattern);
  const Keyspace& keyspace = call.server.keyspace;
  std::vector<std::string_view> keys;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.Scan(cursor, [&](const Entry& entry) {
      if (entry.expired(call.server.now_ms)) return;
      if (all || MatchesPattern(pattern, entry.key(), LetterCase::kMatters)) {
        keys.push_back(entry.key());
      }
    });
  } while (cursor != 0);
  ReplyKeys(call, keys);
}

void RandomKey(CommandCall& call) {
  Keyspace& keyspace = call.server.keyspace;
  for (;;) {
    const Entry* entry = keyspace.RandomEntry(call.server.prng);
    if (entry == nullptr) {
      call.reply.Null();
      return;
    }
    const std::string key(entry->key());
    // An expired one is taken away, so this ends.
    if (keyspace.Peek(keyspace.WithHash(key), call.server.now_ms)) {
      call.reply.Bulk(key);
      return;
    }
  }
}

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
  uint64_t cursor = *start;
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
     .handler = RandomKey,
     .tips = "request_policy:all_shards nondeterministic_output",
     .group = "generic",
     .since = "1.0.0",
     .summary = "Return a random key from the keyspace",
     .complexity = "O(1)"},
    {.name = "scan",
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
         "the cursor to return back to 0. N is the number of elements inside the collection."},
});

}  // namespace

std::span<const CommandSpec> ScanCommands() { return kCommands; }

}  // namespace orrery::server
