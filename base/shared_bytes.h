// Immutable bytes with a reference count: a stored value that a reply may borrow.
//
// Invariant: while more than one reference exists the bytes never change; a writer copies when the
// value is shared (FAILURE it prevents: a peer that reads a mixture of the old and the new value).
// The count is not atomic: a SharedBytes and all its copies live on one thread. Another thread may
// have a Loan of the bytes instead, with a count of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace orrery {

class SharedBytes {
  struct Block;

 public:
  class Loan;

  // No bytes, and no allocation.
  SharedBytes() = default;
  // Copies `bytes` into memory of its own.
  static SharedBytes Copy(std::string_view bytes);
  // `size_bytes` bytes of unspecified content, to be filled through mutable_bytes() while unshared,
  // and room to append up to `capacity_bytes` of them. REQUIRES: size_bytes <= capacity_bytes.
  static SharedBytes Allocate(size_t size_bytes, size_t capacity_bytes);
  static SharedBytes Allocate(size_t size_bytes) { return Allocate(size_bytes, size_bytes); }

  // `bytes`, which stay where they are; the loan is told when no SharedBytes names them any more.
  // They are never changed. Only the thread that has the SharedBytes touches the loan until then.
  // REQUIRES: !bytes.empty(), and the loan is not out.
  static SharedBytes Lend(std::string_view bytes, Loan& loan);

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

  const char* data() const { return block_ == nullptr ? nullptr : block_->payload; }
  size_t size() const { return block_ == nullptr ? 0 : block_->size_bytes; }
  bool empty() const { return size() == 0; }
  // Memory held for the bytes and for those that may be appended to them.
  size_t capacity_bytes() const { return block_ == nullptr ? 0 : block_->capacity_bytes; }
  std::string_view view() const { return {data(), size()}; }

  // How many SharedBytes name these bytes, this one included. 0 when there are none.
  uint32_t references() const { return block_ == nullptr ? 0 : block_->references; }
  // Whether this is the only one and the bytes are its own, so that they may be written.
  bool unique() const { return references() == 1 && !block_->lent; }
  // The loan that these bytes are of, or null.
  Loan* loan() const;

  // REQUIRES: unique().
  std::span<char> mutable_bytes() {
    ORRERY_CHECK_MSG(unique(), "shared bytes are never changed in place");
    return {block_->payload, block_->size_bytes};
  }

  // Makes it `size_bytes` long, which is not shorter; what is new at the end is unspecified. False
  // when the bytes are shared or have no room for it: then nothing has changed.
  [[nodiscard]] bool TryGrow(size_t size_bytes);

 private:
  // In front of the payload in one allocation, or in the loan.
  struct Block {
    size_t size_bytes;
    size_t capacity_bytes;
    char* payload;
    uint32_t references;
    bool lent;
  };

  static void Free(Block* block);

  Block* block_ = nullptr;
};

// What keeps lent bytes alive. Is told once each time it was out.
class SharedBytes::Loan : private Block {
 public:
  Loan() : Block{} {}
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

  virtual ~Loan() { ORRERY_CHECK_MSG(!out(), "lent bytes died under their borrower"); }

  bool out() const { return references > 0; }

 private:
  friend class SharedBytes;
  // Nobody borrows the bytes any more; it may be lent again.
  virtual void OnReturned() = 0;
};

inline SharedBytes::Loan* SharedBytes::loan() const {
  return block_ != nullptr && block_->lent ? static_cast<Loan*>(block_) : nullptr;
}

}  // namespace orrery
