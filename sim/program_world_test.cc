// Programs that were written for Linux: that they take turns with the world, wait in virtual time,
// end as processes do, are held to the ring's rules, and are a function of their seed.
#include "sim/program_world.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/loopback.h"
#include "base/units.h"
#include "kernel_model/choice.h"

namespace orrery::sim {
namespace {

constexpr uint16_t kPort = 7;

ProgramWorld::Options Benign() { return {}; }

int Listen(uint16_t port) {
  const sockaddr_in name = Loopback(port);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  EXPECT_EQ(::listen(fd, 8), 0);
  return fd;
}

// Echoes one connection with the plainest calls there are.
int EchoOnce() {
  const int listener = Listen(kPort);
  const int fd = ::accept(listener, nullptr, nullptr);
  std::array<char, 700> bytes;
  for (;;) {
    const ssize_t count = ::read(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    if (::send(fd, bytes.data(), static_cast<size_t>(count), MSG_NOSIGNAL) != count) return 2;
  }
  ::close(fd);
  ::close(listener);
  return 0;
}

TEST(ProgramWorld, BlockingCallsWaitForPeers) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    ProgramWorld::Options options = ProgramWorld::DrawOptions(seed);
    options.rates.Set(model::Site::kAcceptFails, 0);
    ProgramWorld world(seed, options);
    world.Start(&EchoOnce);
    StreamPeer& peer = world.AddPeer(kPort, world.Bytes(20'000));
    ASSERT_TRUE(world.RunUntilExit()) << world.Story();
    ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
    EXPECT_EQ(world.program().status(), 0);
    EXPECT_EQ(peer.received(), peer.sent()) << world.Story();
  }
}

TEST(ProgramWorld, TheSameSeedIsTheSameRun) {
  const auto run = [](uint64_t seed) {
    ProgramWorld::Options options = ProgramWorld::DrawOptions(seed);
    options.rates.Set(model::Site::kAcceptFails, 0);
    ProgramWorld world(seed, options);
    world.Start(&EchoOnce);
    world.AddPeer(kPort, world.Bytes(5'000));
    EXPECT_TRUE(world.RunUntilExit()) << world.Story();
    return world.hash();
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(ProgramWorld, TimeIsVirtual) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    timespec before{};
    timespec after{};
    ::clock_gettime(CLOCK_MONOTONIC, &before);
    ::sleep(3600);
    ::usleep(250'000);
    ::clock_gettime(CLOCK_MONOTONIC, &after);
    const time_t seconds = after.tv_sec - before.tv_sec;
    return seconds == 3600 && after.tv_nsec - before.tv_nsec == 250'000'000 ? 0 : 1;
  });
  ASSERT_FALSE(world.RunUntilExit());  // Longer than a world lives that is not told otherwise.
  ProgramWorld::Options patient;
  patient.time_max = 2 * 3600 * kSecond;
  ProgramWorld longer(0, patient);
  longer.Start([] { return ::sleep(3600) == 0 ? 0 : 1; });
  ASSERT_TRUE(longer.RunUntilExit());
  EXPECT_EQ(longer.program().status(), 0);
}

TEST(ProgramWorld, AWaitForARingEndsAtItsTimeout) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    io_uring ring;
    if (::io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)) {
      return 1;
    }
    io_uring_cqe* cqe = nullptr;
    __kernel_timespec second{.tv_sec = 1, .tv_nsec = 0};
    if (::io_uring_wait_cqe_timeout(&ring, &cqe, &second) != -ETIME) return 2;
    ::io_uring_prep_timeout(::io_uring_get_sqe(&ring), &second, 0, 0);
    if (::io_uring_submit(&ring) != 1) return 3;
    if (::io_uring_wait_cqe(&ring, &cqe) != 0 || cqe->res != -ETIME) return 4;
    ::io_uring_cqe_seen(&ring, cqe);
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    ::io_uring_queue_exit(&ring);
    return now.tv_sec == 2 ? 0 : 5;
  });
  ASSERT_TRUE(world.RunUntilExit()) << world.Story();
  EXPECT_EQ(world.program().status(), 0);
}

TEST(ProgramWorld, AProgramThatOnlyLooksDoesNotStopTheClock) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    io_uring ring;
    ::io_uring_queue_init(8, &ring, 0);
    __kernel_timespec delay{.tv_sec = 0, .tv_nsec = 2'000'000};
    ::io_uring_prep_timeout(::io_uring_get_sqe(&ring), &delay, 0, 0);
    ::io_uring_submit(&ring);
    io_uring_cqe* cqe = nullptr;
    int looks = 0;
    while (::io_uring_peek_cqe(&ring, &cqe) != 0) ++looks;
    ::io_uring_queue_exit(&ring);
    return looks > 100 ? 0 : 1;
  });
  ASSERT_TRUE(world.RunUntilExit()) << world.Story();
  EXPECT_EQ(world.program().status(), 0);
}

TEST(ProgramWorld, AProgramThatWaitsForEverIsToldOf) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    io_uring ring;
    ::io_uring_queue_init(8, &ring, 0);
    io_uring_cqe* cqe = nullptr;
    return ::io_uring_wait_cqe(&ring, &cqe);
  });
  EXPECT_FALSE(world.RunUntilExit());
  EXPECT_NE(world.Story().find("ended by quiescent"), std::string::npos) << world.Story();
}

TEST(ProgramWorld, DatagramsGoThroughTheRing) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    const sockaddr_in name = Loopback(kPort);
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return 1;
    io_uring ring;
    ::io_uring_queue_init(8, &ring, 0);
    std::array<char, 16> bytes{};
    ::io_uring_prep_recv(::io_uring_get_sqe(&ring), fd, bytes.data(), bytes.size(), 0);
    ::io_uring_submit_and_wait(&ring, 1);
    io_uring_cqe* cqe = nullptr;
    ::io_uring_peek_cqe(&ring, &cqe);
    return cqe->res == 5 && std::memcmp(bytes.data(), "hello", 5) == 0 ? 0 : 2;
  });
  EXPECT_FALSE(world.RunUntilExit());
  model::ModelKernel& kernel = world.kernel();
  kernel.PeerSendDatagram(kernel.OpenDatagramPeer(), kPort, std::as_bytes(std::span("hello", 5)));
  ASSERT_TRUE(world.RunUntilExit()) << world.Story();
  EXPECT_EQ(world.program().status(), 0);
}

// --- The end of a process.

TEST(ProgramWorld, ExitEndsTheProgramAndClosesWhatItHad) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    const int fd = ::accept(Listen(kPort), nullptr, nullptr);
    char byte = 0;
    if (::recv(fd, &byte, 1, 0) == 1) std::exit(7);
    return 0;
  });
  StreamPeer& peer = world.AddPeer(kPort, "x", {.ends = false});
  ASSERT_TRUE(world.RunUntilExit()) << world.Story();
  EXPECT_EQ(world.program().status(), 7);
  ASSERT_TRUE(world.RunUntilPeersLeave()) << world.Story();
  EXPECT_EQ(peer.received(), "");
  EXPECT_EQ(world.kernel().open_descriptors(), 0U);
}

volatile sig_atomic_t signalled = 0;
void OnSignal(int number) { signalled = number; }

TEST(ProgramWorld, AHandlerRunsAndTheWaitEndsWithEintr) {
  ProgramWorld world(0, Benign());
  signalled = 0;
  world.Start([] {
    struct sigaction action{};
    action.sa_handler = OnSignal;
    ::sigaction(SIGUSR1, &action, nullptr);
    io_uring ring;
    ::io_uring_queue_init(8, &ring, 0);
    io_uring_cqe* cqe = nullptr;
    const int waited = ::io_uring_wait_cqe(&ring, &cqe);
    if (waited != -EINTR || signalled != SIGUSR1) return 1;
    signalled = 0;
    char byte = 0;
    const int fd = ::eventfd(0, 0);
    if (::read(fd, &byte, 1) != -1 || errno != EINVAL) return 2;
    uint64_t count = 0;
    if (::read(fd, &count, sizeof count) != -1 || errno != EINTR) return 3;
    return signalled == SIGUSR1 ? 0 : 4;
  });
  EXPECT_FALSE(world.RunUntilExit());
  EXPECT_FALSE(world.Stop(SIGUSR1)) << "the second wait is over too early";
  ASSERT_TRUE(world.Stop(SIGUSR1)) << world.Story();
  EXPECT_EQ(world.program().status(), 0);
}

TEST(ProgramWorld, WithoutAHandlerASignalKills) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    ::signal(SIGUSR2, SIG_IGN);
    ::accept(Listen(kPort), nullptr, nullptr);
    return 0;
  });
  EXPECT_FALSE(world.RunUntilExit());
  EXPECT_FALSE(world.Stop(SIGUSR2));
  ASSERT_TRUE(world.Stop(SIGTERM));
  EXPECT_EQ(world.program().status(), 128 + SIGTERM);
}

TEST(ProgramWorld, ItsHandlersAreNotTheProcesss) {
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &before), 0);
  ProgramWorld world(0, Benign());
  world.Start([] {
    ::signal(SIGUSR1, OnSignal);
    return 0;
  });
  ASSERT_TRUE(world.RunUntilExit());
  struct sigaction after{};
  ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &after), 0);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

// --- The rules.

TEST(ProgramWorld, ABrokenRuleOfTheRingStopsTheRun) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    const int fd = ::accept(Listen(kPort), nullptr, nullptr);
    io_uring ring;
    ::io_uring_queue_init(8, &ring, 0);
    std::array<char, 100> bytes{};
    ::io_uring_prep_recv(::io_uring_get_sqe(&ring), fd, bytes.data(), bytes.size(), 0);
    ::io_uring_submit(&ring);
    bytes[50] = 'x';  // The kernel's until the receive has ended.
    ::io_uring_prep_cancel_fd(::io_uring_get_sqe(&ring), fd, 0);
    return ::io_uring_submit_and_wait(&ring, 2);
  });
  world.AddPeer(kPort, "", {.ends = false});
  EXPECT_FALSE(world.RunUntilExit());
  ASSERT_TRUE(world.log().violation().has_value()) << world.Story();
  EXPECT_EQ(world.log().violation()->invariant, "receive-memory-written");
  EXPECT_NE(world.Story().find("violated: receive-memory-written"), std::string::npos);
}

TEST(ProgramWorld, AWriteToABrokenStreamKillsUnlessIgnored) {
  const auto run = [](bool ignored) {
    ProgramWorld world(0, Benign());
    world.Start([ignored] {
      if (ignored) ::signal(SIGPIPE, SIG_IGN);
      const int fd = ::accept(Listen(kPort), nullptr, nullptr);
      ::shutdown(fd, SHUT_WR);
      return ::write(fd, "x", 1) == -1 && errno == EPIPE ? 0 : 1;
    });
    world.AddPeer(kPort, "x");
    const bool ended = world.RunUntilExit();
    return std::pair(ended, ended ? world.program().status() : -1);
  };
  EXPECT_EQ(run(true), std::pair(true, 0));
  EXPECT_EQ(run(false), std::pair(false, -1));
}

TEST(ProgramWorldDeathTest, WhatTheModelDoesNotOfferStopsTheRun) {
  const auto run = [](int (*main)()) {
    ProgramWorld world(0, Benign());
    world.Start(main);
    world.RunUntilExit();
  };
  EXPECT_DEATH(run([] { return ::open("/etc/hostname", O_RDONLY); }), "the program called open");
  EXPECT_DEATH(run([] { return ::poll(nullptr, 0, 0); }), "the program called poll\\(\\)");
  EXPECT_DEATH(run([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }), "sockets of family 1");
}

TEST(ProgramWorldDeathTest, APortThatIsReallySharedStopsTheRun) {
  const auto run = [](int sockets) {
    ProgramWorld world(0, Benign());
    world.Start([sockets] {
      const sockaddr_in name = Loopback(kPort);
      const int one = 1;
      for (int i = 0; i < sockets; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        if (::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) return 1;
        if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return 2;
      }
      return 0;
    });
    EXPECT_TRUE(world.RunUntilExit());
    EXPECT_EQ(world.program().status(), 0);
  };
  run(1);
  EXPECT_DEATH(run(2), "SO_REUSEPORT of several sockets, port 7");
}

TEST(ProgramWorldDeathTest, LiburingIsForProgramsOnly) {
  io_uring ring;
  EXPECT_DEATH(::io_uring_queue_init(8, &ring, 0), "only a program that a world runs");
}

TEST(ProgramWorld, OutsideOfProgramsCallsAreTheSystems) {
  const int fd = ::eventfd(3, EFD_CLOEXEC);
  ASSERT_GE(fd, 0);
  uint64_t count = 0;
  EXPECT_EQ(::read(fd, &count, sizeof count), static_cast<ssize_t>(sizeof count));
  EXPECT_EQ(count, 3U);
  EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::close(fd), 0);
  timespec now{};
  EXPECT_EQ(::clock_gettime(CLOCK_MONOTONIC, &now), 0);
  EXPECT_GT(now.tv_sec + now.tv_nsec, 0);
}

// --- Peers.

TEST(ProgramWorld, APeerThatVanishesResetsItsConnection) {
  ProgramWorld world(0, Benign());
  world.Start([] {
    const int fd = ::accept(Listen(kPort), nullptr, nullptr);
    std::array<char, 4096> bytes;
    ssize_t count = 0;
    while ((count = ::recv(fd, bytes.data(), bytes.size(), 0)) > 0) continue;
    return count == -1 && errno == ECONNRESET ? 0 : 1;
  });
  StreamPeer& peer = world.AddPeer(kPort, world.Bytes(10'000), {.vanishes_after = 3'000});
  ASSERT_TRUE(world.RunUntilExit()) << world.Story();
  EXPECT_EQ(world.program().status(), 0);
  EXPECT_TRUE(peer.left());
}

// Sends one byte, and wants the same back.
class OneByte final : public Actor {
 public:
  explicit OneByte(model::ModelKernel& kernel) : kernel_(kernel) {}
  bool answered() const { return answered_; }

  bool Ready(Nanoseconds now) const override { return !answered_ && now >= next_at_; }
  bool Step(Nanoseconds now) override {
    if (!peer_.has_value()) {
      const auto peer = kernel_.PeerConnect(kPort);
      if (!peer.has_value()) {
        next_at_ = now + kMillisecond;
        return true;
      }
      peer_ = *peer;
      const std::byte byte{42};
      return kernel_.PeerSend(*peer_, std::span(&byte, 1)).value_or(0) == 1;
    }
    std::byte byte{0};
    if (kernel_.PeerReceive(*peer_, std::span(&byte, 1)).bytes == 0) return false;
    answered_ = byte == std::byte{42};
    kernel_.PeerClose(*peer_);
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return answered_ || next_at_ <= now ? kNever : next_at_;
  }

 private:
  model::ModelKernel& kernel_;
  std::optional<model::ModelKernel::PeerId> peer_;
  bool answered_ = false;
  Nanoseconds next_at_ = 0;
};

TEST(ProgramWorld, APeerMayBeAnybodysActor) {
  ProgramWorld world(0, Benign());
  OneByte actor(world.kernel());
  world.Start(&EchoOnce);
  world.AddActor(actor);
  ASSERT_TRUE(world.RunUntilExit()) << world.Story();
  EXPECT_EQ(world.program().status(), 0);
  EXPECT_TRUE(actor.answered());
}

}  // namespace
}  // namespace orrery::sim
