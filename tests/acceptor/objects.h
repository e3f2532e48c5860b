// The files that a program works on, and what they are called on a kernel: descriptors and slots.
//
// Invariant: a number of which a close has been prepared is used no more, because it may have
// become another file's. Borrows its world; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/ring/ring.h"
#include "tests/acceptor/program.h"
#include "tests/conformance/world.h"

namespace orrery::acceptor {

class Objects {
 public:
  explicit Objects(conformance::World& world) : world_(world) {}
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;
  // Closes what is open still.
  ~Objects();

  // Makes what the program names, but for the sockets, and puts it into slots of `ring`, whose
  // table this makes.
  void Make(const Program& program, Ring& ring);

  // Whether there is, or was, such an object.
  bool Knows(int32_t object) const;
  // Its descriptor or slot, or one that is nobody's.
  int NumberOf(int32_t object, bool fixed) const;
  bool IsOpen(int32_t object) const;

  // --- What operations made. The number is in order of making.
  int32_t AddSocket(int fd) { return Add(sockets_, {.fd = fd}); }
  int32_t AddSocketInSlot(int slot) { return Add(sockets_, {.slot = slot}); }
  int32_t AddFile(int fd) { return Add(files_, {.fd = fd}); }
  size_t sockets() const { return sockets_.size(); }
  // The socket is in the slot of its number as well. REQUIRES: it is one of the program's first.
  void RegisterSocket(size_t number, Ring& ring) const;

  // A close of its descriptor was prepared,
  void Closing(int32_t object) { Find(object)->closed = true; }
  // and was cancelled.
  void StaysOpen(int32_t object) { Find(object)->stays_open = true; }

  // --- What peers need to know.
  uint16_t port() const { return port_; }
  int event_fd(size_t number) const { return event_fds_.at(number).fd; }
  // Of the program's datagram sockets, and of a peer's; 0: closed.
  uint16_t datagram_port(size_t number) const { return datagram_ports_.at(number); }
  // The port that an operation's place means; 0: none.
  uint16_t PortAt(int32_t place) const;
  struct DatagramPeer {
    conformance::World::Peer peer = 0;
    uint16_t port = 0;
    bool open = false;
  };
  // Null: the program has none, or it is closed.
  DatagramPeer* FindDatagramPeer(size_t number);

  // The name of one of the program's first files.
  static std::string NameOfFile(size_t number) { return "file" + std::to_string(number); }

 private:
  struct Descriptor {
    int fd = -1;  // None when it is in a slot only.
    int slot = -1;
    bool closed = false;
    bool stays_open = false;
  };

  static int32_t Add(std::vector<Descriptor>& objects, Descriptor made) {
    objects.push_back(made);
    return static_cast<int32_t>(objects.size() - 1);
  }
  const Descriptor* Find(int32_t object) const;
  Descriptor* Find(int32_t object);
  void MakeListener();
  void MakePipes(Ring& helper);
  void MakeFiles(Ring& helper);
  void MakeDatagrams(Ring& helper);
  void Register(Ring& ring);

  conformance::World& world_;
  std::array<Descriptor, 1> listener_{};
  std::vector<Descriptor> event_fds_;
  std::vector<Descriptor> sockets_;
  std::vector<Descriptor> pipes_;  // Two ends each.
  std::vector<Descriptor> files_;
  std::vector<Descriptor> datagrams_;
  std::vector<uint16_t> datagram_ports_;
  std::vector<DatagramPeer> datagram_peers_;
  uint16_t port_ = 0;
  uint16_t nobodys_port_ = 0;
  size_t slotted_sockets_ = 0;  // So many are in the slots of their numbers.
};

}  // namespace orrery::acceptor
