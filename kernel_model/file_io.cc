// READ, READV, WRITE, WRITEV, FSYNC, FALLOCATE and FTRUNCATE of files. Which of them runs inline
// and which on a worker: fact Y8.
#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr uint8_t kFtruncate = 55;  // IORING_OP_FTRUNCATE
constexpr uint64_t kCurrentPosition = ~uint64_t{0};
constexpr uint32_t kRwfDsync = 2;
constexpr uint32_t kRwfSync = 4;
constexpr uint32_t kRwfLast = 1U << 8;  // The highest that 6.18 knows.
// What direct I/O must be aligned to. It depends on the device: ext4 on 512-byte sectors.
constexpr size_t kDirectAlignment = 512;

bool IsRead(const Request& request) {
  return request.opcode == IORING_OP_READ || request.opcode == IORING_OP_READV ||
         request.opcode == IORING_OP_READ_FIXED || request.opcode == kOpReadvFixed;
}

bool IsTransfer(const Request& request) {
  return IsRead(request) || request.opcode == IORING_OP_WRITE ||
         request.opcode == IORING_OP_WRITEV || request.opcode == IORING_OP_WRITE_FIXED ||
         request.opcode == kOpWritevFixed;
}

bool MayRead(const OpenFile& file) { return (file.open_flags & O_ACCMODE) != O_WRONLY; }
bool MayWrite(const OpenFile& file) { return (file.open_flags & O_ACCMODE) != O_RDONLY; }

// io_rw_init_file(): what is refused at once.
int32_t Refusal(const OpenFile& file, const Request& request) {
  if (IsRead(request) ? !MayRead(file) : !MayWrite(file)) return -EBADF;  // Fact Y3.
  const auto rw_flags = static_cast<uint32_t>(request.argument);
  if (rw_flags >= kRwfLast * 2) return -EOPNOTSUPP;
  if ((rw_flags & ~(kRwfNowait | kRwfDsync | kRwfSync)) != 0) {
    StopUnknown("rw_flags of a file", rw_flags);
  }
  return 0;
}

bool Misaligned(const OpenFile& file, const Request& request, uint64_t offset) {
  if ((file.open_flags & O_DIRECT) == 0) return false;
  if (offset % kDirectAlignment != 0) return true;
  return std::any_of(request.iovecs.begin(), request.iovecs.end(),
                     [](const iovec& part) { return part.iov_len % kDirectAlignment != 0; });
}

int64_t Read(Machine& machine, OpenFile& file, Request& request, uint64_t offset) {
  const Inode& inode = *file.inode;
  const FileContents& contents = inode.written;
  if (offset >= contents.size() || request.total_bytes == 0) return 0;  // Fact Y1.
  if (Misaligned(file, request, offset)) return -EINVAL;                // Fact Y5.
  if (request.bad_memory) return -EFAULT;
  size_t bytes = std::min(request.total_bytes, contents.size() - offset);
  if (machine.Choose(Site::kDiskError, inode.number, 2) != 0) return -EIO;
  if (const uint64_t fewer = machine.Choose(Site::kReadFileShort, inode.number, bytes)) {
    bytes = fewer;
  }
  ForEachPiece(request, bytes, [&](std::byte* address, size_t count) {
    contents.Read(offset, address, count);
    offset += count;
  });
  return static_cast<int64_t>(bytes);
}

int64_t Write(Machine& machine, OpenFile& file, Request& request, uint64_t offset) {
  Inode& inode = *file.inode;
  if (request.total_bytes == 0) return 0;
  if (Misaligned(file, request, offset)) return -EINVAL;
  if (request.bad_memory) return -EFAULT;
  if (offset >= FileSystem::kFileBytesMax) return -EFBIG;
  if (offset >= machine.file_bytes_limit) return -EFBIG;  // Fact Y4.
  const uint64_t end = std::min<uint64_t>(FileSystem::kFileBytesMax, machine.file_bytes_limit);
  size_t bytes = std::min<uint64_t>(request.total_bytes, end - offset);
  if (machine.Choose(Site::kNoSpace, inode.number, 2) != 0) return -ENOSPC;
  if (machine.Choose(Site::kDiskError, inode.number, 2) != 0) return -EIO;
  if (const uint64_t fewer = machine.Choose(Site::kWriteFileShort, inode.number, bytes)) {
    bytes = fewer;
  }
  ForEachPiece(request, bytes, [&](const std::byte* address, size_t count) {
    inode.written.Write(offset, address, count);
    offset += count;
  });
  return static_cast<int64_t>(bytes);
}

int32_t Sync(Machine& machine, Inode& inode) {
  if (machine.Choose(Site::kSyncFails, inode.number, 2) != 0) {
    machine.file_system.FailSync(inode);
    return -EIO;
  }
  machine.file_system.Sync(inode);
  return 0;
}

// The transfer, with the state of this moment.
int32_t Transfer(Machine& machine, OpenFile& file, Request& request) {
  if (const int32_t refusal = Refusal(file, request)) return refusal;
  if (file.kind == FileKind::kDirectory) return -EISDIR;
  const bool read = IsRead(request);
  const bool at_position = request.offset == kCurrentPosition;
  uint64_t offset = at_position ? file.position : request.offset;
  if (static_cast<int64_t>(offset) < 0) return -EINVAL;
  if (!read && (file.open_flags & O_APPEND) != 0) offset = file.inode->written.size();
  const int64_t moved =
      read ? Read(machine, file, request, offset) : Write(machine, file, request, offset);
  if (moved < 0) return static_cast<int32_t>(moved);
  if (at_position) file.position = offset + static_cast<uint64_t>(moved);
  const bool durable = (file.open_flags & O_DSYNC) != 0 ||
                       (request.argument & static_cast<int>(kRwfDsync | kRwfSync)) != 0;
  if (!read && moved > 0 && durable) {
    if (const int32_t failed = Sync(machine, *file.inode)) return failed;
  }
  return static_cast<int32_t>(moved);
}

// Facts B3, B5: a file takes its buffer before anything else is looked at, and keeps it whatever
// comes of it. A read into one is always warm here.
Attempt ReadIntoGroup(RingCore& ring, Request& request) {
  if (request.opcode != IORING_OP_READ) StopUnknown("buffer selection with opcode", request.opcode);
  if ((request.file->open_flags & O_DIRECT) != 0) {
    StopUnknown("buffer selection with direct I/O, opcode", request.opcode);
  }
  BufferGroup* const group = ring.FindGroup(request.buffer_group);
  if (group == nullptr || group->empty()) return Attempt::Done(-ENOBUFS);
  if (group->incremental()) StopUnknown("incremental buffers with a file, group", group->group());
  const BufferGroup::Buffer buffer = group->front();
  const bool capped = request.length != 0 && request.length < buffer.length;
  const size_t bytes = capped ? request.length : buffer.length;
  group->Open();
  request.iovecs.assign(1, {.iov_base = buffer.address, .iov_len = bytes});
  request.total_bytes = bytes;
  const int32_t result = Transfer(ring.machine, *request.file, request);
  const HandedBuffer handed = group->HandOver(bytes);
  return Attempt::Done(result, handed.flags, handed);
}

int32_t Allocate(Machine& machine, OpenFile& file, const Request& request) {
  constexpr uint32_t kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const uint64_t offset = request.offset;
  const uint64_t bytes = request.total_bytes;
  const auto mode = static_cast<uint32_t>(request.argument);
  if (static_cast<int64_t>(offset) < 0 || static_cast<int64_t>(bytes) <= 0) return -EINVAL;
  if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE && mode != kPunch) {
    StopUnknown("a mode of FALLOCATE,", mode);
  }
  if (!MayWrite(file)) return -EBADF;
  if (offset + bytes > FileSystem::kFileBytesMax) return -EFBIG;
  FileContents& contents = file.inode->written;
  if (mode == kPunch) {
    contents.Zero(offset, bytes);
    return 0;
  }
  if (machine.Choose(Site::kNoSpace, file.inode->number, 2) != 0) return -ENOSPC;
  if (mode == 0 && offset + bytes > contents.size()) contents.Resize(offset + bytes);
  return 0;
}

int32_t Truncate(const Machine& machine, OpenFile& file, const Request& request) {
  if (static_cast<int64_t>(request.offset) < 0) return -EINVAL;
  if (file.kind != FileKind::kRegular || !MayWrite(file)) return -EINVAL;
  const bool grows = request.offset > file.inode->written.size();
  if (grows && request.offset > machine.file_bytes_limit) return -EFBIG;
  if (request.offset > FileSystem::kFileBytesMax) return -EFBIG;
  file.inode->written.Resize(request.offset);
  return 0;
}

int32_t Run(RingCore& ring, Request& request) {
  if (request.file == nullptr) {
    // io_wq_submit_work() assigns the file, if it was not tried before: a CLOSE of the same batch
    // comes before it (fact Y9).
    OpenFile* const file = ring.FindFile(request.file_number, request.file_fixed);
    if (file == nullptr) return -EBADF;
    if (IsTransfer(request) && !file->on_disk()) {
      StopUnknown("IOSQE_ASYNC on another file than those of a disk, opcode", request.opcode);
    }
    ring.machine.AddReference(*file);
    request.file = file;
  }
  OpenFile& file = *request.file;
  if (IsTransfer(request)) return Transfer(ring.machine, file, request);
  request.never_fails = true;
  if (!file.on_disk()) {
    if (request.opcode == IORING_OP_FALLOCATE) StopUnknown("FALLOCATE of a file of kind", 0);
    return -EINVAL;  // Fact Y6.
  }
  if (request.opcode == IORING_OP_FALLOCATE) return Allocate(ring.machine, file, request);
  if (request.opcode == kFtruncate) return Truncate(ring.machine, file, request);
  return Sync(ring.machine, *file.inode);
}

}  // namespace

bool IsFileOperation(uint8_t opcode) {
  return opcode == IORING_OP_FSYNC || opcode == IORING_OP_FALLOCATE || opcode == kFtruncate;
}

int32_t PrepareFileOperation(Request& request, const io_uring_sqe& sqe) {
  if (sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  request.offset = sqe.off;
  if (sqe.opcode == IORING_OP_FSYNC) {
    if (sqe.addr != 0 || (sqe.fsync_flags & ~IORING_FSYNC_DATASYNC) != 0) return -EINVAL;
    if (sqe.off != 0 || sqe.len != 0) StopUnknown("FSYNC of a range, bytes", sqe.len);
    return 0;
  }
  if (sqe.rw_flags != 0) return -EINVAL;
  if (sqe.opcode == IORING_OP_FALLOCATE) {
    request.argument = static_cast<int>(sqe.len);
    request.total_bytes = sqe.addr;
    return 0;
  }
  return sqe.addr != 0 || sqe.len != 0 || sqe.addr3 != 0 ? -EINVAL : 0;
}

Attempt TryFileTransfer(RingCore& ring, Request& request) {
  OpenFile& file = *request.file;
  if (request.buffer_select) return ReadIntoGroup(ring, request);
  if (const int32_t refusal = Refusal(file, request)) return Attempt::Done(refusal);
  const bool direct = (file.open_flags & O_DIRECT) != 0;
  // Buffered writes to ext4, and what is no regular file, cannot be tried without waiting.
  if (!IsRead(request) || file.kind == FileKind::kDirectory) {
    if (request.no_wait) return Attempt::Wait();
    ring.StartWorker(request);
    return Attempt::Pending();
  }
  const Nanoseconds delay = ring.machine.ChooseDiskDelay(file.inode->number);
  if (delay == Machine::kAfterBatch && !direct) {
    return Attempt::Done(Transfer(ring.machine, file, request));
  }
  if (request.no_wait) return Attempt::Wait();
  // Fact C10: who waits for a page that is not even there does so on a worker.
  if (!direct && ring.machine.Choose(Site::kReadPunted, file.inode->number, 2) != 0) {
    ring.StartWorker(request);
  } else {
    ring.StartDisk(request, delay);
  }
  return Attempt::Pending();
}

void FinishFileOperation(RingCore& ring, Request& request) {
  ring.EndWork(request, Run(ring, request));
}

}  // namespace orrery::model
