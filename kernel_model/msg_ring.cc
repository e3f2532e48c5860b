// MSG_RING: a completion, or a file, for another ring.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr uint32_t kSendData = 0;   // IORING_MSG_DATA
constexpr uint32_t kSendFile = 1;   // IORING_MSG_SEND_FD
constexpr uint32_t kSkip = 1;       // IORING_MSG_RING_CQE_SKIP
constexpr uint32_t kPassFlags = 2;  // IORING_MSG_RING_FLAGS_PASS

int32_t SendData(RingCore& target, const Request& request) {
  const auto flags = static_cast<uint32_t>(request.argument);
  if (request.source_slot != 0 || (flags & ~kPassFlags) != 0) return -EINVAL;
  const bool passes_flags = (flags & kPassFlags) != 0;
  if (!passes_flags && request.file_index != 0) return -EINVAL;
  if (target.is_disabled()) return -EBADFD;
  return target.TakeMessage(request.offset, static_cast<int32_t>(request.length),
                            passes_flags ? request.file_index : 0);
}

Attempt SendFile(RingCore& ring, RingCore& target, Request& request) {
  if (request.length != 0 || &target == &ring) return Attempt::Done(-EINVAL);
  if (target.is_disabled()) return Attempt::Done(-EBADFD);
  OpenFile* const file = ring.FindFile(static_cast<int>(request.source_slot), /*fixed=*/true);
  if (file == nullptr) return Attempt::Done(-EBADF);
  ring.machine.AddReference(*file);
  const bool silent = (static_cast<uint32_t>(request.argument) & kSkip) != 0;
  const int32_t result = target.TakeFile(*file, request.file_index, request.offset, silent);
  if (!target.is_deferred()) return Attempt::Done(result);
  // The target's thread does it, on its way out of the kernel, and sends the result back.
  ring.EndLater(request, result, /*forced=*/true);
  return Attempt::Pending();
}

}  // namespace

int32_t PrepareMessage(Request& request, const io_uring_sqe& sqe) {
  if (sqe.buf_index != 0) return -EINVAL;
  if ((sqe.msg_ring_flags & ~(kSkip | kPassFlags)) != 0) return -EINVAL;
  request.offset = sqe.off;
  request.length = sqe.len;
  request.argument = static_cast<int>(sqe.msg_ring_flags);
  request.file_index = sqe.file_index;
  request.message_command = static_cast<uint32_t>(sqe.addr);
  request.source_slot = static_cast<uint32_t>(sqe.addr3);
  return 0;
}

Attempt TryMessage(RingCore& ring, Request& request) {
  RingCore* const target = request.file->ring;
  if (target == nullptr) return Attempt::Done(-EBADFD);
  if (request.message_command == kSendFile) return SendFile(ring, *target, request);
  const bool data = request.message_command == kSendData;
  return Attempt::Done(data ? SendData(*target, request) : -EINVAL);
}

int32_t SendMessageFromNowhere(const Machine& machine, const io_uring_sqe& sqe) {
  if (sqe.flags != 0 || sqe.opcode != IORING_OP_MSG_RING) return -EINVAL;
  Request request;
  if (const int32_t error = PrepareMessage(request, sqe); error != 0) return error;
  if (request.message_command != kSendData) return -EINVAL;
  const OpenFile* const file = machine.descriptors.Find(sqe.fd);
  if (file == nullptr) return -EBADF;
  return file->ring != nullptr ? SendData(*file->ring, request) : -EBADFD;
}

int32_t RingCore::TakeMessage(uint64_t user_data, int32_t result, uint32_t flags) {
  if (!deferred_) {
    PostMessage(user_data, result, flags);
    Announce();
    return 0;
  }
  // Fact G2.
  Request& message = messages_.Allocate();
  message.ring = this;
  message.user_data = user_data;
  message.state = RequestState::kMessage;
  message.result = result;
  message.result_flags = flags;
  QueueTaskWork(message, /*forced=*/false);
  return 0;
}

int32_t RingCore::TakeFile(OpenFile& file, uint32_t file_index, uint64_t user_data, bool silent) {
  const int32_t result = InstallFixed(file, file_index);
  if (result < 0 || silent) return result;
  PostMessage(user_data, result, 0);
  Announce();
  return result;
}

void RingCore::RunMessage(Request& message) {
  PostMessage(message.user_data, message.result, message.result_flags);
  posted_since_flush_ = true;
  messages_.Free(message);
}

void RingCore::PostMessage(uint64_t user_data, int32_t result, uint32_t flags) {
  completions.Post({.user_data = user_data, .res = result, .flags = flags, .buffer = {}});
  machine.Emit(EventKind::kComplete, number, static_cast<int64_t>(user_data), result, flags);
}

}  // namespace orrery::model
