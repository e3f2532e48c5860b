// The bytes of an unfinished frame, kept by a connection between turns.
//
// Invariant: memory grows with what has been appended, and an empty buffer holds none. Owned by a
// connection; used by the shard's thread only.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/check.h"

namespace orrery::server {

class InputBuffer {
 public:
  InputBuffer() = default;
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;
  ~InputBuffer() { Clear(); }

  // What is kept. Valid until the buffer changes.
  std::string_view view() const {
    return block_ == nullptr
               ? std::string_view()
               : std::string_view(Bytes(block_) + block_->begin, block_->end - block_->begin);
  }
  bool empty() const { return block_ == nullptr; }
  size_t size() const { return block_ == nullptr ? 0 : block_->end - block_->begin; }
  // Memory held, for limits and metrics.
  size_t capacity_bytes() const { return block_ == nullptr ? 0 : block_->capacity; }

  // Amortised O(bytes.size()). `bytes` must not lie in this buffer.
  void Append(std::string_view bytes);
  // The first `bytes` are done. REQUIRES: bytes <= size().
  void ConsumeFront(size_t bytes);
  // Only the first `bytes` are kept. REQUIRES: bytes <= size().
  void Truncate(size_t bytes);
  void Clear();

 private:
  // In front of the bytes in one allocation, so that an idle connection costs one pointer.
  struct Block {
    size_t capacity;
    size_t begin;
    size_t end;
  };
  static constexpr size_t kCapacityMin = 256;

  static char* Bytes(Block* block) { return reinterpret_cast<char*>(block + 1); }
  // Makes room for `bytes` more behind the end.
  void Grow(size_t bytes);

  Block* block_ = nullptr;
};

}  // namespace orrery::server
