// Fixed slots of memory for bytes that a send must copy, because nothing keeps them where they are.
//
// Invariant: a slot is held by one lease, and is free again when the lease is gone, on whatever
// path. The memory is taken at construction. Used by one thread; must outlive its leases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace orrery {

class CopyPool {
 public:
  // A slot of the pool, or none.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), slot_(other.slot_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this == &other) return *this;
      Return();
      pool_ = std::exchange(other.pool_, nullptr);
      slot_ = other.slot_;
      return *this;
    }
    ~Lease() { Return(); }

    explicit operator bool() const { return pool_ != nullptr; }
    // The slot's memory, of slot_bytes(); it does not move with the lease.
    std::span<char> bytes() const {
      ORRERY_DCHECK(pool_ != nullptr);
      return {pool_->memory_.get() + slot_ * pool_->slot_bytes_, pool_->slot_bytes_};
    }

   private:
    friend class CopyPool;
    Lease(CopyPool* pool, uint32_t slot) : pool_(pool), slot_(slot) {}
    void Return() {
      if (pool_ != nullptr) std::exchange(pool_, nullptr)->free_.push_back(slot_);
    }

    CopyPool* pool_ = nullptr;
    uint32_t slot_ = 0;
  };

  CopyPool(uint32_t slots, size_t slot_bytes)
      : slots_(slots),
        slot_bytes_(slot_bytes),
        memory_(std::make_unique_for_overwrite<char[]>(slots * slot_bytes)) {
    free_.reserve(slots);
    for (uint32_t slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
  }
  CopyPool(const CopyPool&) = delete;
  CopyPool& operator=(const CopyPool&) = delete;
  ~CopyPool() { ORRERY_CHECK_MSG(in_use() == 0, "a copy pool died before its slots came back"); }

  // No lease when the pool is full.
  Lease Take() {
    if (free_.empty()) return {};
    const uint32_t slot = free_.back();
    free_.pop_back();
    return {this, slot};
  }

  size_t slot_bytes() const { return slot_bytes_; }
  uint32_t in_use() const { return slots_ - static_cast<uint32_t>(free_.size()); }

 private:
  uint32_t slots_;
  size_t slot_bytes_;
  std::unique_ptr<char[]> memory_;
  std::vector<uint32_t> free_;
};

}  // namespace orrery
