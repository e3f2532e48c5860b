// Contexts on several threads, and calls from one to another.
//
//   Task<> Main(Shard& self) {                                     // On every thread.
//     const auto count = co_await self.CallOn(2, [&key](Shard& there) -> Task<uint64_t> {
//       co_return Counts(there)[key]++;                            // On thread 2.
//     });
//   }
//   const auto result = RunOnShards(kernel, {.shards = 4}, Main);
//
// A shard is a context (io_context.h) and its mail (runtime/mailboxes.h). A call is a message to
// another shard and a message back: the function becomes a task there, the task that called waits
// here. Both lie in the caller's frame, so nothing is allocated but the frame of the function's
// task, which is made and destroyed where it runs. What the function uses of the caller is its own
// as long as it runs, and the caller's afterwards, without a lock.
//
// A stop of the task that waits is passed on to the function's task; the caller waits until that
// has returned, and gets what it returns. Calls of one shard to one other begin in their order. How
// many are under way is bounded by how many tasks there are.
//
// A shard serves calls until the main tasks of all have returned. Thread: its own, for everything.
#pragma once

#include <atomic>
#include <cerrno>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "base/errno.h"
#include "runtime/bells.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"
#include "runtime/mailboxes.h"
#include "runtime/operations/operations.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "runtime/shard_threads.h"

namespace orrery::coro {

class Shard;
class ShardCall;

// What travels between shards.
struct ShardMessage {
  enum class Kind : uint8_t {
    kBegin,     // Run the call.
    kStop,      // Its task is asked to stop.
    kReturn,    // Answers each of the two, when nothing of it is needed there any more.
    kFarewell,  // All main tasks have returned.
  };
  ShardCall* call = nullptr;
  Kind kind = Kind::kBegin;
};

// What all shards of a program share. Made before the first of them; outlives the last.
class ShardGroup {
 public:
  // Errors are those of Kernel::MakeEventFd(). `kernel` outlives it.
  static std::expected<std::unique_ptr<ShardGroup>, Errno> Create(Kernel& kernel,
                                                                  const MailboxOptions& options);
  ShardGroup(const ShardGroup&) = delete;
  ShardGroup& operator=(const ShardGroup&) = delete;

  uint32_t shards() const { return boxes_.shards(); }

 private:
  friend class Shard;
  ShardGroup(std::unique_ptr<Bells> bells, const MailboxOptions& options)
      : boxes_(options), bells_(std::move(bells)), mains_left_(options.shards) {}

  Mailboxes<ShardMessage> boxes_;
  std::unique_ptr<Bells> bells_;
  std::atomic<uint32_t> mains_left_;
};

// A call that is under way, in the frame of the task that waits for it: the part that does not
// depend on the function.
class ShardCall : private StopListener, private TaskOwner {
 public:
  bool await_ready() const { return false; }
  template <std::derived_from<TaskBase> Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    return Send(task.promise());
  }

 protected:
  ShardCall(Shard& home, unsigned target) : home_(home), target_(target) {}

  // --- On the shard that is called.
  // Makes the function's task, and begins it by Begin().
  virtual void Call(Shard& there) = 0;
  template <typename T>
  void Begin(Task<T>& task, Shard& there);
  // The task has returned: keeps its result, and destroys it.
  virtual void KeepResult() = 0;

 private:
  friend class Shard;

  // --- On the shard that calls.
  // False: the task was asked to stop before.
  bool Send(TaskBase& task);
  void OnStop() final { AskToStop(); }
  void AskToStop();
  void TakeReturn();

  // --- On the shard that is called.
  void Serve(Shard& there, ShardMessage::Kind kind);
  void OnTaskDone(TaskBase&) final { Return(); }
  void Return();

  Shard& home_;
  const unsigned target_;
  TaskBase* task_ = nullptr;  // The one that waits.
  int returns_due_ = 0;
  // Of the shard that is called, until its last answer:
  Shard* there_ = nullptr;  // While the function's task runs.
  StopSource stop_;
};

// What CallOn() awaits.
template <typename Function, typename T>
class CallAwaiter final : public ShardCall {
 public:
  CallAwaiter(Shard& home, unsigned target, Function function)
      : ShardCall(home, target), function_(std::move(function)) {}

  // ECANCELED: the task was asked to stop before the call was made.
  std::expected<T, Errno> await_resume() {
    if (!result_) return std::unexpected(Errno(ECANCELED));
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return *std::move(result_);
    }
  }

 private:
  void Call(Shard& there) override {
    there_task_.emplace(function_(there));
    Begin(*there_task_, there);
  }
  void KeepResult() override {
    if constexpr (std::is_void_v<T>) {
      result_.emplace();
    } else {
      result_.emplace(there_task_->promise().Take());
    }
    there_task_.reset();
  }

  struct Nothing {};
  Function function_;
  std::optional<Task<T>> there_task_;
  std::optional<std::conditional_t<std::is_void_v<T>, Nothing, T>> result_;
};

class Shard final {
 public:
  // `group` and `ring` outlive it. On the ring's thread.
  Shard(ShardGroup& group, unsigned number, Ring& ring, Kernel& kernel,
        const IoContextOptions& options = {});
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  unsigned number() const { return mail_.self(); }
  unsigned shards() const { return mail_.shards(); }
  IoContext& io() { return io_; }

  // Runs `function(Shard& there)`, which returns a Task<T>, on another shard or on this one. A
  // std::expected<T, Errno>. ECANCELED: this task was asked to stop before the call was made.
  template <std::invocable<Shard&> Function>
  auto CallOn(unsigned shard, Function function) {
    using T = decltype(std::declval<std::invoke_result_t<Function&, Shard&>&>().promise().Take());
    return CallAwaiter<Function, T>(*this, shard, std::move(function));
  }

  // --- For the driver: Begin(), then as in io_context.h.
  // `main` outlives it.
  template <typename T>
  void Begin(Task<T>& main) {
    io_.Begin(main);
    bell_.Arm();
  }
  EnterRequest Turn();
  void OnEntered(const EnterResult& result);
  bool finished() const { return farewell_ && !bell_.active() && io_.finished(); }

 private:
  friend class ShardCall;

  // The poll on the shard's eventfd. It ends a sleep; what there is to do is in the mail.
  class Bell final : public RingOperation {
   public:
    explicit Bell(Shard& shard) : shard_(shard) {}
    void Arm();

   private:
    void OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) override;
    Shard& shard_;
  };

  void Take(const ShardMessage& message);
  void Post(unsigned target, const ShardMessage& message) { mail_.Post(target, message); }
  // Everything is over, and everybody knows.
  void EndWhenAllIsSent();

  ShardGroup& group_;
  Mail<ShardMessage> mail_;
  IoContext io_;
  Bell bell_;
  bool main_returned_ = false;
  bool farewell_ = false;
  bool asleep_ = false;
};

template <typename T>
void ShardCall::Begin(Task<T>& task, Shard& there) {
  task.promise().Begin(there.io().scheduler(), &stop_, *this);
}

// Runs `main` on a thread for each shard (runtime/shard_threads.h), and returns when all have
// returned. The error is a line for a person: nothing was begun. `main` is called on all threads.
std::expected<void, std::string> RunOnShards(Kernel& kernel, const ShardThreadsOptions& options,
                                             const std::function<Task<>(Shard&)>& main,
                                             const IoContextOptions& context = {});

}  // namespace orrery::coro
