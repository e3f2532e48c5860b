// Whether a history is linearizable: whether its operations could have happened one at a time, each
// between its call and its return, and been answered as they were.
//
// The history is taken apart first: operations that no chain of common keys links are judged by
// themselves, each such part with its own budget. A verdict is a claim only as far as it goes: a
// part that was too much for the budget is counted as undecided, never as explained. What is asked
// of pipelines stands in search.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/linearizability/history.h"

namespace orrery::linearizability {

struct CheckOptions {
  // Operations tried, for each part.
  uint64_t steps_max = 100'000;
};

struct Verdict {
  size_t parts = 0;
  size_t undecided = 0;  // Of the parts.
  uint64_t steps = 0;    // Operations tried in all.
  // What cannot be, for people: the shortest beginning of the history that no order explains.
  // Empty: every part that was decided is linearizable.
  std::string violation;

  bool violated() const { return !violation.empty(); }
};

Verdict Check(const std::vector<Operation>& operations, const CheckOptions& options);

}  // namespace orrery::linearizability
