#include "server/commands.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/mark.h"
#include "server/authentication.h"
#include "server/execute.h"

namespace orrery::server {

CommandProcessor::CommandProcessor(ServerContext& server, Router* router)
    : server_(server), router_(router) {
  server.stats.commands = server.commands.MakeStats();
}

template <bool kRouted>
void CommandProcessor::LookUp(Prepared& prepared) const {
  const Command& command = prepared.command;
  const CommandSpec* const spec = server_.commands.Find(command[0]);
  prepared.spec = spec;
  prepared.is_plain = !kRouted && spec != nullptr && spec->is_plain &&
                      spec->TakesArguments(command.size()) && command.size() < kManyArguments;
  const size_t key = spec == nullptr ? 0 : static_cast<size_t>(spec->keys.first);
  prepared.first_key = key < command.size() ? key : 0;
}

template <bool kRouted>
void CommandProcessor::FindKey(Prepared& prepared) const {
  prepared.bucket = nullptr;
  if constexpr (kRouted) {
    prepared.target = router_->TargetOf(prepared.command, prepared.spec);
    if (!router_->IsHere(prepared.target)) return;
  }
  if (prepared.first_key == 0) return;
  const std::string_view key = prepared.command[prepared.first_key];
  prepared.first_key_hash = server_.keyspace.Hash(key);
  prepared.bucket = server_.keyspace.PrefetchBucket(prepared.first_key_hash);
}

template <bool kRouted>
ParseResult CommandProcessor::ReadBatch(std::string_view input, Client& client, size_t batch_max,
                                        size_t& count) {
  const ParserLimits limits{.bulk_bytes_max = server_.config.bulk_bytes_max,
                            .unauthenticated = MustAuthenticate(client, server_.config)};
  // What a stranger says may change how the rest is to be read.
  if (limits.unauthenticated) [[unlikely]]
    batch_max = 1;
  ParseResult result = {.status = ParseStatus::kCommand};
  std::string_view rest = input;
  const Prepared* before = nullptr;
  Prepared* const batch_end = batch_.data() + batch_max;
  Prepared* next = batch_.data();
  for (; next != batch_end; before = next++) {
    size_t bytes =
        before == nullptr ? 0 : RespParser::ParseLike(before->command, rest, limits, next->command);
    if (bytes > 0) [[likely]] {
      next->spec = before->spec;
      next->is_plain = before->is_plain;
      next->first_key = before->first_key;
    } else {
      result = client.parser.Parse(rest, limits, next->command);
      bytes = result.consumed_bytes;
      if (result.status == ParseStatus::kCommand) LookUp<kRouted>(*next);
    }
    rest = {rest.data() + bytes, rest.size() - bytes};
    if (result.status != ParseStatus::kCommand) break;
    next->end = static_cast<size_t>(rest.data() - input.data());
    FindKey<kRouted>(*next);
  }
  result.consumed_bytes = static_cast<size_t>(rest.data() - input.data());
  count = static_cast<size_t>(next - batch_.data());
  if (count <= 1) return result;  // Nothing to do while an entry would come.
  for (const Prepared& prepared : std::span(batch_.data(), count)) {
    if (prepared.bucket != nullptr) {
      Keyspace::PrefetchEntry(prepared.bucket, prepared.first_key_hash);
    }
  }
  return result;
}

bool CommandProcessor::SetUpForPlain(const Client& client, ReplyWriter& reply) {
  if (router_ != nullptr || !RunsPlainly(client, server_)) return false;
  reply.set_muted(false);
  server_.keyspace.CountUses(!client.no_touch);
  return true;
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
  ClientRoute* const route = client.route.get();
  if (route != nullptr && route->wait != RouteWait::kNothing) [[unlikely]]
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
  size_t batch_max = route != nullptr && route->waited ? 1 : kBatchMax;
  bool runs_plainly = SetUpForPlain(client, reply);
  size_t consumed = 0;
  for (;;) {
    if (output.size_bytes() >= output_bytes_max) return {consumed, ProcessEnd::kOutputFull};
    size_t count = 0;
    const std::string_view left = input.substr(consumed);
    const ParseResult last = router_ == nullptr ? ReadBatch<false>(left, client, batch_max, count)
                                                : ReadBatch<true>(left, client, batch_max, count);
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
      if (runs_plainly && prepared.is_plain) [[likely]] {
        ExecutePlain(prepared.command, *prepared.spec, prepared.first_key_hash, client, server_,
                     reply);
        prepared.command.DropBodies();
        consumed = batch_start + prepared.end;
        continue;
      }
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
        route->waited = true;
        return {consumed, ProcessEnd::kWaiting};
      }
      prepared.command.DropBodies();
      client.skip_reply = std::exchange(client.skip_next_reply, false);
      consumed = batch_start + prepared.end;
      if (client.closing) return {consumed, ProcessEnd::kClosing};
      runs_plainly = SetUpForPlain(client, reply);
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
      if (route->wide != nullptr) return {consumed, ProcessEnd::kWaiting};
      route->waited = false;
      batch_max = kBatchMax;
    }
  }
}

}  // namespace orrery::server
