// Tasks beside the one that runs: a server's connections, above all.
//
//   TaskGroup sessions(io.scheduler());
//   while (auto connection = co_await listener.Accept()) {
//     sessions.Spawn(Serve(*std::move(connection)));
//   }
//   sessions.RequestStop();
//   co_await sessions.Join();
//
// A group owns its tasks from Spawn() to their end. It must be joined before it dies, so that no
// task outlives what it was given. Results are passed by what the task was given; an awaited task
// is simpler where there is one result (WhenAll, WhenAny). Allocates nothing. Thread: the
// scheduler's.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>

#include "base/check.h"
#include "runtime/coro/scheduler.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

class TaskGroup final : private TaskOwner, private StopListener {
 public:
  // `scheduler` outlives the group.
  explicit TaskGroup(Scheduler& scheduler) : scheduler_(scheduler) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  // REQUIRES: size() == 0.
  ~TaskGroup() override {
    ORRERY_CHECK_MSG(size_ == 0, "a group of tasks dies after they have ended");
  }

  // The task runs from the next turn of the queue on. How many there may be is the caller's limit
  // to keep (semaphore.h). After RequestStop() it is begun all the same, and told.
  void Spawn(Task<void> task) {
    ++size_;
    task.Release().promise().Begin(scheduler_, &stop_, *this);
  }

  // Asks every task of the group, and all that come, to end.
  void RequestStop() { stop_.RequestStop(); }
  bool stop_requested() const { return stop_.stop_requested(); }

  // Tasks that have not ended.
  size_t size() const { return size_; }

  class JoinAwaiter;
  // Waits until there are none. If the task that waits is asked to stop, so is the group; it waits
  // on. One task at a time may wait; more may be spawned meanwhile, and after.
  JoinAwaiter Join();

 private:
  void OnTaskDone(TaskBase& task) override {
    auto& promise = static_cast<TaskPromise<void>&>(task);  // Spawn() takes no others.
    std::coroutine_handle<TaskPromise<void>>::from_promise(promise).destroy();
    if (--size_ > 0 || joiner_ == nullptr) return;
    EndListening();
    TaskBase* const joiner = joiner_;
    joiner_ = nullptr;
    joiner->Wake();
  }

  void OnStop() override { stop_.RequestStop(); }

  Scheduler& scheduler_;
  StopSource stop_;
  TaskBase* joiner_ = nullptr;
  size_t size_ = 0;
};

class TaskGroup::JoinAwaiter {
 public:
  explicit JoinAwaiter(TaskGroup& group) : group_(group) {}
  bool await_ready() const { return group_.size_ == 0; }
  template <std::derived_from<TaskBase> Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    ORRERY_CHECK_MSG(group_.joiner_ == nullptr, "one task joins a group");
    group_.joiner_ = &task.promise();
    if (task.promise().stop_requested()) {
      group_.RequestStop();
    } else {
      group_.Listen(task.promise().stop());
    }
  }
  void await_resume() const {}

 private:
  TaskGroup& group_;
};

inline TaskGroup::JoinAwaiter TaskGroup::Join() { return JoinAwaiter(*this); }

}  // namespace orrery::coro
