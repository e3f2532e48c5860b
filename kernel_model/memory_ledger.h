// Which memory the kernel owns as provided buffers, over all groups and rings of a machine. Private
// to kernel_model.
//
// Invariant: no two owned ranges overlap; a program that publishes one again is told. Ranges are
// remembered after they are handed over, so that publishing the same buffer again, the common case,
// costs no search. Addresses are looked up here, never ordered by anything that a run shows.
#pragma once

#include <cstdint>
#include <map>

namespace orrery::model {

class MemoryLedger {
 public:
  struct Range {
    uintptr_t begin = 0;
    uintptr_t end = 0;  // begin == end: not in the map.
    bool owned = false;
  };

  // The kernel takes [begin, end) as `range`. False when some of it is owned already. `range` must
  // stay where it is until Forget().
  bool Claim(Range& range, uintptr_t begin, uintptr_t end);
  void HandOver(Range& range) { range.owned = false; }
  // The part below `begin` is the program's again. REQUIRES: owned, begin < range.end.
  void MoveBegin(Range& range, uintptr_t begin);
  void Forget(Range& range);

 private:
  std::map<uintptr_t, Range*> ranges_;  // By begin; disjoint.
};

}  // namespace orrery::model
