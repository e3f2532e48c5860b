// The commands as data: what each is called, what arguments and keys it has, what runs it.
//
// A new command is one CommandSpec in the array of its family (commands_*.cc). Lookup takes the
// name in any case of letters and allocates nothing. Immutable once made; may be shared by threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "server/client.h"
#include "server/key_need.h"
#include "server/keyspace.h"
#include "server/reply_writer.h"
#include "server/resp_parser.h"
#include "server/server_context.h"
#include "server/slow_log.h"

namespace orrery::server {

struct CommandSpec;

// One command that runs.
struct CommandCall {
  const Command& arguments;
  const CommandSpec& spec;
  Client& client;
  ServerContext& server;
  ReplyWriter& reply;
  // Of the argument at spec.keys.first, if the command has keys.
  uint64_t first_key_hash;

  size_t size() const { return arguments.size(); }
  std::string_view operator[](size_t index) const { return arguments[index]; }
  HashedKey first_key() const;
  // The argument, to be stored.
  NewValue value(size_t index) const { return {arguments[index], arguments.BodyAt(index)}; }
};

using CommandHandler = void (*)(CommandCall& call);

// Bits of CommandSpec::flags, by their names in COMMAND INFO and in its order.
enum CommandFlag : uint32_t {
  kWrite = 1 << 0,
  kReadOnly = 1 << 1,
  kDenyOom = 1 << 2,
  kAdmin = 1 << 3,
  kPubSub = 1 << 4,
  kNoScript = 1 << 5,
  kLoading = 1 << 6,
  kStale = 1 << 7,
  kSkipSlowlog = 1 << 8,
  kFast = 1 << 9,
  kNoAuth = 1 << 10,
  kNoMulti = 1 << 11,
  kAllowBusy = 1 << 12,
  // The rest is not shown. A pause of writes holds it back although it writes nothing.
  kPausedLikeWrites = 1 << 16,
  // Goes to who listens, on whatever shard.
  kToListeners = 1 << 18,
  // For clients that only listen (Client::only_listens()).
  kForListeners = 1 << 17,
};

// Bits of CommandSpec::categories, by their names in COMMAND INFO and in its order. Those that
// follow from the flags (read, write, admin, fast, slow) need not be given.
enum CommandCategory : uint32_t {
  kCategoryKeyspace = 1 << 0,
  kCategoryRead = 1 << 1,
  kCategoryWrite = 1 << 2,
  kCategoryString = 1 << 3,
  kCategoryBitmap = 1 << 4,
  kCategoryPubSub = 1 << 5,
  kCategoryAdmin = 1 << 6,
  kCategoryFast = 1 << 7,
  kCategorySlow = 1 << 8,
  kCategoryDangerous = 1 << 9,
  kCategoryConnection = 1 << 10,
  kCategoryTransaction = 1 << 11,
};

// Which arguments are keys: first, first + step, ... up to last, which counts from the end when it
// is negative.
struct KeyRange {
  int first = 0;
  int last = 0;
  int step = 0;

  // The index of the last one, or more, among so many arguments.
  size_t LastOf(size_t arguments) const {
    return static_cast<size_t>(last < 0 ? static_cast<int>(arguments) + last : last);
  }
};

struct CommandSpec {
  // In lower case; a subcommand's is "config|get".
  std::string_view name;
  // Given by the table: of all commands and subcommands, from 0.
  uint32_t number = 0;
  // A few arguments can make it take long. The table knows most of them by their complexity.
  bool may_be_slow = false;
  // How many arguments, the name included; at least -arity when negative.
  int arity = 0;
  uint32_t flags = 0;
  uint32_t categories = 0;
  KeyRange keys = {};
  // Arguments that are no keys, and by which clusters route nevertheless.
  KeyRange shard_channels = {};
  // What it does with its keys ("RO access"), separated by spaces, as COMMAND INFO says it.
  std::string_view key_flags = {};
  std::string_view key_notes = {};
  // The same of the keys behind the first one, where those are used otherwise.
  std::string_view second_key_flags = {};
  // Where the use depends on the arguments: what it is for the command that starts at `start`.
  std::string_view (*key_flags_of)(const CommandCall& call, size_t start) = nullptr;
  // What of the keys must be brought to where it runs.
  KeyNeed key_need = KeyNeed::kValue;
  // It asks all shards (server/gather.h): what it does, in an EXEC at least, is a RunGather().
  bool on_all_shards = false;
  // Between MULTI and EXEC it runs at once, where others are queued.
  bool runs_in_multi = false;
  // Given by the table: it concerns keys alone, takes no longer than they are many, and changes
  // nothing that the next command's checks look at (ExecutePlain()).
  bool is_plain = false;
  // Null for a container of subcommands that is nothing by itself.
  CommandHandler handler = nullptr;
  std::span<const CommandSpec> subcommands = {};
  // For clusters' proxies, separated by spaces.
  std::string_view tips = {};
  std::string_view group = {};
  std::string_view since = {};
  std::string_view summary = {};
  std::string_view complexity = {};
  // "deprecated", with since when and for what, or others; separated by spaces.
  std::string_view doc_flags = {};
  std::string_view deprecated_since = {};
  std::string_view replaced_by = {};

  // Where a command without keys runs that concerns one shard only.
  uint32_t (*shard_of)(const Command& command, uint32_t shards) = nullptr;

  bool TakesArguments(size_t count) const {
    return arity >= 0 ? count == static_cast<size_t>(arity) : count >= static_cast<size_t>(-arity);
  }
  // Null when it has no subcommand of this name.
  const CommandSpec* FindSubcommand(std::string_view subcommand) const;
  // What a call of this command asks for: itself, or a subcommand. Null when there is no such
  // subcommand or the number of arguments is wrong.
  const CommandSpec* ForCall(const Command& command) const;
  // The given categories and those that follow from the flags.
  uint32_t AllCategories() const;
};

inline HashedKey CommandCall::first_key() const {
  return {.bytes = arguments[static_cast<size_t>(spec.keys.first)], .hash = first_key_hash};
}

// Whether the slow log has to know how long each command takes, and not only those that can take
// long (docs/decisions/0017-the-slow-log.md).
inline bool WatchesAll(const ServerConfig& config) {
  constexpr int64_t kWatchesAllBelowUs = 1000;
  return config.slow_from_us >= 0 && config.slow_from_us < kWatchesAllBelowUs;
}
// One with as many arguments can take long.
inline constexpr size_t kManyArguments = 64;

// Runs a command whose arguments are known to be right: calls its handler, counts it and, once in a
// while, times it.
void RunCommand(CommandCall& call);
// Puts a slow command into the shard's log. `client` may be null: it has gone.
void KeepSlow(SlowCommand command, Client* client, ServerContext& server);

// Calls the handler between two looks at the clock, for the statistics or for the slow log.
void RunTimed(CommandCall& call, bool for_statistics, bool for_slow_log);

// RunCommand() of one for which Keyspace::CountUses() has been said already, and who knows whether
// the slow log has to know how long it takes.
inline void RunCounted(CommandCall& call, bool for_slow_log) {
  ServerStats& stats = call.server.stats;
  const uint32_t number = call.spec.number;
  const uint64_t errors = stats.errors.total();
  const bool is_due = --call.server.calls_to_timed_one == 0;
  if (is_due || for_slow_log || stats.commands[number].calls < ServerStats::kTimedFirst)
      [[unlikely]] {
    if (is_due) call.server.calls_to_timed_one = ServerStats::kTimedOneIn;
    RunTimed(call, is_due || stats.commands[number].calls < ServerStats::kTimedFirst, for_slow_log);
  } else {
    call.spec.handler(call);
  }
  // After it: what it says of itself is what was before, and RESETSTAT counts as the first.
  ++stats.commands_processed;
  CommandStats& counted = stats.commands[number];
  ++counted.calls;
  if (stats.errors.total() > errors) [[unlikely]]
    ++counted.failed_calls;
}

class CommandTable {
 public:
  // All commands of this server.
  CommandTable();
  CommandTable(const CommandTable&) = delete;
  CommandTable& operator=(const CommandTable&) = delete;

  // Null when there is no such command.
  const CommandSpec* Find(std::string_view name) const;
  // "get" as well as "config|get".
  const CommandSpec* FindFullName(std::string_view name) const;

  std::span<const CommandSpec* const> commands() const { return commands_; }
  // Statistics of all of them, at zero, by their numbers.
  std::vector<CommandStats> MakeStats() const;

 private:
  // Slots per command at least: lookups end at the first or second one.
  static constexpr size_t kSlotsPerCommand = 4;

  struct Slot {
    uint64_t front = 0;  // The name's first eight bytes,
    size_t size = 0;     // and how many it has.
    const CommandSpec* spec = nullptr;
  };

  static uint64_t Front(std::string_view name);
  size_t SlotIndex(uint64_t front, size_t size) const {
    const uint64_t mixed = (front ^ size) * 0x9e3779b97f4a7c15;
    return (mixed >> 32) & slot_mask_;
  }

  // Copies of what the families have, numbered. Subcommands stand together.
  std::vector<CommandSpec> specs_;
  std::vector<const CommandSpec*> commands_;
  std::vector<Slot> slots_;  // A power of two of them.
  size_t slot_mask_ = 0;
};

}  // namespace orrery::server
