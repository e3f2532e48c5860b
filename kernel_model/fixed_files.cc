// Fixed files: filling slots by number or by allocation, and FILES_UPDATE.
#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {

int32_t RingCore::InstallFixed(OpenFile& file, uint32_t file_index) {
  int32_t result = 0;
  size_t slot = file_index - size_t{1};
  if (file_index == IORING_FILE_INDEX_ALLOC) {
    const std::optional<size_t> free =
        fixed_files.has_value() ? fixed_files->Allocate() : std::nullopt;
    slot = free.value_or(0);
    result = free.has_value() ? static_cast<int32_t>(slot) : -ENFILE;
  } else if (!fixed_files.has_value()) {
    result = -ENXIO;
  } else if (slot >= fixed_files->size()) {
    result = -EINVAL;
  }
  if (result < 0) {
    machine.DropReference(file);  // Fact A10: what was to be installed is lost.
    return result;
  }
  if (OpenFile* const old = fixed_files->Replace(slot, &file)) machine.DropReference(*old);
  return result;
}

int32_t RingCore::UpdateSlots(uint64_t offset, const int* numbers, unsigned count) {
  if (!fixed_files.has_value()) return -ENXIO;
  if (offset + count > fixed_files->size()) return -EINVAL;
  if (numbers == nullptr) return -EFAULT;
  for (unsigned done = 0; done < count; ++done) {
    int fd;
    std::memcpy(&fd, numbers + done, sizeof fd);
    if (fd == IORING_REGISTER_FILES_SKIP) continue;
    // __io_sqe_files_update() empties the slot before it looks at the new descriptor.
    const size_t slot = offset + done;
    if (OpenFile* const old = fixed_files->Replace(slot, nullptr)) machine.DropReference(*old);
    if (fd == -1) continue;
    OpenFile* const file = machine.descriptors.Find(fd);
    if (file == nullptr || file->kind == FileKind::kRing) {
      return done > 0 ? static_cast<int32_t>(done) : -EBADF;
    }
    machine.AddReference(*file);
    fixed_files->Replace(slot, file);
  }
  return static_cast<int32_t>(count);
}

namespace {

// io_files_update_with_index_alloc(): the slots come back in the array.
int32_t AllocateSlots(RingCore& ring, int* numbers, unsigned count) {
  if (!ring.fixed_files.has_value()) return -ENXIO;
  for (unsigned done = 0; done < count; ++done) {
    int fd;
    std::memcpy(&fd, numbers + done, sizeof fd);
    OpenFile* const file = ring.machine.descriptors.Find(fd);
    int32_t slot = -EBADF;
    if (file != nullptr && file->kind != FileKind::kRing) {
      ring.machine.AddReference(*file);
      slot = ring.InstallFixed(*file, IORING_FILE_INDEX_ALLOC);
    }
    if (slot < 0) return done > 0 ? static_cast<int32_t>(done) : slot;
    std::memcpy(numbers + done, &slot, sizeof slot);
  }
  return static_cast<int32_t>(count);
}

}  // namespace

Attempt TryFilesUpdate(RingCore& ring, Request& request) {
  int* const numbers = static_cast<int*>(request.address);
  if (request.offset == IORING_FILE_INDEX_ALLOC) {
    return Attempt::Done(AllocateSlots(ring, numbers, request.length));
  }
  return Attempt::Done(ring.UpdateSlots(request.offset, numbers, request.length));
}

}  // namespace orrery::model
