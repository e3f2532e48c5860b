#include "tests/scenarios/device_oracle.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/prng.h"

namespace orrery::scenarios {
namespace {

constexpr uint64_t kGapBytes = 24;
constexpr size_t kRegions = 2;

bool IsTransfer(const DeviceRequest& request) {
  return request.operation == ORRERY_DEVICE_READ || request.operation == ORRERY_DEVICE_WRITE;
}
bool IsCompleted(uint32_t status) {
  return status == ORRERY_DEVICE_OK || status == ORRERY_DEVICE_ERROR;
}

std::byte AnyByte(uint64_t stream, uint64_t position) {
  return static_cast<std::byte>(Combine(stream, position));
}

}  // namespace

std::byte DeviceFileByte(size_t file, uint64_t offset) { return AnyByte(file + 1, offset); }

DeviceOracle::DeviceOracle(sim::EventLog& log, SlotQueue queue, uint64_t place_bytes)
    : log_(log), queue_(queue), place_bytes_(place_bytes) {
  const size_t bytes = kPlaces / kRegions * (place_bytes + kGapBytes) + kGapBytes;
  for (size_t region = 0; region < kRegions; ++region) {
    std::vector<std::byte> memory(bytes);
    for (size_t at = 0; at < bytes; ++at) memory[at] = AnyByte(1000 + region, at);
    mirror_.push_back(memory);
    memory_.push_back(std::move(memory));
  }
}

std::vector<std::span<std::byte>> DeviceOracle::regions() {
  return {memory_.begin(), memory_.end()};
}

uint64_t DeviceOracle::OffsetOf(size_t place) const {
  return place / kRegions * (place_bytes_ + kGapBytes) + kGapBytes;
}

// --- What the host does

void DeviceOracle::AddFile(SharedFile file, uint64_t bytes) {
  File& added = files_.emplace_back();
  added.file = std::move(file);
  added.content.resize(bytes);
  for (uint64_t at = 0; at < bytes; ++at) {
    added.content[at] = DeviceFileByte(files_.size() - 1, at);
  }
  added.known.assign(bytes, true);
  added.changed_at.assign(bytes, 0);
}

void DeviceOracle::AddSource(uint32_t handle, size_t file, const SourceLimits& limits) {
  sources_.push_back({.handle = handle, .file = file, .limits = limits});
}

void DeviceOracle::AddDestination(uint32_t handle, size_t place, uint64_t bytes) {
  destinations_.push_back({.handle = handle, .place = place, .bytes = bytes});
}

uint32_t DeviceOracle::SourceNumber(uint64_t which) const {
  return sources_.empty() ? 0 : sources_[which % sources_.size()].handle;
}
uint32_t DeviceOracle::DestinationNumber(uint64_t which) const {
  return destinations_.empty() ? 0 : destinations_[which % destinations_.size()].handle;
}

void DeviceOracle::Withdrawn(uint32_t handle) {
  for (Source& source : sources_) source.withdrawn |= source.handle == handle;
  for (Destination& each : destinations_) each.withdrawn |= each.handle == handle;
  for (auto& [number, asked] : asked_) {
    if (Names(asked, handle)) asked.may_be_withdrawn = true;
  }
}

void DeviceOracle::Gone(uint32_t handle) {
  for (auto& [number, asked] : asked_) {
    if (!Names(asked, handle) || asked.spoiled || asked.error != 0) continue;
    const uint32_t status = StatusOf(number);
    if (status == ORRERY_DEVICE_CLAIMED) {
      Fail(number, "withdrawn-in-flight", "its handle is said to be unused");
    }
    // It was not claimed in time, so that nothing of it may happen any more.
    if (status == ORRERY_DEVICE_PUBLISHED) {
      asked.error = EBADF;
      asked.opens = false;
    }
  }
}

bool DeviceOracle::Names(const Asked& asked, uint32_t handle) const {
  return IsTransfer(asked.request) &&
         (asked.request.source == handle || asked.request.destination == handle);
}

const DeviceOracle::Source* DeviceOracle::FindSource(uint32_t handle) const {
  const auto found = std::find_if(sources_.begin(), sources_.end(), [&](const Source& source) {
    return source.handle == handle && !source.withdrawn;
  });
  return found == sources_.end() ? nullptr : &*found;
}
const DeviceOracle::Destination* DeviceOracle::FindDestination(uint32_t handle) const {
  const auto found = std::find_if(
      destinations_.begin(), destinations_.end(),
      [&](const Destination& each) { return each.handle == handle && !each.withdrawn; });
  return found == destinations_.end() ? nullptr : &*found;
}

// --- What the device asks

uint32_t DeviceOracle::ErrorOf(const DeviceRequest& request) const {
  if (request.operation == ORRERY_DEVICE_FENCE) return 0;
  if (!IsTransfer(request)) return EINVAL;
  const Source* const source = FindSource(request.source);
  const Destination* const destination = FindDestination(request.destination);
  if (source == nullptr || destination == nullptr) return EBADF;
  const SourceLimits& limits = source->limits;
  const bool reads = request.operation == ORRERY_DEVICE_READ;
  if (reads ? !limits.may_read : !limits.may_write) return EACCES;
  if (request.bytes > destination->bytes) return ERANGE;
  if (request.offset < limits.begin || request.offset > limits.end) return ERANGE;
  if (request.bytes > limits.end - request.offset) return ERANGE;
  return 0;
}

DeviceOracle::File& DeviceOracle::FileOf(const DeviceRequest& request) {
  const auto source = std::find_if(sources_.begin(), sources_.end(), [&](const Source& each) {
    return each.handle == request.source;
  });
  ORRERY_CHECK(source != sources_.end());
  return files_[source->file];
}

size_t DeviceOracle::PlaceOf(uint32_t destination) const {
  const auto found =
      std::find_if(destinations_.begin(), destinations_.end(),
                   [&](const Destination& each) { return each.handle == destination; });
  ORRERY_CHECK(found != destinations_.end());
  return found->place;
}

std::span<std::byte> DeviceOracle::PartOf(const DeviceRequest& request,
                                          std::vector<std::vector<std::byte>>& memory) {
  const size_t place = PlaceOf(request.destination);
  return std::span(memory[RegionOf(place)]).subspan(OffsetOf(place), request.bytes);
}

bool DeviceOracle::MayAsk(const DeviceRequest& request) const {
  if (!IsTransfer(request) || ErrorOf(request) != 0) return true;
  const size_t place = PlaceOf(request.destination);
  return std::none_of(asked_.begin(), asked_.end(), [&](const auto& each) {
    const Asked& other = each.second;
    return IsTransfer(other.request) && other.error == 0 &&
           PlaceOf(other.request.destination) == place;
  });
}

void DeviceOracle::Ask(uint64_t number, const DeviceRequest& request, Nanoseconds now) {
  Asked asked;
  asked.request = request;
  asked.asked_at = now;
  asked.clock = ++clock_;
  asked.faults = faults;
  asked.error = ErrorOf(request);
  asked.opens = asked.error == 0 && request.operation == ORRERY_DEVICE_READ;
  if (asked.error == 0 && request.operation == ORRERY_DEVICE_WRITE) BeginWrite(number, asked);
  asked_[number] = std::move(asked);
}

void DeviceOracle::BeginWrite(uint64_t number, Asked& asked) {
  const DeviceRequest& request = asked.request;
  const std::span<std::byte> memory = PartOf(request, memory_);
  for (size_t at = 0; at < memory.size(); ++at) memory[at] = AnyByte(2000 + number, at);
  std::copy(memory.begin(), memory.end(), PartOf(request, mirror_).begin());
  asked.payload.assign(memory.begin(), memory.end());
  File& file = FileOf(request);
  for (auto& [other_number, other] : asked_) {
    if (other.payload.empty() || &FileOf(other.request) != &file) continue;
    const bool apart = other.request.offset + other.request.bytes <= request.offset ||
                       request.offset + request.bytes <= other.request.offset;
    if (!apart) asked.overlapped = other.overlapped = true;
  }
  for (uint64_t at = request.offset; at < request.offset + request.bytes; ++at) {
    file.known[at] = false;
    file.changed_at[at] = asked.clock;
  }
}

void DeviceOracle::Spoil(uint64_t number) {
  const auto found = asked_.find(number);
  if (found != asked_.end()) found->second.spoiled = true;
}

bool DeviceOracle::AllAnswered() const {
  return std::all_of(asked_.begin(), asked_.end(),
                     [](const auto& each) { return each.second.spoiled; });
}

// --- What it is answered

void DeviceOracle::Answer(uint64_t number, DeviceResult result) {
  const auto found = asked_.find(number);
  ORRERY_CHECK(found != asked_.end());
  Asked& asked = found->second;
  // Of one that is spoiled nothing is known, and its memory is never used again.
  if (asked.spoiled) return;
  if (!result.ok) {
    CheckError(number, asked, result.tag);
  } else if (asked.error != 0) {
    Fail(number, "answer/refused-is-ok",
         "answered OK, and should be error " + std::to_string(asked.error));
  } else if (asked.request.operation == ORRERY_DEVICE_READ) {
    CheckRead(number, asked, result.tag);
  } else if (asked.request.operation == ORRERY_DEVICE_WRITE) {
    NoteWritten(number, asked, result.tag);
  } else if (result.tag != 0) {
    Fail(number, "answer/count", "a fence with a count");
  }
  // Behind the bytes that arrived the kernel may have written, too, as far as it was asked to.
  if (asked.opens) {
    const std::span<std::byte> memory = PartOf(asked.request, memory_);
    std::copy(memory.begin(), memory.end(), PartOf(asked.request, mirror_).begin());
  }
  asked_.erase(found);
  CheckMemory();
}

void DeviceOracle::CheckError(uint64_t number, const Asked& asked, uint32_t error) {
  if (asked.may_be_withdrawn && error == EBADF) return;
  if (asked.error != 0) {
    if (error == asked.error) return;
    return Fail(number, "answer/wrong-error",
                std::to_string(error) + " instead of " + std::to_string(asked.error));
  }
  const bool fence = asked.request.operation == ORRERY_DEVICE_FENCE;
  const bool disk = !fence && asked.faults && (error == EIO || error == ENOSPC);
  const bool stop = !fence && stopped && error == ECANCELED;
  const bool ring = ring_error.has_value() && error == static_cast<uint32_t>(ring_error->value());
  if (disk || stop || ring) return;
  Fail(number, "answer/error-of-nothing", "error " + std::to_string(error));
}

void DeviceOracle::CheckRead(uint64_t number, const Asked& asked, uint32_t bytes) {
  const DeviceRequest& request = asked.request;
  const File& file = FileOf(request);
  const uint64_t size = file.content.size();
  const uint64_t there = request.offset < size ? size - request.offset : 0;
  if (bytes != std::min<uint64_t>(there, request.bytes)) {
    Fail(number, "answer/count",
         std::to_string(bytes) + " bytes of " +
             std::to_string(std::min<uint64_t>(there, request.bytes)));
    return;
  }
  const std::span<std::byte> memory = PartOf(request, memory_);
  for (size_t at = 0; at < bytes; ++at) {
    const uint64_t offset = request.offset + at;
    const bool known = file.known[offset] && file.changed_at[offset] < asked.clock;
    if (known && memory[at] != file.content[offset]) {
      return Fail(number, "bytes/read", "byte " + std::to_string(offset) + " of the file");
    }
  }
}

void DeviceOracle::NoteWritten(uint64_t number, const Asked& asked, uint32_t bytes) {
  const DeviceRequest& request = asked.request;
  if (bytes != request.bytes) {
    return Fail(number, "answer/count",
                std::to_string(bytes) + " bytes of " + std::to_string(request.bytes));
  }
  if (asked.overlapped) return;
  File& file = FileOf(request);
  ++clock_;
  for (size_t at = 0; at < bytes; ++at) {
    file.content[request.offset + at] = asked.payload[at];
    file.known[request.offset + at] = true;
    file.changed_at[request.offset + at] = clock_;
  }
}

// --- Checks

void DeviceOracle::CheckFences() {
  if (!order_known) return;
  for (auto& [number, fence] : asked_) {
    const bool is_fence = fence.request.operation == ORRERY_DEVICE_FENCE;
    if (!is_fence || fence.spoiled || fence.fence_seen) continue;
    if (StatusOf(number) != ORRERY_DEVICE_OK) continue;
    fence.fence_seen = true;
    for (const auto& [earlier, asked] : asked_) {
      if (earlier >= number) break;
      if (asked.spoiled || IsCompleted(StatusOf(earlier))) continue;
      Fail(number, "fence", "it is complete, and request " + std::to_string(earlier) + " is not");
      return;
    }
  }
}

void DeviceOracle::CheckMemory() {
  std::vector<std::vector<std::byte>> seen = memory_;
  for (const auto& [number, asked] : asked_) {
    if (!asked.opens) continue;
    const std::span<std::byte> mirror = PartOf(asked.request, mirror_);
    std::copy(mirror.begin(), mirror.end(), PartOf(asked.request, seen).begin());
  }
  for (size_t region = 0; region < seen.size(); ++region) {
    const auto [here, there] =
        std::mismatch(seen[region].begin(), seen[region].end(), mirror_[region].begin());
    if (here == seen[region].end()) continue;
    log_.OnViolation("memory", "byte " + std::to_string(here - seen[region].begin()) +
                                   " of region " + std::to_string(region) +
                                   " was written, and nobody may write there");
    return;
  }
}

void DeviceOracle::CheckEnd(uint64_t lost) {
  CheckFences();
  uint64_t claimed = 0;
  for (const auto& [number, asked] : asked_) {
    if (asked.spoiled) continue;
    claimed += StatusOf(number) == ORRERY_DEVICE_CLAIMED ? 1 : 0;
  }
  if (claimed > lost) {
    log_.OnViolation("stuck", std::to_string(claimed) + " slots are claimed, and " +
                                  std::to_string(lost) + " were lost");
  }
  CheckMemory();
}

void DeviceOracle::CheckFile(size_t file, std::span<const std::byte> content) {
  const File& expected = files_[file];
  ORRERY_CHECK_OP(content.size(), ==, expected.content.size());
  for (size_t at = 0; at < content.size(); ++at) {
    if (!expected.known[at] || content[at] == expected.content[at]) continue;
    log_.OnViolation("bytes/written",
                     "byte " + std::to_string(at) + " of file " + std::to_string(file));
    return;
  }
}

void DeviceOracle::Fail(uint64_t number, std::string_view invariant, const std::string& detail) {
  log_.OnViolation(invariant, "request " + std::to_string(number) + ": " + detail);
}

}  // namespace orrery::scenarios
