// What the files of the sequential model share: replies, and how Redis reads arguments. Nobody else
// includes it.
#pragma once

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/scenarios/resp.h"
#include "tests/scenarios/sequential_model.h"

namespace orrery::scenarios {

inline constexpr int64_t kIntegerMax = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kIntegerMin = std::numeric_limits<int64_t>::min();

inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kSyntaxError = "ERR syntax error";

inline std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& byte : lower) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  }
  return lower;
}

inline std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& byte : upper) {
    if (byte >= 'a' && byte <= 'z') byte = static_cast<char>(byte - 'a' + 'A');
  }
  return upper;
}

inline Expectation Exact(std::string bytes) {
  return {.kind = Expectation::Kind::kExact, .bytes = std::move(bytes)};
}
inline Expectation Prefix(std::string bytes) {
  return {.kind = Expectation::Kind::kPrefix, .bytes = std::move(bytes)};
}
// Line ends inside an error would end it early, so Redis turns them into spaces.
inline Expectation Error(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\r', ' ');
  std::replace(line.begin(), line.end(), '\n', ' ');
  return Exact("-" + line + "\r\n");
}
inline Expectation Ok() { return Exact("+OK\r\n"); }
inline Expectation Integer(int64_t number) { return Exact(":" + std::to_string(number) + "\r\n"); }

inline std::string BulkBytes(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}
inline Expectation Bulk(std::string_view bytes) { return Exact(BulkBytes(bytes)); }
inline std::string NullBytes(int protocol) { return protocol == 3 ? "_\r\n" : "$-1\r\n"; }

// As C strings are seen by printf: up to the first NUL, at most `length_max`.
inline std::string_view Clipped(std::string_view text, size_t length_max) {
  return text.substr(0, std::min(text.find('\0'), length_max));
}

// Redis takes no spaces, no plus sign, no leading zeros and no "-0".
inline std::optional<int64_t> StrictInteger(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (std::to_string(number) != text) return std::nullopt;
  return number;
}

inline Expectation WrongArity(std::string_view name) {
  return Error("ERR wrong number of arguments for '" + std::string(name) + "' command");
}

inline Expectation UnknownCommand(const std::vector<std::string>& arguments) {
  static constexpr size_t kShownMax = 128;
  std::string shown;
  for (size_t index = 1; index < arguments.size() && shown.size() < kShownMax; ++index) {
    shown += "'" + std::string(Clipped(arguments[index], kShownMax - shown.size())) + "' ";
  }
  return Error("ERR unknown command '" + std::string(Clipped(arguments[0], kShownMax)) +
               "', with args beginning with: " + shown);
}

// As Redis's glob-style patterns. sequential_model_keys.cc
bool GlobMatches(std::string_view pattern, std::string_view text);

inline bool IsNameByte(char byte) { return byte >= '!' && byte <= '~'; }

struct SequentialModel::Call {
  Connection& connection;
  const std::vector<std::string>& arguments;
  int64_t now_ms;
  int64_t monotonic_ms;

  size_t count() const { return arguments.size(); }
  const std::string& at(size_t index) const { return arguments[index]; }
  // The argument in lower case, as far as a C string of it goes.
  std::string word(size_t index) const { return Lower(at(index)); }
  int64_t now_s() const { return now_ms / 1000; }
  std::string NullText() const { return NullBytes(connection.protocol); }
  Expectation Null() const { return Exact(NullText()); }
};

}  // namespace orrery::scenarios
