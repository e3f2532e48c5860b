// Whatever happens to the connections, the arm queue loses none, doubles none, and lets none wait
// for ever.
//
// A miniature of the reactor's discipline runs over the queue: elements get work, are armed when
// visited, complete, vanish, and all of that also during a walk. A plain list of numbers says what
// must be where.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <ostream>
#include <vector>

#include "base/slab.h"
#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "runtime/arm_queue.h"

namespace orrery {
namespace {

// What is done to the element number `target` (modulo those that live) outside or inside a walk.
enum class Act : uint8_t { kAppear, kWork, kComplete, kVanish };

struct Action {
  Act act = Act::kAppear;
  uint32_t target = 0;
};

// Actions, then a walk that has room for `capacity` submissions and during whose visits `during`
// happens, one action a visit.
struct Round {
  std::vector<Action> before;
  uint32_t capacity = 0;
  std::vector<Action> during;
};

std::ostream& operator<<(std::ostream& out, const Action& action) {
  constexpr const char* kNames[] = {"appear", "work", "complete", "vanish"};
  return out << kNames[static_cast<int>(action.act)] << "(" << action.target << ")";
}

std::ostream& operator<<(std::ostream& out, const Round& round) {
  out << "{before:";
  for (const Action& action : round.before) out << " " << action;
  out << "; walk with " << round.capacity << ", during:";
  for (const Action& action : round.during) out << " " << action;
  return out << "}";
}

rc::Gen<Action> AnyAction() {
  return rc::gen::build<Action>(
      rc::gen::set(
          &Action::act,
          rc::gen::weightedElement<Act>(
              {{3, Act::kAppear}, {8, Act::kWork}, {6, Act::kComplete}, {2, Act::kVanish}})),
      rc::gen::set(&Action::target, rc::gen::inRange<uint32_t>(0, 40)));
}

rc::Gen<Round> AnyRound() {
  return rc::gen::build<Round>(
      rc::gen::set(&Round::before, rc::gen::container<std::vector<Action>>(AnyAction())),
      rc::gen::set(&Round::capacity,
                   rc::gen::weightedOneOf<uint32_t>({{1, rc::gen::just<uint32_t>(0)},
                                                     {4, rc::gen::inRange<uint32_t>(1, 9)},
                                                     {2, rc::gen::just<uint32_t>(1'000'000)}})),
      rc::gen::set(&Round::during, rc::gen::container<std::vector<Action>>(AnyAction())));
}

struct Element {
  Element(SlotHandle own_handle, uint64_t own_id) : own(own_handle), id(own_id) {}
  SlotHandle handle() const { return own; }

  SlotHandle own;
  uint64_t id;  // Never reused, unlike the slot.
  bool arm_queued = false;
};

// The queue under test, and what must be true of it.
class Miniature {
 public:
  void Run(const std::vector<Round>& rounds) {
    for (const Round& round : rounds) {
      for (const Action& action : round.before) Do(action);
      Walk(round.capacity, round.during);
      CheckAll();
    }
    // With room enough, everybody who waits is visited, and nobody else.
    Walk(1'000'000, {});
    RC_ASSERT(queue_.empty());
    CheckAll();
  }

 private:
  struct State {
    SlotHandle handle;
    uint32_t work = 0;
    bool in_flight = false;
    // For the bounded wait: how many stood before it when it was queued, and the count of
    // submissions then.
    size_t ahead_when_queued = 0;
    uint64_t submitted_when_queued = 0;
  };

  void Do(const Action& action) {
    if (action.act == Act::kAppear) {
      const uint64_t id = next_id_++;
      Element* element = slab_.Allocate(id);
      RC_ASSERT(element != nullptr);
      alive_[id].handle = element->own;
      return;
    }
    if (alive_.empty()) return;
    auto found = alive_.begin();
    std::advance(found, action.target % alive_.size());
    const uint64_t id = found->first;
    State& state = found->second;
    switch (action.act) {
      case Act::kWork:
        ++state.work;
        break;
      case Act::kComplete:
        state.in_flight = false;
        break;
      default:
        if (id == visited_) return;  // A visit does not release the one that it visits.
        slab_.Release(state.handle);
        std::erase(waiting_, id);
        alive_.erase(found);
        return;
    }
    if (state.work > 0 && !state.in_flight) Push(id, state);
  }

  void Push(uint64_t id, State& state) {
    queue_.Push(*slab_.Find(state.handle));
    if (std::count(waiting_.begin(), waiting_.end(), id) != 0) return;
    state.ahead_when_queued = waiting_.size();
    state.submitted_when_queued = submitted_;
    waiting_.push_back(id);
  }

  void Walk(uint32_t capacity, const std::vector<Action>& during) {
    const uint64_t visits_before = queue_.visits();
    size_t visits_left = waiting_.size();  // What is pushed from now on waits for the next walk.
    uint32_t room = capacity;
    uint64_t visits = 0;
    bool refused = false;
    queue_.Walk(slab_, [&](Element& element) {
      RC_ASSERT(!refused);
      RC_ASSERT(visits < visits_left);
      // Those that vanished meanwhile are out of `waiting_`: the next one is always its front.
      RC_ASSERT(!waiting_.empty());
      RC_ASSERT(element.id == waiting_.front());
      RC_ASSERT(!element.arm_queued);
      State& state = alive_.at(element.id);
      RC_ASSERT(submitted_ - state.submitted_when_queued <= state.ahead_when_queued);
      visited_ = element.id;
      if (room > 0) {
        --room;
        ++submitted_;
        waiting_.pop_front();
        state.work = 0;
        state.in_flight = true;
        if (visits < during.size()) Do(during[visits]);
      } else {
        refused = true;
      }
      visited_ = kNobody;
      ++visits;
      return !refused;
    });
    // O(active): what was queued is visited, the rest is not.
    RC_ASSERT(queue_.visits() - visits_before == visits);
    RC_ASSERT(visits <= visits_left);
  }

  void CheckAll() {
    for (const auto& [id, state] : alive_) {
      const Element* element = slab_.Find(state.handle);
      RC_ASSERT(element != nullptr);
      const auto entries = std::count(waiting_.begin(), waiting_.end(), id);
      RC_ASSERT(entries <= 1);
      RC_ASSERT(element->arm_queued == (entries == 1));
      // No lost wake-up.
      if (state.work > 0 && !state.in_flight) RC_ASSERT(entries == 1);
    }
    RC_ASSERT(queue_.size() >= waiting_.size());
  }

  static constexpr uint64_t kNobody = ~uint64_t{0};

  Slab<Element> slab_{1'000'000};
  ArmQueue<Element> queue_;
  std::map<uint64_t, State> alive_;
  std::deque<uint64_t> waiting_;  // Who must be in the queue, in order.
  uint64_t next_id_ = 0;
  uint64_t visited_ = kNobody;
  uint64_t submitted_ = 0;
};

RC_GTEST_PROP(ArmQueueProperty, LosesNobodyDoublesNobodyAndIsFair, ()) {
  const auto rounds = *rc::gen::scale(0.4, rc::gen::container<std::vector<Round>>(AnyRound()));
  Miniature().Run(rounds);
}

// With any number of idle elements a walk costs what is queued.
RC_GTEST_PROP(ArmQueueProperty, VisitsOnlyThoseWithWork, ()) {
  constexpr uint32_t kElements = 10'000;
  static Slab<Element>& slab = *[] {
    static Slab<Element> elements(kElements);
    for (uint32_t index = 0; index < kElements; ++index) (void)elements.Allocate(index);
    return &elements;
  }();
  const auto active =
      *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, kElements));
  ArmQueue<Element> queue;
  std::vector<uint64_t> expected;
  for (const uint32_t index : active) {
    if (std::count(expected.begin(), expected.end(), index) == 0) expected.push_back(index);
    queue.Push(*slab.Find({.index = index, .generation = 0}));
  }
  std::vector<uint64_t> visited;
  queue.Walk(slab, [&](Element& element) {
    visited.push_back(element.id);
    return true;
  });
  RC_ASSERT(visited == expected);
  RC_ASSERT(queue.visits() == expected.size());
}

}  // namespace
}  // namespace orrery
