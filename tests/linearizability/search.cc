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

// An operation on all keys is seen when it begins, and takes effect some time after that: whether
// it is tried first as early as that, or as late as it returned.
enum class Guess : uint8_t { kEarly, kLate };

class Searcher {
 public:
  Searcher(const std::vector<Operation>& operations, const std::vector<size_t>& part, Guess guess)
      : operations_(operations), guess_(guess) {
    for (const size_t index : part) AddNode(index);
    OrderConnections();
    for (const Node& node : nodes_) answered_left_ += node.answered ? 1 : 0;
  }

  SearchResult Run(uint64_t steps_max) {
    SearchResult result;
    Store start(operations_);
    TakeReaders(start);
    Enter(std::move(start), 0);
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
      PutBackTo(frame.order_before);
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
  // A set of keys, as bits: disjoint sets may look as if they were not, when there are many keys.
  using KeyBits = uint64_t;

  struct Node {
    size_t index = 0;  // Of the operation.
    uint64_t called = 0;
    uint64_t returned = kNever;
    uint64_t likely = kNever;  // When it seems to have taken effect.
    Footprint footprint;
    KeyBits reads = 0;
    KeyBits writes = 0;
    bool answered = false;
    bool changes = false;  // The store, in some states at least.
    bool flows = false;
    bool may_have_aborted = false;  // Nobody knows.
    bool taken = false;
    std::vector<size_t> before;  // Nodes of its connection that must come before it, and after it.
    std::vector<size_t> after;
    size_t waits_for = 0;  // Of those before it, how many are left.
  };
  struct Candidate {
    size_t node = 0;
    bool aborted = false;  // See Store::Apply().
  };
  // A place in the search: what may come next, and how far that has been tried.
  struct Frame {
    Store store;
    std::vector<Candidate> candidates;
    size_t next = 0;
    size_t order_before = 0;  // How many had been taken before it was entered.
  };

  void AddNode(size_t index) {
    const Operation& operation = operations_[index];
    Node node;
    node.index = index;
    node.called = operation.called;
    node.returned = operation.returned;
    node.footprint = FootprintOf(operation);
    const bool guessed = node.footprint.all_keys && guess_ == Guess::kLate;
    node.likely = operation.hint == kNever || guessed ? operation.returned : operation.hint;
    node.reads = BitsOf(node.footprint);
    for (const size_t watch : operation.watches) {
      node.reads |= BitsOf(FootprintOf(operations_[watch]));
    }
    if (node.footprint.writes) node.writes = BitsOf(node.footprint);
    node.answered = operation.answered();
    const bool transaction = operation.kind == Operation::Kind::kTransaction;
    // What guards a transaction is remembered, and forgotten by it.
    node.changes = node.footprint.writes || operation.guards || transaction;
    node.flows = operation.flows;
    node.may_have_aborted = !node.answered && !operation.watches.empty();
    nodes_.push_back(std::move(node));
  }

  KeyBits BitsOf(const Footprint& footprint) {
    if (footprint.all_keys) return ~KeyBits{0};
    KeyBits bits = 0;
    for (const std::string_view key : footprint.keys) {
      bits |= KeyBits{1} << (key_numbers_.emplace(key, key_numbers_.size()).first->second % 64);
    }
    return bits;
  }

  void OrderConnections() {
    std::map<uint64_t, std::vector<size_t>> by_client;
    for (size_t node = 0; node < nodes_.size(); ++node) {
      by_client[operations_[nodes_[node].index].client].push_back(node);
    }
    for (const auto& [client, members] : by_client) {
      for (size_t later = 0; later < members.size(); ++later) {
        for (size_t earlier = later; earlier-- > 0;) {
          if (!KeepsOrder(nodes_[members[earlier]], nodes_[members[later]])) continue;
          nodes_[members[earlier]].after.push_back(members[later]);
          nodes_[members[later]].before.push_back(members[earlier]);
          ++nodes_[members[later]].waits_for;
        }
      }
    }
  }

  static bool KeepsOrder(const Node& one, const Node& other) {
    // The search sees to it anyway.
    if (one.returned < other.called) return false;
    return !one.flows || !other.flows || SharesKey(one.footprint, other.footprint);
  }

  void Enter(Store store, size_t order_before) {
    std::vector<Candidate> candidates;
    for (const size_t node : Writers()) {
      candidates.push_back({.node = node, .aborted = false});
      if (nodes_[node].may_have_aborted) candidates.push_back({.node = node, .aborted = true});
    }
    frames_.push_back({.store = std::move(store),
                       .candidates = std::move(candidates),
                       .next = 0,
                       .order_before = order_before});
  }

  // All that are left and that nobody who is left had to come before by the clock: called before
  // any of them returned. In the order of their calls.
  std::vector<size_t> Window() const {
    std::vector<size_t> window;
    uint64_t first_return = kNever;
    for (size_t node = first_left_; node < nodes_.size(); ++node) {
      if (nodes_[node].taken) continue;
      if (nodes_[node].called > first_return) break;
      first_return = std::min(first_return, nodes_[node].returned);
      window.push_back(node);
    }
    return window;
  }

  // Which writers are to be tried next. One of the window returned first and so must come before
  // everything outside. Whoever is not linked to it, by keys that one of them writes or by the
  // order of a connection, may as well come after it: so only those are tried that are linked to
  // it, who returned first before the others.
  std::vector<size_t> Writers() const {
    std::vector<size_t> rest = Window();
    if (rest.empty()) return {};
    const auto first = std::min_element(rest.begin(), rest.end(), [this](size_t one, size_t other) {
      return nodes_[one].returned < nodes_[other].returned;
    });
    std::vector<size_t> linked = {*first};
    KeyBits reads = nodes_[*first].reads;
    KeyBits writes = nodes_[*first].writes;
    rest.erase(first);
    for (bool grown = true; grown;) {
      grown = false;
      for (size_t& node : rest) {
        if (node == kNobody) continue;
        const Node& other = nodes_[node];
        const bool meets = (other.writes & reads) != 0 || (other.reads & writes) != 0;
        if (!meets && !ComesBeforeOneOf(node, linked)) continue;
        reads |= other.reads;
        writes |= other.writes;
        linked.push_back(node);
        node = kNobody;
        grown = true;
      }
    }
    std::erase_if(linked, [this](size_t node) {
      return !nodes_[node].changes || nodes_[node].waits_for > 0;
    });
    std::sort(linked.begin(), linked.end(), [this](size_t one, size_t other) {
      return std::pair(nodes_[one].likely, one) < std::pair(nodes_[other].likely, other);
    });
    return linked;
  }

  bool ComesBeforeOneOf(size_t node, const std::vector<size_t>& others) const {
    return std::any_of(others.begin(), others.end(), [this, node](size_t other) {
      const std::vector<size_t>& before = nodes_[other].before;
      return std::find(before.begin(), before.end(), node) != before.end();
    });
  }

  void Try(const Candidate& candidate) {
    ++steps_;
    const size_t order_before = order_.size();
    Store store = frames_.back().store;
    if (!store.Apply(nodes_[candidate.node].index, candidate.aborted)) return;
    Take(candidate.node);
    TakeReaders(store);
    if (seen_.insert(Combine(taken_hash_, store.Fingerprint())).second) {
      Enter(std::move(store), order_before);
    } else {
      PutBackTo(order_before);
    }
  }

  // Whoever only reads, and reads what is there now (or was not told what), may as well come now:
  // nobody can tell. So there is no other way to be tried.
  void TakeReaders(Store& store) {
    for (bool found = true; found;) {
      found = false;
      for (const size_t node : Window()) {
        if (nodes_[node].changes || nodes_[node].waits_for > 0) continue;
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

  void PutBackTo(size_t order_size) {
    while (order_.size() > order_size) {
      const size_t node = taken_.back();
      taken_.pop_back();
      order_.pop_back();
      nodes_[node].taken = false;
      taken_hash_ ^= Mix64(node);
      answered_left_ += nodes_[node].answered ? 1 : 0;
      for (const size_t other : nodes_[node].after) ++nodes_[other].waits_for;
      first_left_ = std::min(first_left_, node);
    }
  }

  static constexpr size_t kNobody = SIZE_MAX;

  const std::vector<Operation>& operations_;
  const Guess guess_;
  std::map<std::string_view, size_t> key_numbers_;
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
  const SearchResult early = Searcher(operations, part, Guess::kEarly).Run(steps_max / 2);
  if (early.outcome != Outcome::kOutOfBudget) return early;
  SearchResult late = Searcher(operations, part, Guess::kLate).Run(steps_max - early.steps);
  late.steps += early.steps;
  return late;
}

}  // namespace orrery::linearizability
