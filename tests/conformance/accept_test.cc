// Accepting connections: what ends an accept, and what never does.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr uint8_t kOpListen = 57;         // IORING_OP_LISTEN
constexpr uint16_t kDontWait = 1U << 1;   // IORING_ACCEPT_DONTWAIT
constexpr uint16_t kPollFirst = 1U << 2;  // IORING_ACCEPT_POLL_FIRST

class Accept : public Conformance {
 protected:
  // Sends one byte over descriptor `fd` and checks that `peer` is the one that gets it.
  void ExpectConnected(int fd, World::Peer peer) {
    ASSERT_TRUE(queue().Send(File::Descriptor(fd), AsBytes("!"), 0, Id(999)));
    EXPECT_THAT(Await(1), ElementsAre(Final(999, 1)));
    EXPECT_EQ(ReadFromPeer(peer, 1).bytes, "!");
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Accept, AllWorlds(), WorldName);

TEST_P(Accept, A1_ASingleAcceptTakesOneConnectionInOrder) {
  const World::Peer first = world().Connect(port()).value();
  const World::Peer second = world().Connect(port()).value();
  for (const World::Peer peer : {first, second}) {
    ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
    const Seen accepted = AwaitOne();
    ASSERT_GE(accepted.result, 0);
    EXPECT_FALSE(accepted.more());
    ExpectConnected(accepted.result, peer);
  }
}

TEST_P(Accept, U8_TheAddressIsWrittenWhenTheConnectionComes) {
  sockaddr_in name{};
  socklen_t bytes = sizeof name;
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_accept(sqe, listener(), reinterpret_cast<sockaddr*>(&name), &bytes, 0);
  });
  Submit();
  EXPECT_EQ(name.sin_family, 0);
  bytes = 4;  // As little as there is then.
  ASSERT_TRUE(world().Connect(port()));
  EXPECT_GE(AwaitOne().result, 0);
  EXPECT_EQ(bytes, sizeof name);
  EXPECT_EQ(name.sin_family, AF_INET);
  EXPECT_NE(name.sin_port, 0);
  EXPECT_EQ(name.sin_addr.s_addr, 0U) << "more than there was room for";
}

TEST_P(Accept, U8_AnAddressThatCannotBeWrittenCostsTheConnection) {
  sockaddr_in name{};
  const auto peer = world().Connect(port());
  ASSERT_TRUE(peer);
  Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_accept(sqe, listener(), reinterpret_cast<sockaddr*>(&name), nullptr, 0);
  });
  Submit();
  EXPECT_EQ(AwaitOne().result, -EFAULT);
  EXPECT_TRUE(ReadToEnd(*peer).bytes.empty());
}

TEST_P(Accept, A1_FlagsAreOfTheAcceptedSocket) {
  for (const int flags :
       std::initializer_list<int>{0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK}) {
    ASSERT_TRUE(world().Connect(port()));
    ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), flags, Id(1)));
    const int fd = AwaitOne().result;
    ASSERT_GE(fd, 0);
    EXPECT_EQ(world().Describe(fd).close_on_exec, (flags & SOCK_CLOEXEC) != 0);
    EXPECT_EQ(world().Describe(fd).non_blocking, (flags & SOCK_NONBLOCK) != 0);
    kernel().Close(fd);
  }
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 1, Id(2)));
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(3)));
  LastSqe().len = 1;
  EXPECT_THAT(AwaitOne(), Final(3, -EINVAL));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(4)));
  LastSqe().ioprio = 1U << 9;
  EXPECT_THAT(AwaitOne(), Final(4, -EINVAL));
}

TEST_P(Accept, A1_OptionsAreTheListeners) {
  ASSERT_TRUE(world().Connect(port()));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(1)));
  const int before = AwaitOne().result;
  EXPECT_FALSE(world().Describe(before).no_delay);
  ASSERT_TRUE(kernel().SetSocketOption(listener(), IPPROTO_TCP, TCP_NODELAY, 1));
  ASSERT_TRUE(world().Connect(port()));
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(2)));
  const int after = AwaitOne().result;
  ASSERT_GE(after, 0);
  EXPECT_TRUE(world().Describe(after).no_delay);
  EXPECT_TRUE(world().Describe(after).close_on_exec);
  kernel().Close(before);
  kernel().Close(after);
}

TEST_P(Accept, A4_DontWaitIsAnsweredWithEagain) {
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(1)));
  LastSqe().ioprio |= kDontWait;
  EXPECT_THAT(AwaitOne(), Final(1, -EAGAIN));
  ASSERT_TRUE(world().Connect(port()));
  ASSERT_TRUE(world().Connect(port()));
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), 0, Id(2)));
  LastSqe().ioprio |= kDontWait;
  const std::vector<Seen> seen = Await(3);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_TRUE(seen[0].more());
  EXPECT_TRUE(seen[1].more());
  EXPECT_THAT(seen[2], Final(2, -EAGAIN));
  for (const Seen& one : {seen[0], seen[1]}) kernel().Close(one.result);
}

TEST_P(Accept, A4_PollFirstGoesThroughTaskWork) {
  ASSERT_TRUE(world().Connect(port()));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(1)));
  LastSqe().ioprio |= kPollFirst;
  ASSERT_TRUE(queue().Nop(Id(2)));
  const std::vector<Seen> seen = Await(2);
  EXPECT_THAT(seen[0], Final(2, 0));
  EXPECT_GE(seen[1].result, 0);
  kernel().Close(seen[1].result);
}

TEST_P(Accept, A4_ANonBlockingListenerIsWaitedForToo) {
  Add(1, [](io_uring_sqe* sqe) {
    ::io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0);
  });
  const int fd = AwaitOne().result;
  EXPECT_TRUE(world().Describe(fd).non_blocking);
  EXPECT_FALSE(world().Describe(fd).close_on_exec);
  Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_rw(kOpListen, sqe, fd, nullptr, 4, 0); });
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  ASSERT_TRUE(queue().Accept(File::Descriptor(fd), 0, Id(3)));
  Submit();
  ExpectQuiet();
  ASSERT_TRUE(world().Connect(kernel().LocalPort(fd).value()));
  const int accepted = AwaitOne().result;
  ASSERT_GE(accepted, 0);
  EXPECT_FALSE(world().Describe(accepted).non_blocking);
  kernel().Close(accepted);
  kernel().Close(fd);
}

TEST_P(Accept, A3_AMultishotDrainsTheBacklogInOneGo) {
  constexpr size_t kPeers = 40;
  std::vector<World::Peer> peers;
  for (size_t i = 0; i < kPeers; ++i) peers.push_back(world().Connect(port()).value());
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  Submit();
  const std::vector<Seen> accepted = Visible();
  ASSERT_EQ(accepted.size(), kPeers);
  for (size_t i = 0; i < kPeers; ++i) {
    EXPECT_TRUE(accepted[i].more());
    ASSERT_GE(accepted[i].result, 0);
    ExpectConnected(accepted[i].result, peers[i]);
  }
}

TEST_P(Accept, A5_WhatIsNoListenerIsRefused) {
  const int event_fd = kernel().MakeEventFd().value();
  const Connection connection = Connect();
  ASSERT_TRUE(queue().Accept(File::Descriptor(987'654), SOCK_CLOEXEC, Id(1)));
  ASSERT_TRUE(queue().Accept(File::Descriptor(event_fd), SOCK_CLOEXEC, Id(2)));
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(connection.fd), SOCK_CLOEXEC, Id(3)));
  EXPECT_THAT(Await(3), ElementsAre(Final(1, -EBADF), Final(2, -ENOTSOCK), Final(3, -EINVAL)));
  kernel().Close(event_fd);
}

TEST_P(Accept, A6_ClosingAListenerDoesNotEndItsAccept) {
  const int closing = kernel().Listen({}).value();
  const uint16_t its_port = kernel().LocalPort(closing).value();
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(closing), SOCK_CLOEXEC, Id(1)));
  Submit();
  kernel().Close(closing);
  ExpectQuiet();
  const auto peer = world().Connect(its_port);
  ASSERT_TRUE(peer);
  const Seen accepted = AwaitOne();
  EXPECT_TRUE(accepted.more());
  ASSERT_GE(accepted.result, 0);
  ExpectConnected(accepted.result, *peer);
  // Only the end of the last request closes it.
  ASSERT_TRUE(queue().Cancel(Id(1), Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, -ECANCELED), Final(2, 0)));
  const auto late = world().Connect(its_port);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), Errno(ECONNREFUSED));
}

TEST_P(Accept, A6_ShuttingAListenerDownEndsItsAccept) {
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  Submit();
  ASSERT_TRUE(queue().Shutdown(File::Descriptor(listener()), SHUT_RDWR, Id(2)));
  EXPECT_THAT(Await(2), testing::UnorderedElementsAre(Final(1, -EINVAL), Final(2, 0)));
  const auto late = world().Connect(port());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), Errno(ECONNREFUSED));
}

TEST_P(Accept, A7_NoDescriptorLeftEndsAMultishotAndLosesNoConnection) {
  const World::Peer peer = world().Connect(port()).value();
  world().LowerDescriptorLimit();
  std::vector<int> fillers;
  for (;;) {
    const auto fd = kernel().MakeEventFd();
    if (!fd) {
      EXPECT_EQ(fd.error(), Errno(EMFILE));
      break;
    }
    fillers.push_back(*fd);
  }
  ASSERT_FALSE(fillers.empty());

  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EMFILE)));
  ExpectQuiet();
  kernel().Close(fillers.back());
  fillers.pop_back();
  ExpectQuiet();  // It does not revive by itself.

  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listener()), SOCK_CLOEXEC, Id(2)));
  const std::vector<Seen> again = Await(1);
  EXPECT_EQ(again.front().id, 2U);
  EXPECT_TRUE(again.front().more());
  ASSERT_GE(again.front().result, 0);
  ExpectConnected(again.front().result, peer);
  for (const int fd : fillers) kernel().Close(fd);
}

TEST_P(Accept, A8_AConnectionThatWasResetIsStillAccepted) {
  const World::Peer peer = world().Connect(port()).value();
  world().Reset(peer);
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), SOCK_CLOEXEC, Id(1)));
  const Seen accepted = AwaitOne();
  ASSERT_GE(accepted.result, 0);
  std::array<std::byte, 4> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(accepted.result), bytes, 0, Id(2)));
  EXPECT_THAT(Await(1), ElementsAre(Final(2, -ECONNRESET)));
}

TEST_P(Accept, A2_TheOldestOfSeveralIsServedFirst) {
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(1)));
  ASSERT_TRUE(queue().Accept(File::Descriptor(listener()), 0, Id(2)));
  Submit();
  for (const uint32_t id : {1U, 2U}) {
    ASSERT_TRUE(world().Connect(port()).has_value());
    const Seen seen = AwaitOne();
    EXPECT_EQ(seen.id, id);
    EXPECT_GE(seen.result, 0);
    kernel().Close(seen.result);
  }
}

// --- Listeners that share a port, and UNIX listeners

class SharedPort : public Accept {
 protected:
  void Listen(unsigned listeners) {
    listeners_ = kernel().ListenShared({}, listeners).value();
    for (const int listener : listeners_) world().PrepareListener(listener);
    port_ = kernel().LocalPort(listeners_.front()).value();
  }
  void AcceptAll(size_t listener) {
    ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(listeners_[listener]), SOCK_CLOEXEC,
                                        Id(static_cast<uint32_t>(listener))));
  }
  std::vector<World::Peer> ConnectAll(size_t peers) {
    std::vector<World::Peer> connected;
    while (connected.size() < peers) connected.push_back(world().Connect(port_).value());
    return connected;
  }
  void TearDown() override {
    for (const int listener : listeners_) kernel().Close(listener);
  }

  std::vector<int> listeners_;
  uint16_t port_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Kernels, SharedPort, AllWorlds(), WorldName);

TEST_P(SharedPort, A15_OneListenerGetsAConnection) {
  constexpr size_t kPeers = 24;
  Listen(3);
  for (const size_t listener : {0, 1, 2}) AcceptAll(listener);
  const auto peers = ConnectAll(kPeers);
  for (const Seen& accepted : Await(kPeers)) {
    EXPECT_TRUE(accepted.more());
    ASSERT_GE(accepted.result, 0);
  }
  ExpectQuiet();
}

TEST_P(SharedPort, A16_WhoWaitsAtAListenerThatClosesIsReset) {
  constexpr size_t kPeers = 24;
  Listen(2);
  const auto peers = ConnectAll(kPeers);
  kernel().Close(listeners_.front());
  listeners_.erase(listeners_.begin());
  AcceptAll(0);
  Submit();
  const std::vector<Seen> accepted = Visible();
  for (const Seen& each : accepted) {
    ASSERT_GE(each.result, 0);
    ASSERT_TRUE(queue().Send(File::Descriptor(each.result), AsBytes("!"), 0, Id(999)));
  }
  EXPECT_THAT(Await(accepted.size()), Each(Final(999, 1)));
  size_t served = 0;
  for (const World::Peer peer : peers) {
    const PeerRead read = ReadFromPeer(peer, 1);
    served += read.bytes.size();
    EXPECT_TRUE(read.reset || read.bytes == "!");
  }
  EXPECT_EQ(served, accepted.size());
  // Hardly ever has one of two all of them.
  EXPECT_GT(served, 0U);
  EXPECT_LT(served, kPeers);
}

TEST_P(Accept, A17_AUnixListenerIsAcceptedFrom) {
  // Short wherever the tests run: an address has room for some hundred bytes.
  const std::string path = "/tmp/orrery-conformance-" + std::to_string(::getpid());
  const int unix_listener = kernel().ListenUnix({.path = path}).value();
  EXPECT_EQ(world().ConnectUnix(path + "-not").error(), Errno(ENOENT));
  const World::Peer first = world().ConnectUnix(path).value();
  ASSERT_TRUE(queue().AcceptMultishot(File::Descriptor(unix_listener), SOCK_CLOEXEC, Id(1)));
  const Seen accepted = AwaitOne();
  ASSERT_GE(accepted.result, 0);
  EXPECT_TRUE(accepted.more());
  ExpectConnected(accepted.result, first);
  const auto ends = kernel().Ends(accepted.result);
  ASSERT_TRUE(ends);
  EXPECT_EQ(ends->peer, path + ":0");
  EXPECT_EQ(kernel().SetSocketOption(unix_listener, IPPROTO_TCP, TCP_NODELAY, 1).error(),
            Errno(EOPNOTSUPP));
  kernel().RemoveSocketFile(path);
  EXPECT_EQ(world().ConnectUnix(path).error(), Errno(ENOENT));
  kernel().Close(unix_listener);
}

class DirectAccept : public Conformance {
 protected:
  void Accept(uint32_t id, uint32_t file_index, bool multishot = false, int flags = 0) {
    Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_accept(sqe, listener(), nullptr, nullptr, flags);
      if (multishot) sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
      sqe->file_index = file_index;
    });
  }
  bool IsLost(World::Peer peer) {
    const PeerRead read = ReadToEnd(peer);
    return read.end || read.reset;
  }
  void ExpectAlive(int slot, World::Peer peer) {
    ASSERT_TRUE(queue().Send(File::Fixed(slot), AsBytes("!"), 0, Id(900)));
    EXPECT_THAT(AwaitOne(), Final(900, 1));
    EXPECT_EQ(ReadFromPeer(peer, 1).bytes, "!");
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, DirectAccept, AllWorlds(), WorldName);

TEST_P(DirectAccept, A9_PutsTheConnectionIntoASlot) {
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  const World::Peer first = world().Connect(port()).value();
  Accept(1, 3);  // Slot 2.
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  ExpectAlive(2, first);
  const World::Peer second = world().Connect(port()).value();
  Accept(2, IORING_FILE_INDEX_ALLOC);
  const Seen allocated = AwaitOne();
  ASSERT_EQ(allocated.id, 2U);
  ASSERT_GE(allocated.result, 0);
  ExpectAlive(allocated.result, second);
}

TEST_P(DirectAccept, A9_AnOccupiedSlotIsReplaced) {
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  const World::Peer first = world().Connect(port()).value();
  Accept(1, 1);
  EXPECT_THAT(AwaitOne(), Final(1, 0));
  const World::Peer second = world().Connect(port()).value();
  Accept(2, 1);
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  EXPECT_TRUE(IsLost(first));
  ExpectAlive(0, second);
}

TEST_P(DirectAccept, A9_ANamedSlotTakesOneAndIsNoDescriptor) {
  ASSERT_TRUE(RegisterSparseFiles(ring(), 4));
  Accept(1, 1, /*multishot=*/true);
  EXPECT_THAT(AwaitOne(), Final(1, -EINVAL));
  Accept(2, 1, /*multishot=*/false, SOCK_CLOEXEC);
  EXPECT_THAT(AwaitOne(), Final(2, -EINVAL));
}

TEST_P(DirectAccept, A10_WithoutATableTheConnectionIsLost) {
  const World::Peer first = world().Connect(port()).value();
  Accept(1, 1);
  EXPECT_THAT(AwaitOne(), Final(1, -ENXIO));
  EXPECT_TRUE(IsLost(first));
  const World::Peer second = world().Connect(port()).value();
  Accept(2, IORING_FILE_INDEX_ALLOC);
  EXPECT_THAT(AwaitOne(), Final(2, -ENFILE));
  EXPECT_TRUE(IsLost(second));
}

TEST_P(DirectAccept, A10_AFullTableEndsAMultishotAndLosesOne) {
  ASSERT_TRUE(RegisterSparseFiles(ring(), 1));
  const World::Peer fits = world().Connect(port()).value();
  const World::Peer lost = world().Connect(port()).value();
  const World::Peer waits = world().Connect(port()).value();
  Accept(1, IORING_FILE_INDEX_ALLOC, /*multishot=*/true);
  EXPECT_THAT(Await(2), ElementsAre(More(1, 0), Final(1, -ENFILE)));
  EXPECT_TRUE(IsLost(lost));
  ExpectAlive(0, fits);
  Accept(2, 1);
  EXPECT_THAT(AwaitOne(), Final(2, 0));
  ExpectAlive(0, waits);
  Accept(3, 7);
  const World::Peer outside = world().Connect(port()).value();
  EXPECT_THAT(AwaitOne(), Final(3, -EINVAL));
  EXPECT_TRUE(IsLost(outside));
}

}  // namespace
}  // namespace orrery::conformance
