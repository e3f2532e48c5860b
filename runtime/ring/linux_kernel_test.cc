// What the server takes for granted about the system: a taken port is refused, and no descriptor
// leaks into a child.
#include "runtime/ring/linux_kernel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <thread>

#include "base/loopback.h"
#include "gtest/gtest.h"

namespace orrery {
namespace {

// Until a thread that computes is seen to have used its processor, on a machine that is busy.
constexpr Nanoseconds kSpinBound = 20 * kSecond;

class LinuxKernelTest : public testing::Test {
 protected:
  // A listener of somebody else's on 127.0.0.1, with the given options set; its port in `port`.
  static int ForeignListener(std::initializer_list<int> options, uint16_t* port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_GE(fd, 0);
    const int on = 1;
    for (const int option : options) {
      EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, option, &on, sizeof on), 0);
    }
    sockaddr_in address = Loopback(0);
    socklen_t bytes = sizeof address;
    // The socket calls take every family through one type.
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(fd, generic, sizeof address), 0);
    EXPECT_EQ(::listen(fd, 5), 0);
    EXPECT_EQ(::getsockname(fd, generic, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
  }

  static bool IsCloseOnExec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

  LinuxKernel kernel_;
};

TEST_F(LinuxKernelTest, ListensOnAPortOfTheKernelsChoice) {
  const auto listener = kernel_.Listen({});
  ASSERT_TRUE(listener);
  EXPECT_TRUE(IsCloseOnExec(*listener));
  const auto port = kernel_.LocalPort(*listener);
  ASSERT_TRUE(port);
  EXPECT_NE(*port, 0);
  int reuse_port = 1;
  socklen_t bytes = sizeof reuse_port;
  ASSERT_EQ(::getsockopt(*listener, SOL_SOCKET, SO_REUSEPORT, &reuse_port, &bytes), 0);
  EXPECT_EQ(reuse_port, 0);
  kernel_.Close(*listener);
}

TEST_F(LinuxKernelTest, ListensOnIpv6) {
  const auto listener = kernel_.Listen({.address = "::1"});
  if (!listener && listener.error() == EADDRNOTAVAIL) GTEST_SKIP() << "no IPv6 here";
  ASSERT_TRUE(listener) << listener.error().ToString();
  EXPECT_NE(kernel_.LocalPort(*listener).value(), 0);
  kernel_.Close(*listener);
}

TEST_F(LinuxKernelTest, TellsTheEndsOfAConnection) {
  for (const bool v6 : {false, true}) {
    const std::string host = v6 ? "::1" : "127.0.0.1";
    const auto listener = kernel_.Listen({.address = host});
    if (!listener) continue;  // No IPv6 here.
    EXPECT_EQ(kernel_.Ends(*listener).error(), Errno(ENOTCONN));
    sockaddr_storage address{};
    socklen_t bytes = sizeof address;
    ASSERT_EQ(::getsockname(*listener, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    const int peer = ::socket(address.ss_family, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(peer, reinterpret_cast<sockaddr*>(&address), bytes), 0);
    const int accepted = ::accept(*listener, nullptr, nullptr);
    const auto ends = kernel_.Ends(accepted);
    const auto others = kernel_.Ends(peer);
    ASSERT_TRUE(ends && others);
    EXPECT_EQ(ends->local, (v6 ? "[" + host + "]:" : host + ":") +
                               std::to_string(*kernel_.LocalPort(*listener)));
    EXPECT_EQ(ends->local, others->peer);
    EXPECT_EQ(ends->peer, others->local);
    for (const int fd : {*listener, peer, accepted}) kernel_.Close(fd);
  }
  EXPECT_EQ(kernel_.Ends(-1).error(), Errno(EBADF));
}

// Several shards listen on one port; a port that anybody else has is an error all the same.
TEST_F(LinuxKernelTest, SharesAPortWithItselfOnly) {
  const auto listeners = kernel_.ListenShared({}, 3);
  ASSERT_TRUE(listeners) << listeners.error().ToString();
  ASSERT_EQ(listeners->size(), 3U);
  const uint16_t port = kernel_.LocalPort(listeners->front()).value();
  for (const int listener : *listeners) {
    EXPECT_TRUE(IsCloseOnExec(listener));
    EXPECT_EQ(kernel_.LocalPort(listener).value(), port);
  }
  EXPECT_EQ(kernel_.ListenShared({.port = port}, 2).error(), Errno(EADDRINUSE));
  EXPECT_EQ(kernel_.Listen({.port = port}).error(), Errno(EADDRINUSE));
  for (const int listener : *listeners) kernel_.Close(listener);
  const auto alone = kernel_.ListenShared({.port = port}, 1);
  ASSERT_TRUE(alone) << alone.error().ToString();
  kernel_.Close(alone->front());

  uint16_t foreign_port = 0;
  for (const int option : {SO_REUSEADDR, SO_REUSEPORT}) {
    const int foreign = ForeignListener({SO_REUSEADDR, option}, &foreign_port);
    EXPECT_EQ(kernel_.ListenShared({.port = foreign_port}, 2).error(), Errno(EADDRINUSE));
    kernel_.Close(foreign);
  }
  EXPECT_EQ(kernel_.ListenShared({.address = "nowhere"}, 2).error(), Errno(EINVAL));
}

class UnixListener : public LinuxKernelTest {
 protected:
  UnixListener() { ::unlink(path_.c_str()); }
  ~UnixListener() override { ::unlink(path_.c_str()); }

  int Connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    const int peer = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return peer;
  }
  unsigned Permissions() const {
    struct stat file{};
    EXPECT_EQ(::lstat(path_.c_str(), &file), 0);
    return file.st_mode & 07777U;
  }

  // The name is short wherever the tests run: an address has room for some hundred bytes.
  const std::string path_ = "/tmp/orrery-listener-" + std::to_string(::getpid());
};

TEST_F(UnixListener, HasItsPermissionsAndTellsItsPath) {
  const auto listener = kernel_.ListenUnix({.path = path_, .permissions = 0720});
  ASSERT_TRUE(listener) << listener.error().ToString();
  EXPECT_TRUE(IsCloseOnExec(*listener));
  EXPECT_EQ(Permissions(), 0720U);
  EXPECT_EQ(kernel_.LocalPort(*listener).error(), Errno(EAFNOSUPPORT));
  const int peer = Connect();
  const int accepted = ::accept(*listener, nullptr, nullptr);
  const auto ends = kernel_.Ends(accepted);
  ASSERT_TRUE(ends);
  EXPECT_EQ(ends->local, path_ + ":0");
  EXPECT_EQ(ends->peer, path_ + ":0");
  for (const int fd : {*listener, peer, accepted}) kernel_.Close(fd);
}

TEST_F(UnixListener, ReplacesAFileThatNobodyListensAt) {
  const auto first = kernel_.ListenUnix({.path = path_});
  ASSERT_TRUE(first);
  EXPECT_EQ(kernel_.ListenUnix({.path = path_}).error(), Errno(EADDRINUSE));
  kernel_.Close(Connect());  // It still listens.
  kernel_.Close(*first);
  const auto second = kernel_.ListenUnix({.path = path_});
  ASSERT_TRUE(second) << second.error().ToString();
  kernel_.Close(Connect());
  kernel_.RemoveSocketFile(path_);
  kernel_.Close(*second);
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
}

// What another process runs: its own kernel, and its end.
template <typename Body>
pid_t Fork(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  return child;
}
bool Succeeds(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A server that ends must not take away the file of one that has replaced it meanwhile.
TEST_F(UnixListener, LeavesTheFileOfAnotherProcessAlone) {
  const auto listener = kernel_.ListenUnix({.path = path_});
  ASSERT_TRUE(listener);
  EXPECT_TRUE(Succeeds(Fork([&] {
    kernel_.RemoveSocketFile(path_);
    return ::access(path_.c_str(), F_OK) == 0;
  })));
  kernel_.Close(Connect());
  kernel_.RemoveSocketFile(path_);
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
  kernel_.Close(*listener);
}

// All find the file of a server that was killed; one of them replaces it, and nobody takes its file
// away while it has bound it and does not listen yet.
TEST_F(UnixListener, OfManyThatStartAtOnceOneListens) {
  constexpr int kRounds = 150;
  constexpr int kServers = 8;
  for (int round = 0; round < kRounds; ++round) {
    const auto killed = kernel_.ListenUnix({.path = path_});
    ASSERT_TRUE(killed) << killed.error().ToString();
    kernel_.Close(*killed);
    std::array<std::thread, kServers> servers;
    std::array<int, kServers> listeners{};
    std::barrier ready(kServers);
    for (int number = 0; number < kServers; ++number) {
      servers[number] = std::thread([&, number] {
        LinuxKernel kernel;
        ready.arrive_and_wait();
        listeners[number] = kernel.ListenUnix({.path = path_, .permissions = 0700}).value_or(-1);
      });
    }
    for (std::thread& server : servers) server.join();
    EXPECT_EQ(std::ranges::count_if(listeners, [](int fd) { return fd >= 0; }), 1);
    kernel_.Close(Connect());
    for (const int fd : listeners) {
      if (fd >= 0) kernel_.Close(fd);
    }
  }
}

TEST_F(UnixListener, LeavesOtherFilesAlone) {
  const int file = ::open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  EXPECT_EQ(kernel_.ListenUnix({.path = path_}).error(), Errno(EADDRINUSE));
  EXPECT_EQ(Permissions(), 0600U);
  kernel_.Close(file);
  EXPECT_EQ(kernel_.ListenUnix({.path = std::string(200, 'x')}).error(), Errno(ENAMETOOLONG));
  EXPECT_EQ(kernel_.ListenUnix({.path = "/nowhere/at/all"}).error(), Errno(ENOENT));
}

TEST_F(LinuxKernelTest, TellsWhatTheProcessUses) {
  const ProcessUsage before = kernel_.Usage();
  EXPECT_GT(before.resident_bytes, 100'000u);
  EXPECT_GT(before.machine_bytes, before.resident_bytes);
  ProcessUsage after = before;
  const Nanoseconds bound = kernel_.MonotonicNow() + kSpinBound;
  while (after.thread_user == before.thread_user && kernel_.MonotonicNow() < bound) {
    after = kernel_.Usage();
  }
  EXPECT_GT(after.thread_user, before.thread_user);
  EXPECT_GE(after.user, after.thread_user);
  EXPECT_GE(after.system, before.system);
}

TEST_F(LinuxKernelTest, OnlyNumericAddresses) {
  for (const char* address : {"localhost", "", "127.0.0", "1.2.3.4.5", "::g", "127.0.0.1 "}) {
    EXPECT_EQ(kernel_.Listen({.address = address}).error(), Errno(EINVAL)) << address;
  }
}

TEST_F(LinuxKernelTest, AForeignAddressIsRefused) {
  EXPECT_EQ(kernel_.Listen({.address = "192.0.2.1"}).error(), Errno(EADDRNOTAVAIL));
}

TEST_F(LinuxKernelTest, APortInUseIsRefused) {
  const int listener = kernel_.Listen({}).value();
  const uint16_t port = kernel_.LocalPort(listener).value();
  EXPECT_EQ(kernel_.Listen({.port = port}).error(), Errno(EADDRINUSE));
  // Every address covers this one.
  EXPECT_EQ(kernel_.Listen({.address = "0.0.0.0", .port = port}).error(), Errno(EADDRINUSE));
  const auto v6 = kernel_.Listen({.address = "::", .port = port});
  ASSERT_FALSE(v6);
  EXPECT_TRUE(v6.error() == EADDRINUSE || v6.error() == EAFNOSUPPORT) << v6.error().ToString();
  kernel_.Close(listener);
}

TEST_F(LinuxKernelTest, APortSharedByAnotherServerIsRefused) {
  uint16_t port = 0;
  for (const bool reuse_address : {false, true}) {
    const int foreign = reuse_address ? ForeignListener({SO_REUSEPORT, SO_REUSEADDR}, &port)
                                      : ForeignListener({SO_REUSEPORT}, &port);
    EXPECT_EQ(kernel_.Listen({.port = port}).error(), Errno(EADDRINUSE)) << reuse_address;
    kernel_.Close(foreign);
  }
}

TEST_F(LinuxKernelTest, APortThatIsFreeAgainIsTaken) {
  uint16_t port = 0;
  kernel_.Close(ForeignListener({}, &port));
  const auto listener = kernel_.Listen({.port = port});
  ASSERT_TRUE(listener);
  kernel_.Close(*listener);
}

TEST_F(LinuxKernelTest, APortWithOldConnectionsIsTaken) {
  // The side that closes first keeps the port in TIME_WAIT; SO_REUSEADDR is for that.
  const int listener = kernel_.Listen({}).value();
  const uint16_t port = kernel_.LocalPort(listener).value();
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(port);
  ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(accepted, 0);
  kernel_.Close(accepted);
  char byte = 0;
  EXPECT_EQ(::read(client, &byte, 1), 0);  // Its FIN has arrived.
  kernel_.Close(client);
  kernel_.Close(listener);
  const auto again = kernel_.Listen({.port = port});
  ASSERT_TRUE(again) << again.error().ToString();
  kernel_.Close(*again);
}

TEST_F(LinuxKernelTest, LocalPortOfNoSocket) {
  EXPECT_EQ(kernel_.LocalPort(-1).error(), Errno(EBADF));
  const int fd = kernel_.MakeEventFd().value();
  EXPECT_EQ(kernel_.LocalPort(fd).error(), Errno(ENOTSOCK));
  kernel_.Close(fd);
}

TEST_F(LinuxKernelTest, SetsSocketOptions) {
  const int listener = kernel_.Listen({}).value();
  ASSERT_TRUE(kernel_.SetSocketOption(listener, IPPROTO_TCP, TCP_NODELAY, 1));
  int value = 0;
  socklen_t bytes = sizeof value;
  ASSERT_EQ(::getsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &value, &bytes), 0);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(kernel_.SetSocketOption(listener, IPPROTO_TCP, 9999, 1).error(), Errno(ENOPROTOOPT));
  kernel_.Close(listener);
}

TEST_F(LinuxKernelTest, AnEventFdThatCannotCountAnyFurtherCountsAsRung) {
  const int fd = kernel_.MakeEventFd().value();
  kernel_.SignalEventFd(fd);
  eventfd_t count = 0;
  ASSERT_EQ(::eventfd_read(fd, &count), 0);
  EXPECT_EQ(count, 1U);
  constexpr eventfd_t kFull = ~eventfd_t{0} - 1;
  ASSERT_EQ(::eventfd_write(fd, kFull), 0);
  kernel_.SignalEventFd(fd);
  ASSERT_EQ(::eventfd_read(fd, &count), 0);
  EXPECT_EQ(count, kFull);
  kernel_.Close(fd);
}

TEST_F(LinuxKernelTest, EventFdDoesNotBlockAndDoesNotLeak) {
  const int fd = kernel_.MakeEventFd().value();
  EXPECT_TRUE(IsCloseOnExec(fd));
  uint64_t count = 0;
  EXPECT_EQ(::eventfd_read(fd, &count), -1);
  EXPECT_EQ(errno, EAGAIN);
  kernel_.Close(fd);
}

TEST_F(LinuxKernelTest, ClosingWhatIsNotOpenIsAMistake) {
  EXPECT_DEATH(kernel_.Close(-1), "not open");
}

TEST_F(LinuxKernelTest, RaisesTheDescriptorLimit) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{.rlim_cur = std::min<rlim_t>(64, before.rlim_max), .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(kernel_.RaiseDescriptorLimit(), uint64_t{before.rlim_max});
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(LinuxKernelTest, TheMonotonicClockDoesNotGoBack) {
  Nanoseconds last = kernel_.MonotonicNow();
  for (int i = 0; i < 1000; ++i) {
    const Nanoseconds now = kernel_.MonotonicNow();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(last, 0);
}

TEST_F(LinuxKernelTest, TheRealtimeClockIsInThisCentury) {
  constexpr Nanoseconds kYear = 365 * 24 * 3600 * kSecond;
  EXPECT_GT(kernel_.RealtimeNow(), 50 * kYear);
}

TEST_F(LinuxKernelTest, EntropyFillsEverything) {
  // More than one getrandom(2) call gives at once when a signal comes; all of it must be filled.
  std::array<std::byte, 4096> first{};
  std::array<std::byte, 4096> second{};
  kernel_.Entropy(first);
  kernel_.Entropy(second);
  EXPECT_NE(first, second);
  // 64 zero bytes at the end would be a chance of 2^-512.
  EXPECT_TRUE(
      std::any_of(first.end() - 64, first.end(), [](std::byte b) { return b != std::byte{0}; }));
  kernel_.Entropy({});
}

TEST_F(LinuxKernelTest, MakesRings) {
  const auto ring = kernel_.MakeRing({.sq_entries = 4, .cq_entries = 8});
  ASSERT_TRUE(ring) << ring.error();
  EXPECT_EQ((*ring)->memory().sq.ring_entries, 4U);
}

}  // namespace
}  // namespace orrery
