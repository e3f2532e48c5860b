#include "tests/linearizability/history.h"

#include <utility>

#include "base/check.h"

namespace orrery::linearizability {

size_t History::Call(Operation operation) {
  ORRERY_CHECK(!operation.commands.empty() || operation.kind == Operation::Kind::kTransaction);
  ORRERY_CHECK(operation.watches.empty() || operation.kind == Operation::Kind::kTransaction);
  operation.called = now_++;
  operation.returned = kNever;
  for (const size_t index : operation.watches) {
    Operation& watch = operations_.at(index);
    ORRERY_CHECK(watch.kind == Operation::Kind::kWatch && watch.client == operation.client);
    watch.guards = true;
  }
  operations_.push_back(std::move(operation));
  return operations_.size() - 1;
}

void History::Return(size_t index, std::vector<std::string> replies) {
  Operation& operation = Unreturned(index);
  ORRERY_CHECK_OP(replies.size(), ==, operation.commands.size());
  operation.replies = std::move(replies);
  operation.returned = now_++;
}

void History::ReturnAborted(size_t index) {
  Operation& operation = Unreturned(index);
  ORRERY_CHECK(operation.kind == Operation::Kind::kTransaction);
  operation.aborted = true;
  operation.returned = now_++;
}

void History::Hint(size_t index, int64_t clock_ms) {
  Operation& operation = operations_.at(index);
  operation.hint = now_++;
  operation.clock_ms = clock_ms;
}

Operation& History::Unreturned(size_t index) {
  ORRERY_CHECK_OP(index, <, operations_.size());
  Operation& operation = operations_[index];
  ORRERY_CHECK(!operation.answered());
  return operation;
}

}  // namespace orrery::linearizability
