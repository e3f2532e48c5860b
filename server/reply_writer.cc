#include "server/reply_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/short_bytes.h"
#include "server/number.h"

namespace orrery::server {
namespace {

// A type byte, an integer and a line end.
constexpr size_t kHeaderBytesMax = 1 + kIntegerTextMax + 2;

bool IsLineEnd(char c) { return c == '\r' || c == '\n'; }

}  // namespace

// REQUIRES: kHeaderBytesMax bytes at `to`.
template <typename Number>
char* ReplyWriter::PutHeader(char* to, char type, Number value) {
  *to = type;
  if (value >= 0 && value <= 9) [[likely]] {
    to[1] = static_cast<char>('0' + value);
    return PutLineEnd(to + 2);
  }
  return PutLineEnd(std::to_chars(to + 1, to + 1 + kIntegerTextMax, value).ptr);
}

void ReplyWriter::Header(char type, uint64_t value) {
  if (!writes()) return;
  const std::span<char> room = output_.Reserve(kHeaderBytesMax);
  output_.Commit(static_cast<size_t>(PutHeader(room.data(), type, value) - room.data()));
}

void ReplyWriter::Integer(int64_t value) {
  if (!writes()) return;
  const std::span<char> room = output_.Reserve(kHeaderBytesMax);
  output_.Commit(static_cast<size_t>(PutHeader(room.data(), ':', value) - room.data()));
}

void ReplyWriter::LongBulk(std::string_view bytes) {
  static_assert(kHeaderBytesMax + kWholeBytesMax + 2 <= PendingOutput::kBlockBytes);
  if (!writes()) return;
  if (bytes.size() > kWholeBytesMax) {
    Header('$', bytes.size());
    output_.Append(bytes);
    output_.Append("\r\n");
    return;
  }
  const std::span<char> room = output_.Reserve(kHeaderBytesMax + bytes.size() + 2);
  char* to = PutHeader(room.data(), '$', bytes.size());
  CopyBytes(to, bytes);
  to = PutLineEnd(to + bytes.size());
  output_.Commit(static_cast<size_t>(to - room.data()));
}

void ReplyWriter::BulkBody(const SharedBytes& body) {
  if (!writes()) return;
  if (body.size() < kBorrowBytesMin) {
    Bulk(body.view());
    return;
  }
  Header('$', body.size());
  output_.AppendBody(body);
  output_.Append("\r\n");
}

void ReplyWriter::BulkInteger(int64_t value) {
  std::array<char, kIntegerTextMax> text;
  Bulk({text.data(), FormatInteger(value, text)});
}

void ReplyWriter::SimpleString(std::string_view text) {
  if (!writes()) return;
  output_.Append("+");
  output_.Append(text);
  output_.Append("\r\n");
}

void ReplyWriter::Error(std::string_view text) {
  errors_.Count(text);
  if (!writes()) return;
  while (!text.empty() && IsLineEnd(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsLineEnd(text.back())) text.remove_suffix(1);
  output_.Append("-");
  while (!text.empty()) {
    const size_t line = std::min(text.find_first_of("\r\n"), text.size());
    output_.Append(text.substr(0, line));
    text.remove_prefix(line);
    if (text.empty()) break;
    output_.Append(" ");
    text.remove_prefix(1);
  }
  output_.Append("\r\n");
}

void ReplyWriter::Verbatim(std::string_view text) {
  if (!writes()) return;
  constexpr std::string_view kFormat = "txt:";
  if (version_ == RespVersion::k2) {
    Bulk(text);
    return;
  }
  Header('=', kFormat.size() + text.size());
  output_.Append(kFormat);
  output_.Append(text);
  output_.Append("\r\n");
}

void ReplyWriter::Double(double value) {
  if (!writes()) return;
  // Redis 7.0 prints 17 digits; a sign of "-inf" or "inf" and no digits for the infinities.
  char text[32];
  const int length = std::isinf(value)
                         ? std::snprintf(text, sizeof(text), value > 0 ? "inf" : "-inf")
                         : std::snprintf(text, sizeof(text), "%.17g", value);
  const std::string_view digits(text, static_cast<size_t>(length));
  if (version_ == RespVersion::k2) {
    Bulk(digits);
    return;
  }
  output_.Append(",");
  output_.Append(digits);
  output_.Append("\r\n");
}

void ReplyWriter::Boolean(bool value) {
  if (version_ == RespVersion::k2) {
    Integer(value ? 1 : 0);
  } else {
    Raw(value ? "#t\r\n" : "#f\r\n");
  }
}

void ReplyWriter::Null() { Raw(version_ == RespVersion::k2 ? "$-1\r\n" : "_\r\n"); }

void ReplyWriter::NullArray() { Raw(version_ == RespVersion::k2 ? "*-1\r\n" : "_\r\n"); }

void ReplyWriter::Map(size_t pairs) {
  if (version_ == RespVersion::k2) {
    Header('*', 2 * pairs);
  } else {
    Header('%', pairs);
  }
}

}  // namespace orrery::server
