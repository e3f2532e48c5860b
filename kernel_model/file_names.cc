// OPENAT, STATX, UNLINKAT, RENAMEAT and MKDIRAT.
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// What the model knows of open(2). O_NONBLOCK, O_NOCTTY and O_CLOEXEC change nothing here.
constexpr uint32_t kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DIRECTORY |
                                O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_NOATIME |
                                O_LARGEFILE | O_DIRECT | O_SYNC;
constexpr uint32_t kStatxMask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID |
                                STATX_INO | STATX_SIZE | STATX_BLOCKS;
constexpr uint32_t kStatxFlags =
    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE;
constexpr uint32_t kBlocksAPage = FileContents::kPageBytes / 512;

// getname(): an empty path is refused later, unless it is allowed.
int32_t CopyPath(uint64_t address, std::string& path) {
  if (address == 0) return -EFAULT;
  // The ABI carries pointers as 64-bit integers.
  const auto* const text = reinterpret_cast<const char*>(address);
  const size_t length = ::strnlen(text, FileSystem::kPathBytesMax);
  if (length == FileSystem::kPathBytesMax) return -ENAMETOOLONG;
  path.assign(text, length);
  return 0;
}

// Where relative paths begin, or null and an error.
FileSystem::Found Start(Machine& machine, int directory, const std::string& path) {
  if (directory == AT_FDCWD || (!path.empty() && path.front() == '/')) {
    return {.inode = &machine.file_system.root()};
  }
  const OpenFile* const file = machine.descriptors.Find(directory);
  if (file == nullptr) return {.error = -EBADF};
  if (file->kind != FileKind::kDirectory) return {.error = -ENOTDIR};
  return {.inode = file->inode};
}

bool NoSpace(Machine& machine, const Inode& directory) {
  return machine.Choose(Site::kNoSpace, directory.number, 2) != 0;
}

int32_t Open(RingCore& ring, const Request& request) {
  Machine& machine = ring.machine;
  const NameArguments& names = *request.names;
  // __get_unused_fd_flags() comes first.
  if (request.file_index == 0 && machine.descriptors.full()) return -EMFILE;
  FileSystem& files = machine.file_system;
  const FileSystem::Found from = Start(machine, names.directory, names.path);
  if (from.inode == nullptr) return from.error;
  if (files.WouldCreate(*from.inode, names.path, names.flags) && NoSpace(machine, *from.inode)) {
    return -ENOSPC;
  }
  const FileSystem::Found found = files.Open(*from.inode, names.path, names.flags, names.mode);
  if (found.inode == nullptr) return found.error;
  OpenFile& file = machine.NewDiskFile(*found.inode, names.flags);
  if (request.file_index != 0) return ring.InstallFixed(file, request.file_index);  // Fact F4.
  return machine.InsertDescriptor(file, names.flags);
}

int32_t MakeDirectory(Machine& machine, const NameArguments& names) {
  const FileSystem::Found from = Start(machine, names.directory, names.path);
  if (from.inode == nullptr) return from.error;
  if (machine.file_system.Look(*from.inode, names.path).error == -ENOENT &&
      NoSpace(machine, *from.inode)) {
    return -ENOSPC;
  }
  return machine.file_system.MakeDirectory(*from.inode, names.path, names.mode);
}

int32_t Unlink(Machine& machine, const NameArguments& names) {
  const FileSystem::Found from = Start(machine, names.directory, names.path);
  if (from.inode == nullptr) return from.error;
  return machine.file_system.Unlink(*from.inode, names.path, (names.flags & AT_REMOVEDIR) != 0);
}

int32_t Rename(Machine& machine, const NameArguments& names) {
  if ((names.flags & ~uint32_t{RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT}) != 0) {
    return -EINVAL;
  }
  if ((names.flags & RENAME_WHITEOUT) != 0) StopUnknown("RENAME_WHITEOUT, in flags", names.flags);
  const FileSystem::Found from = Start(machine, names.directory, names.path);
  if (from.inode == nullptr) return from.error;
  const FileSystem::Found to = Start(machine, names.to_directory, names.to_path);
  if (to.inode == nullptr) return to.error;
  return machine.file_system.Rename(*from.inode, names.path, *to.inode, names.to_path, names.flags);
}

void Describe(const Inode& inode, struct statx& result) {
  std::memset(&result, 0, sizeof result);
  result.stx_mask = kStatxMask;
  result.stx_blksize = FileContents::kPageBytes;
  result.stx_ino = inode.number;
  if (!inode.directory) {
    result.stx_mode = static_cast<uint16_t>(S_IFREG | inode.mode);
    result.stx_nlink = inode.names;
    result.stx_size = inode.written.size();
    result.stx_blocks = inode.written.pages() * kBlocksAPage;
    return;
  }
  result.stx_mode = static_cast<uint16_t>(S_IFDIR | inode.mode);
  result.stx_nlink = inode.parent == nullptr ? 0 : 2;
  for (const auto& [name, child] : inode.entries) result.stx_nlink += child->directory;
  result.stx_size = FileContents::kPageBytes;
}

int32_t Stat(Machine& machine, const NameArguments& names) {
  if ((names.mode & STATX__RESERVED) != 0 || (names.flags & ~kStatxFlags) != 0) return -EINVAL;
  if ((names.flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE) return -EINVAL;
  Inode* inode = nullptr;
  if (names.path.empty() && (names.flags & AT_EMPTY_PATH) != 0) {
    const OpenFile* const file = machine.descriptors.Find(names.directory);
    if (names.directory == AT_FDCWD) {
      inode = &machine.file_system.root();
    } else if (file == nullptr) {
      return -EBADF;
    } else if (!file->on_disk()) {
      StopUnknown("STATX of a descriptor that is no file of a disk,", file->number);
    } else {
      inode = file->inode;
    }
  } else {
    if (names.path.empty()) return -ENOENT;
    const FileSystem::Found from = Start(machine, names.directory, names.path);
    if (from.inode == nullptr) return from.error;
    const FileSystem::Found found = machine.file_system.Look(*from.inode, names.path);
    if (found.inode == nullptr) return found.error;
    inode = found.inode;
  }
  if (names.result == nullptr) return -EFAULT;
  struct statx result;
  Describe(*inode, result);
  std::memcpy(names.result, &result, sizeof result);
  return 0;
}

int32_t Run(RingCore& ring, const Request& request) {
  Machine& machine = ring.machine;
  const NameArguments& names = *request.names;
  switch (request.opcode) {
    case IORING_OP_OPENAT:
      return Open(ring, request);
    case IORING_OP_STATX:
      return Stat(machine, names);
    case IORING_OP_MKDIRAT:
      return MakeDirectory(machine, names);
    case IORING_OP_UNLINKAT:
      return Unlink(machine, names);
    default:
      return Rename(machine, names);
  }
}

int32_t PrepareOpen(Request& request, const io_uring_sqe& sqe) {
  NameArguments& names = *request.names;
  names.flags = sqe.open_flags;
  request.file_index = sqe.file_index;
  if (request.file_index != 0 && (names.flags & O_CLOEXEC) != 0) return -EINVAL;
  names.mode = sqe.len;
  if ((names.flags & ~kOpenFlags) != 0 || (names.flags & O_ACCMODE) == O_ACCMODE) {
    StopUnknown("open flags", names.flags);
  }
  // io_openat_force_async()
  request.force_worker |= (names.flags & (O_CREAT | O_TRUNC)) != 0;
  return names.path.empty() ? -ENOENT : 0;
}

}  // namespace

bool IsNameOperation(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_OPENAT:
    case IORING_OP_STATX:
    case IORING_OP_MKDIRAT:
    case IORING_OP_UNLINKAT:
    case IORING_OP_RENAMEAT:
      return true;
    default:
      return false;
  }
}

int32_t PrepareNameOperation(Request& request, const io_uring_sqe& sqe) {
  if (sqe.buf_index != 0) return -EINVAL;
  if (sqe.opcode != IORING_OP_OPENAT && sqe.splice_fd_in != 0) return -EINVAL;
  if (sqe.opcode == IORING_OP_MKDIRAT && (sqe.off != 0 || sqe.rw_flags != 0)) return -EINVAL;
  if (sqe.opcode == IORING_OP_UNLINKAT && (sqe.off != 0 || sqe.len != 0)) return -EINVAL;
  if ((sqe.flags & IOSQE_FIXED_FILE) != 0) return -EBADF;
  request.names = std::make_unique<NameArguments>();
  NameArguments& names = *request.names;
  names.directory = sqe.fd;
  names.flags = static_cast<uint32_t>(sqe.rw_flags);
  names.mode = sqe.len;
  if (sqe.opcode == IORING_OP_UNLINKAT && (names.flags & ~uint32_t{AT_REMOVEDIR}) != 0) {
    return -EINVAL;
  }
  request.force_worker |= sqe.opcode != IORING_OP_OPENAT;
  // Fact U8: paths are read now, and the memory is the program's again.
  if (const int32_t failed = CopyPath(sqe.addr, names.path)) return failed;
  if (sqe.opcode == IORING_OP_OPENAT) return PrepareOpen(request, sqe);
  if (sqe.opcode == IORING_OP_STATX) {
    names.result = reinterpret_cast<void*>(sqe.addr2);  // The ABI carries pointers so.
    return 0;
  }
  if (sqe.opcode == IORING_OP_RENAMEAT) {
    names.to_directory = static_cast<int>(sqe.len);
    if (const int32_t failed = CopyPath(sqe.addr2, names.to_path)) return failed;
    if (names.to_path.empty()) return -ENOENT;
  }
  return names.path.empty() ? -ENOENT : 0;
}

Attempt TryNameOperation(RingCore& ring, Request& request) {
  if (!request.force_worker && ring.machine.Choose(Site::kNameCold, ring.number, 2) == 0) {
    return Attempt::Done(Run(ring, request));
  }
  ring.StartWorker(request);
  return Attempt::Pending();
}

void FinishNameOperation(RingCore& ring, Request& request) {
  request.never_fails = request.opcode != IORING_OP_OPENAT;
  ring.EndWork(request, Run(ring, request));
}

}  // namespace orrery::model
