// The sequential model: values: as a whole, as numbers, in parts.

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "tests/scenarios/sequential_model.h"
#include "tests/scenarios/sequential_model_support.h"

namespace orrery::scenarios {
namespace {

constexpr int64_t kValueBytesMax = 512LL << 20;
constexpr char kTooLong[] = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

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

Expectation InvalidTime(std::string_view command) {
  return Error("ERR invalid expire time in '" + std::string(command) + "' command");
}

// When that is in Unix milliseconds; nothing when it is no valid time.
std::optional<int64_t> TimeToSet(int64_t time, bool seconds, bool absolute, int64_t now_ms) {
  if (time <= 0 || (seconds && time > kIntegerMax / 1000)) return std::nullopt;
  const int64_t milliseconds = seconds ? time * 1000 : time;
  if (absolute) return milliseconds;
  if (milliseconds > kIntegerMax - now_ms) return std::nullopt;
  return milliseconds + now_ms;
}

std::optional<long double> Float(const std::string& text) {
  if (text.empty() || text.size() >= 5120 || text.find('\0') != std::string::npos) {
    return std::nullopt;
  }
  if (std::string_view(" \t\n\v\f\r").find(text[0]) != std::string_view::npos) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const long double number = strtold(text.c_str(), &end);
  if (*end != '\0' || std::isnan(number)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(number) || number == 0)) return std::nullopt;
  return number;
}

std::string FloatText(long double number) {
  char text[6000];
  std::snprintf(text, sizeof text, "%.17Lf", number);
  std::string digits = text;
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits == "-0" ? "0" : digits;
}

}  // namespace

Expectation SequentialModel::Get(Call& call) {
  const Value* value = Find(call, call.at(1));
  return value == nullptr ? call.Null() : Bulk(value->bytes);
}

Expectation SequentialModel::Set(Call& call) {
  const auto options = ParseSetOptions(call.arguments);
  if (!options) return Error(kSyntaxError);
  std::optional<int64_t> expires_at_ms;
  if (options->timed) {
    const auto time = StrictInteger(options->time);
    if (!time) return Error(kNotAnInteger);
    expires_at_ms = TimeToSet(*time, options->seconds, options->absolute, call.now_ms);
    if (!expires_at_ms) return InvalidTime("set");
  }

  const Value* old = Find(call, call.at(1));
  const Expectation old_value = old == nullptr ? call.Null() : Bulk(old->bytes);
  const bool refused = old == nullptr ? options->if_present : options->if_absent;
  if (refused) return options->get ? old_value : call.Null();
  if (options->keep_time && old != nullptr) expires_at_ms = old->expires_at_ms;
  Assign(call, call.at(1), call.at(2), expires_at_ms);
  return options->get ? old_value : Ok();
}

Expectation SequentialModel::SetIfAbsent(Call& call) {
  if (Find(call, call.at(1)) != nullptr) return Integer(0);
  Assign(call, call.at(1), call.at(2));
  return Integer(1);
}

Expectation SequentialModel::SetWithTime(Call& call) {
  const auto time = StrictInteger(call.at(2));
  if (!time) return Error(kNotAnInteger);
  const std::string name = call.word(0);
  const auto expires_at_ms = TimeToSet(*time, name == "setex", false, call.now_ms);
  if (!expires_at_ms) return InvalidTime(name);
  Assign(call, call.at(1), call.at(3), expires_at_ms);
  return Ok();
}

Expectation SequentialModel::GetAndSet(Call& call) {
  const Expectation old = Get(call);
  Assign(call, call.at(1), call.at(2));
  return old;
}

Expectation SequentialModel::GetAndDelete(Call& call) {
  const Expectation old = Get(call);
  if (Peek(call.at(1), call.now_ms) != nullptr) Change(call.at(1));
  values_.erase(call.at(1));
  return old;
}

Expectation SequentialModel::GetAndExpire(Call& call) {
  bool persist = false;
  std::string unit;
  std::string time_text;
  for (size_t index = 2; index < call.count(); ++index) {
    const std::string option = call.word(index);
    if (option == "persist" && unit.empty()) {
      persist = true;
      continue;
    }
    const bool known = option == "ex" || option == "px" || option == "exat" || option == "pxat";
    if (!known || persist || index + 1 == call.count() || (!unit.empty() && unit != option)) {
      return Error(kSyntaxError);
    }
    unit = option;
    time_text = call.at(++index);
  }
  Value* value = Find(call, call.at(1));
  if (value == nullptr) return call.Null();
  const Expectation reply = Bulk(value->bytes);
  if (persist && value->expires_at_ms.has_value()) Change(call.at(1));
  if (persist) value->expires_at_ms = std::nullopt;
  if (unit.empty()) return reply;
  const auto time = StrictInteger(time_text);
  if (!time) return Error(kNotAnInteger);
  const bool absolute = unit.ends_with("at");
  const auto expires_at_ms = TimeToSet(*time, unit[0] == 'e', absolute, call.now_ms);
  if (!expires_at_ms) return InvalidTime("getex");
  Change(call.at(1));
  value->expires_at_ms = expires_at_ms;
  if (absolute && *expires_at_ms <= call.now_ms) values_.erase(call.at(1));
  return reply;
}

Expectation SequentialModel::Length(Call& call) {
  const Value* value = Find(call, call.at(1));
  return Integer(value == nullptr ? 0 : static_cast<int64_t>(value->bytes.size()));
}

Expectation SequentialModel::GetRange(Call& call) {
  const auto first = StrictInteger(call.at(2));
  const auto last = StrictInteger(call.at(3));
  if (!first || !last) return Error(kNotAnInteger);
  const Value* value = Find(call, call.at(1));
  if (value == nullptr) return Bulk("");
  const auto size = static_cast<int64_t>(value->bytes.size());
  const auto from_start = [size](int64_t index) {
    return index >= 0 ? index : std::max<int64_t>(size + index, 0);
  };
  const int64_t from = from_start(*first);
  const int64_t to = std::min(from_start(*last), size - 1);
  const bool reversed = *first < 0 && *last < 0 && *first > *last;
  if (reversed || from > to) return Bulk("");
  return Bulk(value->bytes.substr(static_cast<size_t>(from), static_cast<size_t>(to - from + 1)));
}

Expectation SequentialModel::SetRange(Call& call) {
  const auto offset = StrictInteger(call.at(2));
  if (!offset) return Error(kNotAnInteger);
  if (*offset < 0) return Error("ERR offset is out of range");
  Value* value = Find(call, call.at(1));
  const std::string& bytes = call.at(3);
  if (bytes.empty()) {
    return Integer(value == nullptr ? 0 : static_cast<int64_t>(value->bytes.size()));
  }
  if (*offset > kValueBytesMax - static_cast<int64_t>(bytes.size())) return Error(kTooLong);
  if (value == nullptr) value = &Assign(call, call.at(1), "");
  Change(call.at(1));
  const auto start = static_cast<size_t>(*offset);
  if (value->bytes.size() < start + bytes.size()) value->bytes.resize(start + bytes.size());
  value->bytes.replace(start, bytes.size(), bytes);
  value->encoding = Encoding::kRaw;
  return Integer(static_cast<int64_t>(value->bytes.size()));
}

Expectation SequentialModel::Append(Call& call) {
  Value* value = Find(call, call.at(1));
  if (value == nullptr) {
    Assign(call, call.at(1), call.at(2));
    return Integer(static_cast<int64_t>(call.at(2).size()));
  }
  Change(call.at(1));
  value->bytes += call.at(2);
  value->encoding = Encoding::kRaw;
  return Integer(static_cast<int64_t>(value->bytes.size()));
}

Expectation SequentialModel::MultiGet(Call& call) {
  std::string reply = "*" + std::to_string(call.count() - 1) + "\r\n";
  for (size_t index = 1; index < call.count(); ++index) {
    const Value* value = Find(call, call.at(index));
    reply += value == nullptr ? call.NullText() : BulkBytes(value->bytes);
  }
  return Exact(std::move(reply));
}

Expectation SequentialModel::MultiSet(Call& call) {
  if (call.count() % 2 == 0) return WrongArity("mset");
  for (size_t index = 1; index < call.count(); index += 2) {
    Assign(call, call.at(index), call.at(index + 1));
  }
  return Ok();
}

Expectation SequentialModel::MultiSetIfAbsent(Call& call) {
  if (call.count() % 2 == 0) return WrongArity("msetnx");
  // It stops at the first that is there.
  for (size_t index = 1; index < call.count(); index += 2) {
    if (Find(call, call.at(index)) != nullptr) return Integer(0);
  }
  for (size_t index = 1; index < call.count(); index += 2) {
    Assign(call, call.at(index), call.at(index + 1));
  }
  return Integer(1);
}

// --- Numbers.

Expectation SequentialModel::Increment(Call& call) { return Add(call, 1); }

Expectation SequentialModel::Decrement(Call& call) { return Add(call, -1); }

Expectation SequentialModel::IncrementBy(Call& call) {
  const auto delta = StrictInteger(call.at(2));
  return delta ? Add(call, *delta) : Error(kNotAnInteger);
}

Expectation SequentialModel::DecrementBy(Call& call) {
  const auto delta = StrictInteger(call.at(2));
  if (!delta) return Error(kNotAnInteger);
  if (*delta == kIntegerMin) return Error("ERR decrement would overflow");
  return Add(call, -*delta);
}

Expectation SequentialModel::Add(Call& call, int64_t delta) {
  const Value* value = Find(call, call.at(1));
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
  Assign(call, call.at(1), std::to_string(number),
         value == nullptr ? std::nullopt : value->expires_at_ms);
  return Integer(number);
}

Expectation SequentialModel::IncrementByFloat(Call& call) {
  const Value* value = Find(call, call.at(1));
  const auto old = value == nullptr ? 0.0L : Float(value->bytes);
  const auto delta = Float(call.at(2));
  if (!old || !delta) return Error("ERR value is not a valid float");
  const long double sum = *old + *delta;
  if (std::isnan(sum) || std::isinf(sum)) {
    return Error("ERR increment would produce NaN or Infinity");
  }
  Assign(call, call.at(1), FloatText(sum), value == nullptr ? std::nullopt : value->expires_at_ms)
      .encoding = Encoding::kText;
  return Bulk(FloatText(sum));
}

// --- LCS.

Expectation SequentialModel::CommonSubsequence(Call& call) {
  bool length_only = false;
  bool indices = false;
  bool lengths = false;
  int64_t least = 0;
  for (size_t index = 3; index < call.count(); ++index) {
    const std::string option = call.word(index);
    if (option == "idx") {
      indices = true;
    } else if (option == "len") {
      length_only = true;
    } else if (option == "withmatchlen") {
      lengths = true;
    } else if (option == "minmatchlen" && index + 1 < call.count()) {
      const auto number = StrictInteger(call.at(++index));
      if (!number) return Error(kNotAnInteger);
      least = *number;
    } else {
      return Error(kSyntaxError);
    }
  }
  if (indices && length_only) {
    return Error("ERR If you want both the length and indexes, please just use IDX.");
  }
  const Value* left_value = Find(call, call.at(1));
  const std::string left = left_value == nullptr ? "" : left_value->bytes;
  const Value* right_value = Find(call, call.at(2));
  const std::string right = right_value == nullptr ? "" : right_value->bytes;
  const auto cells = static_cast<int64_t>((left.size() + 1) * (right.size() + 1));
  if (cells > kValueBytesMax / 4) {
    return Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  std::vector<std::vector<int64_t>> table(left.size() + 1, std::vector<int64_t>(right.size() + 1));
  for (size_t i = 1; i <= left.size(); ++i) {
    for (size_t j = 1; j <= right.size(); ++j) {
      table[i][j] = left[i - 1] == right[j - 1] ? table[i - 1][j - 1] + 1
                                                : std::max(table[i - 1][j], table[i][j - 1]);
    }
  }
  const int64_t total = table[left.size()][right.size()];
  if (length_only) return Integer(total);
  // Backwards, and in the left text only where that keeps more.
  std::string common;
  std::string matches;
  int64_t count = 0;
  size_t i = left.size();
  size_t j = right.size();
  while (i > 0 && j > 0) {
    if (left[i - 1] != right[j - 1]) {
      table[i - 1][j] > table[i][j - 1] ? --i : --j;
      continue;
    }
    int64_t run = 0;
    while (i > 0 && j > 0 && left[i - 1] == right[j - 1]) {
      common.insert(0, 1, left[i - 1]);
      --i;
      --j;
      ++run;
    }
    if (run < least) continue;
    ++count;
    matches += lengths ? "*3\r\n" : "*2\r\n";
    for (const size_t start : {i, j}) {
      const auto first = static_cast<int64_t>(start);
      matches += "*2\r\n" + Integer(first).bytes + Integer(first + run - 1).bytes;
    }
    if (lengths) matches += Integer(run).bytes;
  }
  if (!indices) return Bulk(common);
  return Exact((call.connection.protocol == 3 ? "%2\r\n" : "*4\r\n") + BulkBytes("matches") + "*" +
               std::to_string(count) + "\r\n" + matches + BulkBytes("len") + Integer(total).bytes);
}

}  // namespace orrery::scenarios
