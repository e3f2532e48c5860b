// Threads for what blocks and has no place on the ring: name lookups, libraries that read files,
// long computations.
//
//   auto pool = BlockingPool::Create(io, {.threads = 4});
//   const auto sum = co_await (*pool)->Run([&data] { return SlowSum(data); });
//
// A job runs on one of the threads while its task waits; its result comes back to the task's own
// thread. So what the job uses is the job's alone as long as it runs, and the task's afterwards.
// A job that has begun cannot be stopped: its task waits for it, whatever it is asked. One that has
// not begun is dropped.
//
// With no threads jobs run on the thread of the context, in the place where they are awaited: for
// simulations, which have one thread.
//
// The context's side (everything public) belongs to the context's thread.
#pragma once

#include <concepts>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/errno.h"
#include "base/intrusive_list.h"
#include "runtime/coro/descriptor.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"
#include "runtime/operations/operations.h"

namespace orrery::coro {

struct BlockingPoolOptions {
  unsigned threads = 4;
};

class BlockingPool {
 public:
  // EMFILE, ENFILE, ENOMEM: no eventfd.
  static std::expected<std::unique_ptr<BlockingPool>, Errno> Create(
      IoContext& io, const BlockingPoolOptions& options);
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;
  // REQUIRES: no task waits for a job.
  ~BlockingPool();

  // What `function` returns. ECANCELED: the task was asked to stop before the job had begun. How
  // many jobs wait for a thread is bounded by how many tasks there are.
  template <std::invocable Function>
    requires(!std::is_void_v<std::invoke_result_t<Function>>)
  Task<std::expected<std::invoke_result_t<Function>, Errno>> Run(Function function) {
    std::optional<std::invoke_result_t<Function>> result;
    const bool ran = co_await Job(*this, [&] { result.emplace(function()); });
    if (!ran) co_return std::unexpected(Errno(ECANCELED));
    co_return *std::move(result);
  }

 private:
  // A piece of work, in the frame of the task that waits for it.
  class Job final : private StopListener {
   public:
    Job(BlockingPool& pool, std::function<void()> work) : pool_(pool), work_(std::move(work)) {}
    bool await_ready() const { return false; }
    template <std::derived_from<TaskBase> Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
      task_ = &task.promise();
      if (task_->stop_requested()) return false;
      if (pool_.Submit(*this)) {
        Listen(task_->stop());
        return true;
      }
      work_();
      ran_ = true;
      return false;
    }
    bool await_resume() const { return ran_; }

   private:
    friend class BlockingPool;
    void OnStop() override { pool_.Drop(*this); }
    void End() {
      EndListening();
      task_->Wake();
    }

    BlockingPool& pool_;
    std::function<void()> work_;
    TaskBase* task_ = nullptr;
    // Guarded by the pool's mutex, until the job is collected.
    ListLink link_;
    bool waits_ = false;  // For a thread.
    bool ran_ = false;
  };
  using Jobs = IntrusiveList<Job, &Job::link_>;

  // Reads the eventfd, which rings when a job is the first to be done; in flight as long as
  // somebody waits for a job.
  class Bell final : public RingOperation {
   public:
    explicit Bell(BlockingPool& pool) : pool_(pool) {}
    void Arm();

   private:
    void OnDone(Outcome, const std::expected<uint32_t, Errno>& result) override;
    BlockingPool& pool_;
    uint64_t counter_ = 0;
  };

  BlockingPool(IoContext& io, Descriptor eventfd, const BlockingPoolOptions& options);

  // False: there are no threads.
  bool Submit(Job& job);
  // Ends it if it has not begun.
  void Drop(Job& job);
  // Hands it back to the context. REQUIRES: the mutex is held.
  void Finish(Job& job);
  void Collect();
  void Work();  // A thread.

  IoContext& io_;
  Descriptor eventfd_;
  Bell bell_;
  size_t in_flight_ = 0;  // Jobs that somebody waits for.

  std::mutex mutex_;
  std::condition_variable work_there_;
  // Guarded by the mutex:
  Jobs waiting_;
  Jobs done_;
  bool closing_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace orrery::coro
