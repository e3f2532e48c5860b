// The family of commands about the connection itself.

#include <array>
#include <string>

#include "server/command_families.h"
#include "server/command_support.h"
#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

void Ping(CommandCall& call) {
  if (call.size() > 2) {
    call.reply.Error("ERR wrong number of arguments for 'ping' command");
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

// --- names

// Whether CLIENT LIST can show it: no spaces and nothing that is not printable ASCII.
bool IsShowable(std::string_view name) {
  for (const char c : name) {
    if (c < '!' || c > '~') return false;
  }
  return true;
}

// False when the error has been replied.
bool SetNameOrReply(CommandCall& call, std::string_view name) {
  if (!IsShowable(name)) {
    call.reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
  }
  if (call.client.names != nullptr || !name.empty()) call.client.mutable_names().name = name;
  return true;
}

// --- HELLO

// No password can be set, so every one is right for the default user.
bool Authenticates(std::string_view user) { return user == "default"; }

// Does what the options ask and returns the version to speak; on nothing the error has been
// replied.
std::optional<RespVersion> HelloOrReply(CommandCall& call) {
  if (call.size() < 2) return call.client.version;
  const std::optional<int64_t> version =
      IntegerOrReply(call, 1, "ERR Protocol version is not an integer or out of range");
  if (!version) return std::nullopt;
  if (*version != 2 && *version != 3) {
    call.reply.Error("NOPROTO unsupported protocol version");
    return std::nullopt;
  }
  for (size_t i = 2; i < call.size(); ++i) {
    const size_t more = call.size() - i - 1;
    if (EqualsIgnoreCase(call[i], "auth") && more >= 2) {
      if (!Authenticates(call[i + 1])) {
        call.reply.Error("WRONGPASS invalid username-password pair or user is disabled.");
        return std::nullopt;
      }
      i += 2;
    } else if (EqualsIgnoreCase(call[i], "setname") && more >= 1) {
      if (!SetNameOrReply(call, call[++i])) return std::nullopt;
    } else {
      const std::string_view option = AsCString(call[i], call[i].size());
      call.reply.Error("ERR Syntax error in HELLO option '" + std::string(option) + "'");
      return std::nullopt;
    }
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

// --- CLIENT

void ClientId(CommandCall& call) { call.reply.Integer(static_cast<int64_t>(call.client.id)); }

void ClientGetName(CommandCall& call) {
  if (call.client.names == nullptr || call.client.names->name.empty()) {
    call.reply.Null();
  } else {
    call.reply.Bulk(call.client.names->name);
  }
}

void ClientSetName(CommandCall& call) {
  if (SetNameOrReply(call, call[2])) call.reply.Ok();
}

void ClientSetInfo(CommandCall& call) {
  const std::string option(AsCString(call[2], call[2].size()));
  const bool name = EqualsIgnoreCase(option, "lib-name");
  if (!name && !EqualsIgnoreCase(option, "lib-ver")) {
    call.reply.Error("ERR Unrecognized option '" + option + "'");
    return;
  }
  if (!IsShowable(call[3])) {
    call.reply.Error("ERR " + option + " cannot contain spaces, newlines or special characters.");
    return;
  }
  Client::Names& names = call.client.mutable_names();
  (name ? names.library_name : names.library_version) = call[3];
  call.reply.Ok();
}

void ClientInfo(CommandCall& call) {
  const Client& client = call.client;
  const Client::Names none;
  const Client::Names& names = client.names != nullptr ? *client.names : none;
  const Nanoseconds age = (call.server.monotonic_ns - client.connected_ns) / kSecond;
  std::string line = "id=" + std::to_string(client.id);
  line += " addr=" + client.address + " laddr=" + client.local_address;
  line += " name=" + names.name + " age=" + std::to_string(age);
  line += " idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 cmd=client|info user=default";
  line += " redir=-1 resp=" + std::to_string(static_cast<int>(client.version));
  line += " lib-name=" + names.library_name + " lib-ver=" + names.library_version + "\n";
  call.reply.Verbatim(line);
}

// Nothing is ever evicted in this version, so both answers are kept by doing nothing.
void ClientNoEvict(CommandCall& call) {
  if (EqualsIgnoreCase(call[2], "on") || EqualsIgnoreCase(call[2], "off")) {
    call.reply.Ok();
  } else {
    call.reply.Error(kSyntaxError);
  }
}

void ClientHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "GETNAME",
      "    Return the name of the current connection.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current client connection.",
      "SETINFO <option> <value>",
      "    Set client meta attr. Options are:",
      "    * LIB-NAME: the client lib name.",
      "    * LIB-VER: the client lib version.",
      "SETNAME <name>",
      "    Assign the name <name> to the current connection.",
      "NO-EVICT (ON|OFF)",
      "    Protect current client connection from eviction.",
  });
  ReplyHelp(call, "CLIENT", kLines);
}

constexpr uint32_t kClientFlags = kNoScript | kLoading | kStale;

constexpr auto kClientSubcommands = std::to_array<CommandSpec>({
    {.name = "client|getname",
     .arity = 2,
     .flags = kClientFlags,
     .categories = kCategoryConnection,
     .handler = ClientGetName,
     .group = "connection",
     .since = "2.6.9",
     .summary = "Get the current connection name",
     .complexity = "O(1)"},
    {.name = "client|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientHelp,
     .group = "connection",
     .since = "5.0.0",
     .summary = "Show helpful text about the different subcommands",
     .complexity = "O(1)"},
    {.name = "client|id",
     .arity = 2,
     .flags = kClientFlags,
     .categories = kCategoryConnection,
     .handler = ClientId,
     .group = "connection",
     .since = "5.0.0",
     .summary = "Returns the client ID for the current connection",
     .complexity = "O(1)"},
    {.name = "client|info",
     .arity = 2,
     .flags = kClientFlags,
     .categories = kCategoryConnection,
     .handler = ClientInfo,
     .tips = "nondeterministic_output",
     .group = "connection",
     .since = "6.2.0",
     .summary = "Returns information about the current client connection.",
     .complexity = "O(1)"},
    {.name = "client|no-evict",
     .arity = 3,
     .flags = kClientFlags | kAdmin,
     .categories = kCategoryConnection,
     .handler = ClientNoEvict,
     .group = "connection",
     .since = "7.0.0",
     .summary = "Set client eviction mode for the current connection",
     .complexity = "O(1)"},
    {.name = "client|setinfo",
     .arity = 4,
     .flags = kClientFlags,
     .categories = kCategoryConnection,
     .handler = ClientSetInfo,
     .tips = "request_policy:all_nodes response_policy:all_succeeded",
     .group = "connection",
     .since = "7.2.0",
     .summary = "Set client or connection specific info",
     .complexity = "O(1)"},
    {.name = "client|setname",
     .arity = 3,
     .flags = kClientFlags,
     .categories = kCategoryConnection,
     .handler = ClientSetName,
     .group = "connection",
     .since = "2.6.9",
     .summary = "Set the current connection name",
     .complexity = "O(1)"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "client",
     .arity = -2,
     .subcommands = kClientSubcommands,
     .group = "connection",
     .since = "2.4.0",
     .summary = "A container for client connection commands",
     .complexity = "Depends on subcommand."},
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
     .flags = kFast,
     .categories = kCategoryConnection,
     .handler = Ping,
     .tips = "request_policy:all_shards response_policy:all_succeeded",
     .group = "connection",
     .since = "1.0.0",
     .summary = "Ping the server",
     .complexity = "O(1)"},
    {.name = "quit",
     .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy,
     .categories = kCategoryConnection,
     .handler = Quit,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Close the connection",
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
