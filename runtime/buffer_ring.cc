#include "runtime/buffer_ring.h"

#include <liburing.h>

#include <bit>
#include <cstdlib>
#include <new>

#include "base/check.h"

namespace orrery {
namespace {

// The kernel maps the array of entries by pages.
constexpr size_t kPageBytes = 4096;

void* AllocatePages(size_t bytes) {
  const size_t rounded = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  void* memory = std::aligned_alloc(kPageBytes, rounded);
  ORRERY_CHECK_MSG(memory != nullptr, "out of memory for provided buffers");
  return memory;
}

}  // namespace

void BufferRing::Free::operator()(void* memory) const { std::free(memory); }

std::expected<std::unique_ptr<BufferRing>, Errno> BufferRing::Create(Ring& ring, uint16_t group,
                                                                     unsigned buffers,
                                                                     size_t buffer_bytes) {
  ORRERY_CHECK(std::has_single_bit(buffers));
  ORRERY_CHECK_OP(buffers, <=, kBuffersMax);
  // A zero-length buffer at the head looks like the end of the stream and blocks the ring for ever
  // (fact B9).
  ORRERY_CHECK_OP(buffer_bytes, >, 0u);
  std::unique_ptr<BufferRing> result(new BufferRing(ring, group, buffers, buffer_bytes));
  io_uring_buf_reg registration{};
  registration.ring_addr =
      reinterpret_cast<uint64_t>(result->entries_.get());  // The ABI's pointers are integers.
  registration.ring_entries = buffers;
  registration.bgid = group;
  const auto registered = ring.Register(IORING_REGISTER_PBUF_RING, &registration, 1);
  if (!registered) {
    result->entries_.reset();  // Not registered: nothing to undo.
    return std::unexpected(registered.error());
  }
  for (unsigned buffer = 0; buffer < buffers; ++buffer)
    result->Return(static_cast<uint16_t>(buffer));
  result->Publish();
  return result;
}

BufferRing::BufferRing(Ring& ring, uint16_t group, unsigned buffers, size_t buffer_bytes)
    : ring_(ring),
      group_(group),
      buffers_(buffers),
      buffer_bytes_(buffer_bytes),
      entries_(AllocatePages(buffers * sizeof(io_uring_buf))),
      memory_(AllocatePages(buffers * buffer_bytes)),
      is_with_kernel_(buffers, false) {
  io_uring_buf_ring_init(static_cast<io_uring_buf_ring*>(entries_.get()));
}

BufferRing::~BufferRing() {
  if (entries_ == nullptr) return;
  io_uring_buf_reg registration{};
  registration.bgid = group_;
  const auto result = ring_.Register(IORING_UNREGISTER_PBUF_RING, &registration, 1);
  ORRERY_CHECK_MSG(result.has_value(), "a registered buffer ring could not be unregistered");
}

std::string_view BufferRing::Take(uint16_t buffer, size_t bytes) {
  ORRERY_CHECK_OP(buffer, <, buffers_);
  ORRERY_CHECK_OP(bytes, <=, buffer_bytes_);
  ORRERY_CHECK_MSG(is_with_kernel_[buffer], "the kernel handed over a buffer that it did not have");
  is_with_kernel_[buffer] = false;
  --with_kernel_;
  return {static_cast<const char*>(memory_.get()) + buffer * buffer_bytes_, bytes};
}

void BufferRing::Return(uint16_t buffer) {
  ORRERY_CHECK_OP(buffer, <, buffers_);
  ORRERY_CHECK_MSG(!is_with_kernel_[buffer], "a provided buffer was returned twice");
  is_with_kernel_[buffer] = true;
  ++with_kernel_;
  char* address = static_cast<char*>(memory_.get()) + buffer * buffer_bytes_;
  io_uring_buf_ring_add(static_cast<io_uring_buf_ring*>(entries_.get()), address,
                        static_cast<unsigned>(buffer_bytes_), buffer,
                        io_uring_buf_ring_mask(buffers_), returned_);
  ++returned_;
}

void BufferRing::Publish() {
  if (returned_ == 0) return;
  io_uring_buf_ring_advance(static_cast<io_uring_buf_ring*>(entries_.get()), returned_);
  returned_ = 0;
}

}  // namespace orrery
