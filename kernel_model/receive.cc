// RECV in all its forms, and READ, READV and READ_MULTISHOT on streams.
#include <cerrno>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// Fact M9: in one run a multishot posts the first CQE and this many more.
constexpr uint32_t kMultishotRetriesMax = 32;  // MULTISHOT_MAX_RETRY

// Fact D2: what one bundle fills at most. (The kernel's first of a request is one more.)
constexpr size_t kBundleBuffersMax = 256;  // PEEK_MAX_IMPORT

constexpr uint32_t kBufferMore = 1U << 4;  // IORING_CQE_F_BUF_MORE

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
Attempt ReceiveIntoBuffer(RingCore& ring, Request& request, Connection& connection,
                          BufferGroup& group) {
  const BufferGroup::Buffer buffer = group.front();
  const bool capped = request.length != 0 && request.length < buffer.length;
  const uint32_t length = capped ? request.length : buffer.length;
  group.Open();
  const int64_t received = ring.machine.tcp.Receive(connection, buffer.address, length);
  if (received <= 0) {
    group.PutBack();  // Fact B4.
    return received == -EAGAIN ? Attempt::Wait() : Attempt::Done(received);
  }
  ring.machine.Emit(EventKind::kReceived, connection.number, received);
  const HandedBuffer handed = group.HandOver(static_cast<size_t>(received));
  if (request.wait_all && received < length) {
    // Fact B8: the buffer is the request's from the first byte on.
    if (group.incremental())
      StopUnknown("MSG_WAITALL with incremental buffers, group", group.group());
    request.held_flags = handed.flags;
    request.buffer_select = false;
    request.iovecs.assign(1, {.iov_base = buffer.address, .iov_len = length});
    request.total_bytes = length;
    request.done_bytes = request.cursor_offset = static_cast<size_t>(received);
    return Attempt::Wait();
  }
  request.total_bytes = length;
  return Attempt::Done(received, handed.flags, handed);
}

// How many buffers a bundle may fill with what is there.
size_t BundleBuffers(const Request& request, const Connection& connection,
                     const BufferGroup& group) {
  size_t bytes = 0;
  size_t count = 0;
  while (count < std::min(group.owned(), kBundleBuffersMax) && bytes < connection.arrived) {
    bytes += group.At(count).length;
    // Fact D4: only whole buffers below the cap, but one at least.
    if (count > 0 && request.length != 0 && bytes > request.length) break;
    ++count;
  }
  return count;
}

// Fact D1: one CQE for as many buffers as are filled; its id is the first one's.
Attempt ReceiveBundle(RingCore& ring, Request& request, Connection& connection,
                      BufferGroup& group) {
  const size_t possible = BundleBuffers(request, connection, group);
  Attempt whole = ReceiveIntoBuffer(ring, request, connection, group);
  if (whole.kind != Attempt::Kind::kDone || whole.result <= 0) return whole;
  const uint64_t fewer = ring.machine.Choose(Site::kBundleShort, connection.number, possible);
  const size_t count = fewer == 0 ? possible : fewer;
  for (size_t index = 1; index < count; ++index) {
    const Attempt next = ReceiveIntoBuffer(ring, request, connection, group);
    whole.result += next.result;
    // Fact I4: whether room is left is said of the last one.
    whole.flags = (whole.flags & ~kBufferMore) | (next.flags & kBufferMore);
  }
  return whole;
}

Attempt ReceiveIntoGroup(RingCore& ring, Request& request, Connection& connection) {
  BufferGroup* const group = ring.FindGroup(request.buffer_group);
  if (group == nullptr || group->empty()) {  // Fact B3.
    const bool dropped = ring.machine.options.defect == Defect::kDropEnobufs && request.multishot;
    return dropped ? Attempt::Wait() : Attempt::Done(-ENOBUFS);
  }
  Attempt attempt = request.bundle ? ReceiveBundle(ring, request, connection, *group)
                                   : ReceiveIntoBuffer(ring, request, connection, *group);
  const bool hints = attempt.kind == Attempt::Kind::kDone && attempt.result >= 0;
  if (hints && request.opcode == IORING_OP_RECV) {
    if (Bystander* const bystander = ring.machine.bystander) {
      bystander->AfterReceive(ring.number, request.user_data, static_cast<size_t>(attempt.result));
    }
    attempt.flags |= NotEmptyFlag(ring, connection, attempt.result);
  }
  return attempt;
}

// Whether a multishot is over with the bytes that it has just received.
bool IsOver(RingCore& ring, Request& request, const Connection& connection, int32_t received) {
  request.total_received += static_cast<uint64_t>(received);
  if (request.total_limit != 0 && request.total_received >= request.total_limit) return true;
  if (!request.bundle) return false;
  const bool empty = ring.FindGroup(request.buffer_group)->empty();  // Fact D3.
  return empty != (ring.machine.Choose(Site::kBundleEnds, connection.number, 2) != 0);
}

}  // namespace

Attempt TryReceive(RingCore& ring, Request& request) {
  if (request.file->kind == FileKind::kListener || request.file->kind == FileKind::kSocket) {
    return Attempt::Done(-ENOTCONN);
  }
  if (request.file->kind != FileKind::kStream) return Attempt::Done(-ENOTSOCK);
  Connection& connection = *request.file->connection;
  const bool is_recv = request.opcode == IORING_OP_RECV;
  if (!is_recv && request.offset != 0 && request.offset != ~uint64_t{0}) {
    return Attempt::Done(-ESPIPE);  // Fact R11.
  }
  if (!request.buffer_select) return ReceiveOnce(ring, request, connection);
  for (;;) {
    const Attempt attempt = ReceiveIntoGroup(ring, request, connection);
    const bool goes_on = request.multishot && attempt.kind == Attempt::Kind::kDone &&
                         attempt.result > 0 && !IsOver(ring, request, connection, attempt.result) &&
                         ring.PostMore(request, attempt.result, attempt.flags, attempt.buffer);
    if (!goes_on) return attempt;
    // Fact M3: only what is known to be there is tried for; fact M7: an end that is known is. At
    // submission, one that is no FIN is found when it comes to wait, and goes through task work.
    const bool waited = request.state == RequestState::kArmed;
    const bool ended = waited && (connection.reset_arrived || connection.read_shut);
    if (!Tcp::NotEmpty(connection) && !ended) return Attempt::Wait();
    // READ_MULTISHOT leaves what is more to its wake-ups, and they take it one by one.
    if (!is_recv && request.state != RequestState::kArmed) return Attempt::Wait();
    if (is_recv && request.multishot_loops++ >= kMultishotRetriesMax) {
      request.multishot_loops = 0;
      return Attempt::Requeue();
    }
  }
}

}  // namespace orrery::model
