// The sequential model: keys, whatever their values: which there are, when they go, and how they
// travel.

#include <cerrno>
#include <cstdlib>

#include "base/prng.h"
#include "base/siphash.h"
#include "tests/scenarios/rdb.h"
#include "tests/scenarios/sequential_model.h"
#include "tests/scenarios/sequential_model_support.h"

namespace orrery::scenarios {
namespace {

// Redis counts the seconds at which keys are used in 24 bits.
constexpr int64_t kUseClockSeconds = int64_t{1} << 24;

// When a key that has been idle for so long is taken to have been used. Redis counts the time in
// milliseconds first, which may overflow.
int64_t UsedAt(int64_t now_s, int64_t idle_s) {
  int64_t idle_ms = 0;
  (void)__builtin_mul_overflow(idle_s, 1000, &idle_ms);  // Wraps around.
  int64_t used_at = now_s % kUseClockSeconds - idle_ms / 1000;
  if (used_at < 0) used_at += kUseClockSeconds - 1;
  // What is still negative is cut to 24 bits.
  return (used_at % kUseClockSeconds + kUseClockSeconds) % kUseClockSeconds;
}

// One element of the pattern after the other.
bool MatchesInside(std::string_view pattern, std::string_view text) {
  if (text.empty()) return pattern.find_first_not_of('*') == std::string_view::npos;
  if (pattern.empty()) return false;
  const char first = pattern[0];
  if (first == '*') {
    return MatchesInside(pattern.substr(1), text) || MatchesInside(pattern, text.substr(1));
  }
  if (first == '[') {
    size_t at = 1;
    const bool negated = at < pattern.size() && pattern[at] == '^';
    if (negated) ++at;
    bool in_class = false;
    for (; at < pattern.size() && pattern[at] != ']'; ++at) {
      if (pattern[at] == '\\' && at + 1 < pattern.size()) {
        in_class |= pattern[++at] == text[0];
      } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
        const auto [low, high] = std::minmax(pattern[at], pattern[at + 2]);
        in_class |= low <= text[0] && text[0] <= high;
        at += 2;
      } else {
        in_class |= pattern[at] == text[0];
      }
    }
    const std::string_view rest = at < pattern.size() ? pattern.substr(at + 1) : "";
    return in_class != negated && MatchesInside(rest, text.substr(1));
  }
  if (first == '\\' && pattern.size() >= 2) pattern.remove_prefix(1);
  const bool matches = (first == '?') || pattern[0] == text[0];
  return matches && MatchesInside(pattern.substr(1), text.substr(1));
}

// KEYS and SCAN do not look at a pattern that is "*" alone.
bool KeyMatches(std::string_view pattern, std::string_view key) {
  return pattern == "*" || GlobMatches(pattern, key);
}

constexpr size_t kEmbeddedMax = 44;

}  // namespace

// Where there is no text at all, Redis does not look at the pattern.
bool GlobMatches(std::string_view pattern, std::string_view text) {
  return text.empty() ? pattern.empty() : MatchesInside(pattern, text);
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
  for (const auto& [key, value] : values_) Change(key);
  values_.clear();
  return Ok();
}

Expectation SequentialModel::Delete(Call& call) {
  int64_t deleted = 0;
  for (size_t index = 1; index < call.count(); ++index) {
    if (Peek(call.at(index), call.now_ms) == nullptr) continue;
    values_.erase(call.at(index));
    Change(call.at(index));
    ++deleted;
  }
  return Integer(deleted);
}

Expectation SequentialModel::Exists(Call& call) {
  int64_t found = 0;
  for (size_t index = 1; index < call.count(); ++index) {
    if (Peek(call.at(index), call.now_ms) != nullptr) ++found;
  }
  return Integer(found);
}

Expectation SequentialModel::Touch(Call& call) {
  int64_t found = 0;
  for (size_t index = 1; index < call.count(); ++index) {
    Value* value = Peek(call.at(index), call.now_ms);
    if (value == nullptr) continue;
    value->used_at_s = call.now_s();
    ++found;
  }
  return Integer(found);
}

Expectation SequentialModel::Type(Call& call) {
  return Exact(Peek(call.at(1), call.now_ms) == nullptr ? "+none\r\n" : "+string\r\n");
}

// --- Expiry.

Expectation SequentialModel::Expire(Call& call) {
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
  const std::string name = call.word(0);
  const Expectation invalid = Error("ERR invalid expire time in '" + name + "' command");
  const bool seconds = name[0] == 'e';
  if (seconds && (*time > kIntegerMax / 1000 || *time < kIntegerMin / 1000)) return invalid;
  const int64_t milliseconds = seconds ? *time * 1000 : *time;
  const int64_t base = name.ends_with("at") ? 0 : call.now_ms;
  if (milliseconds > kIntegerMax - base) return invalid;
  const int64_t when_ms = milliseconds + base;

  Value* value = Find(call, call.at(1));
  if (value == nullptr) return Integer(0);
  const std::optional<int64_t> current = value->expires_at_ms;
  if (nx && current.has_value()) return Integer(0);
  if (xx && !current.has_value()) return Integer(0);
  if (gt && (!current.has_value() || when_ms <= *current)) return Integer(0);
  if (lt && current.has_value() && when_ms >= *current) return Integer(0);
  Change(call.at(1));
  if (when_ms <= call.now_ms) {
    values_.erase(call.at(1));
  } else {
    value->expires_at_ms = when_ms;
  }
  return Integer(1);
}

Expectation SequentialModel::ExpiryOf(Call& call) {
  const Value* value = Peek(call.at(1), call.now_ms);
  if (value == nullptr) return Integer(-2);
  if (!value->expires_at_ms.has_value()) return Integer(-1);
  const std::string name = call.word(0);
  int64_t time = *value->expires_at_ms;
  if (name == "ttl" || name == "pttl") time -= call.now_ms;
  if (name[0] == 'p') return Integer(time);
  return Integer(time / 1000 + (time % 1000 >= 500 ? 1 : 0));
}

Expectation SequentialModel::Persist(Call& call) {
  Value* value = Find(call, call.at(1));
  if (value == nullptr || !value->expires_at_ms.has_value()) return Integer(0);
  value->expires_at_ms = std::nullopt;
  Change(call.at(1));
  return Integer(1);
}

// --- Looking for keys.

Expectation SequentialModel::Keys(Call& call) {
  Expectation expectation{.kind = Expectation::Kind::kAnyOrder, .bytes = {}};
  for (const auto& [key, value] : values_) {
    if (value.expires_at_ms.has_value() && call.now_ms > *value.expires_at_ms) continue;
    if (KeyMatches(call.at(1), key)) expectation.choices.push_back(BulkBytes(key));
  }
  return expectation;
}

Expectation SequentialModel::Scan(Call& call) {
  char* end = nullptr;
  errno = 0;
  const std::string& start = call.at(1);
  const uint64_t cursor = std::strtoull(start.c_str(), &end, 10);
  const bool spaced =
      !start.empty() && std::string_view(" \t\n\v\f\r").find(start[0]) != std::string_view::npos;
  if (spaced || *end != '\0' || errno == ERANGE) return Error("ERR invalid cursor");
  int64_t count = 10;
  std::string pattern = "*";
  bool strings = true;
  for (size_t index = 2; index < call.count(); index += 2) {
    const std::string option = call.word(index);
    const bool more = index + 1 < call.count();
    if (more && option == "count") {
      const auto number = StrictInteger(call.at(index + 1));
      if (!number) return Error(kNotAnInteger);
      if (*number < 1) return Error(kSyntaxError);
      count = *number;
    } else if (more && option == "match") {
      pattern = call.at(index + 1);
    } else if (more && option == "type") {
      strings = Lower(Clipped(call.at(index + 1), SIZE_MAX)) == "string";
    } else {
      return Error(kSyntaxError);
    }
  }
  // So many are all that there are.
  constexpr int64_t kPlenty = 10'000;
  Expectation expectation{.kind = Expectation::Kind::kScan, .bytes = {}};
  expectation.whole = cursor == 0 && count >= kPlenty;
  for (const auto& [key, value] : values_) {
    if (value.expires_at_ms.has_value() && call.now_ms > *value.expires_at_ms) continue;
    if (strings && KeyMatches(pattern, key)) expectation.choices.push_back(BulkBytes(key));
  }
  return expectation;
}

Expectation SequentialModel::RandomKey(Call& call) {
  Expectation expectation{.kind = Expectation::Kind::kOneOf, .bytes = {}};
  for (const auto& [key, value] : values_) {
    if (value.expires_at_ms.has_value() && call.now_ms > *value.expires_at_ms) continue;
    expectation.choices.push_back(BulkBytes(key));
  }
  if (expectation.choices.empty()) return call.Null();
  return expectation;
}

// --- To another key.

Expectation SequentialModel::Rename(Call& call) {
  const bool replaces = call.word(0) == "rename";
  const std::string& from = call.at(1);
  const std::string& to = call.at(2);
  if (Find(call, from) == nullptr) return Error("ERR no such key");
  const bool taken = from == to || (!replaces && Find(call, to) != nullptr);
  if (!replaces && taken) return Integer(0);
  if (from != to) {
    Value value = values_[from];
    value.used_at_s = call.now_s();
    values_.erase(from);
    values_[to] = std::move(value);
    Change(from);
    Change(to);
  }
  return replaces ? Ok() : Integer(1);
}

Expectation SequentialModel::Copy(Call& call) {
  bool replace = false;
  for (size_t index = 3; index < call.count(); ++index) {
    const std::string option = call.word(index);
    if (option == "replace") {
      replace = true;
    } else if (option == "db" && index + 1 < call.count()) {
      const auto database = StrictInteger(call.at(++index));
      if (!database) return Error(kNotAnInteger);
      if (*database > INT32_MAX || *database < INT32_MIN) {
        return Error("ERR value is out of range, value must between -2147483648 and 2147483647");
      }
      if (*database != 0) return Error("ERR DB index is out of range");
    } else {
      return Error(kSyntaxError);
    }
  }
  if (call.at(1) == call.at(2)) return Error("ERR source and destination objects are the same");
  if (Find(call, call.at(1)) == nullptr) return Integer(0);
  if (Find(call, call.at(2)) != nullptr && !replace) return Integer(0);
  Value value = values_[call.at(1)];
  value.used_at_s = call.now_s();
  if (value.encoding == Encoding::kNatural) value.encoding = Encoding::kOwnInteger;
  values_[call.at(2)] = std::move(value);
  Change(call.at(2));
  return Integer(1);
}

// --- OBJECT.

Expectation SequentialModel::ObjectEncoding(Call& call) {
  const Value* value = Peek(call.at(2), call.now_ms);
  if (value == nullptr) return call.Null();
  const bool may_be_integer =
      value->encoding == Encoding::kNatural || value->encoding == Encoding::kOwnInteger;
  if (may_be_integer && StrictInteger(value->bytes)) return Bulk("int");
  const bool raw = value->encoding == Encoding::kRaw || value->bytes.size() > kEmbeddedMax;
  return Bulk(raw ? "raw" : "embstr");
}

Expectation SequentialModel::ObjectReferences(Call& call) {
  const Value* value = Peek(call.at(2), call.now_ms);
  if (value == nullptr) return call.Null();
  const auto number = StrictInteger(value->bytes);
  const bool shared =
      value->encoding == Encoding::kNatural && number && *number >= 0 && *number < 10'000;
  return Integer(shared ? INT32_MAX : 1);
}

Expectation SequentialModel::ObjectIdleTime(Call& call) {
  const Value* value = Peek(call.at(2), call.now_ms);
  if (value == nullptr) return call.Null();
  const int64_t idle_s = call.now_s() % kUseClockSeconds - value->used_at_s % kUseClockSeconds;
  return Integer(idle_s >= 0 ? idle_s : idle_s + kUseClockSeconds - 1);
}

Expectation SequentialModel::ObjectFrequency(Call& call) {
  if (Peek(call.at(2), call.now_ms) == nullptr) return call.Null();
  return Prefix("-ERR An LFU maxmemory policy is not selected, access frequency not tracked. ");
}

Expectation SequentialModel::ObjectHelp(Call&) {
  return Prefix("*15\r\n+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n");
}

// --- DUMP and RESTORE.

Expectation SequentialModel::Dump(Call& call) {
  const Value* value = Find(call, call.at(1));
  return value == nullptr ? call.Null() : Bulk(EncodeDump(value->bytes));
}

Expectation SequentialModel::Restore(Call& call) {
  bool replace = false;
  bool absolute = false;
  std::optional<int64_t> idle_s;
  bool frequency = false;
  for (size_t index = 4; index < call.count(); ++index) {
    const std::string option = call.word(index);
    const bool more = index + 1 < call.count();
    if (option == "replace") {
      replace = true;
    } else if (option == "absttl") {
      absolute = true;
    } else if (option == "idletime" && more && !frequency) {
      idle_s = StrictInteger(call.at(++index));
      if (!idle_s) return Error(kNotAnInteger);
      if (*idle_s < 0) return Error("ERR Invalid IDLETIME value, must be >= 0");
    } else if (option == "freq" && more && !idle_s) {
      const auto number = StrictInteger(call.at(++index));
      if (!number) return Error(kNotAnInteger);
      if (*number < 0 || *number > 255) {
        return Error("ERR Invalid FREQ value, must be >= 0 and <= 255");
      }
      frequency = true;
    } else {
      return Error(kSyntaxError);
    }
  }
  if (Find(call, call.at(1)) != nullptr && !replace) {
    return Error("BUSYKEY Target key name already exists.");
  }
  const auto ttl = StrictInteger(call.at(2));
  if (!ttl) return Error(kNotAnInteger);
  if (*ttl < 0) return Error("ERR Invalid TTL value, must be >= 0");
  const auto value = DecodeDump(call.at(3));
  if (!value) {
    return Error(value.error() == DumpProblem::kFooter
                     ? "ERR DUMP payload version or checksum are wrong"
                     : "ERR Bad data format");
  }
  if (Peek(call.at(1), call.now_ms) != nullptr) Change(call.at(1));
  values_.erase(call.at(1));
  std::optional<int64_t> expires_at_ms;
  if (*ttl != 0) {
    // A sum that is too large counts as long ago.
    const bool overflows = !absolute && *ttl > kIntegerMax - call.now_ms;
    expires_at_ms = overflows ? 0 : absolute ? *ttl : *ttl + call.now_ms;
    if (*expires_at_ms <= call.now_ms) return Ok();
  }
  Value& restored = Assign(call, call.at(1), *value, expires_at_ms);
  if (idle_s) restored.used_at_s = UsedAt(call.now_s(), *idle_s);
  return Ok();
}

uint64_t SequentialModel::Value::Fingerprint() const {
  const uint64_t hash = Combine(SipHash13({}, bytes), static_cast<uint64_t>(encoding));
  return Combine(hash, static_cast<uint64_t>(expires_at_ms.value_or(-1)));
}

uint64_t SequentialModel::FingerprintOf(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? 0 : found->second.Fingerprint();
}

uint64_t SequentialModel::Fingerprint() const {
  uint64_t hash = 0;
  for (const auto& [key, value] : values_) {
    hash = Combine(Combine(hash, SipHash13({}, key)), value.Fingerprint());
  }
  return hash;
}

std::string SequentialModel::Describe() const {
  constexpr size_t kShownBytes = 24;
  std::string text;
  for (const auto& [key, value] : values_) {
    if (!text.empty()) text += ", ";
    text += Printable(key, kShownBytes) + " = " + Printable(value.bytes, kShownBytes);
  }
  return text.empty() ? "no keys" : text;
}

}  // namespace orrery::scenarios
