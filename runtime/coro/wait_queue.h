// Tasks that wait for what other tasks do, first come, first served; a stop takes one out.
//
// What channels and semaphores are made of, and what you make your own from: an awaiter is a
// Waiter, its await_suspend() returns queue.Wait(*this, task), and whoever has what it waits for
// serves the front. Thread: the scheduler's.
#pragma once

#include "base/check.h"
#include "base/intrusive_list.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

class WaitQueue;

class Waiter : private StopListener {
 protected:
  Waiter() = default;
  // It was asked to stop, and not served.
  bool stopped() const { return stopped_; }

 private:
  friend class WaitQueue;
  inline void OnStop() final;

  ListLink link_;
  WaitQueue* queue_ = nullptr;
  TaskBase* task_ = nullptr;
  bool stopped_ = false;
};

class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  ~WaitQueue() { ORRERY_CHECK_MSG(empty(), "destroyed while tasks wait for it"); }

  bool empty() const { return waiters_.empty(); }
  // Who has waited longest; null when nobody waits.
  Waiter* front() { return waiters_.front(); }

  // For await_suspend(): false, and stopped(), when the task has been asked to stop already.
  [[nodiscard]] bool Wait(Waiter& waiter, TaskBase& task) {
    if (task.stop_requested()) {
      waiter.stopped_ = true;
      return false;
    }
    waiter.queue_ = this;
    waiter.task_ = &task;
    waiters_.PushBack(waiter);
    waiter.Listen(task.stop());
    return true;
  }

  // Its task goes on. REQUIRES: it is in this queue.
  void Serve(Waiter& waiter) {
    waiters_.Remove(waiter);
    waiter.EndListening();
    waiter.task_->Wake();
  }

 private:
  friend class Waiter;
  IntrusiveList<Waiter, &Waiter::link_> waiters_;
};

inline void Waiter::OnStop() {
  stopped_ = true;
  queue_->waiters_.Remove(*this);
  task_->Wake();
}

}  // namespace orrery::coro
