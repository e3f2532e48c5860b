// The run queue of one thread's tasks: what can go on, in the order in which that became so.
//
// Everything that makes a task ready puts it here, and only Run() resumes: so no task runs inside
// another one, the stack does not grow with the number of tasks that wait for each other, and an
// object may be destroyed right after it has made somebody ready. Owned and used by one thread.
//
// Invariant: a Runnable is queued at most once.
#pragma once

#include <cstddef>

#include "base/check.h"

namespace orrery::coro {

// Something that can be queued to run once. It must outlive its place in the queue.
class Runnable {
 public:
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;

  bool queued() const { return queued_; }

 protected:
  Runnable() = default;
  virtual ~Runnable() { ORRERY_CHECK_MSG(!queued_, "destroyed while it was in the run queue"); }

 private:
  friend class Scheduler;

  // Called by Scheduler::Run(), after this has left the queue; may destroy this.
  virtual void Run() = 0;

  Runnable* next_ = nullptr;
  bool queued_ = false;
};

class Scheduler {
 public:
  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler() { ORRERY_CHECK_MSG(empty(), "the scheduler was destroyed with tasks to run"); }

  // REQUIRES: !runnable.queued().
  void Push(Runnable& runnable) {
    ORRERY_CHECK(!runnable.queued_);
    runnable.queued_ = true;
    runnable.next_ = nullptr;
    (last_ == nullptr ? first_ : last_->next_) = &runnable;
    last_ = &runnable;
  }

  // Runs until the queue is empty, or `runs_max` times; what becomes ready meanwhile counts, too.
  // Returns how many ran. REQUIRES: not called from within itself.
  size_t Run(size_t runs_max) {
    ORRERY_CHECK_MSG(!running_, "tasks run from the driver only");
    running_ = true;
    size_t runs = 0;
    for (; runs < runs_max && first_ != nullptr; ++runs) {
      Runnable& runnable = *first_;
      first_ = runnable.next_;
      if (first_ == nullptr) last_ = nullptr;
      runnable.queued_ = false;
      runnable.Run();
    }
    running_ = false;
    return runs;
  }

  bool empty() const { return first_ == nullptr; }

 private:
  Runnable* first_ = nullptr;
  Runnable* last_ = nullptr;
  bool running_ = false;
};

}  // namespace orrery::coro
