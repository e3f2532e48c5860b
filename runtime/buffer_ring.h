// A ring of provided buffers: memory that the kernel may receive into, shared by all connections of
// a shard.
//
// Invariant: each buffer is either with the kernel (published and not handed back by a completion)
// or with us, and crosses each way exactly once at a time; a double return is a checked error.
// Returned buffers become visible to the kernel together, by Publish(). No buffer stays with us
// beyond a turn.
//
// Owned by the reactor; used by the ring's thread. Must be destroyed before its Ring and after the
// last operation that selects from it: it unregisters first and frees the memory then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string_view>
#include <vector>

#include "base/errno.h"
#include "runtime/ring/ring.h"

namespace orrery {

class BufferRing {
 public:
  static constexpr unsigned kBuffersMax = 32768;

  // Registers group `group` with `buffers` (a power of two, at most kBuffersMax) of `buffer_bytes`
  // > 0 bytes each, all with the kernel. Errors are the kernel's: EEXIST: the group exists; ENOMEM.
  static std::expected<std::unique_ptr<BufferRing>, Errno> Create(Ring& ring, uint16_t group,
                                                                  unsigned buffers,
                                                                  size_t buffer_bytes);
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;
  ~BufferRing();

  // Takes over the buffer that a completion names and shows its first `bytes` bytes, which stay
  // valid until it is returned. REQUIRES: the buffer is with the kernel; bytes <= buffer_bytes.
  std::string_view Take(uint16_t buffer, size_t bytes);

  // Gives a buffer back. The kernel sees it at the next Publish(). REQUIRES: the buffer is with us.
  void Return(uint16_t buffer);
  void Publish();

  uint16_t group() const { return group_; }
  unsigned buffers() const { return buffers_; }
  size_t buffer_bytes() const { return buffer_bytes_; }
  // Buffers that the kernel can still fill, as far as completions have told.
  unsigned with_kernel() const { return with_kernel_; }

 private:
  struct Free {
    void operator()(void* memory) const;
  };

  BufferRing(Ring& ring, uint16_t group, unsigned buffers, size_t buffer_bytes);

  Ring& ring_;
  uint16_t group_;
  unsigned buffers_;
  size_t buffer_bytes_;
  unsigned with_kernel_ = 0;
  int returned_ = 0;  // Added behind the tail and not yet published.
  std::unique_ptr<void, Free> entries_;
  std::unique_ptr<void, Free> memory_;
  std::vector<bool> is_with_kernel_;
};

}  // namespace orrery
