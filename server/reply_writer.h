// Writes replies in RESP2 or RESP3 into a connection's pending output.
//
// What is short goes straight into the output's reserved block, without a temporary string; a
// stored value of kBorrowBytesMin or more is borrowed, not copied. Invariant: every call writes one
// whole element, and after an aggregate's header exactly as many elements follow as it announced.
// A short-lived view of a PendingOutput; used by the shard's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/shared_bytes.h"
#include "base/short_bytes.h"
#include "base/units.h"
#include "runtime/pending_output.h"
#include "server/server_stats.h"

namespace orrery::server {

enum class RespVersion : uint8_t { k2 = 2, k3 = 3 };

class ReplyWriter {
 public:
  // A body of this size or more is borrowed.
  static constexpr size_t kBorrowBytesMin = 4 * kKiB;

  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  // Once `output_bytes_max` bytes are in `output` nothing more is written: the client is to be cut
  // off, and what one command replies is not to take all memory until then.
  ReplyWriter(PendingOutput& output, RespVersion version, ErrorCounts& errors,
              size_t output_bytes_max = kNoLimit)
      : output_(output), errors_(errors), output_bytes_max_(output_bytes_max), version_(version) {}

  PendingOutput& output() { return output_; }
  RespVersion version() const { return version_; }
  // For HELLO: what follows is written in `version`.
  void set_version(RespVersion version) { version_ = version; }

  // While it is muted, nothing is written.
  void set_muted(bool muted) { muted_ = muted; }
  bool muted() const { return muted_; }

  // `text` without line ends.
  void SimpleString(std::string_view text);
  void Ok() { Raw("+OK\r\n"); }
  // `text` starts with its code: "ERR syntax error". Line ends at its edges are dropped, those
  // inside become spaces, as in Redis. It is counted, muted or not.
  void Error(std::string_view text);
  // An element that is already encoded.
  void Raw(std::string_view encoded) {
    if (!writes()) return;
    if (encoded.size() > kWholeBytesMax) return output_.Append(encoded);
    if (!encoded.empty()) CopyBytes(output_.Extend(encoded.size()), encoded);
  }

  void Integer(int64_t value);
  void Bulk(std::string_view bytes) {
    // What most values are, without a call.
    constexpr size_t kOneDigit = 9;
    if (bytes.size() > kOneDigit) return LongBulk(bytes);
    if (!writes()) return;
    char* to = output_.Extend(sizeof("$1\r\n\r\n") - 1 + bytes.size());
    to[0] = '$';
    to[1] = static_cast<char>('0' + bytes.size());
    to = PutLineEnd(to + 2);
    CopyBytes(to, bytes);
    PutLineEnd(to + bytes.size());
  }
  // The same, but may borrow `body` until it is sent.
  void BulkBody(const SharedBytes& body);
  void BulkInteger(int64_t value);
  // A RESP2 bulk string, a RESP3 string of text/plain.
  void Verbatim(std::string_view text);
  // A RESP2 bulk string.
  void Double(double value);
  // A RESP2 integer 1 or 0.
  void Boolean(bool value);
  // "$-1" in RESP2; NullArray "*-1". Both are "_" in RESP3.
  void Null();
  void NullArray();

  // Headers. `count` elements follow; a map's are `pairs` keys and values, in RESP2 an array of
  // twice as many.
  void Array(size_t count) { Header('*', count); }
  void Map(size_t pairs);
  void Set(size_t count) { Header(version_ == RespVersion::k3 ? '~' : '*', count); }
  // What a client has not asked for. In RESP2 an array.
  void Push(size_t count) { Header(version_ == RespVersion::k3 ? '>' : '*', count); }

 private:
  // Up to this size an element is written in one piece; a longer one may be split over blocks.
  static constexpr size_t kWholeBytesMax = 512;

  bool writes() const { return !muted_ && output_.size_bytes() < output_bytes_max_; }
  void Header(char type, uint64_t value);
  void LongBulk(std::string_view bytes);
  template <typename Number>
  static char* PutHeader(char* to, char type, Number value);
  static char* PutLineEnd(char* to) {
    to[0] = '\r';
    to[1] = '\n';
    return to + 2;
  }

  PendingOutput& output_;
  ErrorCounts& errors_;
  size_t output_bytes_max_;
  RespVersion version_;
  bool muted_ = false;
};

}  // namespace orrery::server
