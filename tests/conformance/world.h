// A kernel under test and the world around it: the real one on loopback, or the model.
//
// The bodies of the conformance tests see this interface only, so that one body runs on both. What
// it adds to Kernel are the things that a program cannot do to itself: peers on the other end of
// connections, signals, and a limit of descriptors. Nothing here sleeps blindly: the real side
// waits for a condition, with a bound; the model moves its clock. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"

namespace orrery::conformance {

// Which kernel, and when late completions appear.
enum class WorldKind : uint8_t {
  kRealDeferred,   // Linux, SINGLE_ISSUER | DEFER_TASKRUN: inside Enter only.
  kRealPlain,      // Linux, no flags: at any system call and any interrupt.
  kModelDeferred,  // The model of the first,
  kModelPrompt,    // and of the second.
};

// What a peer got when it read.
struct PeerRead {
  std::string bytes;
  bool end = false;    // FIN: nothing will follow.
  bool reset = false;  // RST: nothing will follow, and something may have been lost.
};

// What a datagram peer received.
struct Datagram {
  uint16_t from = 0;  // The sender's port.
  std::string bytes;
};

// The parameters of io_uring_enter(2), but for the descriptor.
struct EnterCall {
  unsigned to_submit = 0;
  unsigned min_complete = 0;
  unsigned flags = 0;              // IORING_ENTER_*
  const void* argument = nullptr;  // A signal mask or, with EXT_ARG, io_uring_getevents_arg.
  size_t argument_bytes = 0;
};

// What can be seen of a descriptor from outside.
struct Description {
  bool close_on_exec = false;
  bool non_blocking = false;
  bool no_delay = false;  // TCP_NODELAY
};

class World {
 public:
  using Peer = uint64_t;

  virtual ~World() = default;

  virtual Kernel& kernel() = 0;
  // A ring in the mode of this world.
  virtual std::expected<std::unique_ptr<Ring>, std::string> MakeRing(
      const RingOptions& options) = 0;
  // io_uring_setup(2): a ring of exactly these parameters, which are filled in.
  virtual std::expected<std::unique_ptr<Ring>, Errno> SetUpRing(unsigned entries,
                                                                io_uring_params& parameters) = 0;
  // io_uring_enter(2) and io_uring_register(2) as they are, for what Ring does not offer.
  virtual EnterResult Enter(int descriptor, const EnterCall& call) = 0;
  virtual std::expected<unsigned, Errno> Register(int descriptor, unsigned opcode,
                                                  const void* argument, unsigned count) = 0;
  // Another thread of the program does this from its beginning to its end, while this one waits.
  virtual void OnAnotherThread(const std::function<void()>& body) = 0;
  // Enters a ring, and while that sleeps another thread does this.
  virtual EnterResult EnterWhile(Ring& ring, const EnterRequest& request,
                                 const std::function<void()>& body) = 0;

  // Called once for each listener of a test: keeps the buffers of its connections small.
  virtual void PrepareListener(int listener) = 0;

  // --- Peers. They never block.
  virtual std::expected<Peer, Errno> Connect(uint16_t port) = 0;
  virtual std::expected<Peer, Errno> ConnectUnix(const std::string& path) = 0;
  // How many of `bytes` entered the stream.
  virtual std::expected<size_t, Errno> Send(Peer peer, std::string_view bytes) = 0;
  // What is there now, at most `bytes_max`.
  virtual PeerRead Receive(Peer peer, size_t bytes_max) = 0;
  virtual void ShutdownWrite(Peer peer) = 0;
  virtual void Close(Peer peer) = 0;
  virtual void Reset(Peer peer) = 0;

  // --- Peers that exchange datagrams, on loopback, each at a port of its own. They never block.
  virtual Peer OpenDatagramPeer() = 0;
  virtual uint16_t DatagramPort(Peer peer) = 0;
  virtual void SendDatagram(Peer peer, uint16_t port, std::string_view bytes) = 0;
  // The oldest one that is there.
  virtual std::optional<Datagram> ReceiveDatagram(Peer peer) = 0;
  virtual void CloseDatagramPeer(Peer peer) = 0;

  // What another thread or a signal handler does to an eventfd.
  virtual void SignalEventFd(int fd) = 0;

  // --- Files.
  // An empty directory of this test's own, which is the working directory from the first call on.
  virtual std::string Directory() = 0;

  // --- Conditions of the program's own open sockets, for "it has arrived, but nobody entered the
  // ring". False: not within the bound.
  virtual bool AwaitReadable(int fd, size_t bytes) = 0;
  virtual bool AwaitHangup(int fd) = 0;    // FIN or RST.
  virtual bool AwaitDatagram(int fd) = 0;  // One at least.
  // What `fd` has sent has gone as far as it can while its peer does not read.
  virtual void AwaitSteadyOutput(int fd) = 0;

  // Lets other things go on for a moment; with a ring that is not deferred, late completions that
  // are due appear.
  virtual void Pause() = 0;

  // From now on every wait is interrupted by a signal, until the next call with false.
  virtual void InterruptWaits(bool on) = 0;
  // REQUIRES: open.
  virtual Description Describe(int fd) = 0;
  // No file grows beyond it, and SIGXFSZ is ignored. Undone at the end.
  virtual void LimitFileSize(size_t bytes) = 0;
  // From the first call on SIGPIPE does not end the program: how often it has been raised since.
  virtual size_t BrokenPipeSignals() = 0;
  // Makes the limit of descriptors so small that a test can reach it. Undone at the end.
  virtual void LowerDescriptorLimit() = 0;
};

}  // namespace orrery::conformance
