// A bounded queue between tasks: senders wait while it is full, receivers while it is empty.
//
//   Channel<Job> jobs(64);
//   (void)co_await jobs.Send(std::move(job));         // In one task,
//   while (auto job = co_await jobs.Receive()) ...    // in others, until it is closed.
//
// Values arrive in the order in which they were sent, each once; tasks are served first come, first
// served. Close() ends it: what is in it is still received, then everybody gets EPIPE. A task that
// is asked to stop gets ECANCELED, and has sent or taken nothing. Allocates its capacity once.
// Thread: the scheduler's.
#pragma once

#include <cerrno>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <expected>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/errno.h"
#include "runtime/coro/task.h"
#include "runtime/coro/wait_queue.h"

namespace orrery::coro {

template <typename T>
class Channel {
 public:
  // REQUIRES: capacity > 0.
  explicit Channel(size_t capacity) : slots_(capacity) { ORRERY_CHECK(capacity > 0); }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  class SendAwaiter;
  class ReceiveAwaiter;

  // A std::expected<void, Errno>. EPIPE: closed; ECANCELED: asked to stop. The value is then gone.
  SendAwaiter Send(T value) { return SendAwaiter(*this, std::move(value)); }
  // A std::expected<T, Errno>. EPIPE: closed and empty; ECANCELED: asked to stop.
  ReceiveAwaiter Receive() { return ReceiveAwaiter(*this); }

  // No more is sent. Those who wait to send get EPIPE. Again, nothing happens.
  void Close() {
    closed_ = true;
    while (Waiter* const waiter = senders_.front()) senders_.Serve(*waiter);
    while (Waiter* const waiter = receivers_.front()) receivers_.Serve(*waiter);
  }

  // Values that were sent and not received, those of waiting senders not counted.
  size_t size() const { return size_; }

 private:
  void Push(T&& value) {
    slots_[(first_ + size_) % slots_.size()].emplace(std::move(value));
    ++size_;
  }

  T Pop() {
    std::optional<T>& slot = slots_[first_];
    T value = *std::move(slot);
    slot.reset();
    first_ = (first_ + 1) % slots_.size();
    --size_;
    return value;
  }

  std::vector<std::optional<T>> slots_;  // A ring.
  size_t first_ = 0;
  size_t size_ = 0;
  bool closed_ = false;
  WaitQueue senders_;    // Of SendAwaiters; not empty only while all slots are taken.
  WaitQueue receivers_;  // Of ReceiveAwaiters; not empty only while all slots are free.
};

template <typename T>
class Channel<T>::SendAwaiter final : private Waiter {
 public:
  SendAwaiter(Channel& channel, T&& value) : channel_(channel), value_(std::move(value)) {}
  bool await_ready() const { return false; }
  template <std::derived_from<TaskBase> Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    if (!task.promise().stop_requested() && (channel_.closed_ || TrySend())) return false;
    return channel_.senders_.Wait(*this, task.promise());
  }
  std::expected<void, Errno> await_resume() const {
    if (sent_) return {};
    return std::unexpected(Errno(stopped() ? ECANCELED : EPIPE));
  }

 private:
  friend class Channel;

  bool TrySend() {
    if (Waiter* const receiver = channel_.receivers_.front()) {
      static_cast<ReceiveAwaiter&>(*receiver).value_.emplace(std::move(value_));
      channel_.receivers_.Serve(*receiver);
    } else if (channel_.size_ < channel_.slots_.size()) {
      channel_.Push(std::move(value_));
    } else {
      return false;
    }
    sent_ = true;
    return true;
  }

  Channel& channel_;
  T value_;
  bool sent_ = false;
};

template <typename T>
class Channel<T>::ReceiveAwaiter final : private Waiter {
 public:
  explicit ReceiveAwaiter(Channel& channel) : channel_(channel) {}
  bool await_ready() const { return false; }
  template <std::derived_from<TaskBase> Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    if (!task.promise().stop_requested() && (TryReceive() || channel_.closed_)) return false;
    return channel_.receivers_.Wait(*this, task.promise());
  }
  std::expected<T, Errno> await_resume() {
    if (value_) return *std::move(value_);
    return std::unexpected(Errno(stopped() ? ECANCELED : EPIPE));
  }

 private:
  friend class Channel;

  bool TryReceive() {
    if (channel_.size_ == 0) return false;
    value_.emplace(channel_.Pop());
    if (Waiter* const waiter = channel_.senders_.front()) {
      auto& sender = static_cast<SendAwaiter&>(*waiter);  // Only those are in this queue.
      channel_.Push(std::move(sender.value_));
      sender.sent_ = true;
      channel_.senders_.Serve(sender);
    }
    return true;
  }

  Channel& channel_;
  std::optional<T> value_;
};

}  // namespace orrery::coro
