// TCP: listeners, connections, and the peers at their far ends. Private to kernel_model. UNIX
// sockets are connections, too, whose listener has a path.
//
// A connection is two byte queues and a wire. What the program sends is at the peer at once (the
// world decides when it reads); what the peer sends travels over the wire, one packet after the
// other in order, each as long as the choices say. Invariant: bytes, FIN and reset reach the
// program in the order in which they left the peer, and nothing that the program has been told is
// taken back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/units.h"
#include "kernel_model/byte_queue.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/open_file.h"
#include "kernel_model/timer_queue.h"

namespace orrery::model {

class Machine;

// From the peer to the program.
struct Packet {
  enum class Kind : uint8_t {
    kConnect,  // The last step of the handshake: the connection can be accepted.
    kData,     // `bytes` more bytes of `inbound` have arrived.
    kFin,
    kReset,
    kAcknowledge,  // `bytes` bytes of the send buffer are free again.
  };
  Kind kind = Kind::kData;
  size_t bytes = 0;
  Nanoseconds due = 0;
};

struct Request;
class RingCore;

// Memory of the program's that a connection refers to.
struct Payload {
  Request* request = nullptr;
  uint64_t end = 0;  // Where it ends in the stream that the program sent.
};

struct Connection {
  uint64_t number = 0;
  uint16_t port = 0;
  std::string path;  // Of a UNIX socket.

  // The program's end. Without a file before it is accepted and after it is closed.
  OpenFile* file = nullptr;
  uint64_t listener_number = 0;
  bool closed = false;  // The program's end is gone.
  ByteQueue inbound;    // What the peer sent and the program did not read.
  size_t arrived = 0;   // The part of it that can be read.
  bool fin_arrived = false;
  bool reset_arrived = false;
  bool read_shut = false;   // By the program: SHUT_RD.
  bool write_shut = false;  // By the program: SHUT_WR.
  int pending_error = 0;    // Given to the next call that asks, once.
  size_t low_water = 1;     // SO_RCVLOWAT: fewer bytes wake nobody.
  bool no_space = false;    // SOCK_NOSPACE: somebody is to hear when there is space again.
  bool no_room = false;     // A bystander said so, until bytes leave the send buffer.

  // The peer's end.
  ByteQueue outbound;            // What the program sent and the peer did not read.
  size_t unacknowledged = 0;     // Read by the peer, but still in the program's send buffer.
  uint64_t sent = 0;             // Bytes that ever entered `outbound`.
  uint64_t released = 0;         // Of them, those that the send buffer holds no more.
  std::deque<Payload> payloads;  // Of zero-copy sends, by end.
  bool fin_sent = false;
  bool peer_gone = false;    // Closed or reset by the peer.
  bool program_fin = false;  // The program ended its direction.
  bool program_reset = false;

  // The other end is a socket of the program's, too, and this is its side of the connection.
  Connection* other = nullptr;

  std::deque<Packet> wire;
  // Of the wire's front; while `waits_for_port` is not 0, of the next attempt to connect to it.
  Timer arrival;
  uint16_t waits_for_port = 0;

  bool fin_unacknowledged = false;  // The program's, and whoever waits will hear of it (fact X7).
  Timer fin_acknowledged;
};

class Tcp {
 public:
  explicit Tcp(Machine& machine) : machine_(machine) {}

  // --- For the program's side. Results are byte counts or -errno; EAGAIN means: wait.
  // EADDRINUSE: somebody listens there. Port 0 chooses one.
  std::expected<OpenFile*, Errno> Listen(uint16_t port, int backlog);
  // One more that shares the port of a listener.
  OpenFile& ListenBeside(const OpenFile& listener);
  // EADDRINUSE: somebody listens at the path.
  std::expected<OpenFile*, Errno> ListenUnix(const std::string& path, int backlog);
  void RemoveSocketFile(const std::string& path) { socket_files_.erase(path); }
  // For sockets by the ring; tcp_local.cc. 0 or -errno.
  int32_t Bind(OpenFile& socket, uint16_t port);
  int32_t ListenOn(OpenFile& socket, int backlog);
  // Starts or finishes connecting. EAGAIN: wait until the socket is writable.
  int32_t Connect(OpenFile& socket, uint16_t port);
  void CloseSocket(OpenFile& socket);
  // Takes note of the options of a stream.
  static void ApplyOptions(const OpenFile& file);
  // Moves up to `count` arrived bytes. 0 at the end of the stream, or for count 0 once readable.
  int64_t Receive(Connection& connection, std::byte* bytes, size_t count);
  // Whether more is known to be there (fact R1).
  static bool NotEmpty(const Connection& connection);
  // How many of `count` bytes a send may take now. Without a request it is a system call.
  int64_t BeginSend(Connection& connection, size_t count, const Request* request);
  // Takes them. After each send, FinishSend() once.
  void Send(Connection& connection, const std::byte* bytes, size_t count);
  void FinishSend(Connection& connection, size_t count);
  // Keeps the payload of what was sent last until its bytes have left the send buffer; then its
  // ring is told. False when it need not be kept.
  bool HoldPayload(Connection& connection, Request& request);
  // The ring goes away.
  void ForgetPayloads(const RingCore& ring);
  // What getpeername(2) says. Peers of the world have no sockets: they get numbers that nobody else
  // has at that time, from the ports that are for clients.
  static uint16_t FarPort(const Connection& connection);
  // Takes the oldest connection; null when there is none. REQUIRES: a listener.
  Connection* Accept(OpenFile& listener);
  // SHUT_RD, SHUT_WR, SHUT_RDWR of a stream or a listener: 0 or -errno.
  int32_t Shutdown(OpenFile& file, int how);
  uint32_t Readiness(const OpenFile& file) const;
  // The last reference is gone.
  void CloseStream(Connection& connection);
  void CloseListener(OpenFile& listener);

  // --- The wire.
  void OnTimer(const Timer& timer);

  // --- For the peers.
  std::expected<uint64_t, Errno> PeerConnect(uint16_t port);
  std::expected<uint64_t, Errno> PeerConnectUnix(const std::string& path);
  std::expected<size_t, Errno> PeerSend(uint64_t peer, std::span<const std::byte> bytes);
  PeerRead PeerReceive(uint64_t peer, std::span<std::byte> bytes);
  void PeerShutdownWrite(uint64_t peer);
  void PeerClose(uint64_t peer);
  void PeerReset(uint64_t peer);
  size_t PeerReadable(uint64_t peer) const;
  bool PeerEnded(uint64_t peer) const;

 private:
  Connection* Find(uint64_t peer) const;
  size_t SendSpace(const Connection& connection) const;
  // Puts a packet on the wire; it never overtakes an earlier one.
  void Transmit(Connection& connection, Packet::Kind kind, size_t bytes, Nanoseconds delay);
  // Data, perhaps in pieces.
  void TransmitData(Connection& connection, size_t bytes);
  void Deliver(Connection& connection, const Packet& packet);
  void DeliverConnect(Connection& connection);
  void DeliverReset(Connection& connection);
  // The program's end answers with a reset: the peer will see it.
  void ResetToPeer(Connection& connection);
  void WakeStream(Connection& connection, uint32_t mask);
  // What the acknowledgement of the program's FIN wakes, now or later, or never (fact X7).
  void AwaitFinAcknowledged(Connection& connection);
  void FinAcknowledged(Connection& connection);
  void ForgetFin(Connection& connection);
  void OnArrival(Connection& connection);
  // Bytes have left the send buffer; the second: all of them.
  void Release(Connection& connection, size_t bytes);
  void ReleaseAll(Connection& connection);
  // tcp_local.cc: lets everything that the program did at this end, of a connection between two
  // sockets of its own, be seen at the other.
  void Pump(Connection& one);
  bool MoveBytes(Connection& near, Connection& far);
  void Unlink(Connection& one, Connection& other);
  void ReapUnlinked();
  // A listener with a full backlog did not answer: again.
  void TryAgain(Connection& near);
  void Refuse(Connection& near);
  // The handshake has ended at the listener.
  void FinishConnect(Connection& far, bool accepted);
  // Neither at a port nor at a path yet.
  OpenFile& NewListener(int backlog);
  // A port that nobody has, or 0.
  uint16_t FindPort();
  // The listener that the next connection to the port goes to; null when nobody accepts there.
  OpenFile* FindListener(uint16_t port);
  // A connection to a listener; null when its backlog is full.
  Connection* Arrive(OpenFile& listener);
  std::expected<uint64_t, Errno> PeerArrive(OpenFile& listener);
  // Frees it when both ends are gone and nothing is on the wire.
  void Reap(Connection& connection);

  Machine& machine_;
  // By connection number; null where one is gone or the number names another file.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::map<uint16_t, std::vector<OpenFile*>> listeners_;  // By port; those that share it together.
  std::map<std::string, OpenFile*> socket_files_;         // Null: nobody listens any more.
  std::map<uint64_t, OpenFile*> open_listeners_;          // By number of the file, of both kinds.
  uint64_t arrivals_ = 0;                                 // At ports that are shared.
  std::vector<uint64_t> unlinked_;       // Ends whose other end has become unreachable.
  std::map<uint16_t, OpenFile*> bound_;  // Sockets that do not listen, by port.
  uint16_t next_port_ = 32768;
};

}  // namespace orrery::model
