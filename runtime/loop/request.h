// What a submission loop can be asked for, and what it answers.
//
// A Request is a value: it is made by one of the functions below, given a deadline if it should
// have one, and handed to a Submitter, which takes it over together with its buffer and its file.
// They come back in the Result.
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/loop/shared_file.h"
#include "runtime/operations/operations.h"
#include "runtime/ring/completion.h"

namespace orrery {

using Buffer = std::vector<std::byte>;

// What a raw request's SQE points at, and who hears of each completion. It lives until the kernel
// is through with it.
class RequestMemory {
 public:
  virtual ~RequestMemory() = default;
  // Each CQE of the request, in order; all but the last have more() (of a multishot; of a zero-copy
  // send, whose last is the notification). Also when the caller has given up: what it hands over, a
  // descriptor or a provided buffer, is this object's to keep or to give back. Called on the loop's
  // thread, which it must not block; Submitter::TrySubmit() does not.
  virtual void OnCompletion(const Completion&) {}
};

struct Request {
  enum class Kind : uint8_t {
    kReceive,
    kReceiveExactly,
    kSend,
    kReadAt,
    kWriteAt,
    kSync,
    kAccept,
    kConnect,
    kOpen,
    kClose,
    kPoll,
    kTimeout,
    kRaw,
  };

  // Bytes that are there, at most `buffer.size()`; 0 at the end of the stream.
  static Request Receive(SharedFile socket, Buffer buffer);
  // Until the buffer is full; fewer only at the end of the stream.
  static Request ReceiveExactly(SharedFile socket, Buffer buffer);
  // All of it. One send, and one receive, at a time for a socket: the kernel keeps no order among
  // several (facts R10, T4).
  static Request Send(SharedFile socket, Buffer buffer);
  // Until the buffer is full; fewer only at the end of the file.
  static Request ReadAt(SharedFile file, Buffer buffer, uint64_t offset);
  // All of it. A pipe or socket that nobody reads raises SIGPIPE: sockets use Send().
  static Request WriteAt(SharedFile file, Buffer buffer, uint64_t offset);
  // fsync(2), or fdatasync(2).
  static Request Sync(SharedFile file, bool data_only);
  // The result has the file. accept4(2)'s flags.
  static Request Accept(SharedFile listener, int flags);
  // After a timeout or a cancel the socket may still be connecting (fact A13): close it.
  static Request Connect(SharedFile socket, std::span<const std::byte> address);
  // openat(2), relative to the working directory. The result has the file.
  static Request Open(std::string path, int flags, mode_t mode);
  // Closes it and says how that went. EBUSY, and nothing is closed, while others use the file: a
  // request of theirs may be under way.
  static Request Close(SharedFile file);
  // The result is the ready mask. poll(2)'s events.
  static Request Poll(SharedFile file, uint32_t events);
  // Completes at `time`: absolute, monotonic.
  static Request Timeout(Nanoseconds time);
  // Anything: an SQE, prepared by liburing's helpers, and what it points at. A multishot goes on,
  // with one place and one deadline, until it is cancelled or the kernel ends it; `memory` hears of
  // each completion. The result is the last one's. Refused flags: see RingOperation::sqe().
  // `cancel_if_given_up`: whether nothing is lost when it is cancelled because nobody waits for it
  // any more.
  static Request Raw(const io_uring_sqe& sqe, std::unique_ptr<RequestMemory> memory,
                     bool cancel_if_given_up);

  // Ends it at this time (absolute, monotonic) at the latest, as operations.h says.
  Request&& Before(Nanoseconds latest) && {
    deadline = latest;
    return std::move(*this);
  }

  Kind kind = Kind::kTimeout;
  SharedFile file;
  Buffer buffer;
  uint64_t offset = 0;
  uint32_t flags = 0;  // Of accept, open, poll and sync.
  mode_t mode = 0;
  std::string name;  // A path; or an address' bytes.
  Nanoseconds time = 0;
  io_uring_sqe sqe{};
  std::unique_ptr<RequestMemory> memory;
  bool cancel_if_given_up = true;
  Nanoseconds deadline = kNever;
};

// "receive", "write_at".
std::string_view NameOf(Request::Kind kind);

struct Result {
  // How it ended. Of all but kCompleted `value` is an error: ETIME, ECANCELED; of kLost what ended
  // the loop.
  Outcome outcome = Outcome::kCompleted;
  // The bytes moved, the ready mask, or 0; or what the kernel refused it with.
  std::expected<uint32_t, Errno> value = 0U;
  // Bytes moved, also where it ended before all were.
  size_t bytes = 0;
  // The caller's again; empty of kLost, whose memory the kernel may still work on.
  Buffer buffer;
  // What was opened or accepted.
  SharedFile file;
  std::unique_ptr<RequestMemory> memory;

  bool ok() const { return outcome == Outcome::kCompleted && value.has_value(); }
};

}  // namespace orrery
