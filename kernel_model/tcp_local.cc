// Sockets that the program makes itself: binding, listening, connecting, and connections of which
// both ends are the program's. Private to kernel_model.
//
// Such a connection is two Connections, each the other's peer: what one end did is handed on as if
// a peer had done it. Invariant: bytes are in one queue only, the sender's until the receiver has
// room.
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/tcp.h"

namespace orrery::model {
namespace {

// A SYN that nobody answers is sent again so often: tcp_syn_linear_timeouts.
constexpr Nanoseconds kSynAgain = kSecond;

}  // namespace

int32_t Tcp::Bind(OpenFile& socket, uint16_t port) {
  if (socket.kind != FileKind::kSocket || socket.bound_port != 0) return -EINVAL;
  if (port == 0) port = FindPort();
  if (port == 0 || listeners_.contains(port) || bound_.contains(port)) {
    if (port != 0 && socket.shares_port) StopUnknown("SO_REUSEPORT of several sockets, port", port);
    return -EADDRINUSE;
  }
  socket.bound_port = port;
  bound_[port] = &socket;
  return 0;
}

int32_t Tcp::ListenOn(OpenFile& socket, int backlog) {
  if (socket.kind == FileKind::kListener) {
    socket.listener->backlog = std::max(backlog, 0);
    return 0;
  }
  if (socket.kind != FileKind::kSocket || socket.connecting) return -EINVAL;
  if (socket.bound_port == 0) {
    if (const int32_t bound = Bind(socket, 0); bound < 0) return bound;
  }
  bound_.erase(socket.bound_port);
  socket.kind = FileKind::kListener;
  socket.listener = std::make_unique<Listener>();
  socket.listener->port = socket.bound_port;
  socket.listener->backlog = std::max(backlog, 0);
  open_listeners_[socket.number] = &socket;
  listeners_[socket.bound_port].push_back(&socket);
  return 0;
}

int32_t Tcp::Connect(OpenFile& socket, uint16_t port) {
  // Fact A12.
  if (socket.kind == FileKind::kStream || socket.kind == FileKind::kListener) return -EISCONN;
  if (socket.kind != FileKind::kSocket) return -ENOTSOCK;
  if (socket.connect_error != 0) return -std::exchange(socket.connect_error, 0);
  if (socket.connecting) return -EALREADY;  // Fact A13.
  ReapUnlinked();
  OpenFile* const listener = FindListener(port);
  if (listener == nullptr) {
    socket.connect_error = ECONNREFUSED;
    return -EAGAIN;
  }
  Connection* const far = Arrive(*listener);
  const uint64_t number = machine_.next_file_number++;
  connections_.resize(number + 1);
  connections_[number] = std::make_unique<Connection>();
  Connection& near = *connections_[number];
  near.number = number;
  near.port = socket.bound_port != 0 ? socket.bound_port : FindPort();
  near.arrival.connection = &near;
  near.fin_acknowledged.connection = &near;
  near.file = &socket;
  socket.connection = &near;
  socket.connecting = true;
  if (far == nullptr) {  // Fact A11: it does not answer.
    near.waits_for_port = port;
    machine_.timers.Arm(near.arrival, machine_.now + kSynAgain);
    return -EAGAIN;
  }
  near.other = far;
  far->other = &near;
  Transmit(*far, Packet::Kind::kConnect, 0, machine_.ChooseDelay(far->number));
  return -EAGAIN;  // Fact A12: even when it is done, by task work.
}

void Tcp::TryAgain(Connection& near) {
  OpenFile* const listener = FindListener(near.waits_for_port);
  if (listener == nullptr) {
    Refuse(near);
    return;
  }
  Connection* const far = Arrive(*listener);
  if (far == nullptr) {
    machine_.timers.Arm(near.arrival, machine_.now + kSynAgain);
    return;
  }
  near.waits_for_port = 0;
  near.other = far;
  far->other = &near;
  Transmit(*far, Packet::Kind::kConnect, 0, machine_.ChooseDelay(far->number));
}

void Tcp::Refuse(Connection& near) {
  OpenFile& socket = *near.file;
  socket.connection = nullptr;
  socket.connecting = false;
  socket.connect_error = ECONNREFUSED;
  machine_.Wake(socket, POLLERR | POLLHUP | POLLOUT);
  connections_[near.number].reset();
}

void Tcp::FinishConnect(Connection& far, bool accepted) {
  Connection& near = *far.other;
  OpenFile* const socket = near.file;
  if (!accepted) {
    Unlink(near, far);
    near.file = nullptr;
    near.closed = true;
    if (socket != nullptr) {
      socket->connection = nullptr;
      socket->connecting = false;
      socket->connect_error = ECONNREFUSED;
      machine_.Wake(*socket, POLLERR | POLLHUP | POLLOUT);
    }
    return;
  }
  if (socket == nullptr) {  // Closed before it was connected.
    Pump(near);
    return;
  }
  socket->connecting = false;
  socket->kind = FileKind::kStream;
  bound_.erase(socket->bound_port);
  socket->number = near.number;
  ApplyOptions(*socket);
  machine_.Wake(*socket, POLLOUT);
}

void Tcp::CloseSocket(OpenFile& socket) {
  if (socket.bound_port != 0) bound_.erase(socket.bound_port);
  if (!socket.connecting) return;
  Connection& near = *socket.connection;
  if (near.waits_for_port != 0) {
    machine_.timers.Disarm(near.arrival);
    connections_[near.number].reset();
    return;
  }
  near.file = nullptr;
  near.closed = true;
  near.program_fin = true;
}

void Tcp::Unlink(Connection& one, Connection& other) {
  for (Connection* end : {&one, &other}) {
    end->other = nullptr;
    end->peer_gone = true;
    end->outbound.Clear();
    ReleaseAll(*end);
    unlinked_.push_back(end->number);
  }
}

void Tcp::ReapUnlinked() {
  for (const uint64_t number : std::exchange(unlinked_, {})) {
    if (connections_[number] != nullptr) Reap(*connections_[number]);
  }
}

bool Tcp::MoveBytes(Connection& near, Connection& far) {
  const size_t space = machine_.options.socket_buffer_bytes - far.inbound.size();
  std::vector<std::byte> bytes(far.program_reset ? 0 : std::min(space, near.outbound.size()));
  if (bytes.empty()) return false;
  PeerReceive(near.number, bytes);
  const auto sent = PeerSend(far.number, bytes);
  ORRERY_CHECK(sent.has_value() && *sent == bytes.size());
  return true;
}

void Tcp::Pump(Connection& one) {
  Connection& other = *one.other;
  while (MoveBytes(one, other) || MoveBytes(other, one)) continue;
  for (Connection* near : {&one, &other}) {
    Connection& far = *near->other;
    if (near->program_reset) {
      Unlink(one, other);
      Transmit(far, Packet::Kind::kReset, 0, machine_.ChooseDelay(far.number));
      return;
    }
    if (near->program_fin && near->outbound.empty()) PeerShutdownWrite(far.number);
  }
  if (one.closed && other.closed) Unlink(one, other);
}

}  // namespace orrery::model
