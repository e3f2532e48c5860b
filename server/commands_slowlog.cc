// SLOWLOG: the commands that took long.

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/gather.h"
#include "server/slow_log.h"
#include "server/text.h"

namespace orrery::server {
namespace {

constexpr int64_t kMicrosecondsPerSecond = 1'000'000;

class GetGather final : public Gather {
 public:
  GetGather(unsigned shards, size_t count) : found_(shards), count_(count) {}

  void RunAt(ServerContext& shard) override {
    const auto& commands = shard.slow_log.commands();
    const size_t taken = std::min(count_, commands.size());
    found_[shard.shard].assign(commands.begin(), commands.begin() + static_cast<ptrdiff_t>(taken));
  }

  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    std::vector<const SlowCommand*> newest;
    found_.ForEach([&](const std::vector<SlowCommand>& commands) {
      for (const SlowCommand& command : commands) newest.push_back(&command);
    });
    std::ranges::stable_sort(newest, std::ranges::greater(), &SlowCommand::at_us);
    newest.resize(std::min(newest.size(), count_));
    reply.Array(newest.size());
    for (const SlowCommand* command : newest) ReplyCommand(*command, reply);
  }

 private:
  static void ReplyCommand(const SlowCommand& command, ReplyWriter& reply) {
    reply.Array(6);
    reply.Integer(command.id);
    reply.Integer(command.at_us / kMicrosecondsPerSecond);
    reply.Integer(command.took / kMicrosecond);
    reply.Array(command.arguments.size());
    for (const std::string& argument : command.arguments) reply.Bulk(argument);
    reply.Bulk(command.client_address);
    reply.Bulk(command.client_name);
  }

  PerShard<std::vector<SlowCommand>> found_;
  const size_t count_;
};

class LenGather final : public Gather {
 public:
  explicit LenGather(unsigned shards) : found_(shards) {}
  void RunAt(ServerContext& shard) override {
    found_[shard.shard] = shard.slow_log.commands().size();
  }
  void Reply(ServerContext& home, Client&, ReplyWriter& reply) override {
    uint64_t sum = 0;
    found_.ForEach([&](size_t commands) { sum += commands; });
    reply.Integer(static_cast<int64_t>(std::min(sum, home.config.slow_commands_max)));
  }

 private:
  PerShard<size_t> found_;
};

class ResetGather final : public Gather {
 public:
  explicit ResetGather(unsigned) {}
  void RunAt(ServerContext& shard) override { shard.slow_log.Clear(); }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override { reply.Ok(); }
};

void SlowLogGet(CommandCall& call) {
  if (call.size() > 3) {
    call.reply.Error("ERR unknown subcommand or wrong number of arguments for '" +
                     std::string(call[1]) + "'. Try SLOWLOG HELP.");
    return;
  }
  int64_t count = 10;
  if (call.size() == 3) {
    constexpr std::string_view kError = "ERR count should be greater than or equal to -1";
    const std::optional<int64_t> given = IntegerOrReply(call, 2, kError);
    if (!given) return;
    if (*given < -1) {
      call.reply.Error(kError);
      return;
    }
    count = *given;
  }
  const uint64_t all = call.server.config.slow_commands_max;
  RunGather<GetGather>(call, GatherOrder::kAtOnce,
                       count == -1 ? all : std::min(all, static_cast<uint64_t>(count)));
}

void SlowLogLen(CommandCall& call) { RunGather<LenGather>(call, GatherOrder::kAtOnce); }
void SlowLogReset(CommandCall& call) { RunGather<ResetGather>(call, GatherOrder::kAtOnce); }

void SlowLogHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "GET [<count>]",
      "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
      "    Entries are made of:",
      "    id, timestamp, time in microseconds, arguments array, client IP and port,",
      "    client name",
      "LEN",
      "    Return the length of the slowlog.",
      "RESET",
      "    Reset the slowlog.",
  });
  ReplyHelp(call, "SLOWLOG", kLines);
}

constexpr uint32_t kFlags = kAdmin | kLoading | kStale;

constexpr auto kSubcommands = std::to_array<CommandSpec>({
    {.name = "slowlog|get",
     .arity = -2,
     .flags = kFlags,
     .on_all_shards = true,
     .handler = SlowLogGet,
     .tips = "request_policy:all_nodes nondeterministic_output",
     .group = "server",
     .since = "2.2.12",
     .summary = "Get the slow log's entries",
     .complexity = "O(N) where N is the number of entries returned"},
    {.name = "slowlog|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = SlowLogHelp,
     .group = "server",
     .since = "6.2.0",
     .summary = "Show helpful text about the different subcommands",
     .complexity = "O(1)"},
    {.name = "slowlog|len",
     .arity = 2,
     .flags = kFlags,
     .on_all_shards = true,
     .handler = SlowLogLen,
     .tips = "request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
     .group = "server",
     .since = "2.2.12",
     .summary = "Get the slow log's length",
     .complexity = "O(1)"},
    {.name = "slowlog|reset",
     .arity = 2,
     .flags = kFlags,
     .on_all_shards = true,
     .handler = SlowLogReset,
     .tips = "request_policy:all_nodes response_policy:all_succeeded",
     .group = "server",
     .since = "2.2.12",
     .summary = "Clear all entries from the slow log",
     .complexity = "O(N) where N is the number of entries in the slowlog"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "slowlog",
     .arity = -2,
     .subcommands = kSubcommands,
     .group = "server",
     .since = "2.2.12",
     .summary = "A container for slow log commands",
     .complexity = "Depends on subcommand."},
});

}  // namespace

std::span<const CommandSpec> SlowLogCommands() { return kCommands; }

}  // namespace orrery::server
