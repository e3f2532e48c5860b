// SEND and SENDMSG, copying or not, and WRITE and WRITEV on streams.
#include <cerrno>
#include <string>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

bool IsWrite(const Request& request) {
  return request.opcode == IORING_OP_WRITE || request.opcode == IORING_OP_WRITEV ||
         request.opcode == IORING_OP_WRITE_FIXED;
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

Attempt TrySend(RingCore& ring, Request& request) {
  if (request.file->kind == FileKind::kListener || request.file->kind == FileKind::kSocket) {
    return Broken(ring, request, -EPIPE);
  }
  if (!IsSocket(*request.file)) return Attempt::Done(-ENOTSOCK);
  if (IsWrite(request) && request.offset != 0 && request.offset != ~uint64_t{0}) {
    return Attempt::Done(-ESPIPE);
  }
  if (request.file->kind == FileKind::kDatagram) return TrySendDatagram(ring, request);
  Tcp& tcp = ring.machine.tcp;
  Connection& connection = *request.file->connection;
  const size_t wanted = request.total_bytes - request.done_bytes;
  const int64_t sent = tcp.BeginSend(connection, wanted, &request);
  if (sent == -EAGAIN) return Attempt::Wait();
  if (sent < 0) return Broken(ring, request, sent);
  ForEachPiece(request, static_cast<size_t>(sent), [&](const std::byte* address, size_t count) {
    tcp.Send(connection, address, count);
  });
  tcp.FinishSend(connection, static_cast<size_t>(sent));
  // Fact T1: a short result is normal; T2: unless all was asked for.
  if (request.wait_all && request.done_bytes < request.total_bytes) return Attempt::Wait();
  return Attempt::Done(static_cast<int64_t>(request.done_bytes));
}

}  // namespace orrery::model
