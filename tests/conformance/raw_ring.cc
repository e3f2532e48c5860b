#include "tests/conformance/raw_ring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/units.h"

namespace orrery::conformance {
namespace {

constexpr unsigned kNoSqArray = 1U << 16;  // IORING_SETUP_NO_SQARRAY

std::byte* Map(int descriptor, size_t bytes, off_t offset) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, offset);
  ORRERY_CHECK(memory != MAP_FAILED);
  return static_cast<std::byte*>(memory);
}

template <typename T>
T* At(std::byte* area, uint32_t offset) {
  return reinterpret_cast<T*>(area + offset);  // The kernel says what lies where.
}

}  // namespace

std::expected<std::unique_ptr<Ring>, Errno> RawRing::SetUp(unsigned entries,
                                                           io_uring_params& parameters) {
  const long descriptor = ::syscall(SYS_io_uring_setup, entries, &parameters);
  if (descriptor < 0) return std::unexpected(Errno(errno));
  return std::unique_ptr<Ring>(new RawRing(static_cast<int>(descriptor), parameters));
}

RawRing::RawRing(int descriptor, const io_uring_params& parameters)
    : sqes_bytes_(parameters.sq_entries * sizeof(io_uring_sqe)) {
  const size_t cqe_bytes = sizeof(io_uring_cqe)
                           << ((parameters.flags & IORING_SETUP_CQE32) != 0 ? 1 : 0);
  const size_t bytes = std::max(parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned),
                                parameters.cq_off.cqes + parameters.cq_entries * cqe_bytes);
  std::byte* const area = Map(descriptor, bytes, IORING_OFF_SQ_RING);
  memory_.ring_fd = memory_.enter_ring_fd = descriptor;
  memory_.flags = parameters.flags;
  memory_.features = parameters.features;
  memory_.sq.ring_ptr = memory_.cq.ring_ptr = area;
  memory_.sq.ring_sz = memory_.cq.ring_sz = bytes;
  memory_.sq.sqes = At<io_uring_sqe>(Map(descriptor, sqes_bytes_, IORING_OFF_SQES), 0);
  memory_.sq.khead = At<unsigned>(area, parameters.sq_off.head);
  memory_.sq.ktail = At<unsigned>(area, parameters.sq_off.tail);
  memory_.sq.kring_mask = At<unsigned>(area, parameters.sq_off.ring_mask);
  memory_.sq.kring_entries = At<unsigned>(area, parameters.sq_off.ring_entries);
  memory_.sq.kflags = At<unsigned>(area, parameters.sq_off.flags);
  memory_.sq.kdropped = At<unsigned>(area, parameters.sq_off.dropped);
  memory_.sq.ring_mask = *memory_.sq.kring_mask;
  memory_.sq.ring_entries = *memory_.sq.kring_entries;
  if ((parameters.flags & kNoSqArray) == 0) {
    memory_.sq.array = At<unsigned>(area, parameters.sq_off.array);
    for (unsigned index = 0; index < parameters.sq_entries; ++index)
      memory_.sq.array[index] = index;
  }
  memory_.cq.khead = At<unsigned>(area, parameters.cq_off.head);
  memory_.cq.ktail = At<unsigned>(area, parameters.cq_off.tail);
  memory_.cq.kring_mask = At<unsigned>(area, parameters.cq_off.ring_mask);
  memory_.cq.kring_entries = At<unsigned>(area, parameters.cq_off.ring_entries);
  memory_.cq.koverflow = At<unsigned>(area, parameters.cq_off.overflow);
  memory_.cq.kflags = At<unsigned>(area, parameters.cq_off.flags);
  memory_.cq.cqes = At<io_uring_cqe>(area, parameters.cq_off.cqes);
  memory_.cq.ring_mask = *memory_.cq.kring_mask;
  memory_.cq.ring_entries = *memory_.cq.kring_entries;
}

RawRing::~RawRing() {
  ::munmap(memory_.sq.sqes, sqes_bytes_);
  ::munmap(memory_.sq.ring_ptr, memory_.sq.ring_sz);
  ::close(memory_.ring_fd);
}

EnterResult RawRing::Enter(const EnterRequest& request) {
  constexpr unsigned kAbsoluteTimer = 1U << 5;  // IORING_ENTER_ABS_TIMER, Linux 6.12
  __kernel_timespec deadline{.tv_sec = request.deadline / kSecond,
                             .tv_nsec = request.deadline % kSecond};
  io_uring_getevents_arg argument{};
  argument.pad = request.min_wait_us;  // Where newer headers have it.
  if (request.deadline != kNever) argument.ts = reinterpret_cast<uint64_t>(&deadline);  // The ABI.
  const long result = ::syscall(
      SYS_io_uring_enter, memory_.ring_fd, request.to_submit, request.min_complete,
      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | kAbsoluteTimer, &argument, sizeof argument);
  if (result < 0) return std::unexpected(Errno(errno));
  return static_cast<unsigned>(result);
}

std::expected<unsigned, Errno> RawRing::Register(unsigned opcode, const void* argument,
                                                 unsigned count) {
  const long result = ::syscall(SYS_io_uring_register, memory_.ring_fd, opcode, argument, count);
  if (result < 0) return std::unexpected(Errno(errno));
  return static_cast<unsigned>(result);
}

}  // namespace orrery::conformance
