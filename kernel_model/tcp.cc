#include "kernel_model/tcp.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {
namespace {

constexpr uint16_t kPeersFirst = 49152;

// Fact Z2: the notifications of larger zero-copy sends wait for the peer.
constexpr size_t kCopiedBytesMax = 16 * kKiB;

// Between two pieces of data that were sent together.
constexpr Nanoseconds kPieceGap = kMicrosecond;

// The stream is over in both directions: TCP_CLOSE.
bool IsDead(const Connection& connection) {
  return connection.reset_arrived || (connection.fin_arrived && connection.write_shut);
}

}  // namespace

// --- Listeners

uint16_t Tcp::FindPort() {
  for (int tries = 0; tries <= UINT16_MAX - kEphemeralFirst; ++tries) {
    const uint16_t port = next_port_;
    next_port_ = port == UINT16_MAX ? kEphemeralFirst : static_cast<uint16_t>(port + 1);
    if (!listeners_.contains(port) && !bound_.contains(port)) return port;
  }
  return 0;
}

std::expected<OpenFile*, Errno> Tcp::Listen(uint16_t port, int backlog) {
  if (port == 0) port = FindPort();
  if (port == 0) return std::unexpected(Errno(EADDRINUSE));
  if (listeners_.contains(port) || bound_.contains(port)) {
    return std::unexpected(Errno(EADDRINUSE));
  }
  OpenFile& file = NewListener(backlog);
  file.listener->port = port;
  listeners_[port].push_back(&file);
  return &file;
}

OpenFile& Tcp::NewListener(int backlog) {
  OpenFile& file = machine_.NewFile(FileKind::kListener);
  file.listener = std::make_unique<Listener>();
  file.listener->backlog = std::max(backlog, 0);
  open_listeners_[file.number] = &file;
  return file;
}

OpenFile& Tcp::ListenBeside(const OpenFile& listener) {
  OpenFile& file = NewListener(listener.listener->backlog);
  file.listener->port = listener.listener->port;
  listeners_[file.listener->port].push_back(&file);
  return file;
}

std::expected<OpenFile*, Errno> Tcp::ListenUnix(const std::string& path, int backlog) {
  const auto found = socket_files_.find(path);
  if (found != socket_files_.end() && found->second != nullptr) {
    return std::unexpected(Errno(EADDRINUSE));
  }
  OpenFile& file = NewListener(backlog);
  file.listener->path = path;
  socket_files_[path] = &file;
  return &file;
}

OpenFile* Tcp::FindListener(uint16_t port) {
  const auto found = listeners_.find(port);
  if (found == listeners_.end()) return nullptr;
  std::vector<OpenFile*> open = found->second;
  std::erase_if(open, [](const OpenFile* file) { return file->listener->shut; });
  if (open.empty()) return nullptr;
  if (open.size() == 1) return open.front();
  // Fact A15. In turn, unless the choice has another one.
  const uint64_t other = machine_.Choose(Site::kListener, port, open.size());
  return open[(arrivals_++ + other) % open.size()];
}

uint16_t Tcp::FarPort(const Connection& connection) {
  if (connection.other != nullptr) return connection.other->port;
  constexpr uint64_t kPorts = UINT16_MAX + 1 - kPeersFirst;
  return static_cast<uint16_t>(kPeersFirst + connection.number % kPorts);
}

Connection* Tcp::Accept(OpenFile& listener) {
  std::deque<Connection*>& queue = listener.listener->queue;
  if (queue.empty()) return nullptr;
  Connection& connection = *queue.front();
  queue.pop_front();
  return &connection;
}

void Tcp::CloseListener(OpenFile& listener) {
  if (!listener.listener->shut) Shutdown(listener, SHUT_RD);
  open_listeners_.erase(listener.number);
  if (!listener.listener->path.empty()) {
    // Its file stays.
    const auto found = socket_files_.find(listener.listener->path);
    if (found != socket_files_.end() && found->second == &listener) found->second = nullptr;
    return;
  }
  const auto found = listeners_.find(listener.listener->port);
  std::erase(found->second, &listener);
  if (found->second.empty()) listeners_.erase(found);
}

// --- The program's end

void Tcp::ApplyOptions(const OpenFile& file) {
  for (const SocketOptionValue& set : file.options) {
    if (set.level != SOL_SOCKET || set.option != SO_RCVLOWAT) continue;
    file.connection->low_water = static_cast<size_t>(std::max(set.value, 1));
  }
}

bool Tcp::NotEmpty(const Connection& connection) {
  return connection.arrived > 0 || connection.fin_arrived;
}

int64_t Tcp::Receive(Connection& connection, std::byte* bytes, size_t count) {
  if (connection.arrived > 0) {
    const size_t taken = std::min(count, connection.arrived);
    connection.inbound.Take(bytes, taken);
    machine_.EmitBytes({bytes, taken});
    connection.arrived -= taken;
    if (connection.other != nullptr) Pump(*connection.other);
    return static_cast<int64_t>(taken);
  }
  if (connection.fin_arrived) return 0;
  if (connection.pending_error != 0) return -std::exchange(connection.pending_error, 0);
  if (connection.read_shut || connection.reset_arrived) return 0;
  return -EAGAIN;
}

size_t Tcp::SendSpace(const Connection& connection) const {
  // Whatever is sent to a peer that is gone vanishes.
  if (connection.peer_gone) return machine_.options.socket_buffer_bytes;
  const size_t used = connection.outbound.size() + connection.unacknowledged;
  ORRERY_CHECK(used <= machine_.options.socket_buffer_bytes);
  return machine_.options.socket_buffer_bytes - used;
}

int64_t Tcp::BeginSend(Connection& connection, size_t count, const Request* request) {
  if (connection.pending_error != 0) return -std::exchange(connection.pending_error, 0);
  if (connection.write_shut || connection.reset_arrived) return -EPIPE;
  if (count == 0) return 0;
  size_t fits = std::min(count, SendSpace(connection));
  if (machine_.bystander != nullptr && request != nullptr && fits > 0) {
    const size_t unread = connection.outbound.size() + connection.unacknowledged;
    const size_t room =
        machine_.bystander->SendRoom(request->ring->number, request->user_data, fits, unread);
    ORRERY_CHECK(room <= fits);
    ORRERY_CHECK(room > 0 || unread > 0);
    connection.no_room = room == 0;
    fits = room;
  }
  if (fits < count) connection.no_space = true;
  if (fits == 0) return -EAGAIN;
  const uint64_t partial = machine_.Choose(Site::kSendPartial, connection.number, fits);
  return static_cast<int64_t>(partial == 0 ? fits : partial);
}

void Tcp::Send(Connection& connection, const std::byte* bytes, size_t count) {
  machine_.EmitBytes({bytes, count});
  if (connection.peer_gone) return;
  connection.outbound.Append(bytes, count);
  connection.sent += count;
}

void Tcp::FinishSend(Connection& connection, size_t count) {
  machine_.Emit(EventKind::kSent, connection.number, static_cast<int64_t>(count));
  // A closed peer answers data with a reset (fact T7).
  if (connection.peer_gone && count > 0) {
    Transmit(connection, Packet::Kind::kReset, 0, machine_.ChooseDelay(connection.number));
  }
  if (connection.other != nullptr) Pump(connection);
}

int32_t Tcp::Shutdown(OpenFile& file, int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (file.kind == FileKind::kSocket) return -ENOTCONN;
  const bool read = how != SHUT_WR;
  const bool write = how != SHUT_RD;
  if (file.kind == FileKind::kListener) {
    Listener& listener = *file.listener;
    if (listener.shut) return -ENOTCONN;
    if (!read) return 0;
    listener.shut = true;
    while (Connection* connection = Accept(file)) {
      connection->closed = true;
      ResetToPeer(*connection);
      if (connection->other != nullptr) Pump(*connection);
      Reap(*connection);
    }
    machine_.Wake(file, kSocketStateChange);
    return 0;
  }
  Connection& connection = *file.connection;
  if (IsDead(connection)) {  // inet_shutdown() wakes whoever listens all the same.
    WakeStream(connection, kSocketStateChange);
    return -ENOTCONN;
  }
  if (read) connection.read_shut = true;
  const bool sends_fin = write && !connection.write_shut;
  if (sends_fin) {
    connection.write_shut = true;
    connection.program_fin = true;
  }
  WakeStream(connection, kSocketStateChange);
  if (sends_fin && !connection.fin_arrived) AwaitFinAcknowledged(connection);
  if (connection.other != nullptr) Pump(connection);
  return 0;
}

void Tcp::AwaitFinAcknowledged(Connection& connection) {
  const Nanoseconds delay = machine_.ChooseDelay(connection.number, Site::kFinAcknowledged);
  if (delay == 0) return;  // It is one wake-up with the shutdown's own.
  connection.fin_unacknowledged = true;
  machine_.timers.Arm(connection.fin_acknowledged, machine_.now + delay);
}

void Tcp::ForgetFin(Connection& connection) {
  connection.fin_unacknowledged = false;
  machine_.timers.Disarm(connection.fin_acknowledged);
}

void Tcp::FinAcknowledged(Connection& connection) {
  if (!connection.fin_unacknowledged) return;
  ForgetFin(connection);
  WakeStream(connection, kSocketStateChange);  // tcp_rcv_state_process(), TCP_FIN_WAIT1
}

uint32_t Tcp::Readiness(const OpenFile& file) const {
  if (file.kind == FileKind::kSocket) {
    if (file.connect_error != 0) return POLLERR | POLLHUP | POLLIN | POLLOUT;
    return file.connecting ? 0 : POLLHUP | POLLOUT | POLLWRNORM;
  }
  if (file.kind == FileKind::kListener) {
    if (file.listener->shut) return POLLHUP | POLLOUT | POLLWRNORM;
    return file.listener->queue.empty() ? 0 : POLLIN | POLLRDNORM;
  }
  // As in tcp_poll().
  Connection& connection = *file.connection;
  const bool receive_over = connection.fin_arrived || connection.read_shut || IsDead(connection);
  const bool send_over = connection.write_shut || IsDead(connection);
  uint32_t mask = 0;
  if ((receive_over && send_over) || IsDead(connection)) mask |= POLLHUP;
  if (receive_over) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
  if (connection.arrived >= connection.low_water) mask |= POLLIN | POLLRDNORM;
  if (send_over) {
    mask |= POLLOUT | POLLWRNORM;
  } else {
    // sk_stream_is_writeable(): a third is free.
    const size_t space = SendSpace(connection);
    const size_t used = machine_.options.socket_buffer_bytes - space;
    if (space > 0 && space >= used / 2 && !connection.no_room) {
      mask |= POLLOUT | POLLWRNORM;
    } else {
      connection.no_space = true;
    }
  }
  if (connection.pending_error != 0) mask |= POLLERR;
  return mask;
}

void Tcp::CloseStream(Connection& connection) {
  ForgetFin(connection);
  connection.file = nullptr;
  connection.closed = true;
  if (!connection.reset_arrived) {
    if (connection.arrived > 0) {  // Fact X4.
      ResetToPeer(connection);
    } else {
      connection.program_fin = true;
    }
  }
  machine_.Emit(EventKind::kClosed, connection.number);
  if (connection.other != nullptr) Pump(connection);
  Reap(connection);
}

void Tcp::ResetToPeer(Connection& connection) {
  if (connection.program_reset || connection.peer_gone) return;
  connection.program_reset = true;
  ReleaseAll(connection);
  const size_t unread = connection.outbound.size();
  if (unread > 0) {
    connection.outbound.DropNewest(
        machine_.Choose(Site::kResetLosesData, connection.number, unread + 1));
  }
  machine_.Emit(EventKind::kReset, connection.number);
}

void Tcp::WakeStream(Connection& connection, uint32_t mask) {
  if (connection.file != nullptr) machine_.Wake(*connection.file, mask);
}

bool Tcp::HoldPayload(Connection& connection, Request& request) {
  // What is large lies in the send buffer by reference; small sends are copied at once.
  const bool large = request.done_bytes > kCopiedBytesMax;
  if (machine_.bystander != nullptr) {
    const std::optional<Nanoseconds> held =
        machine_.bystander->PayloadHeldFor(request.ring->number, request.user_data);
    if (held.has_value() && *held > 0) {
      machine_.timers.Arm(request.timer, machine_.now + *held);
    }
    if (held.has_value()) return *held > 0;
  }
  const std::vector<Nanoseconds>& delays = machine_.options.delays;
  const uint64_t answer =
      machine_.Choose(Site::kNotificationTime, connection.number, 1 + delays.size());
  if (connection.released == connection.sent) return false;
  if (answer > 1) {
    machine_.timers.Arm(request.timer, machine_.now + delays[answer - 1]);
    return true;
  }
  if (large == (answer == 1)) return false;
  connection.payloads.push_back({.request = &request, .end = connection.sent});
  return true;
}

void Tcp::ForgetPayloads(const RingCore& ring) {
  for (const std::unique_ptr<Connection>& connection : connections_) {
    if (connection == nullptr) continue;
    std::erase_if(connection->payloads,
                  [&](const Payload& payload) { return payload.request->ring == &ring; });
  }
}

void Tcp::Release(Connection& connection, size_t bytes) {
  connection.no_room = false;
  connection.released = std::min(connection.released + bytes, connection.sent);
  while (!connection.payloads.empty() && connection.payloads.front().end <= connection.released) {
    Request& request = *connection.payloads.front().request;
    connection.payloads.pop_front();
    request.ring->Notify(request);
  }
}

void Tcp::ReleaseAll(Connection& connection) {
  Release(connection, connection.sent - connection.released);
}

void Tcp::Reap(Connection& connection) {
  if (connection.closed && connection.peer_gone && connection.wire.empty()) {
    connections_[connection.number].reset();
  }
}

// --- The wire

void Tcp::Transmit(Connection& connection, Packet::Kind kind, size_t bytes, Nanoseconds delay) {
  Packet packet{.kind = kind, .bytes = bytes, .due = machine_.now + delay};
  if (connection.wire.empty() && delay == 0) {
    Deliver(connection, packet);
    return;
  }
  if (!connection.wire.empty()) packet.due = std::max(packet.due, connection.wire.back().due);
  connection.wire.push_back(packet);
  if (!connection.arrival.armed()) machine_.timers.Arm(connection.arrival, packet.due);
}

void Tcp::TransmitData(Connection& connection, size_t bytes) {
  const Nanoseconds delay = machine_.ChooseDelay(connection.number);
  const uint64_t first = machine_.Choose(Site::kReceiveShort, connection.number, bytes);
  if (first == 0) {
    Transmit(connection, Packet::Kind::kData, bytes, delay);
    return;
  }
  Transmit(connection, Packet::Kind::kData, first, delay);
  const Nanoseconds gap = kPieceGap + machine_.ChooseDelay(connection.number);
  Transmit(connection, Packet::Kind::kData, bytes - first, delay + gap);
}

void Tcp::OnTimer(const Timer& timer) {
  Connection& connection = *timer.connection;
  if (&timer == &connection.fin_acknowledged) {
    FinAcknowledged(connection);
  } else {
    OnArrival(connection);
  }
}

void Tcp::OnArrival(Connection& connection) {
  if (connection.waits_for_port != 0) {
    TryAgain(connection);
    return;
  }
  while (!connection.wire.empty() && connection.wire.front().due <= machine_.now) {
    const Packet packet = connection.wire.front();
    connection.wire.pop_front();
    Deliver(connection, packet);
  }
  if (!connection.wire.empty()) {
    machine_.timers.Arm(connection.arrival, connection.wire.front().due);
  }
  if (connection.other != nullptr) Pump(connection);
  Reap(connection);
}

void Tcp::Deliver(Connection& connection, const Packet& packet) {
  if (packet.kind == Packet::Kind::kConnect) {
    DeliverConnect(connection);
    return;
  }
  if (packet.kind == Packet::Kind::kReset) {
    DeliverReset(connection);
    return;
  }
  if (connection.closed) {
    if (packet.kind == Packet::Kind::kData) ResetToPeer(connection);
    if (packet.kind == Packet::Kind::kAcknowledge) Release(connection, packet.bytes);
    return;
  }
  if (connection.reset_arrived) return;
  // What the peer sends acknowledges what it has got.
  if (packet.kind != Packet::Kind::kAcknowledge) FinAcknowledged(connection);
  switch (packet.kind) {
    case Packet::Kind::kData:
      if (connection.read_shut && connection.write_shut) {
        // tcp_rcv_state_process(): data for nobody aborts the connection.
        DeliverReset(connection);
        ResetToPeer(connection);
        return;
      }
      connection.arrived += packet.bytes;
      // tcp_data_ready()
      if (connection.arrived >= connection.low_water) WakeStream(connection, kSocketReadable);
      break;
    case Packet::Kind::kFin:
      connection.fin_arrived = true;
      WakeStream(connection, kSocketStateChange);
      WakeStream(connection, kSocketReadable);
      break;
    case Packet::Kind::kAcknowledge: {
      connection.unacknowledged -= packet.bytes;
      Release(connection, packet.bytes);
      const size_t space = SendSpace(connection);
      const size_t used = machine_.options.socket_buffer_bytes - space;
      // sk_stream_write_space(): nobody hears of space who did not miss it.
      const bool told =
          machine_.bystander == nullptr || machine_.bystander->TellsOfSpace(connection.number);
      if (connection.no_space && told && space > 0 && space >= used / 2) {
        connection.no_space = false;
        WakeStream(connection, kSocketWritable);
      }
      break;
    }
    case Packet::Kind::kConnect:
    case Packet::Kind::kReset:
      break;
  }
}

void Tcp::DeliverConnect(Connection& connection) {
  // Of its own listener, also when others share the port (fact A16).
  const auto found = open_listeners_.find(connection.listener_number);
  OpenFile* const file = found == open_listeners_.end() ? nullptr : found->second;
  if (file == nullptr || file->listener->shut) {
    connection.closed = true;
    ResetToPeer(connection);
    if (connection.other != nullptr) FinishConnect(connection, /*accepted=*/false);
    return;
  }
  --file->listener->arriving;
  file->listener->queue.push_back(&connection);
  machine_.Wake(*file, kSocketReadable);
  if (connection.other != nullptr) FinishConnect(connection, /*accepted=*/true);
}

void Tcp::DeliverReset(Connection& connection) {
  if (connection.closed || IsDead(connection)) return;
  // tcp_reset(): after the peer's FIN it reads as a broken pipe.
  ForgetFin(connection);
  connection.pending_error = connection.fin_arrived ? EPIPE : ECONNRESET;
  connection.reset_arrived = true;
  connection.unacknowledged = 0;
  ReleaseAll(connection);
  machine_.Emit(EventKind::kReset, connection.number);
  WakeStream(connection, kSocketStateChange);
  WakeStream(connection, POLLERR);
}

// --- Peers

Connection* Tcp::Find(uint64_t peer) const {
  return peer < connections_.size() ? connections_[peer].get() : nullptr;
}

std::expected<uint64_t, Errno> Tcp::PeerConnect(uint16_t port) {
  OpenFile* const listener = FindListener(port);
  if (listener == nullptr) return std::unexpected(Errno(ECONNREFUSED));
  return PeerArrive(*listener);
}

std::expected<uint64_t, Errno> Tcp::PeerConnectUnix(const std::string& path) {
  const auto found = socket_files_.find(path);
  if (found == socket_files_.end()) return std::unexpected(Errno(ENOENT));
  if (found->second == nullptr || found->second->listener->shut) {
    return std::unexpected(Errno(ECONNREFUSED));
  }
  return PeerArrive(*found->second);
}

std::expected<uint64_t, Errno> Tcp::PeerArrive(OpenFile& listener) {
  Connection* const connection = Arrive(listener);
  if (connection == nullptr) return std::unexpected(Errno(EAGAIN));
  const uint64_t number = connection->number;
  machine_.Emit(EventKind::kPeer, number, static_cast<int64_t>(PeerAction::kConnect));
  Transmit(*connection, Packet::Kind::kConnect, 0, machine_.ChooseDelay(number));
  return number;
}

Connection* Tcp::Arrive(OpenFile& file) {
  Listener& listener = *file.listener;
  // Fact A11: one more than the backlog.
  if (listener.queue.size() + listener.arriving > static_cast<size_t>(listener.backlog)) {
    return nullptr;
  }
  const uint64_t number = machine_.next_file_number++;
  connections_.resize(number + 1);
  connections_[number] = std::make_unique<Connection>();
  Connection& connection = *connections_[number];
  connection.number = number;
  connection.port = listener.port;
  connection.path = listener.path;
  connection.listener_number = file.number;
  connection.arrival.connection = &connection;
  connection.fin_acknowledged.connection = &connection;
  ++listener.arriving;
  return &connection;
}

std::expected<size_t, Errno> Tcp::PeerSend(uint64_t peer, std::span<const std::byte> bytes) {
  Connection* const connection = Find(peer);
  if (connection == nullptr || connection->peer_gone || connection->fin_sent) {
    return std::unexpected(Errno(EPIPE));
  }
  if (connection->program_reset) return std::unexpected(Errno(ECONNRESET));
  const size_t space = machine_.options.socket_buffer_bytes - connection->inbound.size();
  const size_t count = std::min(space, bytes.size());
  machine_.EmitBytes(bytes.first(count));
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(count));
  if (count == 0) return 0;
  if (connection->closed) {  // Nobody is there: the answer is a reset.
    ResetToPeer(*connection);
    return count;
  }
  connection->inbound.Append(bytes.data(), count);
  TransmitData(*connection, count);
  return count;
}

PeerRead Tcp::PeerReceive(uint64_t peer, std::span<std::byte> bytes) {
  Connection* const found = Find(peer);
  if (found == nullptr || found->peer_gone) return {.end = true};
  Connection& connection = *found;
  const size_t count = std::min(bytes.size(), connection.outbound.size());
  connection.outbound.Take(bytes.data(), count);
  if (count > 0) {
    machine_.EmitBytes(bytes.first(count));
    machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(PeerAction::kRead),
                  static_cast<int64_t>(count));
    if (connection.closed) {
      Release(connection, count);
    } else {
      connection.unacknowledged += count;
      // The time matters only to somebody who waits for the space.
      const bool awaited = !connection.payloads.empty() ||
                           (connection.file != nullptr && !connection.file->waiters.empty());
      const Nanoseconds delay = awaited ? machine_.ChooseDelay(connection.number) : 0;
      Transmit(connection, Packet::Kind::kAcknowledge, count, delay);
    }
  }
  PeerRead result{.bytes = count};
  if (connection.outbound.empty()) {
    result.end = connection.program_fin;
    result.reset = connection.program_reset && !connection.program_fin;
  }
  return result;
}

void Tcp::PeerShutdownWrite(uint64_t peer) {
  Connection* const connection = Find(peer);
  if (connection == nullptr || connection->peer_gone || connection->fin_sent) return;
  connection->fin_sent = true;
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(PeerAction::kShutdownWrite));
  Transmit(*connection, Packet::Kind::kFin, 0, machine_.ChooseDelay(peer));
}

void Tcp::PeerClose(uint64_t peer) {
  Connection* const found = Find(peer);
  if (found == nullptr || found->peer_gone) return;
  Connection& connection = *found;
  const bool unread = !connection.outbound.empty();
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(PeerAction::kClose));
  connection.peer_gone = true;
  connection.outbound.Clear();
  ReleaseAll(connection);
  if (unread) {
    Transmit(connection, Packet::Kind::kReset, 0, machine_.ChooseDelay(peer));
  } else if (!connection.fin_sent) {
    connection.fin_sent = true;
    Transmit(connection, Packet::Kind::kFin, 0, machine_.ChooseDelay(peer));
  }
  Reap(connection);
}

void Tcp::PeerReset(uint64_t peer) {
  Connection* const found = Find(peer);
  if (found == nullptr || found->peer_gone) return;
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(PeerAction::kReset));
  found->peer_gone = true;
  found->outbound.Clear();
  ReleaseAll(*found);
  Transmit(*found, Packet::Kind::kReset, 0, machine_.ChooseDelay(peer));
  Reap(*found);
}

size_t Tcp::PeerReadable(uint64_t peer) const {
  const Connection* const connection = Find(peer);
  return connection == nullptr || connection->peer_gone ? 0 : connection->outbound.size();
}

bool Tcp::PeerEnded(uint64_t peer) const {
  const Connection* const connection = Find(peer);
  return connection == nullptr || connection->peer_gone || connection->program_fin ||
         connection->program_reset;
}

}  // namespace orrery::model
