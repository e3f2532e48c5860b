#include "kernel_model/completion_queue.h"

#include "base/check.h"
#include "kernel_model/memory_guard.h"

namespace orrery::model {

CompletionQueue::~CompletionQueue() {
  for (const Entry& entry : backlog_) Unpoison(entry.buffer.address, entry.buffer.length);
}

bool CompletionQueue::TryPost(const Entry& entry) {
  if (has_backlog() || space() == 0) return false;
  Write(entry);
  return true;
}

void CompletionQueue::Post(const Entry& entry) {
  if (TryPost(entry)) return;
  Poison(entry.buffer.address, entry.buffer.length);
  backlog_.push_back(entry);
  __atomic_fetch_or(memory_.sq.kflags, IORING_SQ_CQ_OVERFLOW, __ATOMIC_RELAXED);
}

void CompletionQueue::Flush() {
  if (backlog_.empty()) return;
  while (!backlog_.empty() && space() > 0) {
    const Entry entry = backlog_.front();
    backlog_.pop_front();
    Unpoison(entry.buffer.address, entry.buffer.length);
    Write(entry);
  }
  if (backlog_.empty()) {
    __atomic_fetch_and(memory_.sq.kflags, ~IORING_SQ_CQ_OVERFLOW, __ATOMIC_RELAXED);
  }
}

void CompletionQueue::Write(const Entry& entry) {
  io_uring_cqe& cqe = memory_.cq.cqes[tail_ & memory_.cq.ring_mask];
  cqe.user_data = entry.user_data;
  cqe.res = entry.res;
  cqe.flags = entry.flags;
  ++tail_;
  // Release: the CQE is complete before the program can see it.
  __atomic_store_n(memory_.cq.ktail, tail_, __ATOMIC_RELEASE);
  ++written_;
}

}  // namespace orrery::model
