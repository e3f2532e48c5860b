#include "runtime/loop/pending.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/mark.h"

namespace orrery {
namespace {

// A length in an SQE is 32 bits, and a file transfer's result is below 2^31.
constexpr size_t kTransferBytesMax = size_t{1} << 30;

// The loop's thread alone writes its counters: no locked instruction is needed.
void Add(std::atomic<uint64_t>& counter, uint64_t number) {
  counter.store(counter.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
}

}  // namespace

Pending::Pending(Request request, Kernel& kernel) : request_(std::move(request)), kernel_(kernel) {}

void Pending::Drop() {
  // Acquire and release: what each user did comes before the end.
  if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

bool Pending::is_transfer() const {
  switch (request_.kind) {
    case Request::Kind::kReceive:
    case Request::Kind::kReceiveExactly:
    case Request::Kind::kSend:
    case Request::Kind::kReadAt:
    case Request::Kind::kWriteAt:
      return true;
    default:
      return false;
  }
}

bool Pending::Start(Loop& loop) {
  taken_ = true;
  loop_ = &loop;
  loop.active.PushBack(*this);
  Add(loop.counters.pending, 1);
  if (request_.kind == Request::Kind::kClose && !request_.file.unique()) {
    OnDone(Outcome::kCompleted, std::unexpected(Errno(EBUSY)));
    return false;
  }
  if (request_.kind == Request::Kind::kTimeout) {
    loop.operations.Sleep(*this, request_.time);
  } else {
    Prepare();
    loop.operations.Start(*this, request_.deadline, loop.deadline_by);
  }
  return true;
}

void Pending::GiveUp() { loop_->operations.Abandon(*this, request_.cancel_if_given_up); }

void Pending::Leave(std::atomic<uint64_t>& counter) {
  loop_->active.Remove(*this);
  Add(loop_->counters.pending, ~uint64_t{0});
  Add(counter, 1);
}

void Pending::Prepare() {
  const int fd = request_.file.descriptor();
  std::byte* const bytes = request_.buffer.data() + moved_;
  const auto size =
      static_cast<unsigned>(std::min(request_.buffer.size() - moved_, kTransferBytesMax));
  switch (request_.kind) {
    case Request::Kind::kReceive:
      return io_uring_prep_recv(&sqe(), fd, bytes, size, 0);
    case Request::Kind::kReceiveExactly:
      return io_uring_prep_recv(&sqe(), fd, bytes, size, MSG_WAITALL);
    case Request::Kind::kSend:
      return io_uring_prep_send(&sqe(), fd, bytes, size, MSG_WAITALL | MSG_NOSIGNAL);
    case Request::Kind::kReadAt:
      return io_uring_prep_read(&sqe(), fd, bytes, size, request_.offset + moved_);
    case Request::Kind::kWriteAt:
      return io_uring_prep_write(&sqe(), fd, bytes, size, request_.offset + moved_);
    case Request::Kind::kSync:
      return io_uring_prep_fsync(&sqe(), fd, request_.flags);
    case Request::Kind::kAccept:
      return io_uring_prep_accept(&sqe(), fd, nullptr, nullptr, static_cast<int>(request_.flags));
    case Request::Kind::kConnect:
      // The socket calls take every family through one type.
      return io_uring_prep_connect(&sqe(), fd,
                                   reinterpret_cast<const sockaddr*>(request_.name.data()),
                                   static_cast<socklen_t>(request_.name.size()));
    case Request::Kind::kOpen:
      return io_uring_prep_openat(&sqe(), AT_FDCWD, request_.name.c_str(),
                                  static_cast<int>(request_.flags), request_.mode);
    case Request::Kind::kClose:
      return io_uring_prep_close(&sqe(), fd);
    case Request::Kind::kPoll:
      return io_uring_prep_poll_add(&sqe(), fd, request_.flags);
    case Request::Kind::kRaw:
      sqe() = request_.sqe;
      return;
    case Request::Kind::kTimeout:
      break;
  }
  CheckFailed(__FILE__, __LINE__, "request_.kind", "a request that needs no SQE");
}

void Pending::OnMore(const Completion& completion) {
  ORRERY_MARK("loop.more-to-come");
  if (request_.memory != nullptr) request_.memory->OnCompletion(completion);
}

RingOperation::Next Pending::OnTerminal(const Completion& completion) {
  if (request_.kind == Request::Kind::kRaw) {
    if (request_.memory != nullptr) request_.memory->OnCompletion(completion);
    return Next::kDone;
  }
  if (request_.kind == Request::Kind::kClose) {
    // Whatever close(2) answers, EINTR included, the descriptor is gone.
    if (!completion.failed_with(ECANCELED)) request_.file.Forget();
    return Next::kDone;
  }
  if (polls_) {
    // Whatever the poll says, the operation itself will say it better.
    polls_ = completion.failed_with(EINTR);
    if (!polls_) Prepare();
    return completion.failed_with(ECANCELED) ? Next::kDone : Next::kAgain;
  }
  if (completion.failed_with(EINTR)) return Next::kAgain;
  if (completion.failed_with(EAGAIN) &&
      (is_transfer() || request_.kind == Request::Kind::kAccept)) {
    // As kernels answer that do not wait for a non-blocking descriptor.
    const bool writes =
        request_.kind == Request::Kind::kSend || request_.kind == Request::Kind::kWriteAt;
    polls_ = true;
    io_uring_prep_poll_add(&sqe(), request_.file.descriptor(), writes ? POLLOUT : POLLIN);
    return Next::kAgain;
  }
  if (!completion.ok()) return Next::kDone;
  if (is_transfer()) return Advance(completion.value());
  if (request_.kind == Request::Kind::kAccept || request_.kind == Request::Kind::kOpen) {
    result_.file = SharedFile(kernel_, static_cast<int>(completion.value()));
  }
  return Next::kDone;
}

RingOperation::Next Pending::Advance(uint32_t bytes) {
  moved_ += bytes;
  // Of a write that takes nothing there is no end either: its count tells.
  if (bytes == 0 || request_.kind == Request::Kind::kReceive) return Next::kDone;
  if (moved_ == request_.buffer.size()) return Next::kDone;
  Prepare();
  return Next::kAgain;
}

// --- The end

void Pending::OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) {
  LoopCounters& counters = loop_->counters;
  Leave(outcome == Outcome::kCompleted  ? counters.completed
        : outcome == Outcome::kTimedOut ? counters.timed_out
                                        : counters.cancelled);
  if (outcome == Outcome::kCompleted && result.has_value() && is_transfer()) {
    constexpr size_t kValueMax = std::numeric_limits<uint32_t>::max();
    Fill(outcome, static_cast<uint32_t>(std::min(moved_, kValueMax)));
  } else {
    const bool has_file = static_cast<bool>(result_.file);
    Fill(outcome, has_file ? std::expected<uint32_t, Errno>(0U) : result);
  }
  loop_->ended.PushBack(*this);
}

void Pending::OnReleased() {
  Leave(loop_->counters.given_up);
  Drop();
}

void Pending::OnLost() {
  Leave(loop_->counters.leaked);
  // The loop's share of it is never given back: the kernel may work on its memory for ever. The
  // list keeps it in reach, so that no leak checker takes it for a mistake.
  static std::atomic<Pending*> lost{nullptr};
  next_asked = lost.exchange(this, std::memory_order_relaxed);
  result_.outcome = Outcome::kLost;
  result_.value = std::unexpected(lost_error_);
  result_.bytes = moved_;
  if (Tell()) progress_.notify_all();
}

void Pending::EndAs(Outcome outcome, Errno error) {
  ORRERY_CHECK(!active());
  Fill(outcome, std::unexpected(error));
  if (Tell()) progress_.notify_all();
}

void Pending::Fill(Outcome outcome, const std::expected<uint32_t, Errno>& value) {
  result_.outcome = outcome;
  result_.value = value;
  result_.bytes = moved_;
  result_.buffer = std::move(request_.buffer);
  result_.memory = std::move(request_.memory);
  // Who uses the file may find itself its only user again as soon as the result is there.
  request_.file = SharedFile();
}

bool Pending::Tell() {
  // Release: whoever sees it sees the result.
  return progress_.exchange(kReady, std::memory_order_release) == kAwaited;
}

void Pending::TellAll(Loop& loop) {
  List awaited;
  while (Pending* const pending = loop.ended.front()) {
    loop.ended.Remove(*pending);
    if (pending->Tell()) {
      awaited.PushBack(*pending);
    } else {
      pending->Drop();
    }
  }
  while (Pending* const pending = awaited.front()) {
    awaited.Remove(*pending);
    pending->progress_.notify_all();
    Add(loop.counters.callers_woken, 1);
    pending->Drop();
  }
}

void Pending::Wait() {
  uint32_t seen = kUnderWay;
  // Acquire, here and below: who sees that it is ready sees the result.
  if (progress_.compare_exchange_strong(seen, kAwaited, std::memory_order_acquire)) seen = kAwaited;
  for (; seen != kReady; seen = progress_.load(std::memory_order_acquire)) progress_.wait(seen);
}

}  // namespace orrery
