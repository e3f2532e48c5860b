// What the model tells whoever watches it: every event, in order, and every broken rule.
//
// Events hold small numbers only (ring and socket numbers, user data, results), never addresses or
// wall-clock time, so that a rolling hash over them is the same in every build. Called on the
// thread that drives the model, while it is inside a call: an observer must not call back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

struct io_uring_sqe;

namespace orrery::model {

enum class EventKind : uint8_t {
  kEnter,     // entity: ring; a: to_submit, b: min_complete
  kReturn,    // entity: ring; a: consumed or -errno, b: CQEs in the ring
  kSubmit,    // entity: ring; a: user_data, b: opcode
  kComplete,  // entity: ring; a: user_data, b: res, c: flags
  kAccepted,  // entity: socket; a: descriptor
  kSent,      // entity: socket; a: bytes that entered the stream
  kReceived,  // entity: socket; a: bytes that left the stream
  kClosed,    // entity: socket
  kReset,     // entity: socket
  kPeer,      // entity: socket; a: bytes sent, or a PeerAction; b: for kRead, bytes read
  kFault,     // entity: the choice's entity; a: Site, b: ordinal, c: the choice, never 0
  kTimer,     // entity: ring; a: user_data
};

// What a peer did, when it did not send. Negative, to tell them from byte counts.
enum class PeerAction : int64_t {
  kConnect = -1,
  kRead = -2,
  kShutdownWrite = -3,
  kClose = -4,
  kReset = -5,
};

struct Event {
  EventKind kind;
  uint64_t entity = 0;
  int64_t a = 0;
  int64_t b = 0;
  int64_t c = 0;
};

std::string_view NameOf(EventKind kind);

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnEvent(const Event& event) = 0;
  // The program under test broke a rule of the ring. `invariant` is a short stable name such as
  // "provided-buffer-published-twice", `detail` says what was seen.
  virtual void OnViolation(std::string_view invariant, std::string_view detail) = 0;

  // Details of the event that comes next, for whoever draws a run. They may hold addresses, and
  // nothing that has to be the same in every build is made of them.

  // What a kSubmit is about.
  virtual void OnSqe([[maybe_unused]] const io_uring_sqe& sqe) {}
  // The bytes that a kSent, kReceived or kPeer of a stream counts, in order, in one or more pieces.
  virtual void OnBytes([[maybe_unused]] std::span<const std::byte> bytes) {}
};

}  // namespace orrery::model
