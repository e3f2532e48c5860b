// The system calls that a program makes beside its rings: sockets, eventfds, and what is read and
// written without a ring. Private to kernel_model; Program calls them.
//
// As POSIX has them, but none of them waits: -EAGAIN says that it would, whatever the descriptor's
// O_NONBLOCK; who waits, and for how long, is the caller's business. Results are as the kernel's:
// -errno, not errno. What is not known stops the run.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace orrery::model {

class Machine;
struct OpenFile;

class SystemCalls {
 public:
  explicit SystemCalls(Machine& machine) : machine_(machine) {}

  int Socket(int domain, int type, int protocol);
  int Bind(int fd, const sockaddr* address, socklen_t bytes);
  int Listen(int fd, int backlog);
  int Accept(int fd, sockaddr* address, socklen_t* bytes, int flags);
  // -EINPROGRESS: has begun; ask again when the socket is writable.
  int Connect(int fd, const sockaddr* address, socklen_t bytes);
  int Shutdown(int fd, int how);
  // REQUIRES: not a ring's descriptor.
  int Close(int fd);
  int GetOption(int fd, int level, int option, void* value, socklen_t* bytes);
  int GetName(int fd, bool of_peer, sockaddr* address, socklen_t* bytes);
  int EventFd(unsigned count, int flags);
  int Control(int fd, int command, uint64_t argument);
  // How long to sleep: kNever when it is more than the clock holds.
  static int ReadTime(const timespec& time, Nanoseconds* value);

  // RECV and SEND; READ and WRITE come with `plain`, and know eventfds, too. A part of `count` is
  // a normal result.
  ssize_t Receive(int fd, std::byte* bytes, size_t count, int flags, bool plain);
  ssize_t Send(int fd, const std::byte* bytes, size_t count, int flags, bool plain);

  // Whether O_NONBLOCK is set. REQUIRES: open.
  bool non_blocking(int fd) const;
  // The poll(2) mask; POLLNVAL when it is not open.
  uint32_t Readiness(int fd) const;
  bool open(int fd) const;

 private:
  // The file of a socket, or -errno.
  OpenFile* FindSocket(int fd, int* error) const;

  Machine& machine_;
};

}  // namespace orrery::model
