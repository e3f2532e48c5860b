// Immutable bytes with a reference count: a stored value that a reply may borrow.
//
// Invariant: while more than one reference exists the bytes never change; a writer copies when the
// value is shared (FAILURE it prevents: a peer that reads a mixture of the old and the new value).
// The count is not atomic: a SharedBytes and all its copies live on one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace orrery {

class SharedBytes {
 public:
  // No bytes, and no allocation.
  SharedBytes() = default;
  // Copies `bytes` into memory of its own.
  static SharedBytes Copy(std::string_view bytes);
  // `size_bytes` bytes of unspecified content, to be filled through mutable_bytes() while unshared,
  // and room to append up to `capacity_bytes` of them. REQUIRES: size_bytes <= capacity_bytes.
  static SharedBytes Allocate(size_t size_bytes, size_t capacity_bytes);
  static SharedBytes Allocate(size_t size_bytes) { return Allocate(size_bytes, size_bytes); }

  SharedBytes(const SharedBytes& other) : block_(other.block_) {
    if (block_ != nullptr) ++block_->references;
  }
  SharedBytes(SharedBytes&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedBytes& operator=(SharedBytes other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedBytes() {
    if (block_ != nullptr && --block_->references == 0) Free(block_);
  }

  const char* data() const { return block_ == nullptr ? nullptr : Payload(block_); }
  size_t size() const { return block_ == nullptr ? 0 : block_->size_bytes; }
  bool empty() const { return size() == 0; }
  // Memory held for the bytes and for those that may be appended to them.
  size_t capacity_bytes() const { return block_ == nullptr ? 0 : block_->capacity_bytes; }
  std::string_view view() const { return {data(), size()}; }

  // How many SharedBytes name these bytes, this one included. 0 when there are none.
  uint32_t references() const { return block_ == nullptr ? 0 : block_->references; }
  // Whether this is the only one, so that the bytes may be written.
  bool unique() const { return references() == 1; }

  // REQUIRES: unique().
  std::span<char> mutable_bytes() {
    ORRERY_CHECK_MSG(unique(), "shared bytes are never changed in place");
    return {Payload(block_), block_->size_bytes};
  }

  // Makes it `size_bytes` long, which is not shorter; what is new at the end is unspecified. False
  // when the bytes are shared or have no room for it: then nothing has changed.
  [[nodiscard]] bool TryGrow(size_t size_bytes);

 private:
  struct Block {
    size_t size_bytes;
    size_t capacity_bytes;
    uint32_t references;
  };

  // The payload follows its header in one allocation.
  static char* Payload(Block* block) { return reinterpret_cast<char*>(block + 1); }
  static void Free(Block* block);

  Block* block_ = nullptr;
};

}  // namespace orrery
