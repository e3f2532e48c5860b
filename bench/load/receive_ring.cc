#include "bench/load/receive_ring.h"

#include <sys/mman.h>

#include "base/check.h"

namespace orrery::bench {

ReceiveRing::ReceiveRing(const ReceiveRingOptions& options) : options_(options) {
  constexpr unsigned kSqEntries = 4096;
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                     IORING_SETUP_DEFER_TASKRUN | options.setup_flags;
  parameters.cq_entries = options.cq_entries;
  ORRERY_CHECK_MSG(io_uring_queue_init_params(kSqEntries, &ring_, &parameters) == 0,
                   "no io_uring here");
  ORRERY_CHECK(io_uring_register_ring_fd(&ring_) == 1);

  void* const memory = mmap(nullptr, options.buffers * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ORRERY_CHECK(memory != MAP_FAILED);
  buffer_ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(memory);
  registration.ring_entries = options.buffers;
  ORRERY_CHECK(io_uring_register_buf_ring(&ring_, &registration, 0) == 0);
  io_uring_buf_ring_init(buffer_ring_);
  buffers_ = std::make_unique_for_overwrite<char[]>(options.buffers * options.buffer_bytes);
  for (unsigned buffer = 0; buffer < options.buffers; ++buffer) Add(buffer);
  PublishRecycled();
}

}  // namespace orrery::bench
