// Registered buffers, and how requests find their memory in them.
//
// A request keeps the addresses that it was issued with: the table may change while it waits.
#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr size_t kBufferBytesMax = size_t{1} << 30;
constexpr unsigned kBuffersMax = 1U << 14;  // IORING_MAX_REG_BUFFERS

std::unexpected<Errno> Fail(int error) { return std::unexpected(Errno(error)); }

// io_buffer_validate(), fact H2: an empty slot is {null, 0}.
bool IsValid(const iovec& buffer) {
  if (buffer.iov_base == nullptr) return buffer.iov_len == 0;
  return buffer.iov_len > 0 && buffer.iov_len <= kBufferBytesMax;
}

}  // namespace

std::expected<unsigned, Errno> RingCore::RegisterBuffers(const void* iovecs, unsigned count) {
  if (fixed_buffers.has_value()) return Fail(EBUSY);
  if (count == 0 || count > kBuffersMax) return Fail(EINVAL);
  std::vector<iovec> buffers(count);  // Empty slots.
  for (unsigned index = 0; iovecs != nullptr && index < count; ++index) {
    std::memcpy(&buffers[index], static_cast<const iovec*>(iovecs) + index, sizeof(iovec));
    if (!IsValid(buffers[index])) return Fail(EFAULT);
  }
  fixed_buffers = std::move(buffers);
  return 0;
}

std::expected<unsigned, Errno> RingCore::RegisterBufferTable(const void* argument, unsigned count) {
  io_uring_rsrc_register request;
  if (argument == nullptr || count != sizeof request) return Fail(EINVAL);
  std::memcpy(&request, argument, sizeof request);
  if (request.nr == 0 || request.resv2 != 0) return Fail(EINVAL);
  if ((request.flags & ~IORING_RSRC_REGISTER_SPARSE) != 0) return Fail(EINVAL);
  if (request.tags != 0) StopUnknown("tags of registered buffers, at", request.tags);
  const bool sparse = (request.flags & IORING_RSRC_REGISTER_SPARSE) != 0;
  if (sparse && request.data != 0) return Fail(EINVAL);
  if (!sparse && request.data == 0) return Fail(EFAULT);
  // The ABI carries pointers as 64-bit integers.
  return RegisterBuffers(reinterpret_cast<const void*>(request.data), request.nr);
}

std::expected<unsigned, Errno> RingCore::UpdateBuffers(const void* argument, unsigned count) {
  io_uring_rsrc_update2 request;
  if (argument == nullptr || count != sizeof request) return Fail(EINVAL);
  std::memcpy(&request, argument, sizeof request);
  if (request.nr == 0 || request.resv != 0 || request.resv2 != 0) return Fail(EINVAL);
  if (request.tags != 0) StopUnknown("tags of registered buffers, at", request.tags);
  if (!fixed_buffers.has_value()) return Fail(ENXIO);
  if (uint64_t{request.offset} + request.nr > fixed_buffers->size()) return Fail(EINVAL);
  if (request.data == 0) return Fail(EFAULT);
  const auto* const iovecs = reinterpret_cast<const iovec*>(request.data);
  for (unsigned done = 0; done < request.nr; ++done) {
    iovec buffer;
    std::memcpy(&buffer, iovecs + done, sizeof buffer);
    if (!IsValid(buffer)) {
      if (done > 0) return done;
      return Fail(EFAULT);
    }
    (*fixed_buffers)[request.offset + done] = buffer;
  }
  return request.nr;
}

std::expected<unsigned, Errno> RingCore::UnregisterBuffers(const void* argument, unsigned count) {
  if (argument != nullptr || count != 0) return Fail(EINVAL);
  if (!fixed_buffers.has_value()) return Fail(ENXIO);
  fixed_buffers.reset();
  return 0;
}

namespace {

bool LiesIn(const iovec& wanted, const iovec& buffer) {
  // Addresses are compared as numbers.
  const auto begin = reinterpret_cast<uintptr_t>(wanted.iov_base);
  const auto buffer_begin = reinterpret_cast<uintptr_t>(buffer.iov_base);
  if (begin < buffer_begin || begin - buffer_begin > buffer.iov_len) return false;
  return wanted.iov_len <= buffer.iov_len - (begin - buffer_begin);
}

}  // namespace

bool ImportFixedBuffer(RingCore& ring, Request& request) {
  if (!request.fixed_buffer) return true;
  // Facts H1, H3: the whole range lies in the buffer, and so does each of a vector.
  if (!ring.fixed_buffers.has_value()) return false;
  if (request.fixed_buffer_index >= ring.fixed_buffers->size()) return false;
  const iovec& buffer = (*ring.fixed_buffers)[request.fixed_buffer_index];
  if (buffer.iov_base == nullptr) return false;
  for (const iovec& wanted : request.iovecs) {
    if (!LiesIn(wanted, buffer)) return false;
  }
  request.fixed_buffer = false;  // Imported once.
  return true;
}

}  // namespace orrery::model
