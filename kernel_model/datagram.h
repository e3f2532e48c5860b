// Datagram sockets, the program's and those of peers. Private to kernel_model.
//
// A datagram is on its way until its time has come, and is then put into the queue of whoever has
// its port. Invariant: it arrives whole, or not at all; who sent it is never told of a loss, but of
// a port that nobody has if it is connected to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/open_file.h"
#include "kernel_model/timer_queue.h"

namespace orrery::model {

class Machine;

struct StoredDatagram {
  uint16_t from = 0;
  std::vector<std::byte> bytes;
};

struct DatagramSocket {
  uint64_t number = 0;
  uint16_t port = 0;         // 0: not bound yet.
  uint16_t peer_port = 0;    // 0: not connected.
  OpenFile* file = nullptr;  // Null: a peer's.
  std::deque<StoredDatagram> queue;
  size_t queued_bytes = 0;  // With what each costs.
  int pending_error = 0;    // Given to the next call that asks, once.
  bool read_shut = false;
  bool write_shut = false;
};

class Datagrams {
 public:
  explicit Datagrams(Machine& machine);
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;

  // --- For the program's side: 0 or -errno. REQUIRES: files of kind kDatagram.
  OpenFile& Make();
  int32_t Bind(OpenFile& file, uint16_t port);  // 0 chooses a port.
  int32_t Connect(OpenFile& file, uint16_t port);
  int32_t Shutdown(OpenFile& file, int how);
  // To `port`, or, if it is 0, to whom the socket is connected.
  int32_t Send(OpenFile& file, uint16_t port, std::vector<std::byte> bytes);
  // Forgets the oldest. REQUIRES: there is one.
  void Pop(DatagramSocket& socket);
  uint32_t Readiness(const DatagramSocket& socket) const;
  void Close(OpenFile& file);

  // --- What was on its way has arrived.
  void OnArrival();

  // --- For the peers.
  uint64_t OpenPeer();
  uint16_t PortOfPeer(uint64_t peer) const;
  void PeerSend(uint64_t peer, uint16_t port, std::span<const std::byte> bytes);
  std::optional<PeerDatagram> PeerReceive(uint64_t peer);
  void ClosePeer(uint64_t peer);

 private:
  struct Flight {
    Nanoseconds due = 0;
    uint16_t from = 0;
    uint16_t to = 0;
    std::vector<std::byte> bytes;
  };

  uint16_t FindPort();
  DatagramSocket* FindSocket(uint16_t port) const;
  DatagramSocket& FindPeer(uint64_t peer) const;
  // `reorders`: it comes over a network, which may do so.
  void Transmit(Flight flight, bool reorders);
  void Schedule();
  void Deliver(Flight flight);
  // Nobody has the port that `flight` went to.
  void Refuse(const Flight& flight);

  Machine& machine_;
  std::map<uint16_t, DatagramSocket*> ports_;
  std::map<uint64_t, std::unique_ptr<DatagramSocket>> peers_;
  std::deque<Flight> flights_;  // By due.
  Timer arrival_;               // Of the first of them.
  uint16_t next_port_;
};

}  // namespace orrery::model
