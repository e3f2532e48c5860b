// Reads commands from what a client sends: RESP arrays of bulk strings, and inline lines.
//
// The parser works in place on contiguous bytes and copies none of them. A frame may arrive in any
// pieces: what a call has learned about an unfinished frame is kept as offsets from the frame's
// start, so the caller may move the frame, and the next call looks only at what is new. Memory
// grows with bytes that have arrived, never with a length that was announced.
//
// Invariant: however the stream is cut, the commands and the error that come out are the same.
// Owned by a connection; used by the shard's thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/shared_bytes.h"
#include "base/short_bytes.h"
#include "base/units.h"

namespace orrery::server {

// One command: its arguments, the name first. The arguments point into the input of the call that
// completed the command, or into the Command itself (an inline command, a body that was received
// apart, a command that was taken over), and are valid until either changes. Meant to be reused:
// the steady state allocates nothing.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view operator[](size_t index) const {
    ORRERY_DCHECK(index < size_);
    return arguments_[index];
  }
  // The argument as a value of its own, which may be kept instead of copied. Null when it is part
  // of the input.
  const SharedBytes* BodyAt(size_t index) const {
    if (bodies_.empty()) [[likely]]
      return nullptr;
    const Span& span = spans_[index];
    return span.offset < kInBodies ? nullptr : &bodies_[span.offset - kInBodies].bytes;
  }

  // What the arguments take, together.
  size_t argument_bytes() const;

  void Clear();
  // Becomes `other`, which has no arguments then, and depends on no input: its bodies move here, an
  // argument of `body_bytes_min` or more becomes a body, the others are copied. No reference to the
  // bodies is left behind, so that this may go to another thread.
  void TakeOver(Command& other, size_t body_bytes_min);
  // Lets go of the bodies. The arguments are not used any more.
  void DropBodies() {
    if (!bodies_.empty()) [[unlikely]]
      Clear();
  }

 private:
  friend class RespParser;
  // A Command that once held more arguments than this gives their memory back.
  static constexpr size_t kArgumentsKept = 1024;
  static constexpr size_t kTextKept = 4 * kKiB;
  // The arguments of a usual command; they take no memory of their own.
  static constexpr size_t kFewArguments = 24;

  // An argument of a frame that may still be moved.
  struct Span {
    uint64_t offset;
    uint64_t bytes;
  };

  // An argument that was received apart from its frame, which has nothing but its end of line at
  // `offset`.
  struct Body {
    uint64_t offset;
    SharedBytes bytes;
  };
  // Offsets from here on count in bodies_.
  static constexpr uint64_t kInBodies = uint64_t{1} << 63;

  // All of spans_ has been read, and is at `base` to stay.
  void SetArguments(const char* base);

  const std::string_view* arguments_ = nullptr;  // In one of the next two.
  size_t size_ = 0;
  // Of a frame that was read in one pass, all before the second argument; empty for others.
  std::string_view front_;
  std::array<std::string_view, kFewArguments> few_;
  std::vector<std::string_view> many_;
  // Something below, or many_, may hold memory, or mean something.
  bool holds_memory_ = false;
  std::vector<Span> spans_;   // The arguments, unless they were read in one pass (ReadUsual()).
  std::vector<Body> bodies_;  // In the order of the arguments.
  // The decoded arguments of an inline command, or those taken over.
  std::string text_;
};

enum class ParseStatus : uint8_t {
  kNeedMore,  // The input ends inside a frame, or is empty.
  kCommand,   // A command is in `command`.
  kError,     // The stream is not the protocol; nothing after this point can be trusted.
};

// Why a stream is not the protocol.
enum class ProtocolError : uint8_t {
  kNone,
  kInvalidMultibulkLength,
  kTooBigMultibulkCount,
  kExpectedBulk,
  kInvalidBulkLength,
  kTooBigBulkCount,
  kTooBigInline,
  kUnbalancedQuotes,
  kUnauthenticatedMultibulkLength,
  kUnauthenticatedBulkLength,
};

struct ParseResult {
  ParseStatus status = ParseStatus::kNeedMore;
  ProtocolError error = ProtocolError::kNone;
  char unexpected = 0;  // With kExpectedBulk: what stood there instead of '$'.
  // Bytes at the front of the input that are done with. Never ends inside a frame.
  size_t consumed_bytes = 0;
};

// "Protocol error: ...", Redis's text without the error code.
std::string ProtocolErrorText(const ParseResult& result);

struct ParserLimits {
  uint64_t bulk_bytes_max = 512 * kMiB;
  // The client has yet to say the password: its commands are short.
  bool unauthenticated = false;
};

class RespParser {
 public:
  static constexpr size_t kArgumentsMax = 1024 * 1024;
  // An inline line, or the line of a count or a length.
  static constexpr size_t kLineBytesMax = 64 * kKiB;
  // Of a client that has yet to say the password.
  static constexpr size_t kUnauthenticatedArgumentsMax = 10;
  static constexpr size_t kUnauthenticatedBulkBytesMax = 16 * kKiB;

  // Reads one command from the front of `input`; empty commands are skipped. After kNeedMore the
  // next input starts with the unconsumed bytes of this one, and has more behind them. After kError
  // the parser is not used again.
  ParseResult Parse(std::string_view input, const ParserLimits& limits, Command& command) {
    if (unfinished_ == nullptr && !limits.unauthenticated) [[likely]] {
      if (input.empty()) return {};  // The end of each pipeline.
      if (command.holds_memory_) [[unlikely]]
        command.Clear();
      if (const size_t bytes = ReadUsual(input, limits, command); bytes > 0) [[likely]] {
        return {.status = ParseStatus::kCommand, .consumed_bytes = bytes};
      }
    }
    return ParseWithCare(input, limits, command);
  }

  // Parse() of a command with the name of `before`, which this parser has read right in front of
  // it, and with as many arguments: how many bytes it takes. In a pipeline the same is asked for
  // again and again, and comparing the front of the frame takes the place of reading two lines here
  // and of looking the command up. 0: it is another one, or unusual, or not whole; Parse() tells.
  // REQUIRES: the input of `before` is still there, and it was not a stranger's.
  static size_t ParseLike(const Command& before, std::string_view input, const ParserLimits& limits,
                          Command& command) {
    const std::string_view front = before.front_;
    if (front.empty() || input.size() < front.size() ||
        !SameBytes(input.substr(0, front.size()), front)) {
      return 0;
    }
    if (command.holds_memory_) [[unlikely]]
      command.Clear();
    const std::string_view name = before.few_[0];
    command.few_[0] = {input.data() + (name.data() - front.data()), name.size()};
    command.size_ = before.size_;
    return ReadUsualRest(input, input.data() + front.size(), limits, command);
  }

  // Forgets what is known of an unfinished frame, which will be presented again, from its start or
  // from that of `first`, a command before it. The bodies of `first` are kept for that.
  void Rewind(Command& first);

  // The bulk whose bytes an unfinished frame ends with, some of them or none: where in the frame it
  // starts, and how long it will be.
  struct OpenBulk {
    uint64_t offset;
    uint64_t bytes;
  };
  std::optional<OpenBulk> open_bulk() const;
  // `body` is the open bulk. The frame goes on with the end of line behind it, at the offset where
  // the bulk would have started: the caller has cut what had arrived of it off. REQUIRES: the frame
  // is the first of the input, and body.size() == open_bulk()->bytes.
  void SupplyBulk(SharedBytes body);
  // Bytes of bodies that an unfinished frame holds.
  uint64_t supplied_bytes() const;

  // Whether a frame has begun and not ended.
  bool in_frame() const { return unfinished_ != nullptr; }

  // Memory held between two calls, for limits and metrics.
  size_t memory_bytes() const {
    return unfinished_ == nullptr
               ? 0
               : sizeof(Unfinished) + unfinished_->spans.capacity() * sizeof(Command::Span);
  }

  // Bytes that the announced bulk at the end of an unfinished frame still wants: a hint for the
  // size of the next read, and 0 when it is not known.
  uint64_t missing_bytes() const { return unfinished_ == nullptr ? 0 : unfinished_->missing_bytes; }

 private:
  // Where in a frame the parser stands. Offsets count from the frame's start.
  struct Position {
    uint64_t next = 0;      // The first byte not yet understood.
    uint64_t searched = 0;  // Bytes from `next` that are known to hold no end of line.
    uint32_t arguments_left = 0;
    bool count_known = false;
    bool bulk_known = false;
    uint64_t bulk_bytes = 0;
    uint64_t missing_bytes = 0;
    uint32_t bodies_used = 0;  // Those of the command that stand before `next`.
  };
  struct Unfinished : Position {
    std::vector<Command::Span> spans;
    std::vector<Command::Body> bodies;
  };
  struct Step;

  // A whole frame of the usual shape, in one pass and without keeping where it stands: how many
  // bytes it takes; 0 when there is none. What it reads, ReadArray() would read the same way.
  static size_t ReadUsual(std::string_view input, const ParserLimits& limits, Command& command);
  // The same, from behind its name on.
  static size_t ReadUsualRest(std::string_view input, const char* at, const ParserLimits& limits,
                              Command& command);
  // Its number of arguments and its name. For this and the next ones: where it ends in the input;
  // null: it is unusual, or something of it or behind it is missing.
  static const char* ReadUsualFront(const char* at, const char* end, const ParserLimits& limits,
                                    Command& command);
  static const char* ReadUsualBulk(const char* at, const char* end, const ParserLimits& limits,
                                   std::string_view& argument);
  // The number of a line, "$12\r\n", that starts with `type`.
  static const char* ReadUsualLine(const char* at, const char* end, char type, uint64_t& number);
  // The rest of it for numbers of three digits and more, the first two of which are `number`; `at`
  // is behind them.
  static const char* ReadLongNumber(const char* at, const char* end, uint64_t& number);

  // Parse() of what is not that.
  ParseResult ParseWithCare(std::string_view input, const ParserLimits& limits, Command& command);

  // Each reads on from `position` in `frame`, which starts at the frame's first byte.
  static Step ReadFrame(std::string_view frame, const ParserLimits& limits, Position& position,
                        Command& command);
  static Step ReadArray(std::string_view frame, const ParserLimits& limits, Position& position,
                        Command& command);
  static Step ReadInline(std::string_view frame, Position& position, Command& command);
  static Step ReadLength(std::string_view frame, ProtocolError too_long, Position& position);

  // Null between frames: an idle connection costs one pointer.
  std::unique_ptr<Unfinished> unfinished_;
};

inline const char* RespParser::ReadUsualLine(const char* at, const char* end, char type,
                                             uint64_t& number) {
  constexpr ptrdiff_t kBytesMin = 6;  // "$0\r\n\r\n" is the shortest with what must follow.
  if (end - at < kBytesMin) return nullptr;
  const uint32_t word = LoadWord<uint32_t>(at);
  const uint32_t first = (word >> 8 & 0xff) - uint32_t{'0'};
  if (first > 9) return nullptr;
  // The first and the third byte; as in Redis, the byte after '\r' is not looked at.
  if ((word & 0x00ff00ff) == (static_cast<uint32_t>(type) | uint32_t{'\r'} << 16)) {
    number = first;
    return at + 4;
  }
  const uint32_t second = (word >> 16 & 0xff) - uint32_t{'0'};
  if (at[0] != type || second > 9 || first == 0) return nullptr;
  number = first * 10 + second;
  return at[3] == '\r' ? at + 5 : ReadLongNumber(at + 3, end, number);
}

inline const char* RespParser::ReadUsualBulk(const char* at, const char* end,
                                             const ParserLimits& limits,
                                             std::string_view& argument) {
  uint64_t bytes = 0;
  at = ReadUsualLine(at, end, '$', bytes);
  if (at == nullptr || bytes > limits.bulk_bytes_max ||
      static_cast<uint64_t>(end - at) < bytes + 2) {
    return nullptr;
  }
  argument = {at, bytes};
  return at + bytes + 2;
}

inline size_t RespParser::ReadUsualRest(std::string_view input, const char* at,
                                        const ParserLimits& limits, Command& command) {
  const char* const start = input.data();
  const char* const end = start + input.size();
  command.front_ = {start, static_cast<size_t>(at - start)};
  std::string_view* argument = command.few_.data();
  for (std::string_view* const last = argument + command.size_ - 1; argument != last;) {
    at = ReadUsualBulk(at, end, limits, *++argument);
    if (at == nullptr) return 0;
  }
  command.arguments_ = command.few_.data();
  return static_cast<size_t>(at - start);
}

}  // namespace orrery::server
