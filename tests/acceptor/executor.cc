#include "tests/acceptor/executor.h"

#include <liburing.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "runtime/ring/submission_queue.h"
#include "tests/acceptor/buffers.h"
#include "tests/acceptor/objects.h"
#include "tests/acceptor/preparation.h"
#include "tests/conformance/real_world.h"

namespace orrery::acceptor {
namespace {

using conformance::World;

constexpr unsigned kSqEntries = 64;
constexpr unsigned kCqEntries = 512;
// Ids of the operations before the program.
constexpr uint32_t kAcceptId = 1'000'000;
constexpr unsigned kConnectTurnsMax = 1000;
constexpr unsigned kLastTurnsMax = 128;
constexpr unsigned kCancelEvery = 4;
constexpr unsigned kInVain = 2 * kCancelEvery;
constexpr unsigned kLastWaits = 4;
constexpr Nanoseconds kSyncCancelBound = 10 * kMillisecond;
constexpr size_t kReadAllBytes = 1024 * 1024;
constexpr unsigned kLastReadsMax = 64;
constexpr int64_t kLongSeconds = 1000;
// On Linux: how long workers may take to come to what they are given, and to finish it then.
constexpr Nanoseconds kWorkersBound = 500 * kMillisecond;
constexpr Nanoseconds kWorkerTime = 300 * kMicrosecond;
// Of more bytes a trace has their number and a hash.
constexpr size_t kBytesShownMax = 256;

constexpr uint32_t kBufferMore = 1U << 4;  // Of a completion; younger than our liburing.

void Sleep(Nanoseconds duration) {
  timespec left{.tv_sec = duration / kSecond, .tv_nsec = duration % kSecond};
  while (::nanosleep(&left, &left) != 0) {
  }
}

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

std::string Shorten(std::string bytes) {
  if (bytes.size() <= kBytesShownMax) return bytes;
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return "(" + std::to_string(bytes.size()) + " bytes, " + std::to_string(hash) + ")";
}

bool ReadsMemory(StepKind kind) {
  return kind == StepKind::kReceive || kind == StepKind::kReceiveMessage ||
         kind == StepKind::kRead || kind == StepKind::kReadVector;
}

class Executor {
 public:
  Executor(const Program& program, World& world, Driver& driver)
      : program_(program), world_(world), driver_(driver), objects_(world) {
    for (const Step& step : program.steps) {
      sends_long_ |= IsSend(step) && step.amount > kShortSendMax;
    }
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
    driver_.BeginTurn({.what = "set up"});
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
    objects_.Make(program_, *ring_);
    driver_.EndTurn();
    ++turn_;
  }

  void ConnectFirst(unsigned number) {
    CarryOut({.kind = StepKind::kPeerConnect});
    CarryOut({.kind = StepKind::kAccept, .id = kAcceptId + number, .object = Object::kListener});
    // Once, but on a machine that is overloaded.
    for (unsigned turn = 0; going_ && objects_.sockets() == number; ++turn) {
      ORRERY_CHECK_MSG(turn < kConnectTurnsMax, "a connection that does not come");
      CarryOut({.kind = StepKind::kEnter, .amount = 1});
    }
    if (going_) objects_.RegisterSocket(number, *ring_);
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
      // What a zero-copy send has sent is its own until it is read.
      if (to_notify_ > 0 && turn % kCancelEvery == 0) ReadAll();
      CarryOut({.kind = StepKind::kEnter, .amount = 1});
      if (silent_) in_vain = cancelled_last_ == 0 ? in_vain + 1 : 0;
    }
    ReadAll();
    for (int32_t peer = 0; peer < static_cast<int32_t>(Program::kDatagrams); ++peer) {
      received_ = true;
      for (unsigned read = 0; received_ && read < kLastReadsMax; ++read) {
        received_ = false;
        CarryOut({.kind = StepKind::kPeerReceiveDatagram, .object = peer});
      }
    }
  }

  void ReadAll() {
    for (int32_t peer = 0; peer < static_cast<int32_t>(peers_.size()); ++peer) {
      received_ = true;
      for (unsigned read = 0; received_ && read < kLastReadsMax; ++read) {
        received_ = false;
        CarryOut({.kind = StepKind::kPeerReceive, .object = peer, .amount = kReadAllBytes});
      }
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
    if (IsOperation(step.kind) && RacesWithWorkers(step)) CarryOut({.kind = StepKind::kEnter});
    if (!going_) return;
    driver_.BeginTurn({.what = ToText(step),
                       .enters = step.kind == StepKind::kEnter,
                       .waits = step.kind == StepKind::kEnter && step.amount > 0});
    if (IsOperation(step.kind)) {
      Prepare(step);
    } else if (step.kind == StepKind::kEnter) {
      Enter(static_cast<unsigned>(step.amount));
    } else {
      CarryOutBeside(step);
    }
    driver_.EndTurn();
    if (step.kind == StepKind::kEnter && (for_workers_ > 0 || drains_)) AwaitWorkers();
    ++turn_;
  }

  // What workers do shows what was submitted together with it as it was before or after, and is
  // therefore submitted first: only its end is in the air then. Operations of files take the order
  // among themselves that workers give them, and may be cancelled at any point.
  bool RacesWithWorkers(const Step& step) const {
    if (!shutdown_prepared_ && !file_work_prepared_) return false;
    if (IsChainOpen()) return false;
    const bool of_files = IsForWorker(step) && step.kind != StepKind::kShutdown;
    return shutdown_prepared_ || !(of_files || IsCancel(step.kind));
  }

  bool IsChainOpen() const {
    return last_sqe_ != nullptr && (last_sqe_->flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) != 0;
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
      case StepKind::kPeerSendDatagram:
      case StepKind::kPeerReceiveDatagram:
      case StepKind::kPeerCloseDatagram:
        return objects_.FindDatagramPeer(static_cast<size_t>(step.object)) != nullptr;
      default:
        break;
    }
    if (!IsOperation(step.kind)) return true;
    if (queue_->space_left() == 0) return false;
    if (HasObject(step.kind) && !objects_.Knows(step.object)) return false;
    if (step.kind == StepKind::kClose && IsNumberInUse(step)) return false;
    // Of a socket whose sends may have to wait, one at a time: what pieces they go out in is not
    // seen (fact T4).
    return !sends_long_ || !IsSend(step) || !IsSending(step.object);
  }

  static bool HasObject(StepKind kind) {
    switch (kind) {
      case StepKind::kNop:
      case StepKind::kPollRemove:
      case StepKind::kTimeout:
      case StepKind::kTimeoutRemove:
      case StepKind::kTimeoutUpdate:
      case StepKind::kLinkTimeout:
      case StepKind::kCancel:
      case StepKind::kCancelAny:
      case StepKind::kOpen:
        return false;
      default:
        return true;
    }
  }

  // What is behind others in a chain looks its number up when its turn has come: by then it may be
  // that of another file, and not of the same on both kernels.
  bool IsNumberInUse(const Step& close) const {
    if ((close.flags & kFixed) != 0) return false;
    return std::any_of(operations_.begin(), operations_.end(), [&](const OperationState& other) {
      return other.behind && !other.ended && HasObject(other.step.kind) &&
             (other.step.flags & kFixed) == 0 && other.step.object == close.object;
    });
  }

  bool IsSending(int32_t object) const {
    return std::any_of(operations_.begin(), operations_.end(), [&](const OperationState& other) {
      return !other.ended && IsSend(other.step) && other.step.object == object;
    });
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
        world_.SignalEventFd(objects_.event_fd(number));
        return;
      case StepKind::kPause:
        driver_.Pause();
        return;
      case StepKind::kPeerConnect: {
        const auto peer = world_.Connect(objects_.port());
        ORRERY_CHECK(peer.has_value());
        driver_.Connected(*peer);
        peers_.push_back({.peer = *peer});
        return;
      }
      case StepKind::kPeerSendDatagram:
      case StepKind::kPeerReceiveDatagram:
      case StepKind::kPeerCloseDatagram:
        CarryOutByDatagramPeer(step, *objects_.FindDatagramPeer(number));
        return;
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
        const size_t bytes = driver_.PeerReads(number, static_cast<size_t>(step.amount));
        conformance::PeerRead read = world_.Receive(peer.peer, bytes);
        peer.ended = read.end || read.reset;
        received_ = !read.bytes.empty();
        Observe({.kind = Observation::Kind::kPeer,
                 .id = number,
                 .result = static_cast<int32_t>(read.bytes.size()),
                 .flags = (read.end ? 1U : 0U) | (read.reset ? 2U : 0U),
                 .bytes = Shorten(std::move(read.bytes))});
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

  void CarryOutByDatagramPeer(const Step& step, Objects::DatagramPeer& peer) {
    Observation seen{.kind = Observation::Kind::kPeer,
                     .id = kDatagramPeerId + static_cast<uint32_t>(step.object)};
    if (step.kind == StepKind::kPeerCloseDatagram) {
      peer.open = false;
      world_.CloseDatagramPeer(peer.peer);
      return;
    }
    if (step.kind == StepKind::kPeerSendDatagram) {
      std::string bytes;
      for (int32_t i = 0; i < step.amount; ++i) {
        bytes.push_back(PeerByte(seen.id, datagram_bytes_++));
      }
      world_.SendDatagram(peer.peer, objects_.datagram_port(static_cast<size_t>(step.place)),
                          bytes);
      return;
    }
    const auto datagram = world_.ReceiveDatagram(peer.peer);
    received_ = datagram.has_value();
    seen.result = received_ ? static_cast<int32_t>(datagram->bytes.size()) : -1;
    if (received_) seen.bytes = datagram->bytes;
    Observe(std::move(seen));
  }

  // --- The ring.
  void Enter(unsigned min_complete) {
    CutChain();
    shutdown_prepared_ = file_work_prepared_ = false;
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
    NoteEnd(*operation, cqe);
    const Step& step = operation->step;
    const bool accepts = step.kind == StepKind::kAccept || step.kind == StepKind::kAcceptMultishot;
    if (accepts && cqe.res >= 0) {
      if ((step.flags & kIntoSlot) != 0) {
        (void)objects_.AddSocketInSlot(cqe.res);  // The slot is what both kernels answer.
      } else {
        observation.result = objects_.AddSocket(cqe.res);
      }
    }
    if (step.kind == StepKind::kOpen && cqe.res >= 0)
      observation.result = objects_.AddFile(cqe.res);
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
      const auto id = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      observation.bytes = buffers_->Take(id, cqe.res, (cqe.flags & kBufferMore) != 0);
    } else if (ReadsMemory(step.kind)) {
      const size_t bytes =
          std::min(operation->memory.size(), static_cast<size_t>(std::max(cqe.res, 0)));
      const auto* start = reinterpret_cast<const char*>(operation->memory.data());  // As above.
      observation.bytes = Shorten({start, bytes});
    }
    Observe(std::move(observation));
  }

  void NoteEnd(OperationState& operation, const io_uring_cqe& cqe) {
    const Step& step = operation.step;
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    const bool skips = (step.flags & kSkipSuccess) != 0;
    const bool notified = (cqe.flags & IORING_CQE_F_NOTIF) != 0;
    const bool last = IsZeroCopy(step.kind) && !skips ? notified : !more;
    operation.ended |= last || IsZeroCopy(step.kind);
    if (last && !skips) {
      --in_flight_;
      if (IsZeroCopy(step.kind)) --to_notify_;
    }
    if (step.kind == StepKind::kCancelAny) cancelled_last_ = cqe.res;
    if (operation.closes && cqe.res == -ECANCELED) objects_.StaysOpen(step.object);
    if (IsForWorker(step)) --for_workers_;
  }

  OperationState* Find(uint32_t id) {
    for (OperationState& operation : operations_) {
      if (operation.step.id == id) return &operation;
    }
    return nullptr;
  }

  void SetTime(const TimeToSet& later) {
    const auto id = static_cast<uint32_t>(later.sqe->user_data);
    const bool linked = later.operation->step.kind == StepKind::kLinkTimeout;
    const Driver::Time when = later.duration == Duration::kShort ? driver_.ShortTimeout(id)
                              : linked                           ? driver_.ZeroLinkTimeout(id)
                                                                 : driver_.ZeroTimeout(id);
    later.operation->time.tv_sec = when.time / kSecond;
    later.operation->time.tv_nsec = when.time % kSecond;
    if (when.absolute) later.sqe->timeout_flags |= IORING_TIMEOUT_ABS;
  }

  void Prepare(const Step& step) {
    operations_.push_back({.step = step});
    OperationState& operation = operations_.back();
    if (MustShow(step.kind)) {
      operation.step.flags &= ~uint32_t{kSkipSuccess};
      if (chain_skips_) CutChain();
    }
    const uint32_t flags = operation.step.flags;
    if ((flags & kSkipSuccess) == 0) {
      ++in_flight_;
      if (IsZeroCopy(step.kind)) ++to_notify_;
    } else {
      silent_ = true;
    }
    drains_ = drains_ || (flags & kDrain) != 0;
    if (IsForWorker(step)) {
      ++for_workers_;
      (step.kind == StepKind::kShutdown ? shutdown_prepared_ : file_work_prepared_) = true;
    }
    operation.behind = IsChainOpen();
    io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring_->memory());
    ORRERY_CHECK(sqe != nullptr);
    std::memset(sqe, 0, sizeof *sqe);
    PrepareSqe(objects_, operation, *sqe);
    if (operation.closes) objects_.Closing(step.object);
    NoteTime(operation, *sqe);
    last_sqe_ = sqe;
    const bool linked = (flags & (kLink | kHardLink)) != 0;
    chain_skips_ = linked && (chain_skips_ || (flags & kSkipSuccess) != 0);
  }

  // What became of it must be seen, to know what is open (fact L7).
  static bool MustShow(StepKind kind) {
    return kind == StepKind::kClose || kind == StepKind::kOpen || kind == StepKind::kAccept ||
           kind == StepKind::kAcceptMultishot;
  }

  // The time of a timeout, now or when it is submitted.
  void NoteTime(OperationState& operation, io_uring_sqe& sqe) {
    const StepKind kind = operation.step.kind;
    const bool linked = kind == StepKind::kLinkTimeout;
    if (!linked && kind != StepKind::kTimeout && kind != StepKind::kTimeoutUpdate) return;
    const Duration duration = DurationOf(operation.step);
    if (duration == Duration::kLong) {
      operation.time.tv_sec = kLongSeconds;
    } else if (duration == Duration::kShort || kind != StepKind::kTimeoutUpdate) {
      times_.push_back({duration, &operation, &sqe});
    }
  }

  const Program& program_;
  World& world_;
  Driver& driver_;
  // What the kernel may still write to dies after the ring.
  std::deque<OperationState> operations_;
  std::unique_ptr<Buffers> buffers_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SubmissionQueue> queue_;
  std::unique_ptr<Ring> late_ring_;  // On Linux: see AwaitWorkers().
  std::unique_ptr<SubmissionQueue> late_queue_;
  Objects objects_;
  std::vector<PeerState> peers_;
  size_t datagram_bytes_ = 0;  // That peers have sent.
  bool received_ = false;      // A peer, with the last read.
  // Of the SQEs that the next Enter submits:
  std::vector<TimeToSet> times_;
  io_uring_sqe* last_sqe_ = nullptr;
  bool chain_skips_ = false;  // The chain that it may be part of has one that hides its success.
  bool shutdown_prepared_ = false;
  bool file_work_prepared_ = false;
  size_t for_workers_ = 0;       // Operations of workers whose end was not seen.
  bool sends_long_ = false;      // Sends of the program may be short, or have to wait.
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
  Time ZeroTimeout(uint32_t) override { return {}; }
  size_t PeerReads(uint32_t, size_t bytes_max) override { return bytes_max; }
  void Connected(World::Peer) override {}
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
