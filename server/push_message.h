// A message on its way to many clients: encoded once, and the same for both versions of RESP but
// for its first byte.
//
// A short one is copied into each receiver's output, a long payload is borrowed by all of them.
// Used by the shard's thread only.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/shared_bytes.h"
#include "runtime/pending_output.h"
#include "server/reply_writer.h"

namespace orrery::server {

// What is published.
struct Payload {
  std::string_view bytes;
  const SharedBytes* body = nullptr;  // The same bytes, where they have a body already.
};

class PushMessage {
 public:
  // A payload of this size or more is borrowed: from 2 to 4 KiB on that is no dearer than copying
  // it into each output (//bench:push_message_bench), and it takes memory once.
  static constexpr size_t kBorrowBytesMin = 2 * kKiB;

  // The payload of what is encoded until Clear(); it stays where it is for as long.
  void SetPayload(const Payload& payload);
  // It becomes an array of `parts` and the payload. The memory of what it was before is used again.
  void Encode(std::initializer_list<std::string_view> parts);
  // Appends it for a client that speaks `version`.
  void AppendTo(PendingOutput& output, RespVersion version);
  // Lets go of the payload.
  void Clear() { SetPayload({}); }

 private:
  void AddHeader(char type, size_t count);

  std::string_view payload_;
  SharedBytes body_;  // Of the payload, if it is borrowed.
  std::string text_;  // All of the message, or all before the body.
};

}  // namespace orrery::server
