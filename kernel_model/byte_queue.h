// A queue of bytes that grows as needed: one direction of a stream. Private to kernel_model.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace orrery::model {

class ByteQueue {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void Append(const std::byte* bytes, size_t count) {
    if (count == 0) return;
    if (size_ + count > capacity_) Grow(size_ + count);
    const size_t begin = (head_ + size_) & (capacity_ - 1);
    const size_t first = count < capacity_ - begin ? count : capacity_ - begin;
    std::memcpy(&storage_[begin], bytes, first);
    if (count > first) std::memcpy(&storage_[0], bytes + first, count - first);
    size_ += count;
  }

  // Copies `count` bytes, the oldest but `begin`. REQUIRES: begin + count <= size().
  void Copy(size_t begin, std::byte* bytes, size_t count) const {
    ORRERY_CHECK(begin + count <= size_);
    if (count == 0) return;
    const size_t from = (head_ + begin) & (capacity_ - 1);
    const size_t first = count < capacity_ - from ? count : capacity_ - from;
    std::memcpy(bytes, &storage_[from], first);
    if (count > first) std::memcpy(bytes + first, &storage_[0], count - first);
  }

  // Moves the oldest `count` bytes to `bytes`. REQUIRES: count <= size().
  void Take(std::byte* bytes, size_t count) {
    Copy(0, bytes, count);
    if (count == 0) return;
    head_ = (head_ + count) & (capacity_ - 1);
    size_ -= count;
    if (size_ == 0) head_ = 0;
  }

  // Forgets the newest `count` bytes. REQUIRES: count <= size().
  void DropNewest(size_t count) {
    ORRERY_CHECK(count <= size_);
    size_ -= count;
  }

  void Clear() { *this = ByteQueue(); }

 private:
  static constexpr size_t kCapacityMin = 256;

  void Grow(size_t needed) {
    size_t capacity = capacity_ == 0 ? kCapacityMin : capacity_;
    while (capacity < needed) capacity *= 2;
    std::unique_ptr<std::byte[]> storage(new std::byte[capacity]);
    const size_t kept = size_;
    Take(storage.get(), kept);
    storage_ = std::move(storage);
    capacity_ = capacity;
    head_ = 0;
    size_ = kept;
  }

  std::unique_ptr<std::byte[]> storage_;
  size_t capacity_ = 0;  // 0 or a power of two.
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace orrery::model
