// A submission loop on a thread of its own: the usual way to have one in a program.
//
//     auto loop = LoopThread::Start(kernel, {});
//     Submitter submitter = (*loop)->submitter();
//     Future future = submitter.Submit(Request::ReadAt(file, Buffer(4096), 0));
//     future.Wait();
//     Result result = future.Take();
//
// It is no part of a simulation: there the loop is driven by turns.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <thread>

#include "runtime/loop/port.h"
#include "runtime/loop/submission_loop.h"
#include "runtime/ring/kernel.h"

namespace orrery {

class LoopThread {
 public:
  static constexpr size_t kQueueCapacity = 1024;

  // `kernel` outlives it and its submitters. The error is a line for a person.
  static std::expected<std::unique_ptr<LoopThread>, std::string> Start(
      Kernel& kernel, const LoopOptions& options, size_t queue_capacity = kQueueCapacity);
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  // Shuts the loop down within the limits of its options, and waits for its end.
  ~LoopThread();

  Submitter submitter() const { return submitter_; }

 private:
  explicit LoopThread(Port& port) : submitter_(port) {}

  Submitter submitter_;
  ShutdownLimits limits_;
  std::thread thread_;
};

}  // namespace orrery
