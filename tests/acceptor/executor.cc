#include "tests/acceptor/executor.h"

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "runtime/ring/submission_queue.h"
#include "tests/conformance/real_world.h"

namespace orrery::acceptor {
namespace {

using conformance::World;

constexpr unsigned kSqEntries = 64;
constexpr unsigned kCqEntries = 512;
constexpr uint16_t kGroup = 7;
constexpr unsigned kSlots = 16;
constexpr int kEventFdSlot = 4;
constexpr int kListenerSlot = 6;
constexpr int kEmptySlot = 15;  // The others are allocated from below.
// A number that no descriptor has.
constexpr int kNoDescriptor = 1 << 20;
// Ids of the operations before the program.
constexpr uint32_t kAcceptId = 1'000'000;
constexpr unsigned kConnectTurnsMax = 1000;
constexpr unsigned kLastTurnsMax = 128;
constexpr unsigned kCancelEvery = 4;
constexpr unsigned kInVain = 2 * kCancelEvery;
constexpr unsigned kLastWaits = 4;
constexpr Nanoseconds kSyncCancelBound = 10 * kMillisecond;
constexpr size_t kReadAllBytes = 64 * 1024;
constexpr int64_t kLongSeconds = 1000;
// On Linux: how long workers may take to come to what they are given, and to finish it then.
constexpr Nanoseconds kWorkersBound = 500 * kMillisecond;
constexpr Nanoseconds kWorkerTime = 300 * kMicrosecond;

// Of a completion, and of a buffer ring's registration; younger than our liburing.
constexpr uint32_t kBufferMore = 1U << 4;
constexpr uint16_t kBuffersIncremental = 2;
constexpr uint16_t kBundleFlag = 1U << 4;
// The kinds of timeout say their count or duration here.
constexpr uint32_t kTimeoutFlagsMask = 3;

void Sleep(Nanoseconds duration) {
  timespec left{.tv_sec = duration / kSecond, .tv_nsec = duration % kSecond};
  while (::nanosleep(&left, &left) != 0) {
  }
}

struct OperationState {
  StepKind kind = StepKind::kNop;
  int32_t object = 0;
  uint32_t flags = 0;
  bool closes = false;  // A number that is open.
  std::vector<std::byte> memory = {};
  std::array<iovec, 2> iovecs{};
  msghdr message{};
  __kernel_timespec time{};
};

bool IsZeroCopy(StepKind kind) {
  return kind == StepKind::kSendZeroCopy || kind == StepKind::kSendMessageZeroCopy;
}

bool IsTimeout(StepKind kind) {
  return kind == StepKind::kTimeout || kind == StepKind::kLinkTimeout ||
         kind == StepKind::kTimeoutUpdate || kind == StepKind::kTimeoutRemove;
}

struct Socket {
  int fd = -1;  // None when it was accepted into a slot.
  int slot = -1;
  bool closed = false;      // Its number must not be used any more.
  bool still_open = false;  // Even so: the close was cancelled.
};

struct PeerState {
  World::Peer peer = 0;
  bool gone = false;   // Closed or reset by us.
  bool fin = false;    // Half-closed by us.
  bool ended = false;  // Has seen the end or a reset.
  size_t sent = 0;
};

char PeerByte(size_t peer, size_t position) {
  return static_cast<char>('a' + (peer * 5 + position) % 26);
}

char SentByte(uint32_t id, size_t position) {
  return static_cast<char>('A' + (id * 7 + position) % 26);
}

// The ring of provided buffers, and who holds which.
class Buffers {
 public:
  Buffers(Ring& ring, bool incremental)
      : incremental_(incremental), memory_(size_t{Program::kBuffers} * Program::kBufferBytes) {
    void* shared =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ORRERY_CHECK(shared != MAP_FAILED);
    shared_ = static_cast<io_uring_buf_ring*>(shared);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(shared);  // The ABI carries a pointer so.
    registration.ring_entries = Program::kBuffers;
    registration.bgid = kGroup;
    if (incremental) registration.pad = kBuffersIncremental;
    ORRERY_CHECK(ring.Register(IORING_REGISTER_PBUF_RING, &registration, 1).has_value());
    for (unsigned id = 0; id < Program::kBuffers; ++id) held_.push_back(static_cast<uint16_t>(id));
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() { ::munmap(shared_, kBytes); }

  // The one held for longest first.
  void Publish(size_t count) {
    for (; count > 0 && !held_.empty(); --count) {
      const uint16_t id = held_.front();
      held_.pop_front();
      published_.push_back({.id = id});
      ::io_uring_buf_ring_add(shared_, memory_.data() + size_t{id} * Program::kBufferBytes,
                              Program::kBufferBytes, id, static_cast<int>(Program::kBuffers - 1),
                              0);
      ::io_uring_buf_ring_advance(shared_, 1);
    }
  }

  // A completion hands over what begins with buffer `id`; `more`: the last one is not used up.
  // What cannot be is answered with a word that no kernel sends.
  std::string Take(uint16_t id, int32_t bytes, bool more) {
    if (published_.empty() || published_.front().id != id) return "(a buffer out of turn)";
    std::string taken;
    auto left = static_cast<size_t>(std::max(bytes, 0));
    do {
      if (published_.empty()) return "(more than there are buffers)";
      Published& buffer = published_.front();
      const size_t room = Program::kBufferBytes - buffer.used;
      const size_t part = std::min(room, left);
      const auto* start = reinterpret_cast<const char*>(  // Received bytes are text to us.
          memory_.data() + size_t{buffer.id} * Program::kBufferBytes + buffer.used);
      taken.append(start, part);
      left -= part;
      buffer.used += part;
      if (left == 0 && incremental_ && more) break;
      held_.push_back(buffer.id);
      published_.pop_front();
    } while (left > 0);
    return taken;
  }

 private:
  struct Published {
    uint16_t id = 0;
    size_t used = 0;
  };

  static constexpr size_t kBytes = Program::kBuffers * sizeof(io_uring_buf);
  const bool incremental_;
  io_uring_buf_ring* shared_ = nullptr;
  std::vector<std::byte> memory_;
  std::deque<uint16_t> held_;
  std::deque<Published> published_;  // In the order in which the kernel takes them.
};

class Executor {
 public:
  Executor(const Program& program, World& world, Driver& driver)
      : program_(program), world_(world), driver_(driver) {}

  ~Executor() {
    for (const Socket& socket : sockets_) {
      if ((!socket.closed || socket.still_open) && socket.fd >= 0) world_.kernel().Close(socket.fd);
    }
    for (const int fd : event_fds_) world_.kernel().Close(fd);
    late_queue_.reset();
    late_ring_.reset();
    queue_.reset();
    ring_.reset();
    if (listener_ >= 0) world_.kernel().Close(listener_);
  }

  bool Run() {
    SetUp();
    for (unsigned i = 0; i < program_.connections && going_; ++i) ConnectFirst(i);
    for (const Step& step : program_.steps) {
      if (!going_) return false;
      CarryOut(step);
    }
    if (going_) WindUp();
    return going_;
  }

 private:
  // An operation whose time is said when it is submitted.
  struct TimeToSet {
    Duration duration;
    OperationState* operation;
    io_uring_sqe* sqe;
  };

  // --- Before and after the program.
  void SetUp() {
    auto ring = world_.MakeRing({.sq_entries = kSqEntries, .cq_entries = kCqEntries});
    ORRERY_CHECK_MSG(ring.has_value(), "no ring");
    ring_ = *std::move(ring);
    queue_ = std::make_unique<SubmissionQueue>(*ring_);
    if (driver_.real()) {
      auto late = world_.MakeRing({.sq_entries = 4, .cq_entries = 4});
      ORRERY_CHECK_MSG(late.has_value(), "no ring");
      late_ring_ = *std::move(late);
      late_queue_ = std::make_unique<SubmissionQueue>(*late_ring_);
    }
    buffers_ = std::make_unique<Buffers>(*ring_, program_.incremental);
    buffers_->Publish(program_.buffers);
    ORRERY_CHECK(RegisterSparseFiles(*ring_, kSlots).has_value());
    listener_ = world_.kernel().Listen({}).value();
    world_.PrepareListener(listener_);
    // Accepted sockets inherit it: every send leaves at once.
    ORRERY_CHECK(world_.kernel().SetSocketOption(listener_, IPPROTO_TCP, TCP_NODELAY, 1));
    port_ = world_.kernel().LocalPort(listener_).value();
    ORRERY_CHECK(UpdateFixedFile(*ring_, kListenerSlot, listener_).has_value());
    for (unsigned i = 0; i < Program::kEventFds; ++i) {
      event_fds_.push_back(world_.kernel().MakeEventFd().value());
      ORRERY_CHECK(UpdateFixedFile(*ring_, kEventFdSlot + i, event_fds_.back()).has_value());
    }
  }

  void ConnectFirst(unsigned number) {
    CarryOut({.kind = StepKind::kPeerConnect});
    CarryOut({.kind = StepKind::kAccept, .id = kAcceptId + number, .object = Object::kListener});
    // Once, but on a machine that is overloaded.
    for (unsigned turn = 0; going_ && sockets_.size() == number; ++turn) {
      ORRERY_CHECK_MSG(turn < kConnectTurnsMax, "a connection that does not come");
      CarryOut({.kind = StepKind::kEnter, .amount = 1});
    }
    if (!going_) return;
    ORRERY_CHECK(UpdateFixedFile(*ring_, number, sockets_.back().fd).has_value());
  }

  void WindUp() {
    winding_up_ = true;
    CarryOut({.kind = StepKind::kEnter});
    CarryOut({.kind = StepKind::kEnter});
    // What says nothing when it succeeds, or when what it followed did, is over when there is
    // nothing left to cancel, and notifications have had their time.
    unsigned in_vain = silent_ ? 0 : kInVain;
    for (uint32_t turn = 0; going_ && (in_flight_ > 0 || in_vain < kInVain); ++turn) {
      if (silent_ && in_vain >= kInVain + kLastWaits) break;
      ORRERY_CHECK_MSG(turn < kLastTurnsMax, "operations that no cancel ends");
      if (turn % kCancelEvery == 0) CancelAll(turn);
      CarryOut({.kind = StepKind::kEnter, .amount = 1});
      if (silent_) in_vain = cancelled_last_ == 0 ? in_vain + 1 : 0;
    }
    for (size_t peer = 0; peer < peers_.size() && going_; ++peer) {
      CarryOut({.kind = StepKind::kPeerReceive,
                .object = static_cast<int32_t>(peer),
                .amount = kReadAllBytes});
    }
  }

  // By an operation, but where that might wait behind a drain (fact L9).
  void CancelAll(uint32_t turn) {
    if (!drains_) {
      CarryOut({.kind = StepKind::kCancelAny, .id = kCancelId + turn});
      return;
    }
    driver_.BeginTurn({.what = "cancel everything"});
    io_uring_sync_cancel_reg request{};
    request.fd = -1;
    request.flags = IORING_ASYNC_CANCEL_ANY;
    request.timeout.tv_nsec = kSyncCancelBound;
    const auto result = ring_->Register(IORING_REGISTER_SYNC_CANCEL, &request, 1);
    cancelled_last_ = result ? static_cast<int32_t>(*result) : -result.error().value();
    Observe({.kind = Observation::Kind::kEntered, .result = cancelled_last_});
    driver_.EndTurn();
    ++turn_;
  }

  // --- Turns.
  void CarryOut(const Step& step) {
    if (!going_ || !CanCarryOut(step)) return;
    driver_.BeginTurn({.what = ToText(step),
                       .enters = step.kind == StepKind::kEnter,
                       .waits = step.kind == StepKind::kEnter && step.amount > 0});
    if (IsOperation(step.kind)) {
      Prepare(step);
      if (step.kind == StepKind::kShutdown) ++for_workers_;
    } else if (step.kind == StepKind::kEnter) {
      Enter(static_cast<unsigned>(step.amount));
    } else {
      CarryOutBeside(step);
    }
    driver_.EndTurn();
    if (step.kind == StepKind::kEnter && for_workers_ > 0) AwaitWorkers();
    ++turn_;
    // Submitted at once, so that only its end is in the air.
    if (step.kind == StepKind::kShutdown) CarryOut({.kind = StepKind::kEnter});
  }

  PeerState* FindPeer(const Step& step) {
    const auto number = static_cast<size_t>(step.object);
    return number < peers_.size() && !peers_[number].gone ? &peers_[number] : nullptr;
  }

  bool CanCarryOut(const Step& step) {
    switch (step.kind) {
      case StepKind::kPeerSend:
      case StepKind::kPeerShutdown: {
        const PeerState* const peer = FindPeer(step);
        return peer != nullptr && !peer->fin && !peer->ended;
      }
      case StepKind::kPeerReceive: {
        const PeerState* const peer = FindPeer(step);
        return peer != nullptr && !peer->ended;
      }
      case StepKind::kPeerClose:
      case StepKind::kPeerReset:
        return FindPeer(step) != nullptr;
      default:
        break;
    }
    if (!IsOperation(step.kind)) return true;
    if (queue_->space_left() == 0) return false;
    return step.object < 0 || step.object >= Object::kEventFd ||
           static_cast<size_t>(step.object) < sockets_.size();
  }

  void Observe(Observation observation) {
    observation.turn = turn_;
    if (going_) going_ = driver_.Observe(observation);
  }

  // With luck, until workers have done their part. They take up what they are given in order, and
  // the last of it is of another ring.
  void AwaitWorkers() {
    if (late_ring_ == nullptr) return;
    io_uring& memory = late_ring_->memory();
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&memory);
    ORRERY_CHECK(sqe != nullptr);
    ::io_uring_prep_nop(sqe);
    sqe->flags |= IOSQE_ASYNC;
    // What does not come is what the acceptor is for.
    (void)late_ring_->Enter({.to_submit = late_queue_->Publish(),
                             .min_complete = 1,
                             .deadline = world_.kernel().MonotonicNow() + kWorkersBound});
    ::io_uring_cq_advance(&memory, ::io_uring_cq_ready(&memory));
    Sleep(kWorkerTime);  // The others are at work, and there is what is in the air with them.
  }

  // --- The world.
  void CarryOutBeside(const Step& step) {
    const auto number = static_cast<uint32_t>(step.object);
    switch (step.kind) {
      case StepKind::kPublish:
        buffers_->Publish(static_cast<size_t>(step.amount));
        return;
      case StepKind::kSignal:
        world_.SignalEventFd(event_fds_.at(number));
        return;
      case StepKind::kPause:
        driver_.Pause();
        return;
      case StepKind::kPeerConnect: {
        const auto peer = world_.Connect(port_);
        ORRERY_CHECK(peer.has_value());
        peers_.push_back({.peer = *peer});
        return;
      }
      default:
        break;
    }
    PeerState& peer = peers_.at(number);
    switch (step.kind) {
      case StepKind::kPeerSend: {
        std::string bytes;
        for (int32_t i = 0; i < step.amount; ++i) {
          bytes.push_back(PeerByte(number, peer.sent + static_cast<size_t>(i)));
        }
        const auto sent = world_.Send(peer.peer, bytes);
        if (sent) peer.sent += *sent;
        if (!sent) peer.ended = true;  // It was told of the reset, and will not be again.
        Observe({.kind = Observation::Kind::kPeer,
                 .id = number,
                 .result = sent ? static_cast<int32_t>(*sent) : -1});
        return;
      }
      case StepKind::kPeerReceive: {
        conformance::PeerRead read = world_.Receive(peer.peer, static_cast<size_t>(step.amount));
        peer.ended = read.end || read.reset;
        Observe({.kind = Observation::Kind::kPeer,
                 .id = number,
                 .result = static_cast<int32_t>(read.bytes.size()),
                 .flags = (read.end ? 1U : 0U) | (read.reset ? 2U : 0U),
                 .bytes = std::move(read.bytes)});
        return;
      }
      case StepKind::kPeerShutdown:
        peer.fin = true;
        world_.ShutdownWrite(peer.peer);
        return;
      case StepKind::kPeerClose:
        peer.gone = true;
        world_.Close(peer.peer);
        return;
      case StepKind::kPeerReset:
        peer.gone = true;
        world_.Reset(peer.peer);
        return;
      default:
        ORRERY_CHECK_MSG(false, "a step that nobody carries out");
    }
  }

  // --- The ring.
  void Enter(unsigned min_complete) {
    CutChain();
    for (const TimeToSet& later : times_) SetTime(later);
    times_.clear();
    const EnterResult entered =
        ring_->Enter({.to_submit = queue_->Publish(),
                      .min_complete = min_complete,
                      .deadline = world_.kernel().MonotonicNow() +
                                  driver_.WaitBound(winding_up_ && to_notify_ > 0)});
    Observe({.kind = Observation::Kind::kEntered,
             .result = entered ? static_cast<int32_t>(*entered) : -entered.error().value()});
    unsigned seen = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
      Reap(*cqe);
      ++seen;
    }
    ::io_uring_cq_advance(&ring_->memory(), seen);
  }

  // What waits for an operation of a later batch would be a worker's (fact U13).
  void CutChain() {
    if (last_sqe_ == nullptr) return;
    last_sqe_->flags &= static_cast<uint8_t>(~(IOSQE_IO_LINK | IOSQE_IO_HARDLINK));
    last_sqe_ = nullptr;
    chain_skips_ = false;
  }

  void Reap(const io_uring_cqe& cqe) {
    Observation observation{.kind = Observation::Kind::kCompletion,
                            .id = static_cast<uint32_t>(cqe.user_data),
                            .result = cqe.res,
                            .flags = cqe.flags};
    OperationState* const operation = Find(observation.id);
    ORRERY_CHECK_MSG(operation != nullptr, "a completion of nothing");
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    const bool last = IsZeroCopy(operation->kind) && (operation->flags & kSkipSuccess) == 0
                          ? (cqe.flags & IORING_CQE_F_NOTIF) != 0
                          : !more;
    if (last && (operation->flags & kSkipSuccess) == 0) {
      --in_flight_;
      if (IsZeroCopy(operation->kind)) --to_notify_;
    }
    if (operation->kind == StepKind::kCancelAny) cancelled_last_ = cqe.res;
    if (operation->closes && cqe.res == -ECANCELED) {
      sockets_[static_cast<size_t>(operation->object)].still_open = true;
    }
    if (operation->kind == StepKind::kShutdown) --for_workers_;
    const bool accepts =
        operation->kind == StepKind::kAccept || operation->kind == StepKind::kAcceptMultishot;
    if (accepts && cqe.res >= 0) {
      if ((operation->flags & kIntoSlot) != 0) {
        sockets_.push_back({.slot = cqe.res});
      } else {
        observation.result = static_cast<int32_t>(sockets_.size());
        sockets_.push_back({.fd = cqe.res});
      }
    }
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
      const auto id = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      observation.bytes = buffers_->Take(id, cqe.res, (cqe.flags & kBufferMore) != 0);
    } else if (operation->kind == StepKind::kReceive || operation->kind == StepKind::kRead) {
      const size_t bytes =
          std::min(operation->memory.size(), static_cast<size_t>(std::max(cqe.res, 0)));
      const auto* start = reinterpret_cast<const char*>(operation->memory.data());  // As above.
      observation.bytes.assign(start, bytes);
    }
    Observe(std::move(observation));
  }

  OperationState* Find(uint32_t id) {
    for (auto& [known, operation] : operations_) {
      if (known == id) return &operation;
    }
    return nullptr;
  }

  void SetTime(const TimeToSet& later) {
    const auto id = static_cast<uint32_t>(later.sqe->user_data);
    const Driver::Time when =
        later.duration == Duration::kShort ? driver_.ShortTimeout(id) : driver_.ZeroLinkTimeout(id);
    later.operation->time.tv_sec = when.time / kSecond;
    later.operation->time.tv_nsec = when.time % kSecond;
    if (when.absolute) later.sqe->timeout_flags |= IORING_TIMEOUT_ABS;
  }

  // The descriptor or slot that the step means.
  int NumberOf(const Step& step) const {
    const bool fixed = (step.flags & kFixed) != 0;
    if (step.object == Object::kListener) return fixed ? kListenerSlot : listener_;
    if (step.object >= Object::kEventFd) {
      const int number = step.object - Object::kEventFd;
      return fixed ? kEventFdSlot + number : event_fds_.at(static_cast<size_t>(number));
    }
    const auto number = static_cast<size_t>(step.object);
    const Socket& socket = sockets_[number];
    if (fixed && socket.slot >= 0) return socket.slot;
    if (fixed) return number < program_.connections ? step.object : kEmptySlot;
    return socket.closed || socket.fd < 0 ? kNoDescriptor : socket.fd;
  }

  void Prepare(const Step& asked) {
    Step step = asked;
    if (step.kind == StepKind::kClose) {
      // What became of it must be seen, to know what is left open at the end (fact L7).
      step.flags &= ~uint32_t{kSkipSuccess};
      if (chain_skips_) CutChain();
    }
    operations_.emplace_back(
        step.id, OperationState{.kind = step.kind, .object = step.object, .flags = step.flags});
    OperationState& operation = operations_.back().second;
    if ((step.flags & kSkipSuccess) == 0) {
      ++in_flight_;
      if (IsZeroCopy(step.kind)) ++to_notify_;
    } else {
      silent_ = true;
    }
    drains_ = drains_ || (step.flags & kDrain) != 0;
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring_->memory());
    ORRERY_CHECK(sqe != nullptr);
    std::memset(sqe, 0, sizeof *sqe);
    PrepareSqe(step, operation, *sqe);
    const bool has_file = !IsTimeout(step.kind) && step.kind != StepKind::kClose &&
                          step.kind != StepKind::kCancel && step.kind != StepKind::kNop &&
                          step.kind != StepKind::kCancelFile;
    if (has_file && (step.flags & kFixed) != 0) sqe->flags |= IOSQE_FIXED_FILE;
    if ((step.flags & kLink) != 0) sqe->flags |= IOSQE_IO_LINK;
    if ((step.flags & kHardLink) != 0) sqe->flags |= IOSQE_IO_HARDLINK;
    if ((step.flags & kSkipSuccess) != 0) sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    if ((step.flags & kDrain) != 0) sqe->flags |= IOSQE_IO_DRAIN;
    last_sqe_ = sqe;
    const bool linked = (step.flags & (kLink | kHardLink)) != 0;
    chain_skips_ = linked && (chain_skips_ || (step.flags & kSkipSuccess) != 0);
    sqe->user_data = step.id;
  }

  void PrepareSqe(const Step& step, OperationState& operation, io_uring_sqe& sqe) {
    const auto amount = static_cast<uint32_t>(step.amount);
    switch (step.kind) {
      case StepKind::kNop:
        ::io_uring_prep_nop(&sqe);
        sqe.rw_flags = 1;  // Fact U12: the result is in the length.
        sqe.len = amount;
        return;
      case StepKind::kAccept:
        ::io_uring_prep_accept(&sqe, NumberOf(step), nullptr, nullptr, SOCK_CLOEXEC);
        if ((step.flags & kIntoSlot) != 0) IntoSlot(sqe);
        return;
      case StepKind::kAcceptMultishot:
        ::io_uring_prep_multishot_accept(&sqe, NumberOf(step), nullptr, nullptr, SOCK_CLOEXEC);
        if ((step.flags & kIntoSlot) != 0) IntoSlot(sqe);
        return;
      case StepKind::kPoll:
        ::io_uring_prep_poll_add(&sqe, NumberOf(step), amount);
        return;
      case StepKind::kPollMultishot:
        ::io_uring_prep_poll_multishot(&sqe, NumberOf(step), amount);
        return;
      case StepKind::kPollRemove:
        ::io_uring_prep_poll_remove(&sqe, amount);
        return;
      case StepKind::kTimeout:
        PrepareTimeout(step, operation, sqe);
        return;
      case StepKind::kTimeoutRemove:
        ::io_uring_prep_timeout_remove(&sqe, amount, 0);
        return;
      case StepKind::kTimeoutUpdate:
        SetDuration(DurationOf(step), operation, sqe);
        ::io_uring_prep_timeout_update(&sqe, &operation.time, amount, 0);
        return;
      case StepKind::kLinkTimeout:
        SetDuration(DurationOf(step), operation, sqe);
        ::io_uring_prep_link_timeout(&sqe, &operation.time, 0);
        return;
      case StepKind::kCancel:
        ::io_uring_prep_cancel64(&sqe, amount,
                                 (step.flags & kAll) != 0 ? IORING_ASYNC_CANCEL_ALL : 0);
        return;
      case StepKind::kCancelFile:
        ::io_uring_prep_cancel_fd(
            &sqe, NumberOf(step),
            ((step.flags & kAll) != 0 ? IORING_ASYNC_CANCEL_ALL : 0U) |
                ((step.flags & kFixed) != 0 ? IORING_ASYNC_CANCEL_FD_FIXED : 0U));
        return;
      case StepKind::kCancelAny:
        ::io_uring_prep_cancel64(&sqe, 0, IORING_ASYNC_CANCEL_ANY);
        return;
      case StepKind::kClose:
        PrepareClose(step, operation, sqe);
        return;
      case StepKind::kShutdown:
        ::io_uring_prep_shutdown(&sqe, NumberOf(step), step.amount);
        return;
      default:
        PrepareTransfer(step, operation, sqe);
    }
  }

  static void IntoSlot(io_uring_sqe& sqe) {
    sqe.file_index = IORING_FILE_INDEX_ALLOC;
    sqe.accept_flags = 0;  // Fact A9.
  }

  // Its time, now or when it is submitted.
  void SetDuration(Duration duration, OperationState& operation, io_uring_sqe& sqe) {
    if (duration == Duration::kLong) operation.time.tv_sec = kLongSeconds;
    const bool race = duration == Duration::kZero && operation.kind == StepKind::kLinkTimeout;
    if (duration == Duration::kShort || race) times_.push_back({duration, &operation, &sqe});
  }

  void PrepareTimeout(const Step& step, OperationState& operation, io_uring_sqe& sqe) {
    SetDuration(DurationOf(step), operation, sqe);
    ::io_uring_prep_timeout(&sqe, &operation.time, step.flags & kTimeoutFlagsMask, 0);
  }

  void PrepareClose(const Step& step, OperationState& operation, io_uring_sqe& sqe) {
    if ((step.flags & kFixed) != 0) {
      ::io_uring_prep_close_direct(&sqe, static_cast<unsigned>(NumberOf(step)));
      return;
    }
    const int number = NumberOf(step);
    ::io_uring_prep_close(&sqe, number);
    operation.closes = number != kNoDescriptor;
    // From now on the number may become another file's.
    sockets_[static_cast<size_t>(step.object)].closed = true;
  }

  void PrepareTransfer(const Step& step, OperationState& operation, io_uring_sqe& sqe) {
    const int file = NumberOf(step);
    const auto bytes = static_cast<uint32_t>(step.amount);
    const bool event_fd = step.object >= Object::kEventFd;
    int message_flags = 0;
    if ((step.flags & kWaitAll) != 0) message_flags |= MSG_WAITALL;
    if ((step.flags & kNoWait) != 0) message_flags |= MSG_DONTWAIT;
    operation.memory.resize(event_fd ? sizeof(uint64_t) : bytes);
    std::byte* const memory = operation.memory.data();
    const bool out = step.kind == StepKind::kSend || step.kind == StepKind::kSendMessage ||
                     step.kind == StepKind::kWrite || IsZeroCopy(step.kind);
    if (out) Fill(step, operation);
    switch (step.kind) {
      case StepKind::kReceive:
        ::io_uring_prep_recv(&sqe, file, memory, bytes, message_flags);
        if ((step.flags & kPollFirst) != 0) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
        if ((step.flags & kBundle) != 0) sqe.ioprio |= kBundleFlag;
        if ((step.flags & kSelect) == 0) return;
        sqe.addr = 0;
        sqe.flags |= IOSQE_BUFFER_SELECT;
        sqe.buf_group = kGroup;
        return;
      case StepKind::kReceiveMultishot:
        ::io_uring_prep_recv_multishot(&sqe, file, nullptr, 0, 0);
        if ((step.flags & kBundle) != 0) sqe.ioprio |= kBundleFlag;
        sqe.flags |= IOSQE_BUFFER_SELECT;
        sqe.buf_group = kGroup;
        return;
      case StepKind::kRead:
        ::io_uring_prep_read(&sqe, file, memory, static_cast<unsigned>(operation.memory.size()),
                             ~uint64_t{0});
        return;
      case StepKind::kWrite:
        ::io_uring_prep_write(&sqe, file, memory, static_cast<unsigned>(operation.memory.size()),
                              ~uint64_t{0});
        return;
      case StepKind::kSend:
        ::io_uring_prep_send(&sqe, file, memory, bytes, message_flags | MSG_NOSIGNAL);
        return;
      case StepKind::kSendZeroCopy:
        ::io_uring_prep_send_zc(&sqe, file, memory, bytes, message_flags | MSG_NOSIGNAL, 0);
        return;
      case StepKind::kSendMessage:
      case StepKind::kSendMessageZeroCopy:
        operation.iovecs = {iovec{.iov_base = memory, .iov_len = 1},
                            iovec{.iov_base = memory + 1, .iov_len = bytes - 1}};
        operation.message.msg_iov = operation.iovecs.data();
        operation.message.msg_iovlen = operation.iovecs.size();
        ::io_uring_prep_sendmsg(&sqe, file, &operation.message,
                                static_cast<unsigned>(message_flags | MSG_NOSIGNAL));
        if (IsZeroCopy(step.kind)) sqe.opcode = IORING_OP_SENDMSG_ZC;
        return;
      default:
        ORRERY_CHECK_MSG(false, "an operation that nobody prepares");
    }
  }

  static void Fill(const Step& step, OperationState& operation) {
    if (step.object >= Object::kEventFd) {
      const auto value = static_cast<uint64_t>(step.amount);
      std::memcpy(operation.memory.data(), &value, sizeof value);
      return;
    }
    for (size_t i = 0; i < operation.memory.size(); ++i) {
      operation.memory[i] = static_cast<std::byte>(SentByte(step.id, i));
    }
  }

  const Program& program_;
  World& world_;
  Driver& driver_;
  // What the kernel may still write to dies after the ring.
  std::deque<std::pair<uint32_t, OperationState>> operations_;
  std::unique_ptr<Buffers> buffers_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> queue_;
  std::unique_ptr<Ring> late_ring_;  // On Linux: see AwaitWorkers().
  std::unique_ptr<SubmissionQueue> late_queue_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<int> event_fds_;
  std::vector<Socket> sockets_;
  std::vector<PeerState> peers_;
  // Of the SQEs that the next Enter submits:
  std::vector<TimeToSet> times_;
  io_uring_sqe* last_sqe_ = nullptr;
  bool chain_skips_ = false;     // The chain that it may be part of has one that hides its success.
  size_t for_workers_ = 0;       // Operations of workers whose end was not seen.
  bool silent_ = false;          // Something that may end without a completion was submitted.
  bool drains_ = false;          // Something may hold back what comes after it.
  int32_t cancelled_last_ = -1;  // What the last cancel of everything found.
  size_t in_flight_ = 0;
  size_t to_notify_ = 0;  // Of them, zero-copy sends.
  uint64_t turn_ = 0;
  bool winding_up_ = false;
  bool going_ = true;
};

// --- The real side.

constexpr Nanoseconds kRealShort = 400 * kMicrosecond;
constexpr Nanoseconds kRealPause = 1 * kMillisecond;
constexpr Nanoseconds kRealWait = 1 * kMillisecond;
// An acknowledgement that was delayed has come.
constexpr Nanoseconds kRealLastWait = 20 * kMillisecond;
class Recorder final : public Driver {
 public:
  Recorder(World& world, Trace& trace) : world_(world), trace_(trace) {}

  void BeginTurn(const Turn& turn) override {
    trace_.turns.push_back(turn);
    trace_.turns.back().start = world_.kernel().MonotonicNow();
  }
  void EndTurn() override { trace_.turns.back().end = world_.kernel().MonotonicNow(); }
  bool Observe(const Observation& observation) override {
    trace_.observations.push_back(observation);
    return true;
  }
  bool real() const override { return true; }
  Nanoseconds WaitBound(bool last) override { return last ? kRealLastWait : kRealWait; }
  Time ShortTimeout(uint32_t) override { return {.time = kRealShort}; }
  Time ZeroLinkTimeout(uint32_t) override { return {}; }
  void Pause() override { Sleep(kRealPause); }

 private:
  World& world_;
  Trace& trace_;
};

}  // namespace

bool Run(const Program& program, World& world, Driver& driver) {
  return Executor(program, world, driver).Run();
}

Trace Record(const Program& program) {
  ORRERY_CHECK(::signal(SIGPIPE, SIG_IGN) != SIG_ERR);  // Fact T8: writes raise it.
  const std::unique_ptr<World> world = conformance::MakeRealWorld(/*deferred=*/true);
  Trace trace;
  Recorder recorder(*world, trace);
  ORRERY_CHECK(Run(program, *world, recorder));
  return trace;
}

}  // namespace orrery::acceptor
