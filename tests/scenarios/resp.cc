#include "tests/scenarios/resp.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/check.h"

namespace orrery::scenarios {
namespace {

// Replies nest this deep at most: COMMAND DOCS of Redis comes nearest.
constexpr int kDepthMax = 20;

bool IsPlain(char byte) {
  return byte > ' ' && byte < 0x7f && byte != '"' && byte != '\'' && byte != '\\';
}

// A printable byte as it is, a line's end as \n, any other as \xNN.
void AppendReadable(std::string& text, char byte) {
  if (byte == '\n') {
    text += "\\n";
  } else if (byte >= ' ' && byte < 0x7f) {
    text += byte;
  } else {
    char escape[8];
    std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<unsigned char>(byte));
    text += escape;
  }
}

std::string QuoteDouble(std::string_view argument) {
  std::string text = "\"";
  for (const char byte : argument) {
    if (byte == '"' || byte == '\\') {
      text += '\\';
      text += byte;
    } else {
      AppendReadable(text, byte);
    }
  }
  return text + "\"";
}

// Inside single quotes only \' is an escape; a line's end cannot be written, nor a backslash at the
// end, and a NUL is left to the other style.
bool FitsSingleQuotes(std::string_view argument) {
  return !argument.ends_with('\\') && std::none_of(argument.begin(), argument.end(), [](char byte) {
    return byte == '\n' || byte == '\r' || byte == '\0';
  });
}

std::string QuoteSingle(std::string_view argument) {
  std::string text = "'";
  for (const char byte : argument) {
    if (byte == '\'') text += '\\';
    text += byte;
  }
  return text + "'";
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::expected<size_t, std::string> LengthAt(std::string_view bytes, size_t start, int depth);

// The end of `count` replies from `start`, or 0.
std::expected<size_t, std::string> EndOfMany(std::string_view bytes, size_t start, int64_t count,
                                             int depth) {
  for (int64_t index = 0; index < count; ++index) {
    const auto length = LengthAt(bytes, start, depth + 1);
    if (!length || *length == 0) return length;
    start += *length;
  }
  return start;
}

// The length of the reply at `start`, or 0.
std::expected<size_t, std::string> LengthAt(std::string_view bytes, size_t start, int depth) {
  if (depth > kDepthMax) return std::unexpected("a reply nests too deeply");
  if (start >= bytes.size()) return 0;
  const char type = bytes[start];
  static constexpr std::string_view kTypes = "+-:$*_#,(=~%>!";
  if (kTypes.find(type) == std::string_view::npos) {
    return std::unexpected("no reply begins with " + Printable(bytes.substr(start, 16)));
  }
  const size_t line_end = bytes.find("\r\n", start);
  if (line_end == std::string_view::npos) return 0;
  const std::string_view line = bytes.substr(start + 1, line_end - start - 1);
  const size_t body = line_end + 2;
  if (std::string_view("+-_#,(").find(type) != std::string_view::npos) return body - start;

  const auto number = ParseInteger(line);
  if (!number || (type != ':' && *number < -1)) {
    return std::unexpected("not a number in a reply: " + Printable(bytes.substr(start, 40)));
  }
  if (type == ':' || *number == -1) return body - start;
  if (type == '$' || type == '=' || type == '!') {
    const size_t end = body + static_cast<size_t>(*number);
    if (bytes.size() < end + 2) return 0;
    if (bytes.substr(end, 2) != "\r\n") {
      return std::unexpected("a bulk reply does not end with CRLF: " +
                             Printable(bytes.substr(start, 40)));
    }
    return end + 2 - start;
  }
  const auto end = EndOfMany(bytes, body, type == '%' ? *number * 2 : *number, depth);
  if (!end || *end == 0) return end;
  return *end - start;
}

}  // namespace

std::string EncodeArray(const std::vector<std::string>& arguments) {
  std::string text = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    text += "$" + std::to_string(argument.size()) + "\r\n";
    text += argument;
    text += "\r\n";
  }
  return text;
}

std::string EncodeInline(const std::vector<std::string>& arguments, InlineStyle style) {
  ORRERY_CHECK(!arguments.empty());
  ORRERY_CHECK(!arguments.front().empty() && arguments.front().front() != '*');
  std::string text;
  for (const std::string& argument : arguments) {
    if (!text.empty()) text += ' ';
    if (!argument.empty() && std::all_of(argument.begin(), argument.end(), IsPlain)) {
      text += argument;
    } else if (style == InlineStyle::kSingle && FitsSingleQuotes(argument)) {
      text += QuoteSingle(argument);
    } else {
      text += QuoteDouble(argument);
    }
  }
  return text + (style == InlineStyle::kSingle ? "\n" : "\r\n");
}

std::expected<size_t, std::string> ReplyLength(std::string_view bytes) {
  return LengthAt(bytes, 0, 0);
}

std::optional<std::vector<std::string>> ElementsOf(std::string_view reply) {
  const size_t line_end = reply.find("\r\n");
  if (line_end == std::string_view::npos) return std::nullopt;
  if (!reply.starts_with('*') && !reply.starts_with('>')) return std::nullopt;
  std::vector<std::string> elements;
  for (size_t at = line_end + 2; at < reply.size();) {
    const auto length = ReplyLength(reply.substr(at));
    if (!length || *length == 0) return std::nullopt;
    elements.emplace_back(reply.substr(at, *length));
    at += *length;
  }
  return elements;
}

std::optional<int64_t> IntegerIn(std::string_view reply) {
  if (reply.size() < 4 || reply.front() != ':' || !reply.ends_with("\r\n")) return std::nullopt;
  return ParseInteger(reply.substr(1, reply.size() - 3));
}

std::string Printable(std::string_view bytes, size_t bytes_max) {
  std::string text = "'";
  for (const char byte : bytes.substr(0, bytes_max)) {
    if (byte == '\r') {
      text += "\\r";
    } else {
      AppendReadable(text, byte);
    }
  }
  text += "'";
  if (bytes.size() > bytes_max) text += "... (" + std::to_string(bytes.size()) + " bytes)";
  return text;
}

}  // namespace orrery::scenarios
