#include "runtime/registered_buffers.h"

#include <sys/uio.h>

#include "base/check.h"

namespace orrery {

std::expected<std::unique_ptr<RegisteredBuffers>, Errno> RegisteredBuffers::Create(
    Ring& ring, std::span<const std::span<std::byte>> regions) {
  ORRERY_CHECK(!regions.empty());
  ORRERY_CHECK_OP(regions.size(), <=, kRegionsMax);
  std::unique_ptr<RegisteredBuffers> buffers(new RegisteredBuffers(ring));
  std::vector<iovec> iovecs;
  for (const std::span<std::byte> region : regions) {
    iovecs.push_back({.iov_base = region.data(), .iov_len = region.size()});
  }
  const auto registered =
      ring.Register(IORING_REGISTER_BUFFERS, iovecs.data(), static_cast<unsigned>(iovecs.size()));
  if (!registered) return std::unexpected(registered.error());
  for (const std::span<std::byte> region : regions) buffers->regions_.push_back({.memory = region});
  return buffers;
}

RegisteredBuffers::~RegisteredBuffers() {
  for (const Region& region : regions_) {
    ORRERY_CHECK_MSG(region.pins == 0, "a registered region is still in use");
  }
  // Empty when registering has failed: then there is nothing to undo.
  if (!regions_.empty()) (void)ring_.Register(IORING_UNREGISTER_BUFFERS, nullptr, 0);
}

std::optional<FixedBuffer> RegisteredBuffers::Part(uint64_t region, uint64_t offset,
                                                   uint64_t bytes) const {
  if (region >= regions_.size()) return std::nullopt;
  const std::span<std::byte> memory = regions_[region].memory;
  // Neither sum nor difference can overflow this way.
  if (offset > memory.size() || bytes > memory.size() - offset) return std::nullopt;
  return FixedBuffer{.bytes = memory.subspan(offset, bytes),
                     .region = static_cast<uint16_t>(region)};
}

RegisteredBuffers::Pin RegisteredBuffers::PinRegion(size_t region) {
  ORRERY_CHECK_OP(region, <, regions_.size());
  return Pin(regions_[region].pins);
}

}  // namespace orrery
