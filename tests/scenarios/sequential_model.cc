#include "tests/scenarios/sequential_model.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "tests/scenarios/resp.h"
#include "tests/scenarios/sequential_model_support.h"

namespace orrery::scenarios {
namespace {

bool IsOneOf(const std::vector<std::string>& choices, std::string_view reply) {
  return std::find(choices.begin(), choices.end(), reply) != choices.end();
}

bool IsInAnyOrder(std::vector<std::string> choices, std::string_view reply) {
  auto elements = ElementsOf(reply);
  if (!elements) return false;
  std::sort(elements->begin(), elements->end());
  std::sort(choices.begin(), choices.end());
  return *elements == choices;
}

bool IsScan(const Expectation& expected, std::string_view reply) {
  const auto parts = ElementsOf(reply);
  if (!parts || parts->size() != 2 || !(*parts)[0].starts_with('$')) return false;
  if (expected.whole) {
    return (*parts)[0] == "$1\r\n0\r\n" && IsInAnyOrder(expected.choices, (*parts)[1]);
  }
  const auto keys = ElementsOf((*parts)[1]);
  return keys && std::all_of(keys->begin(), keys->end(), [&expected](const std::string& key) {
           return IsOneOf(expected.choices, key);
         });
}

bool IsArrayOf(const std::vector<Expectation>& expected, std::string_view reply) {
  const auto elements = ElementsOf(reply);
  if (!elements || elements->size() != expected.size()) return false;
  for (size_t index = 0; index < expected.size(); ++index) {
    if (!expected[index].Matches((*elements)[index])) return false;
  }
  return true;
}

}  // namespace

bool Expectation::Matches(std::string_view reply) const {
  switch (kind) {
    case Kind::kExact:
      return reply == bytes;
    case Kind::kPrefix:
      return reply.starts_with(bytes);
    case Kind::kConnectionId: {
      const auto number = IntegerIn(reply);
      return number.has_value() && *number > 0;
    }
    case Kind::kInteger: {
      const auto number = IntegerIn(reply);
      return number.has_value() && *number >= low && *number <= high;
    }
    case Kind::kAnyOrder:
      return IsInAnyOrder(choices, reply);
    case Kind::kScan:
      return IsScan(*this, reply);
    case Kind::kOneOf:
      return IsOneOf(choices, reply);
    case Kind::kArray:
      return IsArrayOf(elements, reply);
    case Kind::kNone:
      return false;
  }
  return false;
}

std::string Expectation::Describe() const {
  switch (kind) {
    case Kind::kExact:
      return Printable(bytes);
    case Kind::kPrefix:
      return "a reply that begins with " + Printable(bytes);
    case Kind::kConnectionId:
      return "the connection's id";
    case Kind::kInteger:
      return "an integer from " + std::to_string(low) + " to " + std::to_string(high);
    case Kind::kAnyOrder:
      return "an array of the " + std::to_string(choices.size()) + " keys, in any order";
    case Kind::kScan:
      return std::string("a cursor and ") + (whole ? "all" : "some") + " of the " +
             std::to_string(choices.size()) + " keys";
    case Kind::kOneOf:
      return choices.empty() ? "nothing" : "one of " + Printable(choices.front()) + "...";
    case Kind::kArray: {
      std::string text = "an array of " + std::to_string(elements.size()) + ":";
      for (const Expectation& element : elements) text += " (" + element.Describe() + ")";
      return text;
    }
    case Kind::kNone:
      return "no reply";
  }
  return "?";
}

// How many arguments as Redis counts them, and whether it writes.
const std::vector<SequentialModel::Command>& SequentialModel::Commands() {
  static const auto* commands = new std::vector<Command>{
      {"ping", -1, &SequentialModel::Ping},
      {"echo", 2, &SequentialModel::Echo},
      {"quit", -1, &SequentialModel::Quit},
      {"reset", 1, &SequentialModel::Reset},
      {"multi", 1, &SequentialModel::Multi},
      {"exec", 1, &SequentialModel::Exec},
      {"discard", 1, &SequentialModel::Discard},
      {"watch", -2, &SequentialModel::Watch},
      {"unwatch", 1, &SequentialModel::Unwatch},
      {"select", 2, &SequentialModel::Select},
      {"auth", -2, &SequentialModel::Auth},
      {"hello", -1, &SequentialModel::Hello},
      {"command", -1, &SequentialModel::CommandDetails, false, &CommandCommands},
      {"info", -1, &SequentialModel::Info},
      {"client", -2, nullptr, false, &ClientCommands},
      {"config", -2, nullptr, false, &ConfigCommands},
      {"slowlog", -2, nullptr, false, &SlowLogCommands},
      {"shutdown", -1, &SequentialModel::Shutdown},
      {"time", 1, &SequentialModel::Time},
      {"swapdb", 3, &SequentialModel::SwapDatabases, true},
      {"debug", -2, &SequentialModel::Debug},
      {"lolwut", -1, &SequentialModel::Lolwut},
      {"dbsize", 1, &SequentialModel::DatabaseSize},
      {"flushall", -1, &SequentialModel::FlushAll, true},
      {"flushdb", -1, &SequentialModel::FlushAll, true},
      {"get", 2, &SequentialModel::Get},
      {"set", -3, &SequentialModel::Set, true},
      {"setnx", 3, &SequentialModel::SetIfAbsent, true},
      {"setex", 4, &SequentialModel::SetWithTime, true},
      {"psetex", 4, &SequentialModel::SetWithTime, true},
      {"getset", 3, &SequentialModel::GetAndSet, true},
      {"getdel", 2, &SequentialModel::GetAndDelete, true},
      {"getex", -2, &SequentialModel::GetAndExpire, true},
      {"strlen", 2, &SequentialModel::Length},
      {"getrange", 4, &SequentialModel::GetRange},
      {"substr", 4, &SequentialModel::GetRange},
      {"setrange", 4, &SequentialModel::SetRange, true},
      {"append", 3, &SequentialModel::Append, true},
      {"mget", -2, &SequentialModel::MultiGet},
      {"mset", -3, &SequentialModel::MultiSet, true},
      {"msetnx", -3, &SequentialModel::MultiSetIfAbsent, true},
      {"incr", 2, &SequentialModel::Increment, true},
      {"decr", 2, &SequentialModel::Decrement, true},
      {"incrby", 3, &SequentialModel::IncrementBy, true},
      {"decrby", 3, &SequentialModel::DecrementBy, true},
      {"incrbyfloat", 3, &SequentialModel::IncrementByFloat, true},
      {"lcs", -3, &SequentialModel::CommonSubsequence},
      {"setbit", 4, &SequentialModel::SetBit, true},
      {"getbit", 3, &SequentialModel::GetBit},
      {"bitcount", -2, &SequentialModel::CountBits},
      {"bitpos", -3, &SequentialModel::FindBit},
      {"bitop", -4, &SequentialModel::CombineBits, true},
      {"bitfield", -2, &SequentialModel::BitField, true},
      {"bitfield_ro", -2, &SequentialModel::BitField},
      {"del", -2, &SequentialModel::Delete, true},
      {"unlink", -2, &SequentialModel::Delete, true},
      {"exists", -2, &SequentialModel::Exists},
      {"touch", -2, &SequentialModel::Touch},
      {"type", 2, &SequentialModel::Type},
      {"expire", -3, &SequentialModel::Expire, true},
      {"pexpire", -3, &SequentialModel::Expire, true},
      {"expireat", -3, &SequentialModel::Expire, true},
      {"pexpireat", -3, &SequentialModel::Expire, true},
      {"ttl", 2, &SequentialModel::ExpiryOf},
      {"pttl", 2, &SequentialModel::ExpiryOf},
      {"expiretime", 2, &SequentialModel::ExpiryOf},
      {"pexpiretime", 2, &SequentialModel::ExpiryOf},
      {"persist", 2, &SequentialModel::Persist, true},
      {"keys", 2, &SequentialModel::Keys},
      {"scan", -2, &SequentialModel::Scan},
      {"randomkey", 1, &SequentialModel::RandomKey},
      {"rename", 3, &SequentialModel::Rename, true},
      {"renamenx", 3, &SequentialModel::Rename, true},
      {"copy", -3, &SequentialModel::Copy, true},
      {"object", -2, nullptr, false, &ObjectCommands},
      {"dump", 2, &SequentialModel::Dump},
      {"restore", -4, &SequentialModel::Restore, true},
      {"subscribe", -2, &SequentialModel::Subscribe},
      {"psubscribe", -2, &SequentialModel::Subscribe},
      {"ssubscribe", -2, &SequentialModel::Subscribe},
      {"unsubscribe", -1, &SequentialModel::Unsubscribe},
      {"punsubscribe", -1, &SequentialModel::Unsubscribe},
      {"sunsubscribe", -1, &SequentialModel::Unsubscribe},
      {"publish", 3, &SequentialModel::Publish, true},
      {"spublish", 3, &SequentialModel::Publish, true},
      {"pubsub", -2, nullptr, false, &PubSubCommands},
  };
  return *commands;
}

const std::vector<SequentialModel::Command>& SequentialModel::CommandCommands() {
  static const auto* commands = new std::vector<Command>{
      {"count", 2, &SequentialModel::CommandCount},
      {"docs", -2, &SequentialModel::CommandDetails},
      {"getkeys", -4, &SequentialModel::CommandDetails},
      {"getkeysandflags", -4, &SequentialModel::CommandDetails},
      {"info", -2, &SequentialModel::CommandDetails},
      {"list", -2, &SequentialModel::CommandDetails},
  };
  return *commands;
}

const std::vector<SequentialModel::Command>& SequentialModel::ClientCommands() {
  static const auto* commands = new std::vector<Command>{
      {"id", 2, &SequentialModel::ClientId},
      {"info", 2, &SequentialModel::ClientInfo},
      {"list", -2, &SequentialModel::ClientList},
      {"setname", 3, &SequentialModel::ClientSetName},
      {"getname", 2, &SequentialModel::ClientGetName},
      {"setinfo", 4, &SequentialModel::ClientSetInfo},
      {"kill", -3, &SequentialModel::ClientKill},
      {"pause", -3, &SequentialModel::ClientPause},
      {"unpause", 2, &SequentialModel::ClientUnpause},
      {"reply", 3, &SequentialModel::ClientReply},
      {"no-evict", 3, &SequentialModel::ClientNoEvict},
      {"no-touch", 3, &SequentialModel::ClientNoTouch},
  };
  return *commands;
}

const std::vector<SequentialModel::Command>& SequentialModel::ObjectCommands() {
  static const auto* commands = new std::vector<Command>{
      {"encoding", 3, &SequentialModel::ObjectEncoding},
      {"refcount", 3, &SequentialModel::ObjectReferences},
      {"idletime", 3, &SequentialModel::ObjectIdleTime},
      {"freq", 3, &SequentialModel::ObjectFrequency},
      {"help", 2, &SequentialModel::ObjectHelp},
  };
  return *commands;
}

const std::vector<SequentialModel::Command>& SequentialModel::ConfigCommands() {
  static const auto* commands = new std::vector<Command>{
      {"get", -3, &SequentialModel::ConfigGet},
      {"set", -4, &SequentialModel::ConfigSet},
      {"resetstat", 2, &SequentialModel::ConfigResetStatistics},
      {"rewrite", 2, &SequentialModel::ConfigRewrite},
  };
  return *commands;
}

Expectation SequentialModel::Execute(Connection& connection,
                                     const std::vector<std::string>& arguments, Moment now) {
  ORRERY_CHECK(!arguments.empty());
  Call call{.connection = connection,
            .arguments = arguments,
            .now_ms = now.wall_ms,
            .monotonic_ms = now.monotonic_ms};
  twin_.reset();
  Expectation expectation = ExecuteOrQueue(call);
  if (connection.replies_off || connection.skips) expectation.kind = Expectation::Kind::kNone;
  connection.skips = std::exchange(connection.skips_next, false);
  return expectation;
}

bool SequentialModel::MustWait(const Connection& connection,
                               const std::vector<std::string>& arguments, Moment now) const {
  if (now.monotonic_ms > paused_until_ms_) return false;
  if (!pause_writes_only_ || Writes(arguments)) return true;
  return connection.queues && arguments.size() == 1 && Lower(arguments[0]) == "exec" &&
         std::ranges::any_of(connection.queued, [](const auto& queued) { return Writes(queued); });
}

bool SequentialModel::Writes(const std::vector<std::string>& arguments) {
  const Command* command = FindCommand(Commands(), arguments[0]);
  return command != nullptr && command->writes && TakesArguments(*command, arguments.size());
}

bool SequentialModel::TakesArguments(const Command& command, size_t arguments) {
  const auto count = static_cast<int>(arguments);
  return command.arity >= 0 ? count == command.arity : count >= -command.arity;
}

const SequentialModel::Command* SequentialModel::FindCommand(const std::vector<Command>& commands,
                                                             std::string_view name) {
  const std::string lower = Lower(name);
  const auto found =
      std::find_if(commands.begin(), commands.end(),
                   [&lower](const Command& command) { return command.name == lower; });
  return found == commands.end() ? nullptr : &*found;
}

std::expected<SequentialModel::Named, Expectation> SequentialModel::Resolve(
    const std::vector<std::string>& arguments) {
  const Command* command = FindCommand(Commands(), arguments[0]);
  if (command == nullptr) return std::unexpected(UnknownCommand(arguments));
  std::string name(command->name);
  if (command->subcommands != nullptr && arguments.size() > 1) {
    command = FindCommand(command->subcommands(), arguments[1]);
    if (command == nullptr) {
      return std::unexpected(Error("ERR unknown subcommand '" +
                                   std::string(Clipped(arguments[1], 128)) + "'. Try " +
                                   Upper(name) + " HELP."));
    }
    name += "|" + std::string(command->name);
  }
  if (!TakesArguments(*command, arguments.size())) return std::unexpected(WrongArity(name));
  return Named{.command = command, .name = std::move(name)};
}

SequentialModel::Value* SequentialModel::Peek(const std::string& key, int64_t now_ms) {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  if (found->second.expires_at_ms.has_value() && now_ms > *found->second.expires_at_ms) {
    return nullptr;
  }
  return &found->second;
}

void SequentialModel::Forget(const std::string& key, int64_t expires_at_ms) {
  if (twin_ == key) {
    twin_.reset();
    return;
  }
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.expires_at_ms != expires_at_ms) return;
  values_.erase(found);
  Change(key);
}

bool SequentialModel::HasExpired(const std::string& key, int64_t now_ms) const {
  const auto found = values_.find(key);
  return found != values_.end() && found->second.expires_at_ms.has_value() &&
         now_ms > *found->second.expires_at_ms;
}

uint64_t SequentialModel::Expired(int64_t now_ms) const {
  const auto expired = [now_ms](const auto& entry) {
    return entry.second.expires_at_ms.has_value() && now_ms > *entry.second.expires_at_ms;
  };
  return static_cast<uint64_t>(std::count_if(values_.begin(), values_.end(), expired));
}

SequentialModel::Value* SequentialModel::Find(Call& call, const std::string& key) {
  Value* value = Peek(key, call.now_ms);
  if (value != nullptr && call.connection.touches) value->used_at_s = call.now_s();
  return value;
}

SequentialModel::Value& SequentialModel::Assign(Call& call, const std::string& key,
                                                std::string bytes,
                                                std::optional<int64_t> expires_at_ms) {
  const auto before = values_.find(key);
  if (before != values_.end() && expires_at_ms.has_value() && call.now_ms > *expires_at_ms &&
      before->second.expires_at_ms == expires_at_ms) {
    twin_ = key;
  }
  Change(key);
  Value& value = values_[key];
  value = {.bytes = std::move(bytes),
           .expires_at_ms = expires_at_ms,
           .encoding = Encoding::kNatural,
           .used_at_s = call.now_s()};
  return value;
}

Expectation SequentialModel::Ping(Call& call) {
  if (call.count() > 2) return WrongArity("ping");
  if (OnlyListens(call.connection)) {
    return Exact("*2\r\n" + BulkBytes("pong") + BulkBytes(call.count() == 2 ? call.at(1) : ""));
  }
  return call.count() == 2 ? Bulk(call.at(1)) : Exact("+PONG\r\n");
}

Expectation SequentialModel::Echo(Call& call) { return Bulk(call.at(1)); }

Expectation SequentialModel::Quit(Call& call) {
  call.connection.quit = true;
  Leave(call.connection);
  return Ok();
}

Expectation SequentialModel::Select(Call& call) {
  const auto number = StrictInteger(call.at(1));
  if (!number) return Error(kNotAnInteger);
  if (*number > INT32_MAX || *number < INT32_MIN) {
    return Error("ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  return *number == 0 ? Ok() : Error("ERR DB index is out of range");
}

std::optional<Expectation> SequentialModel::Prohibition(const Call& call,
                                                        std::string_view name) const {
  static constexpr auto kOpenToAll =
      std::to_array<std::string_view>({"auth", "hello", "quit", "reset"});
  static constexpr auto kThatGrow = std::to_array<std::string_view>(
      {"append", "bitfield", "bitop", "copy", "decr", "decrby", "getset", "incr", "incrby",
       "incrbyfloat", "mset", "msetnx", "psetex", "restore", "set", "setbit", "setex", "setnx",
       "setrange"});
  if (!call.connection.authenticated && has_password() &&
      std::ranges::find(kOpenToAll, name) == kOpenToAll.end()) {
    return Error("NOAUTH Authentication required.");
  }
  const auto grows = [](std::string_view command) {
    return std::ranges::find(kThatGrow, command) != kThatGrow.end();
  };
  const auto& queued = call.connection.queued;
  const bool runs_what_grows =
      name == "exec" && std::ranges::any_of(queued, [&](const auto& arguments) {
        return grows(Lower(arguments[0]));
      });
  const bool is_queued = call.connection.queues && !RunsInMulti(name);
  if (out_of_memory_ && (grows(name) || runs_what_grows || is_queued)) {
    return Error("OOM command not allowed when used memory > 'maxmemory'.");
  }
  return std::nullopt;
}

bool SequentialModel::Authenticates(const std::string& user, const std::string& password) const {
  return user == "default" && (!has_password() || password == password_);
}

constexpr char kWrongPassword[] = "WRONGPASS invalid username-password pair or user is disabled.";

Expectation SequentialModel::Auth(Call& call) {
  if (call.count() > 3) return Error(kSyntaxError);
  if (call.count() == 2 && !has_password()) {
    return Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  const std::string user = call.count() == 3 ? call.at(1) : "default";
  if (!Authenticates(user, call.at(call.count() - 1))) return Error(kWrongPassword);
  call.connection.authenticated = true;
  return Ok();
}

Expectation SequentialModel::Hello(Call& call) {
  int protocol = call.connection.protocol;
  if (call.count() >= 2) {
    const auto number = StrictInteger(call.at(1));
    if (!number) return Error("ERR Protocol version is not an integer or out of range");
    if (*number < 2 || *number > 3) return Error("NOPROTO unsupported protocol version");
    protocol = static_cast<int>(*number);
  }
  for (size_t index = 2; index < call.count(); ++index) {
    const std::string option = Upper(call.at(index));
    if (option == "AUTH" && index + 2 < call.count()) {
      if (!Authenticates(call.at(index + 1), call.at(index + 2))) return Error(kWrongPassword);
      call.connection.authenticated = true;
      index += 2;
      continue;
    }
    if (option != "SETNAME" || index + 1 >= call.count()) {
      return Error("ERR Syntax error in HELLO option '" +
                   std::string(Clipped(call.at(index), SIZE_MAX)) + "'");
    }
    const std::string& name = call.at(++index);
    if (!std::all_of(name.begin(), name.end(), IsNameByte)) {
      return Error("ERR Client names cannot contain spaces, newlines or special characters.");
    }
    call.connection.name = name;
  }
  if (!call.connection.authenticated) {
    return Prefix("-NOAUTH HELLO must be called with the client already authenticated, ");
  }
  call.connection.protocol = protocol;
  return Prefix(protocol == 3 ? "%7\r\n$6\r\nserver\r\n" : "*14\r\n$6\r\nserver\r\n");
}

Expectation SequentialModel::Reset(Call& call) {
  Leave(call.connection);
  Connection fresh;
  fresh.skips = call.connection.skips;
  fresh.number = call.connection.number;
  fresh.authenticated = !has_password();
  call.connection = fresh;
  return Exact("+RESET\r\n");
}

// What the table of commands says has its own tests.
Expectation SequentialModel::CommandCount(Call&) {
  return {.kind = Expectation::Kind::kInteger, .bytes = {}, .low = 1, .high = 10'000};
}

Expectation SequentialModel::CommandDetails(Call& call) {
  return Prefix(call.count() == 1 ? "*" : "");
}

Expectation SequentialModel::Time(Call&) { return Prefix("*2\r\n$10\r\n"); }

Expectation SequentialModel::SwapDatabases(Call& call) {
  const auto first = StrictInteger(call.at(1));
  if (!first || !std::in_range<int>(*first)) return Error("ERR invalid first DB index");
  const auto second = StrictInteger(call.at(2));
  if (!second || !std::in_range<int>(*second)) return Error("ERR invalid second DB index");
  return *first == 0 && *second == 0 ? Ok() : Error("ERR DB index is out of range");
}

Expectation SequentialModel::Debug(Call& call) {
  call.connection.refused = call.connection.queues;
  return Prefix("-ERR DEBUG command not allowed. ");
}

Expectation SequentialModel::Lolwut(Call& call) {
  if (call.count() >= 3 && Lower(call.at(1)) == "version" && !StrictInteger(call.at(2))) {
    return Error(kNotAnInteger);
  }
  return Prefix(call.connection.protocol == 3 ? "=" : "$");
}

Expectation SequentialModel::ConfigGet(Call& call) {
  return Prefix(call.connection.protocol == 3 ? "%" : "*");
}

Expectation SequentialModel::ConfigSet(Call& call) {
  if (call.count() % 2 != 0) return Error(kSyntaxError);
  const std::string name = Lower(call.at(2));
  if (name == "maxclients") {
    if (call.at(3) != "10000") return Prefix("-ERR CONFIG SET failed (possibly related to ");
    clients_max_ = 10'000;
    return Ok();
  }
  return Prefix("-ERR ");
}

const std::vector<SequentialModel::Command>& SequentialModel::SlowLogCommands() {
  static const auto* commands = new std::vector<Command>{
      {"get", -2, &SequentialModel::SlowLogGet},
      {"len", 2, &SequentialModel::SlowLogLength},
      {"reset", 2, &SequentialModel::SlowLogReset},
  };
  return *commands;
}

// In a world whose clock stands still while the server works, no command is slow.
Expectation SequentialModel::SlowLogGet(Call& call) {
  if (call.count() > 3) {
    return Error("ERR unknown subcommand or wrong number of arguments for '" + call.at(1) +
                 "'. Try SLOWLOG HELP.");
  }
  const auto count = StrictInteger(call.count() == 3 ? call.at(2) : "10");
  if (!count || *count < -1) return Error("ERR count should be greater than or equal to -1");
  return Exact("*0\r\n");
}

Expectation SequentialModel::SlowLogLength(Call&) { return Exact(":0\r\n"); }

Expectation SequentialModel::SlowLogReset(Call&) { return Ok(); }

Expectation SequentialModel::Shutdown(Call& call) {
  bool aborts = false;
  for (size_t index = 1; index < call.count(); ++index) {
    const std::string option = Upper(call.at(index));
    if (option == "ABORT") {
      aborts = true;
    } else if (option != "NOSAVE" && option != "NOW" && option != "FORCE") {
      return Error(kSyntaxError);
    }
  }
  if (aborts) {
    const bool alone = std::all_of(call.arguments.begin() + 1, call.arguments.end(),
                                   [](const std::string& word) { return Upper(word) == "ABORT"; });
    return Error(alone ? "ERR No shutdown in progress." : std::string(kSyntaxError));
  }
  shut_down_ = true;
  call.connection.quit = true;
  return {.kind = Expectation::Kind::kNone, .bytes = {}};
}

Expectation SequentialModel::ConfigResetStatistics(Call&) { return Ok(); }

Expectation SequentialModel::ConfigRewrite(Call&) {
  return Error("ERR The server is running without a config file");
}

Expectation SequentialModel::Info(Call& call) {
  return Prefix(call.connection.protocol == 3 ? "=" : "$");
}

Expectation SequentialModel::ClientId(Call&) {
  return {.kind = Expectation::Kind::kConnectionId, .bytes = {}};
}

Expectation SequentialModel::ClientSetName(Call& call) {
  const std::string& name = call.at(2);
  if (!std::all_of(name.begin(), name.end(), IsNameByte)) {
    return Error("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  call.connection.name = name;
  return Ok();
}

Expectation SequentialModel::ClientGetName(Call& call) {
  return call.connection.name.empty() ? call.Null() : Bulk(call.connection.name);
}

Expectation SequentialModel::ClientSetInfo(Call& call) {
  const std::string attribute = Lower(call.at(2));
  if (attribute != "lib-name" && attribute != "lib-ver") {
    return Error("ERR Unrecognized option '" + std::string(Clipped(call.at(2), SIZE_MAX)) + "'");
  }
  const std::string& value = call.at(3);
  if (!std::all_of(value.begin(), value.end(), IsNameByte)) {
    return Error("ERR " + std::string(Clipped(call.at(2), SIZE_MAX)) +
                 " cannot contain spaces, newlines or special characters.");
  }
  return Ok();
}

Expectation SequentialModel::ClientInfo(Call& call) {
  return Prefix(call.connection.protocol == 3 ? "=" : "$");
}

Expectation SequentialModel::ClientList(Call& call) {
  if (call.count() == 4 && call.word(2) == "type") {
    for (const char* type : {"normal", "master", "replica", "slave", "pubsub"}) {
      if (call.word(3) == type) return ClientInfo(call);
    }
    return Error("ERR Unknown client type '" + call.at(3) + "'");
  }
  if (call.count() > 3 && call.word(2) == "id") {
    for (size_t index = 3; index < call.count(); ++index) {
      if (!StrictInteger(call.at(index))) return Error("ERR Invalid client ID");
    }
    return ClientInfo(call);
  }
  return call.count() == 2 ? ClientInfo(call) : Error(kSyntaxError);
}

// Which addresses and ids there are, this model does not know: who asks for ids learns from
// `kills` whether it hit. The generator asks for no address that there is.
Expectation SequentialModel::ClientKill(Call& call) {
  if (call.count() == 3) return Error("ERR No such client");
  Expectation expectation{.kind = Expectation::Kind::kInteger, .bytes = {}, .low = 0, .high = 1};
  for (size_t index = 2; index < call.count(); index += 2) {
    if (index + 1 == call.count()) return Error(kSyntaxError);
    const std::string option = call.word(index);
    const std::string& value = call.at(index + 1);
    if (option == "id") {
      const auto id = StrictInteger(value);
      if (!id || *id <= 0) return Error("ERR client-id should be greater than 0");
      expectation.kills = static_cast<uint64_t>(*id);
    } else if (option == "skipme" && (Lower(value) == "yes" || Lower(value) == "no")) {
      expectation.spares_itself = Lower(value) == "yes";
    } else if (option == "type") {
      return Error("ERR Unknown client type '" + value + "'");
    } else if (option == "user") {
      return Error("ERR No such user '" + value + "'");
    } else {
      return Error(kSyntaxError);
    }
  }
  return expectation;
}

Expectation SequentialModel::ClientPause(Call& call) {
  if (call.count() > 4) {
    return Error("ERR unknown subcommand or wrong number of arguments for '" + call.at(1) +
                 "'. Try CLIENT HELP.");
  }
  const std::string mode = call.count() == 4 ? call.word(3) : "all";
  if (mode != "all" && mode != "write") {
    return Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
  }
  const auto timeout = StrictInteger(call.at(2));
  if (!timeout) return Error("ERR timeout is not an integer or out of range");
  if (*timeout < 0) return Error("ERR timeout is negative");
  if (*timeout > kIntegerMax - call.now_ms) return Error("ERR timeout is out of range");
  const bool paused = call.monotonic_ms <= paused_until_ms_;
  if (!paused) pause_writes_only_ = true;
  const int64_t until = *timeout == 0 ? kNotPaused : call.monotonic_ms + *timeout;
  paused_until_ms_ = std::max(paused ? paused_until_ms_ : kNotPaused, until);
  if (mode == "all") pause_writes_only_ = false;
  return Ok();
}

Expectation SequentialModel::ClientUnpause(Call&) {
  paused_until_ms_ = kNotPaused;
  return Ok();
}

Expectation SequentialModel::ClientReply(Call& call) {
  Connection& connection = call.connection;
  const std::string mode = call.word(2);
  if (mode == "on") {
    connection.replies_off = connection.skips = false;
    return Ok();
  }
  const Expectation nothing{.kind = Expectation::Kind::kNone, .bytes = {}};
  if (mode == "off") {
    connection.replies_off = true;
    return nothing;
  }
  if (mode != "skip") return Error(kSyntaxError);
  if (!connection.replies_off) connection.skips_next = true;
  return nothing;
}

Expectation SequentialModel::ClientNoEvict(Call& call) {
  return call.word(2) == "on" || call.word(2) == "off" ? Ok() : Error(kSyntaxError);
}

Expectation SequentialModel::ClientNoTouch(Call& call) {
  if (call.word(2) != "on" && call.word(2) != "off") return Error(kSyntaxError);
  call.connection.touches = call.word(2) == "off";
  return Ok();
}

}  // namespace orrery::scenarios
