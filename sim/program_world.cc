#include "sim/program_world.h"

#include <fmt/core.h>
#include <liburing.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/check.h"
#include "runtime/ring/user_data.h"

namespace orrery::sim {
namespace {

constexpr uint64_t kProgramNumber = 0;
constexpr Nanoseconds kConnectAgain = kMillisecond;
constexpr size_t kPieceMax = 8192;
// How often a peer takes a rest, and for how long at most.
constexpr uint64_t kRestOneIn = 16;
constexpr Nanoseconds kRestMax = 20 * kMillisecond;

Operation OperationOf(int64_t opcode) {
  switch (opcode) {
    case IORING_OP_ACCEPT:
      return Operation::kAccept;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case IORING_OP_READ:
    case IORING_OP_READV:
      return Operation::kReceive;
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
      return Operation::kSend;
    case IORING_OP_SHUTDOWN:
      return Operation::kShutdown;
    case IORING_OP_CLOSE:
      return Operation::kClose;
    default:
      return Operation::kTest;
  }
}

}  // namespace

// --- Peers

StreamPeer::StreamPeer(model::ModelKernel& kernel, uint64_t seed, uint16_t port, std::string bytes,
                       const Options& options)
    : kernel_(kernel), prng_(seed), port_(port), bytes_(std::move(bytes)), options_(options) {}

Nanoseconds StreamPeer::NextAt(Nanoseconds now) const {
  return left_ || next_at_ <= now ? kNever : next_at_;
}

size_t StreamPeer::Piece() {
  const uint64_t most = 1 + prng_.Below(kPieceMax);
  return 1 + prng_.Below(most);
}

bool StreamPeer::Step(Nanoseconds now) {
  if (!connected_) {
    const auto peer = kernel_.PeerConnect(port_);
    connected_ = peer.has_value();
    if (connected_) {
      peer_ = *peer;
    } else {
      next_at_ = now + kConnectAgain;  // Nobody listens yet, or too many wait.
    }
    return true;
  }
  const bool sent = SendSome();
  const bool received = !left_ && ReceiveSome();
  if (prng_.Chance(1, kRestOneIn)) next_at_ = now + prng_.Between(1, kRestMax);
  return sent || received || left_;
}

bool StreamPeer::SendSome() {
  if (ended_) return false;
  const size_t whole = std::min(bytes_.size(), options_.vanishes_after);
  const size_t piece = std::min(Piece(), whole - done_);
  const auto sent = kernel_.PeerSend(peer_, std::as_bytes(std::span(bytes_)).subspan(done_, piece));
  if (!sent) {
    ended_ = true;  // The program has closed its end; what it sent before is still to be read.
    return true;
  }
  done_ += *sent;
  if (done_ < whole) return *sent > 0;
  ended_ = true;
  if (done_ < bytes_.size()) {
    kernel_.PeerReset(peer_);
    left_ = true;
  } else if (options_.ends) {
    kernel_.PeerShutdownWrite(peer_);
  }
  return true;
}

bool StreamPeer::ReceiveSome() {
  std::array<char, kPieceMax> piece;
  const std::span<char> part(piece.data(), std::min(Piece(), piece.size()));
  const model::PeerRead read = kernel_.PeerReceive(peer_, std::as_writable_bytes(part));
  received_.append(piece.data(), read.bytes);
  if (read.end || read.reset) {
    was_reset_ = read.reset;
    kernel_.PeerClose(peer_);
    left_ = true;
  }
  return read.bytes > 0;
}

// --- The program as an actor

class ProgramWorld::Runner final : public Actor {
 public:
  explicit Runner(model::Program& program) : program_(program) {}
  bool Ready(Nanoseconds) const override { return program_.Ready(); }
  bool Step(Nanoseconds) override {
    program_.Step();
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    const Nanoseconds at = program_.wake_at();
    return at > now ? at : kNever;
  }

 private:
  model::Program& program_;
};

// --- What is seen

void ProgramWorld::Anonymous::OnEvent(const model::Event& event) {
  model::Event seen = event;
  switch (event.kind) {
    case model::EventKind::kSubmit: {
      const UserData number{
          .operation = OperationOf(event.b),
          .slot = {.index = 0, .generation = static_cast<uint32_t>(++operations_)}};
      seen.a = newest_[event.a] = static_cast<int64_t>(number.Pack());
      break;
    }
    case model::EventKind::kComplete:
    case model::EventKind::kTimer: {
      const auto found = newest_.find(event.a);
      seen.a = found == newest_.end() ? 0 : found->second;
      break;
    }
    default:
      break;
  }
  world_.log_.OnEvent(seen);
}

void ProgramWorld::Anonymous::OnViolation(std::string_view invariant, std::string_view detail) {
  // A program that ignores or handles the signal lives on.
  const auto& program = world_.program_;
  if (invariant == "sigpipe" && program != nullptr) {
    const struct sigaction& action = program->action(SIGPIPE);
    if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return;
  }
  world_.log_.OnViolation(invariant, detail);
}

// --- The world

ProgramWorld::Options ProgramWorld::DrawOptions(uint64_t seed) {
  Prng prng(Combine(seed, 1));
  Options options;
  options.rates = SiteRates::Draw(prng);
  // From a few bytes to what a small machine has, each size as likely as its double.
  const unsigned shift = static_cast<unsigned>(prng.Between(6, 16));
  options.machine.socket_buffer_bytes = prng.Between(uint64_t{1} << shift, uint64_t{2} << shift);
  return options;
}

ProgramWorld::ProgramWorld(uint64_t seed, const Options& options)
    : seed_(seed),
      options_(options),
      prng_(Combine(seed, 2)),
      choice_(seed, options.rates),
      observer_(*this),
      kernel_(options.machine, choice_, &observer_),
      world_(kernel_, choice_, log_, WorldOptions{}) {}

ProgramWorld::~ProgramWorld() { program_.reset(); }

void ProgramWorld::Start(std::function<int()> main) {
  ORRERY_CHECK_MSG(program_ == nullptr, "a world has one program");
  program_ = std::make_unique<model::Program>(kernel_, std::move(main));
  runner_ = std::make_unique<Runner>(*program_);
  world_.AddActor(kProgramNumber, *runner_);
}

StreamPeer& ProgramWorld::AddPeer(uint16_t port, std::string bytes,
                                  const StreamPeer::Options& options) {
  const uint64_t number = ++last_number_;
  peers_.push_back(std::make_unique<StreamPeer>(kernel_, Combine(Combine(seed_, 3), number), port,
                                                std::move(bytes), options));
  world_.AddActor(number, *peers_.back());
  return *peers_.back();
}

void ProgramWorld::AddActor(Actor& actor) { world_.AddActor(++last_number_, actor); }

std::string ProgramWorld::Bytes(size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(prng_.Next());
  return bytes;
}

bool ProgramWorld::RunUntil(const std::function<bool()>& done) {
  ORRERY_CHECK_MSG(program_ != nullptr, "Start() comes first");
  reason_ = world_.RunUntil(done, {.time_max = options_.time_max, .steps_max = options_.steps_max});
  return reason_ == StopReason::kPredicate;
}

bool ProgramWorld::RunUntilPeersLeave() {
  return RunUntil([this] {
    return std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) { return peer->left(); });
  });
}

bool ProgramWorld::RunUntilExit() {
  return RunUntil([this] { return program_->finished(); });
}

bool ProgramWorld::Stop(int signal) {
  ORRERY_CHECK_MSG(program_ != nullptr, "Start() comes first");
  program_->Signal(signal);
  return RunUntilExit();
}

std::string ProgramWorld::Story(size_t events_max) const {
  std::string text = fmt::format("seed {}: ended by {} at {:.6f} ms of virtual time\n", seed_,
                                 NameOf(reason_), static_cast<double>(log_.now()) / kMillisecond);
  if (program_ != nullptr && program_->finished()) {
    text += fmt::format("the program has ended with status {}\n", program_->status());
  }
  if (const auto& violation = log_.violation()) {
    text += fmt::format("violated: {}\n  seen: {}\n", violation->invariant, violation->detail);
  }
  for (size_t index = 0; index < peers_.size(); ++index) {
    const StreamPeer& peer = *peers_[index];
    text += fmt::format("peer {}: {} of {} bytes came back{}\n", index, peer.received().size(),
                        peer.sent().size(), peer.left() ? "" : ", and it still waits");
  }
  text += "last events:\n";
  for (const LoggedEvent& event : log_.Recent(events_max)) text += "  " + Render(event) + "\n";
  return text;
}

}  // namespace orrery::sim
