#include "server/commands.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/mark.h"
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
  if (config.memory_bytes_max != 0 && (spec.flags & kDenyOom) != 0 &&
      server.keyspace.memory_bytes() > config.memory_bytes_max) [[unlikely]] {
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

CommandProcessor::CommandProcessor(ServerContext& server) : server_(server) {
  server.stats.commands = server.commands.MakeStats();
}

ParseResult CommandProcessor::ParseBatch(std::string_view input, Client& client, size_t& count) {
  const ParserLimits limits{.bulk_bytes_max = server_.config.bulk_bytes_max,
                            .unauthenticated = MustAuthenticate(client, server_.config)};
  // What a stranger says may change how the rest is to be read.
  const size_t batch_max = limits.unauthenticated ? 1 : kBatchMax;
  size_t start = 0;
  for (count = 0; count < batch_max; ++count) {
    Prepared& prepared = batch_[count];
    const std::string_view rest = input.substr(start);
    if (const size_t bytes = client.parser.ParseUsual(rest, limits, prepared.command); bytes > 0)
        [[likely]] {
      start += bytes;
      prepared.end = start;
      continue;
    }
    ParseResult result = client.parser.Parse(rest, limits, prepared.command);
    start += result.consumed_bytes;
    if (result.status != ParseStatus::kCommand) {
      result.consumed_bytes = start;
      return result;
    }
    prepared.end = start;
  }
  return {.status = ParseStatus::kCommand, .consumed_bytes = start};
}

void CommandProcessor::PrepareBatch(size_t count) {
  const Keyspace& keyspace = server_.keyspace;
  for (size_t i = 0; i < count; ++i) {
    Prepared& prepared = batch_[i];
    prepared.spec = server_.commands.Find(prepared.command[0]);
    const size_t key =
        prepared.spec == nullptr ? 0 : static_cast<size_t>(prepared.spec->keys.first);
    if (key == 0 || key >= prepared.command.size()) continue;
    prepared.first_key_hash = keyspace.Hash(prepared.command[key]);
    keyspace.PrefetchBucket(prepared.first_key_hash);
  }
  if (count == 1) return;  // Nothing to do while an entry would come.
  for (size_t i = 0; i < count; ++i) {
    const Prepared& prepared = batch_[i];
    if (prepared.spec != nullptr && prepared.spec->keys.first > 0) {
      keyspace.PrefetchEntry(prepared.first_key_hash);
    }
  }
}

bool CommandProcessor::MustWait(const Prepared& prepared) const {
  if (server_.pause.end_ms == Pause::kNone) [[likely]]
    return false;
  if (server_.pause.end_ms < server_.monotonic_ms()) return false;
  if (!server_.pause.writes_only) return true;
  const CommandSpec* spec = prepared.spec;
  const Command& command = prepared.command;
  if (spec != nullptr && !spec->subcommands.empty() && command.size() > 1) {
    spec = spec->FindSubcommand(command[1]);
  }
  return spec != nullptr && (spec->flags & kWrite) != 0 && spec->TakesArguments(command.size());
}

ProcessResult CommandProcessor::Process(std::string_view input, Client& client,
                                        PendingOutput& output, size_t output_bytes_max) {
  const uint64_t hard_limit =
      server_.config.output_limits[static_cast<size_t>(client.client_class)].hard_bytes;
  const size_t output_end = hard_limit == 0 ? ReplyWriter::kNoLimit : hard_limit;
  output_bytes_max = std::min(output_bytes_max, output_end);
  ReplyWriter reply(output, client.version, server_.stats.errors, output_end);
  client.last_command_ns = server_.monotonic_ns;
  size_t consumed = 0;
  for (;;) {
    if (output.size_bytes() >= output_bytes_max) return {consumed, ProcessEnd::kOutputFull};
    size_t count = 0;
    const ParseResult last = ParseBatch(input.substr(consumed), client, count);
    PrepareBatch(count);
    const size_t batch_start = consumed;
    const bool authenticated = client.authenticated;
    for (size_t i = 0; i < count && client.authenticated == authenticated; ++i) {
      if (output.size_bytes() >= output_bytes_max) {
        // The frame behind the batch, if one has begun, is presented again with what comes before.
        ORRERY_MARK_IF(last.status == ParseStatus::kNeedMore,
                       "output.full-before-an-unfinished-frame");
        client.parser.Rewind(batch_[i].command);
        return {consumed, ProcessEnd::kOutputFull};
      }
      Prepared& prepared = batch_[i];
      if (MustWait(prepared)) {
        ORRERY_MARK("command.waits-for-a-pause");
        client.parser.Rewind(prepared.command);
        return {consumed, ProcessEnd::kPaused};
      }
      reply.set_muted(client.reply_off || client.skip_reply);
      Execute(prepared.command, prepared.spec, prepared.first_key_hash, client, server_, reply);
      prepared.command.DropBodies();
      client.skip_reply = std::exchange(client.skip_next_reply, false);
      consumed = batch_start + prepared.end;
      if (client.closing) return {consumed, ProcessEnd::kClosing};
      // What comes behind it was read as that of somebody else.
      if (client.authenticated != authenticated) client.parser.Rewind(prepared.command);
    }
    if (client.authenticated != authenticated) continue;
    consumed = batch_start + last.consumed_bytes;
    if (last.status == ParseStatus::kNeedMore) return {consumed, ProcessEnd::kNeedMore};
    if (last.status == ParseStatus::kError) {
      ++server_.stats.protocol_errors;
      reply.set_muted(client.reply_off || client.skip_reply);
      reply.Error("ERR " + ProtocolErrorText(last));
      client.closing = true;
      return {consumed, ProcessEnd::kClosing};
    }
  }
}

}  // namespace orrery::server
