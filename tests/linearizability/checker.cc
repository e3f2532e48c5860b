#include "tests/linearizability/checker.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

#include "tests/linearizability/footprint.h"
#include "tests/linearizability/search.h"
#include "tests/scenarios/resp.h"

namespace orrery::linearizability {
namespace {

// Who is linked to whom, by a chain of links.
class Groups {
 public:
  explicit Groups(size_t count) : parents_(count) {
    std::iota(parents_.begin(), parents_.end(), size_t{0});
  }
  size_t Find(size_t member) {
    while (parents_[member] != member) {
      parents_[member] = parents_[parents_[member]];
      member = parents_[member];
    }
    return member;
  }
  // The smaller one stands for both.
  void Link(size_t one, size_t other) {
    one = Find(one);
    other = Find(other);
    parents_[std::max(one, other)] = std::min(one, other);
  }

 private:
  std::vector<size_t> parents_;
};

// Indices of operations, ascending, in each part; the parts in the order of their first operations.
std::vector<std::vector<size_t>> PartsOf(const std::vector<Operation>& operations) {
  Groups groups(operations.size());
  std::map<std::string_view, size_t> first_on;
  std::vector<size_t> on_keys;
  bool on_all_keys = false;
  for (size_t index = 0; index < operations.size(); ++index) {
    const Footprint footprint = FootprintOf(operations[index]);
    for (const std::string_view key : footprint.keys) {
      groups.Link(first_on.emplace(key, index).first->second, index);
    }
    for (const size_t watch : operations[index].watches) groups.Link(watch, index);
    on_all_keys |= footprint.all_keys;
    if (footprint.all_keys || !footprint.keys.empty()) on_keys.push_back(index);
  }
  if (on_all_keys) {
    for (const size_t index : on_keys) groups.Link(on_keys.front(), index);
  }
  std::map<size_t, std::vector<size_t>> parts;
  for (size_t index = 0; index < operations.size(); ++index) {
    parts[groups.Find(index)].push_back(index);
  }
  std::vector<std::vector<size_t>> result;
  for (auto& [first, part] : parts) result.push_back(std::move(part));
  return result;
}

// The history as it was right after `time`: who returned later had not returned.
std::vector<Operation> Beginning(std::vector<Operation> operations, uint64_t time) {
  for (Operation& operation : operations) {
    if (operation.returned <= time) continue;
    operation.returned = kNever;
    operation.replies.clear();
    operation.aborted = false;
  }
  return operations;
}

std::vector<size_t> CalledBy(const std::vector<Operation>& operations,
                             const std::vector<size_t>& part, uint64_t time) {
  std::vector<size_t> called;
  for (const size_t index : part) {
    if (operations[index].called <= time) called.push_back(index);
  }
  return called;
}

std::string TextOf(const Arguments& arguments) {
  constexpr size_t kShownMax = 12;
  std::string text;
  for (size_t at = 0; at < arguments.size() && at < kShownMax; ++at) {
    if (at > 0) text += ' ';
    text += scenarios::Printable(arguments[at], 24);
  }
  return arguments.size() > kShownMax ? text + " ..." : text;
}

std::string TextOf(const Operation& operation) {
  std::string text = "client " + std::to_string(operation.client) + " [" +
                     std::to_string(operation.called) + ", " +
                     (operation.answered() ? std::to_string(operation.returned) : "never") + "] ";
  const bool transaction = operation.kind == Operation::Kind::kTransaction;
  if (transaction) text += "EXEC of ";
  for (size_t at = 0; at < operation.commands.size(); ++at) {
    if (at > 0) text += "; ";
    text += TextOf(operation.commands[at]);
    if (at < operation.replies.size()) {
      text += " -> " + scenarios::Printable(operation.replies[at]);
    }
  }
  return operation.aborted ? text + " -> nil" : text;
}

// The shortest beginning of the part that has no explanation, in words. `part` has none.
std::string Explain(const std::vector<Operation>& operations, const std::vector<size_t>& part,
                    uint64_t steps_max) {
  constexpr size_t kShownMax = 40;
  std::vector<uint64_t> returns;
  for (const size_t index : part) {
    if (operations[index].answered()) returns.push_back(operations[index].returned);
  }
  std::sort(returns.begin(), returns.end());
  const auto search = [&](uint64_t time) {
    return Search(Beginning(operations, time), CalledBy(operations, part, time), steps_max);
  };
  // A beginning of what can be explained can be explained, so halving finds the shortest that
  // cannot; one that is undecided counts as explained.
  const auto shortest = std::partition_point(
      returns.begin(), returns.end() - 1,
      [&search](uint64_t time) { return search(time).outcome != Outcome::kImpossible; });
  const std::vector<Operation> beginning = Beginning(operations, *shortest);
  const std::vector<size_t> called = CalledBy(operations, part, *shortest);
  const auto last = std::find_if(called.begin(), called.end(), [&](size_t index) {
    return beginning[index].returned == *shortest;
  });
  std::string text = "no order explains the replies up to this one:\n  " +
                     TextOf(beginning[*last]) +
                     "\nwith these operations called before it returned:";
  const size_t left_out = called.size() > kShownMax ? called.size() - kShownMax : 0;
  if (left_out > 0) text += "\n  (" + std::to_string(left_out) + " earlier ones are not shown)";
  for (size_t at = left_out; at < called.size(); ++at) {
    if (called[at] != *last) text += "\n  " + TextOf(beginning[called[at]]);
  }
  const SearchResult without = search(*shortest - 1);
  if (without.outcome == Outcome::kExplained) {
    text += "\nwithout that reply there is an order, which ends with: " + without.store;
  }
  return text;
}

}  // namespace

Verdict Check(const std::vector<Operation>& operations, const CheckOptions& options) {
  Verdict verdict;
  for (const std::vector<size_t>& part : PartsOf(operations)) {
    const SearchResult result = Search(operations, part, options.steps_max);
    ++verdict.parts;
    verdict.steps += result.steps;
    if (result.outcome == Outcome::kOutOfBudget) ++verdict.undecided;
    if (result.outcome != Outcome::kImpossible || verdict.violated()) continue;
    verdict.violation = Explain(operations, part, options.steps_max);
  }
  return verdict;
}

}  // namespace orrery::linearizability
