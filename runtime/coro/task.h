// Task<T>: a function that can wait. It returns a T to the one task that awaits it.
//
//   Task<std::expected<size_t, Errno>> CopyOnce(Connection& from, Connection& to) {
//     std::array<char, 4096> buffer;
//     const auto count = co_await from.ReadSome(buffer);
//     if (!count) co_return std::unexpected(count.error());
//     ...
//   }
//
// A task is lazy: the call makes a frame, co_await runs it. It runs on the scheduler of the task
// that awaits it, and hears its stop; WhenAll, WhenAny, TaskGroup and IoContext::Run() begin tasks
// in other ways. Awaiting puts the child in the run queue and its end puts the parent there; nobody
// resumes anybody directly (no symmetric transfer: g++ 12 turns it into recursion below -O2 and
// under sanitizers), so a million awaits in a row, or a thousand levels, need no stack.
//
// Life. A task that has begun must end by itself, by returning: to destroy it before is a
// programmer's error. So whatever a frame holds (buffers above all) is there as long as the kernel
// may use it. Who wants a task to end asks its StopSource (stop.h).
//
// Errors are values. An exception that leaves a task ends the process. Thread: the scheduler's.
// What to write and what not with g++ 12: README.md, "Traps".
#pragma once

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/check.h"
#include "runtime/coro/scheduler.h"
#include "runtime/coro/stop.h"

namespace orrery::coro {

class TaskBase;

// Whoever has begun a task, and is told of its end.
class TaskOwner {
 public:
  // Called by the scheduler, once, when `task` has returned; may destroy it and resume another.
  virtual void OnTaskDone(TaskBase& task) = 0;

 protected:
  virtual ~TaskOwner() = default;
};

// What a task is to the things that it awaits: where it runs, when it should stop, and how to wake
// it. The base of every promise; what an awaitable of your own gets in await_suspend().
class TaskBase : public Runnable {
 public:
  Scheduler& scheduler() const { return *scheduler_; }
  // Null: nobody will ask it to stop.
  StopSource* stop() const { return stop_; }
  bool stop_requested() const { return stop_ != nullptr && stop_->stop_requested(); }
  bool done() const { return state_ == State::kDone; }

  // It will go on. REQUIRES: it is suspended, and has not been woken since.
  void Wake() { scheduler_->Push(*this); }

  // Begins it. `owner` outlives it. REQUIRES: it has not begun.
  void Begin(Scheduler& scheduler, StopSource* stop, TaskOwner& owner) {
    ORRERY_CHECK_MSG(state_ == State::kNew, "a task runs once");
    state_ = State::kBegun;
    scheduler_ = &scheduler;
    stop_ = stop;
    owner_ = &owner;
    Wake();
  }

  // Goes on at once. REQUIRES: called by the scheduler, through whoever it waited for.
  virtual void Resume() = 0;

  // --- For the compiler.
  std::suspend_always initial_suspend() const noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <std::derived_from<TaskBase> Promise>
    void await_suspend(std::coroutine_handle<Promise> task) const noexcept {
      task.promise().End();
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept {
    CheckFailed(__FILE__, __LINE__, "no exception", "an exception left a task");
  }

 protected:
  TaskBase() = default;
  ~TaskBase() override {
    ORRERY_CHECK_MSG(state_ != State::kBegun, "a task was destroyed before it returned");
  }

 private:
  enum class State : uint8_t { kNew, kBegun, kDone };

  // From the final suspend point. Its owner hears of it through the run queue, too, because it may
  // destroy the frame.
  void End() {
    state_ = State::kDone;
    Wake();
  }

  void Run() final {
    if (state_ == State::kDone) {
      owner_->OnTaskDone(*this);
    } else {
      Resume();
    }
  }

  Scheduler* scheduler_ = nullptr;
  StopSource* stop_ = nullptr;
  TaskOwner* owner_ = nullptr;
  State state_ = State::kNew;
};

template <typename T = void>
class Task;

template <typename T>
class TaskPromise final : public TaskBase {
 public:
  Task<T> get_return_object();
  // By value, so that `co_return {a, b}` works.
  void return_value(T value) { result_.emplace(std::move(value)); }
  void Resume() override { std::coroutine_handle<TaskPromise>::from_promise(*this).resume(); }
  // REQUIRES: it has returned, and this was not called before.
  T Take() {
    ORRERY_CHECK(result_.has_value());
    return *std::move(result_);
  }

 private:
  std::optional<T> result_;
};

template <>
class TaskPromise<void> final : public TaskBase {
 public:
  inline Task<void> get_return_object();
  void return_void() const {}
  void Resume() override { std::coroutine_handle<TaskPromise>::from_promise(*this).resume(); }
  void Take() const {}
};

// The one owner of a task's frame. Moved-from, it owns nothing.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  // REQUIRES: it has not begun, or has returned.
  ~Task() {
    if (handle_ != nullptr) handle_.destroy();
  }

  // `co_await Function()`, or `co_await std::move(task)`.
  auto operator co_await() && {
    ORRERY_CHECK(handle_ != nullptr);
    return Awaiter(handle_.promise());
  }

  // --- For those who begin tasks in other ways. REQUIRES: it owns a frame.
  promise_type& promise() const { return handle_.promise(); }
  // The caller owns the frame from now on.
  Handle Release() { return std::exchange(handle_, nullptr); }

 private:
  friend promise_type;
  explicit Task(Handle handle) : handle_(handle) {}

  class Awaiter final : public TaskOwner {
   public:
    explicit Awaiter(promise_type& child) : child_(child) {}
    bool await_ready() const { return false; }
    template <std::derived_from<TaskBase> Promise>
    void await_suspend(std::coroutine_handle<Promise> parent) {
      parent_ = &parent.promise();
      child_.Begin(parent_->scheduler(), parent_->stop(), *this);
    }
    T await_resume() { return child_.Take(); }

   private:
    void OnTaskDone(TaskBase&) override { parent_->Resume(); }

    promise_type& child_;
    TaskBase* parent_ = nullptr;
  };

  Handle handle_;
};

template <typename T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

// Whether this task was asked to stop, for one that computes: `if (co_await StopRequested()) ...`.
// Lets the others run meanwhile.
class StopRequested {
 public:
  bool await_ready() const { return false; }
  template <std::derived_from<TaskBase> Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    task_ = &task.promise();
    task_->Wake();
  }
  bool await_resume() const { return task_->stop_requested(); }

 private:
  TaskBase* task_ = nullptr;
};

}  // namespace orrery::coro
