// What a device may name: files, each with a range and a direction, and pieces of registered
// memory. Nothing else: no descriptor, no address.
//
// A handle is a number of the host's choice: kind, generation and index, so that one which was
// withdrawn, or of the other kind, is answered with EBADF and never taken for another. (Generations
// wrap after half a million registrations of one place.)
//
// Handles are added and withdrawn while the loop runs, on any thread. One that is withdrawn is
// refused at once; the requests that use it go on, and what it names is let go of by the last.
// Invariant: while a request uses a handle, its file is open and its memory is the kernel's.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <mutex>
#include <span>
#include <vector>

#include "base/errno.h"
#include "runtime/device/slot_queue.h"
#include "runtime/loop/shared_file.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {

// Of a file: which bytes, and to do what.
struct SourceLimits {
  uint64_t begin = 0;
  uint64_t end = INT64_MAX;  // Of offsets as the kernel knows them.
  bool may_read = true;
  bool may_write = false;
};

class DeviceHandles {
 public:
  // Of each kind.
  static constexpr uint32_t kHandlesMax = 4096;

  // `regions`: the memory that is registered, which outlives this.
  explicit DeviceHandles(std::vector<std::span<std::byte>> regions);
  DeviceHandles(const DeviceHandles&) = delete;
  DeviceHandles& operator=(const DeviceHandles&) = delete;

  const std::vector<std::span<std::byte>>& regions() const { return regions_; }

  // --- For whoever decides what the device may do, on any thread.

  // A regular file or a block device. It stays open until the handle is withdrawn and unused.
  // EINVAL: limits that allow nothing, or offsets beyond INT64_MAX. ENOSPC: kHandlesMax of them.
  std::expected<uint32_t, Errno> AddSource(SharedFile file, const SourceLimits& limits);
  // `bytes` bytes of a region from `offset` on. ERANGE: it does not have them. EINVAL: none, or
  // more than a request can ask for. ENOSPC as above.
  std::expected<uint32_t, Errno> AddDestination(size_t region, uint64_t offset, uint64_t bytes);

  // Nothing new can use it. EBADF: it is no handle, any more.
  std::expected<void, Errno> Withdraw(uint32_t handle);
  // Whether requests use it. Of one that was withdrawn: false for ever, once it is false.
  bool InUse(uint32_t handle) const;
  // Waits until no request uses one that was withdrawn. False: the loop has ended, and the kernel
  // still has what the handle names, for ever.
  [[nodiscard]] bool AwaitUnused(uint32_t handle) const;

  // --- For the loop.

  // What a READ or WRITE is about, and in use until Release().
  struct Target {
    int descriptor = -1;
    FixedBuffer memory;
    uint32_t source = 0;
    uint32_t destination = 0;
  };
  // EBADF, EACCES, ERANGE: as device_queue.h says. REQUIRES: the operation is READ or WRITE.
  std::expected<Target, Errno> Acquire(const DeviceRequest& request);
  void Release(const Target& target);
  // What is in use now is so for ever.
  void LoopEnded();

 private:
  struct Entry {
    uint32_t generation = 1;
    bool live = false;
    bool withdrawn = false;
    uint32_t uses = 0;
    // A source,
    SharedFile file;
    SourceLimits limits;
    // or a destination.
    FixedBuffer memory;
  };
  // Entries of one kind.
  struct Table {
    std::vector<Entry> entries;
    std::vector<uint32_t> free;
  };

  static constexpr uint32_t kIndexBits = 12;
  static constexpr uint32_t kKindBit = uint32_t{1} << 31;
  static constexpr uint32_t kGenerationMax = (uint32_t{1} << (31 - kIndexBits)) - 1;
  static_assert(kHandlesMax <= uint32_t{1} << kIndexBits);

  // Those below want the mutex.
  std::expected<uint32_t, Errno> Add(Table& table, uint32_t kind, Entry entry);
  // Null: it is none, of that kind.
  Entry* Find(Table& table, uint32_t kind, uint32_t handle);
  Entry* Find(uint32_t handle);
  bool Uses(uint32_t handle) const;
  void DropUse(uint32_t handle);
  void Free(uint32_t handle, Entry& entry);

  const std::vector<std::span<std::byte>> regions_;
  mutable std::mutex mutex_;
  mutable std::condition_variable unused_;
  Table sources_;
  Table destinations_;
  bool loop_ended_ = false;
};

}  // namespace orrery
