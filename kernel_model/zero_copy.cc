// What is special about zero-copy sends: a second CQE, when the payload is the program's again.
//
// Invariant: the result comes first, errors included, and nothing of the request is found by a
// cancel between the two (facts Z1, Z3).
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>
#include <vector>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// Leaves the first `bytes` of what the parts have.
void KeepFirst(size_t bytes, std::vector<iovec>& parts) {
  for (iovec& part : parts) {
    part.iov_len = std::min(part.iov_len, bytes);
    bytes -= part.iov_len;
  }
}

}  // namespace

void RingCore::EndZeroCopy(Request& request, int32_t result, uint32_t flags) {
  request.notifies = false;
  CheckGuardedMemory(request);
  // What has not been taken is the program's again.
  KeepFirst(request.done_bytes, request.iovecs);
  request.guarded = false;
  if (request.done_bytes > 0) GuardMemory(request);
  // Fact Z4: what a broken chain cancels lacks F_MORE, and is notified about even so.
  if (request.state != RequestState::kFailing) flags |= IORING_CQE_F_MORE;
  // A request of its own, as io_alloc_notif() makes it: what is linked waits for the result only
  // (fact Z7), and comes behind a notification that is due at once.
  Request& notification = pool_.Allocate();
  notification.ring = this;
  notification.number = request.number;
  notification.user_data = request.user_data;
  notification.opcode = request.opcode;
  notification.state = RequestState::kNotifying;
  notification.result = request.notification;
  notification.done_bytes = request.done_bytes;
  notification.iovecs.swap(request.iovecs);
  notification.guarded = std::exchange(request.guarded, false);
  notification.checksum = request.checksum;
  notification.timer.request = &notification;
  OpenFile* const file = request.file;
  if (file != nullptr) machine.AddReference(*file);
  // Of who was not issued, was refused, was cancelled, or may not wait: io_send_zc_cleanup(), when
  // the request is freed, behind what is linked (fact Z7).
  const bool refused = file == nullptr || result == -ENOTSOCK || result == -EOPNOTSUPP;
  const bool with_request = refused || request.cancelled || (request.no_wait && result == -EAGAIN);
  End(request, result, flags);
  notifying_.push_back(&notification);
  const bool held = notification.done_bytes > 0 && file->kind == FileKind::kStream &&
                    machine.tcp.HoldPayload(*file->connection, notification);
  if (!held && with_request) {
    ended_.push_back(&notification);
  } else if (!held) {
    Notify(notification);
  }
  if (file != nullptr) machine.DropReference(*file);
}

void RingCore::Notify(Request& request) {
  std::erase(notifying_, &request);
  request.result_flags = IORING_CQE_F_NOTIF;
  EndLater(request, request.result, /*forced=*/false);
}

}  // namespace orrery::model
