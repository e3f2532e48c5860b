// The submission side of a ring: prepared operations, each tagged with user data, and a full queue
// as an answer.
//
// Every method that prepares an operation returns [[nodiscard]] true, or false when the queue is
// full ("refused"): then nothing was written and nothing is lost; the caller keeps its work and
// tries again after the next Enter. An SQE starts from zero each time, so that no flag of its last
// use survives.
//
// Lifetimes, as the kernel reads them: iovec arrays, msghdrs and timespecs must live until Enter
// has consumed the SQE (IORING_FEAT_SUBMIT_STABLE); payload memory until the last CQE. Descriptors
// are resolved when Enter consumes the SQE, not when it is prepared. Used by the ring's thread
// only.
#pragma once

#include <liburing.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/ring/ring.h"
#include "runtime/ring/user_data.h"

namespace orrery {

// A plain descriptor, or a slot of the ring's fixed-file table.
struct File {
  int number = -1;
  bool fixed = false;

  static constexpr File Descriptor(int fd) { return {.number = fd, .fixed = false}; }
  static constexpr File Fixed(int slot) { return {.number = slot, .fixed = true}; }
};

// A part of the registered region number `region`.
struct FixedBuffer {
  std::span<std::byte> bytes;
  uint16_t region = 0;
};

class SubmissionQueue {
 public:
  explicit SubmissionQueue(Ring& ring) : ring_(ring) {}
  SubmissionQueue(const SubmissionQueue&) = delete;
  SubmissionQueue& operator=(const SubmissionQueue&) = delete;

  // How many operations can be prepared before the next Enter.
  unsigned space_left();
  // Prepared operations that no Enter has consumed.
  unsigned pending();
  // Publishes what was prepared to the kernel's side of the ring and returns pending(), Enter's
  // to_submit.
  unsigned Publish();

  // A copy of an operation that was prepared elsewhere, by liburing's helpers.
  [[nodiscard]] bool Push(const io_uring_sqe& prepared, UserData user_data);

  [[nodiscard]] bool Nop(UserData user_data);

  // Up to `bytes.size()` bytes, at most 2^32-1, at `offset`; kCurrentOffset for streams. Writes to
  // a broken stream raise SIGPIPE: sockets use Send and SendMessage.
  static constexpr uint64_t kCurrentOffset = ~uint64_t{0};
  [[nodiscard]] bool Read(File file, std::span<std::byte> bytes, uint64_t offset,
                          UserData user_data);
  [[nodiscard]] bool Write(File file, std::span<const std::byte> bytes, uint64_t offset,
                           UserData user_data);
  // The same for parts of registered regions. EFAULT: `buffer` is not within its region.
  [[nodiscard]] bool ReadFixed(File file, FixedBuffer buffer, uint64_t offset, UserData user_data);
  [[nodiscard]] bool WriteFixed(File file, FixedBuffer buffer, uint64_t offset, UserData user_data);
  // At most IOV_MAX iovecs, or the kernel answers EINVAL.
  [[nodiscard]] bool WriteVector(File file, std::span<const iovec> iovecs, uint64_t offset,
                                 UserData user_data);

  // send(2) and sendmsg(2) with MSG_NOSIGNAL and `flags`. Short counts are normal.
  [[nodiscard]] bool Send(File socket, std::span<const std::byte> bytes, int flags,
                          UserData user_data);
  // More than IOV_MAX iovecs: the kernel answers EMSGSIZE.
  [[nodiscard]] bool SendMessage(File socket, const msghdr& message, int flags, UserData user_data);
  // The same without copying the payload: after the CQE with the result, which has F_MORE, comes a
  // notification when the payload is the program's again; errors included. Not to be linked.
  [[nodiscard]] bool SendMessageZeroCopy(File socket, const msghdr& message, int flags,
                                         UserData user_data);

  // One receive into memory of the caller's.
  [[nodiscard]] bool Receive(File socket, std::span<std::byte> bytes, int flags,
                             UserData user_data);
  // One receive into a provided buffer of `buffer_group`.
  [[nodiscard]] bool ReceiveBuffer(File socket, uint16_t buffer_group, UserData user_data);
  // Receives into provided buffers of `buffer_group` until it ends: one CQE a buffer, the last
  // without F_MORE.
  [[nodiscard]] bool ReceiveMultishot(File socket, uint16_t buffer_group, UserData user_data);

  // Accepted sockets get `flags` (SOCK_CLOEXEC, SOCK_NONBLOCK).
  [[nodiscard]] bool Accept(File listener, int flags, UserData user_data);
  [[nodiscard]] bool AcceptMultishot(File listener, int flags, UserData user_data);
  // Accepts into a free slot of the fixed-file table, which is the result. ENFILE: none was free,
  // and the connection is lost (fact A10).
  [[nodiscard]] bool AcceptFixed(File listener, UserData user_data);

  // Completes with ETIME after `duration`, or with 0 after `completions` other completions if not
  // 0. Relative, monotonic. `duration` must live until Enter has consumed the SQE.
  [[nodiscard]] bool Timeout(const __kernel_timespec& duration, unsigned completions,
                             UserData user_data);

  // Cancels one operation whose user data is `target`: 0 found, ENOENT no such, EALREADY too late
  // to stop.
  [[nodiscard]] bool Cancel(UserData target, UserData user_data);

  // `how`: SHUT_RD, SHUT_WR, SHUT_RDWR.
  [[nodiscard]] bool Shutdown(File socket, int how, UserData user_data);
  // Closes a descriptor, or empties a slot of the fixed-file table. Never touches operations in
  // flight on it.
  [[nodiscard]] bool Close(File file, UserData user_data);

  // A completion of another ring: with `message` as its user data and `value` as its result. Itself
  // completes with 0 as soon as it is on its way: a ring of deferred task work shows it in its own
  // Enter only. EBADF, EBADFD: there is no such ring, or it is disabled. `ring` is its descriptor.
  [[nodiscard]] bool Message(File ring, UserData message, uint32_t value, UserData user_data);
  // Puts the file in a slot of this ring's table into a free slot of another ring's, whose number
  // is the result of both this and a completion of that ring with user data `message`. EBADF:
  // empty. ENFILE: no slot is free.
  [[nodiscard]] bool PassFile(File ring, unsigned slot, UserData message, UserData user_data);

  // A CQE with the ready mask for each wake-up of `file` that matches `events` (POLLIN, ...).
  [[nodiscard]] bool PollMultishot(File file, uint32_t events, UserData user_data);

 private:
  // A zeroed SQE with its user data, or null when the queue is full. Its user data is set again by
  // Tag() because liburing's prep helpers clear it.
  io_uring_sqe* Acquire();
  static bool Tag(io_uring_sqe* sqe, File file, UserData user_data);

  Ring& ring_;
};

// The ring's table of fixed files: sparse, updated slot by slot. Slots name files to the kernel; -1
// empties one.
[[nodiscard]] std::expected<void, Errno> RegisterSparseFiles(Ring& ring, unsigned slots);
[[nodiscard]] std::expected<void, Errno> UpdateFixedFile(Ring& ring, unsigned slot, int fd);

}  // namespace orrery
