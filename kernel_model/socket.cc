// SOCKET, BIND, LISTEN and CONNECT.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {

int32_t PortOf(const Request& request, uint16_t* port) {
  if (request.address_bytes < sizeof(sockaddr_in)) return -EINVAL;
  const sockaddr_in& address = request.socket_address;
  if (address.sin_family != AF_INET) StopUnknown("addresses of family", address.sin_family);
  const uint32_t host = ntohl(address.sin_addr.s_addr);
  if (host != INADDR_ANY && host >> 24 != IN_LOOPBACKNET) StopUnknown("the host", host);
  *port = ntohs(address.sin_port);
  return 0;
}

Attempt TrySocket(RingCore& ring, Request& request) {
  Machine& machine = ring.machine;
  if (request.file_index == 0 && machine.descriptors.full()) return Attempt::Done(-EMFILE);
  const auto flags = static_cast<uint32_t>(request.argument);
  const bool datagrams = (flags & ~uint32_t{SOCK_CLOEXEC | SOCK_NONBLOCK}) == SOCK_DGRAM;
  OpenFile& socket = datagrams ? machine.datagrams.Make() : machine.NewFile(FileKind::kSocket);
  socket.open_flags |= flags & SOCK_NONBLOCK;
  if (request.file_index == 0) return Attempt::Done(machine.InsertDescriptor(socket, flags));
  return Attempt::Done(ring.InstallFixed(socket, request.file_index));
}

Attempt TryBind(RingCore& ring, Request& request) {
  if (!IsSocket(*request.file)) return Attempt::Done(-ENOTSOCK);
  uint16_t port = 0;
  if (const int32_t error = PortOf(request, &port); error < 0) return Attempt::Done(error);
  Machine& machine = ring.machine;
  return Attempt::Done(request.file->kind == FileKind::kDatagram
                           ? machine.datagrams.Bind(*request.file, port)
                           : machine.tcp.Bind(*request.file, port));
}

Attempt TryListen(RingCore& ring, Request& request) {
  if (!IsSocket(*request.file)) return Attempt::Done(-ENOTSOCK);
  if (request.file->kind == FileKind::kDatagram) return Attempt::Done(-EOPNOTSUPP);
  return Attempt::Done(ring.machine.tcp.ListenOn(*request.file, static_cast<int>(request.length)));
}

Attempt TryConnect(RingCore& ring, Request& request) {
  OpenFile& file = *request.file;
  if (!IsSocket(file)) return Attempt::Done(-ENOTSOCK);
  if (request.connecting) {
    if (file.kind == FileKind::kStream) return Attempt::Done(0);
    if (file.connecting) return Attempt::Wait();
  }
  uint16_t port = 0;
  if (const int32_t error = PortOf(request, &port); error < 0) return Attempt::Done(error);
  if (file.kind == FileKind::kDatagram) {
    return Attempt::Done(ring.machine.datagrams.Connect(file, port));
  }
  const int32_t result = ring.machine.tcp.Connect(file, port);
  if (result != -EAGAIN) return Attempt::Done(result);
  request.connecting = true;
  return Attempt::Wait();
}

}  // namespace orrery::model
