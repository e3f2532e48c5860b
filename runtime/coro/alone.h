// Runs one task and what it begins to the end, for tests of what needs no kernel.
#pragma once

#include <gtest/gtest.h>

#include <concepts>
#include <coroutine>
#include <cstddef>

#include "runtime/coro/scheduler.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"
#include "runtime/coro/wait_queue.h"

namespace orrery::coro {

class Alone final : private TaskOwner {
 public:
  Scheduler& scheduler() { return scheduler_; }
  StopSource& stop() { return stop_; }

  // Begins `task`, which outlives this.
  template <typename T>
  void Begin(Task<T>& task) {
    task.promise().Begin(scheduler_, &stop_, *this);
  }
  // Runs until nobody can go on.
  void RunAll() {
    while (scheduler_.Run(kRunsAtOnce) > 0) {
    }
  }
  // How many of those that were begun have ended.
  int ended() const { return ended_; }

  // The result of a task that ends without help from outside.
  template <typename T>
  T Run(Task<T> task) {
    Begin(task);
    RunAll();
    EXPECT_TRUE(task.promise().done()) << "the task waits for ever";
    return task.promise().Take();
  }

 private:
  static constexpr size_t kRunsAtOnce = 100;

  void OnTaskDone(TaskBase&) override { ++ended_; }

  Scheduler scheduler_;
  StopSource stop_;
  int ended_ = 0;
};

// A point where tasks wait until the test lets them go on: true; or until they are asked to stop:
// false.
class Gate {
 public:
  class Awaiter final : private Waiter {
   public:
    explicit Awaiter(Gate& gate) : gate_(gate) {}
    bool await_ready() const { return false; }
    template <std::derived_from<TaskBase> Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
      return !gate_.open_ && gate_.waiting_.Wait(*this, task.promise());
    }
    bool await_resume() const { return !stopped(); }

   private:
    Gate& gate_;
  };

  Awaiter Pass() { return Awaiter(*this); }
  void Open() {
    open_ = true;
    while (Waiter* const waiter = waiting_.front()) waiting_.Serve(*waiter);
  }

 private:
  WaitQueue waiting_;
  bool open_ = false;
};

}  // namespace orrery::coro
