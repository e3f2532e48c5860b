#include "tests/acceptor/generator.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/prng.h"

namespace orrery::acceptor {
namespace {

constexpr size_t kStepsMin = 6;
constexpr size_t kStepsMax = 40;
// Small against what a socket holds, so that no send has to wait,
constexpr int32_t kBytesMax = 40;
// and sizes of which some do.
constexpr int32_t kLongBytesMin = 20'000;
constexpr int32_t kLongBytesMax = 400'000;
// From a page to more than a pipe holds.
constexpr std::array<int32_t, 4> kPipeBytes = {4096, 5000, 30'000, 100'000};
constexpr int32_t kFileBytesMax = 80;
// Of what is accepted or opened on the way, how many are ever meant.
constexpr unsigned kLaterMax = 2;

// How often a step of each kind is drawn, in programs of its family.
struct Weight {
  StepKind kind;
  uint32_t weight;
  Family family = kPlain;
};
constexpr Weight kWeights[] = {
    {StepKind::kNop, 2},
    {StepKind::kAccept, 2},
    {StepKind::kAcceptMultishot, 2},
    {StepKind::kReceive, 8},
    {StepKind::kReceiveMultishot, 7},
    {StepKind::kReceiveMessage, 5, kDatagrams},
    {StepKind::kRead, 4},
    {StepKind::kReadVector, 4, kFiles},
    {StepKind::kReadMultishot, 4, kSelectReads},
    {StepKind::kSend, 5},
    {StepKind::kSendMessage, 2},
    {StepKind::kSendZeroCopy, 5, kZeroCopy},
    {StepKind::kSendMessageZeroCopy, 2, kZeroCopy},
    {StepKind::kWrite, 4},
    {StepKind::kWriteVector, 4, kFiles},
    {StepKind::kSync, 3, kFiles},
    {StepKind::kTruncate, 2, kFiles},
    {StepKind::kOpen, 3, kFiles},
    {StepKind::kPoll, 4},
    {StepKind::kPollMultishot, 3},
    {StepKind::kPollRemove, 1},
    {StepKind::kTimeout, 4},
    {StepKind::kTimeoutRemove, 1},
    {StepKind::kTimeoutUpdate, 1},
    {StepKind::kCancel, 6},
    {StepKind::kCancelFile, 3},
    {StepKind::kCancelAny, 1},
    {StepKind::kClose, 2},
    {StepKind::kShutdown, 2},
    {StepKind::kEnter, 24},
    {StepKind::kPublish, 4},
    {StepKind::kPeerConnect, 3},
    {StepKind::kPeerSend, 14},
    {StepKind::kPeerReceive, 4},
    {StepKind::kPeerReceive, 8, kLongSends},
    {StepKind::kPeerShutdown, 2},
    {StepKind::kPeerClose, 2},
    {StepKind::kPeerReset, 2},
    {StepKind::kPeerSendDatagram, 10, kDatagrams},
    {StepKind::kPeerReceiveDatagram, 3, kDatagrams},
    {StepKind::kPeerCloseDatagram, 1, kDatagrams},
    {StepKind::kSignal, 4},
    {StepKind::kPause, 3},
};

class Generator {
 public:
  Generator(uint64_t seed, uint32_t families) : prng_(seed), allowed_(families) {}

  Program Run() {
    families_ = static_cast<uint32_t>(prng_.Below(kEveryFamily + 1)) & allowed_;
    // Whatever an operation on a file does, a worker does it.
    if (Has(kDrains)) families_ &= ~uint32_t{kFiles};
    program_.connections = Between(1, Program::kConnectionsMax);
    program_.buffers = Between(0, Program::kBuffers);
    program_.incremental = Has(kIncremental) && !Has(kBundles);
    peers_ = program_.connections;
    const size_t count = Between(kStepsMin, kStepsMax);
    while (program_.steps.size() < count) {
      program_.steps.push_back(One());
      if (!IsOperation(program_.steps.back().kind)) continue;
      if (Has(kDrains)) program_.steps.back().flags |= Flag(kDrain, 20);
      if (Has(kLinks)) Link();
    }
    return std::move(program_);
  }

 private:
  // The two ends of a pipe.
  enum End : int32_t { kToRead, kToWrite };

  uint32_t Between(uint64_t low, uint64_t high) {
    return static_cast<uint32_t>(prng_.Between(low, high));
  }
  int32_t Below(uint64_t limit) { return static_cast<int32_t>(prng_.Below(limit)); }
  uint32_t Flag(uint32_t flag, uint64_t denominator) {
    return prng_.Chance(1, denominator) ? flag : 0;
  }
  bool Has(uint32_t family) const { return (families_ & family) == family; }

  bool Draws(const Weight& weight) const {
    if (weight.kind == StepKind::kShutdown && Has(kDrains)) return false;
    return Has(weight.family);
  }

  StepKind Kind() {
    uint32_t total = 0;
    for (const Weight& weight : kWeights) total += Draws(weight) ? weight.weight : 0;
    uint64_t left = prng_.Below(total);
    for (const Weight& weight : kWeights) {
      if (!Draws(weight)) continue;
      if (left < weight.weight) return weight.kind;
      left -= weight.weight;
    }
    ORRERY_CHECK_MSG(false, "the weights do not add up");
    return StepKind::kNop;
  }

  // Flags of the operation that was written last, and what they bring along.
  void Link() {
    Step& step = program_.steps.back();
    // What a send has done must be seen, where how much that is depends on the kernel.
    if (!Has(kLongSends) || !IsSend(step)) step.flags |= Flag(kSkipSuccess, 10);
    const bool head = !in_chain_;
    in_chain_ = prng_.Chance(1, 3);
    if (!in_chain_) return;
    step.flags |= prng_.Chance(1, 4) ? kHardLink : kLink;
    if (!prng_.Chance(1, 3)) return;
    // Its time begins with its operation, which is known for the first of a chain only.
    Step timeout{.kind = StepKind::kLinkTimeout, .id = next_id_++};
    timeout.amount = static_cast<int32_t>(head ? Duration::kShort : Duration::kZero);
    if (prng_.Chance(1, 2)) timeout.amount = static_cast<int32_t>(Duration::kLong);
    timeout.flags = Flag(kSkipSuccess, 10);
    in_chain_ = prng_.Chance(1, 3);
    if (in_chain_) timeout.flags |= kLink;
    program_.steps.push_back(timeout);
  }

  // --- Objects.
  int32_t Socket() {
    // Mostly those that are surely there.
    const bool accepted_later = prng_.Chance(1, 8);
    return Below(program_.connections + (accepted_later ? kLaterMax : 0));
  }
  int32_t EventFd() { return Object::kEventFd + Below(Program::kEventFds); }
  int32_t SocketOrEventFd() { return prng_.Chance(1, 2) ? Socket() : EventFd(); }
  int32_t Datagram() { return Object::kDatagram + Below(Program::kDatagrams); }
  int32_t File() {
    const bool opened_later = prng_.Chance(1, 4);
    return Object::kFile + Below(Program::kFiles + (opened_later ? kLaterMax : 0));
  }
  // Mostly the end that works.
  int32_t Pipe(End end) {
    const int32_t pipe = Object::kPipe + 2 * Below(Program::kPipes);
    return pipe + (prng_.Chance(1, 8) ? 1 - end : end);
  }
  // Of what only some programs have, half of the time, or else one of the others.
  template <typename Other>
  int32_t OneOf(End end, Other other) {
    std::array<Family, 3> have{};
    size_t count = 0;
    for (const Family family : {kPipes, kFiles, kDatagrams}) {
      if (Has(family)) have[count++] = family;
    }
    if (count == 0 || prng_.Chance(1, 2)) return other();
    const Family family = have[prng_.Below(count)];
    if (family == kPipes) return Pipe(end);
    return family == kFiles ? File() : Datagram();
  }
  int32_t SocketOrDatagram() {
    return Has(kDatagrams) && prng_.Chance(1, 2) ? Datagram() : Socket();
  }
  // An operation that came before, the latest ones more often; seldom one that never was.
  int32_t Target() {
    if (next_id_ == 1 || prng_.Chance(1, 16)) return 0;
    const uint64_t first = prng_.Below(next_id_);
    const uint64_t back = std::min(first, prng_.Below(next_id_));
    return static_cast<int32_t>(next_id_ - 1 - std::min<uint64_t>(back, next_id_ - 2));
  }

  // --- What is asked of them.
  int32_t Events(int32_t object) {
    constexpr std::array<int, 4> kOfSockets = {POLLIN, POLLOUT, POLLIN | POLLRDHUP,
                                               POLLIN | POLLOUT};
    if (object == Object::kListener || !prng_.Chance(1, 2)) return POLLIN;
    const int events = kOfSockets[prng_.Below(kOfSockets.size())];
    // Whether there is space behind a long send depends on the kernel.
    const bool depends = Has(kLongSends) && KindOf(object) == ObjectKind::kSocket;
    return depends ? events & ~POLLOUT : events;
  }
  int32_t Bytes(int32_t object) {
    const ObjectKind kind = KindOf(object);
    if (kind == ObjectKind::kEventFd) return sizeof(uint64_t);
    if (kind == ObjectKind::kPipe && prng_.Chance(1, 4)) {
      return kPipeBytes[prng_.Below(kPipeBytes.size())];
    }
    return static_cast<int32_t>(Between(2, kBytesMax));
  }
  int32_t BytesToSend(int32_t object) {
    if (Has(kLongSends) && KindOf(object) == ObjectKind::kSocket && prng_.Chance(1, 3)) {
      return static_cast<int32_t>(Between(kLongBytesMin, kLongBytesMax));
    }
    return Bytes(object);
  }
  int32_t PlaceIn(int32_t object) {
    if (KindOf(object) != ObjectKind::kFile) return 0;
    return prng_.Chance(1, 3) ? Place::kPosition : Below(kFileBytesMax);
  }
  int32_t Destination(int32_t object) {
    constexpr std::array<int32_t, 7> kDestinations = {
        Place::kConnected, Place::kConnected, Place::kPeer,  Place::kPeer + 1,
        Place::kOwn,       Place::kOwn + 1,   Place::kNobody};
    if (KindOf(object) != ObjectKind::kDatagram) return 0;
    return kDestinations[prng_.Below(kDestinations.size())];
  }

  Step One() {
    Step step{.kind = Kind()};
    if (IsOperation(step.kind)) {
      Operation(step);
      step.id = next_id_++;
      return step;
    }
    switch (step.kind) {
      case StepKind::kEnter:
        step.amount = prng_.Chance(1, 4) ? 1 : 0;
        break;
      case StepKind::kPublish:
        step.amount = static_cast<int32_t>(Between(1, Program::kBuffers));
        break;
      case StepKind::kSignal:
        step.object = Below(Program::kEventFds);
        break;
      case StepKind::kPeerConnect:
        ++peers_;
        break;
      case StepKind::kPause:
        break;
      case StepKind::kPeerSendDatagram:
        step.object = Below(Program::kDatagrams);
        step.amount = Below(kBytesMax);
        step.place = Below(Program::kDatagrams);
        break;
      case StepKind::kPeerReceiveDatagram:
      case StepKind::kPeerCloseDatagram:
        step.object = Below(Program::kDatagrams);
        break;
      default:
        step.object = Below(peers_);
        step.amount = static_cast<int32_t>(Between(1, kBytesMax));
        if (step.kind == StepKind::kPeerReceive && Has(kLongSends)) {
          step.amount = static_cast<int32_t>(Between(1, kLongBytesMax));
        }
    }
    return step;
  }

  void Operation(Step& step) {
    switch (step.kind) {
      case StepKind::kNop:
        step.amount = static_cast<int32_t>(Between(0, 20)) - 10;
        return;
      case StepKind::kAccept:
      case StepKind::kAcceptMultishot:
        step.object = Object::kListener;
        step.flags = Flag(kFixed, 8);
        if (Has(kSlots)) step.flags |= Flag(kIntoSlot, 2);
        return;
      case StepKind::kReceive:
      case StepKind::kReceiveMultishot:
      case StepKind::kReceiveMessage:
        Receive(step);
        return;
      case StepKind::kRead:
      case StepKind::kReadVector:
      case StepKind::kReadMultishot:
        Read(step);
        return;
      case StepKind::kSend:
      case StepKind::kSendMessage:
      case StepKind::kSendZeroCopy:
      case StepKind::kSendMessageZeroCopy:
        step.object = SocketOrDatagram();
        step.amount = BytesToSend(step.object);
        step.place = Destination(step.object);
        step.flags = Flag(kFixed, 4);
        step.flags |= Flag(kWaitAll, 3);
        if (Has(kLongSends)) step.flags |= Flag(kPollFirst, 8) | Flag(kNoWait, 8);
        return;
      case StepKind::kWrite:
      case StepKind::kWriteVector:
        step.object = OneOf(kToWrite, [this] { return SocketOrEventFd(); });
        if (step.kind == StepKind::kWriteVector && KindOf(step.object) == ObjectKind::kEventFd) {
          step.object = File();
        }
        step.amount = BytesToSend(step.object);
        step.place = PlaceIn(step.object);
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kSync:
        step.object = prng_.Chance(1, 8) ? Socket() : File();
        step.amount = Below(2);
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kTruncate:
        step.object = File();
        step.amount = Below(kFileBytesMax);
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kOpen:
        step.amount = Below(Program::kFiles);
        step.flags = Flag(kNew, 3) | Flag(kAppend, 3);
        return;
      case StepKind::kPoll:
      case StepKind::kPollMultishot:
        step.object = prng_.Chance(1, 8) ? Object::kListener
                                         : OneOf(kToRead, [this] { return SocketOrEventFd(); });
        if (step.kind == StepKind::kPollMultishot && KindOf(step.object) == ObjectKind::kFile) {
          step.object = Socket();
        }
        step.amount = Events(step.object);
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kTimeout:
        step.amount = Below(3);
        step.flags = prng_.Chance(1, 3) ? Between(1, 3) : 0;
        return;
      case StepKind::kCancel:
        step.amount = Target();
        step.flags = Flag(kAll, 4);
        return;
      case StepKind::kPollRemove:
      case StepKind::kTimeoutRemove:
        step.amount = Target();
        return;
      case StepKind::kTimeoutUpdate:
        step.amount = Target();
        step.flags = static_cast<uint32_t>(prng_.Below(3));
        return;
      case StepKind::kCancelFile:
        step.object =
            OneOf(kToRead, [this] { return prng_.Chance(3, 4) ? Socket() : SocketOrEventFd(); });
        step.flags = Flag(kFixed, 4);
        step.flags |= Flag(kAll, 2);
        return;
      case StepKind::kClose:
        step.object = OneOf(kToWrite, [this] { return Socket(); });
        step.flags = Flag(kFixed, 3);
        return;
      case StepKind::kShutdown:
        step.object = SocketOrDatagram();
        // Behind one for reading, datagrams are received for by workers in the end (fact E11).
        step.amount = KindOf(step.object) == ObjectKind::kDatagram ? SHUT_WR : Below(3);
        step.flags = Flag(kFixed, 4);
        return;
      default:
        return;
    }
  }

  void Receive(Step& step) {
    step.object = SocketOrDatagram();
    step.flags = Flag(kFixed, 4);
    const bool bundles = Has(kBundles) && KindOf(step.object) == ObjectKind::kSocket;
    if (step.kind == StepKind::kReceiveMultishot) {
      if (bundles) step.flags |= Flag(kBundle, 2);
      return;
    }
    step.amount = static_cast<int32_t>(Between(2, kBytesMax));
    step.flags |= Flag(kPollFirst, 8);
    const bool takes_for_nothing =  // Fact E11.
        program_.incremental && KindOf(step.object) == ObjectKind::kDatagram;
    if (step.kind == StepKind::kReceive && !takes_for_nothing) step.flags |= Flag(kSelect, 3);
    const bool selects = (step.flags & kSelect) != 0;
    if (bundles && selects) step.flags |= Flag(kBundle, 2);
    step.flags |= Flag(kNoWait, 4);
    const bool holds = Has(kSelectReads) && !program_.incremental;
    if ((step.flags & (kNoWait | kBundle)) == 0 && (!selects || holds)) {
      step.flags |= Flag(kWaitAll, 4);
    }
  }

  void Read(Step& step) {
    step.object = OneOf(kToRead, [this] { return SocketOrEventFd(); });
    step.flags = Flag(kFixed, 4);
    const ObjectKind kind = KindOf(step.object);
    if (step.kind == StepKind::kReadMultishot) {
      const bool known = kind == ObjectKind::kSocket || !program_.incremental;
      if (kind == ObjectKind::kDatagram || !known) step.object = Socket();
      return;
    }
    if (step.kind == StepKind::kReadVector && kind == ObjectKind::kEventFd) step.object = File();
    step.amount = Bytes(step.object);
    step.place = PlaceIn(step.object);
    if (Has(kPipes) || Has(kFiles)) step.flags |= Flag(kNoWait, 8);
    const bool selects = Has(kSelectReads) && !program_.incremental &&
                         kind != ObjectKind::kEventFd && step.kind == StepKind::kRead;
    if (selects) step.flags |= Flag(kSelect, 2);
    const bool of_file = KindOf(step.object) == ObjectKind::kFile;
    if (of_file && (step.flags & (kSelect | kNoWait)) == 0) step.flags |= Flag(kAsync, 6);
  }

  Prng prng_;
  const uint32_t allowed_;
  Program program_;
  uint32_t families_ = 0;
  bool in_chain_ = false;  // The operation before carries a link.
  uint32_t next_id_ = 1;
  uint32_t peers_ = 0;
};

}  // namespace

static_assert(SHUT_RD == 0 && SHUT_WR == 1 && SHUT_RDWR == 2);  // The generator draws them.

Program Generate(uint64_t seed, uint32_t families) { return Generator(seed, families).Run(); }

}  // namespace orrery::acceptor
