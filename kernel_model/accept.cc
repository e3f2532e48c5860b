// ACCEPT, once or until it fails.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// The descriptor or slot of a connection that was accepted. It is lost when that fails, or when its
// peer could not be `named` (fact U8).
int Install(RingCore& ring, const Request& request, OpenFile& accepted, int32_t named) {
  if (named != 0) {
    ring.machine.DropReference(accepted);
    return named;
  }
  if (request.file_index == 0) {
    return ring.machine.InsertDescriptor(accepted, static_cast<uint32_t>(request.argument));
  }
  return ring.InstallFixed(accepted, request.file_index);
}

}  // namespace

sockaddr_in AddressOf(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int32_t TellAddress(uint16_t port, sockaddr* address, socklen_t* bytes) {
  if (address == nullptr) return 0;
  if (bytes == nullptr) return -EFAULT;
  if (static_cast<int>(*bytes) < 0) return -EINVAL;
  const sockaddr_in name = AddressOf(port);
  std::memcpy(address, &name, std::min(size_t{*bytes}, sizeof name));
  *bytes = sizeof name;
  return 0;
}

Attempt TryAccept(RingCore& ring, Request& request) {
  Machine& machine = ring.machine;
  for (;;) {
    // The descriptor is reserved first: at the limit an accept fails even without a connection.
    if (request.file_index == 0 && machine.descriptors.full()) return Attempt::Done(-EMFILE);
    OpenFile& file = *request.file;
    if (!IsSocket(file)) return Attempt::Done(-ENOTSOCK);
    if (file.kind == FileKind::kDatagram) return Attempt::Done(-EOPNOTSUPP);
    if (file.kind != FileKind::kListener || file.listener->shut) return Attempt::Done(-EINVAL);
    if (file.listener->queue.empty()) return Attempt::Wait();
    // Fact A7: the connection stays where it is.
    if (request.file_index == 0 && machine.Choose(Site::kAcceptFails, file.number, 2) != 0) {
      return Attempt::Done(-EMFILE);
    }
    Connection& connection = *machine.tcp.Accept(file);
    if (!connection.path.empty() && request.peer_address != nullptr) {
      StopUnknown("the address of a UNIX socket's peer, connection", connection.number);
    }
    const int32_t named =
        TellAddress(Tcp::FarPort(connection), request.peer_address, request.peer_address_bytes);
    OpenFile& accepted = machine.NewStream(connection);
    accepted.options = file.options;  // sk_clone_lock()
    Tcp::ApplyOptions(accepted);
    if ((static_cast<uint32_t>(request.argument) & SOCK_NONBLOCK) != 0) {
      accepted.open_flags |= O_NONBLOCK;
    }
    // Facts A9, A10: in a slot, or lost.
    const uint64_t number = connection.number;
    const int fd = Install(ring, request, accepted, named);
    const bool in_slot = request.file_index != 0;
    if (fd >= 0) machine.Emit(EventKind::kAccepted, number, fd, in_slot ? 1 : 0);
    const bool more = !file.listener->queue.empty();
    const bool hinted = more && machine.Choose(Site::kNotEmptyHint, file.number, 2) == 0;
    const uint32_t flags = hinted ? IORING_CQE_F_SOCK_NONEMPTY : 0;
    if (fd < 0 || !request.multishot || !ring.PostMore(request, fd, flags))
      return Attempt::Done(fd, flags);
    if (!more) return Attempt::Wait();
  }
}

}  // namespace orrery::model
