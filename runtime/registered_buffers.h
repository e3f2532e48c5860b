// Regions of memory that are registered with a ring once, so that reads and writes of parts of them
// pin nothing (IORING_REGISTER_BUFFERS, io_uring_register(2)).
//
// A part is named by its region, an offset and a length, which may come from anybody: Part() checks
// them, and nothing outside of a region is ever submitted. The kernel would refuse it, too
// (EFAULT), but only when the request runs.
//
// The memory stays its owner's, and must live until this is destroyed. Invariant: while a pin of a
// region exists, somebody may still read or write it; it must be gone before this is. Used by the
// ring's thread; must be destroyed before its Ring and after the last operation on a region.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/errno.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {

class RegisteredBuffers {
 public:
  static constexpr size_t kRegionsMax = 1 << 14;

  // Keeps a region in use. A guard of the send slab, for example.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept : pins_(std::exchange(other.pins_, nullptr)) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(pins_, other.pins_);
      return *this;
    }
    ~Pin() {
      if (pins_ != nullptr) --*pins_;
    }

   private:
    friend class RegisteredBuffers;
    explicit Pin(uint32_t& pins) : pins_(&pins) { ++pins; }

    uint32_t* pins_ = nullptr;
  };

  // Registers one table for the ring. Errors are the kernel's: EBUSY: it has one; EFAULT: an empty
  // region, or one of more than 1 GiB; ENOMEM: more than may be locked. REQUIRES: kRegionsMax
  // regions at most, and one.
  static std::expected<std::unique_ptr<RegisteredBuffers>, Errno> Create(
      Ring& ring, std::span<const std::span<std::byte>> regions);
  RegisteredBuffers(const RegisteredBuffers&) = delete;
  RegisteredBuffers& operator=(const RegisteredBuffers&) = delete;
  ~RegisteredBuffers();

  size_t regions() const { return regions_.size(); }

  // `bytes` bytes of region `region` from `offset` on, for SubmissionQueue's ReadFixed() and
  // WriteFixed(). Nothing when there is no such region, or it does not have them all.
  std::optional<FixedBuffer> Part(uint64_t region, uint64_t offset, uint64_t bytes) const;

  // REQUIRES: there is such a region.
  Pin PinRegion(size_t region);
  // Pins of the region that are left. REQUIRES: there is such a region.
  uint32_t pins(size_t region) const { return regions_.at(region).pins; }

 private:
  struct Region {
    std::span<std::byte> memory;
    uint32_t pins = 0;
  };

  explicit RegisteredBuffers(Ring& ring) : ring_(ring) {}

  Ring& ring_;
  std::vector<Region> regions_;  // Never resized once pins exist.
};

}  // namespace orrery
