#include "base/shared_bytes.h"

#include <cstring>
#include <new>

namespace orrery {

SharedBytes SharedBytes::Allocate(size_t size_bytes) {
  SharedBytes bytes;
  void* memory = ::operator new(sizeof(Block) + size_bytes);
  bytes.block_ = new (memory) Block{.size_bytes = size_bytes, .references = 1};
  return bytes;
}

SharedBytes SharedBytes::Copy(std::string_view source) {
  SharedBytes bytes = Allocate(source.size());
  if (!source.empty()) std::memcpy(Payload(bytes.block_), source.data(), source.size());
  return bytes;
}

void SharedBytes::Free(Block* block) { ::operator delete(block); }

}  // namespace orrery
