// LCS: the longest common subsequence of two values.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/text.h"

namespace orrery::server {
namespace {

struct LcsOptions {
  bool length = false;
  bool indices = false;
  bool match_lengths = false;
  int64_t match_length_min = 0;
};

// On nothing the error has been replied.
std::optional<LcsOptions> LcsOptionsOrReply(CommandCall& call) {
  LcsOptions options;
  for (size_t i = 3; i < call.size(); ++i) {
    const std::string_view option = call[i];
    if (EqualsIgnoreCase(option, "idx")) {
      options.indices = true;
    } else if (EqualsIgnoreCase(option, "len")) {
      options.length = true;
    } else if (EqualsIgnoreCase(option, "withmatchlen")) {
      options.match_lengths = true;
    } else if (EqualsIgnoreCase(option, "minmatchlen") && i + 1 < call.size()) {
      const std::optional<int64_t> length = IntegerOrReply(call, ++i);
      if (!length) return std::nullopt;
      options.match_length_min = std::max<int64_t>(*length, 0);
    } else {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
  }
  if (options.indices && options.length) {
    call.reply.Error("ERR If you want both the length and indexes, please just use IDX.");
    return std::nullopt;
  }
  return options;
}

// The lengths for all pairs of prefixes of two texts.
class LcsTable {
 public:
  LcsTable(std::string_view left, std::string_view right)
      : width_(right.size() + 1), lengths_((left.size() + 1) * width_) {
    for (size_t i = 1; i <= left.size(); ++i) {
      for (size_t j = 1; j <= right.size(); ++j) {
        lengths_[i * width_ + j] = left[i - 1] == right[j - 1]
                                       ? At(i - 1, j - 1) + 1
                                       : std::max(At(i - 1, j), At(i, j - 1));
      }
    }
  }

  static uint64_t Bytes(size_t left, size_t right) {
    return (static_cast<uint64_t>(left) + 1) * (static_cast<uint64_t>(right) + 1) *
           sizeof(uint32_t);
  }
  uint32_t At(size_t left, size_t right) const { return lengths_[left * width_ + right]; }

 private:
  size_t width_;
  std::vector<uint32_t> lengths_;
};

// A stretch that is the same in both texts, at the positions of its first bytes.
struct Match {
  size_t left = 0;
  size_t right = 0;
  size_t bytes = 0;
};

// From the ends to the beginnings, as Redis goes: where it may step back in either text, it does in
// the right one.
std::vector<Match> Matches(const LcsTable& table, std::string_view left, std::string_view right) {
  std::vector<Match> matches;
  Match match;
  size_t i = left.size();
  size_t j = right.size();
  while (i > 0 && j > 0) {
    if (left[i - 1] == right[j - 1]) {
      match = {.left = --i, .right = --j, .bytes = match.bytes + 1};
      continue;
    }
    if (match.bytes > 0) matches.push_back(match);
    match = {};
    --(table.At(i - 1, j) > table.At(i, j - 1) ? i : j);
  }
  if (match.bytes > 0) matches.push_back(match);
  return matches;
}

void ReplyRange(CommandCall& call, size_t first, size_t bytes) {
  call.reply.Array(2);
  call.reply.Integer(static_cast<int64_t>(first));
  call.reply.Integer(static_cast<int64_t>(first + bytes - 1));
}

void ReplyIndices(CommandCall& call, const LcsOptions& options, std::vector<Match> matches,
                  uint32_t length) {
  std::erase_if(matches, [&](const Match& match) {
    return static_cast<int64_t>(match.bytes) < options.match_length_min;
  });
  call.reply.Map(2);
  call.reply.Bulk("matches");
  call.reply.Array(matches.size());
  for (const Match& match : matches) {
    call.reply.Array(options.match_lengths ? 3 : 2);
    ReplyRange(call, match.left, match.bytes);
    ReplyRange(call, match.right, match.bytes);
    if (options.match_lengths) call.reply.Integer(static_cast<int64_t>(match.bytes));
  }
  call.reply.Bulk("len");
  call.reply.Integer(length);
}

void Lcs(CommandCall& call) {
  const std::optional<LcsOptions> options = LcsOptionsOrReply(call);
  if (!options) return;
  const HashedKey second = call.server.keyspace.WithHash(call[2]);
  (void)LookUpFirst(call);
  const Keyspace::Place right_place = LookUp(call, second);
  // Found again: looking for the second may have moved it. What is asked again takes nothing away.
  const Keyspace::Place left_place =
      call.server.keyspace.Find(call.first_key(), call.server.now_ms);
  const std::string_view left = left_place ? left_place->value() : std::string_view();
  const std::string_view right = right_place ? right_place->value() : std::string_view();
  if (LcsTable::Bytes(left.size(), right.size()) > call.server.config.bulk_bytes_max) {
    call.reply.Error(
        "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    return;
  }
  const LcsTable table(left, right);
  const uint32_t length = table.At(left.size(), right.size());
  if (options->length) {
    call.reply.Integer(length);
    return;
  }
  std::vector<Match> matches = Matches(table, left, right);
  if (options->indices) {
    ReplyIndices(call, *options, std::move(matches), length);
    return;
  }
  std::string common;
  for (size_t i = matches.size(); i-- > 0;) {
    common.append(left, matches[i].left, matches[i].bytes);
  }
  call.reply.Bulk(common);
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "lcs",
     .arity = -3,
     .flags = kReadOnly,
     .categories = kCategoryString,
     .keys = {1, 2, 1},
     .key_flags = "RO access",
     .handler = Lcs,
     .group = "string",
     .since = "7.0.0",
     .summary = "Find longest common substring",
     .complexity = "O(N*M) where N and M are the lengths of s1 and s2, respectively"},
});

}  // namespace

std::span<const CommandSpec> LcsCommands() { return kCommands; }

}  // namespace orrery::server
