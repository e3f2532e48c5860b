#include "runtime/loop/loop_thread.h"

#include <semaphore>
#include <utility>

namespace orrery {

std::expected<std::unique_ptr<LoopThread>, std::string> LoopThread::Start(
    Kernel& kernel, const LoopOptions& options, size_t queue_capacity) {
  const auto made = Port::Make(kernel, queue_capacity);
  if (!made) return std::unexpected("an eventfd: " + made.error().ToString());
  Port& port = **made;
  auto self = std::unique_ptr<LoopThread>(new LoopThread(port));
  self->limits_ = options.limits;
  std::string problem;
  std::binary_semaphore created(0);
  // The ring belongs to the thread that makes it.
  self->thread_ = std::thread([&port, &options, &problem, &created] {
    auto loop = SubmissionLoop::Create(port, options);
    if (!loop) problem = loop.error();
    created.release();  // `options`, `problem` and `created` are gone from here on.
    if (!loop) return;
    while (!(*loop)->finished()) (*loop)->OnEntered((*loop)->ring().Enter((*loop)->Turn()));
  });
  created.acquire();
  if (problem.empty()) return self;
  return std::unexpected(problem);
}

LoopThread::~LoopThread() {
  submitter_.Shutdown(limits_);
  thread_.join();
}

}  // namespace orrery
