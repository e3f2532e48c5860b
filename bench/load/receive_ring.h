// An io_uring with provided buffers to receive into, as the floor and the generator have it.
//
// One thread, that of the constructor. It lives as long as its program: nothing is unmapped.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace orrery::bench {

struct ReceiveRingOptions {
  unsigned setup_flags = 0;  // More than those that the ring is always made with.
  unsigned cq_entries = 0;
  unsigned buffers = 0;  // A power of two.
  size_t buffer_bytes = 0;
};

class ReceiveRing {
 public:
  // Ends the process where there is no such ring.
  explicit ReceiveRing(const ReceiveRingOptions& options);
  ReceiveRing(const ReceiveRing&) = delete;
  ReceiveRing& operator=(const ReceiveRing&) = delete;

  io_uring* get() { return &ring_; }

  // Submits what waits when there is no room.
  io_uring_sqe* NextSqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
  }
  void ArmReceive(int descriptor, uint64_t user_data) {
    io_uring_sqe* const sqe = NextSqe();
    io_uring_prep_recv_multishot(sqe, descriptor, nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = user_data;
  }

  // What a receive has brought. REQUIRES: cqe.res > 0.
  std::string_view Received(const io_uring_cqe& cqe) const {
    return {buffers_.get() + (cqe.flags >> IORING_CQE_BUFFER_SHIFT) * options_.buffer_bytes,
            static_cast<size_t>(cqe.res)};
  }
  // Gives the buffer of a completion back, if it has one; the kernel sees that a batch later.
  void Recycle(const io_uring_cqe& cqe) {
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) Add(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  // The end of a batch.
  void PublishRecycled() {
    if (recycled_ == 0) return;
    io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(std::exchange(recycled_, 0)));
  }

 private:
  void Add(unsigned buffer) {
    constexpr unsigned kAtOnce = 64;
    io_uring_buf_ring_add(buffer_ring_, buffers_.get() + buffer * options_.buffer_bytes,
                          static_cast<unsigned>(options_.buffer_bytes),
                          static_cast<uint16_t>(buffer), io_uring_buf_ring_mask(options_.buffers),
                          static_cast<int>(recycled_++));
    if (recycled_ == kAtOnce) PublishRecycled();
  }

  const ReceiveRingOptions options_;
  io_uring ring_{};
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::unique_ptr<char[]> buffers_;
  unsigned recycled_ = 0;
};

}  // namespace orrery::bench
