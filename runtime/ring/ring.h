// The narrow waist: everything that our code and a kernel exchange is ring memory plus two calls.
//
// memory() is a liburing `io_uring` over real SQEs and CQEs in real memory, whoever stands behind
// it: LiburingRing (the kernel) or kernel_model's ModelRing. Allowed on it are liburing's
// memory-only inline helpers: io_uring_get_sqe, io_uring_prep_*, io_uring_for_each_cqe,
// io_uring_cq_advance, io_uring_buf_ring_add/advance. Helpers that may enter the kernel by
// themselves (submit, wait, peek) are not: they would bypass the ring. user_data ~0 is reserved.
//
// Thread: all calls come from the thread that made the ring (SINGLE_ISSUER).
#pragma once

#include <liburing.h>

#include <cstdint>
#include <expected>

#include "base/errno.h"
#include "base/units.h"

namespace orrery {

// One call of io_uring_enter(2), as data, so that the code around the wait can be simulated too.
// Completions are always asked for (IORING_ENTER_GETEVENTS): with DEFER_TASKRUN nothing else shows
// late ones.
struct EnterRequest {
  // SQEs published and not consumed yet.
  unsigned to_submit = 0;
  // How many CQEs to wait for. 0 only looks.
  unsigned min_complete = 0;
  // Monotonic time at which a wait ends without them. kNever waits without limit.
  Nanoseconds deadline = kNever;
  // Reserved for a minimum wait (batching); 0 turns it off. Microseconds, as in
  // io_uring_getevents_arg.
  unsigned min_wait_us = 0;
};

// How many SQEs the kernel consumed, or why the call as a whole did nothing. Fewer than asked for
// is no error: the rest is still in the queue, and the wait was skipped. ETIME and EINTR mean that
// nothing was submitted and nothing completed; EAGAIN and EBUSY that the kernel wants completions
// reaped first.
using EnterResult = std::expected<unsigned, Errno>;

class Ring {
 public:
  virtual ~Ring() = default;

  // io_uring_enter(2). Sleeps as the request says.
  virtual EnterResult Enter(const EnterRequest& request) = 0;

  // io_uring_register(2): the non-negative result, or the error.
  virtual std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                                  unsigned count) = 0;

  io_uring& memory() { return memory_; }

 protected:
  Ring() : memory_() {}
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Set up by the implementation before anybody sees the ring.
  io_uring memory_;
};

// What a ring is made with.
struct RingOptions {
  unsigned sq_entries = 1024;  // Rounded up to a power of two.
  unsigned cq_entries = 8192;  // Rounded up to a power of two; at least the SQ's.
};

}  // namespace orrery
