// The family of commands about the server and all of its data.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/config.h"
#include "server/info.h"
#include "server/text.h"

namespace orrery::server {
namespace {

void DbSize(CommandCall& call) {
  call.reply.Integer(static_cast<int64_t>(call.server.keyspace.size()));
}

// Always in the background: the keys are gone at once, their memory goes bit by bit.
void FlushAll(CommandCall& call) {
  const bool valid = call.size() == 1 || (call.size() == 2 && (EqualsIgnoreCase(call[1], "async") ||
                                                               EqualsIgnoreCase(call[1], "sync")));
  if (!valid) {
    call.reply.Error(kSyntaxError);
    return;
  }
  call.server.keyspace.Clear();
  call.reply.Ok();
}

void Info(CommandCall& call) {
  std::vector<std::string_view> sections;
  for (size_t i = 1; i < call.size(); ++i) sections.push_back(call[i]);
  call.reply.Verbatim(InfoText(call.server, sections));
}

// --- CONFIG

struct ConfigMatch {
  std::string_view name;
  const ConfigParameter* parameter;
};

void ConfigGet(CommandCall& call) {
  std::vector<ConfigMatch> matches;
  const auto add = [&](std::string_view name, const ConfigParameter& parameter) {
    const bool known = std::ranges::any_of(
        matches, [&](const ConfigMatch& match) { return match.parameter == &parameter; });
    if (!known) matches.push_back({.name = name, .parameter = &parameter});
  };
  for (size_t i = 2; i < call.size(); ++i) {
    if (!IsPattern(call[i])) {
      // As in Redis, a plain name comes back as it was spelt.
      if (const ConfigParameter* parameter = FindConfigParameter(call[i])) add(call[i], *parameter);
      continue;
    }
    for (const ConfigParameter& parameter : ConfigParameters()) {
      if (MatchesPattern(call[i], parameter.name, LetterCase::kIgnored)) {
        add(parameter.name, parameter);
      }
    }
  }
  call.reply.Map(matches.size());
  for (const ConfigMatch& match : matches) {
    call.reply.Bulk(match.name);
    call.reply.Bulk(match.parameter->get(call.server.config));
  }
}

std::string ConfigSetError(std::string_view name, std::string_view why) {
  return "ERR CONFIG SET failed (possibly related to argument '" + std::string(name) + "') - " +
         std::string(why);
}

// The first error of the names in a CONFIG SET, if any.
std::optional<std::string> CheckConfigNames(const CommandCall& call) {
  for (size_t i = 2; i < call.size(); i += 2) {
    const ConfigParameter* parameter = FindConfigParameter(call[i]);
    if (parameter == nullptr) {
      return "ERR Unknown option or number of arguments for CONFIG SET - '" +
             std::string(AsCString(call[i], call[i].size())) + "'";
    }
    if (parameter->set == nullptr) return ConfigSetError(call[i], "can't set immutable config");
    for (size_t before = 2; before < i; before += 2) {
      if (EqualsIgnoreCase(call[before], call[i])) {
        return ConfigSetError(call[i], "duplicate parameter");
      }
    }
  }
  return std::nullopt;
}

// All of the parameters are set, or none.
void ConfigSet(CommandCall& call) {
  if (call.size() % 2 != 0) {
    call.reply.Error(kSyntaxError);
    return;
  }
  if (const std::optional<std::string> error = CheckConfigNames(call)) {
    call.reply.Error(*error);
    return;
  }
  ServerConfig config = call.server.config;
  for (size_t i = 2; i < call.size(); i += 2) {
    if (const auto error = FindConfigParameter(call[i])->set(config, call[i + 1])) {
      call.reply.Error(ConfigSetError(call[i], *error));
      return;
    }
  }
  call.server.config = config;
  call.reply.Ok();
}

void ConfigResetStat(CommandCall& call) {
  call.server.stats = {.expired_before = call.server.keyspace.counters().expired};
  call.reply.Ok();
}

void ConfigRewrite(CommandCall& call) {
  call.reply.Error("ERR The server is running without a config file");
}

void ConfigHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "GET <pattern>",
      "    Return parameters matching the glob-like <pattern> and their values.",
      "SET <directive> <value>",
      "    Set the configuration <directive> to <value>.",
      "RESETSTAT",
      "    Reset statistics reported by the INFO command.",
      "REWRITE",
      "    Rewrite the configuration file.",
  });
  ReplyHelp(call, "CONFIG", kLines);
}

constexpr uint32_t kConfigFlags = kAdmin | kNoScript | kLoading | kStale;

constexpr auto kConfigSubcommands = std::to_array<CommandSpec>({
    {.name = "config|get",
     .arity = -3,
     .flags = kConfigFlags,
     .handler = ConfigGet,
     .group = "server",
     .since = "2.0.0",
     .summary = "Get the values of configuration parameters",
     .complexity = "O(N) when N is the number of configuration parameters provided"},
    {.name = "config|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = ConfigHelp,
     .group = "server",
     .since = "5.0.0",
     .summary = "Show helpful text about the different subcommands",
     .complexity = "O(1)"},
    {.name = "config|resetstat",
     .arity = 2,
     .flags = kConfigFlags,
     .handler = ConfigResetStat,
     .group = "server",
     .since = "2.0.0",
     .summary = "Reset the stats returned by INFO",
     .complexity = "O(1)"},
    {.name = "config|rewrite",
     .arity = 2,
     .flags = kConfigFlags,
     .handler = ConfigRewrite,
     .group = "server",
     .since = "2.8.0",
     .summary = "Rewrite the configuration file with the in memory configuration",
     .complexity = "O(1)"},
    {.name = "config|set",
     .arity = -4,
     .flags = kConfigFlags,
     .handler = ConfigSet,
     .tips = "request_policy:all_nodes response_policy:all_succeeded",
     .group = "server",
     .since = "2.0.0",
     .summary = "Set configuration parameters to the given values",
     .complexity = "O(N) when N is the number of configuration parameters provided"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "config",
     .arity = -2,
     .subcommands = kConfigSubcommands,
     .group = "server",
     .since = "2.0.0",
     .summary = "A container for server configuration commands",
     .complexity = "Depends on subcommand."},
    {.name = "dbsize",
     .arity = 1,
     .flags = kReadOnly | kFast,
     .categories = kCategoryKeyspace,
     .handler = DbSize,
     .tips = "request_policy:all_shards response_policy:agg_sum",
     .group = "server",
     .since = "1.0.0",
     .summary = "Return the number of keys in the selected database",
     .complexity = "O(1)"},
    {.name = "flushall",
     .arity = -1,
     .flags = kWrite,
     .categories = kCategoryKeyspace | kCategoryDangerous,
     .handler = FlushAll,
     .tips = "request_policy:all_shards response_policy:all_succeeded",
     .group = "server",
     .since = "1.0.0",
     .summary = "Remove all keys from all databases",
     .complexity = "O(1); the memory of N keys is freed in the background."},
    {.name = "info",
     .arity = -1,
     .flags = kLoading | kStale,
     .categories = kCategoryDangerous,
     .handler = Info,
     .tips = "nondeterministic_output request_policy:all_shards response_policy:special",
     .group = "server",
     .since = "1.0.0",
     .summary = "Get information and statistics about the server",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> ServerCommands() { return kCommands; }

}  // namespace orrery::server
