// The real operating system behind the cold Kernel interface: system calls, one per method.
//
// Every descriptor it makes is close-on-exec. Holds no state, so one serves all threads; the caller
// owns the descriptors.
#pragma once

#include "runtime/ring/kernel.h"

namespace orrery {

class LinuxKernel final : public Kernel {
 public:
  // A LiburingRing.
  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override;

  // An IPv6 listener takes IPv4 clients too where its address covers them ("::"). Errors are those
  // of socket(2), bind(2) and listen(2).
  std::expected<int, Errno> Listen(const ListenOptions& options) override;
  std::expected<std::vector<int>, Errno> ListenShared(const ListenOptions& options,
                                                      unsigned sockets) override;
  std::expected<int, Errno> ListenUnix(const UnixListenOptions& options) override;
  void RemoveSocketFile(const std::string& path) override;
  std::expected<uint16_t, Errno> LocalPort(int listener) override;
  std::expected<SocketEnds, Errno> Ends(int socket) override;
  std::expected<void, Errno> SetSocketOption(int socket, int level, int option, int value) override;
  std::expected<int, Errno> MakeEventFd() override;
  void SignalEventFd(int fd) override;
  // REQUIRES: `fd` is open.
  void Close(int fd) override;
  std::expected<uint64_t, Errno> RaiseDescriptorLimit() override;
  Nanoseconds MonotonicNow() override;
  Nanoseconds RealtimeNow() override;
  ProcessUsage Usage() override;
  void Entropy(std::span<std::byte> bytes) override;
};

}  // namespace orrery
