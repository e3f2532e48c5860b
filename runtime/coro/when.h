// Several tasks at once, awaited as one: WhenAll for all their results, WhenAny for the first.
//
//   auto [up, down] = co_await WhenAll(Copy(client, server), Copy(server, client));
//
//   const auto first = co_await WhenAny(Serve(io), signals.Wait());
//   if (first.index() == 1) ...                    // It is a std::variant of the results.
//
// Both wait until every task has ended, so that what was given to the tasks by reference may be
// the caller's: WhenAny asks the others to stop when one has ended, and drops their results (so
// have nothing lost in them that matters: a datagram that was received at the same moment, say).
// A stop of the task that waits reaches all of them. A void result is std::monostate.
// Thread: the scheduler's.
#pragma once

#include <array>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "runtime/coro/stop.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

// What a task's result is among others.
template <typename T>
using ResultOf = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

namespace internal {

// Begins tasks and waits for the end of all; a race asks the rest to stop at the first end.
class Fork final : private TaskOwner, private StopListener {
 public:
  // `tasks` have not begun, and outlive this.
  Fork(std::span<TaskBase* const> tasks, bool race) : tasks_(tasks), race_(race) {}

  bool await_ready() const { return tasks_.empty(); }
  template <std::derived_from<TaskBase> Promise>
  void await_suspend(std::coroutine_handle<Promise> parent) {
    parent_ = &parent.promise();
    left_ = tasks_.size();
    if (parent_->stop_requested()) {
      stop_.RequestStop();
    } else {
      Listen(parent_->stop());
    }
    for (TaskBase* const task : tasks_) task->Begin(parent_->scheduler(), &stop_, *this);
  }
  void await_resume() const {}

  // The index of the task that ended first. REQUIRES: awaited, and there was one.
  size_t first() const {
    ORRERY_CHECK(first_ != nullptr);
    size_t index = 0;
    while (tasks_[index] != first_) ++index;
    return index;
  }

 private:
  void OnTaskDone(TaskBase& task) override {
    if (first_ == nullptr) {
      first_ = &task;
      if (race_) stop_.RequestStop();
    }
    if (--left_ > 0) return;
    EndListening();
    parent_->Resume();
  }

  void OnStop() override { stop_.RequestStop(); }

  std::span<TaskBase* const> tasks_;
  bool race_;
  StopSource stop_;
  TaskBase* parent_ = nullptr;
  TaskBase* first_ = nullptr;
  size_t left_ = 0;
};

template <typename T>
ResultOf<T> TakeResult(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return task.promise().Take();
  }
}

template <typename Variant, size_t... kIndices, typename... Tasks>
Variant TakeResultAt(size_t index, std::index_sequence<kIndices...>, Tasks&... tasks) {
  std::optional<Variant> result;
  (void)((index == kIndices &&
          (result.emplace(std::in_place_index<kIndices>, TakeResult(tasks)), true)) ||
         ...);
  return *std::move(result);
}

template <typename T>
std::vector<TaskBase*> PromisesOf(std::vector<Task<T>>& tasks) {
  std::vector<TaskBase*> promises;
  promises.reserve(tasks.size());
  for (Task<T>& task : tasks) promises.push_back(&task.promise());
  return promises;
}

}  // namespace internal

template <typename... Ts>
Task<std::tuple<ResultOf<Ts>...>> WhenAll(Task<Ts>... tasks) {
  const std::array<TaskBase*, sizeof...(Ts)> promises = {&tasks.promise()...};
  internal::Fork fork(promises, /*race=*/false);
  co_await fork;
  co_return std::tuple<ResultOf<Ts>...>(internal::TakeResult(tasks)...);
}

// In the order of `tasks`.
template <typename T>
Task<std::vector<ResultOf<T>>> WhenAll(std::vector<Task<T>> tasks) {
  const std::vector<TaskBase*> promises = internal::PromisesOf(tasks);
  internal::Fork fork(promises, /*race=*/false);
  co_await fork;
  std::vector<ResultOf<T>> results;
  results.reserve(tasks.size());
  for (Task<T>& task : tasks) results.push_back(internal::TakeResult(task));
  co_return results;
}

template <typename... Ts>
  requires(sizeof...(Ts) > 0)
Task<std::variant<ResultOf<Ts>...>> WhenAny(Task<Ts>... tasks) {
  const std::array<TaskBase*, sizeof...(Ts)> promises = {&tasks.promise()...};
  internal::Fork fork(promises, /*race=*/true);
  co_await fork;
  co_return internal::TakeResultAt<std::variant<ResultOf<Ts>...>>(
      fork.first(), std::index_sequence_for<Ts...>(), tasks...);
}

template <typename T>
struct FirstResult {
  size_t index;       // Of the task that ended first,
  ResultOf<T> value;  // and its result.
};

// REQUIRES: !tasks.empty().
template <typename T>
Task<FirstResult<T>> WhenAny(std::vector<Task<T>> tasks) {
  const std::vector<TaskBase*> promises = internal::PromisesOf(tasks);
  internal::Fork fork(promises, /*race=*/true);
  co_await fork;
  const size_t index = fork.first();
  co_return FirstResult<T>{.index = index, .value = internal::TakeResult(tasks[index])};
}

}  // namespace orrery::coro
