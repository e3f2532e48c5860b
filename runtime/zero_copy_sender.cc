#include "runtime/zero_copy_sender.h"

#include <span>
#include <utility>

#include "base/mark.h"

namespace orrery {

ZeroCopySender::ZeroCopySender(const ZeroCopyOptions& options)
    : options_(options),
      pool_(options.copy_slots, options.copy_bytes),
      slab_(options.slab),
      iovecs_(options.slab.iovecs),
      bodies_(options.slab.guards) {}

std::optional<SlotHandle> ZeroCopySender::Pin(const PendingOutput& output, SlotHandle owner) {
  if (!output.BorrowsNearFront(options_.body_bytes_min, options_.slab.guards,
                               options_.copy_bytes)) {
    return std::nullopt;
  }
  CopyPool::Lease copies = pool_.Take();
  ORRERY_MARK_IF(!copies, "zero-copy.copy-pool-full");
  if (!copies) return std::nullopt;
  const PinnedChunk chunk = output.GatherPinned(iovecs_, bodies_, copies.bytes());
  const std::span<SharedBytes> bodies = std::span(bodies_).first(chunk.bodies);
  std::optional<SlotHandle> pinned;
  // Too few iovecs may end the chunk before the body.
  if (chunk.body_bytes_max >= options_.body_bytes_min) {
    const auto allocation =
        slab_.Allocate(owner, std::span(iovecs_).first(chunk.iovecs), bodies, std::move(copies));
    ORRERY_MARK_IF(!allocation, "zero-copy.slab-full");
    if (allocation) pinned = allocation->handle;
  }
  if (!pinned) {
    for (SharedBytes& body : bodies) body = {};
  }
  return pinned;
}

}  // namespace orrery
