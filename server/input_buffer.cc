#include "server/input_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/mark.h"

namespace orrery::server {

void InputBuffer::Grow(size_t bytes) {
  const std::string_view kept = view();
  const size_t wanted = kept.size() + bytes;
  // Moving to the front is only worth it when at least half of the memory is free: amortised O(1).
  const bool move = block_ != nullptr && wanted <= block_->capacity && kept.size() <= block_->begin;
  if (move) {
    ORRERY_MARK("input.moved-to-front");
    std::memmove(Bytes(block_), kept.data(), kept.size());
    block_->begin = 0;
    block_->end = kept.size();
    return;
  }
  const size_t capacity = std::max({wanted, 2 * kept.size(), kCapacityMin});
  void* memory = ::operator new(sizeof(Block) + capacity);
  auto* grown = new (memory) Block{.capacity = capacity, .begin = 0, .end = kept.size()};
  if (!kept.empty()) std::memcpy(Bytes(grown), kept.data(), kept.size());
  Clear();
  block_ = grown;
}

void InputBuffer::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (block_ == nullptr || block_->capacity - block_->end < bytes.size()) Grow(bytes.size());
  std::memcpy(Bytes(block_) + block_->end, bytes.data(), bytes.size());
  block_->end += bytes.size();
}

void InputBuffer::ConsumeFront(size_t bytes) {
  ORRERY_CHECK_OP(bytes, <=, size());
  if (bytes == size()) {
    Clear();
  } else {
    block_->begin += bytes;
  }
}

void InputBuffer::Truncate(size_t bytes) {
  ORRERY_CHECK_OP(bytes, <=, size());
  if (bytes == 0) {
    Clear();
  } else {
    block_->end = block_->begin + bytes;
  }
}

void InputBuffer::Clear() {
  ::operator delete(block_);
  block_ = nullptr;
}

}  // namespace orrery::server
