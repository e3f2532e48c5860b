#include "tests/conformance/real_world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/check.h"
#include "base/loopback.h"
#include "base/units.h"
#include "runtime/ring/liburing_ring.h"
#include "runtime/ring/linux_kernel.h"
#include "tests/conformance/raw_ring.h"

namespace orrery::conformance {
namespace {

// A condition that loopback fulfils in microseconds, unless the machine is badly overloaded.
constexpr Nanoseconds kConditionBound = 5 * kSecond;
// A stream that nobody reads and that did not move for this long does not move any more: longer
// than a delayed acknowledgement takes.
constexpr Nanoseconds kSteady = 60 * kMillisecond;
// Small, so that tests fill a stream with little, but above what the kernel rounds up.
constexpr int kSocketBufferBytes = 64 * 1024;
// Loopback's segments are larger than these windows, which would let a sender keep a part of the
// window for a later probe.
constexpr int kSegmentBytes = 1024;
constexpr Nanoseconds kSignalPeriod = 10 * kMillisecond;
// Descriptors left to a test that wants to run out of them.
constexpr rlim_t kFewDescriptors = 8;
constexpr size_t kDatagramBytesMax = 65507;

// Signal handlers see nothing else.
volatile sig_atomic_t broken_pipe_signals = 0;

// A number that the program has closed must not become a peer's, which lives in the same process.
// As it was, where the limit of descriptors is low.
int MoveAside(int fd) {
  constexpr int kPeersFirst = 512;
  const int aside = ::fcntl(fd, F_DUPFD_CLOEXEC, kPeersFirst);
  if (aside < 0) return fd;
  ::close(fd);
  return aside;
}

class RealWorld final : public World {
 public:
  explicit RealWorld(bool deferred) : deferred_(deferred) {
    ORRERY_CHECK_OP(::getrlimit(RLIMIT_NOFILE, &limit_at_start_), ==, 0);
  }

  ~RealWorld() override {
    InterruptWaits(false);
    if (sigpipe_before_) {
      ORRERY_CHECK_OP(::sigaction(SIGPIPE, &*sigpipe_before_, nullptr), ==, 0);
    }
    if (file_limit_before_) {
      ORRERY_CHECK_OP(::setrlimit(RLIMIT_FSIZE, &*file_limit_before_), ==, 0);
    }
    if (directory_) {
      std::filesystem::current_path(directory_->working_before);
      std::filesystem::remove_all(directory_->path);
    }
    for (const auto& [peer, fd] : peers_) ::close(fd);
    ORRERY_CHECK_OP(::setrlimit(RLIMIT_NOFILE, &limit_at_start_), ==, 0);
  }

  Kernel& kernel() override { return kernel_; }

  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override {
    const RingMode mode = deferred_ ? RingMode::kDeferred : RingMode::kPlain;
    auto ring = LiburingRing::Create(options, mode);
    if (!ring) return std::unexpected(ring.error());
    if ((*ring)->mode() != mode) {
      return std::unexpected("this kernel does not have the mode under test: " +
                             (*ring)->description());
    }
    return *std::move(ring);
  }

  std::expected<std::unique_ptr<Ring>, Errno> SetUpRing(unsigned entries,
                                                        io_uring_params& parameters) override {
    // The kernel takes a ring's memory down, and off the user's limit, some time after it was
    // closed.
    std::expected<std::unique_ptr<Ring>, Errno> ring;
    const io_uring_params asked = parameters;
    (void)Await([&] {
      parameters = asked;
      ring = RawRing::SetUp(entries, parameters);
      return ring.has_value() || ring.error() != ENOMEM;
    });
    return ring;
  }

  EnterResult Enter(int descriptor, const EnterCall& call) override {
    const long result = ::syscall(SYS_io_uring_enter, descriptor, call.to_submit, call.min_complete,
                                  call.flags, call.argument, call.argument_bytes);
    if (result < 0) return std::unexpected(Errno(errno));
    return static_cast<unsigned>(result);
  }

  std::expected<unsigned, Errno> Register(int descriptor, unsigned opcode, const void* argument,
                                          unsigned count) override {
    const long result = ::syscall(SYS_io_uring_register, descriptor, opcode, argument, count);
    if (result < 0) return std::unexpected(Errno(errno));
    return static_cast<unsigned>(result);
  }

  void OnAnotherThread(const std::function<void()>& body) override { std::thread(body).join(); }

  EnterResult EnterWhile(Ring& ring, const EnterRequest& request,
                         const std::function<void()>& body) override {
    std::thread other([&] {
      Pause();  // It need not sleep by then; most often it does.
      body();
    });
    const EnterResult entered = ring.Enter(request);
    other.join();
    return entered;
  }

  void PrepareListener(int listener) override {
    // Accepted sockets inherit it.
    ORRERY_CHECK(kernel_.SetSocketOption(listener, SOL_SOCKET, SO_SNDBUF, kSocketBufferBytes));
  }

  std::expected<Peer, Errno> Connect(uint16_t port) override {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return std::unexpected(Errno(errno));
    ORRERY_CHECK(kernel_.SetSocketOption(fd, SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes));
    ORRERY_CHECK(kernel_.SetSocketOption(fd, IPPROTO_TCP, TCP_MAXSEG, kSegmentBytes));
    // What a peer sends leaves at once, whatever is not acknowledged yet.
    ORRERY_CHECK(kernel_.SetSocketOption(fd, IPPROTO_TCP, TCP_NODELAY, 1));
    const sockaddr_in address = Loopback(port);
    // The socket calls take every family through one type. On loopback this does not wait for an
    // accept.
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const int error = errno;
      ::close(fd);
      return std::unexpected(Errno(error));
    }
    peers_[++last_peer_] = MoveAside(fd);
    return last_peer_;
  }

  std::expected<Peer, Errno> ConnectUnix(const std::string& path) override {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ORRERY_CHECK(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return std::unexpected(Errno(errno));
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const int error = errno;
      ::close(fd);
      return std::unexpected(Errno(error));
    }
    peers_[++last_peer_] = MoveAside(fd);
    return last_peer_;
  }

  std::expected<size_t, Errno> Send(Peer peer, std::string_view bytes) override {
    const ssize_t sent =
        ::send(peers_.at(peer), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN) return 0;
    return std::unexpected(Errno(errno));
  }

  PeerRead Receive(Peer peer, size_t bytes_max) override {
    PeerRead read;
    read.bytes.resize(bytes_max);
    const ssize_t got = ::recv(peers_.at(peer), read.bytes.data(), bytes_max, MSG_DONTWAIT);
    read.end = got == 0 && bytes_max > 0;
    read.reset = got < 0 && errno == ECONNRESET;
    if (got < 0) ORRERY_CHECK(errno == EAGAIN || errno == ECONNRESET);
    read.bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return read;
  }

  void ShutdownWrite(Peer peer) override {
    // A connection that was reset is in no state to be shut down.
    ORRERY_CHECK(::shutdown(peers_.at(peer), SHUT_WR) == 0 || errno == ENOTCONN);
  }

  void Close(Peer peer) override {
    ORRERY_CHECK_OP(::close(peers_.at(peer)), ==, 0);
    peers_.erase(peer);
  }

  void Reset(Peer peer) override {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ORRERY_CHECK_OP(::setsockopt(peers_.at(peer), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once),
                    ==, 0);
    Close(peer);
  }

  Peer OpenDatagramPeer() override {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ORRERY_CHECK(fd >= 0);
    const sockaddr_in address = Loopback(0);
    // The socket calls take every family through one type.
    ORRERY_CHECK_OP(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), ==, 0);
    peers_[++last_peer_] = MoveAside(fd);
    return last_peer_;
  }

  uint16_t DatagramPort(Peer peer) override { return kernel_.LocalPort(peers_.at(peer)).value(); }

  void SendDatagram(Peer peer, uint16_t port, std::string_view bytes) override {
    const sockaddr_in address = Loopback(port);
    // As above.
    const ssize_t sent = ::sendto(peers_.at(peer), bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ORRERY_CHECK_OP(sent, ==, static_cast<ssize_t>(bytes.size()));
  }

  std::optional<Datagram> ReceiveDatagram(Peer peer) override {
    Datagram datagram;
    datagram.bytes.resize(kDatagramBytesMax);
    sockaddr_in from{};
    socklen_t from_bytes = sizeof from;
    // As above.
    const ssize_t got = ::recvfrom(peers_.at(peer), datagram.bytes.data(), datagram.bytes.size(),
                                   MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (got < 0) {
      ORRERY_CHECK_OP(errno, ==, EAGAIN);
      return std::nullopt;
    }
    datagram.from = ntohs(from.sin_port);
    datagram.bytes.resize(static_cast<size_t>(got));
    return datagram;
  }

  void CloseDatagramPeer(Peer peer) override { Close(peer); }

  std::string Directory() override {
    if (!directory_) {
      std::string path = std::filesystem::temp_directory_path() / "conformance.XXXXXX";
      // Bazel's, where there is one.
      if (const char* own = std::getenv("TEST_TMPDIR")) path = std::string(own) + "/files.XXXXXX";
      ORRERY_CHECK(::mkdtemp(path.data()) != nullptr);
      directory_ = {.path = path, .working_before = std::filesystem::current_path()};
      std::filesystem::current_path(path);
    }
    return directory_->path;
  }

  void SignalEventFd(int fd) override { ORRERY_CHECK_OP(::eventfd_write(fd, 1), ==, 0); }

  bool AwaitReadable(int fd, size_t bytes) override {
    return Await([&] {
      int readable = 0;
      ORRERY_CHECK_OP(::ioctl(fd, FIONREAD, &readable), ==, 0);
      return readable >= static_cast<int>(bytes);
    });
  }

  bool AwaitHangup(int fd) override {
    pollfd poll{.fd = fd, .events = POLLRDHUP, .revents = 0};
    return ::poll(&poll, 1, kConditionBound / kMillisecond) == 1;
  }

  bool AwaitDatagram(int fd) override {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, kConditionBound / kMillisecond) == 1;
  }

  void AwaitSteadyOutput(int fd) override {
    int last = -1;
    Nanoseconds steady_since = 0;
    (void)Await([&] {
      int queued = 0;
      ORRERY_CHECK_OP(::ioctl(fd, SIOCOUTQ, &queued), ==, 0);
      const Nanoseconds now = kernel_.MonotonicNow();
      if (queued != last) steady_since = now;
      last = queued;
      return now - steady_since >= kSteady;
    });
  }

  void Pause() override {
    const timespec moment{.tv_sec = 0, .tv_nsec = 100 * kMicrosecond};
    (void)::nanosleep(&moment, nullptr);  // Cut short is as good.
  }

  void InterruptWaits(bool on) override {
    if (on == timer_.has_value()) return;
    if (!on) {
      ORRERY_CHECK_OP(::timer_delete(*timer_), ==, 0);
      timer_.reset();
      return;
    }
    struct sigaction action{};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;  // It is not restarted even so.
    ORRERY_CHECK_OP(::sigaction(SIGUSR1, &action, nullptr), ==, 0);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    timer_t timer{};
    ORRERY_CHECK_OP(::timer_create(CLOCK_MONOTONIC, &event, &timer), ==, 0);
    timer_ = timer;
    const timespec period{.tv_sec = 0, .tv_nsec = kSignalPeriod};
    const itimerspec periods{.it_interval = period, .it_value = period};
    ORRERY_CHECK_OP(::timer_settime(timer, 0, &periods, nullptr), ==, 0);
  }

  Description Describe(int fd) override {
    int no_delay = 0;
    socklen_t bytes = sizeof no_delay;
    (void)::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &bytes);  // 0 if it is no socket.
    return {.close_on_exec = (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
            .non_blocking = (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0,
            .no_delay = no_delay != 0};
  }

  void LimitFileSize(size_t bytes) override {
    rlimit limit{};
    ORRERY_CHECK_OP(::getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    if (!file_limit_before_) file_limit_before_ = limit;
    limit.rlim_cur = bytes;
    ORRERY_CHECK(::signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ORRERY_CHECK_OP(::setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
  }

  size_t BrokenPipeSignals() override {
    if (!sigpipe_before_) {
      broken_pipe_signals = 0;
      struct sigaction action{};
      action.sa_handler = [](int) { broken_pipe_signals = broken_pipe_signals + 1; };
      struct sigaction before{};
      ORRERY_CHECK_OP(::sigaction(SIGPIPE, &action, &before), ==, 0);
      sigpipe_before_ = before;
    }
    return static_cast<size_t>(broken_pipe_signals);
  }

  void LowerDescriptorLimit() override {
    const int lowest_free = ::dup(0);
    ORRERY_CHECK(lowest_free >= 0);
    ::close(lowest_free);
    rlimit few = limit_at_start_;
    few.rlim_cur = static_cast<rlim_t>(lowest_free) + kFewDescriptors;
    ORRERY_CHECK_OP(::setrlimit(RLIMIT_NOFILE, &few), ==, 0);
  }

 private:
  template <typename Condition>
  bool Await(Condition condition) {
    const Nanoseconds bound = kernel_.MonotonicNow() + kConditionBound;
    while (!condition()) {
      if (kernel_.MonotonicNow() > bound) return false;
      Pause();
    }
    return true;
  }

  struct OwnDirectory {
    std::string path;
    std::filesystem::path working_before;
  };

  bool deferred_;
  LinuxKernel kernel_;
  rlimit limit_at_start_{};
  std::map<Peer, int> peers_;
  Peer last_peer_ = 0;
  std::optional<timer_t> timer_;
  std::optional<rlimit> file_limit_before_;
  std::optional<struct sigaction> sigpipe_before_;
  std::optional<OwnDirectory> directory_;
};

}  // namespace

std::unique_ptr<World> MakeRealWorld(bool deferred) {
  return std::make_unique<RealWorld>(deferred);
}

}  // namespace orrery::conformance
