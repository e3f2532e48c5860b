// ACCEPT, once or until it fails.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {

Attempt TryAccept(RingCore& ring, Request& request) {
  Machine& machine = ring.machine;
  for (;;) {
    // The descriptor is reserved first: at the limit an accept fails even without a connection.
    if (request.file_index == 0 && machine.descriptors.full()) return Attempt::Done(-EMFILE);
    OpenFile& file = *request.file;
    if (file.kind == FileKind::kEventFd) return Attempt::Done(-ENOTSOCK);
    if (file.kind != FileKind::kListener || file.listener->shut) return Attempt::Done(-EINVAL);
    if (file.listener->queue.empty()) return Attempt::Wait();
    // Fact A7: the connection stays where it is.
    if (request.file_index == 0 && machine.Choose(Site::kAcceptFails, file.number, 2) != 0) {
      return Attempt::Done(-EMFILE);
    }
    Connection& connection = *machine.tcp.Accept(file);
    OpenFile& accepted = machine.NewStream(connection);
    // Facts A9, A10: in a slot, or lost.
    const uint64_t number = connection.number;
    const int fd = request.file_index == 0 ? machine.InsertDescriptor(accepted)
                                           : ring.InstallFixed(accepted, request.file_index);
    if (fd >= 0) machine.Emit(EventKind::kAccepted, number, fd);
    const bool more = !file.listener->queue.empty();
    const bool hinted = more && machine.Choose(Site::kNotEmptyHint, file.number, 2) == 0;
    const uint32_t flags = hinted ? IORING_CQE_F_SOCK_NONEMPTY : 0;
    if (fd < 0 || !request.multishot || !ring.PostMore(request, fd, flags))
      return Attempt::Done(fd, flags);
    if (!more) return Attempt::Wait();
  }
}

}  // namespace orrery::model
