// The operations: how SQEs are read, and what one attempt at each does. One file per family.
// Private to kernel_model.
#pragma once

#include <liburing.h>

#include "kernel_model/ring_core.h"

namespace orrery::model {

// Reads the SQE into the request, as the kernel's prep functions do: 0, or -errno of a prep-time
// error. What the model does not know ends the run. prepare.cc
int32_t Prepare(RingCore& ring, Request& request, const io_uring_sqe& sqe);
// Whether the operation works on a file named by sqe->fd from its first attempt on.
bool NeedsFile(const Request& request);

inline constexpr uint32_t kOpcodes = 63;            // IORING_OP_LAST of 6.18, fact S9.
inline constexpr unsigned kUnknownFlags = 1U << 7;  // Of an SQE, to 6.18.
inline constexpr uint32_t kRwfNowait = 8;           // RWF_NOWAIT
// Not in the headers of liburing 2.3.
inline constexpr uint8_t kOpReadMultishot = 49;
inline constexpr uint8_t kOpReadvFixed = 60;
inline constexpr uint8_t kOpWritevFixed = 61;

// Fact D2: what one bundle takes at most. (The kernel's first of a receive is one more.)
inline constexpr size_t kBundleBuffersMax = 256;  // PEEK_MAX_IMPORT

// receive.cc: RECV and RECVMSG; READ, READV and READ_MULTISHOT on a stream.
Attempt TryReceive(RingCore& ring, Request& request);
// What a read into a group may take at most, or 0; and that it has chosen a buffer for so much, and
// came to wait. Fact B14: the kernel has both in one word, that of the SQE. Of pipe.cc, too.
uint32_t AskedFor(const Request& request);
void NoteChosen(Request& request, size_t bytes);
// send.cc: SEND, SENDMSG and their zero-copy forms; WRITE and WRITEV on a stream.
Attempt TrySend(RingCore& ring, Request& request);
// datagram.cc: the same on a datagram socket.
Attempt TrySendDatagram(RingCore& ring, Request& request);
// accept.cc: ACCEPT.
Attempt TryAccept(RingCore& ring, Request& request);
// send.cc: what a send or a write to nobody ends with, or -errno; a write raises SIGPIPE.
Attempt Broken(RingCore& ring, const Request& request, int64_t error);
// pipe.cc: PIPE; READ, READV, READ_MULTISHOT, WRITE and WRITEV on one.
inline constexpr uint8_t kOpPipe = 62;
Attempt TryPipe(RingCore& ring, Request& request);
Attempt TryPipeTransfer(RingCore& ring, Request& request);
// event_fd.cc: reading and writing an eventfd.
Attempt TryEventFdRead(RingCore& ring, Request& request);
Attempt TryEventFdReadMultishot(RingCore& ring, Request& request);
Attempt TryEventFdWrite(RingCore& ring, Request& request);
// Adds 1, as somebody else does who does not wait: nothing happens when it is full.
void AddToEventFd(Machine& machine, OpenFile& file);
// poll.cc
Attempt TryPollAdd(RingCore& ring, Request& request);
Attempt TryPollRemove(RingCore& ring, Request& request);
// timeout.cc
Attempt TryTimeout(RingCore& ring, Request& request);
Attempt TryTimeoutRemove(RingCore& ring, Request& request);
// Posts a CQE of a multishot timeout and starts it again. False when it has to end.
bool RepeatTimeout(RingCore& ring, Request& request);
// The moment that a timeout asks for, as of now.
Nanoseconds DueOf(const RingCore& ring, const Request& request);
// cancel.cc
Attempt TryCancel(RingCore& ring, Request& request);
// What a linked timeout does to the one that it guards: 0, or -errno.
int32_t CancelByUserData(RingCore& ring, uint64_t user_data);
// Flags that the headers of liburing 2.3 do not have.
inline constexpr uint32_t kCancelUserData = 1U << 4;
inline constexpr uint32_t kCancelOpcode = 1U << 5;
inline constexpr uint32_t kCancelFlags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD |
                                         IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD_FIXED |
                                         kCancelUserData | kCancelOpcode;
// close.cc: CLOSE, SHUTDOWN.
Attempt TryClose(RingCore& ring, Request& request);
Attempt TryShutdown(RingCore& ring, Request& request);
// Writes an address of this host as the kernel does: cut to the room there is, and its whole length
// told. Nothing for null. 0 or -errno. Of accept.cc, too.
int32_t TellAddress(uint16_t port, sockaddr* address, socklen_t* bytes);
// accept.cc: a port as an address: all there are are on loopback.
sockaddr_in AddressOf(uint16_t port);
// socket.cc: SOCKET, BIND, LISTEN, CONNECT.
inline constexpr uint8_t kOpBind = 56;
inline constexpr uint8_t kOpListen = 57;
// The port of an address that was given: 0, or -errno.
int32_t PortOf(const Request& request, uint16_t* port);
Attempt TrySocket(RingCore& ring, Request& request);
Attempt TryBind(RingCore& ring, Request& request);
Attempt TryListen(RingCore& ring, Request& request);
Attempt TryConnect(RingCore& ring, Request& request);
// msg_ring.cc: MSG_RING.
int32_t PrepareMessage(Request& request, const io_uring_sqe& sqe);
Attempt TryMessage(RingCore& ring, Request& request);
// Without a ring, as IORING_REGISTER_SEND_MSG_RING does: 0, or -errno.
int32_t SendMessageFromNowhere(const Machine& machine, const io_uring_sqe& sqe);
// fixed_buffers.cc: whether a request's memory is what it says it is; true for those that say
// nothing.
bool ImportFixedBuffer(RingCore& ring, Request& request);
// fixed_files.cc: FILES_UPDATE.
Attempt TryFilesUpdate(RingCore& ring, Request& request);
// The worker's part of a SHUTDOWN.
void FinishShutdown(RingCore& ring, Request& request);

// file_io.cc: READ, READV, WRITE, WRITEV, FSYNC, FALLOCATE and FTRUNCATE of files. The first part
// refuses, does it at once, or hands it to a worker or to the disk; the second is theirs.
Attempt TryFileTransfer(RingCore& ring, Request& request);
void FinishFileOperation(RingCore& ring, Request& request);
bool IsFileOperation(uint8_t opcode);
int32_t PrepareFileOperation(Request& request, const io_uring_sqe& sqe);
// file_names.cc: OPENAT, STATX, UNLINKAT, RENAMEAT, MKDIRAT.
Attempt TryNameOperation(RingCore& ring, Request& request);
void FinishNameOperation(RingCore& ring, Request& request);
bool IsNameOperation(uint8_t opcode);
int32_t PrepareNameOperation(Request& request, const io_uring_sqe& sqe);

// Whether a transfer of so many bytes, from the cursor on, is a fault (facts T10, R16).
bool Faults(const Request& request, size_t bytes);

// Moves the cursor over a request's memory; `visit(address, count)` for each piece of `bytes` bytes
// from it on.
template <typename Visit>
void ForEachPiece(Request& request, size_t bytes, Visit visit) {
  request.done_bytes += bytes;
  while (bytes > 0) {
    const iovec& part = request.iovecs[request.cursor_index];
    const size_t left = part.iov_len - request.cursor_offset;
    const size_t count = bytes < left ? bytes : left;
    if (count > 0) visit(static_cast<std::byte*>(part.iov_base) + request.cursor_offset, count);
    bytes -= count;
    request.cursor_offset += count;
    if (request.cursor_offset == part.iov_len) {
      ++request.cursor_index;
      request.cursor_offset = 0;
    }
  }
}

}  // namespace orrery::model
