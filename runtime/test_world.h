// A kernel and the other ends of its connections, for tests that run on both kernels.
//
// One test body drives a Reactor and talks to it as its peers do; whether Linux or the fake kernel
// stands behind is the fixture's parameter. Peers never block. Test code only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/ring/kernel.h"

namespace orrery {

// What a peer has read up to now.
struct PeerInput {
  std::string bytes;
  bool end = false;    // The stream ended (FIN).
  bool reset = false;  // The connection was reset.
};

class TestWorld {
 public:
  using Peer = uint64_t;

  virtual ~TestWorld() = default;

  virtual Kernel& kernel() = 0;

  // Makes the connections of `listener` small, where the world was asked to.
  virtual void Prepare(int listener) = 0;
  // Connects to a listener of this world. It must succeed.
  virtual Peer Connect(uint16_t port) = 0;
  // How many of `bytes` the stream took.
  virtual size_t Send(Peer peer, std::string_view bytes) = 0;
  // Appends to `input` what there is to read, at most `bytes_max`.
  virtual void Receive(Peer peer, PeerInput& input, size_t bytes_max) = 0;
  virtual void ShutdownWrite(Peer peer) = 0;
  virtual void Close(Peer peer) = 0;
  virtual void Reset(Peer peer) = 0;
  virtual void Ring(int eventfd) = 0;
  // What a timer interrupt does while the program runs: late completions may arrive now, and
  // published buffers be written.
  virtual void Interrupt() = 0;
  // Buffers of a group of the world's only ring that the kernel has, where it can be asked.
  virtual std::optional<size_t> ProvidedBuffers(uint16_t group) = 0;

  // Descriptors that the program under test has open. Compare two of them; one alone says nothing.
  virtual size_t open_descriptors() = 0;
};

// The real kernel, on loopback. `socket_buffer_bytes` is asked for on both ends; 0 leaves the
// default.
std::unique_ptr<TestWorld> MakeLinuxWorld(int socket_buffer_bytes);

}  // namespace orrery
