#include "tests/scenarios/device_actors.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/prng.h"

namespace orrery::scenarios {
namespace {

using Kind = DeviceStep::Kind;

// What a connection is in other worlds' notes.
constexpr uint64_t kDeviceInNotes = 1;
constexpr uint64_t kHostInNotes = 2;

bool IsRequest(Kind kind) { return kind <= Kind::kNonsense; }

uint32_t OperationOf(const DeviceStep& step) {
  switch (step.kind) {
    case Kind::kRead:
      return ORRERY_DEVICE_READ;
    case Kind::kWrite:
      return ORRERY_DEVICE_WRITE;
    case Kind::kFence:
      return ORRERY_DEVICE_FENCE;
    default:
      return step.value == 0 ? 0 : ORRERY_DEVICE_FENCE + static_cast<uint32_t>(step.value);
  }
}

}  // namespace

// --- The device

DeviceActor::DeviceActor(std::vector<DeviceStep> script, Recycling recycling, SlotQueue queue,
                         std::span<orrery_device_slot> slots, DeviceOracle& oracle,
                         sim::EventLog& log)
    : script_(std::move(script)),
      recycling_(recycling),
      queue_(queue),
      slots_(slots),
      oracle_(oracle),
      log_(log),
      in_slot_(queue.slots()) {}

std::optional<uint64_t> DeviceActor::Takable() const {
  for (uint32_t slot = 0; slot < queue_.slots(); ++slot) {
    if (in_slot_[slot].has_value() && queue_.Result(slot).has_value()) return in_slot_[slot];
  }
  return std::nullopt;
}

bool DeviceActor::NextSlotFree() const {
  // What it has made of an empty slot itself, it mends.
  return !in_slot_[next_slot()].has_value();
}

bool DeviceActor::stuck() const {
  return recycling_ == Recycling::kHoards && IsRequest(script_[next_].kind) && !NextSlotFree();
}

std::optional<Nanoseconds> DeviceActor::PublishedAt(uint32_t slot) const {
  if (!oracle_.order_known || !in_slot_[slot].has_value()) return std::nullopt;
  const auto found = oracle_.asked().find(*in_slot_[slot]);
  if (found == oracle_.asked().end() || found->second.spoiled) return std::nullopt;
  return found->second.asked_at;
}

bool DeviceActor::Ready(Nanoseconds now) const {
  if (hurry_) return Takable().has_value();
  if (next_ >= script_.size() || now < wait_until_) return false;
  const Kind kind = script_[next_].kind;
  if (recycling_ == Recycling::kEager && Takable().has_value()) return true;
  if (kind == Kind::kAwait) {
    if (recycling_ == Recycling::kHoards || AllAnswered()) return true;
    return Takable().has_value();
  }
  if (!IsRequest(kind) || NextSlotFree()) return true;
  return recycling_ == Recycling::kLazy && queue_.Result(next_slot()).has_value();
}

Nanoseconds DeviceActor::NextAt(Nanoseconds now) const {
  return !hurry_ && next_ < script_.size() && wait_until_ > now ? wait_until_ : kNever;
}

bool DeviceActor::Step(Nanoseconds now) {
  oracle_.CheckFences();
  const bool takes = hurry_ || recycling_ == Recycling::kEager ||
                     (recycling_ == Recycling::kLazy && script_[next_].kind == Kind::kAwait);
  const std::optional<uint64_t> takable = Takable();
  if (takes && takable.has_value()) {
    Take(*takable);
    return true;
  }
  ORRERY_CHECK(!hurry_);
  const DeviceStep& step = script_[next_];
  const auto slot = static_cast<uint32_t>(step.source % queue_.slots());
  if (IsRequest(step.kind) && !NextSlotFree()) {
    Take(*in_slot_[next_slot()]);
    return true;
  }
  ++next_;
  switch (step.kind) {
    case Kind::kAwait:
      break;
    case Kind::kWait:
      wait_until_ = now + step.duration;
      break;
    case Kind::kScribbleWords:
      ScribbleWords(slot, step.value);
      break;
    case Kind::kScribbleStatus:
      ScribbleStatus(slot, step.value);
      break;
    case Kind::kScribbleEmpty:
      ScribbleEmpty(step.value);
      break;
    default:
      Ask(step, now);
  }
  return true;
}

void DeviceActor::Take(uint64_t number) {
  const uint32_t slot = queue_.IndexOf(number);
  const DeviceResult result = queue_.Result(slot).value();
  log_.Note("answer", kDeviceInNotes, static_cast<int64_t>(number),
            result.ok ? static_cast<int64_t>(result.tag) : -static_cast<int64_t>(result.tag));
  oracle_.Answer(number, result);
  ORRERY_CHECK(queue_.Recycle(slot));
  in_slot_[slot].reset();
}

void DeviceActor::Ask(const DeviceStep& step, Nanoseconds now) {
  using Wrong = DeviceStep::Wrong;
  DeviceRequest request{.operation = OperationOf(step),
                        .source = oracle_.SourceNumber(step.source),
                        .destination = oracle_.DestinationNumber(step.destination),
                        .offset = step.offset,
                        .bytes = static_cast<uint32_t>(step.bytes),
                        .published_at = static_cast<uint32_t>(now)};
  const auto garbage = static_cast<uint32_t>(Combine(step.offset, step.value));
  switch (step.wrong) {
    case Wrong::kNothing:
      break;
    case Wrong::kSourceIsDestination:
      request.source = request.destination;
      break;
    case Wrong::kSourceIsDescriptor:
      request.source =
          static_cast<uint32_t>(oracle_.file(step.source % oracle_.files()).descriptor());
      break;
    case Wrong::kSourceIsGarbage:
      request.source = garbage;
      break;
    case Wrong::kDestinationIsSource:
      request.destination = request.source;
      break;
    case Wrong::kDestinationIsGarbage:
      request.destination = garbage;
      break;
  }
  if (oracle_.MayAsk(request)) Publish(request, now);
}

void DeviceActor::Probe(const DeviceRequest& request, Nanoseconds now) {
  ORRERY_CHECK(NextSlotFree());
  Publish(request, now);
}

void DeviceActor::Publish(const DeviceRequest& request, Nanoseconds now) {
  const uint32_t slot = next_slot();
  Mend(slot);
  const uint64_t number = published_++;
  log_.Note("published", kDeviceInNotes, static_cast<int64_t>(number), request.operation);
  oracle_.Ask(number, request, now);
  ORRERY_CHECK(queue_.TryPublish(slot, request));
  in_slot_[slot] = number;
}

// --- What it should not do

void DeviceActor::ScribbleWords(uint32_t slot, uint64_t value) {
  // The host has read them: nothing may come of it.
  if (!in_slot_[slot].has_value() || queue_.status(slot) != ORRERY_DEVICE_CLAIMED) return;
  log_.Note("scribbled-words", kDeviceInNotes, slot, static_cast<int64_t>(value));
  orrery_device_slot& words = slots_[slot];
  uint32_t* const all[] = {&words.operation,   &words.source, &words.destination, &words.offset_low,
                           &words.offset_high, &words.bytes,  &words.tag};
  for (uint32_t* const word : all) *word = static_cast<uint32_t>(Combine(value, *word));
}

void DeviceActor::ScribbleStatus(uint32_t slot, uint64_t value) {
  if (!in_slot_[slot].has_value() || queue_.status(slot) != ORRERY_DEVICE_CLAIMED) return;
  static constexpr std::array<uint32_t, 5> kAny = {ORRERY_DEVICE_EMPTY, ORRERY_DEVICE_PUBLISHED,
                                                   ORRERY_DEVICE_OK, ORRERY_DEVICE_ERROR, 77};
  const uint32_t status = kAny[value % kAny.size()];
  log_.Note("scribbled-status", kDeviceInNotes, slot, status);
  scribbled_ = true;
  // The request is done twice, and in whose place nobody knows.
  if (status == ORRERY_DEVICE_PUBLISHED) oracle_.order_known = false;
  oracle_.Spoil(*in_slot_[slot]);
  slots_[slot].status = status;
  // Of these the device does not know that it has asked.
  if (status == ORRERY_DEVICE_EMPTY || status == 77) in_slot_[slot].reset();
}

void DeviceActor::ScribbleEmpty(uint64_t value) {
  const uint32_t slot = next_slot();
  if (in_slot_[slot].has_value() || queue_.status(slot) != ORRERY_DEVICE_EMPTY) return;
  static constexpr std::array<uint32_t, 4> kAny = {ORRERY_DEVICE_CLAIMED, ORRERY_DEVICE_OK,
                                                   ORRERY_DEVICE_ERROR, 77};
  log_.Note("scribbled-empty", kDeviceInNotes, slot, static_cast<int64_t>(value));
  scribbled_ = true;
  slots_[slot].status = kAny[value % kAny.size()];
}

void DeviceActor::Mend(uint32_t slot) {
  if (queue_.status(slot) != ORRERY_DEVICE_EMPTY) slots_[slot].status = ORRERY_DEVICE_EMPTY;
}

// --- The host

void HostActor::Begin(Nanoseconds now) {
  while (next_ < script_.size() && (script_[next_].kind == HostStep::Kind::kAddSource ||
                                    script_[next_].kind == HostStep::Kind::kAddDestination)) {
    Do(script_[next_++], now);
  }
}

bool HostActor::Ready(Nanoseconds now) const {
  for (const uint32_t handle : leaving_) {
    if (!port_.handles().InUse(handle)) return true;
  }
  return next_ < script_.size() && now >= wait_until_;
}

Nanoseconds HostActor::NextAt(Nanoseconds now) const {
  return next_ < script_.size() && wait_until_ > now ? wait_until_ : kNever;
}

bool HostActor::Step(Nanoseconds now) {
  for (size_t index = 0; index < leaving_.size(); ++index) {
    const uint32_t handle = leaving_[index];
    if (port_.handles().InUse(handle)) continue;
    log_.Note("unused", kHostInNotes, handle, 0);
    oracle_.Gone(handle);
    leaving_.erase(leaving_.begin() + static_cast<ptrdiff_t>(index));
    return true;
  }
  Do(script_[next_++], now);
  return true;
}

void HostActor::Do(const HostStep& step, Nanoseconds now) {
  switch (step.kind) {
    case HostStep::Kind::kAddSource: {
      const size_t file = step.which % oracle_.files();
      const uint64_t size = oracle_.file_bytes(file);
      SourceLimits limits{.begin = step.begin,
                          .end = step.begin + step.bytes,
                          .may_read = (step.access & 1) != 0,
                          .may_write = (step.access & 2) != 0};
      // Files do not grow here.
      if (limits.may_write) limits.end = std::min(limits.end, size);
      const auto handle = port_.handles().AddSource(oracle_.file(file), limits);
      if (handle.has_value()) oracle_.AddSource(*handle, file, limits);
      return;
    }
    case HostStep::Kind::kAddDestination: {
      const size_t place = step.which % DeviceOracle::kPlaces;
      const uint64_t bytes = std::min(step.bytes, oracle_.place_bytes());
      const auto handle =
          port_.handles().AddDestination(oracle_.RegionOf(place), oracle_.OffsetOf(place), bytes);
      if (handle.has_value()) oracle_.AddDestination(*handle, place, bytes);
      return;
    }
    case HostStep::Kind::kWithdrawSource:
      return Withdraw(oracle_.SourceNumber(step.which));
    case HostStep::Kind::kWithdrawDestination:
      return Withdraw(oracle_.DestinationNumber(step.which));
    case HostStep::Kind::kWait:
      wait_until_ = now + step.duration;
  }
}

void HostActor::Withdraw(uint32_t handle) {
  if (!port_.handles().Withdraw(handle)) return;
  log_.Note("withdrawn", kHostInNotes, handle, 0);
  oracle_.Withdrawn(handle);
  leaving_.push_back(handle);
}

}  // namespace orrery::scenarios
