// The place where tasks wait for the kernel: a ring, the operations in flight on it, and the run
// queue of the tasks that they wake. One a thread.
//
//   IoContext io(*ring, kernel);
//   const int status = io.Run(Main(io));     // Main is a Task<int>; returns when it has.
//
// Like the reactor it can be driven from outside, entering the kernel as data: Begin(), then
//
//   while (!io.finished()) io.OnEntered(ring.Enter(io.Turn()));
//
// Everything that waits here (sleeps, sockets, files) follows three rules. A deadline is absolute
// and monotonic (io.now() + 5 * kSecond), and ends the wait with ETIME. A stop of the waiting task
// ends it with ECANCELED, at once if it was asked before. Whatever was asked, the wait is over only
// when the kernel has let go, and an operation that was complete by then has succeeded. ETIMEDOUT
// is another thing: the network gave up.
//
// Thread: that of the ring, for everything.
#pragma once

#include <cerrno>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <string_view>

#include "base/check.h"
#include "base/errno.h"
#include "base/units.h"
#include "runtime/coro/scheduler.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"
#include "runtime/operations/operations.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::coro {

struct IoContextOptions {
  OperationsOptions operations;
  // How often tasks are resumed before the kernel is looked at again: ready tasks cannot starve it.
  size_t resumes_max = 1024;
  // Takes a line for people, without its end: what failed, and is not the caller's to see. Null
  // drops them. Called on the context's thread; it must not block.
  std::function<void(std::string_view)> log;
};

class SleepAwaiter;

class IoContext final : private TaskOwner {
 public:
  // `ring` and `kernel` outlive it.
  IoContext(Ring& ring, Kernel& kernel, const IoContextOptions& options = {});
  IoContext(const IoContext&) = delete;
  IoContext& operator=(const IoContext&) = delete;

  // Runs `main`, and what it begins, to the end, and returns its result. One at a time.
  template <typename T>
  T Run(Task<T> main) {
    Begin(main);
    while (!finished()) OnEntered(ring_.Enter(Turn()));
    return main.promise().Take();
  }

  // --- For other drivers.
  // `main` runs from the next turn on; it outlives that. One at a time.
  template <typename T>
  void Begin(Task<T>& main) {
    ORRERY_CHECK_MSG(!running_, "a context runs one main task");
    running_ = true;
    main.promise().Begin(scheduler_, &stop_, *this);
  }
  EnterRequest Turn();
  // Ends the process when the ring has failed.
  void OnEntered(const EnterResult& result);
  // The main task has returned, and the kernel owes nothing.
  bool finished() const { return !running_ && operations_.idle(); }
  // The main task has been begun, and has not returned.
  bool running() const { return running_; }
  // Asks the main task to end.
  void RequestStop() { stop_.RequestStop(); }

  // --- For tasks.
  // The monotonic time of this turn.
  Nanoseconds now() const { return operations_.now(); }
  // A std::expected<void, Errno>. ECANCELED: asked to stop.
  SleepAwaiter Sleep(Nanoseconds duration);
  SleepAwaiter SleepUntil(Nanoseconds time);

  // Says something to people.
  void Log(std::string_view line) {
    if (options_.log) options_.log(line);
  }

  Scheduler& scheduler() { return scheduler_; }
  Operations& operations() { return operations_; }
  Kernel& kernel() { return kernel_; }

 private:
  void OnTaskDone(TaskBase&) override { running_ = false; }

  Ring& ring_;
  Kernel& kernel_;
  IoContextOptions options_;
  Scheduler scheduler_;
  StopSource stop_;
  Operations operations_;
  bool running_ = false;
};

// What a task awaits that waits for the engine: the base of all operations here. Its address is
// known to the kernel; it lives in the frame of the task, which cannot die before it has ended.
class IoAwaiter : public RingOperation, private StopListener {
 public:
  bool await_ready() const { return false; }
  template <std::derived_from<TaskBase> Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    return BeginFor(task.promise());
  }

 protected:
  explicit IoAwaiter(IoContext& io) : io_(io) {}

  IoContext& io() { return io_; }
  // What the last terminal CQE said, or ETIME, or ECANCELED. REQUIRES: it has ended.
  const std::expected<uint32_t, Errno>& result() const { return result_; }

 private:
  // Hands it to the engine.
  virtual void Start() = 0;
  // The last CQE of what was submitted, which was not interrupted. kAgain: sqe() holds what is
  // left to do.
  virtual Next OnProgress(const Completion&) { return Next::kDone; }
  // It has ended; its task goes on afterwards.
  virtual void OnEnd() {}

  // False: the task was asked to stop before.
  bool BeginFor(TaskBase& task);

  Next OnTerminal(const Completion& completion) final {
    if (completion.failed_with(EINTR)) return Next::kAgain;
    return OnProgress(completion);
  }
  void OnDone(Outcome, const std::expected<uint32_t, Errno>& result) final {
    EndListening();
    result_ = result;
    OnEnd();
    task_->Wake();
  }
  void OnStop() final { io_.operations().Cancel(*this); }

  IoContext& io_;
  TaskBase* task_ = nullptr;
  std::expected<uint32_t, Errno> result_ = 0;
};

class SleepAwaiter final : public IoAwaiter {
 public:
  SleepAwaiter(IoContext& context, Nanoseconds time) : IoAwaiter(context), time_(time) {}
  std::expected<void, Errno> await_resume() const {
    if (!result()) return std::unexpected(result().error());
    return {};
  }

 private:
  void Start() override { io().operations().Sleep(*this, time_); }

  Nanoseconds time_;
};

inline SleepAwaiter IoContext::SleepUntil(Nanoseconds time) { return SleepAwaiter(*this, time); }
inline SleepAwaiter IoContext::Sleep(Nanoseconds duration) {
  return SleepAwaiter(*this, now() + duration);
}

}  // namespace orrery::coro
