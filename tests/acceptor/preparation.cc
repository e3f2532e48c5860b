#include "tests/acceptor/preparation.h"

#include <fcntl.h>

#include <cstring>

#include "base/check.h"
#include "base/loopback.h"
#include "tests/acceptor/buffers.h"

namespace orrery::acceptor {
namespace {

// Younger than our liburing.
constexpr uint16_t kBundleFlag = 1U << 4;
constexpr uint8_t kOpReadMultishot = 49;
constexpr uint8_t kOpFtruncate = 55;
// The kinds of timeout say their count or duration here.
constexpr uint32_t kTimeoutFlagsMask = 3;
constexpr int kRwfNowait = 8;
constexpr uint32_t kLetters = 26;

bool HasFile(StepKind kind) {
  switch (kind) {
    case StepKind::kNop:
    case StepKind::kTimeout:
    case StepKind::kLinkTimeout:
    case StepKind::kTimeoutUpdate:
    case StepKind::kTimeoutRemove:
    case StepKind::kCancel:
    case StepKind::kCancelFile:
    case StepKind::kClose:
    case StepKind::kOpen:
      return false;
    default:
      return true;
  }
}

int MessageFlags(const Step& step) {
  return ((step.flags & kWaitAll) != 0 ? MSG_WAITALL : 0) |
         ((step.flags & kNoWait) != 0 ? MSG_DONTWAIT : 0);
}

uint64_t OffsetOf(const Step& step) {
  const bool at_place = KindOf(step.object) == ObjectKind::kFile && step.place >= 0;
  return at_place ? static_cast<uint64_t>(step.place) : ~uint64_t{0};
}

void IntoSlot(io_uring_sqe& sqe) {
  sqe.file_index = IORING_FILE_INDEX_ALLOC;
  sqe.accept_flags = 0;  // Fact A9.
}

void Select(io_uring_sqe& sqe) {
  sqe.addr = 0;
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = Buffers::kGroup;
}

void Fill(const Step& step, std::vector<std::byte>& memory) {
  if (KindOf(step.object) == ObjectKind::kEventFd) {
    const auto value = static_cast<uint64_t>(step.amount);
    std::memcpy(memory.data(), &value, sizeof value);
    return;
  }
  for (size_t i = 0; i < memory.size(); ++i) {
    memory[i] = static_cast<std::byte>(SentByte(step.id, i));
  }
}

// Its memory in two pieces.
void Split(OperationState& operation) {
  std::byte* const memory = operation.memory.data();
  operation.iovecs = {iovec{.iov_base = memory, .iov_len = 1},
                      iovec{.iov_base = memory + 1, .iov_len = operation.memory.size() - 1}};
  operation.message.msg_iov = operation.iovecs.data();
  operation.message.msg_iovlen = operation.iovecs.size();
}

// The address of a datagram; false: it goes to whom its socket is connected.
bool Address(const Objects& objects, OperationState& operation) {
  const Step& step = operation.step;
  if (KindOf(step.object) != ObjectKind::kDatagram || step.place == Place::kConnected) return false;
  operation.address = Loopback(objects.PortAt(step.place));
  return true;
}

void PrepareSend(const Objects& objects, OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const int file = objects.NumberOf(step.object, (step.flags & kFixed) != 0);
  const int flags = MessageFlags(step) | MSG_NOSIGNAL;
  const bool addressed = Address(objects, operation);
  // The socket calls take every family through one type.
  auto* const address = reinterpret_cast<sockaddr*>(&operation.address);
  if (step.kind == StepKind::kSend || step.kind == StepKind::kSendZeroCopy) {
    void* const memory = operation.memory.data();
    if (step.kind == StepKind::kSend) {
      ::io_uring_prep_send(&sqe, file, memory, operation.memory.size(), flags);
    } else {
      ::io_uring_prep_send_zc(&sqe, file, memory, operation.memory.size(), flags, 0);
    }
    if (addressed) ::io_uring_prep_send_set_addr(&sqe, address, sizeof operation.address);
  } else {
    Split(operation);
    if (addressed) {
      operation.message.msg_name = address;
      operation.message.msg_namelen = sizeof operation.address;
    }
    ::io_uring_prep_sendmsg(&sqe, file, &operation.message, static_cast<unsigned>(flags));
    if (IsZeroCopy(step.kind)) sqe.opcode = IORING_OP_SENDMSG_ZC;
  }
  if ((step.flags & kPollFirst) != 0) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
}

void PrepareReceive(const Objects& objects, OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const int file = objects.NumberOf(step.object, (step.flags & kFixed) != 0);
  switch (step.kind) {
    case StepKind::kReceive:
      ::io_uring_prep_recv(&sqe, file, operation.memory.data(), operation.memory.size(),
                           MessageFlags(step));
      break;
    case StepKind::kReceiveMultishot:
      ::io_uring_prep_recv_multishot(&sqe, file, nullptr, 0, 0);
      break;
    default:
      Split(operation);
      ::io_uring_prep_recvmsg(&sqe, file, &operation.message,
                              static_cast<unsigned>(MessageFlags(step)));
  }
  if ((step.flags & kPollFirst) != 0) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
  if ((step.flags & kBundle) != 0) sqe.ioprio |= kBundleFlag;
  if ((step.flags & kSelect) != 0 || step.kind == StepKind::kReceiveMultishot) Select(sqe);
}

void PrepareReadOrWrite(const Objects& objects, OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const int file = objects.NumberOf(step.object, (step.flags & kFixed) != 0);
  const auto bytes = static_cast<unsigned>(operation.memory.size());
  const uint64_t offset = OffsetOf(step);
  switch (step.kind) {
    case StepKind::kRead:
      ::io_uring_prep_read(&sqe, file, operation.memory.data(), bytes, offset);
      break;
    case StepKind::kWrite:
      ::io_uring_prep_write(&sqe, file, operation.memory.data(), bytes, offset);
      break;
    case StepKind::kReadMultishot:
      ::io_uring_prep_rw(kOpReadMultishot, &sqe, file, nullptr, 0, offset);
      Select(sqe);
      return;
    case StepKind::kReadVector:
      Split(operation);
      ::io_uring_prep_readv(&sqe, file, operation.iovecs.data(), 2, offset);
      break;
    default:
      Split(operation);
      ::io_uring_prep_writev(&sqe, file, operation.iovecs.data(), 2, offset);
  }
  if ((step.flags & kNoWait) != 0) sqe.rw_flags = kRwfNowait;
  if ((step.flags & kSelect) != 0) Select(sqe);
}

void PrepareClose(const Objects& objects, OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const bool fixed = (step.flags & kFixed) != 0;
  const int number = objects.NumberOf(step.object, fixed);
  if (fixed) {
    ::io_uring_prep_close_direct(&sqe, static_cast<unsigned>(number));
    return;
  }
  ::io_uring_prep_close(&sqe, number);
  operation.closes = objects.IsOpen(step.object);
}

void PrepareTimeout(OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const auto target = static_cast<uint64_t>(step.amount);
  switch (step.kind) {
    case StepKind::kTimeout:
      ::io_uring_prep_timeout(&sqe, &operation.time, step.flags & kTimeoutFlagsMask, 0);
      return;
    case StepKind::kTimeoutRemove:
      ::io_uring_prep_timeout_remove(&sqe, target, 0);
      return;
    case StepKind::kTimeoutUpdate:
      ::io_uring_prep_timeout_update(&sqe, &operation.time, target, 0);
      return;
    default:
      ::io_uring_prep_link_timeout(&sqe, &operation.time, 0);
  }
}

void PrepareCancel(const Objects& objects, const Step& step, io_uring_sqe& sqe) {
  const unsigned all = (step.flags & kAll) != 0 ? IORING_ASYNC_CANCEL_ALL : 0;
  const bool fixed = (step.flags & kFixed) != 0;
  switch (step.kind) {
    case StepKind::kCancel:
      ::io_uring_prep_cancel64(&sqe, static_cast<uint64_t>(step.amount), static_cast<int>(all));
      return;
    case StepKind::kCancelFile:
      ::io_uring_prep_cancel_fd(&sqe, objects.NumberOf(step.object, fixed),
                                all | (fixed ? IORING_ASYNC_CANCEL_FD_FIXED : 0U));
      return;
    default:
      ::io_uring_prep_cancel64(&sqe, 0, IORING_ASYNC_CANCEL_ANY);
  }
}

void PrepareOnFile(const Objects& objects, OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const int file = objects.NumberOf(step.object, (step.flags & kFixed) != 0);
  const auto amount = static_cast<uint32_t>(step.amount);
  switch (step.kind) {
    case StepKind::kAccept:
      ::io_uring_prep_accept(&sqe, file, nullptr, nullptr, SOCK_CLOEXEC);
      if ((step.flags & kIntoSlot) != 0) IntoSlot(sqe);
      return;
    case StepKind::kAcceptMultishot:
      ::io_uring_prep_multishot_accept(&sqe, file, nullptr, nullptr, SOCK_CLOEXEC);
      if ((step.flags & kIntoSlot) != 0) IntoSlot(sqe);
      return;
    case StepKind::kPoll:
      ::io_uring_prep_poll_add(&sqe, file, amount);
      return;
    case StepKind::kPollMultishot:
      ::io_uring_prep_poll_multishot(&sqe, file, amount);
      return;
    case StepKind::kSync:
      ::io_uring_prep_fsync(&sqe, file, amount != 0 ? IORING_FSYNC_DATASYNC : 0);
      return;
    case StepKind::kTruncate:
      sqe.opcode = kOpFtruncate;
      sqe.fd = file;
      sqe.off = amount;
      return;
    case StepKind::kShutdown:
      ::io_uring_prep_shutdown(&sqe, file, step.amount);
      return;
    default:
      ORRERY_CHECK_MSG(false, "an operation that nobody prepares");
  }
}

void PrepareOpen(OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  constexpr mode_t kMode = 0600;
  operation.path = Objects::NameOfFile(static_cast<size_t>(step.amount));
  const int flags = O_RDWR | O_CLOEXEC | ((step.flags & kNew) != 0 ? O_CREAT : 0) |
                    ((step.flags & kAppend) != 0 ? O_APPEND : 0);
  ::io_uring_prep_openat(&sqe, AT_FDCWD, operation.path.c_str(), flags, kMode);
}

}  // namespace

bool IsZeroCopy(StepKind kind) {
  return kind == StepKind::kSendZeroCopy || kind == StepKind::kSendMessageZeroCopy;
}

char SentByte(uint32_t id, size_t position) {
  // No two stretches of a long one are alike.
  const size_t round = position / kLetters;
  return static_cast<char>('A' + (id * 7 + position + round * round / 3) % kLetters);
}

void PrepareSqe(const Objects& objects, OperationState& operation, io_uring_sqe& sqe) {
  const Step& step = operation.step;
  const bool event_fd = KindOf(step.object) == ObjectKind::kEventFd;
  const auto memory_bytes = event_fd ? sizeof(uint64_t) : static_cast<size_t>(step.amount);
  switch (step.kind) {
    case StepKind::kNop:
      ::io_uring_prep_nop(&sqe);
      sqe.rw_flags = 1;  // Fact U12: the result is in the length.
      sqe.len = static_cast<uint32_t>(step.amount);
      break;
    case StepKind::kReceive:
    case StepKind::kReceiveMultishot:
    case StepKind::kReceiveMessage:
      operation.memory.resize(memory_bytes);
      PrepareReceive(objects, operation, sqe);
      break;
    case StepKind::kSend:
    case StepKind::kSendMessage:
    case StepKind::kSendZeroCopy:
    case StepKind::kSendMessageZeroCopy:
      operation.memory.resize(memory_bytes);
      Fill(step, operation.memory);
      PrepareSend(objects, operation, sqe);
      break;
    case StepKind::kWrite:
    case StepKind::kWriteVector:
      operation.memory.resize(memory_bytes);
      Fill(step, operation.memory);
      PrepareReadOrWrite(objects, operation, sqe);
      break;
    case StepKind::kRead:
    case StepKind::kReadVector:
    case StepKind::kReadMultishot:
      operation.memory.resize(memory_bytes);
      PrepareReadOrWrite(objects, operation, sqe);
      break;
    case StepKind::kTimeout:
    case StepKind::kTimeoutRemove:
    case StepKind::kTimeoutUpdate:
    case StepKind::kLinkTimeout:
      PrepareTimeout(operation, sqe);
      break;
    case StepKind::kPollRemove:
      ::io_uring_prep_poll_remove(&sqe, static_cast<uint64_t>(step.amount));
      break;
    case StepKind::kCancel:
    case StepKind::kCancelFile:
    case StepKind::kCancelAny:
      PrepareCancel(objects, step, sqe);
      break;
    case StepKind::kClose:
      PrepareClose(objects, operation, sqe);
      break;
    case StepKind::kOpen:
      PrepareOpen(operation, sqe);
      break;
    default:
      PrepareOnFile(objects, operation, sqe);
  }
  sqe.user_data = step.id;
  if (HasFile(step.kind) && (step.flags & kFixed) != 0) sqe.flags |= IOSQE_FIXED_FILE;
  if ((step.flags & kLink) != 0) sqe.flags |= IOSQE_IO_LINK;
  if ((step.flags & kHardLink) != 0) sqe.flags |= IOSQE_IO_HARDLINK;
  if ((step.flags & kSkipSuccess) != 0) sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
  if ((step.flags & kDrain) != 0) sqe.flags |= IOSQE_IO_DRAIN;
  if ((step.flags & kAsync) != 0) sqe.flags |= IOSQE_ASYNC;
}

}  // namespace orrery::acceptor
