#include "kernel_model/memory_ledger.h"

#include <iterator>

#include "base/check.h"

namespace orrery::model {

bool MemoryLedger::Claim(Range& range, uintptr_t begin, uintptr_t end) {
  if (range.owned) return false;
  if (range.begin == begin && range.end == end && begin != end) {
    range.owned = true;
    return true;
  }
  Forget(range);
  if (begin == end) return true;
  bool free = true;
  auto other = ranges_.lower_bound(begin);
  if (other != ranges_.begin()) {
    const auto before = std::prev(other);
    if (before->second->end > begin) other = before;
  }
  while (other != ranges_.end() && other->first < end) {
    Range& overlapping = *other->second;
    if (overlapping.owned) {
      free = false;
      ++other;
      continue;
    }
    overlapping.begin = overlapping.end = 0;
    other = ranges_.erase(other);
  }
  if (!free) return false;
  range = {.begin = begin, .end = end, .owned = true};
  ranges_[begin] = &range;
  return true;
}

void MemoryLedger::MoveBegin(Range& range, uintptr_t begin) {
  ORRERY_CHECK(range.owned && begin < range.end);
  ranges_.erase(range.begin);
  range.begin = begin;
  ranges_[begin] = &range;
}

void MemoryLedger::Forget(Range& range) {
  if (range.begin != range.end) ranges_.erase(range.begin);
  range = {};
}

}  // namespace orrery::model
