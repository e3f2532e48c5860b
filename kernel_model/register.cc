// io_uring_register(2): what there is to register, and all of it that has no file of its own.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "kernel_model/operations.h"
#include "kernel_model/ring_core.h"

namespace orrery::model {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint16_t kBuffersIncremental = 2;     // IOU_PBUF_RING_INC
constexpr unsigned kRegisterBufferStatus = 26;  // IORING_REGISTER_PBUF_STATUS

struct BufferStatus {  // io_uring_buf_status
  uint32_t group = 0;
  uint32_t head = 0;
  uint32_t reserved[8] = {};
};

std::unexpected<Errno> Fail(int error) { return std::unexpected(Errno(error)); }

}  // namespace

std::expected<unsigned, Errno> RingCore::Register(unsigned opcode, const void* argument,
                                                  unsigned count) {
  if (!is_issuer()) return Fail(EEXIST);  // Fact S7.
  switch (opcode) {
    case IORING_REGISTER_ENABLE_RINGS:
      return Enable(argument, count);
    case IORING_REGISTER_EVENTFD:
      return RegisterEventFd(argument, count);
    case IORING_UNREGISTER_EVENTFD:
      return UnregisterEventFd(argument, count);
    case IORING_REGISTER_PBUF_RING:
      return RegisterBufferRing(argument, count);
    case IORING_UNREGISTER_PBUF_RING:
      return UnregisterBufferRing(argument, count);
    case kRegisterBufferStatus:
      return ReportBuffers(argument, count);
    case IORING_REGISTER_BUFFERS:
      if (argument == nullptr) return Fail(EFAULT);
      return RegisterBuffers(argument, count);
    case IORING_REGISTER_BUFFERS2:
      return RegisterBufferTable(argument, count);
    case IORING_REGISTER_BUFFERS_UPDATE:
      return UpdateBuffers(argument, count);
    case IORING_UNREGISTER_BUFFERS:
      return UnregisterBuffers(argument, count);
    case IORING_REGISTER_FILES:
      if (argument == nullptr) return Fail(EFAULT);
      return RegisterFiles(argument, count);
    case IORING_REGISTER_FILES2:
      return RegisterFileTable(argument, count);
    case IORING_REGISTER_FILES_UPDATE:
      return UpdateFiles(argument, count);
    case IORING_REGISTER_FILE_ALLOC_RANGE:
      return SetAllocationRange(argument, count);
    case IORING_UNREGISTER_FILES:
      return UnregisterFiles(argument, count);
    case IORING_REGISTER_PROBE:
      return Probe(argument, count);
    case IORING_REGISTER_SYNC_CANCEL:
      return CancelNow(argument, count);
    default:
      StopUnknown("register opcode", opcode);
  }
}

std::expected<unsigned, Errno> RingCore::Enable(const void* argument, unsigned count) {
  if (argument != nullptr || count != 0) return Fail(EINVAL);
  if (!disabled_) return Fail(EBADFD);
  disabled_ = false;
  if ((memory_.flags & IORING_SETUP_SINGLE_ISSUER) != 0) issuer_ = machine.thread;  // Fact S6.
  return 0;
}

std::expected<unsigned, Errno> RingCore::RegisterEventFd(const void* argument, unsigned count) {
  if (count != 1) return Fail(EINVAL);
  if (event_fd_ != nullptr) return Fail(EBUSY);
  if (argument == nullptr) return Fail(EFAULT);
  int fd = -1;
  std::memcpy(&fd, argument, sizeof fd);
  OpenFile* const event_fd = machine.descriptors.Find(fd);
  if (event_fd == nullptr) return Fail(EBADF);
  if (event_fd->kind != FileKind::kEventFd) return Fail(EINVAL);
  machine.AddReference(*event_fd);
  event_fd_ = event_fd;
  announced_ = completions.written();
  return 0;
}

std::expected<unsigned, Errno> RingCore::UnregisterEventFd(const void* argument, unsigned count) {
  if (argument != nullptr || count != 0) return Fail(EINVAL);
  if (event_fd_ == nullptr) return Fail(ENXIO);
  machine.DropReference(*std::exchange(event_fd_, nullptr));
  return 0;
}

std::expected<unsigned, Errno> RingCore::RegisterBufferRing(const void* argument, unsigned count) {
  if (argument == nullptr || count != 1) return Fail(EINVAL);
  io_uring_buf_reg request;
  std::memcpy(&request, argument, sizeof request);
  if ((request.pad & ~kBuffersIncremental) != 0) StopUnknown("buffer ring flags", request.pad);
  for (const uint64_t reserved : request.resv) {
    if (reserved != 0) return Fail(EINVAL);
  }
  if (!std::has_single_bit(request.ring_entries) ||
      request.ring_entries > BufferGroup::kEntriesMax) {
    return Fail(EINVAL);
  }
  if (FindGroup(request.bgid) != nullptr) return Fail(EEXIST);
  if (request.ring_addr == 0) return Fail(EFAULT);
  if (request.ring_addr % kPageBytes != 0) return Fail(EINVAL);
  // The ABI carries pointers as 64-bit integers.
  auto* const entries = reinterpret_cast<io_uring_buf*>(request.ring_addr);
  groups_[request.bgid] =
      std::make_unique<BufferGroup>(machine, request.bgid, entries, request.ring_entries,
                                    (request.pad & kBuffersIncremental) != 0);
  return 0;
}

std::expected<unsigned, Errno> RingCore::UnregisterBufferRing(const void* argument,
                                                              unsigned count) {
  if (argument == nullptr || count != 1) return Fail(EINVAL);
  io_uring_buf_reg request;
  std::memcpy(&request, argument, sizeof request);
  for (const uint64_t reserved : request.resv) {
    if (reserved != 0) return Fail(EINVAL);
  }
  BufferGroup* const group = FindGroup(request.bgid);
  if (group == nullptr) return Fail(ENOENT);
  group->Look();  // A last look at what the program did with it.
  groups_.erase(request.bgid);
  return 0;
}

std::expected<unsigned, Errno> RingCore::ReportBuffers(const void* argument, unsigned count) {
  if (argument == nullptr || count != 1) return Fail(EINVAL);
  BufferStatus status;
  std::memcpy(&status, argument, sizeof status);
  for (const uint32_t reserved : status.reserved) {
    if (reserved != 0) return Fail(EINVAL);
  }
  BufferGroup* const group = FindGroup(static_cast<uint16_t>(status.group));
  if (group == nullptr) return Fail(ENOENT);
  status.head = group->head();
  // The kernel writes where it reads; register calls hand all arguments over as constants.
  std::memcpy(const_cast<void*>(argument), &status, sizeof status);
  return 0;
}

std::expected<unsigned, Errno> RingCore::RegisterFileTable(const void* argument, unsigned count) {
  io_uring_rsrc_register request;
  if (argument == nullptr || count != sizeof request) return Fail(EINVAL);
  std::memcpy(&request, argument, sizeof request);
  if (request.nr == 0 || request.resv2 != 0) return Fail(EINVAL);
  if ((request.flags & ~IORING_RSRC_REGISTER_SPARSE) != 0) {
    StopUnknown("file table flags", request.flags);
  }
  const bool sparse = (request.flags & IORING_RSRC_REGISTER_SPARSE) != 0;
  if (sparse && request.data != 0) return Fail(EINVAL);
  if (request.tags != 0) StopUnknown("tags of fixed files, at", request.tags);
  // The ABI carries pointers as 64-bit integers.
  return RegisterFiles(reinterpret_cast<const void*>(request.data), request.nr);
}

std::expected<unsigned, Errno> RingCore::RegisterFiles(const void* numbers, unsigned count) {
  if (fixed_files.has_value()) return Fail(EBUSY);
  if (count == 0) return Fail(EINVAL);
  if (count > machine.options.descriptors_max) return Fail(EMFILE);
  fixed_files.emplace(count);
  if (numbers == nullptr) return 0;
  const auto* const fds = static_cast<const int*>(numbers);
  for (unsigned slot = 0; slot < count; ++slot) {
    if (fds[slot] == -1) continue;
    OpenFile* const file = machine.descriptors.Find(fds[slot]);
    if (file == nullptr || file->kind == FileKind::kRing) {  // All or none (fact F1).
      (void)UnregisterFiles(nullptr, 0);
      return Fail(EBADF);
    }
    machine.AddReference(*file);
    fixed_files->Replace(slot, file);
  }
  fixed_files->SetRange(0, count);
  return 0;
}

std::expected<unsigned, Errno> RingCore::Probe(const void* argument, unsigned count) {
  // Written where it was read, as in ReportBuffers().
  auto* const probe = static_cast<io_uring_probe*>(const_cast<void*>(argument));
  if (count > 256) return Fail(EINVAL);
  if (probe == nullptr) return Fail(EFAULT);
  count = std::min(count, kOpcodes);
  // All of it must be empty.
  const auto* const bytes = reinterpret_cast<const std::byte*>(probe);
  const size_t size = sizeof *probe + count * sizeof(io_uring_probe_op);
  if (std::any_of(bytes, bytes + size, [](std::byte byte) { return byte != std::byte{0}; })) {
    return Fail(EINVAL);
  }
  probe->last_op = kOpcodes - 1;
  probe->ops_len = static_cast<uint8_t>(count);
  auto* const operations = reinterpret_cast<io_uring_probe_op*>(probe + 1);
  for (unsigned opcode = 0; opcode < count; ++opcode) {
    operations[opcode].op = static_cast<uint8_t>(opcode);
    // What the model does not know stops the run when it is used, as everywhere.
    operations[opcode].flags = IO_URING_OP_SUPPORTED;
  }
  return 0;
}

std::expected<unsigned, Errno> RingCore::UpdateFiles(const void* argument, unsigned count) {
  if (count == 0) return Fail(EINVAL);
  if (argument == nullptr) return Fail(EFAULT);
  io_uring_files_update request;
  std::memcpy(&request, argument, sizeof request);
  if (request.resv != 0) return Fail(EINVAL);
  // The ABI carries pointers as 64-bit integers.
  const int32_t done =
      UpdateSlots(request.offset, reinterpret_cast<const int*>(request.fds), count);
  if (done < 0) return Fail(-done);
  return static_cast<unsigned>(done);
}

std::expected<unsigned, Errno> RingCore::SetAllocationRange(const void* argument, unsigned count) {
  if (argument == nullptr || count != 0) return Fail(EINVAL);
  io_uring_file_index_range range;
  std::memcpy(&range, argument, sizeof range);
  if (range.resv != 0) return Fail(EINVAL);
  const size_t slots = fixed_files.has_value() ? fixed_files->size() : 0;
  const uint64_t end = uint64_t{range.off} + range.len;
  if (end > UINT32_MAX) return Fail(EOVERFLOW);
  if (end > slots) return Fail(EINVAL);
  if (fixed_files.has_value()) fixed_files->SetRange(range.off, end);
  return 0;
}

std::expected<unsigned, Errno> RingCore::UnregisterFiles(const void* argument, unsigned count) {
  if (argument != nullptr || count != 0) return Fail(EINVAL);
  if (!fixed_files.has_value()) return Fail(ENXIO);
  const FixedFileTable files = std::move(*fixed_files);
  fixed_files.reset();
  for (OpenFile* file : files) {
    if (file != nullptr) machine.DropReference(*file);
  }
  return 0;
}

}  // namespace orrery::model
