// RECV in its three forms, and READ and READV on streams.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// Fact M9: in one run a multishot posts the first CQE and this many more.
constexpr uint32_t kMultishotRetriesMax = 32;  // MULTISHOT_MAX_RETRY

uint32_t NotEmptyFlag(RingCore& ring, const Connection& connection, int64_t received) {
  if (!Tcp::NotEmpty(connection)) return 0;
  // A hint: what is there may just as well have come a moment later. Not so the end itself.
  const bool dropped =
      received > 0 && ring.machine.Choose(Site::kNotEmptyHint, connection.number, 2) != 0;
  return dropped ? 0 : IORING_CQE_F_SOCK_NONEMPTY;
}

int64_t ReceiveIntoIovecs(Machine& machine, Request& request, Connection& connection) {
  const size_t wanted = request.total_bytes - request.done_bytes;
  if (wanted == 0 || connection.arrived == 0) {
    return machine.tcp.Receive(connection, nullptr, wanted);
  }
  const size_t bytes = std::min(wanted, connection.arrived);
  ForEachPiece(request, bytes, [&](std::byte* address, size_t count) {
    machine.tcp.Receive(connection, address, count);
  });
  request.done_bytes -= bytes;  // The caller counts.
  return static_cast<int64_t>(bytes);
}

Attempt ReceiveOnce(RingCore& ring, Request& request, Connection& connection) {
  const int64_t received = ReceiveIntoIovecs(ring.machine, request, connection);
  if (received == -EAGAIN) return Attempt::Wait();
  if (received > 0) {
    ring.machine.Emit(EventKind::kReceived, connection.number, received);
    request.done_bytes += static_cast<size_t>(received);
    // Fact R5: the rest comes with later wake-ups.
    if (request.wait_all && request.done_bytes < request.total_bytes) return Attempt::Wait();
  }
  const int64_t result =
      request.done_bytes > 0 ? static_cast<int64_t>(request.done_bytes) : received;
  const bool is_recv = request.opcode == IORING_OP_RECV;
  const uint32_t flags = is_recv && received >= 0 ? NotEmptyFlag(ring, connection, received) : 0;
  return Attempt::Done(result, flags);
}

// One receive into the next buffer of the group. kDone also while a multishot goes on.
Attempt ReceiveIntoGroup(RingCore& ring, Request& request, Connection& connection) {
  BufferGroup* const group = ring.FindGroup(request.buffer_group);
  if (group == nullptr || group->empty()) {  // Fact B3.
    const bool dropped = ring.machine.options.defect == Defect::kDropEnobufs && request.multishot;
    return dropped ? Attempt::Wait() : Attempt::Done(-ENOBUFS);
  }
  const BufferGroup::Buffer buffer = group->front();
  const bool capped = request.length != 0 && request.length < buffer.length;
  const uint32_t length = capped ? request.length : buffer.length;
  group->Open();
  const int64_t received = ring.machine.tcp.Receive(connection, buffer.address, length);
  if (received <= 0) {
    group->PutBack();  // Fact B4.
    if (received == -EAGAIN) return Attempt::Wait();
    return Attempt::Done(received, received == 0 ? NotEmptyFlag(ring, connection, 0) : 0);
  }
  ring.machine.Emit(EventKind::kReceived, connection.number, received);
  const HandedBuffer handed = group->HandOver();
  const uint32_t id = uint32_t{buffer.id} << IORING_CQE_BUFFER_SHIFT;
  return Attempt::Done(received,
                       NotEmptyFlag(ring, connection, received) | IORING_CQE_F_BUFFER | id, handed);
}

}  // namespace

Attempt TryReceive(RingCore& ring, Request& request) {
  if (request.file->kind == FileKind::kListener) return Attempt::Done(-ENOTCONN);
  if (request.file->kind != FileKind::kStream) return Attempt::Done(-ENOTSOCK);
  Connection& connection = *request.file->connection;
  if (request.opcode != IORING_OP_RECV && request.offset != 0 && request.offset != ~uint64_t{0}) {
    return Attempt::Done(-ESPIPE);  // Fact R11.
  }
  if (!request.buffer_select) return ReceiveOnce(ring, request, connection);
  for (;;) {
    const Attempt attempt = ReceiveIntoGroup(ring, request, connection);
    const bool goes_on = request.multishot && attempt.kind == Attempt::Kind::kDone &&
                         attempt.result > 0 &&
                         ring.PostMore(request, attempt.result, attempt.flags, attempt.buffer);
    if (!goes_on) return attempt;
    // Fact M3: only what is known to be there is tried for; fact M7: an end that is known is. At
    // submission, one that is no FIN is found when it comes to wait, and goes through task work.
    const bool waited = request.state == RequestState::kArmed;
    const bool ended = waited && (connection.reset_arrived || connection.read_shut);
    if (!Tcp::NotEmpty(connection) && !ended) return Attempt::Wait();
    if (request.multishot_loops++ >= kMultishotRetriesMax) {
      request.multishot_loops = 0;
      return Attempt::Requeue();
    }
  }
}

}  // namespace orrery::model
