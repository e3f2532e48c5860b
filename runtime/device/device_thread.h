// A device loop on a thread of its own: the usual way to have one in a program.
//
//     auto port = DevicePort::Create(kernel, queue, {memory});
//     uint32_t file = *(*port)->handles().AddSource(SharedFile(kernel, fd), {.end = size});
//     uint32_t block = *(*port)->handles().AddDestination(0, 0, 65536);
//     auto thread = DeviceThread::Start(**port, {});
//     ...                                    // The device reads `block`-sized pieces of `file`.
//     (void)(*thread)->Stop();
//
// It is no part of a simulation: there the loop is driven by turns.
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/errno.h"
#include "runtime/device/device_loop.h"
#include "runtime/device/device_port.h"

namespace orrery {

class DeviceThread {
 public:
  // `port` outlives it. The error is a line for a person.
  static std::expected<std::unique_ptr<DeviceThread>, std::string> Start(
      DevicePort& port, const DeviceLoopOptions& options);
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;
  // Stops.
  ~DeviceThread();

  // Returns when the loop has ended: everything it had claimed is answered, and the kernel has
  // nothing of the registered memory any more, but what was lost. The error is the ring's that
  // ended the loop. Any thread, any number of times.
  std::expected<void, Errno> Stop();

 private:
  explicit DeviceThread(DevicePort& port) : port_(port) {}

  DevicePort& port_;
  std::mutex mutex_;            // Of who waits for the thread.
  std::optional<Errno> error_;  // Written by the thread, read when it has ended.
  std::thread thread_;
};

}  // namespace orrery
