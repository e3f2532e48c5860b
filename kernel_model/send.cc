// SEND and SENDMSG, copying or not, and WRITE and WRITEV on streams.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

bool IsWrite(const Request& request) {
  return request.opcode == IORING_OP_WRITE || request.opcode == IORING_OP_WRITEV ||
         request.opcode == IORING_OP_WRITE_FIXED || request.opcode == kOpWritevFixed;
}

}  // namespace

// Fact T8: sends never raise SIGPIPE here, writes do.
Attempt Broken(RingCore& ring, const Request& request, int64_t error) {
  Machine& machine = ring.machine;
  if (error == -EPIPE && IsWrite(request)) ++machine.broken_pipes;
  if (error == -EPIPE && IsWrite(request) && !machine.handles_broken_pipes) {
    machine.Violate("sigpipe", "user data " + std::to_string(request.user_data) +
                                   ": a write to a broken stream ends the process");
  }
  return Attempt::Done(request.done_bytes > 0 ? static_cast<int64_t>(request.done_bytes) : error);
}

namespace {

// Fact D8: buffers are taken before the socket is looked at, and are the program's again whatever
// the send ends with. Fact D7: a bundle takes all there are.
bool SelectBuffers(RingCore& ring, Request& request) {
  BufferGroup* const group = ring.FindGroup(request.buffer_group);
  if (group == nullptr || group->empty()) return false;
  if (group->incremental()) StopUnknown("sending incremental buffers, group", group->group());
  request.iovecs.clear();
  request.total_bytes = request.done_bytes = request.cursor_index = request.cursor_offset = 0;
  size_t left = request.length == 0 ? SIZE_MAX : request.length;
  do {
    const uint32_t whole = group->front().length;
    const size_t bytes = std::min<size_t>(whole, left);
    // A length counts in whole buffers, but cuts the first.
    if (!request.iovecs.empty() && bytes < whole) break;
    const HandedBuffer taken = group->TakeToSend();
    if (request.iovecs.empty()) request.held_flags = taken.flags;
    request.iovecs.push_back({.iov_base = taken.address, .iov_len = bytes});
    request.total_bytes += bytes;
    left -= bytes;
  } while (request.bundle && !group->empty() && left > 0 &&
           request.iovecs.size() < kBundleBuffersMax);
  return true;
}

// Whether a bundle that has been sent is followed by another one.
bool GoesOn(RingCore& ring, const Request& request) {
  if (!request.bundle || request.guarded) return false;
  const BufferGroup* const group = ring.FindGroup(request.buffer_group);
  return group != nullptr && !group->empty();
}

Attempt SendToStream(RingCore& ring, Request& request) {
  Tcp& tcp = ring.machine.tcp;
  Connection& connection = *request.file->connection;
  const size_t wanted = request.total_bytes - request.done_bytes;
  const int64_t sent = tcp.BeginSend(connection, wanted, &request);
  if (sent == -EAGAIN) return Attempt::Wait();
  if (sent < 0) return Broken(ring, request, sent);
  if (Faults(request, static_cast<size_t>(sent))) {
    return Attempt::Done(request.done_bytes > 0 ? static_cast<int64_t>(request.done_bytes)
                                                : -EFAULT);
  }
  ForEachPiece(request, static_cast<size_t>(sent), [&](const std::byte* address, size_t count) {
    tcp.Send(connection, address, count);
  });
  tcp.FinishSend(connection, static_cast<size_t>(sent));
  // Fact T1: a short result is normal; T2: unless all was asked for.
  if (request.wait_all && request.done_bytes < request.total_bytes) return Attempt::Wait();
  return Attempt::Done(static_cast<int64_t>(request.done_bytes));
}

}  // namespace

Attempt TrySend(RingCore& ring, Request& request) {
  if (request.file->kind == FileKind::kListener || request.file->kind == FileKind::kSocket) {
    return Broken(ring, request, -EPIPE);
  }
  if (!IsSocket(*request.file)) return Attempt::Done(-ENOTSOCK);
  if (IsWrite(request) && request.offset != 0 && request.offset != ~uint64_t{0}) {
    return Attempt::Done(-ESPIPE);
  }
  const bool is_datagram = request.file->kind == FileKind::kDatagram;
  if (is_datagram && request.bundle) StopUnknown("bundles of datagrams, opcode", request.opcode);
  for (;;) {
    if (request.buffer_select && request.held_flags == 0 && !SelectBuffers(ring, request)) {
      return Attempt::Done(-ENOBUFS);
    }
    if (is_datagram) return TrySendDatagram(ring, request);
    const Attempt attempt = SendToStream(ring, request);
    const bool done = attempt.kind == Attempt::Kind::kDone && attempt.result > 0;
    if (!done || !GoesOn(ring, request) ||
        !ring.PostMore(request, attempt.result, request.held_flags)) {
      return attempt;
    }
    request.held_flags = 0;
    request.length = 0;  // It counted for the first one only.
  }
}

}  // namespace orrery::model
