#include "tests/scenarios/sequential_model.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/check.h"
#include "tests/scenarios/resp.h"

namespace orrery::scenarios {
namespace {

constexpr int64_t kIntegerMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kIntegerMin = std::numeric_limits<int64_t>::min();

constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
constexpr std::string_view kSyntaxError = "ERR syntax error";

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& byte : lower) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  }
  return lower;
}

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& byte : upper) {
    if (byte >= 'a' && byte <= 'z') byte = static_cast<char>(byte - 'a' + 'A');
  }
  return upper;
}

Expectation Exact(std::string bytes) {
  return {.kind = Expectation::Kind::kExact, .bytes = std::move(bytes)};
}
Expectation Prefix(std::string bytes) {
  return {.kind = Expectation::Kind::kPrefix, .bytes = std::move(bytes)};
}
// Line ends inside an error would end it early, so Redis turns them into spaces.
Expectation Error(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\r', ' ');
  std::replace(line.begin(), line.end(), '\n', ' ');
  return Exact("-" + line + "\r\n");
}
Expectation Ok() { return Exact("+OK\r\n"); }
Expectation Integer(int64_t number) { return Exact(":" + std::to_string(number) + "\r\n"); }

std::string BulkBytes(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}
Expectation Bulk(std::string_view bytes) { return Exact(BulkBytes(bytes)); }
std::string NullBytes(int protocol) { return protocol == 3 ? "_\r\n" : "$-1\r\n"; }

// As C strings are seen by printf: up to the first NUL, at most `length_max`.
std::string_view Clipped(std::string_view text, size_t length_max) {
  return text.substr(0, std::min(text.find('\0'), length_max));
}

// Redis takes no spaces, no plus sign, no leading zeros and no "-0".
std::optional<int64_t> StrictInteger(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;
  return number;
}

Expectation WrongArity(std::string_view name) {
  return Error("ERR wrong number of arguments for '" + std::string(name) + "' command");
}

Expectation UnknownCommand(const std::vector<std::string>& arguments) {
  static constexpr size_t kShownMax = 128;
  std::string shown;
  for (size_t index = 1; index < arguments.size() && shown.size() < kShownMax; ++index) {
    shown += "'" + std::string(Clipped(arguments[index], kShownMax - shown.size())) + "' ";
  }
  return Error("ERR unknown command '" + std::string(Clipped(arguments[0], kShownMax)) +
               "', with args beginning with: " + shown);
}

bool IsNameByte(char byte) { return byte >= '!' && byte <= '~'; }

// What SET's options say.
struct SetOptions {
  bool if_absent = false;
  bool if_present = false;
  bool get = false;
  bool keep_time = false;
  // How the time is given: seconds or milliseconds, from now or since 1970.
  bool timed = false;
  bool seconds = false;
  bool absolute = false;
  std::string time;
};

// Nothing on a syntax error.
std::optional<SetOptions> ParseSetOptions(const std::vector<std::string>& arguments) {
  SetOptions options;
  std::string time_option;
  for (size_t index = 3; index < arguments.size(); ++index) {
    const std::string option = Upper(Clipped(arguments[index], SIZE_MAX));
    const bool more = index + 1 < arguments.size();
    if (option == "NX" && !options.if_present) {
      options.if_absent = true;
    } else if (option == "XX" && !options.if_absent) {
      options.if_present = true;
    } else if (option == "GET") {
      options.get = true;
    } else if (option == "KEEPTTL" && !options.timed) {
      options.keep_time = true;
    } else if ((option == "EX" || option == "PX" || option == "EXAT" || option == "PXAT") && more &&
               !options.keep_time && (time_option.empty() || time_option == option)) {
      time_option = option;
      options.timed = true;
      options.seconds = option.front() == 'E';
      options.absolute = option.size() == 4;
      options.time = arguments[++index];
    } else {
      return std::nullopt;
    }
  }
  return options;
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
  }
  return "?";
}

struct SequentialModel::Call {
  Connection& connection;
  const std::vector<std::string>& arguments;
  int64_t now_ms;

  size_t count() const { return arguments.size(); }
  const std::string& at(size_t index) const { return arguments[index]; }
  Expectation Null() const { return Exact(NullBytes(connection.protocol)); }
};

const std::vector<SequentialModel::Command>& SequentialModel::Commands() {
  static const auto* commands = new std::vector<Command>{
      {"ping", -1, &SequentialModel::Ping},
      {"echo", 2, &SequentialModel::Echo},
      {"quit", -1, &SequentialModel::Quit},
      {"select", 2, &SequentialModel::Select},
      {"hello", -1, &SequentialModel::Hello},
      {"command", -1, &SequentialModel::CommandInfo},
      {"info", -1, &SequentialModel::Info},
      {"client", -2, &SequentialModel::Client},
      {"dbsize", 1, &SequentialModel::DatabaseSize},
      {"flushall", -1, &SequentialModel::FlushAll},
      {"get", 2, &SequentialModel::Get},
      {"set", -3, &SequentialModel::Set},
      {"del", -2, &SequentialModel::Delete},
      {"exists", -2, &SequentialModel::Exists},
      {"incr", 2, &SequentialModel::Increment},
      {"decr", 2, &SequentialModel::Decrement},
      {"mget", -2, &SequentialModel::MultiGet},
      {"mset", -3, &SequentialModel::MultiSet},
      {"expire", -3, &SequentialModel::Expire},
      {"pexpire", -3, &SequentialModel::ExpireMs},
      {"ttl", 2, &SequentialModel::TimeToLive},
      {"pttl", 2, &SequentialModel::TimeToLiveMs},
      {"append", 3, &SequentialModel::Append},
  };
  return *commands;
}

const std::vector<SequentialModel::Command>& SequentialModel::ClientCommands() {
  static const auto* commands = new std::vector<Command>{
      {"id", 2, &SequentialModel::ClientId},
      {"setname", 3, &SequentialModel::ClientSetName},
      {"getname", 2, &SequentialModel::ClientGetName},
      {"setinfo", 4, &SequentialModel::ClientSetInfo},
  };
  return *commands;
}

Expectation SequentialModel::Execute(Connection& connection,
                                     const std::vector<std::string>& arguments, int64_t now_ms) {
  ORRERY_CHECK(!arguments.empty());
  Call call{.connection = connection, .arguments = arguments, .now_ms = now_ms};
  return ExecuteIn(Commands(), call, "");
}

Expectation SequentialModel::ExecuteIn(const std::vector<Command>& commands, Call& call,
                                       std::string_view container) {
  const std::string name = Lower(call.at(container.empty() ? 0 : 1));
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&name](const Command& command) { return command.name == name; });
  if (found == commands.end()) {
    if (container.empty()) return UnknownCommand(call.arguments);
    return Error("ERR unknown subcommand '" + std::string(Clipped(call.at(1), 128)) + "'. Try " +
                 Upper(container) + " HELP.");
  }
  const auto count = static_cast<int>(call.count());
  if (found->arity >= 0 ? count != found->arity : count < -found->arity) {
    return WrongArity(container.empty() ? name : std::string(container) + "|" + name);
  }
  return (this->*found->execute)(call);
}

SequentialModel::Value* SequentialModel::Find(const std::string& key, int64_t now_ms) {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  if (found->second.expires_at_ms.has_value() && now_ms > *found->second.expires_at_ms) {
    values_.erase(found);
    return nullptr;
  }
  return &found->second;
}

Expectation SequentialModel::Ping(Call& call) {
  if (call.count() > 2) return WrongArity("ping");
  return call.count() == 2 ? Bulk(call.at(1)) : Exact("+PONG\r\n");
}

Expectation SequentialModel::Echo(Call& call) { return Bulk(call.at(1)); }

Expectation SequentialModel::Quit(Call& call) {
  call.connection.quit = true;
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
  call.connection.protocol = protocol;
  return Prefix(protocol == 3 ? "%7\r\n$6\r\nserver\r\n" : "*14\r\n$6\r\nserver\r\n");
}

Expectation SequentialModel::CommandInfo(Call& call) {
  if (call.count() == 2 && Lower(call.at(1)) == "count") {
    return {.kind = Expectation::Kind::kInteger, .bytes = {}, .low = 1, .high = 10'000};
  }
  return Prefix("*");
}

Expectation SequentialModel::Info(Call& call) {
  return Prefix(call.connection.protocol == 3 ? "=" : "$");
}

Expectation SequentialModel::Client(Call& call) {
  return ExecuteIn(ClientCommands(), call, "client");
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
    return Error("ERR " + attribute + " cannot contain spaces, newlines or special characters.");
  }
  return Ok();
}

// Whether expired keys are still counted depends on whether something has taken them away.
Expectation SequentialModel::DatabaseSize(Call& call) {
  int64_t live = 0;
  for (const auto& [key, value] : values_) {
    if (!value.expires_at_ms.has_value() || call.now_ms <= *value.expires_at_ms) ++live;
  }
  return {.kind = Expectation::Kind::kInteger,
          .bytes = {},
          .low = live,
          .high = static_cast<int64_t>(values_.size())};
}

Expectation SequentialModel::FlushAll(Call& call) {
  if (call.count() > 2) return Error(kSyntaxError);
  if (call.count() == 2) {
    const std::string how = Lower(call.at(1));
    if (how != "async" && how != "sync") return Error(kSyntaxError);
  }
  values_.clear();
  return Ok();
}

Expectation SequentialModel::Get(Call& call) {
  const Value* value = Find(call.at(1), call.now_ms);
  return value == nullptr ? call.Null() : Bulk(value->bytes);
}

Expectation SequentialModel::Set(Call& call) {
  const auto options = ParseSetOptions(call.arguments);
  if (!options) return Error(kSyntaxError);
  std::optional<int64_t> expires_at_ms;
  if (options->timed) {
    const auto time = StrictInteger(options->time);
    if (!time) return Error(kNotAnInteger);
    const Expectation invalid = Error("ERR invalid expire time in 'set' command");
    if (*time <= 0 || (options->seconds && *time > kIntegerMax / 1000)) return invalid;
    const int64_t milliseconds = options->seconds ? *time * 1000 : *time;
    if (!options->absolute && milliseconds > kIntegerMax - call.now_ms) return invalid;
    expires_at_ms = options->absolute ? milliseconds : milliseconds + call.now_ms;
  }

  const Value* old = Find(call.at(1), call.now_ms);
  const Expectation old_value = old == nullptr ? call.Null() : Bulk(old->bytes);
  const bool refused = old == nullptr ? options->if_present : options->if_absent;
  if (refused) return options->get ? old_value : call.Null();
  if (options->keep_time && old != nullptr) expires_at_ms = old->expires_at_ms;
  values_[call.at(1)] = {.bytes = call.at(2), .expires_at_ms = expires_at_ms};
  return options->get ? old_value : Ok();
}

Expectation SequentialModel::Delete(Call& call) {
  int64_t deleted = 0;
  for (size_t index = 1; index < call.count(); ++index) {
    if (Find(call.at(index), call.now_ms) == nullptr) continue;
    values_.erase(call.at(index));
    ++deleted;
  }
  return Integer(deleted);
}

Expectation SequentialModel::Exists(Call& call) {
  int64_t found = 0;
  for (size_t index = 1; index < call.count(); ++index) {
    if (Find(call.at(index), call.now_ms) != nullptr) ++found;
  }
  return Integer(found);
}

Expectation SequentialModel::Increment(Call& call) { return Add(call, 1); }

Expectation SequentialModel::Decrement(Call& call) { return Add(call, -1); }

Expectation SequentialModel::Add(Call& call, int64_t delta) {
  Value* value = Find(call.at(1), call.now_ms);
  int64_t number = 0;
  if (value != nullptr) {
    const auto old = StrictInteger(value->bytes);
    if (!old) return Error(kNotAnInteger);
    number = *old;
  }
  if (delta > 0 ? number > kIntegerMax - delta : number < kIntegerMin - delta) {
    return Error("ERR increment or decrement would overflow");
  }
  number += delta;
  if (value == nullptr) value = &values_[call.at(1)];
  value->bytes = std::to_string(number);
  return Integer(number);
}

Expectation SequentialModel::MultiGet(Call& call) {
  std::string reply = "*" + std::to_string(call.count() - 1) + "\r\n";
  for (size_t index = 1; index < call.count(); ++index) {
    const Value* value = Find(call.at(index), call.now_ms);
    reply += value == nullptr ? NullBytes(call.connection.protocol) : BulkBytes(value->bytes);
  }
  return Exact(std::move(reply));
}

Expectation SequentialModel::MultiSet(Call& call) {
  if (call.count() % 2 == 0) return WrongArity("mset");
  for (size_t index = 1; index < call.count(); index += 2) {
    values_[call.at(index)] = {.bytes = call.at(index + 1), .expires_at_ms = std::nullopt};
  }
  return Ok();
}

Expectation SequentialModel::Expire(Call& call) { return ExpireIn(call, true); }

Expectation SequentialModel::ExpireMs(Call& call) { return ExpireIn(call, false); }

Expectation SequentialModel::ExpireIn(Call& call, bool seconds) {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
  for (size_t index = 3; index < call.count(); ++index) {
    const std::string option = Lower(call.at(index));
    if (option != "nx" && option != "xx" && option != "gt" && option != "lt") {
      return Error("ERR Unsupported option " + std::string(Clipped(call.at(index), SIZE_MAX)));
    }
    nx |= option == "nx";
    xx |= option == "xx";
    gt |= option == "gt";
    lt |= option == "lt";
  }
  if (nx && (xx || gt || lt)) {
    return Error("ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (gt && lt) return Error("ERR GT and LT options at the same time are not compatible");

  const auto time = StrictInteger(call.at(2));
  if (!time) return Error(kNotAnInteger);
  const Expectation invalid =
      Error("ERR invalid expire time in '" + Lower(call.at(0)) + "' command");
  if (seconds && (*time > kIntegerMax / 1000 || *time < kIntegerMin / 1000)) return invalid;
  const int64_t milliseconds = seconds ? *time * 1000 : *time;
  if (milliseconds > kIntegerMax - call.now_ms) return invalid;
  const int64_t when_ms = milliseconds + call.now_ms;

  Value* value = Find(call.at(1), call.now_ms);
  if (value == nullptr) return Integer(0);
  const std::optional<int64_t> current = value->expires_at_ms;
  if (nx && current.has_value()) return Integer(0);
  if (xx && !current.has_value()) return Integer(0);
  if (gt && (!current.has_value() || when_ms <= *current)) return Integer(0);
  if (lt && current.has_value() && when_ms >= *current) return Integer(0);
  if (when_ms <= call.now_ms) {
    values_.erase(call.at(1));
  } else {
    value->expires_at_ms = when_ms;
  }
  return Integer(1);
}

Expectation SequentialModel::TimeToLive(Call& call) {
  const Value* value = Find(call.at(1), call.now_ms);
  if (value == nullptr) return Integer(-2);
  if (!value->expires_at_ms.has_value()) return Integer(-1);
  return Integer((*value->expires_at_ms - call.now_ms + 500) / 1000);
}

Expectation SequentialModel::TimeToLiveMs(Call& call) {
  const Value* value = Find(call.at(1), call.now_ms);
  if (value == nullptr) return Integer(-2);
  if (!value->expires_at_ms.has_value()) return Integer(-1);
  return Integer(*value->expires_at_ms - call.now_ms);
}

Expectation SequentialModel::Append(Call& call) {
  Value* value = Find(call.at(1), call.now_ms);
  if (value == nullptr) value = &values_[call.at(1)];
  value->bytes += call.at(2);
  return Integer(static_cast<int64_t>(value->bytes.size()));
}

}  // namespace orrery::scenarios
