// The cold interface to an operating system: everything that a program asks for outside the ring.
//
// Two implementations: LinuxKernel (system calls) and kernel_model's ModelKernel. Nothing here is
// on a hot path but the clock, which is read once a turn. Descriptors are plain integers owned by
// the caller.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/ring/ring.h"

namespace orrery {

struct ListenOptions {
  std::string address = "127.0.0.1";  // Numeric IPv4 or IPv6.
  uint16_t port = 0;                  // 0 lets the kernel choose.
  int backlog = 511;
};

struct UnixListenOptions {
  std::string path;
  unsigned permissions = 0;  // Of the socket file, as chmod(2) has them; 0 leaves what umask says.
  int backlog = 511;
};

// The two ends of a connected socket: "127.0.0.1:6379", "[::1]:6379"; of a UNIX socket both are
// its listener's path, "/run/server.sock:0".
struct SocketEnds {
  std::string local;
  std::string peer;
};

// What the process has used since its start.
struct ProcessUsage {
  Nanoseconds user = 0;  // CPU time, of all threads,
  Nanoseconds system = 0;
  Nanoseconds thread_user = 0;  // and of the calling one.
  Nanoseconds thread_system = 0;
  uint64_t resident_bytes = 0;  // Memory, now.
  uint64_t machine_bytes = 0;   // What the machine has.
};

class Kernel {
 public:
  virtual ~Kernel() = default;

  // A ring for the calling thread. Errors: see LiburingRing::Create for what each means and its
  // message.
  virtual std::expected<std::unique_ptr<Ring>, std::string> MakeRing(
      const RingOptions& options) = 0;

  // A listening TCP socket with CLOEXEC and SO_REUSEADDR, never with SO_REUSEPORT: a port in use is
  // an error (EADDRINUSE). EINVAL: not a numeric address.
  virtual std::expected<int, Errno> Listen(const ListenOptions& options) = 0;

  // So many listening sockets on one port, otherwise like Listen()'s: the kernel gives each
  // connection to one of them (SO_REUSEPORT). Connections that wait at one are reset when it is
  // closed, also while others listen. EADDRINUSE: somebody else listens there, whether willing to
  // share or not. REQUIRES: sockets >= 1.
  virtual std::expected<std::vector<int>, Errno> ListenShared(const ListenOptions& options,
                                                              unsigned sockets) = 0;

  // A listening UNIX socket with CLOEXEC. A socket file that nobody listens at any more is
  // replaced. EADDRINUSE: somebody does, or the file is no socket. ENAMETOOLONG: the path is, for
  // an address. Others are those of bind(2) and chmod(2).
  virtual std::expected<int, Errno> ListenUnix(const UnixListenOptions& options) = 0;

  // Removes the file of a UNIX socket; whoever comes then finds nobody. Nothing happens when it is
  // gone, or has become that of another process.
  virtual void RemoveSocketFile(const std::string& path) = 0;

  // The port that a listening TCP socket is bound to. EAFNOSUPPORT: it is a UNIX socket.
  virtual std::expected<uint16_t, Errno> LocalPort(int listener) = 0;

  // The ends of a connected socket. ENOTCONN: its peer has gone already.
  virtual std::expected<SocketEnds, Errno> Ends(int socket) = 0;

  // setsockopt(2) of an int option.
  virtual std::expected<void, Errno> SetSocketOption(int socket, int level, int option,
                                                     int value) = 0;

  // A non-blocking eventfd with count 0.
  virtual std::expected<int, Errno> MakeEventFd() = 0;

  // Adds 1 to the count of an eventfd that is open: whoever polls it wakes up. One that cannot
  // count any further counts as rung. Any thread may call it.
  virtual void SignalEventFd(int fd) = 0;

  // close(2). For what no ring operation uses; connections are closed through the ring.
  virtual void Close(int fd) = 0;

  // Raises the limit of open descriptors to its hard limit and returns it.
  virtual std::expected<uint64_t, Errno> RaiseDescriptorLimit() = 0;

  // CLOCK_MONOTONIC and CLOCK_REALTIME.
  virtual Nanoseconds MonotonicNow() = 0;
  virtual Nanoseconds RealtimeNow() = 0;

  // For metrics. A simulation answers what does not depend on the machine it runs on.
  virtual ProcessUsage Usage() = 0;

  // Fills `bytes` with unpredictable bytes (in a simulation: bytes drawn from the seed).
  virtual void Entropy(std::span<std::byte> bytes) = 0;
};

}  // namespace orrery
