#include "runtime/device/device_loop.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/mark.h"

namespace orrery {
namespace {

constexpr unsigned kEntriesMin = 4;

Nanoseconds After(Nanoseconds now, Nanoseconds delay) {
  return delay >= kNever - now ? kNever : now + delay;
}

// The reason of a refusal.
DeviceFailure FailureOf(Errno error) {
  switch (error.value()) {
    case EBADF:
      return DeviceFailure::kHandle;
    case EACCES:
      return DeviceFailure::kDirection;
    default:
      return DeviceFailure::kRange;
  }
}

}  // namespace

// --- The beginning

std::expected<std::unique_ptr<DeviceLoop>, std::string> DeviceLoop::Create(
    DevicePort& port, const DeviceLoopOptions& options) {
  ORRERY_CHECK(options.requests_max >= 1);
  ORRERY_CHECK(options.piece_bytes_max >= 1);
  ORRERY_CHECK(options.first_slot < port.queue_.slots());
  const uint32_t requests_max = std::min(options.requests_max, port.queue_.slots());
  const unsigned entries = std::max(std::bit_ceil(requests_max), kEntriesMin);
  auto ring = port.kernel_.MakeRing({.sq_entries = entries, .cq_entries = 2 * entries});
  if (!ring) return std::unexpected(ring.error());
  std::unique_ptr<RegisteredBuffers> buffers;
  if (options.fixed_buffers) {
    auto registered = RegisteredBuffers::Create(**ring, port.handles_.regions());
    if (!registered) {
      return std::unexpected("device loop: the memory cannot be registered: " +
                             registered.error().ToString());
    }
    buffers = *std::move(registered);
  }
  return std::unique_ptr<DeviceLoop>(
      new DeviceLoop(port, options, *std::move(ring), std::move(buffers), requests_max));
}

DeviceLoop::DeviceLoop(DevicePort& port, const DeviceLoopOptions& options,
                       std::unique_ptr<Ring> ring, std::unique_ptr<RegisteredBuffers> buffers,
                       uint32_t requests_max)
    : port_(port),
      options_(options),
      counters_(port.counters_),
      ring_(std::move(ring)),
      buffers_(std::move(buffers)),
      operations_(std::make_unique<Operations>(
          *ring_, port.kernel_, OperationsOptions{.in_flight_max = requests_max, .reserved = 1})),
      held_(port.queue_.slots()),
      wake_(*operations_, port.eventfd_),
      next_(options.first_slot) {
  free_.reserve(requests_max);
  for (uint32_t count = 0; count < requests_max; ++count) {
    free_.push_back(&all_.emplace_back(*this));
  }
}

DeviceLoop::~DeviceLoop() {
  ORRERY_CHECK_MSG(claimed_.empty(), "a device loop died while requests were claimed");
}

// --- The turn

EnterRequest DeviceLoop::Turn() {
  ORRERY_CHECK(!finished());
  if (std::exchange(armed_, false)) port_.waker_.Disarm();
  const uint64_t moved = counters_.claimed.value() + counters_.completed.value();
  operations_->BeginTurn();
  // Before the stop is looked for, so that TryArm() notices one that comes later.
  (void)port_.waker_.Look();
  if (port_.stop_requested_.load(std::memory_order_acquire)) BeginStop();
  const bool more = phase_ == Phase::kRunning && ClaimPublished();
  if (phase_ < Phase::kEnding) wake_.Arm();
  StepStop();
  if (moved != counters_.claimed.value() + counters_.completed.value()) looks_ = 0;
  const Nanoseconds look = more ? 0 : NextLook();
  EnterRequest request = operations_->EndTurn(
      finished() || look == 0,
      std::min({After(operations_->now(), look), phase_ends_at_, wake_.retry_at()}));
  if (request.min_complete > 0) {
    armed_ = port_.waker_.TryArm();
    if (!armed_) request.min_complete = 0;
  }
  return request;
}

void DeviceLoop::OnEntered(const EnterResult& result) {
  if (finished()) return;
  const auto checked = operations_->OnEntered(result);
  if (checked || error_.has_value()) return;
  ORRERY_MARK("device.ring-failed");
  error_ = checked.error();
  BeginStop();
  phase_ = Phase::kCancelling;
  phase_ends_at_ = After(operations_->now(), options_.loss_limit);
  CancelAll();
}

Nanoseconds DeviceLoop::NextLook() {
  if (phase_ != Phase::kRunning) return kNever;
  if (!claimed_.empty()) {
    // Without a place for another request there is none to look for.
    if (free_.empty()) return kNever;
    if (looks_ >= kLooksInFlight) return kWaitMax;
    ++looks_;
    return 0;
  }
  if (looks_ < kLooksMax) {
    ++looks_;
    return 0;
  }
  const Nanoseconds park = kParkMin << (looks_ - kLooksMax);
  if (park >= kParkMax) return kParkMax;
  ++looks_;
  return park;
}

// --- Claiming

bool DeviceLoop::ClaimPublished() {
  // A device that publishes as fast as its requests are refused must not hold the turn up.
  const uint32_t claims_max = port_.queue_.slots();
  Nanoseconds now = 0;
  for (uint32_t claims = 0; claims < claims_max; ++claims) {
    if (free_.empty()) {
      ORRERY_MARK("device.all-requests-taken");
      return false;
    }
    const uint32_t status = port_.queue_.status(next_);
    const bool published = status == ORRERY_DEVICE_PUBLISHED && !held_[next_];
    if (!published || !port_.queue_.TryClaim(next_)) {
      NoteStatus(status);
      return false;
    }
    if (claims == 0) now = port_.kernel_.MonotonicNow();
    Claimed& claimed = *free_.back();
    free_.pop_back();
    claimed_.PushBack(claimed);
    claimed.slot = next_;
    claimed.request = port_.queue_.Read(next_);
    claimed.claimed_at = now;
    held_[next_] = true;
    next_ = port_.queue_.IndexOf(uint64_t{next_} + 1);
    last_status_ = ORRERY_DEVICE_EMPTY;
    ++counters_.claimed;
    counters_.in_flight += 1;
    if (const uint32_t published_at = claimed.request.published_at; published_at != 0) {
      // Modulo 2^32, which holds for four seconds; the future is now.
      const auto waited = static_cast<int32_t>(static_cast<uint32_t>(now) - published_at);
      counters_.queue_to_claim.Add(waited);
    }
    Begin(claimed);
  }
  ORRERY_MARK("device.turn-of-claims-alone");
  return true;
}

void DeviceLoop::NoteStatus(uint32_t status) {
  if (status == last_status_) return;
  last_status_ = status;
  const bool held = held_[next_];
  // What a device does: it has not published yet, or not recycled.
  const bool expected = held ? status == ORRERY_DEVICE_CLAIMED
                             : status != ORRERY_DEVICE_CLAIMED && status <= ORRERY_DEVICE_ERROR;
  if (!expected) ++counters_.refused;
}

void DeviceLoop::Begin(Claimed& claimed) {
  switch (claimed.request.operation) {
    case ORRERY_DEVICE_FENCE:
      ORRERY_MARK_IF(claimed_.front() != &claimed, "device.fence-waits");
      return CompleteFences();
    case ORRERY_DEVICE_READ:
    case ORRERY_DEVICE_WRITE:
      break;
    default:
      return Fail(claimed, Errno(EINVAL), DeviceFailure::kOperation);
  }
  const auto target = port_.handles_.Acquire(claimed.request);
  if (!target) return Fail(claimed, target.error(), FailureOf(target.error()));
  claimed.target = *target;
  claimed.Start();
}

// --- One request

void DeviceLoop::Claimed::Start() {
  moved_ = 0;
  if (request.bytes == 0) return loop_.Complete(*this, {.ok = true, .tag = 0}, std::nullopt);
  Prepare();
  loop_.operations_->Start(*this);
}

void DeviceLoop::Claimed::Prepare() {
  const std::span<std::byte> left = target.memory.bytes.subspan(moved_);
  const auto bytes =
      static_cast<unsigned>(std::min<size_t>(left.size(), loop_.options_.piece_bytes_max));
  const uint64_t offset = request.offset + moved_;
  const bool reads = request.operation == ORRERY_DEVICE_READ;
  // From zero each time, so that nothing of the slot's last use survives.
  sqe() = {};
  if (loop_.buffers_ == nullptr) {
    reads ? io_uring_prep_read(&sqe(), target.descriptor, left.data(), bytes, offset)
          : io_uring_prep_write(&sqe(), target.descriptor, left.data(), bytes, offset);
    return;
  }
  const int region = target.memory.region;
  reads ? io_uring_prep_read_fixed(&sqe(), target.descriptor, left.data(), bytes, offset, region)
        : io_uring_prep_write_fixed(&sqe(), target.descriptor, left.data(), bytes, offset, region);
}

RingOperation::Next DeviceLoop::Claimed::OnTerminal(const Completion& completion) {
  // An error, or the end of the file.
  if (!completion.ok() || completion.value() == 0) return Next::kDone;
  ORRERY_CHECK(completion.value() <= request.bytes - moved_);
  moved_ += completion.value();
  if (moved_ == request.bytes) return Next::kDone;
  ORRERY_MARK("device.goes-on");
  Prepare();
  return Next::kAgain;
}

void DeviceLoop::Claimed::OnDone(Outcome outcome, const std::expected<uint32_t, Errno>& result) {
  if (outcome != Outcome::kCompleted) {
    ORRERY_MARK("device.cancelled");
    return loop_.Fail(*this, loop_.error_.value_or(Errno(ECANCELED)), DeviceFailure::kStopped);
  }
  if (!result) return loop_.Fail(*this, result.error(), DeviceFailure::kKernel);
  const bool reads = request.operation == ORRERY_DEVICE_READ;
  // A file does not end for who writes to it.
  if (!reads && moved_ < request.bytes) {
    return loop_.Fail(*this, Errno(EIO), DeviceFailure::kKernel);
  }
  (reads ? loop_.counters_.bytes_read : loop_.counters_.bytes_written) += moved_;
  ORRERY_MARK_IF(moved_ < request.bytes, "device.end-of-file");
  loop_.Complete(*this, {.ok = true, .tag = moved_}, std::nullopt);
}

void DeviceLoop::Fail(Claimed& claimed, Errno error, DeviceFailure failure) {
  Complete(claimed, {.ok = false, .tag = static_cast<uint32_t>(error.value())}, failure);
}

void DeviceLoop::Complete(Claimed& claimed, DeviceResult result,
                          std::optional<DeviceFailure> failure) {
  Answer(claimed, result, failure);
  CompleteFences();
}

void DeviceLoop::Answer(Claimed& claimed, DeviceResult result,
                        std::optional<DeviceFailure> failure) {
  // Before the device is told, who may then withdraw them at once.
  if (claimed.target.descriptor >= 0) port_.handles_.Release(claimed.target);
  claimed.target = {};
  if (!port_.queue_.Complete(claimed.slot, result)) ++counters_.refused;
  held_[claimed.slot] = false;
  ++counters_.completed;
  if (failure.has_value()) ++counters_.failed[static_cast<size_t>(*failure)];
  counters_.in_flight.Set(counters_.in_flight.value() - 1);
  counters_.claim_to_complete.Add(operations_->now() - claimed.claimed_at);
  claimed_.Remove(claimed);
  free_.push_back(&claimed);
}

void DeviceLoop::CompleteFences() {
  for (Claimed* first = claimed_.front(); first != nullptr && first->is_fence();
       first = claimed_.front()) {
    Answer(*first, {.ok = true, .tag = 0}, std::nullopt);
  }
}

// --- The end

void DeviceLoop::BeginStop() {
  if (phase_ != Phase::kRunning) return;
  phase_ = Phase::kFinishing;
  phase_ends_at_ = After(operations_->now(), options_.finish_limit);
}

void DeviceLoop::CancelAll() {
  for (Claimed* each = claimed_.front(); each != nullptr; each = claimed_.Next(*each)) {
    if (each->active()) operations_->Cancel(*each);
  }
}

void DeviceLoop::StepStop() {
  if (phase_ == Phase::kRunning || phase_ == Phase::kFinished) return;
  const bool late = phase_ends_at_ <= operations_->now();
  // Of a ring that has failed, the poll is of no account.
  if (error_.has_value() && (late || claimed_.empty())) return LoseAll();
  if (phase_ == Phase::kFinishing && late && !claimed_.empty()) {
    ORRERY_MARK("device.finish-limit");
    phase_ = Phase::kCancelling;
    phase_ends_at_ = kNever;
    CancelAll();
  }
  if (claimed_.empty() && phase_ < Phase::kEnding) {
    phase_ = Phase::kEnding;
    phase_ends_at_ = kNever;
    if (wake_.active()) operations_->Cancel(wake_);
  }
  if (phase_ == Phase::kEnding && !wake_.active() && operations_->idle()) {
    phase_ = Phase::kFinished;
    port_.handles_.LoopEnded();
  }
}

void DeviceLoop::LoseAll() {
  operations_->Lose();
  // What is left is lost, or a fence that has waited for what is.
  while (Claimed* const claimed = claimed_.front()) {
    if (!claimed->is_fence()) {
      Lose(*claimed);
      continue;
    }
    Answer(*claimed, {.ok = false, .tag = static_cast<uint32_t>(error_->value())},
           DeviceFailure::kStopped);
  }
  phase_ = Phase::kFinished;
  port_.handles_.LoopEnded();
}

void DeviceLoop::Lose(Claimed& claimed) {
  ORRERY_MARK("device.lost");
  ++counters_.lost;
  counters_.in_flight.Set(counters_.in_flight.value() - 1);
  claimed_.Remove(claimed);
}

}  // namespace orrery
