// What must be in the files, in the memory and in the answers of a device loop's world: kept apart
// from the loop, from what was asked and answered alone.
//
// Files and memory are mirrored byte by byte. Where an answer does not say what became of bytes (a
// write that failed, two that overlap), they are not known, until a later answer says so.
// Invariant: memory outside of what READs that are not answered may write equals the mirror.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/errno.h"
#include "runtime/device/handles.h"
#include "runtime/device/slot_queue.h"
#include "runtime/loop/shared_file.h"
#include "sim/event_log.h"

namespace orrery::scenarios {

// A byte of a file as it is made.
std::byte DeviceFileByte(size_t file, uint64_t offset);

class DeviceOracle {
 public:
  // Places for destinations: as many in each of two regions as fit, with gaps that belong to
  // nobody.
  static constexpr size_t kPlaces = 16;

  DeviceOracle(sim::EventLog& log, SlotQueue queue, uint64_t place_bytes);

  std::vector<std::span<std::byte>> regions();

  // The disk may fail for what is asked from now on.
  bool faults = true;
  // What may end requests besides.
  bool stopped = false;
  std::optional<Errno> ring_error;
  // A slot was taken away and published anew: the loop no longer claims in the device's order.
  bool order_known = true;

  // --- What the host does.
  void AddFile(SharedFile file, uint64_t bytes);
  size_t files() const { return files_.size(); }
  const SharedFile& file(size_t file) const { return files_[file].file; }
  uint64_t file_bytes(size_t file) const { return files_[file].content.size(); }
  void AddSource(uint32_t handle, size_t file, const SourceLimits& limits);
  void AddDestination(uint32_t handle, size_t place, uint64_t bytes);
  // Where a place is: its region, and where it begins there.
  size_t RegionOf(size_t place) const { return place % 2; }
  uint64_t OffsetOf(size_t place) const;
  uint64_t place_bytes() const { return place_bytes_; }
  // By their order; modulo those that there are, 0 if there are none.
  uint32_t SourceNumber(uint64_t which) const;
  uint32_t DestinationNumber(uint64_t which) const;
  void Withdrawn(uint32_t handle);
  // Nobody uses it any more, the loop says.
  void Gone(uint32_t handle);

  // --- What the device does.
  // Whether no other request may be using the memory that this one names. Of one that will be
  // refused: true.
  bool MayAsk(const DeviceRequest& request) const;
  // Before it is published; the memory of a WRITE is filled.
  void Ask(uint64_t number, const DeviceRequest& request, Nanoseconds now);
  // Its slot was tampered with: nothing is known of what becomes of it.
  void Spoil(uint64_t number);
  // The answer is there, and is taken.
  void Answer(uint64_t number, DeviceResult result);
  // Requests without an answer, by number.
  struct Asked {
    DeviceRequest request;
    Nanoseconds asked_at = 0;
    uint64_t clock = 0;
    // What the rules say; 0: nothing speaks against it.
    uint32_t error = 0;
    bool faults = false;  // The disk may have failed.
    bool may_be_withdrawn = false;
    bool spoiled = false;
    bool fence_seen = false;
    bool overlapped = false;  // A WRITE: by another one.
    bool opens = false;       // A READ that may be writing to its memory.
    std::vector<std::byte> payload;
  };
  const std::map<uint64_t, Asked>& asked() const { return asked_; }
  bool AllAnswered() const;

  // --- Checks.
  // No FENCE is complete while a request before it is not.
  void CheckFences();
  // Nothing was written where nothing may be.
  void CheckMemory();
  // The loop has ended, and left `lost` requests claimed.
  void CheckEnd(uint64_t lost);
  // What a file has now.
  void CheckFile(size_t file, std::span<const std::byte> content);

 private:
  struct File {
    SharedFile file;
    std::vector<std::byte> content;
    std::vector<bool> known;
    // Of each byte: the clock when it last changed, or may have.
    std::vector<uint64_t> changed_at;
  };
  struct Source {
    uint32_t handle = 0;
    size_t file = 0;
    SourceLimits limits;
    bool withdrawn = false;
  };
  struct Destination {
    uint32_t handle = 0;
    size_t place = 0;
    uint64_t bytes = 0;
    bool withdrawn = false;
  };

  const Source* FindSource(uint32_t handle) const;
  const Destination* FindDestination(uint32_t handle) const;
  // By the rules of device_queue.h, in their order.
  uint32_t ErrorOf(const DeviceRequest& request) const;
  bool Names(const Asked& asked, uint32_t handle) const;
  // Of a file that a request names, or has named.
  File& FileOf(const DeviceRequest& request);
  // Its part of `memory`, which is memory_ or mirror_.
  std::span<std::byte> PartOf(const DeviceRequest& request,
                              std::vector<std::vector<std::byte>>& memory);
  size_t PlaceOf(uint32_t destination) const;
  void BeginWrite(uint64_t number, Asked& asked);
  void CheckError(uint64_t number, const Asked& asked, uint32_t error);
  void CheckRead(uint64_t number, const Asked& asked, uint32_t bytes);
  void NoteWritten(uint64_t number, const Asked& asked, uint32_t bytes);
  uint32_t StatusOf(uint64_t number) const { return queue_.status(queue_.IndexOf(number)); }
  void Fail(uint64_t number, std::string_view invariant, const std::string& detail);

  sim::EventLog& log_;
  SlotQueue queue_;
  const uint64_t place_bytes_;
  uint64_t clock_ = 0;
  std::vector<File> files_;
  std::vector<Source> sources_;
  std::vector<Destination> destinations_;
  std::vector<std::vector<std::byte>> memory_;  // By region,
  std::vector<std::vector<std::byte>> mirror_;
  std::map<uint64_t, Asked> asked_;
};

}  // namespace orrery::scenarios
