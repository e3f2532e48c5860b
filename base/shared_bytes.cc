#include "base/shared_bytes.h"

#include <cstring>
#include <new>

namespace orrery {

SharedBytes SharedBytes::Allocate(size_t size_bytes, size_t capacity_bytes) {
  ORRERY_CHECK_OP(size_bytes, <=, capacity_bytes);
  SharedBytes bytes;
  void* memory = ::operator new(sizeof(Block) + capacity_bytes);
  bytes.block_ = new (memory)
      Block{.size_bytes = size_bytes, .capacity_bytes = capacity_bytes, .references = 1};
  return bytes;
}

SharedBytes SharedBytes::Copy(std::string_view source) {
  SharedBytes bytes = Allocate(source.size());
  if (!source.empty()) std::memcpy(Payload(bytes.block_), source.data(), source.size());
  return bytes;
}

bool SharedBytes::TryGrow(size_t size_bytes) {
  if (!unique() || size_bytes > block_->capacity_bytes) return false;
  ORRERY_CHECK_OP(size_bytes, >=, block_->size_bytes);
  block_->size_bytes = size_bytes;
  return true;
}

void SharedBytes::Free(Block* block) { ::operator delete(block); }

}  // namespace orrery
