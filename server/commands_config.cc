// CONFIG: the parameters, and the statistics that it can reset.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/config.h"
#include "server/config_store.h"
#include "server/gather.h"
#include "server/text.h"

namespace orrery::server {
namespace {

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
    if (parameter->at_start_only)
      return ConfigSetError(parameter->name, "can't set immutable config");
    for (size_t before = 2; before < i; before += 2) {
      if (EqualsIgnoreCase(call[before], call[i])) {
        return ConfigSetError(parameter->name, "duplicate parameter");
      }
    }
  }
  return std::nullopt;
}

struct Setting {
  const ConfigParameter* parameter;
  std::string value;
};

// The first error, if any; then what is in `config` does not count.
std::optional<std::string> Apply(const std::vector<Setting>& settings, ServerConfig& config) {
  for (const Setting& setting : settings) {
    if (const auto error = setting.parameter->set(config, setting.value)) {
      return ConfigSetError(setting.parameter->name, *error);
    }
  }
  return std::nullopt;
}

// Of settings that can be made.
class ConfigSetGather final : public Gather {
 public:
  ConfigSetGather(unsigned, std::vector<Setting> settings) : settings_(std::move(settings)) {}

  void RunAt(ServerContext& shard) override {
    // Others may have changed the rest since this command was read.
    ServerConfig config = shard.config;
    ORRERY_CHECK(!Apply(settings_, config));
    if (shard.host != nullptr) {
      shard.host->Configure(config);
    } else {
      shard.config = config;
    }
  }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override { reply.Ok(); }

 private:
  const std::vector<Setting> settings_;
};

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
  std::vector<Setting> settings;
  for (size_t i = 2; i < call.size(); i += 2) {
    settings.push_back(
        {.parameter = FindConfigParameter(call[i]), .value = std::string(call[i + 1])});
  }
  ServerConfig tried = call.server.config;
  if (const std::optional<std::string> error = Apply(settings, tried)) {
    call.reply.Error(*error);
    return;
  }
  RunGather<ConfigSetGather>(call, GatherOrder::kOneByOne, std::move(settings));
}

class ResetStatGather final : public Gather {
 public:
  explicit ResetStatGather(unsigned) {}
  void RunAt(ServerContext& shard) override {
    const Keyspace::Counters& counters = shard.keyspace.counters();
    shard.stats.Reset(counters.expired, counters.freed);
  }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override { reply.Ok(); }
};

void ConfigResetStat(CommandCall& call) { RunGather<ResetStatGather>(call, GatherOrder::kAtOnce); }

void ConfigRewrite(CommandCall& call) {
  ConfigStore* store = call.server.config_store;
  if (store == nullptr) {
    call.reply.Error("ERR The server is running without a config file");
  } else if (const auto rewritten = store->Rewrite(call.server.config); !rewritten) {
    call.reply.Error("ERR Rewriting config file: " + rewritten.error());
  } else {
    call.reply.Ok();
  }
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

constexpr uint32_t kFlags = kAdmin | kNoScript | kLoading | kStale;

constexpr auto kSubcommands = std::to_array<CommandSpec>({
    {.name = "config|get",
     .arity = -3,
     .flags = kFlags,
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
     .flags = kFlags,
     .on_all_shards = true,
     .handler = ConfigResetStat,
     .group = "server",
     .since = "2.0.0",
     .summary = "Reset the stats returned by INFO",
     .complexity = "O(1)"},
    {.name = "config|rewrite",
     .arity = 2,
     .flags = kFlags,
     .handler = ConfigRewrite,
     .group = "server",
     .since = "2.8.0",
     .summary = "Rewrite the configuration file with the in memory configuration",
     .complexity = "O(1)"},
    {.name = "config|set",
     .arity = -4,
     .flags = kFlags,
     .on_all_shards = true,
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
     .subcommands = kSubcommands,
     .group = "server",
     .since = "2.0.0",
     .summary = "A container for server configuration commands",
     .complexity = "Depends on subcommand."},
});

}  // namespace

std::span<const CommandSpec> ConfigCommands() { return kCommands; }

}  // namespace orrery::server
