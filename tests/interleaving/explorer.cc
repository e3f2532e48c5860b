#include "tests/interleaving/explorer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace orrery::interleaving {
namespace {

// A case with more steps is not small.
constexpr size_t kStepsMax = 1000;

struct DelayedStore {
  const void* cell;
  std::function<void()> store;
};

// What can happen next, as bits: thread i goes on (bit 2 i), or its oldest store becomes visible
// (bit 2 i + 1).
using Moves = uint32_t;
constexpr size_t kThreadsMax = 16;

}  // namespace

struct Explorer::Thread {
  explicit Thread(const std::function<void()>& thread_body) : body(thread_body) {
    // One fiber for all runs: making one costs more than a run.
    fiber = std::make_unique<model::Fiber>([this] {
      for (;;) {
        body();
        done = true;
        fiber->Suspend();
      }
    });
  }

  bool Touches(const void* other_cell) const {
    if (access == Access::kOwn) return false;
    if (cell == other_cell) return true;
    return access == Access::kDrainingWrite &&
           std::any_of(delayed.begin(), delayed.end(),
                       [=](const DelayedStore& store) { return store.cell == other_cell; });
  }

  const std::function<void()>& body;
  std::unique_ptr<model::Fiber> fiber;
  bool done = false;
  // The access that it stands before, and what that waits for.
  const void* cell = nullptr;
  Access access = Access::kOwn;
  const std::function<bool()>* blocked = nullptr;
  std::deque<DelayedStore> delayed;
};

struct Explorer::State {
  struct Decision {
    Moves possible = 0;
    // All runs that begin with one of these, from here on, are like runs that have been made.
    Moves covered = 0;
    unsigned taken = 0;
  };

  std::vector<std::unique_ptr<Thread>> threads;
  Thread* running = nullptr;
  std::vector<Decision> decisions;
  size_t depth = 0;
  bool repeats = false;  // The run is like one that was made; it only goes on to its end.

  Thread& ThreadOf(unsigned move) { return *threads[move / 2]; }
  static bool IsShow(unsigned move) { return move % 2 == 1; }

  bool Concern(unsigned left, unsigned right) {
    const Thread& first = ThreadOf(left);
    const Thread& second = ThreadOf(right);
    if (&first == &second) return true;
    if (IsShow(left) && IsShow(right)) {
      return first.delayed.front().cell == second.delayed.front().cell;
    }
    if (IsShow(left)) return second.Touches(first.delayed.front().cell);
    if (IsShow(right)) return first.Touches(second.delayed.front().cell);
    if (first.access == Access::kRead && second.access == Access::kRead) return false;
    if (first.access == Access::kOwn || second.access == Access::kOwn) return false;
    if (first.Touches(second.cell) || second.Touches(first.cell)) return true;
    return first.access == Access::kDrainingWrite &&
           std::any_of(first.delayed.begin(), first.delayed.end(),
                       [&](const DelayedStore& store) { return second.Touches(store.cell); });
  }

  Moves Possible(bool& all_done) {
    Moves moves = 0;
    all_done = true;
    for (size_t index = 0; index < threads.size(); ++index) {
      const Thread& thread = *threads[index];
      all_done &= thread.done;
      const bool waits = thread.blocked != nullptr && !(*thread.blocked)();
      if (!thread.done && !waits) moves |= Moves{1} << (2 * index);
      if (!thread.delayed.empty()) moves |= Moves{2} << (2 * index);
    }
    return moves;
  }

  // `asleep`: moves that are covered here already, by runs that made them earlier.
  unsigned Decide(Moves possible, Moves& asleep) {
    ORRERY_CHECK_MSG(depth < kStepsMax, "this case is not small");
    if ((possible & ~asleep) == 0 && depth == decisions.size()) repeats = true;
    if (repeats) return static_cast<unsigned>(std::countr_zero(possible));
    if (depth == decisions.size()) {
      const auto first = static_cast<unsigned>(std::countr_zero(possible & ~asleep));
      decisions.push_back({.possible = possible, .covered = asleep, .taken = first});
    }
    const Decision& decision = decisions[depth++];
    ORRERY_CHECK_MSG(decision.possible == possible, "a run is not a function of its decisions");
    const unsigned taken = decision.taken;
    Moves still_asleep = 0;
    for (Moves left = decision.covered & possible; left != 0; left &= left - 1) {
      const auto move = static_cast<unsigned>(std::countr_zero(left));
      if (!Concern(move, taken)) still_asleep |= Moves{1} << move;
    }
    asleep = still_asleep;
    return taken;
  }

  // False: there is no other run.
  bool Next() {
    while (!decisions.empty()) {
      Decision& last = decisions.back();
      last.covered |= Moves{1} << last.taken;
      const Moves left = last.possible & ~last.covered;
      if (left != 0) {
        last.taken = static_cast<unsigned>(std::countr_zero(left));
        return true;
      }
      decisions.pop_back();
    }
    return false;
  }

  static void ShowOldest(Thread& thread) {
    thread.delayed.front().store();
    thread.delayed.pop_front();
  }

  void Resume(Thread& thread) {
    running = &thread;
    thread.blocked = nullptr;
    thread.fiber->Resume();
    running = nullptr;
  }

  // One run. False: it is stuck.
  bool Go() {
    depth = 0;
    repeats = false;
    for (const auto& thread : threads) {
      thread->done = false;
      Resume(*thread);  // To its first access.
    }
    Moves asleep = 0;
    for (;;) {
      bool all_done = false;
      const Moves possible = Possible(all_done);
      if (possible == 0) return all_done;
      const unsigned move = Decide(possible, asleep);
      Thread& thread = ThreadOf(move);
      IsShow(move) ? ShowOldest(thread) : Resume(thread);
    }
  }

  std::string Render() const {
    std::string text;
    for (size_t index = 0; index < depth; ++index) {
      const unsigned move = decisions[index].taken;
      text += (index == 0 ? "" : " ") + std::to_string(move / 2) + (IsShow(move) ? "s" : "");
    }
    return text;
  }
};

Explorer::State* Explorer::state_ = nullptr;

Explorer::Result Explorer::Run(const Case& threads, uint64_t runs_max) {
  ORRERY_CHECK_MSG(state_ == nullptr, "one explorer at a time");
  ORRERY_CHECK(threads.threads.size() <= kThreadsMax);
  State state;
  for (const auto& body : threads.threads) state.threads.push_back(std::make_unique<Thread>(body));
  Result result;
  while (!result.complete && result.runs + result.repeated < runs_max) {
    threads.prepare();
    state_ = &state;
    const bool ended = state.Go();
    state_ = nullptr;
    ++(state.repeats ? result.repeated : result.runs);
    result.steps_max = std::max<uint64_t>(result.steps_max, state.depth);
    result.problem = ended ? threads.verdict() : "deadlock";
    if (!result.problem.empty()) {
      result.decisions = state.Render();
      break;
    }
    result.complete = !state.Next();
  }
  return result;
}

void Explorer::Step(const void* cell, Access access) {
  if (state_ == nullptr) return;  // A case is prepared, or judged.
  Thread& thread = *state_->running;
  thread.cell = cell;
  thread.access = access;
  thread.fiber->Suspend();
}

void Explorer::BlockUntil(const void* cell, const std::function<bool()>& ready) {
  state_->running->blocked = &ready;
  Step(cell, Access::kWrite);
}

void Explorer::Delay(const void* cell, std::function<void()> store) {
  if (state_ == nullptr) return store();
  state_->running->delayed.push_back({.cell = cell, .store = std::move(store)});
}

void Explorer::Drain() {
  if (state_ == nullptr) return;
  while (!state_->running->delayed.empty()) State::ShowOldest(*state_->running);
}

bool Explorer::HasDelayed(const void* cell) {
  if (state_ == nullptr) return false;
  const auto& delayed = state_->running->delayed;
  return std::any_of(delayed.begin(), delayed.end(),
                     [cell](const DelayedStore& store) { return store.cell == cell; });
}

}  // namespace orrery::interleaving
