// The part of the send path that lets the kernel read stored values where they are.
//
// Pin() decides whether the front of a connection's output is worth a zero-copy send, and if so
// pins it in a slot of the send slab: bodies by reference, the short copied bytes around them in a
// slot of the copy pool. The output is advanced by the reactor as for any other send; what is
// pinned stays until the kernel has notified.
//
// Invariant: what Pin() describes is the front of the output, byte for byte, in its order. Owned by
// a reactor; used by its thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/shared_bytes.h"
#include "base/slab.h"
#include "runtime/copy_pool.h"
#include "runtime/pending_output.h"
#include "runtime/send_slab.h"

namespace orrery {

struct ZeroCopyOptions {
  static constexpr size_t kNever = std::numeric_limits<size_t>::max();

  // Replies with a borrowed body of this size or more go out by zero-copy sends. kNever: none do.
  // On loopback they never pay (docs/decisions/0010-zero-copy-is-off.md).
  size_t body_bytes_min = kNever;
  SendSlabOptions slab = {};
  uint32_t copy_slots = 512;
  // A slot holds the protocol's bytes between the bodies of a message, not replies.
  size_t copy_bytes = 512;
};

class ZeroCopySender {
 public:
  using Slab = SendSlab<SharedBytes>;

  explicit ZeroCopySender(const ZeroCopyOptions& options);
  ZeroCopySender(const ZeroCopySender&) = delete;
  ZeroCopySender& operator=(const ZeroCopySender&) = delete;

  // Pins a message for `owner`. Nothing when no large body is near the front of `output`, or when
  // the slab or the copy pool is full: then the front is to be sent as it ever was.
  std::optional<SlotHandle> Pin(const PendingOutput& output, SlotHandle owner);

  // A plain chunk ends before a body of this size, so that Pin() finds it at the front.
  size_t body_bytes_min() const { return options_.body_bytes_min; }

  Slab& slab() { return slab_; }
  const Slab& slab() const { return slab_; }

 private:
  ZeroCopyOptions options_;
  CopyPool pool_;  // Outlives the leases in the slab.
  Slab slab_;
  // A message while it is put together.
  std::vector<iovec> iovecs_;
  std::vector<SharedBytes> bodies_;
};

}  // namespace orrery
