// A counting semaphore: at most so many tasks do something at a time.
//
//   Semaphore room(100);                              // Connections at once.
//   auto permit = co_await room.Acquire();
//   if (!permit) co_return;                           // ECANCELED: this task is to stop.
//   sessions.Spawn(Serve(*std::move(connection), *std::move(permit)));
//
// A permit goes back when it is destroyed; permits go to tasks in the order in which they asked.
// The semaphore outlives its permits. Allocates nothing. Thread: the scheduler's.
#pragma once

#include <cerrno>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <expected>
#include <utility>

#include "base/check.h"
#include "base/errno.h"
#include "runtime/coro/task.h"
#include "runtime/coro/wait_queue.h"

namespace orrery::coro {

class Semaphore {
 public:
  explicit Semaphore(size_t permits) : available_(permits) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { ORRERY_CHECK_MSG(out_ == 0, "a permit outlived its semaphore"); }

  // Moved-from, it is none.
  class [[nodiscard]] Permit {
   public:
    Permit(Permit&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(semaphore_, other.semaphore_);
      return *this;
    }
    ~Permit() {
      if (semaphore_ != nullptr) semaphore_->Release();
    }

   private:
    friend class Semaphore;
    explicit Permit(Semaphore& semaphore) : semaphore_(&semaphore) {}
    Semaphore* semaphore_;
  };

  class AcquireAwaiter;
  // A std::expected<Permit, Errno>. ECANCELED: the task has been asked to stop.
  AcquireAwaiter Acquire();

  size_t available() const { return available_; }

 private:
  void Release() {
    if (Waiter* const next = waiters_.front()) {
      waiters_.Serve(*next);  // The permit is its own now.
    } else {
      --out_;
      ++available_;
    }
  }

  size_t available_;
  size_t out_ = 0;  // Permits that somebody holds, or was just given.
  WaitQueue waiters_;
};

class Semaphore::AcquireAwaiter final : private Waiter {
 public:
  explicit AcquireAwaiter(Semaphore& semaphore) : semaphore_(semaphore) {}
  bool await_ready() const { return false; }
  template <std::derived_from<TaskBase> Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    if (semaphore_.available_ == 0 || task.promise().stop_requested()) {
      return semaphore_.waiters_.Wait(*this, task.promise());
    }
    --semaphore_.available_;
    ++semaphore_.out_;
    return false;
  }
  std::expected<Permit, Errno> await_resume() {
    if (stopped()) return std::unexpected(Errno(ECANCELED));
    return Permit(semaphore_);
  }

 private:
  Semaphore& semaphore_;
};

inline Semaphore::AcquireAwaiter Semaphore::Acquire() { return AcquireAwaiter(*this); }

}  // namespace orrery::coro
