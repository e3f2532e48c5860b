#include "runtime/coro/blocking_pool.h"

#include <liburing.h>

#include <cerrno>

#include "base/check.h"

namespace orrery::coro {

std::expected<std::unique_ptr<BlockingPool>, Errno> BlockingPool::Create(
    IoContext& io, const BlockingPoolOptions& options) {
  const std::expected<int, Errno> eventfd = io.kernel().MakeEventFd();
  if (!eventfd) return std::unexpected(eventfd.error());
  return std::unique_ptr<BlockingPool>(new BlockingPool(io, Descriptor(io, *eventfd), options));
}

BlockingPool::BlockingPool(IoContext& io, Descriptor eventfd, const BlockingPoolOptions& options)
    : io_(io), eventfd_(std::move(eventfd)), bell_(*this) {
  threads_.reserve(options.threads);
  for (unsigned i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Work(); });
}

BlockingPool::~BlockingPool() {
  ORRERY_CHECK_MSG(in_flight_ == 0, "a pool dies after its jobs");
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  work_there_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool BlockingPool::Submit(Job& job) {
  if (threads_.empty()) return false;
  {
    const std::lock_guard lock(mutex_);
    job.waits_ = true;
    waiting_.PushBack(job);
  }
  work_there_.notify_one();
  if (++in_flight_ == 1) bell_.Arm();
  return true;
}

void BlockingPool::Drop(Job& job) {
  const std::lock_guard lock(mutex_);
  if (!job.waits_) return;  // A thread has it: it is waited for.
  waiting_.Remove(job);
  job.waits_ = false;
  Finish(job);
}

void BlockingPool::Finish(Job& job) {
  const bool first = done_.empty();
  done_.PushBack(job);
  if (!first) return;  // The bell has been rung, and nobody has come yet.
  io_.kernel().SignalEventFd(eventfd_.number());
}

void BlockingPool::Collect() {
  const std::lock_guard lock(mutex_);
  while (Job* const job = done_.PopFront()) {
    --in_flight_;
    job->End();
  }
}

void BlockingPool::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_there_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    Job* const job = waiting_.PopFront();
    if (job == nullptr) return;
    job->waits_ = false;
    lock.unlock();
    job->work_();
    lock.lock();
    job->ran_ = true;
    Finish(*job);
  }
}

void BlockingPool::Bell::Arm() {
  io_uring_prep_read(&sqe(), pool_.eventfd_.number(), &counter_, sizeof counter_, 0);
  pool_.io_.operations().Start(*this);
}

void BlockingPool::Bell::OnDone(Outcome, const std::expected<uint32_t, Errno>& result) {
  ORRERY_CHECK_MSG(result || result.error() == EINTR, "an eventfd cannot fail");
  pool_.Collect();
  if (pool_.in_flight_ > 0) Arm();
}

}  // namespace orrery::coro
