#include "runtime/device/device_thread.h"

#include <semaphore>
#include <utility>

namespace orrery {

std::expected<std::unique_ptr<DeviceThread>, std::string> DeviceThread::Start(
    DevicePort& port, const DeviceLoopOptions& options) {
  auto self = std::unique_ptr<DeviceThread>(new DeviceThread(port));
  std::string problem;
  std::binary_semaphore created(0);
  // The ring belongs to the thread that makes it.
  self->thread_ = std::thread([&port, &options, &problem, &created, &error = self->error_] {
    auto loop = DeviceLoop::Create(port, options);
    if (!loop) problem = loop.error();
    created.release();  // `options`, `problem` and `created` are gone from here on.
    if (!loop) return;
    while (!(*loop)->finished()) (*loop)->OnEntered((*loop)->ring().Enter((*loop)->Turn()));
    error = (*loop)->error();
  });
  created.acquire();
  if (problem.empty()) return self;
  return std::unexpected(problem);
}

DeviceThread::~DeviceThread() { (void)Stop(); }  // Whoever wants the error asks before.

std::expected<void, Errno> DeviceThread::Stop() {
  port_.RequestStop();
  const std::lock_guard lock(mutex_);
  if (thread_.joinable()) thread_.join();
  if (error_.has_value()) return std::unexpected(*error_);
  return {};
}

}  // namespace orrery
