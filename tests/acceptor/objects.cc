#include "tests/acceptor/objects.h"

#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <span>

#include "base/check.h"
#include "base/loopback.h"
#include "base/units.h"
#include "runtime/ring/submission_queue.h"

namespace orrery::acceptor {
namespace {

using conformance::World;

// The slots. Sockets are in those of their numbers; free ones are allocated to what is accepted.
constexpr unsigned kSlots = 32;
constexpr int kEventFdSlot = 4;
constexpr int kListenerSlot = 6;
constexpr int kPipeSlot = 16;
constexpr int kFileSlot = 20;
constexpr int kDatagramSlot = 22;
constexpr int kEmptySlot = 31;  // The others are allocated from below.
// A number that no descriptor has.
constexpr int kNoDescriptor = 1 << 20;
constexpr Nanoseconds kMakeBound = 10 * kSecond;
constexpr mode_t kFileMode = 0600;

// Younger than our liburing.
constexpr uint8_t kOpBind = 56;
constexpr uint8_t kOpPipe = 62;

// Carries out one operation, and answers its result, which must not be an error.
template <typename Prepare>
int Do(World& world, Ring& ring, Prepare prepare) {
  io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring.memory());
  ORRERY_CHECK(sqe != nullptr);
  std::fill_n(reinterpret_cast<std::byte*>(sqe), sizeof *sqe, std::byte{0});  // Plain data.
  prepare(sqe);
  const auto entered = ring.Enter({.to_submit = SubmissionQueue(ring).Publish(),
                                   .min_complete = 1,
                                   .deadline = world.kernel().MonotonicNow() + kMakeBound});
  ORRERY_CHECK_MSG(entered.has_value(), "the program's files cannot be made");
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  int result = -1;
  io_uring_for_each_cqe(&ring.memory(), head, cqe) { result = cqe->res; }
  ::io_uring_cq_advance(&ring.memory(), ::io_uring_cq_ready(&ring.memory()));
  ORRERY_CHECK_MSG(result >= 0, "the program's files cannot be made");
  return result;
}

bool Names(const Program& program, ObjectKind kind) {
  return std::any_of(program.steps.begin(), program.steps.end(), [kind](const Step& step) {
    if (step.kind == StepKind::kOpen) return kind == ObjectKind::kFile;
    return IsOperation(step.kind) && KindOf(step.object) == kind;
  });
}

}  // namespace

Objects::~Objects() {
  const auto close = [&](std::span<const Descriptor> objects) {
    for (const Descriptor& object : objects) {
      if (object.fd >= 0 && (!object.closed || object.stays_open)) world_.kernel().Close(object.fd);
    }
  };
  close(sockets_);
  close(event_fds_);
  close(pipes_);
  close(files_);
  close(datagrams_);
  close(listener_);
}

void Objects::Make(const Program& program, Ring& ring) {
  MakeListener();
  for (unsigned number = 0; number < Program::kEventFds; ++number) {
    event_fds_.push_back({.fd = world_.kernel().MakeEventFd().value()});
  }
  // On a ring of their own, so that nothing of it is left in the program's.
  auto helper = world_.MakeRing({.sq_entries = 4, .cq_entries = 8});
  ORRERY_CHECK_MSG(helper.has_value(), "no ring");
  if (Names(program, ObjectKind::kPipe)) MakePipes(**helper);
  if (Names(program, ObjectKind::kFile)) MakeFiles(**helper);
  if (Names(program, ObjectKind::kDatagram)) MakeDatagrams(**helper);
  slotted_sockets_ = program.connections;
  Register(ring);
}

void Objects::MakeListener() {
  const int fd = world_.kernel().Listen({}).value();
  listener_ = {Descriptor{.fd = fd}};
  world_.PrepareListener(fd);
  // Accepted sockets inherit it: every send leaves at once.
  ORRERY_CHECK(world_.kernel().SetSocketOption(fd, IPPROTO_TCP, TCP_NODELAY, 1));
  port_ = world_.kernel().LocalPort(fd).value();
}

void Objects::MakePipes(Ring& helper) {
  for (unsigned number = 0; number < Program::kPipes; ++number) {
    std::array<int, 2> ends{};
    Do(world_, helper, [&](io_uring_sqe* sqe) {
      sqe->opcode = kOpPipe;
      sqe->addr = reinterpret_cast<uint64_t>(ends.data());  // The ABI carries a pointer so.
      sqe->rw_flags = O_CLOEXEC;
    });
    for (const int fd : ends) pipes_.push_back({.fd = fd});
  }
}

void Objects::MakeFiles(Ring& helper) {
  // The working directory is this run's own from here on.
  (void)world_.Directory();
  for (unsigned number = 0; number < Program::kFiles; ++number) {
    const std::string name = NameOfFile(number);
    const int fd = Do(world_, helper, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_openat(sqe, AT_FDCWD, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                             kFileMode);
    });
    files_.push_back({.fd = fd});
  }
}

void Objects::MakeDatagrams(Ring& helper) {
  for (unsigned number = 0; number < Program::kDatagrams; ++number) {
    const World::Peer peer = world_.OpenDatagramPeer();
    datagram_peers_.push_back({.peer = peer, .port = world_.DatagramPort(peer), .open = true});
    const int fd = Do(world_, helper, [](io_uring_sqe* sqe) {
      ::io_uring_prep_socket(sqe, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0);
    });
    datagrams_.push_back({.fd = fd});
    const sockaddr_in any = Loopback(0);
    Do(world_, helper,
       [&](io_uring_sqe* sqe) { ::io_uring_prep_rw(kOpBind, sqe, fd, &any, 0, sizeof any); });
    datagram_ports_.push_back(world_.kernel().LocalPort(fd).value());
  }
  const World::Peer nobody = world_.OpenDatagramPeer();
  nobodys_port_ = world_.DatagramPort(nobody);
  world_.CloseDatagramPeer(nobody);
  const sockaddr_in first = Loopback(datagram_peers_.front().port);
  Do(world_, helper, [&](io_uring_sqe* sqe) {
    // The ABI takes every family through one type.
    ::io_uring_prep_connect(sqe, datagrams_.front().fd, reinterpret_cast<const sockaddr*>(&first),
                            sizeof first);
  });
}

void Objects::Register(Ring& ring) {
  ORRERY_CHECK(RegisterSparseFiles(ring, kSlots).has_value());
  const auto put = [&](std::vector<Descriptor>& objects, int first) {
    for (Descriptor& object : objects) {
      object.slot = first++;
      ORRERY_CHECK(
          UpdateFixedFile(ring, static_cast<unsigned>(object.slot), object.fd).has_value());
    }
  };
  put(pipes_, kPipeSlot);
  put(files_, kFileSlot);
  put(datagrams_, kDatagramSlot);
  listener_.front().slot = kListenerSlot;
  ORRERY_CHECK(UpdateFixedFile(ring, kListenerSlot, listener_.front().fd).has_value());
  put(event_fds_, kEventFdSlot);
}

void Objects::RegisterSocket(size_t number, Ring& ring) const {
  ORRERY_CHECK(number < slotted_sockets_);
  ORRERY_CHECK(
      UpdateFixedFile(ring, static_cast<unsigned>(number), sockets_[number].fd).has_value());
}

const Objects::Descriptor* Objects::Find(int32_t object) const {
  const auto in = [object](std::span<const Descriptor> objects, int32_t first) {
    const auto index = static_cast<size_t>(object - first);
    return index < objects.size() ? &objects[index] : nullptr;
  };
  switch (KindOf(object)) {
    case ObjectKind::kSocket:
      return in(sockets_, 0);
    case ObjectKind::kEventFd:
      return in(event_fds_, Object::kEventFd);
    case ObjectKind::kListener:
      return in(listener_, Object::kListener);
    case ObjectKind::kPipe:
      return in(pipes_, Object::kPipe);
    case ObjectKind::kFile:
      return in(files_, Object::kFile);
    case ObjectKind::kDatagram:
      return in(datagrams_, Object::kDatagram);
    case ObjectKind::kNone:
      break;
  }
  return nullptr;
}

Objects::Descriptor* Objects::Find(int32_t object) {
  return const_cast<Descriptor*>(std::as_const(*this).Find(object));  // It is this one's.
}

bool Objects::Knows(int32_t object) const { return Find(object) != nullptr; }

bool Objects::IsOpen(int32_t object) const {
  const Descriptor* const found = Find(object);
  return found != nullptr && found->fd >= 0 && !found->closed;
}

int Objects::NumberOf(int32_t object, bool fixed) const {
  const Descriptor* const found = Find(object);
  ORRERY_CHECK(found != nullptr);
  if (!fixed) return IsOpen(object) ? found->fd : kNoDescriptor;
  if (found->slot >= 0) return found->slot;
  const bool slotted =
      KindOf(object) == ObjectKind::kSocket && static_cast<size_t>(object) < slotted_sockets_;
  return slotted ? object : kEmptySlot;
}

uint16_t Objects::PortAt(int32_t place) const {
  if (place == Place::kNobody) return nobodys_port_;
  if (place >= Place::kOwn) return datagram_ports_.at(static_cast<size_t>(place - Place::kOwn));
  if (place < Place::kPeer) return 0;
  return datagram_peers_.at(static_cast<size_t>(place - Place::kPeer)).port;
}

Objects::DatagramPeer* Objects::FindDatagramPeer(size_t number) {
  const bool there = number < datagram_peers_.size() && datagram_peers_[number].open;
  return there ? &datagram_peers_[number] : nullptr;
}

}  // namespace orrery::acceptor
