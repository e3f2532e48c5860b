// The queue of device_queue.h as both sides see it: every transition of a slot, and no other.
//
// A view of memory that somebody else owns and that another process, or an accelerator, may write
// at any time, wrongly too: so every word is an atomic, and nothing is read twice. Written over an
// atomics policy for //tests/interleaving. Any thread; who may call what, the status of the slot
// says. Invariant: a slot changes hands by its status alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>

#include "base/check.h"
#include "runtime/atomics.h"
#include "runtime/device/device_queue.h"

namespace orrery {

// What a device asks for, as it stands in a slot.
struct DeviceRequest {
  uint32_t operation = 0;
  uint32_t source = 0;
  uint32_t destination = 0;
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint32_t published_at = 0;  // The tag before the host has it.

  friend bool operator==(const DeviceRequest&, const DeviceRequest&) = default;
};

// What it gets: the tag is a count of bytes, or an errno.
struct DeviceResult {
  bool ok = false;
  uint32_t tag = 0;

  friend bool operator==(const DeviceResult&, const DeviceResult&) = default;
};

template <typename Atomics>
struct BasicDeviceSlot {
  using Word = typename Atomics::template Atomic<uint32_t>;
  Word operation, source, destination, offset_low, offset_high, bytes, status, tag;
};

template <typename Atomics>
class BasicSlotQueue {
 public:
  using Slot = BasicDeviceSlot<Atomics>;

  // REQUIRES: a power of two of slots, which outlive this.
  explicit BasicSlotQueue(std::span<Slot> slots) : slots_(slots) {
    ORRERY_CHECK(std::has_single_bit(slots.size()));
    ORRERY_CHECK(slots.size() <= ORRERY_DEVICE_SLOTS_MAX);
  }

  uint32_t slots() const { return static_cast<uint32_t>(slots_.size()); }
  // Of request number `number`.
  uint32_t IndexOf(uint64_t number) const { return static_cast<uint32_t>(number % slots_.size()); }

  // As it is now: anything, where the other side makes mistakes.
  uint32_t status(uint32_t index) const {
    return slots_[index].status.load(std::memory_order_acquire);
  }

  // --- For the host.

  // PUBLISHED to CLAIMED. False: it is not published, or another claimant was faster.
  [[nodiscard]] bool TryClaim(uint32_t index) {
    uint32_t expected = ORRERY_DEVICE_PUBLISHED;
    return slots_[index].status.compare_exchange_strong(
        expected, ORRERY_DEVICE_CLAIMED, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // The words of a claimed slot. They may change under who reads them twice.
  DeviceRequest Read(uint32_t index) const {
    const Slot& slot = slots_[index];
    // Relaxed: the claim has acquired what was published.
    constexpr auto kOrder = std::memory_order_relaxed;
    const uint64_t offset_low = slot.offset_low.load(kOrder);
    const uint64_t offset_high = slot.offset_high.load(kOrder);
    return {.operation = slot.operation.load(kOrder),
            .source = slot.source.load(kOrder),
            .destination = slot.destination.load(kOrder),
            .offset = offset_high << 32 | offset_low,
            .bytes = slot.bytes.load(kOrder),
            .published_at = slot.tag.load(kOrder)};
  }
  // CLAIMED to OK or ERROR. False: somebody has taken it away; it is left as it is.
  [[nodiscard]] bool Complete(uint32_t index, DeviceResult result) {
    Slot& slot = slots_[index];
    // Relaxed: the host's own store, unless somebody spoils it.
    uint32_t expected = slot.status.load(std::memory_order_relaxed);
    if (expected != ORRERY_DEVICE_CLAIMED) return false;
    slot.tag.store(result.tag, std::memory_order_relaxed);
    // Release: who sees the result sees the tag, and the data.
    return slot.status.compare_exchange_strong(
        expected, result.ok ? ORRERY_DEVICE_OK : ORRERY_DEVICE_ERROR, std::memory_order_release,
        std::memory_order_relaxed);
  }

  // --- For the device.

  // EMPTY to PUBLISHED. False: it is not empty. REQUIRES: nobody else publishes in this slot.
  [[nodiscard]] bool TryPublish(uint32_t index, const DeviceRequest& request) {
    // Acquire, so that what follows does not come before the slot was recycled.
    if (status(index) != ORRERY_DEVICE_EMPTY) return false;
    Slot& slot = slots_[index];
    constexpr auto kOrder = std::memory_order_relaxed;
    slot.operation.store(request.operation, kOrder);
    slot.source.store(request.source, kOrder);
    slot.destination.store(request.destination, kOrder);
    slot.offset_low.store(static_cast<uint32_t>(request.offset), kOrder);
    slot.offset_high.store(static_cast<uint32_t>(request.offset >> 32), kOrder);
    slot.bytes.store(request.bytes, kOrder);
    slot.tag.store(request.published_at, kOrder);
    // Release: who claims it sees the words.
    slot.status.store(ORRERY_DEVICE_PUBLISHED, std::memory_order_release);
    return true;
  }
  // Nothing while it is not completed. The data has arrived when this has.
  std::optional<DeviceResult> Result(uint32_t index) const {
    const uint32_t seen = status(index);
    if (seen != ORRERY_DEVICE_OK && seen != ORRERY_DEVICE_ERROR) return std::nullopt;
    return DeviceResult{.ok = seen == ORRERY_DEVICE_OK,
                        .tag = slots_[index].tag.load(std::memory_order_relaxed)};
  }
  // OK or ERROR to EMPTY. False: it is not completed.
  [[nodiscard]] bool Recycle(uint32_t index) {
    if (!Result(index).has_value()) return false;
    // Release: who publishes in it next comes after what this one has read.
    slots_[index].status.store(ORRERY_DEVICE_EMPTY, std::memory_order_release);
    return true;
  }

 private:
  std::span<Slot> slots_;
};

using DeviceSlot = BasicDeviceSlot<StdAtomics>;
using SlotQueue = BasicSlotQueue<StdAtomics>;

static_assert(sizeof(DeviceSlot) == sizeof(orrery_device_slot));
static_assert(alignof(DeviceSlot) == alignof(orrery_device_slot));
static_assert(offsetof(DeviceSlot, status) == offsetof(orrery_device_slot, status));
// Shared with another process, or with what knows no lock of ours.
static_assert(DeviceSlot::Word::is_always_lock_free);
static_assert(std::endian::native == std::endian::little);

// The queue in this memory. The error is a line for a person.
inline std::expected<SlotQueue, std::string> MapSlotQueue(std::span<std::byte> memory) {
  constexpr size_t kSlotBytes = sizeof(orrery_device_slot);
  if (memory.size() % kSlotBytes != 0) {
    return std::unexpected("device queue: its size is no multiple of 32 bytes");
  }
  const size_t slots = memory.size() / kSlotBytes;
  if (!std::has_single_bit(slots) || slots > ORRERY_DEVICE_SLOTS_MAX) {
    return std::unexpected("device queue: " + std::to_string(slots) +
                           " slots; it must be a power of two, and 4096 at most");
  }
  if (reinterpret_cast<uintptr_t>(memory.data()) % kSlotBytes != 0) {  // An address as a number.
    return std::unexpected("device queue: it is not aligned to 32 bytes");
  }
  // The words of mapped memory are what these atomics consist of.
  return SlotQueue({reinterpret_cast<DeviceSlot*>(memory.data()), slots});
}

}  // namespace orrery
