// The queue in which an accelerator asks the host for data: the layout of its memory, for C, C++
// and CUDA.
//
// A queue is an array of N slots, N a power of two up to ORRERY_DEVICE_SLOTS_MAX, aligned to a
// slot's size, in memory that both sides map. All words are little-endian and 32 bits. Request
// number n (they count from 0) goes to slot n % N: the host claims in this order, so a slot that
// is not published holds up those behind it, and nobody else. That order is what "earlier" means to
// a FENCE.
//
// Whose a slot is, its status says; only its owner writes to it:
//
//   EMPTY      the device's: it writes the words, and then, with release, PUBLISHED
//   PUBLISHED  nobody's: the host claims it by a compare-and-swap, with acquire
//   CLAIMED    the host's: it writes the tag, and then, with release, OK or ERROR
//   OK, ERROR  the device's again: it reads (with acquire) the status, then the tag and the data,
//              and recycles the slot: EMPTY, with release
//
// The host makes no other transition, and counts those that it sees somebody else make. It reads
// the words of a claimed slot once. What the device does to them, or to a status that is not its
// own, spoils that slot's request and no other.
//
// On a GPU "release" and "acquire" are of system scope (cuda::thread_scope_system), and the memory
// is the host's, mapped into the device: host atomics do not reach into device memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ORRERY_DEVICE_SLOTS_MAX 4096u

// NOLINTBEGIN(readability-identifier-naming): as C names things.
enum orrery_device_operation {
  // From the file to the destination, and back: `bytes` bytes at `offset` of the file, from the
  // destination's start on.
  ORRERY_DEVICE_READ = 1,
  ORRERY_DEVICE_WRITE = 2,
  // Completes, with OK and 0, once all earlier requests have completed, well or not. Later ones do
  // not wait for it. The words but for the operation mean nothing.
  ORRERY_DEVICE_FENCE = 3,
};

enum orrery_device_status {
  ORRERY_DEVICE_EMPTY = 0,
  ORRERY_DEVICE_PUBLISHED = 1,
  ORRERY_DEVICE_CLAIMED = 2,
  ORRERY_DEVICE_OK = 3,
  ORRERY_DEVICE_ERROR = 4,
};
// NOLINTEND(readability-identifier-naming)

struct orrery_device_slot {
  uint32_t operation;
  uint32_t source;       // A handle that the host gave out for a file,
  uint32_t destination;  // and one for a piece of memory: nothing else can be named.
  uint32_t offset_low;   // In the file, absolute.
  uint32_t offset_high;
  uint32_t bytes;
  uint32_t status;
  // PUBLISHED: when it was, the low 32 bits of the host's CLOCK_MONOTONIC in nanoseconds, for the
  // host's histogram; 0: not known.
  // OK: bytes moved; fewer than asked for only where the file has ended.
  // ERROR: an errno, of these the first that holds. EINVAL: no such operation. EBADF: a handle that
  // is none, or was withdrawn. EACCES: the file may not be read, or written. ERANGE: bytes that the
  // file's range or the destination does not have. ECANCELED: the host stopped. Others are the
  // kernel's, EIO for example; then any part of the bytes may have been moved.
  uint32_t tag;
};

#ifdef __cplusplus
#define ORRERY_DEVICE_ASSERT(condition, message) static_assert(condition, message)
#else
#define ORRERY_DEVICE_ASSERT(condition, message) _Static_assert(condition, message)
#endif

ORRERY_DEVICE_ASSERT(sizeof(struct orrery_device_slot) == 32, "two slots a cache line");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, operation) == 0, "word 0");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, source) == 4, "word 1");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, destination) == 8, "word 2");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, offset_low) == 12, "word 3");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, offset_high) == 16, "word 4");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, bytes) == 20, "word 5");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, status) == 24, "word 6");
ORRERY_DEVICE_ASSERT(offsetof(struct orrery_device_slot, tag) == 28, "word 7");
ORRERY_DEVICE_ASSERT((ORRERY_DEVICE_SLOTS_MAX & (ORRERY_DEVICE_SLOTS_MAX - 1)) == 0,
                     "a power of two");
