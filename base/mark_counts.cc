#include "base/mark_counts.h"

#include <algorithm>

#include "base/mark.h"

namespace orrery {

class MarkReader {
 public:
  static std::vector<MarkCount> Read() {
    std::vector<MarkCount> counts;
    for (const Mark* mark = Mark::first_; mark != nullptr; mark = mark->next_) {
      counts.push_back({.name = mark->name_, .hits = mark->hits_.load(std::memory_order_relaxed)});
    }
    return counts;
  }
};

std::vector<MarkCount> MarkCounts() {
  std::vector<MarkCount> counts = MarkReader::Read();
  std::sort(counts.begin(), counts.end(),
            [](const MarkCount& left, const MarkCount& right) { return left.name < right.name; });
  return counts;
}

}  // namespace orrery
