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

bool IsExec(const CommandSpec& spec) { return spec.name == "exec"; }

// Whether it takes memory, as a command that is queued does.
bool Grows(const CommandSpec& spec, const Client& client) {
  if ((FlagsOf(spec, client) & kDenyOom) != 0) return true;
  return client.in_multi() && !spec.runs_in_multi;
}

// Why the command may not run now, as Redis says it; empty when it may.
std::string_view ProhibitionOf(const CommandSpec& spec, const Client& client,
                               const ServerContext& server) {
  const ServerConfig& config = server.config;
  if (MustAuthenticate(client, config) && (spec.flags & kNoAuth) == 0) [[unlikely]] {
    return kAuthenticationRequired;
  }
  if (config.memory_bytes_max != 0 && Grows(spec, client) &&
      server.keyspace.memory_bytes() > config.memory_bytes_max) [[unlikely]] {
    return "OOM command not allowed when used memory > 'maxmemory'.";
  }
  return {};
}

// Replies the error of a command that is not run. An EXEC takes its transaction with it.
void Refuse(std::string_view error, const CommandSpec& spec, Client& client, ServerContext& server,
            ReplyWriter& reply) {
  ++server.stats.commands[spec.number].rejected_calls;
  if (!IsExec(spec)) {
    reply.Error(error);
    return;
  }
  EndTransaction(client);
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  reply.Error("EXECABORT Transaction discarded because of: " + std::string(error));
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
    Refuse("ERR wrong number of arguments for '" + std::string(spec->name) + "' command", *spec,
           client, server, reply);
    return nullptr;
  }
  const std::string_view prohibition = ProhibitionOf(*spec, client, server);
  if (!prohibition.empty()) [[unlikely]] {
    Refuse(prohibition, *spec, client, server, reply);
    return nullptr;
  }
  if (client.only_listens() && (spec->flags & kForListeners) == 0) [[unlikely]] {
    Refuse(NotForListenersText(*spec), *spec, client, server, reply);
    return nullptr;
  }
  return spec;
}

// Between MULTI and EXEC: queues the command, or refuses it. False: it runs at once.
bool QueueOrRefuse(Command& command, const CommandSpec& spec, Client& client, ReplyWriter& reply) {
  if (spec.runs_in_multi) return false;
  if ((spec.flags & kNoMulti) != 0) {
    client.transaction->refused = true;
    reply.Error("ERR Command not allowed inside a transaction");
    return true;
  }
  client.transaction->Queue(command, spec, spec.flags);
  reply.SimpleString("QUEUED");
  return true;
}

}  // namespace

bool RunsPlainly(const Client& client, const ServerContext& server) {
  const ServerConfig& config = server.config;
  return server.pause.end_ms == Pause::kNone && config.memory_bytes_max == 0 &&
         !WatchesAll(config) && !MustAuthenticate(client, config) && !client.only_listens() &&
         !client.in_multi() && !client.reply_off && !client.skip_reply && !client.skip_next_reply;
}

uint32_t FlagsOf(const CommandSpec& spec, const Client& client) {
  if (!client.in_multi()) [[likely]]
    return spec.flags;
  return spec.flags | (IsExec(spec) ? client.transaction->flags : 0);
}

void Execute(Command& command, const CommandSpec* spec, uint64_t first_key_hash, Client& client,
             ServerContext& server, ReplyWriter& reply) {
  if (server.observer != nullptr) server.observer->OnCommand(client, command, server.now_ms);
  const CommandSpec* container = spec;
  spec = ResolveOrReply(command, spec, client, server, reply);
  if (spec == nullptr) {
    if (client.in_multi()) client.transaction->refused = true;
    return;
  }
  client.last_command = spec;
  if (client.in_multi() && QueueOrRefuse(command, *spec, client, reply)) return;
  if (spec != container && spec->keys.first > 0) {
    first_key_hash = server.keyspace.Hash(command[static_cast<size_t>(spec->keys.first)]);
  }
  CommandCall call{.arguments = command,
                   .spec = *spec,
                   .client = client,
                   .server = server,
                   .reply = reply,
                   .first_key_hash = first_key_hash};
  RunCommand(call);
}

}  // namespace orrery::server
