#include "kernel_model/completion_queue.h"

#include "base/check.h"
#include "kernel_model/memory_guard.h"
#include "kernel_model/set_up.h"

namespace orrery::model {

namespace {

// Not in the headers of liburing 2.3.
constexpr uint32_t kFlagSkip = 1U << 5;  // IORING_CQE_F_SKIP
constexpr uint32_t kFlagBig = 1U << 15;  // IORING_CQE_F_32

}  // namespace

CompletionQueue::CompletionQueue(io_uring& memory, unsigned flags)
    : memory_(memory),
      all_big_((flags & IORING_SETUP_CQE32) != 0),
      mixed_((flags & kSetUpCqeMixed) != 0) {}

CompletionQueue::~CompletionQueue() {
  for (const Entry& entry : backlog_) Unpoison(entry.buffer.address, entry.buffer.length);
}

bool CompletionQueue::TryPost(const Entry& entry) {
  if (has_backlog() || !Fits(entry)) return false;
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
  while (!backlog_.empty() && Fits(backlog_.front())) {
    const Entry entry = backlog_.front();
    backlog_.pop_front();
    Unpoison(entry.buffer.address, entry.buffer.length);
    Write(entry);
  }
  if (backlog_.empty()) {
    __atomic_fetch_and(memory_.sq.kflags, ~IORING_SQ_CQ_OVERFLOW, __ATOMIC_RELAXED);
  }
}

bool CompletionQueue::Fits(const Entry& entry) {
  if (!mixed_ || !entry.big) return space() > 0;
  // As io_cqe_cache_refill(): the filler stays, be there space behind it or not.
  const unsigned offset = tail_ & memory_.cq.ring_mask;
  if (offset + 1 == entries()) {
    if (space() == 0) return false;
    memory_.cq.cqes[offset].user_data = 0;
    memory_.cq.cqes[offset].res = 0;
    memory_.cq.cqes[offset].flags = kFlagSkip;
    Advance(1);
  }
  return space() > 1;
}

void CompletionQueue::Write(const Entry& entry) {
  const unsigned offset = tail_ & memory_.cq.ring_mask;
  io_uring_cqe& cqe = memory_.cq.cqes[all_big_ ? 2 * offset : offset];
  cqe.user_data = entry.user_data;
  cqe.res = entry.res;
  cqe.flags = entry.flags;
  const bool two_entries = mixed_ && entry.big;
  if (two_entries) cqe.flags |= kFlagBig;
  if (two_entries || all_big_) {
    cqe.big_cqe[0] = entry.extra[0];
    cqe.big_cqe[1] = entry.extra[1];
  }
  Advance(two_entries ? 2 : 1);
}

void CompletionQueue::Advance(unsigned entries) {
  tail_ += entries;
  // Release: the CQE is complete before the program can see it.
  __atomic_store_n(memory_.cq.ktail, tail_, __ATOMIC_RELEASE);
  written_ += entries;
}

}  // namespace orrery::model
