// Task work: the deferred half of completions, and in which order and how much of it runs.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "kernel_model/operations.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {

void RingCore::QueueTaskWork(Request& request, bool forced) {
  ORRERY_CHECK(!request.queued);
  request.queued = true;
  const bool first = fresh_.empty();
  fresh_.push_back(&request);
  if (first && deferred_) {  // Facts N1, N2.
    if (event_fd_ != nullptr) SignalEvent();
    if (!own_file.waiters.empty()) machine.Wake(own_file, POLLIN);
  }
  if (forced) forced_ = true;
  if (shows_task_work_) __atomic_fetch_or(memory_.sq.kflags, IORING_SQ_TASKRUN, __ATOMIC_RELAXED);
}

void RingCore::RunTaskWork(unsigned min, unsigned max, bool again) {
  // As in __io_run_local_work(): leftovers of an earlier run first, then what came since.
  Bystander* const bystander = sleeping_ ? nullptr : machine.bystander;
  if (!task_work_pending() && bystander == nullptr) return;
  __atomic_fetch_and(memory_.sq.kflags, ~IORING_SQ_TASKRUN, __ATOMIC_RELAXED);
  unsigned ran = 0;
  for (;;) {
    min -= std::min(min, ran);
    ran = RunFrom(retry_, max);
    if (retry_.empty()) {
      if (bystander != nullptr) bystander->BeforeTaskWork(number, max - ran, again);
      retry_.swap(fresh_);
      if (bystander != nullptr) bystander->WithTaskWork(number);
      ran += RunFrom(retry_, max - ran);
      if (task_work_pending() && ran < min) continue;
    }
    Flush();
    if (!task_work_pending() || ran >= min) break;
  }
  RunWorkers();
  if (shows_task_work_ && task_work_pending()) {
    __atomic_fetch_or(memory_.sq.kflags, IORING_SQ_TASKRUN, __ATOMIC_RELAXED);
  }
}

void RingCore::RunAllTaskWork() {
  while (task_work_pending()) RunTaskWork(~0U, ~0U);
}

unsigned RingCore::RunFrom(std::deque<Request*>& queue, unsigned max) {
  // As in __io_run_local_work_loop(), which looks at its limit behind the first: fact V7c.
  unsigned ran = 0;
  while (!queue.empty()) {
    RunTask(Pick(queue));
    if (++ran >= max) break;
  }
  return ran;
}

Request& RingCore::Pick(std::deque<Request*>& queue) {
  // One may overtake another when a slower network or scheduler would have made it so: never two
  // that wait for one file, and never two timeouts, whose order is their deadlines' (fact K3).
  const size_t window = std::min(queue.size(), kOrderWindow);
  std::array<size_t, kOrderWindow> candidates{};
  // Whose they are: what their submitter calls them.
  std::array<uint64_t, kOrderWindow> names{};
  names[0] = queue.front()->user_data;
  size_t count = 1;
  for (size_t index = 1; index < window; ++index) {
    const Request& request = *queue[index];
    bool free = true;
    for (size_t earlier = 0; earlier < index && free; ++earlier) {
      const Request& other = *queue[earlier];
      free = request.file != nullptr ? request.file != other.file : other.file != nullptr;
    }
    if (!free) continue;
    names[count] = request.user_data;
    candidates[count++] = index;
  }
  const size_t index =
      count == 1
          ? 0
          : candidates[machine.ChooseAmong(Site::kTaskWorkOrder, number, {names.data(), count})];
  Request& picked = *queue[index];
  queue.erase(queue.begin() + static_cast<ptrdiff_t>(index));
  picked.queued = false;
  return picked;
}

void RingCore::RunTask(Request& request) {
  switch (request.state) {
    case RequestState::kEnding:
      if (request.opcode == IORING_OP_TIMEOUT && request.multishot && request.result == -ETIME &&
          RepeatTimeout(*this, request)) {
        return;
      }
      End(request, request.result, request.result_flags, request.result_buffer);
      return;
    case RequestState::kStarting:
      if (request.on_worker) {
        StartWorker(request);
      } else {
        Issue(request, /*from_task_work=*/true);
      }
      return;
    case RequestState::kFailing:
      EndRest(request);
      return;
    case RequestState::kTimedOut:
      RunLinkTimeout(request);
      return;
    case RequestState::kReleased:
      ended_.push_back(&request);
      return;
    case RequestState::kMessage:
      RunMessage(request);
      return;
    case RequestState::kRetrying:
      request.state = RequestState::kIssued;
      Execute(request, /*from_task_work=*/true);
      return;
    case RequestState::kArmed:
      RunWoken(request);
      return;
    case RequestState::kWaiting:
    case RequestState::kIssued:
    case RequestState::kTimed:
    case RequestState::kWorking:
    case RequestState::kBusy:
    case RequestState::kNotifying:
    case RequestState::kEnded:
    case RequestState::kInFlight:
    case RequestState::kHeld:
      break;
  }
  ORRERY_CHECK_MSG(false, "task work of a request that has none");
}

void RingCore::RunWoken(Request& request) {
  // As in io_poll_check_events(): whatever wakes it while it runs makes it go round once more.
  for (;;) {
    if (request.cancelled) {
      End(request, CutShort(request, ECANCELED));
      return;
    }
    // The mask that the wake-up brought counts only if there was no other (fact P4).
    const uint32_t wakes = request.wakes;
    uint32_t mask = wakes == 1 ? request.wake_mask & request.wait_events : 0;
    if (mask == 0) mask = machine.Readiness(*request.file) & request.wait_events;
    request.wake_mask = 0;
    if (!request.multishot) {
      request.wakes = 0;
      EndOrRetry(request, mask);
      return;
    }
    if (mask != 0 && !RunMultishot(request, mask)) return;
    if (machine.bystander != nullptr) machine.bystander->BeforeWaiting(number, request.user_data);
    request.wakes -= wakes;
    if (request.wakes == 0) return;
  }
}

void RingCore::EndOrRetry(Request& request, uint32_t mask) {
  if (mask != 0 && request.opcode == IORING_OP_POLL_ADD) {
    End(request, static_cast<int32_t>(mask));
    return;
  }
  // Or somebody else was faster: wait again, now as the newest (fact R10).
  Disarm(request);
  if (request.began_on_worker) {  // As io_req_task_submit(): every time.
    StartWorker(request);
  } else {
    Execute(request, /*from_task_work=*/true);
  }
}

bool RingCore::RunMultishot(Request& request, uint32_t mask) {
  if (request.opcode != IORING_OP_POLL_ADD) return Execute(request, /*from_task_work=*/true);
  const auto result = static_cast<int32_t>(mask);
  if (PostMore(request, result, 0)) return true;
  End(request, result);
  return false;
}

}  // namespace orrery::model
