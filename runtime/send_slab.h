// What zero-copy sends need to stay where it is: one slot for each message that is being sent.
//
// A slot pins the message's iovecs, its msghdr, a slot of the copy pool (or none), and the guards:
// owners of the memory behind the iovecs. A message may take several operations, one after the
// other, each continuing where the kernel has stopped; the kernel goes on reading the memory of
// each until it notifies (IORING_CQE_F_NOTIF, io_uring_prep_send_zc(3)).
//
// The life of a slot: Allocate(); then Begin() and Advance() for each operation, until nothing is
// left to send or End() gives the rest up; Notify() for each notification, whenever it comes.
//
// Invariant: a slot is released, and its guards are dropped, exactly once: when its message has
// ended, no operation is in flight and no notification is outstanding. A notification is
// outstanding because an operation's CQE had IORING_CQE_F_MORE, whatever its result (fact Z3). A
// zero-copy send must never be a member of a link: one that is cancelled there is notified of
// without having announced it (fact Z4).
//
// Owned and used by one thread.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/slab.h"
#include "runtime/copy_pool.h"

namespace orrery {

struct SendSlabOptions {
  uint32_t slots = 512;  // Messages at a time, those that only wait for notifications included.
  uint32_t iovecs = 32;  // A slot. At most IOV_MAX, above which the kernel refuses the send.
  uint32_t guards = 8;   // A slot.
};

// `Guard` keeps memory alive until it is dropped: SharedBytes, for example. It is movable, and one
// that was made without arguments keeps nothing.
template <typename Guard>
class SendSlab {
 public:
  struct Allocation {
    SlotHandle handle;
    const msghdr* message;  // Where it is until the slot is released.
  };

  enum class Progress : uint8_t {
    kMore,  // Bytes are left: Begin() again, or End().
    kDone,  // All has been taken; the message has ended.
  };

  explicit SendSlab(const SendSlabOptions& options)
      : options_(options),
        slots_(options.slots),
        iovecs_(size_t{options.slots} * options.iovecs),
        guards_(size_t{options.slots} * options.guards) {}
  SendSlab(const SendSlab&) = delete;
  SendSlab& operator=(const SendSlab&) = delete;
  ~SendSlab() {
    ORRERY_CHECK_MSG(slots_.size() == 0, "a send slab died while the kernel may read what it pins");
  }

  // Pins a message of `owner`'s, whatever that is to the caller. Nothing when the slab is full:
  // then `guards` and `copies` are the caller's as before; otherwise they have been moved from.
  // REQUIRES: as many iovecs and guards as a slot has, at most; no iovec is empty, and there is
  // one.
  std::optional<Allocation> Allocate(SlotHandle owner, std::span<const iovec> iovecs,
                                     std::span<Guard> guards, CopyPool::Lease&& copies) {
    ORRERY_CHECK(!iovecs.empty());
    ORRERY_CHECK_OP(iovecs.size(), <=, options_.iovecs);
    ORRERY_CHECK_OP(guards.size(), <=, options_.guards);
    Slot* slot = slots_.Allocate(owner);
    if (slot == nullptr) return std::nullopt;
    iovec* const pinned = &iovecs_[size_t{slot->handle.index} * options_.iovecs];
    std::copy(iovecs.begin(), iovecs.end(), pinned);
    for (const iovec& part : iovecs) {
      ORRERY_CHECK(part.iov_len > 0);
      slot->total_bytes += part.iov_len;
    }
    slot->left_bytes = slot->total_bytes;
    slot->message.msg_iov = pinned;
    slot->message.msg_iovlen = iovecs.size();
    std::move(guards.begin(), guards.end(), GuardsOf(*slot).begin());
    slot->copies = std::move(copies);
    return Allocation{.handle = slot->handle, .message = &slot->message};
  }

  // An operation that sends what is left of the message is submitted. REQUIRES: `handle` names a
  // slot whose message has not ended and that has no operation in flight.
  const msghdr& Begin(SlotHandle handle) {
    Slot& slot = Get(handle);
    ORRERY_CHECK(!slot.ended);
    ORRERY_CHECK(!slot.in_flight);
    slot.in_flight = true;
    ++operations_;
    return slot.message;
  }

  // The CQE of the operation in flight: the kernel took `bytes` (0 for an error), and has announced
  // a notification or not. REQUIRES: no more than were left.
  Progress Advance(SlotHandle handle, size_t bytes, bool notification_follows) {
    Slot& slot = Get(handle);
    ORRERY_CHECK(slot.in_flight);
    slot.in_flight = false;
    --operations_;
    if (notification_follows) {
      ++slot.notifications;
      ++notifications_;
    }
    ORRERY_CHECK_OP(bytes, <=, slot.left_bytes);
    slot.left_bytes -= bytes;
    SkipFront(slot.message, bytes);
    if (slot.left_bytes > 0) return Progress::kMore;
    End(handle);
    return Progress::kDone;
  }

  // Nothing more of the message will be sent. REQUIRES: no operation is in flight.
  void End(SlotHandle handle) {
    Slot& slot = Get(handle);
    ORRERY_CHECK(!slot.in_flight);
    slot.ended = true;
    ReleaseIfOver(slot);
  }

  // A notification. One that nobody waits for is counted and dropped.
  void Notify(SlotHandle handle) {
    Slot* slot = slots_.Find(handle);
    if (slot == nullptr || slot->notifications == 0) {
      ++late_notifications_;
      return;
    }
    --slot->notifications;
    --notifications_;
    ReleaseIfOver(*slot);
  }

  // Whose the message is; nothing when the handle is stale.
  std::optional<SlotHandle> OwnerOf(SlotHandle handle) {
    const Slot* slot = slots_.Find(handle);
    if (slot == nullptr) return std::nullopt;
    return slot->owner;
  }

  // Bytes of the whole message, sent or not.
  size_t total_length(SlotHandle handle) { return Get(handle).total_bytes; }

  // Whether the kernel may still read what is pinned here.
  bool has_in_flight() const { return operations_ + notifications_ > 0; }
  // Slots that are not released.
  uint32_t size() const { return slots_.size(); }
  uint64_t late_notifications() const { return late_notifications_; }

 private:
  struct Slot {
    Slot(SlotHandle its_handle, SlotHandle its_owner) : handle(its_handle), owner(its_owner) {}

    SlotHandle handle;
    SlotHandle owner;
    msghdr message = {};
    size_t total_bytes = 0;
    size_t left_bytes = 0;
    uint32_t notifications = 0;  // Announced, and not there.
    bool in_flight = false;
    bool ended = false;
    CopyPool::Lease copies;
  };

  Slot& Get(SlotHandle handle) {
    Slot* slot = slots_.Find(handle);
    ORRERY_CHECK_MSG(slot != nullptr, "a send slot was used after its release");
    return *slot;
  }

  std::span<Guard> GuardsOf(const Slot& slot) {
    return std::span(guards_).subspan(size_t{slot.handle.index} * options_.guards, options_.guards);
  }

  // The kernel has its own copy of the iovecs of earlier operations (IORING_FEAT_SUBMIT_STABLE).
  static void SkipFront(msghdr& message, size_t bytes) {
    while (bytes > 0) {
      iovec& front = *message.msg_iov;
      const size_t part = std::min(bytes, front.iov_len);
      front.iov_base = static_cast<char*>(front.iov_base) + part;
      front.iov_len -= part;
      bytes -= part;
      if (front.iov_len > 0) return;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
  }

  void ReleaseIfOver(Slot& slot) {
    if (!slot.ended || slot.in_flight || slot.notifications > 0) return;
    for (Guard& guard : GuardsOf(slot)) guard = Guard();
    slots_.Release(slot.handle);
  }

  SendSlabOptions options_;
  Slab<Slot> slots_;
  // By the slot's index.
  std::vector<iovec> iovecs_;
  std::vector<Guard> guards_;
  uint32_t operations_ = 0;
  uint32_t notifications_ = 0;
  uint64_t late_notifications_ = 0;
};

}  // namespace orrery
