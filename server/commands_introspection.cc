// COMMAND and its subcommands: the command table as clients see it.

#include <array>
#include <bit>
#include <string>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/text.h"

namespace orrery::server {
namespace {

constexpr auto kFlagNames = std::to_array<std::string_view>(
    {"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "loading", "stale",
     "skip_slowlog", "fast", "no_auth", "no_multi", "allow_busy"});
constexpr auto kCategoryNames = std::to_array<std::string_view>(
    {"keyspace", "read", "write", "string", "bitmap", "pubsub", "admin", "fast", "slow",
     "dangerous", "connection", "transaction"});
static_assert(1u << (kFlagNames.size() - 1) == kAllowBusy);
static_assert(1u << (kCategoryNames.size() - 1) == kCategoryTransaction);

// Calls visit(word) for the words of `text`, which one space separates.
template <typename Visit>
void ForEachWord(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t space = std::min(text.find(' '), text.size());
    visit(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
}

size_t CountWords(std::string_view text) {
  size_t words = 0;
  ForEachWord(text, [&](std::string_view) { ++words; });
  return words;
}

// A set of the names whose bits are set; other bits are not shown.
void ReplyNames(ReplyWriter& reply, uint32_t bits, std::span<const std::string_view> names,
                std::string_view prefix) {
  bits &= (1u << names.size()) - 1;
  reply.Set(static_cast<size_t>(std::popcount(bits)));
  for (size_t bit = 0; bit < names.size(); ++bit) {
    if ((bits >> bit & 1) != 0) reply.SimpleString(std::string(prefix).append(names[bit]));
  }
}

// Keys of a command that it uses in one way.
struct KeySpecification {
  KeyRange keys;
  std::string_view flags;
  std::string_view notes;
};

// What COMMAND INFO shows as keys.
const KeyRange& ShownKeysOf(const CommandSpec& spec) {
  return spec.keys.first != 0 ? spec.keys : spec.shard_channels;
}

// Of a command that has keys; where the first is used otherwise than those behind it, two.
std::vector<KeySpecification> KeySpecificationsOf(const CommandSpec& spec) {
  const KeyRange& keys = ShownKeysOf(spec);
  if (keys.first == 0) return {};
  if (spec.keys.first == 0) return {{.keys = keys, .flags = "not_key", .notes = {}}};
  if (spec.second_key_flags.empty()) {
    return {{.keys = keys, .flags = spec.key_flags, .notes = spec.key_notes}};
  }
  return {{.keys = {keys.first, keys.first, 1}, .flags = spec.key_flags, .notes = spec.key_notes},
          {.keys = {keys.first + 1, keys.last, 1}, .flags = spec.second_key_flags, .notes = {}}};
}

void ReplyWords(ReplyWriter& reply, std::string_view words) {
  reply.Set(CountWords(words));
  ForEachWord(words, [&](std::string_view word) { reply.SimpleString(word); });
}

// As Redis describes it: where the search begins, and how the keys follow.
void ReplyKeySpecification(ReplyWriter& reply, const KeySpecification& spec) {
  reply.Map(spec.notes.empty() ? 3 : 4);
  if (!spec.notes.empty()) {
    reply.Bulk("notes");
    reply.Bulk(spec.notes);
  }
  reply.Bulk("flags");
  ReplyWords(reply, spec.flags);
  reply.Bulk("begin_search");
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk("index");
  reply.Bulk("spec");
  reply.Map(1);
  reply.Bulk("index");
  reply.Integer(spec.keys.first);
  reply.Bulk("find_keys");
  reply.Map(2);
  reply.Bulk("type");
  reply.Bulk("range");
  reply.Bulk("spec");
  reply.Map(3);
  reply.Bulk("lastkey");
  // Counted from the first key, unless it counts from the end.
  reply.Integer(spec.keys.last < 0 ? spec.keys.last : spec.keys.last - spec.keys.first);
  reply.Bulk("keystep");
  reply.Integer(spec.keys.step);
  reply.Bulk("limit");
  reply.Integer(0);
}

void ReplyInfo(ReplyWriter& reply, const CommandSpec& spec) {
  reply.Array(10);
  reply.Bulk(spec.name);
  reply.Integer(spec.arity);
  ReplyNames(reply, spec.flags, kFlagNames, "");
  const KeyRange& keys = ShownKeysOf(spec);
  reply.Integer(keys.first);
  reply.Integer(keys.last);
  reply.Integer(keys.step);
  ReplyNames(reply, spec.AllCategories(), kCategoryNames, "@");
  reply.Set(CountWords(spec.tips));
  ForEachWord(spec.tips, [&](std::string_view tip) { reply.Bulk(tip); });
  const std::vector<KeySpecification> specifications = KeySpecificationsOf(spec);
  reply.Set(specifications.size());
  for (const KeySpecification& each : specifications) ReplyKeySpecification(reply, each);
  if (spec.subcommands.empty()) {
    reply.Set(0);
    return;
  }
  // Redis replies a set when there are none, and an array otherwise.
  reply.Array(spec.subcommands.size());
  for (const CommandSpec& subcommand : spec.subcommands) ReplyInfo(reply, subcommand);
}

void ReplyDocumentation(ReplyWriter& reply, const CommandSpec& spec) {
  reply.Bulk(spec.name);
  const bool deprecated = !spec.deprecated_since.empty();
  reply.Map(3 + (spec.complexity.empty() ? 0 : 1) + (spec.doc_flags.empty() ? 0 : 1) +
            (deprecated ? 2 : 0) + (spec.subcommands.empty() ? 0 : 1));
  reply.Bulk("summary");
  reply.Bulk(spec.summary);
  reply.Bulk("since");
  reply.Bulk(spec.since);
  reply.Bulk("group");
  reply.Bulk(spec.group);
  if (!spec.complexity.empty()) {
    reply.Bulk("complexity");
    reply.Bulk(spec.complexity);
  }
  if (!spec.doc_flags.empty()) {
    reply.Bulk("doc_flags");
    ReplyWords(reply, spec.doc_flags);
  }
  if (deprecated) {
    reply.Bulk("deprecated_since");
    reply.Bulk(spec.deprecated_since);
    reply.Bulk("replaced_by");
    reply.Bulk(spec.replaced_by);
  }
  if (spec.subcommands.empty()) return;
  reply.Bulk("subcommands");
  reply.Map(spec.subcommands.size());
  for (const CommandSpec& subcommand : spec.subcommands) ReplyDocumentation(reply, subcommand);
}

void CommandInfoAll(CommandCall& call) {
  call.reply.Array(call.server.commands.commands().size());
  for (const CommandSpec* spec : call.server.commands.commands()) ReplyInfo(call.reply, *spec);
}

void CommandInfo(CommandCall& call) {
  if (call.size() == 2) {
    CommandInfoAll(call);
    return;
  }
  call.reply.Array(call.size() - 2);
  for (size_t i = 2; i < call.size(); ++i) {
    if (const CommandSpec* spec = call.server.commands.FindFullName(call[i])) {
      ReplyInfo(call.reply, *spec);
    } else {
      call.reply.Null();
    }
  }
}

void CommandCount(CommandCall& call) {
  call.reply.Integer(static_cast<int64_t>(call.server.commands.commands().size()));
}

void CommandDocs(CommandCall& call) {
  std::vector<const CommandSpec*> specs;
  if (call.size() == 2) {
    const auto all = call.server.commands.commands();
    specs.assign(all.begin(), all.end());
  }
  for (size_t i = 2; i < call.size(); ++i) {
    const CommandSpec* spec = call.server.commands.FindFullName(call[i]);
    if (spec != nullptr) specs.push_back(spec);
  }
  call.reply.Map(specs.size());
  for (const CommandSpec* spec : specs) ReplyDocumentation(call.reply, *spec);
}

// --- COMMAND LIST

// The names of all commands and subcommands for which `wanted(spec)`.
template <typename Wanted>
void ReplyNamesOf(CommandCall& call, Wanted wanted) {
  std::vector<std::string_view> names;
  for (const CommandSpec* spec : call.server.commands.commands()) {
    if (wanted(*spec)) names.push_back(spec->name);
    for (const CommandSpec& subcommand : spec->subcommands) {
      if (wanted(subcommand)) names.push_back(subcommand.name);
    }
  }
  call.reply.Array(names.size());
  for (const std::string_view name : names) call.reply.Bulk(name);
}

// The category's bit, 0 for an unknown one.
uint32_t CategoryBit(std::string_view name) {
  for (size_t bit = 0; bit < kCategoryNames.size(); ++bit) {
    if (EqualsIgnoreCase(kCategoryNames[bit], name)) return uint32_t{1} << bit;
  }
  return 0;
}

void CommandList(CommandCall& call) {
  if (call.size() == 2) {
    ReplyNamesOf(call, [](const CommandSpec&) { return true; });
    return;
  }
  const bool filters = call.size() == 5 && EqualsIgnoreCase(call[2], "filterby");
  if (filters && EqualsIgnoreCase(call[3], "pattern")) {
    ReplyNamesOf(call, [&](const CommandSpec& spec) {
      return MatchesPattern(call[4], spec.name, LetterCase::kIgnored);
    });
  } else if (filters && EqualsIgnoreCase(call[3], "aclcat")) {
    const uint32_t bit = CategoryBit(call[4]);
    ReplyNamesOf(call, [&](const CommandSpec& spec) { return (spec.AllCategories() & bit) != 0; });
  } else if (filters && EqualsIgnoreCase(call[3], "module")) {
    call.reply.Array(0);
  } else {
    call.reply.Error(kSyntaxError);
  }
}

// --- COMMAND GETKEYS

// Where the command in question starts, in GETKEYS and GETKEYSANDFLAGS.
constexpr size_t kAsked = 2;

// The command in question; null when the error has been replied.
const CommandSpec* AskedCommandOrReply(CommandCall& call) {
  const size_t count = call.size() - kAsked;
  const CommandSpec* spec = call.server.commands.Find(call[kAsked]);
  if (spec != nullptr && !spec->subcommands.empty() && count > 1) {
    spec = spec->FindSubcommand(call[kAsked + 1]);
  }
  if (spec == nullptr) {
    call.reply.Error("ERR Invalid command specified");
  } else if (spec->keys.first == 0) {
    call.reply.Error("ERR The command has no key arguments");
  } else if (!spec->TakesArguments(count)) {
    call.reply.Error("ERR Invalid number of arguments specified for command");
  } else {
    return spec;
  }
  return nullptr;
}

// Calls visit(key, flags) for each key of the command in question.
template <typename Visit>
void ForEachAskedKey(const CommandCall& call, const CommandSpec& spec, Visit visit) {
  const auto count = static_cast<int>(call.size() - kAsked);
  for (const KeySpecification& keys : KeySpecificationsOf(spec)) {
    const std::string_view flags =
        spec.key_flags_of != nullptr ? spec.key_flags_of(call, kAsked) : keys.flags;
    const int last = keys.keys.last < 0 ? count + keys.keys.last : keys.keys.last;
    for (int i = keys.keys.first; i <= last; i += keys.keys.step) {
      visit(call[kAsked + static_cast<size_t>(i)], flags);
    }
  }
}

void ReplyAskedKeys(CommandCall& call, bool with_flags) {
  const CommandSpec* spec = AskedCommandOrReply(call);
  if (spec == nullptr) return;
  size_t count = 0;
  ForEachAskedKey(call, *spec, [&](std::string_view, std::string_view) { ++count; });
  call.reply.Array(count);
  ForEachAskedKey(call, *spec, [&](std::string_view key, std::string_view flags) {
    if (with_flags) call.reply.Array(2);
    call.reply.Bulk(key);
    if (with_flags) ReplyWords(call.reply, flags);
  });
}

void CommandGetKeys(CommandCall& call) { ReplyAskedKeys(call, false); }
void CommandGetKeysAndFlags(CommandCall& call) { ReplyAskedKeys(call, true); }

void CommandHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "(no subcommand)",
      "    Return details about all Redis commands.",
      "COUNT",
      "    Return the total number of commands in this Redis server.",
      "LIST",
      "    Return a list of all commands in this Redis server.",
      "INFO [<command-name> ...]",
      "    Return details about multiple Redis commands.",
      "    If no command names are given, documentation details for all",
      "    commands are returned.",
      "DOCS [<command-name> ...]",
      "    Return documentation details about multiple Redis commands.",
      "    If no command names are given, documentation details for all",
      "    commands are returned.",
      "GETKEYS <full-command>",
      "    Return the keys from a full Redis command.",
      "GETKEYSANDFLAGS <full-command>",
      "    Return the keys and the access flags from a full Redis command.",
  });
  ReplyHelp(call, "COMMAND", kLines);
}

constexpr uint32_t kFlags = kLoading | kStale;

constexpr auto kSubcommands = std::to_array<CommandSpec>({
    {.name = "command|count",
     .arity = 2,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandCount,
     .group = "server",
     .since = "2.8.13",
     .summary = "Get total number of Redis commands",
     .complexity = "O(1)"},
    {.name = "command|docs",
     .arity = -2,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandDocs,
     .tips = "nondeterministic_output_order",
     .group = "server",
     .since = "7.0.0",
     .summary = "Get array of specific Redis command documentation",
     .complexity = "O(N) where N is the number of commands to look up"},
    {.name = "command|getkeys",
     .arity = -4,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandGetKeys,
     .group = "server",
     .since = "2.8.13",
     .summary = "Extract keys given a full Redis command",
     .complexity = "O(N) where N is the number of arguments to the command"},
    {.name = "command|getkeysandflags",
     .arity = -4,
     .flags = kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = CommandGetKeysAndFlags,
     .group = "server",
     .since = "7.0.0",
     .summary = "Extract keys and access flags given a full Redis command",
     .complexity = "O(N) where N is the number of arguments to the command"},
    {.name = "command|help",
     .arity = 2,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandHelp,
     .group = "server",
     .since = "5.0.0",
     .summary = "Show helpful text about the different subcommands",
     .complexity = "O(1)"},
    {.name = "command|info",
     .arity = -2,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandInfo,
     .tips = "nondeterministic_output_order",
     .group = "server",
     .since = "2.8.13",
     .summary = "Get array of specific Redis command details, or all when no argument is given.",
     .complexity = "O(N) where N is the number of commands to look up"},
    {.name = "command|list",
     .arity = -2,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandList,
     .tips = "nondeterministic_output_order",
     .group = "server",
     .since = "7.0.0",
     .summary = "Get an array of Redis command names",
     .complexity = "O(N) where N is the total number of Redis commands"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "command",
     .arity = -1,
     .flags = kFlags,
     .categories = kCategoryConnection,
     .handler = CommandInfoAll,
     .subcommands = kSubcommands,
     .tips = "nondeterministic_output_order",
     .group = "server",
     .since = "2.8.13",
     .summary = "Get array of Redis command details",
     .complexity = "O(N) where N is the total number of Redis commands"},
});

}  // namespace

std::span<const CommandSpec> IntrospectionCommands() { return kCommands; }

}  // namespace orrery::server
