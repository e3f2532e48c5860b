#include "tests/acceptor/experiments.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>

#include "base/check.h"
#include "base/units.h"

namespace orrery::acceptor {
namespace {

using model::Site;
using sim::OdometerScope;

constexpr uint16_t kBundle = 1U << 4;  // IORING_RECVSEND_BUNDLE
// Answers of the delays: 50 microseconds, which is less than a moment may be.
constexpr uint64_t kLateAnswer = 2;
constexpr uint64_t kWorkerLateAnswer = 3;
constexpr size_t kMoreThanFits = 4 * kMiB;

// --- Words of the bodies.

void Receive(Lab& lab, uint32_t id, int fd, size_t bytes, int flags = 0) {
  const std::span<std::byte> memory = lab.Memory(bytes);
  lab.Add(id, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv(sqe, fd, memory.data(), memory.size(), flags);
  });
}

void ReceiveMultishot(Lab& lab, uint32_t id, int fd, uint16_t more = 0) {
  lab.Add(id, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv_multishot(sqe, fd, nullptr, 0, 0);
    sqe->ioprio |= more;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = Lab::kGroup;
  });
}

void Nop(Lab& lab, uint32_t id, uint8_t flags = 0) {
  lab.Add(id, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_nop(sqe);
    sqe->flags |= flags;
  });
}

void Cancel(Lab& lab, uint32_t id, uint32_t target) {
  lab.Add(id, [&](io_uring_sqe* sqe) { ::io_uring_prep_cancel64(sqe, target, 0); });
}

std::function<void()> PeerSends(Lab& lab, conformance::World::Peer peer, size_t bytes) {
  return [&lab, peer, text = std::string(bytes, 'x')] {
    const auto sent = lab.world().Send(peer, text);
    ORRERY_CHECK(sent && *sent == text.size());
  };
}

// Read at submission; about as long as a thread takes to act.
constexpr __kernel_timespec kShort{.tv_sec = 0, .tv_nsec = 200 * kMicrosecond};
// liburing's helpers take what they only read as if they wrote to it.
__kernel_timespec* Short() { return const_cast<__kernel_timespec*>(&kShort); }

// --- Scopes.

OdometerScope Wakes() {
  return OdometerScope().Open(Site::kWakeDelay, {kLateAnswer}).Open(Site::kTaskWorkOrder);
}
OdometerScope Cancels() { return Wakes().Open(Site::kCancelOrder); }
OdometerScope WorkerOrder() { return OdometerScope().Open(Site::kWorkerOrder); }
OdometerScope Workers() {
  return OdometerScope()
      .Open(Site::kWorkerDelay, {kWorkerLateAnswer})
      .Open(Site::kWorkerOrder)
      .Open(Site::kWorkerStarted)
      .Open(Site::kTaskWorkOrder)
      .Open(Site::kCancelOrder)
      .Open(Site::kReadCold, {kWorkerLateAnswer});
}
OdometerScope Names() { return Workers().Open(Site::kNameCold); }
OdometerScope Bundles() { return Wakes().Open(Site::kBundleShort).Open(Site::kBundleEnds); }
OdometerScope Pieces() {
  return OdometerScope().Open(Site::kReceiveShort, {1}).Open(Site::kWakeDelay, {kLateAnswer});
}
OdometerScope Timers() {
  return OdometerScope()
      .Open(Site::kTimerOrder)
      .Open(Site::kTaskWorkOrder)
      .Open(Site::kCancelOrder);
}
OdometerScope LinkTimeouts() {
  return Timers().Open(Site::kLinkTimeoutRace).Open(Site::kWakeDelay, {kLateAnswer});
}
OdometerScope Partial() { return OdometerScope().Open(Site::kSendPartial, {1}); }
OdometerScope PartialAndWakes() {
  return Partial().Open(Site::kWakeDelay, {kLateAnswer}).Open(Site::kTaskWorkOrder);
}
OdometerScope Notifications() { return OdometerScope().Open(Site::kNotificationTime); }
OdometerScope Resets() {
  return OdometerScope().Open(Site::kResetLosesData, {1}).Open(Site::kWakeDelay, {kLateAnswer});
}
OdometerScope Hints() { return Wakes().Open(Site::kNotEmptyHint); }
OdometerScope Accepts() { return OdometerScope().Open(Site::kAcceptFails); }
OdometerScope Signals() { return OdometerScope().Open(Site::kEnterInterrupted, {1, 4}); }

// --- Receives

void ReceiveAndCancel(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  Receive(lab, 1, connection.fd, 16);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5)});
  lab.Moment();
  (void)lab.Enter();
  Cancel(lab, 2, 1);
  lab.AwaitEnds();
}

void TwoReceivers(Lab& lab) {
  const Connection first = lab.Connect();
  const Connection second = lab.Connect();
  lab.Start();
  Receive(lab, 1, first.fd, 16);
  Receive(lab, 2, second.fd, 16);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, first.peer, 5)});
  lab.Beside({PeerSends(lab, second.peer, 7)});
  lab.AwaitEnds();
}

void TwoOnOneSocket(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  Receive(lab, 1, connection.fd, 16);
  Receive(lab, 2, connection.fd, 16);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5), PeerSends(lab, connection.peer, 7)});
  lab.AwaitCompletions(1);
}

void ReceiveInPieces(Lab& lab) {
  constexpr size_t kBytes = 48 * kKiB;
  const Connection connection = lab.Connect();
  lab.ShowAsPartOf(1, kBytes);
  lab.Start();
  Receive(lab, 1, connection.fd, kBytes);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, kBytes)});
  lab.AwaitEnds();
}

void MultishotBurst(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.UseBuffers(8);
  lab.Start();
  ReceiveMultishot(lab, 1, connection.fd);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 3), PeerSends(lab, connection.peer, 4),
              PeerSends(lab, connection.peer, 5)});
  lab.Moment();
  (void)lab.Enter();
  lab.Rest();
  (void)lab.Enter();
  (void)lab.Enter();
}

void BurstBeyondBuffers(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.UseBuffers(2);
  lab.Start();
  ReceiveMultishot(lab, 1, connection.fd);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 6), PeerSends(lab, connection.peer, 6),
              PeerSends(lab, connection.peer, 6)});
  lab.AwaitEnds();
}

void TwoMultishotsOneGroup(Lab& lab) {
  const Connection first = lab.Connect();
  const Connection second = lab.Connect();
  lab.UseBuffers(2);
  lab.Start();
  ReceiveMultishot(lab, 1, first.fd);
  ReceiveMultishot(lab, 2, second.fd);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, first.peer, 8), PeerSends(lab, first.peer, 8)});
  lab.Beside({PeerSends(lab, second.peer, 8)});
  lab.AwaitCompletions(3);
}

void BundleBurst(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.UseBuffers(8);
  lab.Start();
  ReceiveMultishot(lab, 1, connection.fd, kBundle);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 12), PeerSends(lab, connection.peer, 9)});
  lab.Moment();
  (void)lab.Enter();
  lab.Rest();
  (void)lab.Enter();
  (void)lab.Enter();
}

void BundleEmptiesItsGroup(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.UseBuffers(2);
  lab.Start();
  ReceiveMultishot(lab, 1, connection.fd, kBundle);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 8), PeerSends(lab, connection.peer, 8),
              PeerSends(lab, connection.peer, 8)});
  lab.AwaitEnds();
}

void EndBehindBytes(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.UseBuffers(4);
  lab.Start();
  ReceiveMultishot(lab, 1, connection.fd);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5),
              [&lab, peer = connection.peer] { lab.world().ShutdownWrite(peer); }});
  lab.AwaitEnds();
}

void HintOfAMultishot(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.UseBuffers(8);
  lab.ShowHint(1);
  lab.Start();
  ReceiveMultishot(lab, 1, connection.fd);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 12), PeerSends(lab, connection.peer, 3)});
  lab.AwaitCompletions(2);
}

void PollWakeUps(Lab& lab) {
  const int fd = lab.MakeEventFd();
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_poll_multishot(sqe, fd, POLLIN); });
  (void)lab.Enter();
  const auto signal = [&lab, fd] { lab.world().SignalEventFd(fd); };
  lab.Beside({signal, signal, signal});
  lab.Moment();
  (void)lab.Enter();
  lab.Rest();
  (void)lab.Enter();
}

void ReceiveAndReset(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  Receive(lab, 1, connection.fd, 16);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5),
              [&lab, peer = connection.peer] { lab.world().Reset(peer); }});
  lab.AwaitEnds();
  lab.Rest();
  Receive(lab, 2, connection.fd, 16);
  lab.AwaitEnds();
}

void ReceiveAllAndCancel(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  Receive(lab, 1, connection.fd, 12, MSG_WAITALL);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5), PeerSends(lab, connection.peer, 7)});
  lab.Moment();
  (void)lab.Enter();
  Cancel(lab, 2, 1);
  lab.AwaitEnds();
}

void PollAndReceive(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, connection.fd, POLLIN); });
  Receive(lab, 2, connection.fd, 16);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5), PeerSends(lab, connection.peer, 7)});
  lab.AwaitEnds();
}

void TwoCancelled(Lab& lab) {
  const Connection first = lab.Connect();
  const Connection second = lab.Connect();
  lab.Start();
  Receive(lab, 1, first.fd, 16);
  Receive(lab, 2, second.fd, 16);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, second.peer, 5)});
  lab.Moment();
  lab.Add(3, [](io_uring_sqe* sqe) { ::io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY); });
  lab.AwaitEnds();
}

// --- Accepts

void AcceptLimit(Lab& lab) {
  constexpr int kClients = 4;
  (void)lab.Connect();  // Makes the listener.
  lab.ShowAsDescriptor(1);
  lab.world().LowerDescriptorLimit();
  lab.Start();
  for (int client = 0; client < kClients; ++client) {
    if (!lab.world().Connect(lab.port())) break;  // Its end needs a descriptor, too.
  }
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_multishot_accept(sqe, lab.listener(), nullptr, nullptr, SOCK_CLOEXEC);
  });
  (void)lab.Enter();
}

void AcceptBurst(Lab& lab) {
  constexpr int kClients = 3;
  lab.ShowAsDescriptor(1);
  lab.ShowHint(1);
  for (int client = 0; client < kClients; ++client) {
    ORRERY_CHECK(lab.world().Connect(lab.port()));
  }
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_multishot_accept(sqe, lab.listener(), nullptr, nullptr, SOCK_CLOEXEC);
  });
  lab.AwaitCompletions(kClients);
}

// --- Timers

void Timeout(Lab& lab, uint32_t id, unsigned count = 0, unsigned flags = 0) {
  lab.Add(id, [&](io_uring_sqe* sqe) { ::io_uring_prep_timeout(sqe, Short(), count, flags); });
}

void TwoTimeouts(Lab& lab) {
  lab.Start();
  Timeout(lab, 1);
  Timeout(lab, 2);
  lab.AwaitEnds();
}

void TimeoutAndRemoval(Lab& lab) {
  lab.Start();
  Timeout(lab, 1);
  (void)lab.Enter();
  lab.Moment();
  lab.Add(2, [](io_uring_sqe* sqe) { ::io_uring_prep_timeout_remove(sqe, 1, 0); });
  lab.AwaitEnds();
}

void TimeoutOrCount(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  Receive(lab, 1, connection.fd, 16);
  Timeout(lab, 2, /*count=*/1);
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5)});
  lab.AwaitEnds();
}

void LinkTimeoutRace(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  const std::span<std::byte> memory = lab.Memory(16);
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_recv(sqe, connection.fd, memory.data(), memory.size(), 0);
    sqe->flags |= IOSQE_IO_LINK;
  });
  lab.Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_link_timeout(sqe, Short(), 0); });
  (void)lab.Enter();
  lab.Beside({PeerSends(lab, connection.peer, 5)});
  lab.AwaitEnds();
}

// --- Workers

void ShutdownAndNop(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_shutdown(sqe, connection.fd, SHUT_WR); });
  (void)lab.Enter();
  lab.Moment();
  Nop(lab, 2);
  (void)lab.Enter();
  lab.AwaitEnds();
}

void ShutdownAndReceive(Lab& lab) {
  const Connection connection = lab.Connect();
  lab.Start();
  Receive(lab, 1, connection.fd, 16);
  (void)lab.Enter();
  lab.Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_shutdown(sqe, connection.fd, SHUT_RD); });
  lab.AwaitEnds();
}

void Syncs(Lab& lab) {
  std::array<int, 3> files{};
  for (size_t index = 0; index < files.size(); ++index) {
    files[index] = lab.MakeFile("sync" + std::to_string(index), 4 * kKiB);
  }
  lab.Start();
  for (size_t index = 0; index < files.size(); ++index) {
    lab.Add(static_cast<uint32_t>(index + 1),
            [&](io_uring_sqe* sqe) { ::io_uring_prep_fsync(sqe, files[index], 0); });
  }
  lab.AwaitEnds();
}

void ForcedNops(Lab& lab) {
  lab.Start();
  for (uint32_t id = 1; id <= 3; ++id) Nop(lab, id, IOSQE_ASYNC);
  lab.AwaitEnds();
}

void SyncAndCancel(Lab& lab) {
  const int file = lab.MakeFile("cancel", 4 * kKiB);
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) { ::io_uring_prep_fsync(sqe, file, 0); });
  (void)lab.Enter();
  lab.Moment();
  Cancel(lab, 2, 1);
  lab.AwaitEnds();
}

void LoneLink(Lab& lab) {
  lab.Start();
  Nop(lab, 1, IOSQE_IO_LINK);
  (void)lab.Enter();
  lab.Moment();
  Nop(lab, 2);
  (void)lab.Enter();
  lab.AwaitEnds();
}

void ColdRead(Lab& lab) {
  constexpr size_t kBytes = 4 * kKiB;
  const int file = lab.MakeFile("cold", kBytes);
  lab.MakeCold(file);
  lab.Start();
  const std::span<std::byte> memory = lab.Memory(kBytes);
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_read(sqe, file, memory.data(), static_cast<unsigned>(memory.size()), 0);
  });
  Nop(lab, 2);
  lab.AwaitEnds();
}

void WriteAndSync(Lab& lab) {
  constexpr size_t kBytes = 4 * kKiB;
  const int file = lab.MakeFile("write", kBytes);
  const std::span<std::byte> memory = lab.Memory(kBytes);
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_write(sqe, file, memory.data(), static_cast<unsigned>(memory.size()), 0);
  });
  lab.Add(2, [&](io_uring_sqe* sqe) { ::io_uring_prep_fsync(sqe, file, 0); });
  lab.AwaitEnds();
}

void OpenAndNop(Lab& lab) {
  (void)lab.MakeFile("open", 1);
  const std::string path = lab.world().Directory() + "/open";
  lab.ShowAsDescriptor(1);
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC, 0);
  });
  Nop(lab, 2);
  lab.AwaitEnds();
}

// --- Sends

void SendThatWaits(Lab& lab) {
  constexpr size_t kBytes = 1000;
  const Connection connection = lab.Connect();
  const std::span<std::byte> memory = lab.Memory(kMoreThanFits);
  lab.ShowAsPartOf(1, static_cast<int32_t>(kMoreThanFits));
  lab.ShowAsPartOf(2, kBytes);
  lab.FillStream(connection, memory);
  lab.Start();
  lab.Add(2, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_send(sqe, connection.fd, memory.data(), kBytes, MSG_NOSIGNAL);
  });
  (void)lab.Enter();
  lab.Beside({[&lab, peer = connection.peer] { (void)lab.world().Receive(peer, kMoreThanFits); },
              [&lab, peer = connection.peer] { lab.world().Reset(peer); }});
  lab.AwaitEnds();
}

void FullStream(Lab& lab) {
  const Connection connection = lab.Connect();
  const std::span<std::byte> memory = lab.Memory(kMoreThanFits);
  lab.Start();
  for (uint32_t id = 1; id <= 3; ++id) {
    lab.ShowAsPartOf(id, static_cast<int32_t>(memory.size()));
    lab.Add(id, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_send(sqe, connection.fd, memory.data(), memory.size(),
                           MSG_DONTWAIT | MSG_NOSIGNAL);
    });
    (void)lab.Enter();
  }
}

void ZeroCopy(Lab& lab, size_t bytes) {
  const Connection connection = lab.Connect();
  const std::span<std::byte> memory = lab.Memory(bytes);
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_send_zc(sqe, connection.fd, memory.data(), memory.size(), MSG_NOSIGNAL, 0);
  });
  (void)lab.Enter();
  (void)lab.Enter(1, 2 * kMillisecond);
  size_t read = 0;
  while (read < bytes) {
    const size_t more = lab.world().Receive(connection.peer, bytes).bytes.size();
    if (more == 0) break;
    read += more;
  }
  lab.Note(read == bytes ? "(read)" : "(read less)");
  lab.AwaitEnds();
}
void SmallZeroCopy(Lab& lab) { ZeroCopy(lab, 64); }
void MediumZeroCopy(Lab& lab) { ZeroCopy(lab, 32 * kKiB); }
void LargeZeroCopy(Lab& lab) { ZeroCopy(lab, 48 * kKiB); }

void CloseWithUnreadBytes(Lab& lab) {
  const Connection connection = lab.Connect();
  ORRERY_CHECK(lab.world().Send(connection.peer, "unread"));
  ORRERY_CHECK(lab.world().AwaitReadable(connection.fd, 6));
  const std::span<std::byte> memory = lab.Memory(kMoreThanFits);
  lab.ShowAsPartOf(1, static_cast<int32_t>(memory.size()));
  size_t sent = 0;
  lab.Start();
  lab.Add(1, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_send(sqe, connection.fd, memory.data(), memory.size(),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  (void)lab.Enter();
  sent = static_cast<size_t>(std::max(lab.last_result(), 0));
  lab.CloseFile(connection.fd);
  lab.Moment();
  size_t read = 0;
  conformance::PeerRead last;
  do {
    last = lab.world().Receive(connection.peer, kMoreThanFits);
    read += last.bytes.size();
  } while (!last.bytes.empty());
  lab.Note(read == sent ? "(peer got all)" : "(peer got less)");
}

// --- Waits

void WaitWithSignals(Lab& lab) {
  // A little less than the signals' period, which a moment may make up for.
  constexpr Nanoseconds kWait = 9'700 * kMicrosecond;
  lab.Start();
  if (lab.real()) lab.world().InterruptWaits(true);
  lab.Moment();
  const EnterResult entered = lab.Enter(1, kWait);
  if (lab.real()) lab.world().InterruptWaits(false);
  ORRERY_CHECK(!entered);
  lab.Note(entered.error() == EINTR ? "EINTR" : "ETIME");
}

// --- All of them

constexpr Experiment kExperiments[] = {
    {"receive-and-cancel", "bytes arrive while a receive is cancelled", ReceiveAndCancel, Cancels},
    {"two-receivers", "bytes for two sockets at once", TwoReceivers, Wakes},
    {"two-on-one-socket", "two receives wait on one socket", TwoOnOneSocket, Wakes},
    {"receive-in-pieces", "a large message for a receive that waits", ReceiveInPieces, Pieces},
    {"multishot-burst", "three messages for a multishot", MultishotBurst, Wakes},
    {"burst-beyond-buffers", "three messages, and two buffers", BurstBeyondBuffers, Wakes},
    {"two-multishots-one-group", "two sockets, and two buffers", TwoMultishotsOneGroup, Wakes},
    {"bundle-burst", "two messages for a bundle", BundleBurst, Bundles},
    {"bundle-empties-its-group", "three messages for a bundle, and two buffers",
     BundleEmptiesItsGroup, Bundles},
    {"end-behind-bytes", "bytes, and the end right behind them", EndBehindBytes, Wakes},
    {"hint-of-a-multishot", "SOCK_NONEMPTY with two messages", HintOfAMultishot, Hints},
    {"receive-and-reset", "a reset right behind bytes", ReceiveAndReset, Wakes},
    {"receive-all-and-cancel", "a receive of everything is cancelled", ReceiveAllAndCancel,
     Cancels},
    {"poll-and-receive", "a poll and a receive on one socket", PollAndReceive, Wakes},
    {"two-cancelled", "everything is cancelled while bytes arrive", TwoCancelled, Cancels},
    {"poll-wake-ups", "three signals for a multishot poll", PollWakeUps, Wakes},
    {"accept-limit", "a multishot accept meets the descriptor limit", AcceptLimit, Accepts},
    {"accept-burst", "three connections for a multishot accept, and its hint", AcceptBurst, Hints},
    {"two-timeouts", "two timeouts of one duration", TwoTimeouts, Timers},
    {"timeout-and-removal", "a timeout is removed when it is about to fire", TimeoutAndRemoval,
     Timers},
    {"timeout-or-count", "a timeout that a completion ends, or time", TimeoutOrCount, LinkTimeouts},
    {"link-timeout-race", "bytes arrive when a linked timeout is about to fire", LinkTimeoutRace,
     LinkTimeouts},
    {"shutdown-and-nop", "a worker shuts down while the ring goes on", ShutdownAndNop, Workers},
    {"shutdown-and-receive", "a worker ends a receive", ShutdownAndReceive, Workers},
    {"syncs", "three syncs in one batch", Syncs, WorkerOrder},
    {"forced-nops", "three operations with IOSQE_ASYNC", ForcedNops, WorkerOrder},
    {"sync-and-cancel", "a sync is cancelled", SyncAndCancel, Workers},
    {"lone-link", "a chain that ends with its batch", LoneLink, Workers},
    {"cold-read", "a read of pages that are not in memory", ColdRead, Workers},
    {"write-and-sync", "a write and a sync that does not wait for it", WriteAndSync, Workers},
    {"open-and-nop", "an open of a name that was just used", OpenAndNop, Names},
    {"send-that-waits", "a full stream that its peer reads, and then resets", SendThatWaits,
     PartialAndWakes},
    {"full-stream", "sends of more than fits, one after the other", FullStream, Partial},
    {"small-zero-copy", "when a small zero-copy send is notified", SmallZeroCopy, Notifications},
    {"medium-zero-copy", "when one of 32 KiB is notified", MediumZeroCopy, Notifications},
    {"large-zero-copy", "when a large zero-copy send is notified", LargeZeroCopy, Notifications},
    {"close-with-unread-bytes", "a reset, and bytes that its peer has not read",
     CloseWithUnreadBytes, Resets},
    {"wait-with-signals", "a signal during a wait", WaitWithSignals, Signals},
};

}  // namespace

std::span<const Experiment> Experiments() { return kExperiments; }

const Experiment* FindExperiment(std::string_view name) {
  for (const Experiment& experiment : kExperiments) {
    if (experiment.name == name) return &experiment;
  }
  return nullptr;
}

}  // namespace orrery::acceptor
