// What is special about zero-copy sends: a second CQE, when the payload is the program's again.
//
// Invariant: the result comes first, errors included, and nothing of the request is found by a
// cancel between the two (facts Z1, Z3).
#include <algorithm>
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
  if (request.file != nullptr) request.file->waiters.Remove(request);
  table.Remove(request);
  // Fact Z4: what a broken chain cancels lacks F_MORE, and is notified about even so.
  if (request.state != RequestState::kFailing) flags |= IORING_CQE_F_MORE;
  if (!request.silent) {
    unflushed_.push_back(
        {.user_data = request.user_data, .res = result, .flags = flags, .buffer = {}});
    machine.Emit(EventKind::kComplete, number, static_cast<int64_t>(request.user_data), result,
                 flags);
  }
  request.silent = false;
  request.failed = Failed(request, result);
  Follow(request);  // Fact Z7: a link waits for the result only.
  request.state = RequestState::kNotifying;
  OpenFile* const file = std::exchange(request.file, nullptr);
  const bool held = request.done_bytes > 0 && file->kind == FileKind::kStream &&
                    machine.tcp.HoldPayload(*file->connection, request);
  notifying_.push_back(&request);
  if (file == nullptr) {
    unissued_.push_back(&request);  // io_send_zc_cleanup() notifies, when the request is freed.
  } else if (!held) {
    Notify(request);
  }
  if (file != nullptr) machine.DropReference(*file);
}

void RingCore::Notify(Request& request) {
  std::erase(notifying_, &request);
  request.result_flags = IORING_CQE_F_NOTIF;
  EndLater(request, request.notification, /*forced=*/false);
}

}  // namespace orrery::model
