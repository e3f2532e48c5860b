#include "runtime/ring/linux_kernel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "runtime/ring/liburing_ring.h"

namespace orrery {
namespace {

std::unexpected<Errno> LastError() { return std::unexpected(Errno(errno)); }

Nanoseconds Now(clockid_t clock) {
  timespec now{};
  ORRERY_CHECK_OP(::clock_gettime(clock, &now), ==, 0);
  return now.tv_sec * kSecond + now.tv_nsec;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  // The socket calls take every family through this one type.
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }
};

std::string FormatUnix(const SocketAddress& address) {
  const auto& name = reinterpret_cast<const sockaddr_un&>(address.storage);
  const size_t offset = offsetof(sockaddr_un, sun_path);
  const size_t bytes = address.bytes > offset ? address.bytes - offset : 0;
  return std::string(name.sun_path, ::strnlen(name.sun_path, bytes)) + ":0";
}

std::string Format(const SocketAddress& address) {
  if (address.storage.ss_family == AF_UNIX) return FormatUnix(address);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
    (void)::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());  // It always fits.
    return std::string("[") + text.data() + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
  (void)::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
}

Nanoseconds InNanoseconds(const timeval& time) {
  return time.tv_sec * kSecond + time.tv_usec * kMicrosecond;
}

// A stream socket that is bound to the address; `shared`: as one of several.
std::expected<int, Errno> Bind(SocketAddress& address, bool shared) {
  const sa_family_t family = address.storage.ss_family;
  const int listener = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return LastError();
  const int on = 1;
  const int off = 0;
  // SO_REUSEADDR lets a restarted server have its port back from connections in TIME_WAIT; it never
  // shares a port with a listener.
  if (::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (shared && ::setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      (family == AF_INET6 &&
       ::setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
      ::bind(listener, address.generic(), address.bytes) != 0) {
    const auto error = LastError();
    (void)::close(listener);
    return error;
  }
  return listener;
}

// Nothing: the path is too long for an address.
std::optional<SocketAddress> UnixAddress(const std::string& path) {
  SocketAddress address;
  auto& name = reinterpret_cast<sockaddr_un&>(address.storage);
  name.sun_family = AF_UNIX;
  address.bytes = sizeof name;
  if (path.size() >= sizeof name.sun_path) return std::nullopt;
  path.copy(name.sun_path, path.size());
  return address;
}

enum class Listening : uint8_t { kNobody, kThisProcess, kOthers };

// Who listens at the socket file.
Listening WhoListens(SocketAddress& address) {
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return Listening::kOthers;
  Listening who = Listening::kOthers;
  if (::connect(probe, address.generic(), address.bytes) == 0) {
    // Of who called listen(2): unix(7).
    ucred peer{};
    socklen_t bytes = sizeof peer;
    const bool known = ::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0;
    if (known && peer.pid == ::getpid()) who = Listening::kThisProcess;
  } else if (errno == ECONNREFUSED || errno == ENOENT) {
    // Otherwise, without permission or with a full backlog, somebody may be there.
    who = Listening::kNobody;
  }
  (void)::close(probe);
  return who;
}

bool IsSocketFile(const std::string& path) {
  struct stat file{};
  return ::lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode);
}

// While one lives, no other process that takes one changes socket files of the same folder: between
// looking at a file and acting on that, or between bind(2) and listen(2), it does not become
// another's. A folder that cannot be opened, or that is locked for long, goes unlocked.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    fd_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int tries = 0; fd_ >= 0 && tries < kTries; ++tries) {
      if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
      (void)::poll(nullptr, 0, kTryMs);
    }
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) (void)::close(fd_);
  }

 private:
  static constexpr int kTries = 1000;
  static constexpr int kTryMs = 2;
  int fd_;
};

std::optional<SocketAddress> ParseAddress(const std::string& text, uint16_t port) {
  SocketAddress address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.bytes = sizeof v4;
    return address;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.bytes = sizeof v6;
    return address;
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::unique_ptr<Ring>, std::string> LinuxKernel::MakeRing(
    const RingOptions& options) {
  return LiburingRing::Create(options);
}

std::expected<int, Errno> LinuxKernel::Listen(const ListenOptions& options) {
  std::optional<SocketAddress> address = ParseAddress(options.address, options.port);
  if (!address) return std::unexpected(Errno(EINVAL));
  const auto listener = Bind(*address, /*shared=*/false);
  if (!listener) return listener;
  if (::listen(*listener, options.backlog) == 0) return listener;
  const auto error = LastError();
  Close(*listener);
  return error;
}

std::expected<std::vector<int>, Errno> LinuxKernel::ListenShared(const ListenOptions& options,
                                                                 unsigned sockets) {
  ORRERY_CHECK(sockets >= 1);
  std::optional<SocketAddress> address = ParseAddress(options.address, options.port);
  if (!address) return std::unexpected(Errno(EINVAL));
  std::vector<int> listeners;
  const auto fail = [&](Errno error) {
    for (const int listener : listeners) Close(listener);
    return std::unexpected(error);
  };
  const int on = 1;
  for (unsigned number = 0; number < sockets; ++number) {
    // The first asks for the port alone, which shows whether anybody has it, and shares it then.
    const auto listener = Bind(*address, /*shared=*/number > 0);
    if (!listener) return fail(listener.error());
    listeners.push_back(*listener);
    if (number > 0) continue;
    if (::setsockopt(*listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        ::getsockname(*listener, address->generic(), &address->bytes) != 0) {
      return fail(Errno(errno));
    }
  }
  for (const int listener : listeners) {
    if (::listen(listener, options.backlog) != 0) return fail(Errno(errno));
  }
  return listeners;
}

std::expected<int, Errno> LinuxKernel::ListenUnix(const UnixListenOptions& options) {
  std::optional<SocketAddress> address = UnixAddress(options.path);
  if (!address) return std::unexpected(Errno(ENAMETOOLONG));
  const FolderLock lock(options.path);
  if (IsSocketFile(options.path) && WhoListens(*address) == Listening::kNobody) {
    (void)::unlink(options.path.c_str());  // If that fails, so does bind(2).
  }
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return LastError();
  const bool bound = ::bind(listener, address->generic(), address->bytes) == 0;
  // Before listen(2): nobody connects with other permissions.
  if (!bound ||
      (options.permissions != 0 && ::chmod(options.path.c_str(), options.permissions) != 0) ||
      ::listen(listener, options.backlog) != 0) {
    const auto error = LastError();
    if (bound) (void)::unlink(options.path.c_str());
    Close(listener);
    return error;
  }
  return listener;
}

void LinuxKernel::RemoveSocketFile(const std::string& path) {
  std::optional<SocketAddress> address = UnixAddress(path);
  if (!address) return;
  const FolderLock lock(path);
  if (WhoListens(*address) == Listening::kOthers) return;
  (void)::unlink(path.c_str());  // Gone already, or not ours to remove: nothing follows from it.
}

std::expected<uint16_t, Errno> LinuxKernel::LocalPort(int listener) {
  SocketAddress address;
  address.bytes = sizeof address.storage;
  if (::getsockname(listener, address.generic(), &address.bytes) != 0) return LastError();
  if (address.storage.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address.storage).sin_port);
  }
  if (address.storage.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port);
  }
  return std::unexpected(Errno(EAFNOSUPPORT));
}

std::expected<SocketEnds, Errno> LinuxKernel::Ends(int socket) {
  SocketAddress local;
  local.bytes = sizeof local.storage;
  SocketAddress peer = local;
  if (::getsockname(socket, local.generic(), &local.bytes) != 0) return LastError();
  if (::getpeername(socket, peer.generic(), &peer.bytes) != 0) return LastError();
  // A peer that came to a UNIX socket has no name of its own.
  const bool is_unix = local.storage.ss_family == AF_UNIX;
  return SocketEnds{.local = Format(local), .peer = Format(is_unix ? local : peer)};
}

std::expected<void, Errno> LinuxKernel::SetSocketOption(int socket, int level, int option,
                                                        int value) {
  if (::setsockopt(socket, level, option, &value, sizeof value) != 0) return LastError();
  return {};
}

std::expected<int, Errno> LinuxKernel::MakeEventFd() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return LastError();
  return fd;
}

void LinuxKernel::SignalEventFd(int fd) {
  if (::eventfd_write(fd, 1) == 0) return;
  ORRERY_CHECK_MSG(errno == EAGAIN, "what is rung is no open eventfd");
}

void LinuxKernel::Close(int fd) {
  // Whatever else close(2) answers, EINTR included, the descriptor is gone.
  if (::close(fd) != 0) ORRERY_CHECK_MSG(errno != EBADF, "close of a descriptor that is not open");
}

std::expected<uint64_t, Errno> LinuxKernel::RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return LastError();
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return LastError();
  return uint64_t{limit.rlim_cur};
}

Nanoseconds LinuxKernel::MonotonicNow() { return Now(CLOCK_MONOTONIC); }

Nanoseconds LinuxKernel::RealtimeNow() { return Now(CLOCK_REALTIME); }

ProcessUsage LinuxKernel::Usage() {
  ProcessUsage usage;
  rusage process{};
  rusage thread{};
  ORRERY_CHECK_OP(::getrusage(RUSAGE_SELF, &process), ==, 0);
  ORRERY_CHECK_OP(::getrusage(RUSAGE_THREAD, &thread), ==, 0);
  usage.user = InNanoseconds(process.ru_utime);
  usage.system = InNanoseconds(process.ru_stime);
  usage.thread_user = InNanoseconds(thread.ru_utime);
  usage.thread_system = InNanoseconds(thread.ru_stime);
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  usage.machine_bytes = page_bytes * static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES));
  // "SIZE RESIDENT ...", in pages.
  unsigned long long resident_pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%*u %llu", &resident_pages) != 1) resident_pages = 0;
    std::fclose(file);
  }
  usage.resident_bytes = resident_pages * page_bytes;
  return usage;
}

void LinuxKernel::Entropy(std::span<std::byte> bytes) {
  // Large requests may be cut short by a signal; each call that succeeds makes progress.
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0) {
      ORRERY_CHECK_OP(errno, ==, EINTR);
      continue;
    }
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

}  // namespace orrery
