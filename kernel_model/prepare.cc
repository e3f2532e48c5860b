// Reading SQEs: what the kernel's prep functions check, before the file is looked at.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "kernel_model/memory_guard.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr unsigned kIovecsMax = 1024;        // UIO_MAXIOV
constexpr size_t kTransferMax = 0x7ffff000;  // MAX_RW_COUNT
constexpr uint32_t kNopInjectResult = 1;
constexpr uint32_t kNopBig = 1U << 5;                          // IORING_NOP_CQE32
constexpr unsigned kBundle = 1U << 4;                          // IORING_RECVSEND_BUNDLE
constexpr unsigned kReportUsage = 1U << 3;                     // IORING_SEND_ZC_REPORT_USAGE
constexpr unsigned kSendVectorized = 1U << 5;                  // IORING_SEND_VECTORIZED
constexpr auto kUsageCopied = static_cast<int32_t>(1U << 31);  // IORING_NOTIF_USAGE_ZC_COPIED
constexpr unsigned kTimeoutMultishot = 1U << 6;
constexpr unsigned kAcceptDontWait = 1U << 1;   // IORING_ACCEPT_DONTWAIT
constexpr unsigned kAcceptPollFirst = 1U << 2;  // IORING_ACCEPT_POLL_FIRST
constexpr unsigned kSendFlags = IORING_RECVSEND_POLL_FIRST | kBundle | kSendVectorized;

// io_init_poll_iocb(): what every waiter wants to hear of.
constexpr uint32_t kAlways = POLLERR | POLLHUP | POLLNVAL;

constexpr uint32_t kPollEvents = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLNVAL |
                                 POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLRDHUP;

bool TakesIoprio(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE_FIXED:
    case kOpReadvFixed:
    case kOpWritevFixed:
    case kOpReadMultishot:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
    case IORING_OP_ACCEPT:
      return true;
    default:
      return false;
  }
}

// What IOSQE_ASYNC is known of.
bool KnownOnWorker(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_NOP:
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_RECV:
      return true;
    default:
      return IsFileOperation(opcode) || IsNameOperation(opcode);
  }
}

// Copies an array of iovecs (fact U8: read at consumption). Adds up their bytes.
int32_t ImportIovecs(Request& request, const iovec* iovecs, size_t count, int too_many) {
  if (count > kIovecsMax) return -too_many;  // Fact T10.
  if (count > 0 && iovecs == nullptr) return -EFAULT;
  request.iovecs.assign(iovecs, iovecs + count);
  for (iovec& part : request.iovecs) {
    if (static_cast<ssize_t>(part.iov_len) < 0) return -EINVAL;
    part.iov_len = std::min(part.iov_len, kTransferMax - request.total_bytes);
    request.bad_memory |= part.iov_len > 0 && IsNowhere(part.iov_base);
    request.total_bytes += part.iov_len;
  }
  return 0;
}

// The ABI carries pointers as 64-bit integers.
template <typename T>
T* Pointer(uint64_t address) {
  return reinterpret_cast<T*>(address);
}

int32_t ImportBuffer(Request& request, const io_uring_sqe& sqe) {
  const iovec whole{.iov_base = Pointer<void>(sqe.addr), .iov_len = sqe.len};
  return ImportIovecs(request, &whole, 1, EINVAL);
}

void WaitFor(Request& request, uint32_t events) { request.wait_events = events | kAlways; }

int32_t PrepareReadOrWrite(Request& request, const io_uring_sqe& sqe, bool read, bool vector) {
  if (sqe.ioprio != 0) StopUnknown("I/O priorities, such as", sqe.ioprio);
  const auto rw_flags = static_cast<uint32_t>(sqe.rw_flags);
  request.argument = sqe.rw_flags;  // Fact Y3: which are known depends on the file.
  request.no_wait = (rw_flags & kRwfNowait) != 0;
  if (request.force_worker && request.buffer_select) {
    StopUnknown("IOSQE_ASYNC with buffer selection, opcode", sqe.opcode);
  }
  request.offset = sqe.off;
  WaitFor(request, read ? POLLIN | POLLRDNORM : POLLOUT | POLLWRNORM);
  if (request.buffer_select) {
    if (sqe.opcode != IORING_OP_READ) StopUnknown("buffer selection with opcode", sqe.opcode);
    request.length = sqe.len;
    request.buffer_group = sqe.buf_group;
    return 0;
  }
  if (!vector) return ImportBuffer(request, sqe);
  return ImportIovecs(request, Pointer<const iovec>(sqe.addr), sqe.len, EINVAL);
}

int32_t PrepareFixed(Request& request, const io_uring_sqe& sqe, bool read, bool vector) {
  if (request.buffer_select) return -EOPNOTSUPP;
  request.fixed_buffer = true;
  request.fixed_buffer_index = sqe.buf_index;
  return PrepareReadOrWrite(request, sqe, read, vector);
}

int32_t PrepareReadMultishot(Request& request, const io_uring_sqe& sqe) {
  if (!request.buffer_select) return -EINVAL;
  if (sqe.ioprio != 0) StopUnknown("I/O priorities, such as", sqe.ioprio);
  if (sqe.rw_flags != 0) StopUnknown("rw_flags", static_cast<uint32_t>(sqe.rw_flags));
  if (sqe.addr != 0 || sqe.len != 0) return -EINVAL;
  request.multishot = true;
  request.buffer_group = sqe.buf_group;
  request.offset = sqe.off;
  WaitFor(request, POLLIN | POLLRDNORM);
  return 0;
}

// What RECV and RECVMSG have in common.
int32_t ReadReceiveFlags(Request& request, const io_uring_sqe& sqe) {
  constexpr uint32_t kKnown = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_PEEK;
  if ((sqe.msg_flags & ~kKnown) != 0) StopUnknown("msg_flags of a receive", sqe.msg_flags);
  request.multishot = (sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
  request.poll_first = (sqe.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
  request.wait_all = (sqe.msg_flags & MSG_WAITALL) != 0;
  request.no_wait = (sqe.msg_flags & MSG_DONTWAIT) != 0;
  request.peek = (sqe.msg_flags & MSG_PEEK) != 0;
  if (request.peek && (request.wait_all || (sqe.ioprio & kBundle) != 0)) {
    StopUnknown("MSG_PEEK with MSG_WAITALL or bundles, msg_flags", sqe.msg_flags);
  }
  WaitFor(request, POLLIN | POLLRDNORM);
  const bool refused = request.multishot && (!request.buffer_select || request.wait_all);
  return refused ? -EINVAL : 0;  // Fact M1.
}

// Copies an address of so many bytes, as move_addr_to_kernel() does.
int32_t ImportAddress(Request& request, const void* address, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > sizeof(sockaddr_storage)) return -EINVAL;
  if (bytes > 0 && address == nullptr) return -EFAULT;
  request.address_bytes = static_cast<uint32_t>(bytes);
  if (bytes > 0) {
    std::memcpy(&request.socket_address, address,
                std::min<size_t>(request.address_bytes, sizeof request.socket_address));
  }
  return 0;
}

int32_t PrepareReceive(Request& request, const io_uring_sqe& sqe) {
  constexpr unsigned kKnown = IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT | kBundle;
  if ((sqe.ioprio & ~kKnown) != 0) StopUnknown("receive flags in ioprio", sqe.ioprio);
  if (sqe.addr2 != 0) return -EINVAL;
  request.length = sqe.len;
  if (const int32_t error = ReadReceiveFlags(request, sqe)) return error;
  if (!request.multishot && sqe.file_index != 0) return -EINVAL;
  request.total_limit = sqe.file_index;  // Fact M10; it is named optlen there.
  request.bundle = (sqe.ioprio & kBundle) != 0 && request.buffer_select;  // Fact D5.
  if (request.force_worker && (request.multishot || request.bundle || request.wait_all)) {
    StopUnknown("IOSQE_ASYNC with a receive of flags", sqe.ioprio);
  }
  if (!request.buffer_select) return ImportBuffer(request, sqe);
  if (request.wait_all && request.bundle)
    StopUnknown("MSG_WAITALL with bundles, opcode", sqe.opcode);
  request.buffer_group = sqe.buf_group;
  return 0;
}

int32_t PrepareReceiveMessage(Request& request, const io_uring_sqe& sqe) {
  constexpr unsigned kKnown = IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT;
  if (sqe.addr2 != 0 || sqe.file_index != 0) return -EINVAL;
  if ((sqe.ioprio & ~kKnown) != 0) return -EINVAL;
  if (const int32_t error = ReadReceiveFlags(request, sqe)) return error;
  if (sqe.addr == 0) return -EFAULT;
  request.message = Pointer<msghdr>(sqe.addr);
  const msghdr& message = *request.message;
  if (static_cast<int>(message.msg_namelen) < 0) return -EINVAL;
  if (!request.buffer_select) {
    return ImportIovecs(request, message.msg_iov, message.msg_iovlen, EMSGSIZE);
  }
  request.buffer_group = sqe.buf_group;
  if (message.msg_iovlen > 1) return -EINVAL;
  if (message.msg_iovlen == 1 && message.msg_iov == nullptr) return -EFAULT;
  request.length = message.msg_iovlen == 0 ? 0 : static_cast<uint32_t>(message.msg_iov->iov_len);
  if (!request.multishot) return 0;
  request.name_bytes = message.msg_namelen;
  request.control_bytes = message.msg_controllen;
  return 0;
}

int32_t PrepareSend(Request& request, const io_uring_sqe& sqe) {
  const bool zero_copy = sqe.opcode == IORING_OP_SEND_ZC || sqe.opcode == IORING_OP_SENDMSG_ZC;
  if (!zero_copy && (sqe.ioprio & ~kSendFlags) != 0) return -EINVAL;  // Fact T11.
  request.bundle = (sqe.ioprio & kBundle) != 0;
  if (sqe.opcode != IORING_OP_SEND && request.buffer_select) return -EOPNOTSUPP;
  if (sqe.opcode == IORING_OP_SENDMSG && request.bundle) return -EINVAL;
  if (request.bundle && !request.buffer_select) {
    StopUnknown("bundles of a send without a group, flags", sqe.ioprio);
  }
  if ((sqe.ioprio & IORING_RECVSEND_FIXED_BUF) != 0) {
    if (sqe.opcode != IORING_OP_SEND_ZC || (sqe.ioprio & kSendVectorized) != 0) {
      StopUnknown("several registered buffers in one send, flags", sqe.ioprio);
    }
    request.fixed_buffer = true;
    request.fixed_buffer_index = sqe.buf_index;
  }
  constexpr uint32_t kKnownMessage = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_MORE;
  if ((sqe.msg_flags & ~kKnownMessage) != 0) StopUnknown("msg_flags of a send", sqe.msg_flags);
  request.poll_first = (sqe.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
  request.wait_all = (sqe.msg_flags & MSG_WAITALL) != 0 || request.bundle;
  request.no_wait = (sqe.msg_flags & MSG_DONTWAIT) != 0;
  WaitFor(request, POLLOUT | POLLWRNORM);
  if (sqe.opcode == IORING_OP_SEND || sqe.opcode == IORING_OP_SEND_ZC) {
    request.addressed = sqe.addr2 != 0;
    if (request.addressed) {
      const int32_t error = ImportAddress(request, Pointer<const void>(sqe.addr2), sqe.addr_len);
      if (error != 0) return error;
    }
    if (request.buffer_select) {
      if ((sqe.ioprio & kSendVectorized) != 0) StopUnknown("vectors of buffers,", sqe.ioprio);
      request.buffer_group = sqe.buf_group;
      request.length = sqe.len;
      return 0;
    }
    if ((sqe.ioprio & kSendVectorized) != 0) {
      return ImportIovecs(request, Pointer<const iovec>(sqe.addr), sqe.len, EMSGSIZE);
    }
    return ImportBuffer(request, sqe);
  }
  if (sqe.addr == 0) return -EFAULT;
  msghdr message;
  std::memcpy(&message, Pointer<const msghdr>(sqe.addr), sizeof message);
  if (message.msg_controllen != 0) {
    StopUnknown("control data of a SENDMSG, bytes", message.msg_controllen);
  }
  request.addressed = message.msg_name != nullptr && message.msg_namelen != 0;
  if (request.addressed) {
    const auto bytes = std::min<size_t>(message.msg_namelen, sizeof(sockaddr_storage));
    const int32_t error = ImportAddress(request, message.msg_name, static_cast<int>(bytes));
    if (error != 0) return error;
  }
  return ImportIovecs(request, message.msg_iov, message.msg_iovlen, EMSGSIZE);
}

int32_t PrepareZeroCopySend(Request& request, const io_uring_sqe& sqe) {
  constexpr unsigned kValid =
      IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_FIXED_BUF | kReportUsage | kSendVectorized;
  if (request.buffer_select) return -EOPNOTSUPP;
  if (sqe.addr3 != 0 || request.skip_success) return -EINVAL;
  request.notifies = true;  // From here on errors are notified of, too (fact Z3).
  if ((sqe.ioprio & ~kValid) != 0) return -EINVAL;
  // Fact Z5: loopback copies, and so does a send that sent nothing.
  if ((sqe.ioprio & kReportUsage) != 0) request.notification = kUsageCopied;
  return PrepareSend(request, sqe);
}

int32_t PrepareAccept(Request& request, const io_uring_sqe& sqe) {
  if (sqe.len != 0 || sqe.buf_index != 0) return -EINVAL;
  request.peer_address = Pointer<sockaddr>(sqe.addr);
  request.peer_address_bytes = Pointer<socklen_t>(sqe.addr2);
  request.file_index = sqe.file_index;
  constexpr unsigned kKnown = IORING_ACCEPT_MULTISHOT | kAcceptDontWait | kAcceptPollFirst;
  if ((sqe.ioprio & ~kKnown) != 0) return -EINVAL;
  request.no_wait = (sqe.ioprio & kAcceptDontWait) != 0;
  request.poll_first = (sqe.ioprio & kAcceptPollFirst) != 0;
  if (sqe.file_index != 0 && (sqe.accept_flags & SOCK_CLOEXEC) != 0) return -EINVAL;  // Fact A9.
  if ((sqe.accept_flags & ~uint32_t{SOCK_CLOEXEC | SOCK_NONBLOCK}) != 0) return -EINVAL;
  request.multishot = (sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0;
  const bool slot = sqe.file_index != 0 && sqe.file_index != IORING_FILE_INDEX_ALLOC;
  if (request.multishot && slot) return -EINVAL;
  request.argument = static_cast<int>(sqe.accept_flags);
  request.exclusive = true;
  WaitFor(request, POLLIN | POLLRDNORM);
  return 0;
}

int32_t PreparePollAdd(Request& request, const io_uring_sqe& sqe) {
  if (sqe.buf_index != 0 || sqe.off != 0 || sqe.addr != 0) return -EINVAL;
  if ((sqe.len & ~IORING_POLL_ADD_MULTI) != 0) return -EINVAL;  // Fact P5.
  request.multishot = (sqe.len & IORING_POLL_ADD_MULTI) != 0;
  if (request.multishot && request.skip_success) return -EINVAL;
  if ((sqe.poll32_events & ~kPollEvents) != 0) StopUnknown("poll events", sqe.poll32_events);
  request.wait_events = sqe.poll32_events | kAlways | POLLRDHUP;
  return 0;
}

int32_t PreparePollRemove(Request& request, const io_uring_sqe& sqe) {
  constexpr uint32_t kUpdates = IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA;
  if (sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if ((sqe.len & ~(kUpdates | IORING_POLL_ADD_MULTI)) != 0) return -EINVAL;
  if (sqe.len == IORING_POLL_ADD_MULTI) return -EINVAL;
  if ((sqe.len & IORING_POLL_UPDATE_USER_DATA) == 0 && sqe.off != 0) return -EINVAL;
  if ((sqe.len & IORING_POLL_UPDATE_EVENTS) != 0) {
    if ((sqe.poll32_events & ~kPollEvents) != 0) StopUnknown("poll events", sqe.poll32_events);
    request.poll_events = sqe.poll32_events;
  } else if (sqe.poll32_events != 0) {
    return -EINVAL;
  }
  request.offset = sqe.addr;
  request.length = sqe.len;
  request.new_user_data = sqe.off;
  return 0;
}

int32_t ReadTime(uint64_t address, Nanoseconds* value) {
  if (address == 0) return -EFAULT;
  __kernel_timespec time;
  std::memcpy(&time, Pointer<const __kernel_timespec>(address), sizeof time);
  if (time.tv_sec < 0 || time.tv_nsec < 0) return -EINVAL;
  *value = DurationOf(time.tv_sec, time.tv_nsec);  // More than a second of them is legal.
  return 0;
}

int32_t PrepareTimeout(RingCore& ring, Request& request, const io_uring_sqe& sqe) {
  constexpr uint32_t kKnown = IORING_TIMEOUT_ABS | IORING_TIMEOUT_BOOTTIME |
                              IORING_TIMEOUT_REALTIME | IORING_TIMEOUT_ETIME_SUCCESS |
                              kTimeoutMultishot;
  const bool linked = sqe.opcode == IORING_OP_LINK_TIMEOUT;
  if (sqe.buf_index != 0 || sqe.len != 1 || sqe.splice_fd_in != 0) return -EINVAL;
  if (linked && sqe.off != 0) return -EINVAL;
  if ((sqe.timeout_flags & ~kKnown) != 0) return -EINVAL;  // Fact K2.
  if ((sqe.timeout_flags & IORING_TIMEOUT_CLOCK_MASK) == IORING_TIMEOUT_CLOCK_MASK) return -EINVAL;
  const bool multishot = (sqe.timeout_flags & kTimeoutMultishot) != 0;
  request.absolute_time = (sqe.timeout_flags & IORING_TIMEOUT_ABS) != 0;
  if (multishot && request.absolute_time) return -EINVAL;  // Fact K6.
  const int32_t read = ReadTime(sqe.addr, &request.time);
  if (read != 0) return read;
  request.realtime = (sqe.timeout_flags & IORING_TIMEOUT_REALTIME) != 0;
  request.etime_success = (sqe.timeout_flags & IORING_TIMEOUT_ETIME_SUCCESS) != 0;
  if (linked) return ring.Guard(request);
  request.multishot = multishot;
  request.counts_completions = sqe.off != 0 && !multishot;
  request.repeats = multishot ? sqe.off : 0;
  request.offset = sqe.off;
  return 0;
}

int32_t PrepareTimeoutRemove(Request& request, const io_uring_sqe& sqe) {
  constexpr uint32_t kKnown = IORING_TIMEOUT_UPDATE_MASK | IORING_TIMEOUT_ABS;
  if (sqe.buf_index != 0 || sqe.len != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  request.offset = sqe.addr;
  request.length = sqe.timeout_flags;
  if ((sqe.timeout_flags & IORING_TIMEOUT_UPDATE_MASK) == 0) {
    return sqe.timeout_flags != 0 ? -EINVAL : 0;
  }
  if ((sqe.timeout_flags & ~kKnown) != 0) return -EINVAL;
  if ((sqe.timeout_flags & IORING_TIMEOUT_UPDATE) == 0) {
    StopUnknown("LINK_TIMEOUT_UPDATE without TIMEOUT_UPDATE, flags", sqe.timeout_flags);
  }
  request.absolute_time = (sqe.timeout_flags & IORING_TIMEOUT_ABS) != 0;
  return ReadTime(sqe.addr2, &request.time);
}

int32_t PrepareCancel(Request& request, const io_uring_sqe& sqe) {
  if (sqe.off != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if ((sqe.cancel_flags & ~kCancelFlags) != 0) return -EINVAL;
  const bool by_file = (sqe.cancel_flags & IORING_ASYNC_CANCEL_FD) != 0;
  const bool by_opcode = (sqe.cancel_flags & kCancelOpcode) != 0;
  const bool any = (sqe.cancel_flags & IORING_ASYNC_CANCEL_ANY) != 0;
  if ((by_file || by_opcode) && any) return -EINVAL;
  if (by_opcode && sqe.len >= kOpcodes) return -EINVAL;
  request.cancel_opcode = static_cast<uint8_t>(by_opcode ? sqe.len : 0);
  request.offset = sqe.addr;
  request.argument = sqe.fd;
  request.length = sqe.cancel_flags;
  if ((sqe.flags & IOSQE_FIXED_FILE) != 0) request.length |= IORING_ASYNC_CANCEL_FD_FIXED;
  return 0;
}

int32_t PrepareClose(Request& request, const io_uring_sqe& sqe) {
  if (sqe.off != 0 || sqe.addr != 0 || sqe.len != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0) {
    return -EINVAL;
  }
  if ((sqe.flags & IOSQE_FIXED_FILE) != 0) return -EBADF;  // Fact F5.
  if (sqe.file_index != 0 && sqe.fd != 0) return -EINVAL;
  request.argument = sqe.fd;
  request.length = sqe.file_index;
  return 0;
}

int32_t PrepareShutdown(Request& request, const io_uring_sqe& sqe) {
  if (sqe.off != 0 || sqe.addr != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0 ||
      sqe.splice_fd_in != 0) {
    return -EINVAL;
  }
  request.argument = static_cast<int>(sqe.len);
  return 0;
}

int32_t PrepareSocket(Request& request, const io_uring_sqe& sqe) {
  if (sqe.addr != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0) return -EINVAL;
  constexpr uint32_t kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  const auto type = static_cast<uint32_t>(sqe.off);
  if (sqe.file_index != 0 && (type & SOCK_CLOEXEC) != 0) return -EINVAL;
  if (sqe.fd != AF_INET) StopUnknown("sockets of domain", static_cast<uint64_t>(sqe.fd));
  request.argument = static_cast<int>(type);
  const uint32_t kind = type & ~kFlags;
  if (kind != SOCK_STREAM && kind != SOCK_DGRAM) StopUnknown("sockets of type", type);
  const unsigned protocol = kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
  if (sqe.len != 0 && sqe.len != protocol) StopUnknown("sockets of protocol", sqe.len);
  request.file_index = sqe.file_index;
  return 0;
}

// CONNECT and BIND.
int32_t PrepareAddress(Request& request, const io_uring_sqe& sqe) {
  if (sqe.len != 0 || sqe.buf_index != 0 || sqe.rw_flags != 0 || sqe.splice_fd_in != 0) {
    return -EINVAL;
  }
  WaitFor(request, POLLOUT | POLLWRNORM);
  return ImportAddress(request, Pointer<const void>(sqe.addr), static_cast<int>(sqe.addr2));
}

int32_t PrepareListen(Request& request, const io_uring_sqe& sqe) {
  if (sqe.addr != 0 || sqe.buf_index != 0 || sqe.rw_flags != 0 || sqe.splice_fd_in != 0 ||
      sqe.addr2 != 0) {
    return -EINVAL;
  }
  request.length = sqe.len;
  return 0;
}

int32_t PreparePipe(Request& request, const io_uring_sqe& sqe) {
  constexpr uint32_t kFlags = O_CLOEXEC | O_NONBLOCK;
  constexpr uint32_t kPackets = O_DIRECT | O_EXCL;  // O_NOTIFICATION_PIPE
  if (sqe.fd != 0 || sqe.off != 0 || sqe.addr3 != 0) return -EINVAL;
  const auto flags = static_cast<uint32_t>(sqe.rw_flags);
  if ((flags & ~(kFlags | kPackets)) != 0) return -EINVAL;
  if ((flags & kPackets) != 0) StopUnknown("pipes of packets, flags", flags);
  request.address = Pointer<void>(sqe.addr);
  request.argument = static_cast<int>(flags);
  request.file_index = sqe.file_index;
  return 0;
}

int32_t PrepareFilesUpdate(Request& request, const io_uring_sqe& sqe) {
  if ((sqe.flags & IOSQE_FIXED_FILE) != 0) return -EINVAL;
  if (sqe.rw_flags != 0 || sqe.splice_fd_in != 0 || sqe.len == 0) return -EINVAL;
  request.offset = static_cast<uint32_t>(sqe.off);  // io_rsrc_update::offset
  request.length = sqe.len;
  if (sqe.addr == 0) return -EFAULT;
  request.address = Pointer<void>(sqe.addr);
  return 0;
}

int32_t PrepareNop(const RingCore& ring, Request& request, const io_uring_sqe& sqe) {
  const auto flags = static_cast<uint32_t>(sqe.rw_flags);
  if (flags == 0) return 0;
  if ((flags & ~(kNopInjectResult | kNopBig)) != 0) StopUnknown("NOP flags", flags);
  if ((flags & kNopInjectResult) != 0) request.result = static_cast<int32_t>(sqe.len);  // U12
  if ((flags & kNopBig) == 0) return 0;
  if (!ring.completions.has_big()) return -EINVAL;  // Fact V13.
  request.big_completion = true;
  request.offset = sqe.off;
  request.new_user_data = sqe.addr;
  return 0;
}

}  // namespace

bool NeedsFile(const Request& request) {
  // Their workers look the file up.
  if (request.force_worker || IsFileOperation(request.opcode)) return false;
  if (IsNameOperation(request.opcode)) return false;
  switch (request.opcode) {
    case IORING_OP_NOP:
    case IORING_OP_SOCKET:
    case kOpPipe:
    case IORING_OP_FILES_UPDATE:
    case IORING_OP_POLL_REMOVE:
    case IORING_OP_TIMEOUT:
    case IORING_OP_LINK_TIMEOUT:
    case IORING_OP_TIMEOUT_REMOVE:
    case IORING_OP_ASYNC_CANCEL:
    case IORING_OP_CLOSE:
    case IORING_OP_SHUTDOWN:  // Its worker looks the file up.
      return false;
    default:
      return true;
  }
}

int32_t Prepare(RingCore& ring, Request& request, const io_uring_sqe& sqe) {
  constexpr unsigned kKnownFlags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS |
                                   IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_IO_DRAIN | IOSQE_ASYNC;
  if ((sqe.flags & ~kKnownFlags) != 0) StopUnknown("SQE flags", sqe.flags);
  if (sqe.personality != 0) StopUnknown("personality", sqe.personality);
  request.buffer_select = (sqe.flags & IOSQE_BUFFER_SELECT) != 0;
  request.force_worker = (sqe.flags & IOSQE_ASYNC) != 0;
  if (request.force_worker && !KnownOnWorker(sqe.opcode)) {
    StopUnknown("IOSQE_ASYNC with opcode", sqe.opcode);
  }
  if (request.buffer_select && !TakesIoprio(sqe.opcode)) return -EOPNOTSUPP;
  if (sqe.ioprio != 0 && !TakesIoprio(sqe.opcode)) return -EINVAL;
  if (IsFileOperation(sqe.opcode)) return PrepareFileOperation(request, sqe);
  if (IsNameOperation(sqe.opcode)) return PrepareNameOperation(request, sqe);
  switch (sqe.opcode) {
    case IORING_OP_NOP:
      return PrepareNop(ring, request, sqe);
    case IORING_OP_READ:
      return PrepareReadOrWrite(request, sqe, /*read=*/true, /*vector=*/false);
    case IORING_OP_READV:
      return PrepareReadOrWrite(request, sqe, /*read=*/true, /*vector=*/true);
    case IORING_OP_WRITE:
      return PrepareReadOrWrite(request, sqe, /*read=*/false, /*vector=*/false);
    case IORING_OP_READ_FIXED:
      return PrepareFixed(request, sqe, /*read=*/true, /*vector=*/false);
    case kOpReadvFixed:
      return PrepareFixed(request, sqe, /*read=*/true, /*vector=*/true);
    case IORING_OP_WRITE_FIXED:
      return PrepareFixed(request, sqe, /*read=*/false, /*vector=*/false);
    case kOpWritevFixed:
      return PrepareFixed(request, sqe, /*read=*/false, /*vector=*/true);
    case IORING_OP_WRITEV:
      return PrepareReadOrWrite(request, sqe, /*read=*/false, /*vector=*/true);
    case kOpReadMultishot:
      return PrepareReadMultishot(request, sqe);
    case IORING_OP_RECV:
      return PrepareReceive(request, sqe);
    case IORING_OP_RECVMSG:
      return PrepareReceiveMessage(request, sqe);
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
      return PrepareSend(request, sqe);
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
      return PrepareZeroCopySend(request, sqe);
    case IORING_OP_ACCEPT:
      if (request.buffer_select) return -EOPNOTSUPP;
      return PrepareAccept(request, sqe);
    case IORING_OP_POLL_ADD:
      return PreparePollAdd(request, sqe);
    case IORING_OP_POLL_REMOVE:
      return PreparePollRemove(request, sqe);
    case IORING_OP_TIMEOUT:
    case IORING_OP_LINK_TIMEOUT:
      return PrepareTimeout(ring, request, sqe);
    case IORING_OP_TIMEOUT_REMOVE:
      return PrepareTimeoutRemove(request, sqe);
    case IORING_OP_ASYNC_CANCEL:
      return PrepareCancel(request, sqe);
    case IORING_OP_CLOSE:
      return PrepareClose(request, sqe);
    case kOpPipe:
      return PreparePipe(request, sqe);
    case IORING_OP_SOCKET:
      return PrepareSocket(request, sqe);
    case IORING_OP_CONNECT:
    case kOpBind:
      return PrepareAddress(request, sqe);
    case kOpListen:
      return PrepareListen(request, sqe);
    case IORING_OP_FILES_UPDATE:
      return PrepareFilesUpdate(request, sqe);
    case IORING_OP_SHUTDOWN:
      return PrepareShutdown(request, sqe);
    case IORING_OP_MSG_RING:
      return PrepareMessage(request, sqe);
    default:
      StopUnknown("opcode", sqe.opcode);
  }
}

}  // namespace orrery::model
