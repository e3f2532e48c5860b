#include "server/commands.h"

#include <algorithm>
#include <utility>

#include "base/mark.h"
#include "server/authentication.h"
#include "server/execute.h"

namespace orrery::server {

CommandProcessor::CommandProcessor(ServerContext& server, Router* router)
    : server_(server), router_(router) {
  server.stats.commands = server.commands.MakeStats();
}

ParseResult CommandProcessor::ParseBatch(std::string_view input, Client& client, size_t batch_max,
                                         size_t& count) {
  const ParserLimits limits{.bulk_bytes_max = server_.config.bulk_bytes_max,
                            .unauthenticated = MustAuthenticate(client, server_.config)};
  // What a stranger says may change how the rest is to be read.
  if (limits.unauthenticated) [[unlikely]]
    batch_max = 1;
  size_t start = 0;
  for (count = 0; count < batch_max; ++count) {
    Prepared& prepared = batch_[count];
    ParseResult result = client.parser.Parse(input.substr(start), limits, prepared.command);
    start += result.consumed_bytes;
    if (result.status != ParseStatus::kCommand) {
      result.consumed_bytes = start;
      return result;
    }
    prepared.end = start;
  }
  return {.status = ParseStatus::kCommand, .consumed_bytes = start};
}

template <bool kRouted>
void CommandProcessor::PrepareBatch(size_t count) {
  const Keyspace& keyspace = server_.keyspace;
  for (size_t i = 0; i < count; ++i) {
    Prepared& prepared = batch_[i];
    prepared.spec = server_.commands.Find(prepared.command[0]);
    if constexpr (kRouted) {
      prepared.target = router_->TargetOf(prepared.command, prepared.spec);
      if (!router_->IsHere(prepared.target)) continue;
    }
    const size_t key =
        prepared.spec == nullptr ? 0 : static_cast<size_t>(prepared.spec->keys.first);
    if (key == 0 || key >= prepared.command.size()) continue;
    prepared.first_key_hash = keyspace.Hash(prepared.command[key]);
    keyspace.PrefetchBucket(prepared.first_key_hash);
  }
  if (count == 1) return;  // Nothing to do while an entry would come.
  for (size_t i = 0; i < count; ++i) {
    const Prepared& prepared = batch_[i];
    if constexpr (kRouted) {
      if (!router_->IsHere(prepared.target)) continue;
    }
    if (prepared.spec != nullptr && prepared.spec->keys.first > 0) {
      keyspace.PrefetchEntry(prepared.first_key_hash);
    }
  }
}

bool CommandProcessor::MustWait(const Prepared& prepared, const Client& client) const {
  if (server_.pause.end_ms == Pause::kNone) [[likely]]
    return false;
  if (server_.pause.end_ms < server_.monotonic_ms()) return false;
  if (!server_.pause.writes_only) return true;
  const CommandSpec* spec = prepared.spec;
  if (spec != nullptr) spec = spec->ForCall(prepared.command);
  return spec != nullptr && (FlagsOf(*spec, client) & (kWrite | kPausedLikeWrites)) != 0;
}

ProcessResult CommandProcessor::Process(std::string_view input, Client& client,
                                        PendingOutput& output, size_t output_bytes_max) {
  if (client.route.wait != RouteWait::kNothing) [[unlikely]]
    return {0, client.closing ? ProcessEnd::kClosing : ProcessEnd::kWaiting};
  // By a command that it has waited for.
  if (client.closing) [[unlikely]]
    return {0, ProcessEnd::kClosing};
  const uint64_t hard_limit =
      server_.config.output_limits[static_cast<size_t>(client.client_class())].hard_bytes;
  const size_t output_end = hard_limit == 0 ? ReplyWriter::kNoLimit : hard_limit;
  output_bytes_max = std::min(output_bytes_max, output_end);
  ReplyWriter reply(output, client.version, server_.stats.errors, output_end);
  client.last_command_ns = server_.monotonic_ns;
  size_t batch_max = client.route.waited ? 1 : kBatchMax;
  size_t consumed = 0;
  for (;;) {
    if (output.size_bytes() >= output_bytes_max) return {consumed, ProcessEnd::kOutputFull};
    size_t count = 0;
    const ParseResult last = ParseBatch(input.substr(consumed), client, batch_max, count);
    router_ == nullptr ? PrepareBatch<false>(count) : PrepareBatch<true>(count);
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
      if (MustWait(prepared, client)) {
        ORRERY_MARK("command.waits-for-a-pause");
        client.parser.Rewind(prepared.command);
        return {consumed, ProcessEnd::kPaused};
      }
      reply.set_muted(client.reply_off || client.skip_reply);
      if (router_ == nullptr) [[likely]] {
        Execute(prepared.command, prepared.spec, prepared.first_key_hash, client, server_, reply);
      } else if (!router_->Run(prepared.command, prepared.spec, prepared.target,
                               prepared.first_key_hash, client, reply)) {
        client.parser.Rewind(prepared.command);
        client.route.waited = true;
        return {consumed, ProcessEnd::kWaiting};
      }
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
      // Its reply is the last one. The parser finds it again.
      if (router_ != nullptr && !router_->RepliesAreIn(client)) {
        return {consumed, ProcessEnd::kWaiting};
      }
      ++server_.stats.protocol_errors;
      reply.set_muted(client.reply_off || client.skip_reply);
      reply.Error("ERR " + ProtocolErrorText(last));
      client.closing = true;
      return {consumed, ProcessEnd::kClosing};
    }
    if (batch_max < kBatchMax) [[unlikely]] {
      if (client.route.wide != nullptr) return {consumed, ProcessEnd::kWaiting};
      client.route.waited = false;
      batch_max = kBatchMax;
    }
  }
}

}  // namespace orrery::server
