// ACCEPT, once or until it fails.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {

Attempt TryAccept(RingCore& ring, Request& request) {
  Machine& machine = ring.machine;
  for (;;) {
    // The descriptor is reserved first: at the limit an accept fails even without a connection.
    if (machine.descriptors.full()) return Attempt::Done(-EMFILE);
    OpenFile& file = *request.file;
    if (file.kind == FileKind::kEventFd) return Attempt::Done(-ENOTSOCK);
    if (file.kind != FileKind::kListener || file.listener->shut) return Attempt::Done(-EINVAL);
    if (file.listener->queue.empty()) return Attempt::Wait();
    // Fact A7: the connection stays where it is.
    if (machine.Choose(Site::kAcceptFails, file.number, 2) != 0) return Attempt::Done(-EMFILE);
    Connection& connection = *machine.tcp.Accept(file);
    OpenFile& accepted = machine.NewStream(connection);
    const int fd = machine.InsertDescriptor(accepted);
    machine.Emit(EventKind::kAccepted, connection.number, fd);
    const bool more = !file.listener->queue.empty();
    const bool hinted = more && machine.Choose(Site::kNotEmptyHint, file.number, 2) == 0;
    const uint32_t flags = hinted ? IORING_CQE_F_SOCK_NONEMPTY : 0;
    if (!request.multishot || !ring.PostMore(request, fd, flags)) return Attempt::Done(fd, flags);
    if (!more) return Attempt::Wait();
  }
}

}  // namespace orrery::model
