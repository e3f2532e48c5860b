// What had been queued when the kernel took over its task work: a small model of the queue alone,
// searched ahead.
//
// A run of task work first does what the run before left over, then takes over what has been queued
// and does that, as far as its limit allows (facts V7, V7b, V7c); a receive that has had its share
// queues up again (fact M9). So whether something was queued just before or just after a run took
// over may show much later, in the order of completions that it has nothing to do with. Given where
// a trace is, this finds how much must have been there by now, such that the trace can go on up to
// a point at which nothing is queued, and behind which nothing depends on it. In the usual case
// that is the end of the Enter. Invariant: it only chooses between arrivals that are possible; the
// model has the last word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

#include "tests/acceptor/server_trace.h"
#include "tests/acceptor/server_trace_index.h"

namespace orrery::acceptor {

class TaskWorkSchedule {
 public:
  // Both must outlive it.
  TaskWorkSchedule(const ServerTrace& trace, const ServerTraceIndex& index)
      : trace_(trace), index_(index) {}

  struct Situation {
    size_t event = 0;           // The Enter.
    uint32_t next = 0;          // Its next completion, which task work posts.
    uint32_t queued_until = 0;  // Those up to here have been queued already.
    unsigned room = 0;          // Of this run.
    bool again = false;         // Another run follows in this Enter.
    bool sleeping = false;
  };

  struct Answer {
    // The completions below this one, from the next on, had been queued.
    uint32_t arrived = 0;
    bool found = false;    // Otherwise the trace cannot go on,
    bool gave_up = false;  // or the search was too long.
  };

  Answer Find(const Situation& situation);

 private:
  // Completions in a row that one item of task work posts.
  struct Item {
    uint32_t begin = 0;
    uint32_t end = 0;
    size_t previous = kNone;   // The item in which the same request ran before.
    size_t successor = kNone;  // And the one in which it runs next.
    bool put_off = false;      // It queues up again by itself.
    size_t submitted = 0;      // The event that submitted its request.
  };
  struct Stage {
    size_t event = 0;
    size_t items_end = 0;  // Of this Enter, and behind those of the Enters before.
    bool runs_twice = false;
    bool runs = false;  // Nothing runs after a submission that was cut short.
    bool posted_inline = false;
    bool waits = false;
  };
  // What is queued: [next, taken) was taken over by a run, [taken, queued) not yet.
  struct Queue {
    size_t next = 0;
    size_t taken = 0;
    size_t queued = 0;
    friend auto operator<=>(const Queue&, const Queue&) = default;
  };
  enum class Run : uint8_t { kFirst, kLast, kAsleep };
  // Where the search is: in a run that has done so much of what it may.
  struct Moment {
    size_t stage = 0;
    Run run = Run::kLast;
    unsigned done = 0;
    unsigned limit = 0;
    bool posted = false;  // In this Enter.
  };

  static constexpr size_t kNone = ~size_t{0};
  static constexpr unsigned kRunMax = 20;
  static constexpr size_t kStagesMax = 64;
  static constexpr size_t kAheadMax = 64;
  static constexpr uint64_t kTriesMax = 50'000;

  bool AddStage(size_t event, uint32_t first_late);
  // The one behind the last; false: the trace or the window ends.
  bool AddNextStage();
  // Whether it can be done whatever was before, as long as nothing was left over. REQUIRES: it is
  // not the first.
  bool IsSimple(size_t stage) const;
  uint32_t InlineEnd(const TracedEnter& enter, uint32_t begin) const;

  bool MayArrive(size_t item, const Queue& queue, size_t stage) const;
  bool TakeOver(const Moment& moment, const Queue& queue, size_t* chosen);
  bool Start(Moment moment, Queue queue);
  bool Continue(Moment moment, Queue queue);
  bool Finish(const Moment& moment, const Queue& queue);
  bool EnterNext(size_t stage, const Queue& queue);
  // Runs items of what was taken over, until there are no more or the limit is reached. False: that
  // cannot be.
  bool RunItems(Moment& moment, Queue& queue);
  bool RunItem(const Moment& moment, Queue& queue);

  const ServerTrace& trace_;
  const ServerTraceIndex& index_;

  // Of one search.
  std::vector<Item> items_;
  std::vector<Stage> stages_;
  std::set<std::tuple<size_t, Queue>> hopeless_;
  uint64_t tries_ = 0;
  bool open_end_ = false;  // The search has left the window: so far so good.
};

}  // namespace orrery::acceptor
