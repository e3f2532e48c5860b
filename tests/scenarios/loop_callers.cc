#include "tests/scenarios/loop_callers.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/prng.h"

namespace orrery::scenarios {
namespace {

using Kind = CallerStep::Kind;

// Peers' notes are about their connection; callers' have numbers of their own.
constexpr uint64_t kFirstCallerInNotes = 10'000;

std::byte AnyByte(uint64_t stream, uint64_t position) {
  return static_cast<std::byte>(Combine(stream, position));
}

std::byte FileByte(uint64_t caller, uint64_t request, uint64_t position) {
  return AnyByte(Combine(caller, request), position);
}

// The world's peers have numbers where others have ports: "127.0.0.1:7".
std::optional<uint64_t> PeerIn(const std::string& address) {
  const size_t colon = address.rfind(':');
  uint64_t peer = 0;
  const char* const end = address.data() + address.size();
  if (colon == std::string::npos) return std::nullopt;
  if (std::from_chars(address.data() + colon + 1, end, peer).ptr != end) return std::nullopt;
  return peer;
}

bool IsReceive(Kind kind) { return kind == Kind::kReceive || kind == Kind::kReceiveExactly; }
bool IsTransfer(Kind kind) {
  return IsReceive(kind) || kind == Kind::kSend || kind == Kind::kReadAt || kind == Kind::kWriteAt;
}
bool UsesFile(Kind kind) {
  return kind == Kind::kReadAt || kind == Kind::kWriteAt || kind == Kind::kSync ||
         kind == Kind::kOpen;
}

}  // namespace

std::byte PeerByte(uint64_t peer, uint64_t position) { return AnyByte(2 * peer, position); }
std::byte CallerByte(uint64_t peer, uint64_t position) { return AnyByte(2 * peer + 1, position); }

// --- Callers

// What a multishot needs: its file is open as long as the kernel has it.
class LoopCaller::Hearing final : public RequestMemory {
 public:
  Hearing(LoopCaller& caller, uint64_t number, Kind kind, SharedFile file)
      : caller_(caller), number_(number), kind_(kind), file_(std::move(file)) {}
  void OnCompletion(const Completion& completion) override {
    caller_.Hear(number_, kind_, completion);
  }

 private:
  LoopCaller& caller_;
  const uint64_t number_;
  const Kind kind_;
  const SharedFile file_;
};

LoopCaller::LoopCaller(CallerScript script, Port& port, LoopCircumstances& circumstances,
                       std::map<uint64_t, StreamState>& streams)
    : script_(std::move(script)),
      port_(port),
      circumstances_(circumstances),
      streams_(streams),
      submitter_(port) {}

const CallerStep* LoopCaller::NextStep() const {
  return next_ < script_.steps.size() ? &script_.steps[next_] : nullptr;
}

bool LoopCaller::Ready(Nanoseconds now) const {
  for (const UnderWay& request : under_way_) {
    if (request.future.ready()) return true;
  }
  if (hurry_) return !left_;
  const CallerStep* const step = NextStep();
  if (step == nullptr || now < wait_until_) return false;
  if (step->kind == Kind::kAwait) return under_way_.empty();
  return port_.queued() < port_.queue_capacity();
}

Nanoseconds LoopCaller::NextAt(Nanoseconds now) const {
  return !hurry_ && NextStep() != nullptr && wait_until_ > now ? wait_until_ : kNever;
}

bool LoopCaller::Step(Nanoseconds now) {
  for (size_t index = 0; index < under_way_.size(); ++index) {
    if (!under_way_[index].future.ready()) continue;
    Harvest(index, now);
    return true;
  }
  if (hurry_) {
    for (UnderWay& request : under_way_) {
      request.cancel_asked = true;
      request.future.Cancel();
    }
    next_ = script_.steps.size();
    left_ = true;
    submitter_ = Submitter();
    connections_.clear();
    file_ = SharedFile();
    return true;
  }
  const CallerStep& step = *NextStep();
  const size_t which = under_way_.empty() ? 0 : step.which % under_way_.size();
  switch (step.kind) {
    case Kind::kAwait:
      break;
    case Kind::kWait:
      wait_until_ = now + step.duration;
      break;
    case Kind::kCancel:
      if (under_way_.empty()) break;
      under_way_[which].cancel_asked = true;
      under_way_[which].future.Cancel();
      break;
    case Kind::kGiveUp:
      if (!under_way_.empty()) GiveUp(which);
      break;
    case Kind::kDropConnection:
      if (!connections_.empty()) {
        connections_.erase(connections_.begin() +
                           static_cast<ptrdiff_t>(step.which % connections_.size()));
      }
      break;
    case Kind::kLeave:
      submitter_ = Submitter();
      next_ = script_.steps.size();
      return true;
    default:
      Submit(step, now);
  }
  ++next_;
  return true;
}

void LoopCaller::Submit(const CallerStep& step, Nanoseconds now) {
  UnderWay under_way;
  under_way.step = step;
  under_way.number = next_number_;
  std::optional<Request> request = MakeRequest(step, now, under_way);
  if (!request.has_value()) return;
  ++next_number_;
  if (step.duration != 0 && step.kind != Kind::kTimeout) {
    under_way.deadline = now + step.duration;
    request->deadline = under_way.deadline;
  }
  under_way.buffer = request->buffer.data();
  under_way.buffer_bytes = request->buffer.size();
  circumstances_.log.Note("submitted", kFirstCallerInNotes + script_.caller,
                          static_cast<int64_t>(under_way.number), static_cast<int64_t>(step.kind));
  std::optional<Future> future = submitter_.TrySubmit(*request);
  ORRERY_CHECK_MSG(future.has_value(), "a queue is full that had room");
  under_way.future = *std::move(future);
  under_way.order = circumstances_.submitted;
  // One that is refused, because the loop has ended, is ready at once.
  if (!under_way.future.ready()) ++circumstances_.submitted;
  under_way_.push_back(std::move(under_way));
}

std::optional<Request> LoopCaller::MakeRequest(const CallerStep& step, Nanoseconds now,
                                               UnderWay& under_way) {
  if (step.kind == Kind::kNop) {
    io_uring_sqe sqe{};
    io_uring_prep_nop(&sqe);
    return Request::Raw(sqe, nullptr, true);
  }
  if (step.kind == Kind::kTimeout) {
    under_way.time = now + step.duration;
    return Request::Timeout(under_way.time);
  }
  if (step.kind == Kind::kAccept) return Request::Accept(circumstances_.listener, SOCK_CLOEXEC);
  if (step.kind == Kind::kAcceptAll) {
    return MakeMultishot(step, circumstances_.listener, under_way.number);
  }
  if (UsesFile(step.kind)) {
    if (file_busy_ || (!file_ && step.kind != Kind::kOpen)) return std::nullopt;
    file_busy_ = true;
    under_way.position = step.offset;
    if (step.kind == Kind::kOpen) {
      return Request::Open("/caller" + std::to_string(script_.caller), O_RDWR | O_CREAT, 0600);
    }
    if (step.kind == Kind::kSync) return Request::Sync(file_, step.which % 2 == 0);
    Buffer buffer(step.bytes);
    if (step.kind == Kind::kReadAt) return Request::ReadAt(file_, std::move(buffer), step.offset);
    for (size_t at = 0; at < buffer.size(); ++at) {
      buffer[at] = FileByte(script_.caller, under_way.number, at);
    }
    return Request::WriteAt(file_, std::move(buffer), step.offset);
  }
  Connection* const connection = AnyConnection(step.which);
  if (connection == nullptr) return std::nullopt;
  under_way.peer = connection->peer;
  if (step.kind == Kind::kPoll) return Request::Poll(connection->file, POLLIN);
  if (step.kind == Kind::kPollAll) {
    return MakeMultishot(step, connection->file, under_way.number);
  }
  if (step.kind == Kind::kClose) {
    SharedFile file = std::move(connection->file);
    connections_.erase(connections_.begin() + (connection - connections_.data()));
    return Request::Close(std::move(file));
  }
  if (step.kind == Kind::kSend) {
    if (std::exchange(connection->sends, true)) return std::nullopt;
    StreamState& stream = streams_[connection->peer];
    under_way.position = stream.sent;
    Buffer buffer(step.bytes);
    for (size_t at = 0; at < buffer.size(); ++at) {
      buffer[at] = CallerByte(connection->peer, stream.sent + at);
    }
    stream.sent_at_most = stream.sent + step.bytes;
    return Request::Send(connection->file, std::move(buffer));
  }
  if (std::exchange(connection->receives, true)) return std::nullopt;
  return step.kind == Kind::kReceive
             ? Request::Receive(connection->file, Buffer(step.bytes))
             : Request::ReceiveExactly(connection->file, Buffer(step.bytes));
}

Request LoopCaller::MakeMultishot(const CallerStep& step, const SharedFile& file, uint64_t number) {
  io_uring_sqe sqe{};
  if (step.kind == Kind::kAcceptAll) {
    io_uring_prep_multishot_accept(&sqe, file.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
  } else {
    io_uring_prep_poll_multishot(&sqe, file.descriptor(), POLLIN);
  }
  return Request::Raw(sqe, std::make_unique<Hearing>(*this, number, step.kind, file), true);
}

void LoopCaller::Hear(uint64_t number, Kind kind, const Completion& completion) {
  circumstances_.log.Note("heard", kFirstCallerInNotes + script_.caller,
                          static_cast<int64_t>(number), completion.more() ? 1 : 0);
  const auto [last, is_first] = heard_.try_emplace(number, completion);
  if (!is_first && !last->second.more()) Fail(number, "multishot/end", "heard after its end");
  last->second = completion;
  if (kind == Kind::kAcceptAll && completion.ok()) {
    Accepted(SharedFile(circumstances_.kernel, static_cast<int>(completion.value())));
  }
}

void LoopCaller::CheckHeard(const UnderWay& request, const Result& result) {
  if (result.memory == nullptr) Fail(request, "buffer", "a multishot's memory did not come back");
  const auto last = heard_.find(request.number);
  if (last == heard_.end()) {
    // One that ended in the queue.
    if (result.outcome == Outcome::kCompleted) Fail(request, "multishot/end", "it was not heard");
    return;
  }
  const Completion& completion = last->second;
  if (completion.more()) return Fail(request, "multishot/end", "more was to come");
  if (result.outcome == Outcome::kCompleted && completion.ok() != result.value.has_value()) {
    Fail(request, "multishot/end", "the result is not the last completion's");
  }
}

void LoopCaller::Accepted(SharedFile file) {
  const auto ends = circumstances_.kernel.Ends(file.descriptor());
  const auto peer = ends ? PeerIn(ends->peer) : std::nullopt;
  // One that has gone already is of no use.
  if (peer.has_value() && !left_) connections_.push_back({.peer = *peer, .file = std::move(file)});
}

LoopCaller::Connection* LoopCaller::AnyConnection(uint64_t which) {
  return connections_.empty() ? nullptr : &connections_[which % connections_.size()];
}

LoopCaller::Connection* LoopCaller::ConnectionOf(uint64_t peer) {
  for (Connection& connection : connections_) {
    if (connection.peer == peer) return &connection;
  }
  return nullptr;
}

void LoopCaller::GiveUp(size_t index) {
  const UnderWay& request = under_way_[index];
  const Kind kind = request.step.kind;
  // It goes on without us: nobody sees what it takes, or how far it comes. So the connection, and
  // the file, are left alone from now on.
  if (IsReceive(kind)) streams_[request.peer].gap = true;
  if (kind == Kind::kSend || IsReceive(kind)) {
    std::erase_if(connections_, [&](const Connection& each) { return each.peer == request.peer; });
  }
  if (UsesFile(kind)) {
    file_ = SharedFile();
    file_busy_ = content_known_ = false;
  }
  under_way_.erase(under_way_.begin() + static_cast<ptrdiff_t>(index));
}

void LoopCaller::Harvest(size_t index, Nanoseconds now) {
  UnderWay request = std::move(under_way_[index]);
  under_way_.erase(under_way_.begin() + static_cast<ptrdiff_t>(index));
  Result result = request.future.Take();
  ++circumstances_.results;
  circumstances_.log.Note("result", kFirstCallerInNotes + script_.caller,
                          static_cast<int64_t>(request.number),
                          static_cast<int64_t>(result.outcome));
  Check(request, result, now);
  if (UsesFile(request.step.kind)) file_busy_ = false;
  if (Connection* const connection = ConnectionOf(request.peer)) {
    if (IsReceive(request.step.kind)) connection->receives = false;
    if (request.step.kind == Kind::kSend) connection->sends = false;
  }
}

void LoopCaller::Fail(uint64_t number, std::string_view invariant, const std::string& detail) {
  circumstances_.log.OnViolation(invariant, "caller " + std::to_string(script_.caller) +
                                                ", request " + std::to_string(number) + ": " +
                                                detail);
}

void LoopCaller::Check(const UnderWay& request, Result& result, Nanoseconds now) {
  CheckOutcome(request, result, now);
  if (UsesFile(request.step.kind) && !result.ok() && request.step.kind != Kind::kReadAt) {
    content_known_ = false;
  }
  if (result.outcome == Outcome::kLost) {
    // The kernel goes on with it, maybe to its end.
    if (request.step.kind == Kind::kSend) {
      streams_[request.peer].sent = request.position + request.buffer_bytes;
    }
    return;
  }
  if (result.buffer.data() != request.buffer || result.buffer.size() != request.buffer_bytes) {
    return Fail(request, "buffer", "it is not the caller's that came back");
  }
  if (result.bytes > request.buffer_bytes) return Fail(request, "count", "more than the buffer");
  const Kind kind = request.step.kind;
  if (IsReceive(kind)) CheckReceived(request, result);
  if (kind == Kind::kSend) NoteSent(request, result);
  if (kind == Kind::kWriteAt) NoteWritten(request, result);
  if (kind == Kind::kReadAt) CheckRead(request, result);
  if (kind == Kind::kTimeout && result.ok() && now < request.time) {
    Fail(request, "early", "a timeout completed before its time");
  }
  if (kind == Kind::kOpen && result.ok()) file_ = std::move(result.file);
  if (kind == Kind::kAccept && result.ok()) Accepted(std::move(result.file));
  if (kind == Kind::kAcceptAll || kind == Kind::kPollAll) CheckHeard(request, result);
}

void LoopCaller::CheckOutcome(const UnderWay& request, const Result& result, Nanoseconds now) {
  switch (result.outcome) {
    case Outcome::kCompleted:
      if (!result.value && result.value.error() == ECANCELED) {
        Fail(request, "outcome/cancelled-by-nobody", "completed with ECANCELED");
      }
      if (!result.value && result.value.error() == EBADF) {
        Fail(request, "descriptor", "it was closed while a request used it");
      }
      if (result.ok() && IsTransfer(request.step.kind) && *result.value != result.bytes) {
        Fail(request, "count", "the value is not the count");
      }
      return;
    case Outcome::kTimedOut:
      if (request.deadline == kNever) {
        Fail(request, "outcome/timeout-without-deadline", "timed out, without a deadline");
      }
      if (request.deadline > now) {
        Fail(request, "outcome/timeout-too-early", "timed out before its deadline");
      }
      return;
    case Outcome::kCancelled:
      if (!request.cancel_asked && !circumstances_.shutdown) {
        Fail(request, "outcome/cancelled-by-nobody", "cancelled, and nobody asked for it");
      }
      return;
    case Outcome::kLost:
      if (!circumstances_.may_be_lost) {
        Fail(request, "outcome/lost", "lost, although the kernel had all the time it wanted");
      }
      return;
  }
}

void LoopCaller::CheckReceived(const UnderWay& request, const Result& result) {
  StreamState& stream = streams_[request.peer];
  for (size_t at = 0; at < result.bytes && !stream.gap; ++at) {
    if (result.buffer[at] == PeerByte(request.peer, stream.received + at)) continue;
    return Fail(request, "stream/received",
                "byte " + std::to_string(stream.received + at) + " of peer " +
                    std::to_string(request.peer));
  }
  stream.received += result.bytes;
  const bool exactly = request.step.kind == Kind::kReceiveExactly;
  const bool ended = exactly ? result.bytes < request.buffer_bytes : result.bytes == 0;
  if (result.ok() && ended && !stream.peer_done) {
    Fail(request, "stream/end", "the stream is said to have ended");
  }
}

void LoopCaller::NoteSent(const UnderWay& request, const Result& result) {
  StreamState& stream = streams_[request.peer];
  stream.sent = request.position + result.bytes;
  if (result.ok() && result.bytes != request.buffer_bytes) {
    Fail(request, "count", "a send was short and called complete");
  }
}

void LoopCaller::NoteWritten(const UnderWay& request, const Result& result) {
  if (!result.ok()) return;
  if (result.bytes != request.buffer_bytes) {
    return Fail(request, "count", "a write was short and called complete");
  }
  const size_t end = request.position + request.buffer_bytes;
  if (content_.size() < end) content_.resize(end, std::byte{0});
  for (size_t at = 0; at < request.buffer_bytes; ++at) {
    content_[request.position + at] = FileByte(script_.caller, request.number, at);
  }
}

void LoopCaller::CheckRead(const UnderWay& request, const Result& result) {
  if (!content_known_) return;
  const size_t there = content_.size() > request.position ? content_.size() - request.position : 0;
  if (result.ok() && result.bytes != std::min(there, request.buffer_bytes)) {
    return Fail(request, "file/read", "it ended before the buffer and the file did");
  }
  for (size_t at = 0; at < std::min(there, result.bytes); ++at) {
    if (content_[request.position + at] == result.buffer[at]) continue;
    return Fail(request, "file/read", "byte " + std::to_string(request.position + at));
  }
}

bool LoopCaller::MissesDeadline(Nanoseconds now) const {
  const uint64_t taken = circumstances_.submitted - port_.queued();
  return std::any_of(under_way_.begin(), under_way_.end(), [&](const UnderWay& request) {
    return request.order < taken && request.deadline < now;
  });
}

std::string LoopCaller::Describe() const {
  std::string text = "caller " + std::to_string(script_.caller) + " at step " +
                     std::to_string(next_) + " of " + std::to_string(script_.steps.size()) +
                     ", under way:";
  for (const UnderWay& request : under_way_) {
    text += " " + std::to_string(request.number) + "(" +
            std::to_string(static_cast<int>(request.step.kind)) + ")";
  }
  return text;
}

// --- Peers

LoopPeer::LoopPeer(PeerScript script, uint16_t port, Nanoseconds start,
                   LoopCircumstances& circumstances, std::map<uint64_t, StreamState>& streams)
    : script_(std::move(script)),
      port_(port),
      circumstances_(circumstances),
      streams_(streams),
      wait_until_(start + script_.connect_after) {}

const PeerStep* LoopPeer::NextStep() const {
  return next_ < script_.steps.size() ? &script_.steps[next_] : nullptr;
}

bool LoopPeer::Ready(Nanoseconds now) const {
  if (closed_) return false;
  if (hurry_) return true;
  if (now < wait_until_) return false;
  if (!id_.has_value() || NextStep() != nullptr) return true;
  return circumstances_.kernel.PeerReadable(*id_) > 0;
}

Nanoseconds LoopPeer::NextAt(Nanoseconds now) const {
  return !closed_ && !hurry_ && wait_until_ > now ? wait_until_ : kNever;
}

bool LoopPeer::Step(Nanoseconds now) {
  if (!id_.has_value()) {
    if (hurry_) {
      closed_ = true;
      return true;
    }
    const auto connected = circumstances_.kernel.PeerConnect(port_);
    if (!connected) return false;
    id_ = *connected;
    return true;
  }
  Read();
  if (hurry_) {
    Close(false);
    return true;
  }
  const PeerStep* const step = NextStep();
  if (step == nullptr) return true;
  switch (step->kind) {
    case PeerStep::Kind::kSend: {
      std::array<std::byte, 4096> bytes;
      const size_t part = std::min<size_t>(bytes.size(), step->bytes - sent_of_step_);
      for (size_t at = 0; at < part; ++at) bytes[at] = PeerByte(*id_, sent_ + at);
      const auto taken = half_closed_
                             ? std::expected<size_t, Errno>(part)
                             : circumstances_.kernel.PeerSend(*id_, std::span(bytes).first(part));
      const size_t count = taken.value_or(part);  // A broken stream takes nothing any more.
      if (taken) sent_ += half_closed_ ? 0 : count;
      sent_of_step_ += count;
      if (sent_of_step_ < step->bytes) return count > 0;
      sent_of_step_ = 0;
      break;
    }
    case PeerStep::Kind::kPause:
      wait_until_ = now + step->duration;
      break;
    case PeerStep::Kind::kHalfClose:
      half_closed_ = streams_[*id_].peer_done = true;
      circumstances_.kernel.PeerShutdownWrite(*id_);
      break;
    case PeerStep::Kind::kClose:
    case PeerStep::Kind::kReset:
      Close(step->kind == PeerStep::Kind::kReset);
      return true;
  }
  ++next_;
  return true;
}

void LoopPeer::Read() {
  std::array<std::byte, 4096> bytes;
  for (;;) {
    const model::PeerRead read = circumstances_.kernel.PeerReceive(*id_, bytes);
    for (size_t at = 0; at < read.bytes; ++at) {
      if (bytes[at] == CallerByte(*id_, read_ + at)) continue;
      circumstances_.log.ReportViolation("stream/sent", "byte " + std::to_string(read_ + at), *id_);
      return;
    }
    read_ += read.bytes;
    if (read.bytes == 0) return;
  }
}

void LoopPeer::Leave() {
  if (closed_ || !id_.has_value()) return;
  Read();
  Close(false);
}

void LoopPeer::Close(bool reset) {
  closed_ = streams_[*id_].peer_done = true;
  reset ? circumstances_.kernel.PeerReset(*id_) : circumstances_.kernel.PeerClose(*id_);
}

void LoopPeer::CheckStream() const {
  if (!id_.has_value()) return;
  const auto stream = streams_.find(*id_);
  const uint64_t at_most = stream == streams_.end() ? 0 : stream->second.sent_at_most;
  if (read_ <= at_most) return;
  circumstances_.log.ReportViolation("stream/sent", "more than was submitted", *id_);
}

}  // namespace orrery::scenarios
