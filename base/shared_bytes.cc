#include "base/shared_bytes.h"

#include <cstring>
#include <new>

namespace orrery {

SharedBytes SharedBytes::Allocate(size_t size_bytes, size_t capacity_bytes) {
  ORRERY_CHECK_OP(size_bytes, <=, capacity_bytes);
  SharedBytes bytes;
  void* memory = ::operator new(sizeof(Block) + capacity_bytes);
  bytes.block_ = new (memory) Block{.size_bytes = size_bytes,
                                    .capacity_bytes = capacity_bytes,
                                    .payload = static_cast<char*>(memory) + sizeof(Block),
                                    .references = 1,
                                    .lent = false};
  return bytes;
}

SharedBytes SharedBytes::Copy(std::string_view source) {
  SharedBytes bytes = Allocate(source.size());
  if (!source.empty()) std::memcpy(bytes.block_->payload, source.data(), source.size());
  return bytes;
}

bool SharedBytes::TryGrow(size_t size_bytes) {
  if (!unique() || size_bytes > block_->capacity_bytes) return false;
  ORRERY_CHECK_OP(size_bytes, >=, block_->size_bytes);
  block_->size_bytes = size_bytes;
  return true;
}

SharedBytes SharedBytes::Lend(std::string_view source, Loan& loan) {
  ORRERY_CHECK(!source.empty());
  ORRERY_CHECK(!loan.out());
  // Shared bytes are never written through a loan (unique()).
  static_cast<Block&>(loan) = {.size_bytes = source.size(),
                               .capacity_bytes = 0,
                               .payload = const_cast<char*>(source.data()),
                               .references = 1,
                               .lent = true};
  SharedBytes bytes;
  bytes.block_ = &loan;
  return bytes;
}

void SharedBytes::Free(Block* block) {
  if (block->lent) {
    static_cast<Loan*>(block)->OnReturned();
  } else {
    ::operator delete(block);
  }
}

}  // namespace orrery
