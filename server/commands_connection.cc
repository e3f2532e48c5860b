// The family of commands about the connection itself.

#include <array>
#include <optional>
#include <string>

#include "server/authentication.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/text.h"

namespace orrery::server {
namespace {

void Ping(CommandCall& call) {
  if (call.size() > 2) {
    call.reply.Error("ERR wrong number of arguments for 'ping' command");
  } else if (call.client.only_listens()) {
    call.reply.Array(2);
    call.reply.Bulk("pong");
    call.reply.Bulk(call.size() == 2 ? call[1] : "");
  } else if (call.size() == 2) {
    call.reply.Bulk(call[1]);
  } else {
    call.reply.SimpleString("PONG");
  }
}

void Echo(CommandCall& call) { call.reply.Bulk(call[1]); }

void Quit(CommandCall& call) {
  call.reply.Ok();
  call.client.closing = true;
}

void Select(CommandCall& call) {
  if (DatabaseOrReply(call, 1)) call.reply.Ok();
}

// --- AUTH, HELLO

// False when the error has been replied.
bool AuthenticateOrReply(CommandCall& call, std::string_view user, std::string_view password) {
  if (!Authenticates(user, password, call.server.config)) {
    call.reply.Error(kWrongPassword);
    return false;
  }
  call.client.authenticated = true;
  return true;
}

void Auth(CommandCall& call) {
  if (call.size() > 3) {
    call.reply.Error(kSyntaxError);
    return;
  }
  if (call.size() == 2 && call.server.config.password.empty()) {
    call.reply.Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
    return;
  }
  const std::string_view user = call.size() == 3 ? call[1] : "default";
  if (AuthenticateOrReply(call, user, call[call.size() - 1])) call.reply.Ok();
}

// Does what the options ask and returns the version to speak; on nothing the error has been
// replied. As in Redis, what stands before a wrong option has been done.
std::optional<RespVersion> HelloOrReply(CommandCall& call) {
  std::optional<int64_t> version = static_cast<int64_t>(call.client.version);
  if (call.size() >= 2) {
    version = IntegerOrReply(call, 1, "ERR Protocol version is not an integer or out of range");
    if (!version) return std::nullopt;
    if (*version != 2 && *version != 3) {
      call.reply.Error("NOPROTO unsupported protocol version");
      return std::nullopt;
    }
  }
  for (size_t i = 2; i < call.size(); ++i) {
    const size_t more = call.size() - i - 1;
    if (EqualsIgnoreCase(call[i], "auth") && more >= 2) {
      if (!AuthenticateOrReply(call, call[i + 1], call[i + 2])) return std::nullopt;
      i += 2;
    } else if (EqualsIgnoreCase(call[i], "setname") && more >= 1) {
      if (!SetNameOrReply(call, call[++i])) return std::nullopt;
    } else {
      const std::string_view option = AsCString(call[i], call[i].size());
      call.reply.Error("ERR Syntax error in HELLO option '" + std::string(option) + "'");
      return std::nullopt;
    }
  }
  if (!call.client.authenticated) {
    call.reply.Error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "AUTH <user> <pass> option can be used to authenticate the client and select the RESP "
        "protocol version at the same time");
    return std::nullopt;
  }
  return static_cast<RespVersion>(*version);
}

void SayHello(CommandCall& call) {
  const std::optional<RespVersion> version = HelloOrReply(call);
  if (!version) return;
  call.client.version = *version;
  ReplyWriter& reply = call.reply;
  reply.set_version(*version);
  reply.Map(7);
  reply.Bulk("server");
  reply.Bulk("redis");
  reply.Bulk("version");
  reply.Bulk(kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(static_cast<int64_t>(*version));
  reply.Bulk("id");
  reply.Integer(static_cast<int64_t>(call.client.id));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.Array(0);
}

// --- RESET

// As after connecting.
void Reset(CommandCall& call) {
  Client& client = call.client;
  call.server.subscriptions.Drop(client);
  EndTransaction(client);
  client.version = RespVersion::k2;
  client.reply_off = client.skip_next_reply = false;
  client.no_evict = client.no_touch = false;
  client.authenticated = call.server.config.password.empty();
  if (!client.names().name.empty()) client.mutable_names().name.clear();
  call.reply.set_version(client.version);
  call.reply.set_muted(client.skip_reply);
  call.reply.SimpleString("RESET");
}

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "auth",
     .arity = -2,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCategoryConnection,
     .handler = Auth,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Authenticate to the server",
     .complexity = "O(N) where N is the number of passwords defined for the user"},
    {.name = "echo",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .categories = kCategoryConnection,
     .handler = Echo,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Echo the given string",
     .complexity = "O(1)"},
    {.name = "hello",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCategoryConnection,
     .handler = SayHello,
     .group = "connection",
     .since = "6.0.0",
     .summary = "Handshake with Redis",
     .complexity = "O(1)"},
    {.name = "ping",
     .arity = -1,
     .flags = kFast | kForListeners,
     .categories = kCategoryConnection,
     .handler = Ping,
     .tips = "request_policy:all_shards response_policy:all_succeeded",
     .group = "connection",
     .since = "1.0.0",
     .summary = "Ping the server",
     .complexity = "O(1)"},
    {.name = "quit",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy | kForListeners,
     .categories = kCategoryConnection,
     .runs_in_multi = true,
     .handler = Quit,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Close the connection",
     .complexity = "O(1)"},
    {.name = "reset",
     .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy | kForListeners,
     .categories = kCategoryConnection,
     .runs_in_multi = true,
     .handler = Reset,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Reset the connection",
     .complexity = "O(1)"},
    {.name = "select",
     .arity = 2,
     .flags = kLoading | kStale | kFast,
     .categories = kCategoryConnection,
     .handler = Select,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Change the selected database for the current connection",
     .complexity = "O(1)"},
});

}  // namespace

std::span<const CommandSpec> ConnectionCommands() { return kCommands; }

}  // namespace orrery::server
