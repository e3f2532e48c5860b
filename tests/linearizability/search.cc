#include "tests/linearizability/search.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/prng.h"
#include "tests/linearizability/footprint.h"
#include "tests/linearizability/store.h"

namespace orrery::linearizability {
namespace {

bool SharesKey(const Footprint& one, const Footprint& other) {
  for (const std::string_view key : one.keys) {
    if (std::find(other.keys.begin(), other.keys.end(), key) != other.keys.end()) return true;
  }
  return false;
}

class Searcher {
 public:
  Searcher(const std::vector<Operation>& operations, const std::vector<size_t>& part)
      : operations_(operations) {
    for (const size_t index : part) AddNode(index);
    OrderConnections();
    for (const Node& node : nodes_) answered_left_ += node.answered ? 1 : 0;
  }

  SearchResult Run(uint64_t steps_max) {
    SearchResult result;
    frames_.push_back(Enter(Store(operations_)));
    while (true) {
      if (answered_left_ == 0) {
        result.outcome = Outcome::kExplained;
        result.order = order_;
        result.store = frames_.back().store.Describe();
        break;
      }
      if (steps_ >= steps_max) break;
      Frame& frame = frames_.back();
      if (frame.next < frame.candidates.size()) {
        Try(frame.candidates[frame.next++]);
        continue;
      }
      while (order_.size() > frame.order_before) PutBack();
      frames_.pop_back();
      if (frames_.empty()) {
        result.outcome = Outcome::kImpossible;
        break;
      }
    }
    result.steps = steps_;
    return result;
  }

 private:
  struct Node {
    size_t index = 0;  // Of the operation.
    uint64_t called = 0;
    uint64_t returned = kNever;
    bool answered = false;
    bool writes = false;
    bool single_key = false;
    bool taken = false;
    std::vector<size_t> after;  // Nodes of its connection that must wait for it.
    size_t waits_for = 0;       // How many it waits for.
  };
  // A place in the search: what may come next, and how far that has been tried.
  struct Frame {
    Store store;
    std::vector<size_t> candidates;
    size_t next = 0;
    size_t order_before = 0;  // How many had been taken before it was entered.
  };

  void AddNode(size_t index) {
    const Operation& operation = operations_[index];
    const Footprint footprint = FootprintOf(operation);
    const bool command = operation.kind == Operation::Kind::kCommand;
    // A transaction ends its watches: the store is another one afterwards.
    const bool writes =
        footprint.writes || operation.guards || operation.kind == Operation::Kind::kTransaction;
    nodes_.push_back({.index = index,
                      .called = operation.called,
                      .returned = operation.returned,
                      .answered = operation.answered(),
                      .writes = writes,
                      .single_key = command && !footprint.all_keys && footprint.keys.size() == 1,
                      .taken = false,
                      .after = {},
                      .waits_for = 0});
  }

  void OrderConnections() {
    std::map<uint64_t, std::vector<size_t>> by_client;
    for (size_t node = 0; node < nodes_.size(); ++node) {
      by_client[operations_[nodes_[node].index].client].push_back(node);
    }
    for (const auto& [client, members] : by_client) {
      for (size_t later = 0; later < members.size(); ++later) {
        for (size_t earlier = later; earlier-- > 0;) {
          if (KeepsOrder(members[earlier], members[later])) {
            nodes_[members[earlier]].after.push_back(members[later]);
            ++nodes_[members[later]].waits_for;
          }
        }
      }
    }
  }

  bool KeepsOrder(size_t earlier, size_t later) const {
    const Node& one = nodes_[earlier];
    const Node& other = nodes_[later];
    // The search sees to it anyway.
    if (one.returned < other.called) return false;
    return !one.single_key || !other.single_key ||
           SharesKey(FootprintOf(operations_[one.index]), FootprintOf(operations_[other.index]));
  }

  Frame Enter(Store store) {
    Frame frame{
        .store = std::move(store), .candidates = {}, .next = 0, .order_before = order_.size()};
    frame.candidates = Candidates();
    return frame;
  }

  // Who may come next: nobody that is left had returned before they were called. Who returned first
  // is tried first, and who never returned last.
  std::vector<size_t> Candidates() const {
    std::vector<size_t> candidates;
    uint64_t first_return = kNever;
    for (size_t node = first_left_; node < nodes_.size(); ++node) {
      const Node& candidate = nodes_[node];
      if (candidate.taken) continue;
      if (candidate.called > first_return) break;
      first_return = std::min(first_return, candidate.returned);
      if (candidate.waits_for == 0) candidates.push_back(node);
    }
    std::stable_sort(candidates.begin(), candidates.end(), [this](size_t one, size_t other) {
      return nodes_[one].returned < nodes_[other].returned;
    });
    return candidates;
  }

  void Try(size_t node) {
    ++steps_;
    const size_t order_before = order_.size();
    Store store = frames_.back().store;
    if (!store.Apply(nodes_[node].index)) return;
    Take(node);
    TakeReaders(store);
    if (!seen_.insert(Combine(taken_hash_, store.Fingerprint())).second) {
      while (order_.size() > order_before) PutBack();
      return;
    }
    frames_.push_back(Enter(std::move(store)));
    frames_.back().order_before = order_before;
  }

  // Whoever only reads, and reads what is there now (or was not told what), may as well come now:
  // nobody can tell. So there is no other way to be tried.
  void TakeReaders(Store& store) {
    for (bool found = true; found;) {
      found = false;
      for (const size_t node : Candidates()) {
        if (nodes_[node].writes) continue;
        ++steps_;
        if (!store.Apply(nodes_[node].index)) continue;
        Take(node);
        found = true;
      }
    }
  }

  void Take(size_t node) {
    nodes_[node].taken = true;
    order_.push_back(nodes_[node].index);
    taken_.push_back(node);
    taken_hash_ ^= Mix64(node);
    answered_left_ -= nodes_[node].answered ? 1 : 0;
    for (const size_t other : nodes_[node].after) --nodes_[other].waits_for;
    while (first_left_ < nodes_.size() && nodes_[first_left_].taken) ++first_left_;
  }

  void PutBack() {
    const size_t node = taken_.back();
    taken_.pop_back();
    order_.pop_back();
    nodes_[node].taken = false;
    taken_hash_ ^= Mix64(node);
    answered_left_ += nodes_[node].answered ? 1 : 0;
    for (const size_t other : nodes_[node].after) ++nodes_[other].waits_for;
    first_left_ = std::min(first_left_, node);
  }

  const std::vector<Operation>& operations_;
  std::vector<Node> nodes_;  // In the order of their calls.
  size_t first_left_ = 0;    // Nobody before it is left.
  size_t answered_left_ = 0;
  std::vector<size_t> order_;  // Operations in the order that is being tried; and their nodes.
  std::vector<size_t> taken_;
  uint64_t taken_hash_ = 0;
  std::vector<Frame> frames_;
  std::set<uint64_t> seen_;  // What was taken, and what the store was then.
  uint64_t steps_ = 0;
};

}  // namespace

SearchResult Search(const std::vector<Operation>& operations, const std::vector<size_t>& part,
                    uint64_t steps_max) {
  return Searcher(operations, part).Run(steps_max);
}

}  // namespace orrery::linearizability
