#include "kernel_model/program/system_calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "kernel_model/datagram.h"
#include "kernel_model/machine.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr int kTypeFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;

// Addresses are ports: of this host, whatever its name.
int ReadPort(const sockaddr* address, socklen_t bytes, uint16_t* port) {
  if (address == nullptr) return -EFAULT;
  if (bytes < sizeof(sa_family_t)) return -EINVAL;
  if (address->sa_family == AF_INET) {
    sockaddr_in name;
    if (bytes < sizeof name) return -EINVAL;
    std::memcpy(&name, address, sizeof name);
    const uint32_t host = ntohl(name.sin_addr.s_addr);
    if (host != INADDR_ANY && host >> 24 != IN_LOOPBACKNET) StopUnknown("the host", host);
    *port = ntohs(name.sin_port);
    return 0;
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 name;
    if (bytes < sizeof name) return -EINVAL;
    std::memcpy(&name, address, sizeof name);
    if (!IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr) && !IN6_IS_ADDR_LOOPBACK(&name.sin6_addr)) {
      StopUnknown("IPv6 hosts beside ::1, with port", ntohs(name.sin6_port));
    }
    *port = ntohs(name.sin6_port);
    return 0;
  }
  StopUnknown("addresses of family", address->sa_family);
}

}  // namespace

OpenFile* SystemCalls::FindSocket(int fd, int* error) const {
  OpenFile* const file = machine_.descriptors.Find(fd);
  *error = file == nullptr ? -EBADF : IsSocket(*file) ? 0 : -ENOTSOCK;
  return *error == 0 ? file : nullptr;
}

int SystemCalls::Socket(int domain, int type, int protocol) {
  if (domain != AF_INET && domain != AF_INET6) {
    StopUnknown("sockets of family", static_cast<uint64_t>(domain));
  }
  const int kind = type & ~kTypeFlags;
  if (kind != SOCK_STREAM && kind != SOCK_DGRAM) {
    StopUnknown("socket(2) of type", static_cast<uint64_t>(kind));
  }
  const bool datagrams = kind == SOCK_DGRAM;
  if (protocol != 0 && protocol != (datagrams ? IPPROTO_UDP : IPPROTO_TCP)) {
    return -EPROTONOSUPPORT;
  }
  if (machine_.descriptors.full()) return -EMFILE;
  OpenFile& file = datagrams ? machine_.datagrams.Make() : machine_.NewFile(FileKind::kSocket);
  if ((type & SOCK_NONBLOCK) != 0) file.open_flags |= O_NONBLOCK;
  return machine_.InsertDescriptor(file);
}

int SystemCalls::Bind(int fd, const sockaddr* address, socklen_t bytes) {
  int error = 0;
  OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  uint16_t port = 0;
  error = ReadPort(address, bytes, &port);
  if (error != 0) return error;
  if (file->kind == FileKind::kDatagram) return machine_.datagrams.Bind(*file, port);
  return machine_.tcp.Bind(*file, port);
}

int SystemCalls::Listen(int fd, int backlog) {
  int error = 0;
  OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  if (file->kind == FileKind::kDatagram) return -EOPNOTSUPP;
  return machine_.tcp.ListenOn(*file, backlog);
}

int SystemCalls::Accept(int fd, sockaddr* address, socklen_t* bytes, int flags) {
  int error = 0;
  OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  if ((flags & ~kTypeFlags) != 0) return -EINVAL;
  if (file->kind == FileKind::kDatagram) return -EOPNOTSUPP;
  if (file->kind != FileKind::kListener || file->listener->shut) return -EINVAL;
  if (machine_.descriptors.full()) return -EMFILE;
  if (file->listener->queue.empty()) return -EAGAIN;
  if (machine_.Choose(Site::kAcceptFails, file->number, 2) != 0) return -EMFILE;
  Connection& connection = *machine_.tcp.Accept(*file);
  OpenFile& accepted = machine_.NewStream(connection);
  accepted.options = file->options;  // Fact A1.
  Tcp::ApplyOptions(accepted);
  if ((flags & SOCK_NONBLOCK) != 0) accepted.open_flags |= O_NONBLOCK;
  const int accepted_fd = machine_.InsertDescriptor(accepted);
  machine_.Emit(EventKind::kAccepted, connection.number, accepted_fd);
  error = TellAddress(Tcp::FarPort(connection), address, bytes);
  if (error == 0) return accepted_fd;
  machine_.CloseDescriptor(accepted_fd);
  return error;
}

int SystemCalls::Connect(int fd, const sockaddr* address, socklen_t bytes) {
  int error = 0;
  OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  uint16_t port = 0;
  error = ReadPort(address, bytes, &port);
  if (error != 0) return error;
  if (file->kind == FileKind::kDatagram) return machine_.datagrams.Connect(*file, port);
  const int result = machine_.tcp.Connect(*file, port);
  // The model tells a refusal with the next call; so does a socket that does not block.
  return result == -EAGAIN ? -EINPROGRESS : result;
}

int SystemCalls::Shutdown(int fd, int how) {
  int error = 0;
  OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  if (file->kind == FileKind::kDatagram) return machine_.datagrams.Shutdown(*file, how);
  return machine_.tcp.Shutdown(*file, how);
}

int SystemCalls::Close(int fd) {
  const OpenFile* const file = machine_.descriptors.Find(fd);
  if (file == nullptr) return -EBADF;
  ORRERY_CHECK_MSG(file->kind != FileKind::kRing, "a ring ends with io_uring_queue_exit()");
  machine_.CloseDescriptor(fd);
  return 0;
}

int SystemCalls::GetOption(int fd, int level, int option, void* value, socklen_t* bytes) {
  int error = 0;
  OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  if (value == nullptr || bytes == nullptr) return -EFAULT;
  int answer = 0;
  if (level == SOL_SOCKET && option == SO_ERROR) {
    int* const pending =
        file->kind == FileKind::kStream ? &file->connection->pending_error : &file->connect_error;
    answer = std::exchange(*pending, 0);
  } else if (level == SOL_SOCKET && option == SO_TYPE) {
    answer = file->kind == FileKind::kDatagram ? SOCK_DGRAM : SOCK_STREAM;
  } else if (level == SOL_SOCKET && option == SO_ACCEPTCONN) {
    answer = file->kind == FileKind::kListener ? 1 : 0;
  } else if (level == SOL_SOCKET && (option == SO_SNDBUF || option == SO_RCVBUF)) {
    answer = static_cast<int>(machine_.options.socket_buffer_bytes);
  } else {
    StopUnknown("getsockopt(2) of level " + std::to_string(level) + ", number",
                static_cast<uint64_t>(option));
  }
  const auto room = static_cast<socklen_t>(sizeof answer);
  *bytes = std::min(*bytes, room);
  std::memcpy(value, &answer, *bytes);
  return 0;
}

int SystemCalls::GetName(int fd, bool of_peer, sockaddr* address, socklen_t* bytes) {
  int error = 0;
  const OpenFile* const file = FindSocket(fd, &error);
  if (file == nullptr) return error;
  if (address == nullptr) return -EFAULT;
  if (of_peer && file->kind == FileKind::kDatagram) {
    const uint16_t port = file->datagrams->peer_port;
    return port == 0 ? -ENOTCONN : TellAddress(port, address, bytes);
  }
  if (of_peer) {
    if (file->kind != FileKind::kStream) return -ENOTCONN;
    return TellAddress(Tcp::FarPort(*file->connection), address, bytes);
  }
  uint16_t port = file->bound_port;
  if (file->kind == FileKind::kListener) port = file->listener->port;
  if (file->kind == FileKind::kStream) port = file->connection->port;
  if (file->kind == FileKind::kDatagram) port = file->datagrams->port;
  return TellAddress(port, address, bytes);
}

int SystemCalls::EventFd(unsigned count, int flags) {
  if ((flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) != 0) return -EINVAL;
  if ((flags & EFD_SEMAPHORE) != 0) StopUnknown("eventfd flags", EFD_SEMAPHORE);
  if (machine_.descriptors.full()) return -EMFILE;
  OpenFile& file = machine_.NewFile(FileKind::kEventFd);
  file.event_count = count;
  if ((flags & EFD_NONBLOCK) != 0) file.open_flags |= O_NONBLOCK;
  return machine_.InsertDescriptor(file);
}

int SystemCalls::Control(int fd, int command, uint64_t argument) {
  OpenFile* const file = machine_.descriptors.Find(fd);
  if (file == nullptr) return -EBADF;
  switch (command) {
    case F_GETFD:
    case F_SETFD:
      return 0;  // Nothing is ever executed.
    case F_GETFL:
      return static_cast<int>(file->on_disk() ? file->open_flags : file->open_flags | O_RDWR);
    case F_SETFL:
      file->open_flags &= ~uint32_t{O_NONBLOCK};
      file->open_flags |= static_cast<uint32_t>(argument) & O_NONBLOCK;
      return 0;
    default:
      StopUnknown("fcntl(2) command", static_cast<uint64_t>(command));
  }
}

int SystemCalls::ReadTime(const timespec& time, Nanoseconds* value) {
  if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= kSecond) return -EINVAL;
  *value = DurationOf(time.tv_sec, time.tv_nsec);
  return 0;
}

ssize_t SystemCalls::Receive(int fd, std::byte* bytes, size_t count, int flags, bool plain) {
  OpenFile* const file = machine_.descriptors.Find(fd);
  if (file == nullptr) return -EBADF;
  if (plain && file->kind == FileKind::kEventFd) {
    if (count < sizeof file->event_count) return -EINVAL;
    if (file->event_count == 0) return -EAGAIN;
    std::memcpy(bytes, &file->event_count, sizeof file->event_count);
    file->event_count = 0;
    machine_.Wake(*file, POLLOUT);
    return sizeof file->event_count;
  }
  if (plain && (file->on_disk() || file->kind == FileKind::kPipe)) {
    StopUnknown("read(2) of a file or pipe, descriptor", static_cast<uint64_t>(fd));
  }
  if (!IsSocket(*file)) return plain ? -EINVAL : -ENOTSOCK;
  if (file->kind == FileKind::kDatagram) {
    StopUnknown("receiving a datagram without a ring, descriptor", static_cast<uint64_t>(fd));
  }
  if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) != 0) {
    StopUnknown("flags of recv(2)", static_cast<uint64_t>(flags));
  }
  if (file->kind != FileKind::kStream) return -ENOTCONN;
  if (count == 0) return 0;
  const int64_t received = machine_.tcp.Receive(*file->connection, bytes, count);
  if (received > 0) machine_.Emit(EventKind::kReceived, file->connection->number, received);
  return received;
}

ssize_t SystemCalls::Send(int fd, const std::byte* bytes, size_t count, int flags, bool plain) {
  OpenFile* const file = machine_.descriptors.Find(fd);
  if (file == nullptr) return -EBADF;
  if (plain && file->kind == FileKind::kEventFd) {
    uint64_t value = 0;
    if (count < sizeof value) return -EINVAL;
    std::memcpy(&value, bytes, sizeof value);
    if (value == UINT64_MAX) return -EINVAL;
    if (UINT64_MAX - file->event_count <= value) return -EAGAIN;
    file->event_count += value;
    machine_.Wake(*file, POLLIN);
    return sizeof value;
  }
  if (plain && (file->on_disk() || file->kind == FileKind::kPipe)) {
    StopUnknown("write(2) to a file or pipe, descriptor", static_cast<uint64_t>(fd));
  }
  if (!IsSocket(*file)) return plain ? -EINVAL : -ENOTSOCK;
  if (file->kind == FileKind::kDatagram) {
    StopUnknown("sending a datagram without a ring, descriptor", static_cast<uint64_t>(fd));
  }
  if ((flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)) != 0) {
    StopUnknown("flags of send(2)", static_cast<uint64_t>(flags));
  }
  int64_t sent = -EPIPE;
  if (file->kind == FileKind::kStream)
    sent = machine_.tcp.BeginSend(*file->connection, count, nullptr);
  if (sent == -EPIPE && (flags & MSG_NOSIGNAL) == 0) {
    machine_.Violate("sigpipe", "descriptor " + std::to_string(fd) +
                                    ": a write to a broken stream ends the process");
  }
  if (sent < 0) return sent;
  machine_.tcp.Send(*file->connection, bytes, static_cast<size_t>(sent));
  machine_.tcp.FinishSend(*file->connection, static_cast<size_t>(sent));
  return sent;
}

bool SystemCalls::non_blocking(int fd) const {
  const OpenFile* const file = machine_.descriptors.Find(fd);
  ORRERY_CHECK(file != nullptr);
  return (file->open_flags & O_NONBLOCK) != 0;
}

bool SystemCalls::open(int fd) const { return machine_.descriptors.Find(fd) != nullptr; }

uint32_t SystemCalls::Readiness(int fd) const {
  const OpenFile* const file = machine_.descriptors.Find(fd);
  return file == nullptr ? uint32_t{POLLNVAL} : machine_.Readiness(*file);
}

}  // namespace orrery::model
