#include "runtime/device/handles.h"

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace orrery {

DeviceHandles::DeviceHandles(std::vector<std::span<std::byte>> regions)
    : regions_(std::move(regions)) {}

// --- Adding and withdrawing

std::expected<uint32_t, Errno> DeviceHandles::AddSource(SharedFile file,
                                                        const SourceLimits& limits) {
  ORRERY_CHECK(static_cast<bool>(file));
  const bool allows = limits.begin < limits.end && (limits.may_read || limits.may_write);
  if (!allows || limits.end > INT64_MAX) return std::unexpected(Errno(EINVAL));
  Entry entry;
  entry.file = std::move(file);
  entry.limits = limits;
  const std::lock_guard lock(mutex_);
  return Add(sources_, 0, std::move(entry));
}

std::expected<uint32_t, Errno> DeviceHandles::AddDestination(size_t region, uint64_t offset,
                                                             uint64_t bytes) {
  if (bytes == 0 || bytes > UINT32_MAX) return std::unexpected(Errno(EINVAL));
  if (region >= regions_.size()) return std::unexpected(Errno(ERANGE));
  const std::span<std::byte> memory = regions_[region];
  // Neither sum nor difference can overflow this way.
  if (offset > memory.size() || bytes > memory.size() - offset) {
    return std::unexpected(Errno(ERANGE));
  }
  Entry entry;
  entry.memory = {.bytes = memory.subspan(offset, bytes), .region = static_cast<uint16_t>(region)};
  const std::lock_guard lock(mutex_);
  return Add(destinations_, kKindBit, std::move(entry));
}

std::expected<uint32_t, Errno> DeviceHandles::Add(Table& table, uint32_t kind, Entry entry) {
  if (table.free.empty()) {
    if (table.entries.size() == kHandlesMax) return std::unexpected(Errno(ENOSPC));
    table.free.push_back(static_cast<uint32_t>(table.entries.size()));
    table.entries.emplace_back();
  }
  const uint32_t index = table.free.back();
  table.free.pop_back();
  entry.generation = table.entries[index].generation;
  entry.live = true;
  table.entries[index] = std::move(entry);
  return kind | table.entries[index].generation << kIndexBits | index;
}

std::expected<void, Errno> DeviceHandles::Withdraw(uint32_t handle) {
  const std::lock_guard lock(mutex_);
  Entry* const entry = Find(handle);
  if (entry == nullptr || entry->withdrawn) return std::unexpected(Errno(EBADF));
  entry->withdrawn = true;
  if (entry->uses == 0) Free(handle, *entry);
  return {};
}

bool DeviceHandles::InUse(uint32_t handle) const {
  const std::lock_guard lock(mutex_);
  return Uses(handle);
}

bool DeviceHandles::AwaitUnused(uint32_t handle) const {
  std::unique_lock lock(mutex_);
  unused_.wait(lock, [&] { return loop_ended_ || !Uses(handle); });
  return !Uses(handle);
}

// --- The loop's

std::expected<DeviceHandles::Target, Errno> DeviceHandles::Acquire(const DeviceRequest& request) {
  const std::lock_guard lock(mutex_);
  Entry* const source = Find(sources_, 0, request.source);
  Entry* const destination = Find(destinations_, kKindBit, request.destination);
  if (source == nullptr || source->withdrawn) return std::unexpected(Errno(EBADF));
  if (destination == nullptr || destination->withdrawn) return std::unexpected(Errno(EBADF));
  const SourceLimits& limits = source->limits;
  const bool reads = request.operation == ORRERY_DEVICE_READ;
  if (!(reads ? limits.may_read : limits.may_write)) return std::unexpected(Errno(EACCES));
  // Neither sum nor difference can overflow this way.
  if (request.offset < limits.begin || request.offset > limits.end ||
      request.bytes > limits.end - request.offset) {
    return std::unexpected(Errno(ERANGE));
  }
  if (request.bytes > destination->memory.bytes.size()) return std::unexpected(Errno(ERANGE));
  ++source->uses;
  ++destination->uses;
  return Target{.descriptor = source->file.descriptor(),
                .memory = {.bytes = destination->memory.bytes.first(request.bytes),
                           .region = destination->memory.region},
                .source = request.source,
                .destination = request.destination};
}

void DeviceHandles::Release(const Target& target) {
  const std::lock_guard lock(mutex_);
  DropUse(target.source);
  DropUse(target.destination);
}

void DeviceHandles::LoopEnded() {
  const std::lock_guard lock(mutex_);
  loop_ended_ = true;
  unused_.notify_all();
}

// --- Under the mutex

DeviceHandles::Entry* DeviceHandles::Find(Table& table, uint32_t kind, uint32_t handle) {
  const uint32_t index = handle & ((uint32_t{1} << kIndexBits) - 1);
  if ((handle & kKindBit) != kind || index >= table.entries.size()) return nullptr;
  Entry& entry = table.entries[index];
  const uint32_t generation = (handle & ~kKindBit) >> kIndexBits;
  return entry.live && entry.generation == generation ? &entry : nullptr;
}

DeviceHandles::Entry* DeviceHandles::Find(uint32_t handle) {
  const bool source = (handle & kKindBit) == 0;
  return source ? Find(sources_, 0, handle) : Find(destinations_, kKindBit, handle);
}

bool DeviceHandles::Uses(uint32_t handle) const {
  // Find() changes nothing.
  const Entry* const entry = const_cast<DeviceHandles*>(this)->Find(handle);
  return entry != nullptr && entry->uses > 0;
}

void DeviceHandles::DropUse(uint32_t handle) {
  Entry* const entry = Find(handle);
  ORRERY_CHECK(entry != nullptr && entry->uses > 0);
  if (--entry->uses > 0 || !entry->withdrawn) return;
  Free(handle, *entry);
  unused_.notify_all();
}

void DeviceHandles::Free(uint32_t handle, Entry& entry) {
  // Never 0, so that the handle 0 is none.
  const uint32_t next = entry.generation == kGenerationMax ? 1 : entry.generation + 1;
  entry = Entry{};
  entry.generation = next;
  Table& table = (handle & kKindBit) == 0 ? sources_ : destinations_;
  table.free.push_back(handle & ((uint32_t{1} << kIndexBits) - 1));
}

}  // namespace orrery
