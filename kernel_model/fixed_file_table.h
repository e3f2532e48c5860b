// A ring's table of fixed files, and which slot an allocation gets. Private to kernel_model.
//
// Invariant: what is in a slot is a counted reference, which the ring drops.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "base/check.h"

namespace orrery::model {

struct OpenFile;

class FixedFileTable {
 public:
  explicit FixedFileTable(size_t slots) : files_(slots, nullptr), range_end_(slots) {}

  size_t size() const { return files_.size(); }
  OpenFile* operator[](size_t slot) const { return files_[slot]; }
  auto begin() const { return files_.begin(); }
  auto end() const { return files_.end(); }

  // Puts a file, or null, into a slot. What was there.
  OpenFile* Replace(size_t slot, OpenFile* file) {
    OpenFile* const old = files_[slot];
    files_[slot] = file;
    // As io_file_bitmap_set() and io_file_bitmap_clear(): behind what was taken, at what was freed.
    if (file != nullptr && old == nullptr) hint_ = slot + 1;
    if (file == nullptr && old != nullptr) hint_ = slot;
    return old;
  }

  // Where allocations take slots. REQUIRES: begin <= end <= size().
  void SetRange(size_t begin, size_t end) {
    ORRERY_CHECK(begin <= end && end <= size());
    hint_ = range_begin_ = begin;
    range_end_ = end;
  }
  // The slot that an allocation gets; nothing when the range is full. As io_file_bitmap_get().
  std::optional<size_t> Allocate() const {
    const size_t hint = std::clamp(hint_, range_begin_, range_end_);
    for (size_t slot = hint; slot < range_end_; ++slot) {
      if (files_[slot] == nullptr) return slot;
    }
    for (size_t slot = range_begin_; slot < hint; ++slot) {
      if (files_[slot] == nullptr) return slot;
    }
    return std::nullopt;
  }

 private:
  std::vector<OpenFile*> files_;
  size_t range_begin_ = 0;
  size_t range_end_;
  size_t hint_ = 0;
};

}  // namespace orrery::model
