#include "kernel_model/provided_buffers.h"

#include <string>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/memory_guard.h"

namespace orrery::model {
namespace {

constexpr uint32_t kBufferMore = 1U << 4;  // IORING_CQE_F_BUF_MORE

std::string Name(uint16_t group, uint16_t id) {
  return "buffer " + std::to_string(id) + " of group " + std::to_string(group);
}

}  // namespace

BufferGroup::BufferGroup(Machine& machine, uint16_t group, io_uring_buf* entries,
                         uint32_t entry_count, bool incremental)
    : machine_(machine),
      group_(group),
      entries_(entries),
      mask_(static_cast<uint16_t>(entry_count - 1)),
      incremental_(incremental),
      slots_(entry_count) {
  ORRERY_CHECK(entry_count >= 1);
  ORRERY_CHECK(entry_count <= kEntriesMax);
}

BufferGroup::~BufferGroup() {
  for (uint16_t position = head_; position != seen_tail_ && use_ == Use::kReceiving; ++position) {
    const Buffer& buffer = slots_[position & mask_];
    if (IsNowhere(buffer.address)) continue;
    Unpoison(buffer.address, buffer.length);
  }
  for (MemoryLedger::Range& range : ranges_by_id_) machine_.ledger.Forget(range);
}

uint16_t BufferGroup::SharedTail() const {
  // The tail shares the first entry's reserved field; acquire pairs with
  // io_uring_buf_ring_advance().
  return __atomic_load_n(&entries_[0].resv, __ATOMIC_ACQUIRE);
}

void BufferGroup::Look() {
  const uint16_t tail = SharedTail();
  while (seen_tail_ != tail) {
    if (owned() == slots_.size()) {
      machine_.Violate("provided-buffer-ring-overrun",
                       "group " + std::to_string(group_) + " has " + std::to_string(slots_.size()) +
                           " entries, all published, and its tail moved on");
      return;
    }
    Publish(entries_[seen_tail_ & mask_], slots_[seen_tail_ & mask_]);
    ++seen_tail_;
  }
}

void BufferGroup::Publish(const io_uring_buf& entry, Buffer& slot) {
  // The ABI carries pointers as 64-bit integers.
  slot = {
      .address = reinterpret_cast<std::byte*>(entry.addr), .length = entry.len, .id = entry.bid};
  if (slot.id >= ranges_by_id_.size()) ranges_by_id_.resize(size_t{slot.id} + 1);
  MemoryLedger::Range& range = ranges_by_id_[slot.id];
  if (IsNowhere(slot.address)) return;  // Found out by the transfer (fact B10).
  if (!machine_.ledger.Claim(range, entry.addr, entry.addr + entry.len)) {
    machine_.Violate(
        "provided-buffer-published-twice",
        Name(group_, slot.id) + ", or memory that overlaps it, is the kernel's already");
    return;
  }
  if (use_ != Use::kReceiving) return;
  FillPattern(slot.address, slot.length);
  Poison(slot.address, slot.length);
}

void BufferGroup::UseFor(Use use) {
  if (use_ == use) return;
  if (use_ != Use::kUnknown) StopUnknown("sending and receiving with one buffer group,", group_);
  use_ = use;
  if (use != Use::kReceiving) return;
  for (uint16_t position = head_; position != seen_tail_; ++position) {
    const Buffer& buffer = slots_[position & mask_];
    if (IsNowhere(buffer.address)) continue;
    FillPattern(buffer.address, buffer.length);
    Poison(buffer.address, buffer.length);
  }
}

void BufferGroup::CheckEntry() const {
  const Buffer& buffer = slots_[head_ & mask_];
  const io_uring_buf& entry = entries_[head_ & mask_];
  if (entry.addr != reinterpret_cast<uint64_t>(buffer.address) || entry.len != buffer.length ||
      entry.bid != buffer.id) {
    machine_.Violate("provided-buffer-entry-changed",
                     Name(group_, buffer.id) + ": its entry changed after it was published");
  }
}

HandedBuffer BufferGroup::TakeToSend() {
  ORRERY_CHECK(!empty());
  UseFor(Use::kSending);
  CheckEntry();
  const Buffer& buffer = slots_[head_ & mask_];
  machine_.ledger.HandOver(ranges_by_id_[buffer.id]);
  ++head_;
  return {.address = buffer.address,
          .length = buffer.length,
          .flags = IORING_CQE_F_BUFFER | (uint32_t{buffer.id} << IORING_CQE_BUFFER_SHIFT)};
}

void BufferGroup::Open() {
  ORRERY_CHECK(!empty());
  UseFor(Use::kReceiving);
  CheckEntry();
  const Buffer& buffer = slots_[head_ & mask_];
  ORRERY_CHECK(!IsNowhere(buffer.address));
  Unpoison(buffer.address, buffer.length);
  if (!HoldsPattern(buffer.address, buffer.length)) {
    machine_.Violate("provided-buffer-written",
                     Name(group_, buffer.id) + " was written to while the kernel owned it");
    FillPattern(buffer.address, buffer.length);
  }
}

void BufferGroup::PutBack() {
  const Buffer& buffer = slots_[head_ & mask_];
  Poison(buffer.address, buffer.length);
}

HandedBuffer BufferGroup::HandOver(size_t bytes) {
  Buffer& buffer = slots_[head_ & mask_];
  MemoryLedger::Range& range = ranges_by_id_[buffer.id];
  HandedBuffer handed = {
      .address = buffer.address,
      .length = buffer.length,
      .flags = IORING_CQE_F_BUFFER | (uint32_t{buffer.id} << IORING_CQE_BUFFER_SHIFT)};
  if (incremental_) {
    ORRERY_CHECK(bytes > 0);
    ORRERY_CHECK(bytes <= buffer.length);
    // As io_kbuf_inc_commit() does, in the program's sight.
    handed.length = static_cast<uint32_t>(bytes);
    buffer.address += bytes;
    buffer.length -= handed.length;
    entries_[head_ & mask_].addr += bytes;
    entries_[head_ & mask_].len = buffer.length;
    if (buffer.length > 0) {
      machine_.ledger.MoveBegin(range, reinterpret_cast<uintptr_t>(buffer.address));
      Poison(buffer.address, buffer.length);
      handed.flags |= kBufferMore;
      return handed;
    }
  }
  machine_.ledger.HandOver(range);
  ++head_;
  return handed;
}

}  // namespace orrery::model
