// A kernel that may be interrupted while the program asks it something.
//
// A ring of prompt task work (TaskWork::kPrompt) gets completions at any moment, and so writes into
// whatever buffers it has at any moment: also between two lines of a handler. The world interrupts
// a shard between its turns; this does so within them, at each look at the wall clock, which
// programs take before they handle what they have received. Everything is passed on to another
// kernel. Thread: the simulation's.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "runtime/ring/kernel.h"

namespace orrery::sim {

class InterruptedKernel final : public Kernel {
 public:
  // `kernel` must outlive this.
  explicit InterruptedKernel(Kernel& kernel) : kernel_(kernel) {}

  // What an interrupt does; at first, nothing.
  void OnInterrupt(std::function<void()> interrupt) { interrupt_ = std::move(interrupt); }

  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override {
    return kernel_.MakeRing(options);
  }
  std::expected<int, Errno> Listen(const ListenOptions& options) override {
    return kernel_.Listen(options);
  }
  std::expected<std::vector<int>, Errno> ListenShared(const ListenOptions& options,
                                                      unsigned sockets) override {
    return kernel_.ListenShared(options, sockets);
  }
  std::expected<int, Errno> ListenUnix(const UnixListenOptions& options) override {
    return kernel_.ListenUnix(options);
  }
  void RemoveSocketFile(const std::string& path) override { kernel_.RemoveSocketFile(path); }
  std::expected<uint16_t, Errno> LocalPort(int listener) override {
    return kernel_.LocalPort(listener);
  }
  std::expected<SocketEnds, Errno> Ends(int socket) override { return kernel_.Ends(socket); }
  std::expected<void, Errno> SetSocketOption(int socket, int level, int option,
                                             int value) override {
    return kernel_.SetSocketOption(socket, level, option, value);
  }
  std::expected<int, Errno> MakeEventFd() override { return kernel_.MakeEventFd(); }
  void SignalEventFd(int fd) override { kernel_.SignalEventFd(fd); }
  void Close(int fd) override { kernel_.Close(fd); }
  std::expected<uint64_t, Errno> RaiseDescriptorLimit() override {
    return kernel_.RaiseDescriptorLimit();
  }
  Nanoseconds MonotonicNow() override { return kernel_.MonotonicNow(); }
  Nanoseconds RealtimeNow() override {
    if (interrupt_) interrupt_();
    return kernel_.RealtimeNow();
  }
  ProcessUsage Usage() override { return kernel_.Usage(); }
  void Entropy(std::span<std::byte> bytes) override { kernel_.Entropy(bytes); }

 private:
  Kernel& kernel_;
  std::function<void()> interrupt_;
};

}  // namespace orrery::sim
