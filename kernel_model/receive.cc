// RECV and RECVMSG in all their forms, and READ, READV and READ_MULTISHOT on sockets.
#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "kernel_model/memory_guard.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// Fact M9: in one run a multishot posts the first CQE and this many more.
constexpr uint32_t kMultishotRetriesMax = 32;  // MULTISHOT_MAX_RETRY

constexpr uint32_t kBufferMore = 1U << 4;  // IORING_CQE_F_BUF_MORE

// What one call of a socket's receive function gave.
struct Taken {
  int64_t bytes = 0;  // Or -errno; EAGAIN: wait.
  uint32_t message_flags = 0;
  uint16_t from = 0;  // The port of a datagram's sender; 0: nobody is named.
};

bool IsDatagram(const Request& request) { return request.file->kind == FileKind::kDatagram; }

// READs do not tell whether more is there.
bool IsReceive(const Request& request) {
  return request.opcode == IORING_OP_RECV || request.opcode == IORING_OP_RECVMSG;
}

uint32_t NotEmptyFlag(RingCore& ring, const Request& request, int64_t received) {
  if (IsDatagram(request) || !Tcp::NotEmpty(*request.file->connection)) return 0;
  // A hint: what is there may just as well have come a moment later. Not so the end itself.
  const uint64_t entity = request.file->connection->number;
  const bool dropped = received > 0 && ring.machine.Choose(Site::kNotEmptyHint, entity, 2) != 0;
  return dropped ? 0 : IORING_CQE_F_SOCK_NONEMPTY;
}

// Takes at most `room` bytes; `each(copy)` calls copy(address, count) for each piece of memory in
// turn, until it has as many bytes as it was told.
template <typename Each>
Taken TakeFromStream(Machine& machine, const Request& request, size_t room, Each each) {
  Connection& connection = *request.file->connection;
  if (room == 0 || connection.arrived == 0) {
    return {.bytes = machine.tcp.Receive(connection, nullptr, room)};
  }
  const size_t bytes = std::min(room, connection.arrived);
  if (Faults(request, bytes)) return {.bytes = -EFAULT};
  size_t seen = 0;
  each(bytes, [&](std::byte* address, size_t count) {
    if (request.peek) {
      connection.inbound.Copy(seen, address, count);
      seen += count;
    } else {
      machine.tcp.Receive(connection, address, count);
    }
  });
  return {.bytes = static_cast<int64_t>(bytes)};
}

template <typename Each>
Taken TakeDatagram(Machine& machine, const Request& request, size_t room, Each each) {
  DatagramSocket& socket = *request.file->datagrams;
  // Fact E8: an error comes first. Fact E11: only who tries no more is told of a shutdown.
  if (socket.pending_error != 0) return {.bytes = -std::exchange(socket.pending_error, 0)};
  const bool blocks = request.began_on_worker || request.arms >= kArmsMax;
  const bool over = socket.read_shut && !request.multishot && blocks;
  if (socket.queue.empty()) return {.bytes = over ? 0 : -EAGAIN};
  const StoredDatagram& datagram = socket.queue.front();
  const size_t bytes = std::min(room, datagram.bytes.size());
  if (Faults(request, bytes)) {
    machine.datagrams.Pop(socket);
    return {.bytes = -EFAULT};
  }
  size_t copied = 0;
  each(bytes, [&](std::byte* address, size_t count) {
    // An empty datagram, or an empty piece, may have no memory at all.
    if (count > 0) std::memcpy(address, datagram.bytes.data() + copied, count);
    copied += count;
  });
  // Fact E1: what does not fit is gone.
  const Taken taken{.bytes = static_cast<int64_t>(bytes),
                    .message_flags = bytes < datagram.bytes.size() ? uint32_t{MSG_TRUNC} : 0,
                    .from = datagram.from};
  if (!request.peek) machine.datagrams.Pop(socket);
  return taken;
}

template <typename Each>
Taken Take(Machine& machine, const Request& request, size_t room, Each each) {
  const Taken taken = IsDatagram(request) ? TakeDatagram(machine, request, room, each)
                                          : TakeFromStream(machine, request, room, each);
  if (taken.bytes > 0) machine.Emit(EventKind::kReceived, request.file->number, taken.bytes);
  return taken;
}

Taken TakeIntoIovecs(Machine& machine, Request& request) {
  const size_t done = request.done_bytes;
  const Taken taken = Take(machine, request, request.total_bytes - done,
                           [&](size_t bytes, auto copy) { ForEachPiece(request, bytes, copy); });
  request.done_bytes = done;  // The caller counts.
  return taken;
}

Taken TakeIntoMemory(Machine& machine, const Request& request, std::byte* memory, size_t room) {
  return Take(machine, request, room, [&](size_t bytes, auto copy) { copy(memory, bytes); });
}

// As ____sys_recvmsg() does: in the program's header, which has to be there still (fact U8).
void WriteMessageHeader(const Request& request, const Taken& taken) {
  if (request.message == nullptr || request.multishot || taken.bytes < 0) return;
  msghdr& message = *request.message;
  if (message.msg_name != nullptr) {
    const sockaddr_in name = AddressOf(taken.from);
    const socklen_t bytes = taken.from != 0 ? sizeof name : 0;
    std::memcpy(message.msg_name, &name, std::min(message.msg_namelen, bytes));
    message.msg_namelen = bytes;
  }
  message.msg_flags = static_cast<int>(taken.message_flags);
  message.msg_controllen = 0;
}

// Fact R14: what a multishot puts before the payload, with a name cut to the room for it.
size_t HeaderBytes(const Request& request) {
  if (request.message == nullptr || !request.multishot) return 0;
  return sizeof(io_uring_recvmsg_out) + request.name_bytes + request.control_bytes;
}

void WriteBufferHeader(const Request& request, const Taken& taken, std::byte* memory) {
  const sockaddr_in name = AddressOf(taken.from);
  const size_t name_bytes = taken.from != 0 ? sizeof name : 0;
  const io_uring_recvmsg_out header{.namelen = static_cast<uint32_t>(name_bytes),
                                    .controllen = 0,
                                    .payloadlen = static_cast<uint32_t>(taken.bytes),
                                    .flags = taken.message_flags};
  std::memcpy(memory, &header, sizeof header);
  std::memcpy(memory + sizeof header, &name, std::min(request.name_bytes, name_bytes));
}

// A result of all that was asked for breaks a chain even so, when it was cut.
void NoteCut(Request& request, const Taken& taken) {
  if (request.wait_all && taken.message_flags != 0) request.failed = true;
}

Attempt ReceiveOnce(RingCore& ring, Request& request) {
  const Taken taken = TakeIntoIovecs(ring.machine, request);
  if (taken.bytes == -EAGAIN) return Attempt::Wait();
  WriteMessageHeader(request, taken);
  NoteCut(request, taken);
  if (taken.bytes > 0) {
    request.done_bytes += static_cast<size_t>(taken.bytes);
    // Fact R5: the rest comes with later wake-ups.
    const bool rest = request.wait_all && request.done_bytes < request.total_bytes;
    if (rest && !IsDatagram(request)) return Attempt::Wait();
  }
  const int64_t result =
      request.done_bytes > 0 ? static_cast<int64_t>(request.done_bytes) : taken.bytes;
  const bool hints = IsReceive(request) && taken.bytes >= 0;
  return Attempt::Done(result, hints ? NotEmptyFlag(ring, request, taken.bytes) : 0);
}

// The next buffer of the group, which is open, becomes the request's own.
void HoldBuffer(Request& request, BufferGroup& group, uint32_t length, size_t received) {
  if (group.incremental()) {
    StopUnknown("incremental buffers that are held, group", group.group());
  }
  const HandedBuffer handed = group.HandOver(received);
  request.held_flags = handed.flags;
  request.buffer_select = false;
  request.iovecs.assign(1, {.iov_base = handed.address, .iov_len = length});
  request.total_bytes = length;
  request.done_bytes = request.cursor_offset = received;
}

// Fact B10: bytes cannot be had, and stay; anything else is as with memory.
Attempt ReceiveNowhere(RingCore& ring, Request& request, size_t length) {
  const bool there = IsDatagram(request) ? !request.file->datagrams->queue.empty()
                                         : request.file->connection->arrived > 0;
  if (there && length > 0) return Attempt::Done(-EFAULT);
  const Taken taken = TakeIntoMemory(ring.machine, request, nullptr, length);
  return taken.bytes == -EAGAIN ? Attempt::Wait() : Attempt::Done(taken.bytes);
}

// One receive into the next buffer of the group. kDone also while a multishot goes on.
// `cap`: bytes at most; 0: what the buffer holds.
Attempt ReceiveIntoBuffer(RingCore& ring, Request& request, BufferGroup& group, size_t cap) {
  const BufferGroup::Buffer buffer = group.front();
  const bool capped = cap != 0 && cap < buffer.length;
  const uint32_t length = capped ? static_cast<uint32_t>(cap) : buffer.length;
  request.total_bytes = length;  // Fact L2: also of what ends with less, or nothing.
  const size_t header_bytes = HeaderBytes(request);
  if (length < header_bytes) return Attempt::Done(-EFAULT);
  if (request.opcode == IORING_OP_READ && group.incremental()) {
    StopUnknown("incremental buffers with a read, group", group.group());
  }
  if (buffer.address == nullptr) return Attempt::Done(-ENOBUFS);
  if (IsNowhere(buffer.address)) return ReceiveNowhere(ring, request, length);
  group.Open();
  const Taken taken =
      TakeIntoMemory(ring.machine, request, buffer.address + header_bytes, length - header_bytes);
  if (taken.bytes < 0 || (taken.bytes == 0 && header_bytes == 0)) {
    if (taken.bytes == -EAGAIN && request.began_on_worker) {
      HoldBuffer(request, group, length, 0);  // Fact B6.
      return Attempt::Wait();
    }
    // Facts B6, B13.
    if (request.began_on_worker || (taken.bytes == 0 && request.opcode == IORING_OP_READ)) {
      if (group.incremental()) {
        StopUnknown("incremental buffers that are taken for nothing, group", group.group());
      }
      const HandedBuffer whole = group.HandOver(0);
      return Attempt::Done(taken.bytes, whole.flags, whole);
    }
    group.PutBack();  // Fact B4.
    if (taken.bytes == 0) WriteMessageHeader(request, taken);
    return taken.bytes == -EAGAIN ? Attempt::Wait() : Attempt::Done(taken.bytes);
  }
  WriteMessageHeader(request, taken);
  NoteCut(request, taken);
  if (header_bytes > 0) WriteBufferHeader(request, taken, buffer.address);
  const auto received = static_cast<int64_t>(header_bytes) + taken.bytes;
  if (request.wait_all && received < length && !IsDatagram(request)) {
    // Fact B8: the buffer is the request's from the first byte on.
    HoldBuffer(request, group, length, static_cast<size_t>(received));
    return Attempt::Wait();
  }
  const HandedBuffer handed = group.HandOver(static_cast<size_t>(received));
  Attempt attempt = Attempt::Done(received, handed.flags, handed);
  attempt.last = taken.bytes == 0;
  return attempt;
}

// What the kernel says of a stream that it has just read: bytes left, and one more for a FIN.
size_t Left(const Connection& connection) {
  return connection.arrived + (connection.fin_arrived ? 1 : 0);
}

// The buffers that a bundle takes in one go, as io_ring_buffers_peek() lists them.
struct Peeked {
  size_t count = 0;
  size_t bytes = 0;
  bool partial = false;  // The cap ends inside of one.
};

Peeked PeekBuffers(RingCore& ring, Request& request, const Connection& connection,
                   const BufferGroup& group, size_t cap) {
  Peeked peeked;
  size_t most = group.owned();
  if (cap == 0) {
    // Nobody knows how much there is: as many as the request, or one before it, had room to list.
    const uint64_t listed = ring.machine.Choose(Site::kBundleShort, connection.number, most + 1);
    most = std::min(most, listed == 0 ? request.bundle_room : static_cast<size_t>(listed));
  } else {
    const size_t first = group.front().length;
    most = std::min({most, (cap + first - 1) / first, kBundleBuffersMax});
    request.bundle_room = std::max(request.bundle_room, most);
  }
  while (peeked.count < most) {
    size_t length = group.At(peeked.count).length;
    if (cap != 0 && length > cap - peeked.bytes) {
      length = cap - peeked.bytes;
      peeked.partial = !group.incremental();
      if (length == 0 || (peeked.partial && peeked.count > 0)) break;  // Fact D4.
    }
    peeked.bytes += length;
    ++peeked.count;
  }
  return peeked;
}

// Fact D1: one CQE for as many buffers as are filled; its id is the first one's.
Attempt ReceiveBundle(RingCore& ring, Request& request, BufferGroup& group) {
  const Connection& connection = *request.file->connection;
  size_t cap = AskedFor(request) != 0 ? AskedFor(request) : request.known_left;
  Attempt whole = Attempt::Done(0);
  for (bool again = false;; again = true) {
    const Peeked peeked = PeekBuffers(ring, request, connection, group, cap);
    // As REQ_F_BL_EMPTY these stay, also over a wait, until a completion is posted.
    request.bundle_cut |= peeked.partial;
    const bool reaches_cap = peeked.partial || (cap != 0 && peeked.bytes == cap);
    if (peeked.count == group.owned() && !reaches_cap) request.bundle_emptied = true;
    size_t taken = 0;
    for (size_t index = 0; index < peeked.count && (index == 0 || connection.arrived > 0);
         ++index) {
      const size_t cap_left = cap == 0 ? 0 : cap - taken;
      const Attempt next = ReceiveIntoBuffer(ring, request, group, cap_left);
      if (next.kind != Attempt::Kind::kDone || next.result <= 0) {
        request.known_left = 0;
        if (peeked.count == 1) NoteChosen(request, peeked.bytes);
        return next;
      }
      taken += static_cast<size_t>(next.result);
      // Fact I4: whether room is left is said of the last one.
      if (whole.result == 0) whole = Attempt::Done(0, next.flags, next.buffer);
      whole.result += next.result;
      whole.flags = (whole.flags & ~kBufferMore) | (next.flags & kBufferMore);
    }
    const size_t left = Left(connection);
    request.known_left = left > 1 ? left : 0;
    // io_recv_finish(): once more, and it is one completion, when all of it was filled.
    const bool capped = request.multishot && request.length != 0;
    if (again || request.bundle_emptied || request.bundle_cut || capped || left <= 1 ||
        taken != peeked.bytes) {
      return whole;
    }
    if (group.empty()) {  // Fact D9: it fails, and its result is what it has.
      request.failed = request.bundle_emptied = true;
      return whole;
    }
    cap = left;
  }
}

Attempt ReceiveIntoGroup(RingCore& ring, Request& request) {
  BufferGroup* const group = ring.FindGroup(request.buffer_group);
  if (group == nullptr || group->empty()) {  // Fact B3.
    const bool dropped = ring.machine.options.defect == Defect::kDropEnobufs && request.multishot;
    return dropped ? Attempt::Wait() : Attempt::Done(-ENOBUFS);
  }
  const uint32_t asked = AskedFor(request);
  const uint32_t front = group->front().length;
  Attempt attempt = request.bundle ? ReceiveBundle(ring, request, *group)
                                   : ReceiveIntoBuffer(ring, request, *group, asked);
  if (attempt.kind == Attempt::Kind::kWait && !request.bundle) {
    NoteChosen(request, asked != 0 ? std::min(asked, front) : front);
  }
  const bool hints = attempt.kind == Attempt::Kind::kDone && attempt.result >= 0;
  if (hints && IsReceive(request)) {
    if (Bystander* const bystander = ring.machine.bystander) {
      bystander->AfterReceive(ring.number, request.user_data, static_cast<size_t>(attempt.result));
    }
    attempt.flags |= NotEmptyFlag(ring, request, attempt.last ? 0 : attempt.result);
  }
  return attempt;
}

// Whether a multishot is over with the bytes that it has just received.
bool IsOver(RingCore& ring, Request& request, int32_t received) {
  request.total_received += static_cast<uint64_t>(received);
  if (request.total_limit != 0 && request.total_received >= request.total_limit) return true;
  if (!request.bundle) return false;
  // Fact D3.
  return request.bundle_emptied !=
         (ring.machine.Choose(Site::kBundleEnds, request.file->number, 2) != 0);
}

// Whether a multishot that has just received tries again at once. Fact M3: only what is known to be
// there is tried for; fact M7: an end that is known is. At submission, one that is no FIN is found
// when it comes to wait, and goes through task work. Fact E5: of datagrams nothing is known.
bool TriesAgain(const Request& request) {
  if (IsDatagram(request)) return true;
  const Connection& connection = *request.file->connection;
  const bool waited = request.state == RequestState::kArmed;
  return Tcp::NotEmpty(connection) ||
         (waited && (connection.reset_arrived || connection.read_shut));
}

}  // namespace

uint32_t AskedFor(const Request& request) {
  return request.chosen_bytes != 0 ? request.chosen_bytes : request.length;
}

void NoteChosen(Request& request, size_t bytes) {
  if (request.opcode == IORING_OP_RECVMSG || request.opcode == kOpReadMultishot) return;
  request.chosen_bytes = static_cast<uint32_t>(bytes);
}

Attempt TryReceive(RingCore& ring, Request& request) {
  if (request.file->kind == FileKind::kListener || request.file->kind == FileKind::kSocket) {
    return Attempt::Done(-ENOTCONN);
  }
  if (!IsSocket(*request.file)) return Attempt::Done(-ENOTSOCK);
  if (IsDatagram(request) && (request.bundle || request.opcode == kOpReadMultishot)) {
    StopUnknown("bundles and READ_MULTISHOT on datagrams, opcode", request.opcode);
  }
  const bool is_receive = IsReceive(request);
  if (!is_receive && request.offset != 0 && request.offset != ~uint64_t{0}) {
    return Attempt::Done(-ESPIPE);  // Fact R11.
  }
  if (!request.buffer_select) return ReceiveOnce(ring, request);
  for (;;) {
    const Attempt attempt = ReceiveIntoGroup(ring, request);
    const bool goes_on = request.multishot && attempt.kind == Attempt::Kind::kDone &&
                         attempt.result > 0 && !attempt.last &&
                         !IsOver(ring, request, attempt.result) &&
                         ring.PostMore(request, attempt.result, attempt.flags, attempt.buffer);
    if (!goes_on) return attempt;
    request.bundle_emptied = request.bundle_cut = false;
    request.chosen_bytes = 0;
    if (!TriesAgain(request)) return Attempt::Wait();
    // READ_MULTISHOT leaves what is more to its wake-ups, and they take it one by one.
    if (!is_receive && request.state != RequestState::kArmed) return Attempt::Wait();
    if (is_receive && request.multishot_loops++ >= kMultishotRetriesMax) {
      request.multishot_loops = 0;
      return Attempt::Requeue();
    }
  }
}

}  // namespace orrery::model
