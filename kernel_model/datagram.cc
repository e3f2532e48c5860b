#include "kernel_model/datagram.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// The largest that IPv4 carries.
constexpr size_t kDatagramBytesMax = 65507;
// What one takes in a receive buffer beyond its bytes: empty ones fill it as well.
constexpr size_t kOverheadBytes = 768;

}  // namespace

Datagrams::Datagrams(Machine& machine) : machine_(machine), next_port_(kEphemeralFirst) {
  arrival_.datagrams = this;
}

OpenFile& Datagrams::Make() {
  OpenFile& file = machine_.NewFile(FileKind::kDatagram);
  file.datagrams = std::make_unique<DatagramSocket>();
  file.datagrams->number = file.number;
  file.datagrams->file = &file;
  return file;
}

uint16_t Datagrams::FindPort() {
  for (int tries = 0; tries <= UINT16_MAX - kEphemeralFirst; ++tries) {
    const uint16_t port = next_port_;
    next_port_ = port == UINT16_MAX ? kEphemeralFirst : static_cast<uint16_t>(port + 1);
    if (!ports_.contains(port)) return port;
  }
  return 0;
}

DatagramSocket* Datagrams::FindSocket(uint16_t port) const {
  const auto found = ports_.find(port);
  return found == ports_.end() ? nullptr : found->second;
}

int32_t Datagrams::Bind(OpenFile& file, uint16_t port) {
  DatagramSocket& socket = *file.datagrams;
  if (socket.port != 0) return -EINVAL;
  if (port == 0) port = FindPort();
  if (port == 0 || ports_.contains(port)) return -EADDRINUSE;
  socket.port = port;
  ports_[port] = &socket;
  return 0;
}

int32_t Datagrams::Connect(OpenFile& file, uint16_t port) {
  if (port == 0) StopUnknown("connecting datagrams to port", port);
  if (file.datagrams->port == 0 && Bind(file, 0) != 0) return -EAGAIN;
  file.datagrams->peer_port = port;
  return 0;
}

int32_t Datagrams::Shutdown(OpenFile& file, int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  DatagramSocket& socket = *file.datagrams;
  // inet_shutdown() does its work even so.
  const int32_t result = socket.peer_port == 0 ? -ENOTCONN : 0;
  if (how != SHUT_WR) socket.read_shut = true;
  if (how != SHUT_RD) socket.write_shut = true;
  machine_.Wake(file, kSocketStateChange);
  return result;
}

int32_t Datagrams::Send(OpenFile& file, uint16_t port, std::vector<std::byte> bytes) {
  DatagramSocket& socket = *file.datagrams;
  if (socket.port == 0 && Bind(file, 0) != 0) return -EAGAIN;  // inet_send_prepare()
  // As in udp_sendmsg().
  if (bytes.size() > UINT16_MAX) return -EMSGSIZE;
  const uint16_t to = port != 0 ? port : socket.peer_port;
  if (to == 0) return -EDESTADDRREQ;
  if (bytes.size() > kDatagramBytesMax) return -EMSGSIZE;
  if (socket.pending_error != 0) return -std::exchange(socket.pending_error, 0);
  if (socket.write_shut) return -EPIPE;
  const auto count = static_cast<int32_t>(bytes.size());
  machine_.Emit(EventKind::kSent, socket.number, count);
  // Fact E10: loopback_xmit() makes it the sender's no more before it hands it on.
  machine_.Wake(file, kSocketWritable);
  Transmit({.from = socket.port, .to = to, .bytes = std::move(bytes)}, /*reorders=*/false);
  return count;
}

void Datagrams::Pop(DatagramSocket& socket) {
  socket.queued_bytes -= socket.queue.front().bytes.size() + kOverheadBytes;
  socket.queue.pop_front();
}

uint32_t Datagrams::Readiness(const DatagramSocket& socket) const {
  // As in datagram_poll().
  uint32_t mask = POLLOUT | POLLWRNORM | POLLWRBAND;
  if (socket.pending_error != 0) mask |= POLLERR;
  if (socket.read_shut) mask |= POLLRDHUP | POLLIN | POLLRDNORM;
  if (socket.read_shut && socket.write_shut) mask |= POLLHUP;
  if (!socket.queue.empty()) mask |= POLLIN | POLLRDNORM;
  return mask;
}

void Datagrams::Close(OpenFile& file) {
  if (file.datagrams->port != 0) ports_.erase(file.datagrams->port);
  machine_.Emit(EventKind::kClosed, file.number);
}

// --- On the way

void Datagrams::Transmit(Flight flight, bool reorders) {
  const DatagramSocket* const to = FindSocket(flight.to);
  const uint64_t entity = to != nullptr ? to->number : 0;
  // Over loopback, too, they are lost for want of memory, which is not counted in bytes.
  if (to != nullptr && machine_.Choose(Site::kDatagramLost, entity, 2) != 0) return;
  flight.due = machine_.now + machine_.ChooseDelay(entity);
  Nanoseconds latest = 0;
  for (const Flight& earlier : flights_) {
    if (earlier.to == flight.to) latest = earlier.due;
  }
  const bool overtakes =
      reorders && latest > flight.due && machine_.Choose(Site::kDatagramOrder, entity, 2) != 0;
  if (!overtakes) flight.due = std::max(flight.due, latest);
  const bool twice =
      reorders && to != nullptr && machine_.Choose(Site::kDatagramTwice, entity, 2) != 0;
  for (int copies = twice ? 2 : 1; copies > 0; --copies) {
    if (flight.due == machine_.now && latest <= machine_.now) {
      Deliver(flight);
      continue;
    }
    const auto later =
        std::upper_bound(flights_.begin(), flights_.end(), flight.due,
                         [](Nanoseconds due, const Flight& other) { return due < other.due; });
    flights_.insert(later, flight);
  }
  Schedule();
}

void Datagrams::Schedule() {
  machine_.timers.Disarm(arrival_);
  if (!flights_.empty()) machine_.timers.Arm(arrival_, flights_.front().due);
}

void Datagrams::OnArrival() {
  while (!flights_.empty() && flights_.front().due <= machine_.now) {
    Flight flight = std::move(flights_.front());
    flights_.pop_front();
    Deliver(std::move(flight));
  }
  Schedule();
}

void Datagrams::Deliver(Flight flight) {
  DatagramSocket* const to = FindSocket(flight.to);
  // Who is connected hears nobody else.
  if (to == nullptr || (to->peer_port != 0 && to->peer_port != flight.from)) {
    Refuse(flight);
    return;
  }
  // Fact E9. As in the kernel, the one that fills it may go beyond it.
  if (to->queued_bytes >= machine_.options.socket_buffer_bytes) return;
  to->queued_bytes += flight.bytes.size() + kOverheadBytes;
  to->queue.push_back({.from = flight.from, .bytes = std::move(flight.bytes)});
  if (to->file != nullptr) machine_.Wake(*to->file, kSocketReadable);
}

void Datagrams::Refuse(const Flight& flight) {
  // __udp4_lib_err(): only who is connected to that port.
  DatagramSocket* const from = FindSocket(flight.from);
  if (from == nullptr || from->file == nullptr || from->peer_port != flight.to) return;
  from->pending_error = ECONNREFUSED;
  machine_.Wake(*from->file, POLLERR);
}

// --- Peers

uint64_t Datagrams::OpenPeer() {
  const uint64_t number = machine_.next_file_number++;
  auto peer = std::make_unique<DatagramSocket>();
  peer->number = number;
  peer->port = FindPort();
  ORRERY_CHECK_MSG(peer->port != 0, "no port is left for a peer");
  ports_[peer->port] = peer.get();
  peers_[number] = std::move(peer);
  machine_.Emit(EventKind::kPeer, number, static_cast<int64_t>(PeerAction::kConnect));
  return number;
}

DatagramSocket& Datagrams::FindPeer(uint64_t peer) const {
  const auto found = peers_.find(peer);
  ORRERY_CHECK_MSG(found != peers_.end(), "no datagram peer, or one that is closed");
  return *found->second;
}

uint16_t Datagrams::PortOfPeer(uint64_t peer) const { return FindPeer(peer).port; }

void Datagrams::PeerSend(uint64_t peer, uint16_t port, std::span<const std::byte> bytes) {
  ORRERY_CHECK(bytes.size() <= kDatagramBytesMax);
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(bytes.size()));
  Transmit({.from = FindPeer(peer).port, .to = port, .bytes = {bytes.begin(), bytes.end()}},
           /*reorders=*/true);
}

std::optional<PeerDatagram> Datagrams::PeerReceive(uint64_t peer) {
  DatagramSocket& socket = FindPeer(peer);
  if (socket.queue.empty()) return std::nullopt;
  PeerDatagram datagram{.from = socket.queue.front().from,
                        .bytes = std::move(socket.queue.front().bytes)};
  socket.queued_bytes -= datagram.bytes.size() + kOverheadBytes;
  socket.queue.pop_front();
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(PeerAction::kRead),
                static_cast<int64_t>(datagram.bytes.size()));
  return datagram;
}

void Datagrams::ClosePeer(uint64_t peer) {
  ports_.erase(FindPeer(peer).port);
  peers_.erase(peer);
  machine_.Emit(EventKind::kPeer, peer, static_cast<int64_t>(PeerAction::kClose));
}

// --- Sending: SEND, SENDMSG, their zero-copy forms, WRITE and WRITEV.

Attempt TrySendDatagram(RingCore& ring, Request& request) {
  uint16_t port = 0;
  if (request.addressed) {
    if (const int32_t error = PortOf(request, &port); error < 0) return Attempt::Done(error);
    if (port == 0) return Attempt::Done(-EINVAL);
  }
  if (Faults(request, request.total_bytes)) return Attempt::Done(-EFAULT);
  std::vector<std::byte> bytes;
  bytes.reserve(request.total_bytes);
  for (const iovec& part : request.iovecs) {
    const auto* const begin = static_cast<const std::byte*>(part.iov_base);
    if (part.iov_len > 0) bytes.insert(bytes.end(), begin, begin + part.iov_len);
  }
  const int32_t sent = ring.machine.datagrams.Send(*request.file, port, std::move(bytes));
  if (sent > 0) request.done_bytes = static_cast<size_t>(sent);
  return Attempt::Done(sent);
}

}  // namespace orrery::model
