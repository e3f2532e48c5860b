// The fake kernel: one per simulated machine. Descriptors, TCP, eventfds, timers, and the rings on
// them.
//
// It implements the cold Kernel interface for the program under test, and a second face for the
// world around it: time that moves only when AdvanceTo() is called, and peers (the other ends of
// TCP connections). Everything that happens inside is a function of the calls made and of the
// choices taken. Single-threaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/errno.h"
#include "base/units.h"
#include "kernel_model/bystander.h"
#include "kernel_model/choice.h"
#include "kernel_model/observer.h"
#include "runtime/ring/kernel.h"

namespace orrery::model {

// How rings are set up: what LiburingRing uses on a modern kernel, and what it falls back to.
enum class TaskWork : uint8_t {
  kDeferred,  // SINGLE_ISSUER | DEFER_TASKRUN: late completions appear in Enter only (facts V3, V5,
              // V7, V7b).
  kPrompt,    // No flags: late completions appear at any moment the world chooses (facts V2, V5).
};

// A rule broken on purpose, so that whoever checks the model can show that it would notice.
enum class Defect : uint8_t {
  kNone,
  kDropEnobufs,       // A multishot receive that finds no buffer waits instead of ending (fact M4).
  kCancelAlwaysWins,  // A cancel that comes too late says that it was in time (fact C1).
  kCloseEndsReceive,  // CLOSE cancels what is armed on the file (fact X1).
};

struct ModelOptions {
  TaskWork task_work = TaskWork::kDeferred;
  // Override the sizes that the program asks for; 0 leaves them. Powers of two.
  unsigned sq_entries = 0;
  unsigned cq_entries = 0;
  // Bytes that one direction of a TCP connection holds before a sender has to wait.
  size_t socket_buffer_bytes = 64 * 1024;
  // Open descriptors allowed; accept answers EMFILE above.
  unsigned descriptors_max = 1024;
  // Seeds Entropy().
  uint64_t entropy_seed = 1;
  Nanoseconds realtime_at_start = 1'700'000'000 * kSecond;
  Defect defect = Defect::kNone;
  // What a delay can be, wherever a choice asks for one. The first is the benign one: 0.
  std::vector<Nanoseconds> delays = {
      0, kMicrosecond, 50 * kMicrosecond, kMillisecond, 40 * kMillisecond, 200 * kMillisecond};
};

// The parameters of io_uring_enter(2), but for the descriptor.
struct EnterCall {
  unsigned to_submit = 0;
  unsigned min_complete = 0;
  unsigned flags = 0;              // IORING_ENTER_*
  const void* argument = nullptr;  // A signal mask or, with EXT_ARG, io_uring_getevents_arg.
  size_t argument_bytes = 0;
};

class Machine;
class ModelRing;

// What a datagram peer receives.
struct PeerDatagram {
  uint16_t from = 0;  // The sender's port.
  std::vector<std::byte> bytes;
};

// What a peer sees when it reads.
struct PeerRead {
  size_t bytes = 0;    // Copied to the caller.
  bool end = false;    // The stream has ended (FIN), and everything before it has been read.
  bool reset = false;  // The connection was reset.
};

class ModelKernel final : public Kernel {
 public:
  // `choice` and `observer` (may be null) must outlive the kernel.
  ModelKernel(const ModelOptions& options, Choice& choice, Observer* observer);
  ~ModelKernel() override;

  // --- Kernel, for the program under test. Rings die before the kernel.
  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override;
  std::expected<int, Errno> Listen(const ListenOptions& options) override;
  std::expected<std::vector<int>, Errno> ListenShared(const ListenOptions& options,
                                                      unsigned sockets) override;
  // Socket files are known by their paths alone, apart from the file system that rings see.
  std::expected<int, Errno> ListenUnix(const UnixListenOptions& options) override;
  void RemoveSocketFile(const std::string& path) override;
  std::expected<uint16_t, Errno> LocalPort(int listener) override;
  // Of a peer of the world's: its number takes the place of its port.
  std::expected<SocketEnds, Errno> Ends(int socket) override;
  std::expected<void, Errno> SetSocketOption(int socket, int level, int option, int value) override;
  std::expected<int, Errno> MakeEventFd() override;
  void SignalEventFd(int fd) override;
  void Close(int fd) override;
  std::expected<uint64_t, Errno> RaiseDescriptorLimit() override;
  Nanoseconds MonotonicNow() override;
  Nanoseconds RealtimeNow() override;
  ProcessUsage Usage() override;
  void Entropy(std::span<std::byte> bytes) override;

  // io_uring_setup(2): a ring as `parameters` ask for, which are filled in as the kernel does, but
  // for what a ring without mmap has no use for. MakeRing() is this with the flags of LiburingRing.
  std::expected<std::unique_ptr<ModelRing>, Errno> SetUpRing(unsigned entries,
                                                             io_uring_params& parameters);
  // io_uring_enter(2) and io_uring_register(2) as they are, for what Ring does not offer: other
  // flags, a signal mask, the errors of a wrong descriptor. A call that sleeps steps the world, as
  // ModelRing::Enter() does.
  EnterResult Enter(int descriptor, const EnterCall& call);
  std::expected<unsigned, Errno> Register(int descriptor, unsigned opcode, const void* argument,
                                          unsigned count);
  // The program's thread that the calls from now on come from; the first is 0. A ring of
  // SINGLE_ISSUER refuses others (facts S7, S8).
  void SwitchThread(unsigned thread);

  // --- Time, for the world. Nothing inside happens by itself: timers and delayed wake-ups wait for
  // AdvanceTo. When the next timer or delayed wake-up is due; kNever when there is none.
  Nanoseconds NextEventAt() const;
  // REQUIRES: now <= time. Everything due by then happens, in order.
  void AdvanceTo(Nanoseconds time);
  // Somebody sets CLOCK_REALTIME, forwards or back. The monotonic clock knows nothing of it.
  void JumpRealtime(Nanoseconds by);

  // --- Rings, for the world: in the order of their creation; null where one has been destroyed.
  std::vector<ModelRing*> rings() const;

  // --- Peers, for the world: the other end of a TCP connection to a listener of the program under
  // test.
  using PeerId = uint64_t;  // The number of its connection, given in order; never reused.
  // Connects; completes at once. ECONNREFUSED: nobody listens on `port`. EAGAIN: the backlog is
  // full.
  std::expected<PeerId, Errno> PeerConnect(uint16_t port);
  // The same to a UNIX socket. ENOENT: there is no such file.
  std::expected<PeerId, Errno> PeerConnectUnix(const std::string& path);
  // How many of `bytes` entered the stream; 0 when it is full. EPIPE, ECONNRESET: it never will
  // again. A peer that has closed or reset its end may still be asked anything: nothing happens.
  std::expected<size_t, Errno> PeerSend(PeerId peer, std::span<const std::byte> bytes);
  PeerRead PeerReceive(PeerId peer, std::span<std::byte> bytes);
  void PeerShutdownWrite(PeerId peer);
  // close(2): a FIN, or a reset when unread bytes are left.
  void PeerClose(PeerId peer);
  void PeerReset(PeerId peer);
  // Bytes that PeerReceive would give now, and whether it would report the end or a reset after
  // them.
  size_t PeerReadable(PeerId peer) const;
  bool PeerEnded(PeerId peer) const;

  // --- Peers that exchange datagrams: sockets elsewhere, each at a port of its own.
  PeerId OpenDatagramPeer();
  uint16_t DatagramPort(PeerId peer) const;
  // To a socket of the program or another peer; lost when nobody is there or it has no room.
  void PeerSendDatagram(PeerId peer, uint16_t port, std::span<const std::byte> bytes);
  // The oldest that is there.
  std::optional<PeerDatagram> PeerReceiveDatagram(PeerId peer);
  void CloseDatagramPeer(PeerId peer);

  // --- What else a program sees of its descriptors. REQUIRES: open.
  bool IsCloseOnExec(int fd) const;
  bool IsNonBlocking(int fd) const;
  // getsockopt(2) of an int option that SetSocketOption() knows.
  std::expected<int, Errno> SocketOption(int socket, int level, int option) const;
  // setrlimit(2), RLIMIT_FSIZE, of a program that ignores SIGXFSZ.
  void LimitFileSize(uint64_t bytes);

  // From the first call on a broken pipe is no violation: the program handles SIGPIPE. How often it
  // has been raised since.
  size_t HandleBrokenPipes();

  // --- What happens while the program is inside Enter.
  // Null takes it away. It must outlive its last Enter.
  void SetBystander(Bystander* bystander);
  // Runs the worker that has a ring's operation with this user data. False: there is none, or it
  // does not wait for this.
  bool RunWorker(uint64_t ring, uint64_t user_data);

  // --- For checks at the end of a run.
  // Descriptors that are open, those of rings not counted.
  size_t open_descriptors() const;
  // Files that are open, be it by requests and fixed slots alone.
  size_t open_files() const;
  // SQEs consumed by any ring whose terminal CQE has not been posted. A CQE in the overflow backlog
  // counts as posted.
  size_t requests_in_flight() const;

 private:
  friend class ModelRing;
  friend class Program;

  // One more that shares the port of a listener.
  std::expected<int, Errno> ListenBeside(int listener);

  std::unique_ptr<Machine> machine_;
};

}  // namespace orrery::model
