// The family of commands about the server and all of its data.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/gather.h"
#include "server/info.h"
#include "server/text.h"

namespace orrery::server {
namespace {

class DbSizeGather final : public Gather {
 public:
  explicit DbSizeGather(unsigned shards) : keys_(shards) {}
  void RunAt(ServerContext& shard) override { keys_[shard.shard] = shard.keyspace.size(); }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    size_t sum = 0;
    keys_.ForEach([&](size_t keys) { sum += keys; });
    reply.Integer(static_cast<int64_t>(sum));
  }

 private:
  PerShard<size_t> keys_;
};

void DbSize(CommandCall& call) { RunGather<DbSizeGather>(call, GatherOrder::kAlone); }

// Always in the background: the keys are gone at once, their memory goes bit by bit.
class FlushGather final : public Gather {
 public:
  explicit FlushGather(unsigned) {}
  void RunAt(ServerContext& shard) override { shard.keyspace.Clear(); }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override { reply.Ok(); }
};

void FlushAll(CommandCall& call) {
  const bool valid = call.size() == 1 || (call.size() == 2 && (EqualsIgnoreCase(call[1], "async") ||
                                                               EqualsIgnoreCase(call[1], "sync")));
  if (!valid) {
    call.reply.Error(kSyntaxError);
    return;
  }
  RunGather<FlushGather>(call, GatherOrder::kAlone);
}

class InfoGather final : public Gather {
 public:
  InfoGather(unsigned shards, std::vector<std::string> sections)
      : figures_(shards), sections_(std::move(sections)) {}
  void RunAt(ServerContext& shard) override { figures_[shard.shard].Read(shard); }
  void Reply(ServerContext& home, Client&, ReplyWriter& reply) override {
    ShardFigures all;
    figures_.ForEach([&](const ShardFigures& figures) { all.Add(figures); });
    reply.Verbatim(InfoText(home, all, sections_));
  }

 private:
  PerShard<ShardFigures> figures_;
  const std::vector<std::string> sections_;
};

void Info(CommandCall& call) {
  std::vector<std::string> sections;
  for (size_t i = 1; i < call.size(); ++i) sections.emplace_back(call[i]);
  RunGather<InfoGather>(call, GatherOrder::kAtOnce, std::move(sections));
}

void Time(CommandCall& call) {
  constexpr int64_t kMicrosecondsPerSecond = 1'000'000;
  const int64_t now_us = call.server.now_us;
  call.reply.Array(2);
  call.reply.BulkInteger(now_us / kMicrosecondsPerSecond);
  call.reply.BulkInteger(now_us % kMicrosecondsPerSecond);
}

// The number of a database, for Redis an int; on nothing the error has been replied.
std::optional<int> DatabaseNumberOrReply(CommandCall& call, size_t index, std::string_view error) {
  const std::optional<int64_t> number = IntegerOrReply(call, index, error);
  if (!number) return std::nullopt;
  if (std::in_range<int>(*number)) return static_cast<int>(*number);
  call.reply.Error(error);
  return std::nullopt;
}

// There is one database, and it can be swapped with itself.
void SwapDb(CommandCall& call) {
  const auto first = DatabaseNumberOrReply(call, 1, "ERR invalid first DB index");
  if (!first) return;
  const auto second = DatabaseNumberOrReply(call, 2, "ERR invalid second DB index");
  if (!second) return;
  if (*first == 0 && *second == 0) {
    call.reply.Ok();
  } else {
    call.reply.Error("ERR DB index is out of range");
  }
}

// --- SHUTDOWN

struct ShutdownOptions {
  bool no_save = false;
  bool save = false;
  bool force = false;
  bool abort = false;
};

// On nothing the error has been replied.
std::optional<ShutdownOptions> ShutdownOptionsOrReply(CommandCall& call) {
  ShutdownOptions options;
  bool now = false;  // There are no replicas to wait for.
  for (size_t i = 1; i < call.size(); ++i) {
    bool* const option = EqualsIgnoreCase(call[i], "nosave")  ? &options.no_save
                         : EqualsIgnoreCase(call[i], "save")  ? &options.save
                         : EqualsIgnoreCase(call[i], "now")   ? &now
                         : EqualsIgnoreCase(call[i], "force") ? &options.force
                         : EqualsIgnoreCase(call[i], "abort") ? &options.abort
                                                              : nullptr;
    if (option == nullptr) {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
    *option = true;
  }
  const bool others = options.no_save || options.save || now || options.force;
  if ((options.abort && others) || (options.no_save && options.save)) {
    call.reply.Error(kSyntaxError);
    return std::nullopt;
  }
  return options;
}

// The client sees the end of the stream instead of a reply.
void Shutdown(CommandCall& call) {
  const std::optional<ShutdownOptions> options = ShutdownOptionsOrReply(call);
  if (!options) return;
  if (options->abort) {
    // Who could say so gets no more than its replies once it has begun.
    call.reply.Error("ERR No shutdown in progress.");
  } else if (options->save && !options->force) {
    call.reply.Error("ERR Errors trying to SHUTDOWN: data lives in memory only, use NOSAVE.");
  } else {
    call.client.closing = true;
    if (call.server.host != nullptr) call.server.host->Shutdown();
  }
}

// As a Redis answers that was not started for debugging.
void Debug(CommandCall& call) {
  if (call.client.in_multi()) call.client.transaction->refused = true;
  call.reply.Error(
      "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you "
      "can run it from a local connection, otherwise you need to set this option in the "
      "configuration file, and then restart the server.");
}

// One picture for every version that is asked for.
void Lolwut(CommandCall& call) {
  if (call.size() >= 3 && EqualsIgnoreCase(call[1], "version") && !IntegerOrReply(call, 2)) return;
  call.reply.Verbatim(
      "              .  -  '  -  .\n"
      "          '       _o_       '\n"
      "       /       '       '       \\\n"
      "      o      /    (*)    \\      |\n"
      "       \\      ' . _ . o'      /\n"
      "          .                 .\n"
      "              '  -  .  -  o\n\n"
      "An orrery, after Graham and Tompion, about 1704. Redis ver. " +
      std::string(kRedisVersion) + "\n");
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "dbsize",
     .arity = 1,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .on_all_shards = true,
     .handler = DbSize,
     .tips = "request_policy:all_shards response_policy:agg_sum",
     .group = "server",
     .since = "1.0.0",
     .summary = "Return the number of keys in the selected database",
     .complexity = "O(1)"},
    {.name = "debug",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale | kForListeners,
     .runs_in_multi = true,
     .handler = Debug,
     .group = "server",
     .since = "1.0.0",
     .summary = "A container for debugging commands",
     .complexity = "Depends on subcommand.",
     .doc_flags = "syscmd"},
    {.name = "flushall",
     .arity = -1,
     .flags = kWrite,
     .categories = kCategoryKeyspace | kCategoryDangerous,
     .on_all_shards = true,
     .handler = FlushAll,
     .tips = "request_policy:all_shards response_policy:all_succeeded",
     .group = "server",
     .since = "1.0.0",
     .summary = "Remove all keys from all databases",
     .complexity = "O(N) where N is the total number of keys in all databases"},
    {.name = "flushdb",
     .arity = -1,
     .flags = kWrite,
     .categories = kCategoryKeyspace | kCategoryDangerous,
     .on_all_shards = true,
     .handler = FlushAll,
     .tips = "request_policy:all_shards response_policy:all_succeeded",
     .group = "server",
     .since = "1.0.0",
     .summary = "Remove all keys from the current database",
     .complexity = "O(N) where N is the number of keys in the selected database"},
    {.name = "info",
     .arity = -1,
     .flags = kLoading | kStale,
     .categories = kCategoryDangerous,
     .on_all_shards = true,
     .handler = Info,
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special",
     .group = "server",
     .since = "1.0.0",
     .summary = "Get information and statistics about the server",
     .complexity = "O(1)"},
    {.name = "lolwut",
     .arity = -1,
     .flags = kReadOnly | kFast,
     .handler = Lolwut,
     .group = "server",
     .since = "5.0.0",
     .summary = "Display some computer art and the Redis version"},
    {.name = "shutdown",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy,
     .handler = Shutdown,
     .group = "server",
     .since = "1.0.0",
     .summary = "Synchronously save the dataset to disk and then shut down the server",
     .complexity = "O(N) when saving, where N is the total number of keys in all databases when "
                   "saving data, otherwise O(1)"},
    {.name = "swapdb",
     .arity = 3,
     .flags = kWrite | kFast,
     .categories = kCategoryKeyspace | kCategoryDangerous,
     .handler = SwapDb,
     .group = "server",
     .since = "4.0.0",
     .summary = "Swaps two Redis databases",
     .complexity =
         "O(N) where N is the count of clients watching or blocking on keys from both databases."},
    {.name = "time",
     .arity = 1,
     .flags = kLoading | kStale | kFast,
     .handler = Time,
     .tips = "nondeterministic_output",
     .group = "server",
     .since = "2.6.0",
     .summary = "Return the current server time",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> ServerCommands() { return kCommands; }

}  // namespace orrery::server
