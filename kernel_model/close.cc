// CLOSE of descriptors and fixed slots, and SHUTDOWN.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

int32_t CloseFixed(RingCore& ring, uint32_t slot) {
  if (!ring.fixed_files.has_value()) return -ENXIO;
  if (slot >= ring.fixed_files->size()) return -EINVAL;
  OpenFile* const file = ring.fixed_files->Replace(slot, nullptr);
  if (file == nullptr) return -EBADF;
  ring.machine.DropReference(*file);
  return 0;
}

// Defect::kCloseEndsReceive.
void CancelArmed(RingCore& ring, const OpenFile& file) {
  for (Request* request = ring.table.newest(); request != nullptr; request = request->older) {
    if (request->file != &file || request->state != RequestState::kArmed) continue;
    request->cancelled = true;
    ring.machine.WakeRequest(*request, 0);
  }
}

}  // namespace

Attempt TryClose(RingCore& ring, Request& request) {
  if (request.length != 0) return Attempt::Done(CloseFixed(ring, request.length - 1));
  const OpenFile* const file = ring.machine.descriptors.Find(request.argument);
  if (file == nullptr || file->kind == FileKind::kRing) return Attempt::Done(-EBADF);
  if (ring.machine.options.defect == Defect::kCloseEndsReceive) CancelArmed(ring, *file);
  ring.machine.CloseDescriptor(request.argument);
  return Attempt::Done(0);
}

Attempt TryShutdown(RingCore& ring, Request& request) {
  // Fact A14: always on a worker.
  ring.StartWorker(request);
  return Attempt::Pending();
}

void FinishShutdown(RingCore& ring, Request& request) {
  // io_wq_submit_work() assigns the file: a CLOSE of the same batch comes before it.
  OpenFile* const file = ring.FindFile(request.file_number, request.file_fixed);
  if (file == nullptr) {
    ring.EndWork(request, -EBADF);
    return;
  }
  request.file = file;
  ring.machine.AddReference(*file);
  request.never_fails = true;
  const int32_t result = !IsSocket(*file) ? -ENOTSOCK
                         : file->kind == FileKind::kDatagram
                             ? ring.machine.datagrams.Shutdown(*file, request.argument)
                             : ring.machine.tcp.Shutdown(*file, request.argument);
  ring.EndWork(request, result);
}

}  // namespace orrery::model
