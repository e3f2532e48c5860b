// Looks for an order of some operations of a history that explains their replies: Wing and Gong's
// search, with Lowe's memory of where it has been.
//
// What must come before what:
//   - an operation that had returned when another was called comes before it;
//   - of one connection, pipelined: operations keep their order where they share a key, and where
//     one of them does not flow (Operation::flows). What flows to several shards at once takes
//     effect in any order.
// An operation without a return may be left out. Invariant: what is reported as impossible is so
// (but for a collision of 64 bits); an end of the budget is reported as that and as nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/linearizability/history.h"

namespace orrery::linearizability {

enum class Outcome : uint8_t { kExplained, kImpossible, kOutOfBudget };

struct SearchResult {
  Outcome outcome = Outcome::kOutOfBudget;
  uint64_t steps = 0;         // Operations tried.
  std::vector<size_t> order;  // kExplained: an order.
  std::string store;          // kExplained: the keys after it, for people.
};

// `part`: the indices of the operations to explain, ascending; all that touch their keys.
SearchResult Search(const std::vector<Operation>& operations, const std::vector<size_t>& part,
                    uint64_t steps_max);

}  // namespace orrery::linearizability
