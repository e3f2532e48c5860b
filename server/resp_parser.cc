#include "server/resp_parser.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include "base/mark.h"
#include "base/short_bytes.h"
#include "server/inline_split.h"
#include "server/number.h"

namespace orrery::server {

void Command::SetArguments(const char* base) {
  std::string_view* argument = few_.data();
  if (spans_.size() > few_.size()) {
    many_.resize(spans_.size());
    argument = many_.data();
  }
  arguments_ = argument;
  size_ = spans_.size();
  for (const Span& span : spans_) {
    *argument++ = span.offset >= kInBodies ? bodies_[span.offset - kInBodies].bytes.view()
                                           : std::string_view(base + span.offset, span.bytes);
  }
}

size_t Command::argument_bytes() const {
  size_t bytes = 0;
  for (size_t index = 0; index < size_; ++index) bytes += arguments_[index].size();
  return bytes;
}

void Command::Clear() {
  size_ = 0;
  front_ = {};
  holds_memory_ = false;
  spans_.clear();
  if (spans_.capacity() > kArgumentsKept) [[unlikely]] {
    spans_ = {};
    many_ = {};
  }
  if (!bodies_.empty()) [[unlikely]]
    bodies_ = {};
  if (text_.capacity() > kTextKept) [[unlikely]] {
    text_ = {};
  }
}

void Command::TakeOver(Command& other, size_t body_bytes_min) {
  Clear();
  holds_memory_ = true;
  text_.clear();
  for (size_t index = 0; index < other.size(); ++index) {
    const std::string_view argument = other[index];
    const SharedBytes* const body = other.BodyAt(index);
    if (body != nullptr || argument.size() >= body_bytes_min) {
      spans_.push_back({.offset = kInBodies + bodies_.size(), .bytes = argument.size()});
      bodies_.push_back(
          {.offset = 0, .bytes = body != nullptr ? *body : SharedBytes::Copy(argument)});
    } else {
      spans_.push_back({.offset = text_.size(), .bytes = argument.size()});
      text_.append(argument);
    }
  }
  SetArguments(text_.data());
  other.Clear();
}

std::string ProtocolErrorText(const ParseResult& result) {
  const std::string prefix = "Protocol error: ";
  switch (result.error) {
    case ProtocolError::kInvalidMultibulkLength:
      return prefix + "invalid multibulk length";
    case ProtocolError::kTooBigMultibulkCount:
      return prefix + "too big mbulk count string";
    case ProtocolError::kExpectedBulk:
      // Redis formats with C strings, so a zero byte ends the text.
      return prefix + "expected '$', got '" +
             (result.unexpected == 0 ? "" : std::string(1, result.unexpected) + "'");
    case ProtocolError::kInvalidBulkLength:
      return prefix + "invalid bulk length";
    case ProtocolError::kTooBigBulkCount:
      return prefix + "too big bulk count string";
    case ProtocolError::kTooBigInline:
      return prefix + "too big inline request";
    case ProtocolError::kUnbalancedQuotes:
      return prefix + "unbalanced quotes in request";
    case ProtocolError::kUnauthenticatedMultibulkLength:
      return prefix + "unauthenticated multibulk length";
    case ProtocolError::kUnauthenticatedBulkLength:
      return prefix + "unauthenticated bulk length";
    case ProtocolError::kNone:
      break;
  }
  CheckFailed(__FILE__, __LINE__, "result.error != kNone", "there is no protocol error to explain");
}

// What one part of the parser found; `length` is a line's number (ReadLength only).
struct RespParser::Step {
  ParseStatus status = ParseStatus::kNeedMore;
  ProtocolError error = ProtocolError::kNone;
  char unexpected = 0;
  std::optional<int64_t> length = {};

  static Step Error(ProtocolError error, char unexpected = 0) {
    return {.status = ParseStatus::kError, .error = error, .unexpected = unexpected};
  }
};

const char* RespParser::ReadLongNumber(const char* at, const char* end, uint64_t& number) {
  constexpr ptrdiff_t kDigitsMax = 9;
  const char* const digits_end = at + std::min(kDigitsMax - 2, end - at - 2);
  while (*at != '\r') {
    const uint64_t digit = static_cast<unsigned char>(*at) - uint64_t{'0'};
    if (digit > 9 || at >= digits_end) return nullptr;
    number = number * 10 + digit;
    ++at;
  }
  return at + 2;
}

size_t RespParser::ReadUsual(std::string_view input, const ParserLimits& limits, Command& command) {
  const char* const end = input.data() + input.size();
  const char* const rest = ReadUsualFront(input.data(), end, limits, command);
  return rest == nullptr ? 0 : ReadUsualRest(input, rest, limits, command);
}

const char* RespParser::ReadUsualFront(const char* at, const char* end, const ParserLimits& limits,
                                       Command& command) {
  at = ReadUsualLine(at, end, '*', command.size_);
  if (at == nullptr || command.size_ == 0 || command.size_ > Command::kFewArguments) return nullptr;
  return ReadUsualBulk(at, end, limits, command.few_[0]);
}

// Reads the line "?<number>\r\n" at position.next, whatever byte '?' is. As in Redis, the byte
// after '\r' is not looked at.
RespParser::Step RespParser::ReadLength(std::string_view frame, ProtocolError too_long,
                                        Position& position) {
  const std::string_view line = frame.substr(position.next);
  const size_t end = line.find('\r', position.searched);
  const size_t line_bytes = end == std::string_view::npos ? line.size() : end;
  if (line_bytes > kLineBytesMax) return Step::Error(too_long);
  if (end == std::string_view::npos || end + 2 > line.size()) {
    position.searched = line_bytes;
    return {};
  }
  position.next += end + 2;
  position.searched = 0;
  // A line that starts with '\r' has no number, and a first byte that is wrong in itself.
  const std::string_view number = end == 0 ? std::string_view() : line.substr(1, end - 1);
  return {.status = ParseStatus::kCommand, .length = ParseInteger(number)};
}

RespParser::Step RespParser::ReadArray(std::string_view frame, const ParserLimits& limits,
                                       Position& position, Command& command) {
  if (!position.count_known) {
    const Step step = ReadLength(frame, ProtocolError::kTooBigMultibulkCount, position);
    if (step.status != ParseStatus::kCommand) return step;
    if (!step.length || *step.length > static_cast<int64_t>(kArgumentsMax)) {
      return Step::Error(ProtocolError::kInvalidMultibulkLength);
    }
    if (limits.unauthenticated &&
        *step.length > static_cast<int64_t>(kUnauthenticatedArgumentsMax)) {
      return Step::Error(ProtocolError::kUnauthenticatedMultibulkLength);
    }
    position.count_known = true;
    position.arguments_left = *step.length < 0 ? 0 : static_cast<uint32_t>(*step.length);
  }
  while (position.arguments_left > 0) {
    if (!position.bulk_known) {
      const uint64_t header = position.next;
      const Step step = ReadLength(frame, ProtocolError::kTooBigBulkCount, position);
      if (step.status != ParseStatus::kCommand) return step;
      if (frame[header] != '$') return Step::Error(ProtocolError::kExpectedBulk, frame[header]);
      if (!step.length || *step.length < 0 ||
          static_cast<uint64_t>(*step.length) > limits.bulk_bytes_max) {
        return Step::Error(ProtocolError::kInvalidBulkLength);
      }
      if (limits.unauthenticated &&
          static_cast<uint64_t>(*step.length) > kUnauthenticatedBulkBytesMax) {
        return Step::Error(ProtocolError::kUnauthenticatedBulkLength);
      }
      position.bulk_known = true;
      position.bulk_bytes = static_cast<uint64_t>(*step.length);
    }
    const bool apart = position.bodies_used < command.bodies_.size() &&
                       command.bodies_[position.bodies_used].offset == position.next;
    const uint64_t wanted = (apart ? 0 : position.bulk_bytes) + 2;
    const uint64_t available = frame.size() - position.next;
    if (available < wanted) {
      position.missing_bytes = wanted - available;
      return {};
    }
    const uint64_t offset = apart ? Command::kInBodies + position.bodies_used++ : position.next;
    command.spans_.push_back({.offset = offset, .bytes = position.bulk_bytes});
    position.next += wanted;  // As in Redis, the two bytes behind a bulk are not looked at.
    position.bulk_known = false;
    --position.arguments_left;
  }
  command.SetArguments(frame.data());
  return {.status = ParseStatus::kCommand};
}

RespParser::Step RespParser::ReadInline(std::string_view frame, Position& position,
                                        Command& command) {
  const size_t newline = frame.find('\n', position.searched);
  const size_t line_bytes = newline == std::string_view::npos ? frame.size() : newline;
  if (line_bytes > kLineBytesMax) return Step::Error(ProtocolError::kTooBigInline);
  if (newline == std::string_view::npos) {
    position.searched = line_bytes;
    return {};
  }
  position.next = newline + 1;
  std::string_view line = frame.substr(0, newline);
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::string& text = command.text_;
  text.clear();
  const bool balanced = SplitInline(line, text, [&](size_t begin, size_t end) {
    command.spans_.push_back({.offset = begin, .bytes = end - begin});
  });
  if (!balanced) return Step::Error(ProtocolError::kUnbalancedQuotes);
  command.SetArguments(text.data());
  return {.status = ParseStatus::kCommand};
}

RespParser::Step RespParser::ReadFrame(std::string_view frame, const ParserLimits& limits,
                                       Position& position, Command& command) {
  return frame[0] == '*' ? ReadArray(frame, limits, position, command)
                         : ReadInline(frame, position, command);
}

void RespParser::Rewind(Command& first) {
  unfinished_.reset();
  if (first.bodies_.empty()) return;
  ORRERY_MARK("parse.rewound-with-a-body");
  unfinished_ = std::make_unique<Unfinished>();
  unfinished_->bodies.swap(first.bodies_);
}

std::optional<RespParser::OpenBulk> RespParser::open_bulk() const {
  if (unfinished_ == nullptr || !unfinished_->bulk_known) return std::nullopt;
  // Supplied already.
  if (unfinished_->bodies_used < unfinished_->bodies.size()) return std::nullopt;
  return OpenBulk{.offset = unfinished_->next, .bytes = unfinished_->bulk_bytes};
}

void RespParser::SupplyBulk(SharedBytes body) {
  const auto bulk = open_bulk();
  ORRERY_CHECK(bulk.has_value());
  ORRERY_CHECK_OP(bulk->bytes, ==, body.size());
  unfinished_->bodies.push_back({.offset = bulk->offset, .bytes = std::move(body)});
}

uint64_t RespParser::supplied_bytes() const {
  uint64_t bytes = 0;
  if (unfinished_ == nullptr) return bytes;
  for (const Command::Body& body : unfinished_->bodies) bytes += body.bytes.size();
  return bytes;
}

ParseResult RespParser::ParseWithCare(std::string_view input, const ParserLimits& limits,
                                      Command& command) {
  command.Clear();
  if (input.empty()) return {};
  command.holds_memory_ = true;
  Position position;
  if (unfinished_ != nullptr) {
    position = *unfinished_;
    ORRERY_MARK_IF(position.missing_bytes > 0, "parse.resumed-in-a-bulk");
    ORRERY_MARK_IF(position.missing_bytes == 0 && position.count_known,
                   "parse.resumed-in-an-array");
    ORRERY_MARK_IF(!position.count_known, "parse.resumed-in-the-first-line");
    position.missing_bytes = 0;
    command.spans_.swap(unfinished_->spans);
    if (!unfinished_->bodies.empty()) [[unlikely]]
      command.bodies_.swap(unfinished_->bodies);
  }
  size_t frame_start = 0;
  while (frame_start < input.size()) {
    const Step step = ReadFrame(input.substr(frame_start), limits, position, command);
    if (step.status == ParseStatus::kError) {
      unfinished_.reset();
      return {.status = step.status,
              .error = step.error,
              .unexpected = step.unexpected,
              .consumed_bytes = frame_start};
    }
    if (step.status == ParseStatus::kNeedMore) {
      if (unfinished_ == nullptr) unfinished_ = std::make_unique<Unfinished>();
      static_cast<Position&>(*unfinished_) = position;
      unfinished_->spans.swap(command.spans_);
      command.spans_.clear();
      unfinished_->bodies.swap(command.bodies_);
      return {.consumed_bytes = frame_start};
    }
    frame_start += position.next;
    unfinished_.reset();
    if (!command.empty()) {
      return {.status = ParseStatus::kCommand, .consumed_bytes = frame_start};
    }
    position = {};
  }
  return {.consumed_bytes = frame_start};
}

}  // namespace orrery::server
