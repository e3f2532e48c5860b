#include "server/execute.h"

#include <algorithm>
#include <string>

#include "server/authentication.h"
#include "server/text.h"

namespace orrery::server {
namespace {

// What of a wrong command its error shows.
constexpr size_t kShownBytesMax = 128;

std::string UnknownCommandText(const Command& command) {
  std::string arguments;
  for (size_t i = 1; i < command.size() && arguments.size() < kShownBytesMax; ++i) {
    const std::string_view shown = AsCString(command[i], kShownBytesMax - arguments.size());
    arguments.append("'").append(shown).append("' ");
  }
  return "ERR unknown command '" + std::string(AsCString(command[0], kShownBytesMax)) +
         "', with args beginning with: " + arguments;
}

std::string UnknownSubcommandText(const Command& command, const CommandSpec& container) {
  return "ERR unknown subcommand '" + std::string(AsCString(command[1], kShownBytesMax)) +
         "'. Try " + ToUpper(container.name) + " HELP.";
}

std::string NotForListenersText(const CommandSpec& spec) {
  return "ERR Can't execute '" + std::string(spec.name) +
         "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
         "context";
}

// A browser that was tricked into speaking to us: as in Redis, it is cut off without a reply.
bool IsHttp(std::string_view name) {
  return EqualsIgnoreCase(name, "post") || EqualsIgnoreCase(name, "host:");
}

// Why the command may not run now, as Redis says it; empty when it may.
std::string_view ProhibitionOf(const CommandSpec& spec, const Client& client,
                               const ServerContext& server) {
  const ServerConfig& config = server.config;
  if (MustAuthenticate(client, config) && (spec.flags & kNoAuth) == 0) [[unlikely]] {
    return kAuthenticationRequired;
  }
  // Each shard has an even part of it.
  if (config.memory_bytes_max != 0 && (spec.flags & kDenyOom) != 0 &&
      server.keyspace.memory_bytes() > config.memory_bytes_max / server.shards) [[unlikely]] {
    return "OOM command not allowed when used memory > 'maxmemory'.";
  }
  return {};
}

// The command or subcommand to run; null when the error has been replied or the client cut off.
const CommandSpec* ResolveOrReply(const Command& command, const CommandSpec* spec, Client& client,
                                  ServerContext& server, ReplyWriter& reply) {
  if (spec == nullptr) {
    if (IsHttp(command[0])) {
      client.closing = true;
    } else {
      reply.Error(UnknownCommandText(command));
    }
    return nullptr;
  }
  if (!spec->subcommands.empty() && command.size() > 1) {
    const CommandSpec& container = *spec;
    spec = container.FindSubcommand(command[1]);
    if (spec == nullptr) {
      reply.Error(UnknownSubcommandText(command, container));
      return nullptr;
    }
  }
  if (!spec->TakesArguments(command.size())) {
    ++server.stats.commands[spec->number].rejected_calls;
    reply.Error("ERR wrong number of arguments for '" + std::string(spec->name) + "' command");
    return nullptr;
  }
  const std::string_view prohibition = ProhibitionOf(*spec, client, server);
  if (!prohibition.empty()) [[unlikely]] {
    ++server.stats.commands[spec->number].rejected_calls;
    reply.Error(prohibition);
    return nullptr;
  }
  if (client.only_listens() && (spec->flags & kForListeners) == 0) [[unlikely]] {
    ++server.stats.commands[spec->number].rejected_calls;
    reply.Error(NotForListenersText(*spec));
    return nullptr;
  }
  return spec;
}

// Whether this call is one of those that are timed.
bool IsTimed(const CommandSpec& spec, ServerContext& server) {
  if (server.host == nullptr) return false;
  const bool is_due = --server.calls_to_timed_one == 0;
  if (is_due) server.calls_to_timed_one = ServerStats::kTimedOneIn;
  return is_due || server.stats.commands[spec.number].calls < ServerStats::kTimedFirst;
}

// Calls the handler, if need be with a look at the clock before and after.
void RunHandler(CommandCall& call) {
  ServerContext& server = call.server;
  if (!IsTimed(call.spec, server)) [[likely]] {
    call.spec.handler(call);
    return;
  }
  const Nanoseconds start = server.host->MonotonicNow();
  call.spec.handler(call);
  server.stats.commands[call.spec.number].AddTime(server.host->MonotonicNow() - start);
}

}  // namespace

void Execute(const Command& command, const CommandSpec* spec, uint64_t first_key_hash,
             Client& client, ServerContext& server, ReplyWriter& reply) {
  if (server.observer != nullptr) server.observer->OnCommand(client, command, server.now_ms);
  const CommandSpec* container = spec;
  spec = ResolveOrReply(command, spec, client, server, reply);
  if (spec == nullptr) return;
  if (spec != container && spec->keys.first > 0) {
    first_key_hash = server.keyspace.Hash(command[static_cast<size_t>(spec->keys.first)]);
  }
  client.last_command = spec;
  server.keyspace.CountUses(!client.no_touch);
  CommandCall call{.arguments = command,
                   .spec = *spec,
                   .client = client,
                   .server = server,
                   .reply = reply,
                   .first_key_hash = first_key_hash};
  const uint64_t errors = server.stats.errors.total();
  RunHandler(call);
  // After it: what it says of itself is what was before, and RESETSTAT counts as the first.
  ++server.stats.commands_processed;
  CommandStats& counted = server.stats.commands[spec->number];
  ++counted.calls;
  if (server.stats.errors.total() > errors) ++counted.failed_calls;
}

}  // namespace orrery::server
