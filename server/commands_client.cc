// CLIENT: what connections there are, and what is done to them.

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mark.h"
#include "server/command_families.h"
#include "server/command_support.h"
#include "server/gather.h"
#include "server/number.h"
#include "server/text.h"

namespace orrery::server {
namespace {

int64_t IdOf(const Client& client) { return static_cast<int64_t>(client.id); }

void ClientId(CommandCall& call) { call.reply.Integer(IdOf(call.client)); }

void ClientGetName(CommandCall& call) {
  if (call.client.names().name.empty()) {
    call.reply.Null();
  } else {
    call.reply.Bulk(call.client.names().name);
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

// --- what clients there are

// On nothing the error has been replied.
std::optional<ClientClass> ClassOrReply(CommandCall& call, std::string_view type) {
  if (EqualsIgnoreCase(type, "normal")) return ClientClass::kNormal;
  if (EqualsIgnoreCase(type, "pubsub")) return ClientClass::kPubSub;
  for (const std::string_view nobody : {"slave", "replica", "master"}) {
    if (EqualsIgnoreCase(type, nobody)) return ClientClass::kReplica;
  }
  call.reply.Error("ERR Unknown client type '" + std::string(AsCString(type, type.size())) + "'");
  return std::nullopt;
}

void FindAddresses(ServerContext& shard, Client& client) {
  if (client.names().address.empty() && shard.host != nullptr) shard.host->FindAddresses(client);
}

std::string FlagsOf(const Client& client) {
  std::string flags;
  if (client.subscriber != nullptr) flags += 'P';
  if (client.in_multi()) flags += 'x';
  if (client.transaction != nullptr && client.transaction->watched.changed()) flags += 'd';
  if (client.closing) flags += 'c';
  if (client.no_evict) flags += 'e';
  if (client.no_touch) flags += 'T';
  return flags.empty() ? "N" : flags;
}

// Builds " name=value" pairs.
class LineWriter {
 public:
  LineWriter& Field(std::string_view name, std::string_view value) {
    if (!line_.empty()) line_ += ' ';
    line_.append(name).append("=").append(value);
    return *this;
  }
  LineWriter& Field(std::string_view name, int64_t value) {
    return Field(name, std::to_string(value));
  }
  std::string Take() { return std::move(line_) + "\n"; }

 private:
  std::string line_;
};

int64_t SubscriptionsOf(const Client& client, TopicKind kind) {
  return client.subscriber == nullptr ? 0 : static_cast<int64_t>(client.subscriber->count(kind));
}

// In Redis's order; the names of libraries are those of 7.2. What there is nothing of here is 0.
std::string Describe(ServerContext& shard, Client& client) {
  FindAddresses(shard, client);
  const Client::Names& names = client.names();
  const ClientMemory memory = shard.host != nullptr ? shard.host->MemoryOf(client) : ClientMemory{};
  const Nanoseconds now = shard.monotonic_ns;
  LineWriter line;
  line.Field("id", IdOf(client))
      .Field("addr", names.address)
      .Field("laddr", names.local_address)
      .Field("fd", client.descriptor)
      .Field("name", names.name)
      .Field("age", (now - client.connected_ns) / kSecond)
      .Field("idle", (now - client.last_command_ns) / kSecond)
      .Field("flags", FlagsOf(client));
  line.Field("db", 0);
  line.Field("sub", SubscriptionsOf(client, TopicKind::kChannel));
  line.Field("psub", SubscriptionsOf(client, TopicKind::kPattern));
  line.Field("ssub", SubscriptionsOf(client, TopicKind::kShardChannel));
  line.Field("multi",
             client.in_multi() ? static_cast<int64_t>(client.transaction->commands.size()) : -1);
  line.Field("qbuf", static_cast<int64_t>(memory.input_bytes));
  line.Field("qbuf-free", static_cast<int64_t>(memory.input_free_bytes));
  line.Field("argv-mem", static_cast<int64_t>(memory.parser_bytes));
  line.Field("multi-mem", static_cast<int64_t>(memory.transaction_bytes));
  line.Field("rbs", 0).Field("rbp", 0);
  line.Field("obl", 0).Field("oll", 0);
  line.Field("omem", static_cast<int64_t>(memory.output_bytes));
  line.Field("tot-mem", static_cast<int64_t>(memory.total_bytes()));
  line.Field("events", memory.output_bytes > 0 ? "rw" : "r");
  line.Field("cmd", client.last_command != nullptr ? client.last_command->name : "NULL");
  line.Field("user", "default").Field("redir", -1);
  line.Field("resp", static_cast<int64_t>(client.version));
  line.Field("lib-name", names.library_name).Field("lib-ver", names.library_version);
  return line.Take();
}

// Calls visit(client) for each client of the shard, in the order of their ids.
template <typename Visit>
void ForEachClient(ServerContext& shard, Visit visit) {
  ClientList& clients = shard.clients;
  for (Client* client = clients.front(); client != nullptr;) {
    Client* next = clients.Next(*client);  // `visit` may take it out of the list.
    visit(*client);
    client = next;
  }
}

void ClientInfo(CommandCall& call) { call.reply.Verbatim(Describe(call.server, call.client)); }

// The ids at the end of CLIENT LIST ID; on nothing the error has been replied.
std::optional<std::vector<int64_t>> IdsOrReply(CommandCall& call) {
  std::vector<int64_t> ids;
  for (size_t i = 3; i < call.size(); ++i) {
    const std::optional<int64_t> id = IntegerOrReply(call, i, "ERR Invalid client ID");
    if (!id) return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

// All clients, those of a type, or those with these ids, which may be asked for in any order and
// repeatedly.
class ListGather final : public Gather {
 public:
  ListGather(unsigned shards, std::optional<std::vector<int64_t>> ids,
             std::optional<ClientClass> type)
      : lines_(shards), ids_(std::move(ids)), type_(type) {}

  void RunAt(ServerContext& shard) override {
    ForEachClient(shard, [&](Client& client) {
      if (type_ && client.client_class() != *type_) return;
      if (ids_ && std::ranges::find(*ids_, IdOf(client)) == ids_->end()) return;
      lines_[shard.shard].push_back({.id = IdOf(client), .text = Describe(shard, client)});
    });
  }

  void Reply(ServerContext&, Client&, ReplyWriter& reply) override {
    std::vector<const Line*> lines;
    lines_.ForEach([&](const std::vector<Line>& found) {
      for (const Line& line : found) lines.push_back(&line);
    });
    std::ranges::sort(lines, {}, &Line::id);
    std::string text;
    if (!ids_) {
      for (const Line* line : lines) text += line->text;
      reply.Verbatim(text);
      return;
    }
    for (const int64_t id : *ids_) {
      const auto found = std::ranges::lower_bound(lines, id, {}, &Line::id);
      if (found != lines.end() && (*found)->id == id) text += (*found)->text;
    }
    reply.Verbatim(text);
  }

 private:
  struct Line {
    int64_t id;
    std::string text;
  };
  PerShard<std::vector<Line>> lines_;
  const std::optional<std::vector<int64_t>> ids_;
  const std::optional<ClientClass> type_;
};

void ClientListAll(CommandCall& call) {
  std::optional<ClientClass> type;
  std::optional<std::vector<int64_t>> ids;
  if (call.size() == 4 && EqualsIgnoreCase(call[2], "type")) {
    type = ClassOrReply(call, call[3]);
    if (!type) return;
  } else if (call.size() > 3 && EqualsIgnoreCase(call[2], "id")) {
    ids = IdsOrReply(call);
    if (!ids) return;
  } else if (call.size() != 2) {
    call.reply.Error(kSyntaxError);
    return;
  }
  RunGather<ListGather>(call, GatherOrder::kAtOnce, std::move(ids), type);
}

// --- KILL

// What a client must be, to be killed. What is not given does not matter.
struct KillFilter {
  std::optional<std::string> address;
  std::optional<std::string> local_address;
  std::optional<int64_t> id;
  std::optional<ClientClass> type;
  bool skip_me = true;
};

// One option and its value; false when the error has been replied.
bool KillOptionOrReply(CommandCall& call, size_t index, KillFilter& filter) {
  const std::string_view option = call[index];
  const std::string_view value = call[index + 1];
  if (EqualsIgnoreCase(option, "id")) {
    constexpr std::string_view kError = "ERR client-id should be greater than 0";
    filter.id = IntegerOrReply(call, index + 1, kError);
    if (!filter.id) return false;
    if (*filter.id > 0) return true;
    call.reply.Error(kError);
    return false;
  }
  if (EqualsIgnoreCase(option, "type")) {
    filter.type = ClassOrReply(call, value);
    return filter.type.has_value();
  }
  if (EqualsIgnoreCase(option, "addr")) {
    filter.address = value;
    return true;
  }
  if (EqualsIgnoreCase(option, "laddr")) {
    filter.local_address = value;
    return true;
  }
  if (EqualsIgnoreCase(option, "user")) {
    if (value == "default") return true;
    call.reply.Error("ERR No such user '" + std::string(AsCString(value, value.size())) + "'");
    return false;
  }
  if (EqualsIgnoreCase(option, "skipme")) {
    filter.skip_me = EqualsIgnoreCase(value, "yes");
    if (filter.skip_me || EqualsIgnoreCase(value, "no")) return true;
  }
  call.reply.Error(kSyntaxError);
  return false;
}

// On nothing the error has been replied.
std::optional<KillFilter> KillFilterOrReply(CommandCall& call) {
  KillFilter filter;
  if (call.size() == 3) {
    // The old form, by which a client may kill itself.
    filter.address = call[2];
    filter.skip_me = false;
    return filter;
  }
  for (size_t i = 2; i < call.size(); i += 2) {
    if (i + 1 == call.size()) {
      call.reply.Error(kSyntaxError);
      return std::nullopt;
    }
    if (!KillOptionOrReply(call, i, filter)) return std::nullopt;
  }
  return filter;
}

// `asker` is the id of who kills.
bool Matches(ServerContext& shard, const KillFilter& filter, Client& client, uint64_t asker) {
  if (filter.address || filter.local_address) FindAddresses(shard, client);
  // A client whose peer has gone has no address, and "" is nobody's.
  const Client::Names& names = client.names();
  if ((filter.address || filter.local_address) && names.address.empty()) return false;
  if (filter.address && *filter.address != names.address) return false;
  if (filter.local_address && *filter.local_address != names.local_address) return false;
  if (filter.id && static_cast<uint64_t>(*filter.id) != client.id) return false;
  if (filter.type && client.client_class() != *filter.type) return false;
  return !(filter.skip_me && client.id == asker);
}

class KillGather final : public Gather {
 public:
  // `counts`: the reply is how many there were; else, whether there was one.
  KillGather(unsigned shards, KillFilter filter, uint64_t asker, bool counts)
      : killed_(shards), filter_(std::move(filter)), asker_(asker), counts_(counts) {}

  void RunAt(ServerContext& shard) override {
    ForEachClient(shard, [&](Client& client) {
      if (!Matches(shard, filter_, client, asker_)) return;
      ++killed_[shard.shard];
      if (client.id == asker_) {
        kills_asker_ = true;  // After the reply.
      } else {
        shard.host->Kill(client);
      }
    });
  }

  void Reply(ServerContext&, Client& client, ReplyWriter& reply) override {
    int64_t killed = 0;
    killed_.ForEach([&](int64_t each) { killed += each; });
    ORRERY_MARK_IF(killed == 0, "client.kill-finds-nobody");
    if (counts_) {
      reply.Integer(killed);
    } else if (killed > 0) {
      reply.Ok();
    } else {
      reply.Error("ERR No such client");
    }
    if (kills_asker_) client.closing = true;
  }

 private:
  PerShard<int64_t> killed_;
  const KillFilter filter_;
  const uint64_t asker_;
  const bool counts_;
  bool kills_asker_ = false;  // The home's.
};

void ClientKill(CommandCall& call) {
  std::optional<KillFilter> filter = KillFilterOrReply(call);
  if (!filter) return;
  RunGather<KillGather>(call, GatherOrder::kAtOnce, *std::move(filter), call.client.id,
                        call.size() > 3);
}

// --- PAUSE

// The last millisecond of the pause. It ends by the monotonic clock, unlike that of Redis, so that
// nobody who sets the wall clock back holds all clients up. On nothing the error has been replied.
std::optional<int64_t> PauseEndOrReply(CommandCall& call) {
  const std::optional<int64_t> timeout =
      IntegerOrReply(call, 2, "ERR timeout is not an integer or out of range");
  if (!timeout) return std::nullopt;
  if (*timeout < 0) {
    call.reply.Error("ERR timeout is negative");
    return std::nullopt;
  }
  if (*timeout == 0) return Pause::kNone;
  int64_t end_ms = 0;
  int64_t unix_end_ms = 0;  // Redis's bound.
  if (__builtin_add_overflow(*timeout, call.server.monotonic_ms(), &end_ms) ||
      __builtin_add_overflow(*timeout, call.server.now_ms, &unix_end_ms)) {
    call.reply.Error("ERR timeout is out of range");
    return std::nullopt;
  }
  return end_ms;
}

class PauseGather final : public Gather {
 public:
  PauseGather(unsigned, Pause pause) : pause_(pause) {}
  void RunAt(ServerContext& shard) override {
    // As in Redis, a pause that goes on is neither shortened nor made milder.
    Pause& pause = shard.pause;
    if (pause.end_ms < shard.monotonic_ms()) pause = {};
    pause.end_ms = std::max(pause.end_ms, pause_.end_ms);
    pause.writes_only = pause.writes_only && pause_.writes_only;
  }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override { reply.Ok(); }

 private:
  const Pause pause_;
};

void ClientPause(CommandCall& call) {
  if (call.size() > 4) {
    call.reply.Error("ERR unknown subcommand or wrong number of arguments for '" +
                     std::string(call[1]) + "'. Try CLIENT HELP.");
    return;
  }
  const bool writes_only = call.size() == 4 && EqualsIgnoreCase(call[3], "write");
  if (call.size() == 4 && !writes_only && !EqualsIgnoreCase(call[3], "all")) {
    call.reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    return;
  }
  const std::optional<int64_t> end_ms = PauseEndOrReply(call);
  if (!end_ms) return;
  RunGather<PauseGather>(call, GatherOrder::kOneByOne,
                         Pause{.end_ms = *end_ms, .writes_only = writes_only});
}

class UnpauseGather final : public Gather {
 public:
  explicit UnpauseGather(unsigned) {}
  void RunAt(ServerContext& shard) override { shard.pause = {}; }
  void Reply(ServerContext&, Client&, ReplyWriter& reply) override { reply.Ok(); }
};

void ClientUnpause(CommandCall& call) { RunGather<UnpauseGather>(call, GatherOrder::kOneByOne); }

// --- modes

void ClientReply(CommandCall& call) {
  Client& client = call.client;
  if (EqualsIgnoreCase(call[2], "on")) {
    client.reply_off = client.skip_reply = false;
    call.reply.set_muted(false);
    call.reply.Ok();
  } else if (EqualsIgnoreCase(call[2], "off")) {
    client.reply_off = true;
  } else if (EqualsIgnoreCase(call[2], "skip")) {
    if (!client.reply_off) client.skip_next_reply = true;
  } else {
    call.reply.Error(kSyntaxError);
  }
}

void SetMode(CommandCall& call, bool& mode) {
  const bool on = EqualsIgnoreCase(call[2], "on");
  if (!on && !EqualsIgnoreCase(call[2], "off")) {
    call.reply.Error(kSyntaxError);
    return;
  }
  mode = on;
  call.reply.Ok();
}

// Shown, and otherwise without effect: no client is ever evicted.
void ClientNoEvict(CommandCall& call) { SetMode(call, call.client.no_evict); }
void ClientNoTouch(CommandCall& call) { SetMode(call, call.client.no_touch); }

void ClientHelp(CommandCall& call) {
  static constexpr auto kLines = std::to_array<std::string_view>({
      "GETNAME",
      "    Return the name of the current connection.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current client connection.",
      "KILL <ip:port>",
      "    Kill connection made from <ip:port>.",
      "KILL <option> <value> [<option> <value> [...]]",
      "    Kill connections. Options are:",
      "    * ADDR (<ip:port>|<unixsocket>:0)",
      "      Kill connections made from the specified address",
      "    * LADDR (<ip:port>|<unixsocket>:0)",
      "      Kill connections made to specified local address",
      "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
      "      Kill connections by type.",
      "    * USER <username>",
      "      Kill connections authenticated by <username>.",
      "    * SKIPME (YES|NO)",
      "      Skip killing current connection (default: yes).",
      "LIST [options ...]",
      "    Return information about client connections. Options:",
      "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
      "      Return clients of specified type.",
      "UNPAUSE",
      "    Stop the current client pause, resuming traffic.",
      "PAUSE <timeout> [WRITE|ALL]",
      "    Suspend all, or just write, clients for <timeout> milliseconds.",
      "REPLY (ON|OFF|SKIP)",
      "    Control the replies sent to the current connection.",
      "SETINFO <option> <value>",
      "    Set client meta attr. Options are:",
      "    * LIB-NAME: the client lib name.",
      "    * LIB-VER: the client lib version.",
      "SETNAME <name>",
      "    Assign the name <name> to the current connection.",
      "NO-EVICT (ON|OFF)",
      "    Protect current client connection from eviction.",
      "NO-TOUCH (ON|OFF)",
      "    Do not count what the current connection reads as used.",
  });
  ReplyHelp(call, "CLIENT", kLines);
}

constexpr auto kSubcommands = std::to_array<CommandSpec>({
    {.name = "client|getname",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
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
     .flags = kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientId,
     .group = "connection",
     .since = "5.0.0",
     .summary = "Returns the client ID for the current connection",
     .complexity = "O(1)"},
    {.name = "client|info",
     .arity = 2,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientInfo,
     .tips = "nondeterministic_output",
     .group = "connection",
     .since = "6.2.0",
     .summary = "Returns information about the current client connection.",
     .complexity = "O(1)"},
    {.name = "client|kill",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .on_all_shards = true,
     .handler = ClientKill,
     .group = "connection",
     .since = "2.4.0",
     .summary = "Kill the connection of a client",
     .complexity = "O(N) where N is the number of client connections"},
    {.name = "client|list",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .on_all_shards = true,
     .handler = ClientListAll,
     .tips = "nondeterministic_output",
     .group = "connection",
     .since = "2.4.0",
     .summary = "Get the list of client connections",
     .complexity = "O(N) where N is the number of client connections"},
    {.name = "client|no-evict",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientNoEvict,
     .group = "connection",
     .since = "7.0.0",
     .summary = "Set client eviction mode for the current connection",
     .complexity = "O(1)"},
    {.name = "client|no-touch",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientNoTouch,
     .group = "connection",
     .since = "7.2.0",
     .summary = "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
     .complexity = "O(1)"},
    {.name = "client|pause",
     .arity = -3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .on_all_shards = true,
     .handler = ClientPause,
     .group = "connection",
     .since = "2.9.50",
     .summary = "Stop processing commands from clients for some time",
     .complexity = "O(1)"},
    {.name = "client|reply",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientReply,
     .group = "connection",
     .since = "3.2.0",
     .summary = "Instruct the server whether to reply to commands",
     .complexity = "O(1)"},
    {.name = "client|setinfo",
     .arity = 4,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientSetInfo,
     .tips = "request_policy:all_nodes response_policy:all_succeeded",
     .group = "connection",
     .since = "7.2.0",
     .summary = "Set client or connection specific info",
     .complexity = "O(1)"},
    {.name = "client|setname",
     .arity = 3,
     .flags = kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .handler = ClientSetName,
     .group = "connection",
     .since = "2.6.9",
     .summary = "Set the current connection name",
     .complexity = "O(1)"},
    {.name = "client|unpause",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kCategoryConnection,
     .on_all_shards = true,
     .handler = ClientUnpause,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Resume processing of clients that were paused",
     .complexity = "O(N) Where N is the number of paused clients"},
});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {.name = "client",
     .arity = -2,
     .subcommands = kSubcommands,
     .group = "connection",
     .since = "2.4.0",
     .summary = "A container for client connection commands",
     .complexity = "Depends on subcommand."},
});

}  // namespace

std::span<const CommandSpec> ClientCommands() { return kCommands; }

}  // namespace orrery::server
