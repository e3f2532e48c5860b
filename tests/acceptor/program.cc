#include "tests/acceptor/program.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "base/check.h"
#include "base/prng.h"

namespace orrery::acceptor {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(StepKind::kCount)> kNames = {
    "nop",
    "accept",
    "accept-multishot",
    "receive",
    "receive-multishot",
    "read",
    "send",
    "send-message",
    "send-zero-copy",
    "send-message-zero-copy",
    "write",
    "poll",
    "poll-multishot",
    "poll-remove",
    "timeout",
    "timeout-remove",
    "timeout-update",
    "link-timeout",
    "cancel",
    "cancel-file",
    "cancel-any",
    "close",
    "shutdown",
    "enter",
    "publish",
    "peer-connect",
    "peer-send",
    "peer-receive",
    "peer-shutdown",
    "peer-close",
    "peer-reset",
    "signal",
    "pause"};

constexpr size_t kStepsMin = 6;
constexpr size_t kStepsMax = 40;
// Small against what a socket holds, so that no send has to wait.
constexpr int32_t kBytesMax = 40;

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
    {StepKind::kRead, 4},
    {StepKind::kSend, 5},
    {StepKind::kSendMessage, 2},
    {StepKind::kSendZeroCopy, 5, kZeroCopy},
    {StepKind::kSendMessageZeroCopy, 2, kZeroCopy},
    {StepKind::kWrite, 4},
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
    {StepKind::kPeerShutdown, 2},
    {StepKind::kPeerClose, 2},
    {StepKind::kPeerReset, 2},
    {StepKind::kSignal, 4},
    {StepKind::kPause, 3},
};

class Generator {
 public:
  Generator(uint64_t seed, uint32_t families) : prng_(seed), allowed_(families) {}

  Program Run() {
    families_ = static_cast<uint32_t>(prng_.Below(kEveryFamily + 1)) & allowed_;
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
  uint32_t Between(uint64_t low, uint64_t high) {
    return static_cast<uint32_t>(prng_.Between(low, high));
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
    step.flags |= Flag(kSkipSuccess, 10);
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

  int32_t Socket() {
    // Mostly those that are surely there.
    const bool accepted_later = prng_.Chance(1, 8);
    return static_cast<int32_t>(prng_.Below(program_.connections + (accepted_later ? 2 : 0)));
  }
  int32_t EventFd() {
    return Object::kEventFd + static_cast<int32_t>(prng_.Below(Program::kEventFds));
  }
  int32_t SocketOrEventFd() { return prng_.Chance(1, 2) ? Socket() : EventFd(); }
  // An operation that came before, the latest ones more often; seldom one that never was.
  int32_t Target() {
    if (next_id_ == 1 || prng_.Chance(1, 16)) return 0;
    const uint64_t back = std::min(prng_.Below(next_id_), prng_.Below(next_id_));
    return static_cast<int32_t>(next_id_ - 1 - std::min<uint64_t>(back, next_id_ - 2));
  }
  int32_t Events(int32_t object) {
    constexpr std::array<int, 4> kOfSockets = {POLLIN, POLLOUT, POLLIN | POLLRDHUP,
                                               POLLIN | POLLOUT};
    if (object != Object::kListener && prng_.Chance(1, 2)) {
      return kOfSockets[prng_.Below(kOfSockets.size())];
    }
    return POLLIN;
  }
  uint32_t Flag(uint32_t flag, uint64_t denominator) {
    return prng_.Chance(1, denominator) ? flag : 0;
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
        step.object = static_cast<int32_t>(prng_.Below(Program::kEventFds));
        break;
      case StepKind::kPeerConnect:
        ++peers_;
        break;
      case StepKind::kPause:
        break;
      default:
        step.object = static_cast<int32_t>(prng_.Below(peers_));
        step.amount = static_cast<int32_t>(Between(1, kBytesMax));
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
        step.object = Socket();
        step.amount = static_cast<int32_t>(Between(1, kBytesMax));
        step.flags = Flag(kFixed, 4);
        step.flags |= Flag(kPollFirst, 8);
        step.flags |= Flag(kSelect, 3);
        if (Has(kBundles) && (step.flags & kSelect) != 0) step.flags |= Flag(kBundle, 2);
        if (prng_.Chance(1, 4)) step.flags |= kNoWait;
        if ((step.flags & (kSelect | kNoWait)) == 0) step.flags |= Flag(kWaitAll, 4);
        return;
      case StepKind::kReceiveMultishot:
        step.object = Socket();
        step.flags = Flag(kFixed, 4);
        if (Has(kBundles)) step.flags |= Flag(kBundle, 2);
        return;
      case StepKind::kRead:
        step.object = SocketOrEventFd();
        step.amount = step.object >= Object::kEventFd ? 8 : static_cast<int32_t>(Between(1, 40));
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kSend:
      case StepKind::kSendMessage:
      case StepKind::kSendZeroCopy:
      case StepKind::kSendMessageZeroCopy:
        step.object = Socket();
        step.amount = static_cast<int32_t>(Between(2, kBytesMax));
        step.flags = Flag(kFixed, 4);
        step.flags |= Flag(kWaitAll, 3);
        return;
      case StepKind::kWrite:
        step.object = SocketOrEventFd();
        step.amount = static_cast<int32_t>(Between(1, kBytesMax));
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kPoll:
      case StepKind::kPollMultishot:
        step.object = prng_.Chance(1, 8) ? Object::kListener : SocketOrEventFd();
        step.amount = Events(step.object);
        step.flags = Flag(kFixed, 4);
        return;
      case StepKind::kTimeout:
        step.amount = static_cast<int32_t>(prng_.Below(3));
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
        step.object = prng_.Chance(3, 4) ? Socket() : SocketOrEventFd();
        step.flags = Flag(kFixed, 4);
        step.flags |= Flag(kAll, 2);
        return;
      case StepKind::kClose:
        step.object = Socket();
        step.flags = Flag(kFixed, 3);
        return;
      case StepKind::kShutdown:
        step.object = Socket();
        step.amount = static_cast<int32_t>(prng_.Below(3));
        step.flags = Flag(kFixed, 4);
        return;
      default:
        return;
    }
  }

  Prng prng_;
  const uint32_t allowed_;
  Program program_;
  uint32_t families_ = 0;
  bool in_chain_ = false;  // The operation before carries a link.
  uint32_t next_id_ = 1;
  uint32_t peers_ = 0;
};

std::optional<StepKind> FindKind(std::string_view name) {
  for (size_t index = 0; index < kNames.size(); ++index) {
    if (kNames[index] == name) return static_cast<StepKind>(index);
  }
  return std::nullopt;
}

}  // namespace

static_assert(SHUT_RD == 0 && SHUT_WR == 1 && SHUT_RDWR == 2);  // The generator draws them.

Program Generate(uint64_t seed, uint32_t families) { return Generator(seed, families).Run(); }

Duration DurationOf(const Step& step) {
  const bool update = step.kind == StepKind::kTimeoutUpdate;
  return static_cast<Duration>(update ? step.flags & 3 : static_cast<uint32_t>(step.amount));
}

std::string_view NameOf(StepKind kind) {
  ORRERY_CHECK(kind < StepKind::kCount);
  return kNames[static_cast<size_t>(kind)];
}

bool IsOperation(StepKind kind) { return kind < StepKind::kEnter; }

std::string ToText(const Step& step) {
  std::ostringstream text;
  text << NameOf(step.kind) << " id " << step.id << " object " << step.object << " amount "
       << step.amount << " flags " << step.flags;
  return text.str();
}

std::string ToText(const Program& program) {
  std::ostringstream text;
  text << "connections " << program.connections << " buffers " << program.buffers << " incremental "
       << program.incremental << "\n";
  for (const Step& step : program.steps) text << ToText(step) << "\n";
  return text.str();
}

std::expected<Program, std::string> Parse(std::string_view text) {
  Program program;
  std::istringstream lines{std::string(text)};
  std::string line;
  bool first = true;
  while (std::getline(lines, line)) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string key;
    std::array<std::string, 4> labels;
    if (first) {
      words >> labels[0] >> program.connections >> labels[1] >> program.buffers >> labels[2] >>
          program.incremental;
      if (!words || labels[0] != "connections" || labels[1] != "buffers" ||
          labels[2] != "incremental" || program.connections > Program::kConnectionsMax ||
          program.buffers > Program::kBuffers) {
        return std::unexpected("not a first line: " + line);
      }
      first = false;
      continue;
    }
    Step step;
    words >> key >> labels[0] >> step.id >> labels[1] >> step.object >> labels[2] >> step.amount >>
        labels[3] >> step.flags;
    const std::optional<StepKind> kind = FindKind(key);
    if (!words || !kind || labels[0] != "id" || labels[1] != "object" || labels[2] != "amount" ||
        labels[3] != "flags") {
      return std::unexpected("not a step: " + line);
    }
    step.kind = *kind;
    program.steps.push_back(step);
  }
  if (first) return std::unexpected("an empty file");
  return program;
}

}  // namespace orrery::acceptor
