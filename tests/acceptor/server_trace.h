// A recorded run of a program on one ring, as data, and its file: what the program gave the kernel,
// what the kernel answered, and the bytes. The program's peers are not in it.
//
// A trace begins when its recorder is made and ends when that is closed; only one ring is in it.
// Everything is in the order in which it happened. Addresses are the program's: names for memory,
// never dereferenced. Plain data, no thread.
//
// The file, version 1. Numbers without a width are LEB128, signed ones zigzag; the rest is little
// endian. First the eight bytes "orrtrace", then the version, then records until `end`; each is a
// byte that names its kind, and its fields:
//
//   1 ring        SQ entries, CQ entries, set-up flags
//   2 listen      signed result (descriptor or -errno), port, signed backlog
//   3 eventfd     signed result
//   4 close       signed descriptor
//   5 register    opcode, signed result, group, entries, flags (the last three of buffer rings)
//   6 publish     group, count; then each entry: signed address - the entry's before, bytes, id
//   7 enter       start - the end of the enter before, duration, CQEs reaped since that one,
//                 to_submit, min_complete, 1 + signed (deadline - start) or 0 for never, minimum
//                 wait, signed result, SQ flags afterwards, count of SQEs, count of CQEs; then them
//     SQE         a byte: which of its eight 8-byte words are not 0; these; count of iovecs;
//     payload CQE         8 bytes user data, signed result, flags, payload payload     2 * bytes +
//     (1: its content follows); else, if there are bytes, 8 bytes hash
//   8 stream      bytes received, 8 bytes hash, bytes sent, 8 bytes hash: of the accepted
//                 connections, in their order, as they were at the end
//   9 end         count of enters
//
// A payload is what a send gathers when it is submitted; what a receive left in its buffer; and,
// of the CQE of a send, as many bytes of its memory as the result says, read when it had completed.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/units.h"

namespace orrery::acceptor {

// How long a piece of a stream is, and a hash that can be put together from its pieces' hashes.
class StreamHash {
 public:
  StreamHash() = default;
  StreamHash(uint64_t bytes, uint64_t hash) : bytes_(bytes), hash_(hash) {}

  void Append(std::string_view bytes);
  void Append(const StreamHash& piece);
  uint64_t bytes() const { return bytes_; }
  uint64_t hash() const { return hash_; }
  friend bool operator==(const StreamHash&, const StreamHash&) = default;

 private:
  uint64_t bytes_ = 0;
  uint64_t hash_ = 0;
};

// Bytes of one operation. The content is there when there are at most kContentMax of them.
struct TracePayload {
  static constexpr size_t kContentMax = 2048;

  StreamHash hash = {};
  std::string content = {};

  bool has_content() const { return content.size() == hash.bytes(); }
};

struct TracedSubmission {
  io_uring_sqe sqe = {};
  uint64_t iovecs = 0;
  TracePayload payload = {};
};

struct TracedCompletion {
  uint64_t user_data = 0;
  int32_t result = 0;
  uint32_t flags = 0;
  TracePayload payload = {};
};

struct TracedRing {
  unsigned sq_entries = 0;
  unsigned cq_entries = 0;
  unsigned flags = 0;
};

struct TracedListen {
  int32_t result = 0;
  uint16_t port = 0;
  int32_t backlog = 0;
};

struct TracedEventFd {
  int32_t result = 0;
};

struct TracedClose {
  int32_t descriptor = 0;
};

struct TracedRegister {
  unsigned opcode = 0;
  int32_t result = 0;
  uint16_t group = 0;
  unsigned entries = 0;
  unsigned flags = 0;
};

struct TracedBuffer {
  uint64_t address = 0;
  uint32_t bytes = 0;
  uint16_t id = 0;
};

struct TracedPublication {
  uint16_t group = 0;
  std::vector<TracedBuffer> buffers = {};
};

struct TracedEnter {
  Nanoseconds start = 0;  // Since the trace began.
  Nanoseconds end = 0;
  uint64_t reaped = 0;  // CQEs that the program took since the enter before.
  unsigned to_submit = 0;
  unsigned min_complete = 0;
  Nanoseconds deadline = kNever;
  unsigned min_wait_us = 0;
  int32_t result = 0;
  uint32_t sq_flags = 0;
  std::vector<TracedSubmission> submissions = {};  // That were consumed.
  std::vector<TracedCompletion> completions = {};  // That became visible.
};

using TraceEvent = std::variant<TracedRing, TracedListen, TracedEventFd, TracedClose,
                                TracedRegister, TracedPublication, TracedEnter>;

// Both directions of an accepted connection.
struct TracedStream {
  StreamHash received;
  StreamHash sent;
};

struct ServerTrace {
  std::vector<TraceEvent> events;
  std::vector<TracedStream> streams;
};

// Writes a trace as it comes. What goes wrong with the file is kept until Close().
class TraceWriter {
 public:
  // `file` is open for writing and is closed by this; null: it could not be opened.
  explicit TraceWriter(std::FILE* file);
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;
  ~TraceWriter();

  void Write(const TraceEvent& event);
  void Write(const TracedEnter& enter);
  // The end. False: the file is not whole.
  [[nodiscard]] bool Close(const std::vector<TracedStream>& streams);
  uint64_t bytes() const { return flushed_ + buffer_.size(); }

 private:
  void Flush();

  std::FILE* file_;
  bool failed_ = false;
  std::string buffer_;
  uint64_t flushed_ = 0;
  uint64_t enters_ = 0;
  Nanoseconds last_end_ = 0;
};

// The error is one line: what is wrong, and where.
std::expected<ServerTrace, std::string> ParseTrace(std::span<const std::byte> bytes);
std::expected<ServerTrace, std::string> ReadTrace(const std::string& path);

// A line for a person, without its end.
std::string ToText(const TracedSubmission& submission);
std::string ToText(const TracedCompletion& completion);
std::string ToText(const TraceEvent& event);
// The events around one, with an end to each line; of its own completions, those around one.
std::string WindowText(const ServerTrace& trace, size_t event, size_t completion);

}  // namespace orrery::acceptor
