// The dirty set: which connections have something to submit.
//
// A connection that needs a receive armed or bytes sent is in the queue exactly once; a flag on the
// connection dedupes. A turn costs O(connections queued), never O(connections). Queued means that
// something can be submitted now or was refused: a connection that only waits for the kernel is not
// queued.
//
// Invariant: `T::arm_queued` is true exactly while the queue holds an entry that names this very T.
// An entry whose object has been released is skipped. Entries keep their order, so the wait is
// bounded by what was queued before. Owned by the reactor; used by its thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/slab.h"

namespace orrery {

// T has `SlotHandle handle() const` and a member `bool arm_queued`, false at first, that nobody
// else writes.
template <typename T>
class ArmQueue {
 public:
  // Queues `element` unless it is queued already. Legal during a walk, also for the element that is
  // visited.
  void Push(T& element) {
    if (element.arm_queued) return;
    element.arm_queued = true;
    queue_.push_back(element.handle());
  }

  // Visits, in order, what was queued before the call. `visit(T&)` returns true when the element's
  // work has been submitted; false means refused (the submission queue is full): it and all behind
  // it stay queued, in front of what was pushed meanwhile, and the walk ends.
  template <typename Visit>
  void Walk(Slab<T>& slab, Visit visit) {
    ORRERY_CHECK_MSG(walked_.empty(), "walks do not nest");
    // Swapped out, so that pushes during the walk neither are visited now nor get lost when the
    // walk is cleared.
    walked_.swap(queue_);
    size_t next = 0;
    for (; next < walked_.size(); ++next) {
      if (next + 1 < walked_.size()) slab.Prefetch(walked_[next + 1]);
      T* element = slab.Find(walked_[next]);
      if (element == nullptr) continue;
      element->arm_queued = false;  // Before the visit: the visit may push it again.
      ++visits_;
      if (visit(*element)) continue;
      if (element->arm_queued) {
        ++next;  // It has queued itself behind the others already.
      } else {
        element->arm_queued = true;
      }
      break;
    }
    PutBack(next);
  }

  bool empty() const { return queue_.empty(); }
  // Entries, stale ones included.
  size_t size() const { return queue_.size(); }
  // Elements visited by all walks so far.
  uint64_t visits() const { return visits_; }

 private:
  // The entries of walked_ from `first` on go back to the front of the queue.
  void PutBack(size_t first) {
    if (first < walked_.size()) {
      walked_.erase(walked_.begin(), walked_.begin() + static_cast<std::ptrdiff_t>(first));
      walked_.insert(walked_.end(), queue_.begin(), queue_.end());
      queue_.swap(walked_);
    }
    walked_.clear();
  }

  std::vector<SlotHandle> queue_;
  std::vector<SlotHandle> walked_;
  uint64_t visits_ = 0;
};

}  // namespace orrery
