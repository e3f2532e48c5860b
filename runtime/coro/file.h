// Files for tasks.
//
//   auto file = co_await File::Open(io, "data", O_RDWR | O_CREAT);
//   if (!file) co_return file.error();
//   (void)co_await file->WriteAt("hello", 0);
//
// Every step is the ring's: nothing blocks the thread. Reads and writes name their offset; there is
// no position. Buffers, deadlines, stops and errors are as in socket.h, but a disk does not give up
// what it has begun: such an operation is waited for, deadline or not.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/coro/descriptor.h"
#include "runtime/coro/io_context.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

class ReadAtAwaiter final : public CountAwaiter {
 public:
  ReadAtAwaiter(Descriptor& file, std::span<char> buffer, uint64_t offset, Nanoseconds deadline);
};

class WriteAtAwaiter final : public DescriptorAwaiter {
 public:
  WriteAtAwaiter(Descriptor& file, std::string_view bytes, uint64_t offset, Nanoseconds deadline);
  std::expected<void, Errno> await_resume() const;

 private:
  Next OnProgress(const Completion& completion) override;
  std::string_view left_;
  uint64_t offset_;
  bool stuck_ = false;
};

class SyncAwaiter final : public DoneAwaiter {
 public:
  explicit SyncAwaiter(Descriptor& file);
};

struct FileStatus {
  uint64_t bytes = 0;
  bool is_regular = false;  // Not a directory, a device or the like.
};

class StatusAwaiter final : public DescriptorAwaiter {
 public:
  explicit StatusAwaiter(Descriptor& file);
  std::expected<FileStatus, Errno> await_resume() const;

 private:
  struct statx status_{};
};

class File {
 public:
  // `flags` and `mode` as in open(2); O_CLOEXEC is added. ENOENT, EACCES and the others of open(2).
  static Task<std::expected<File, Errno>> Open(IoContext& io, std::string path, int flags,
                                               mode_t mode = 0666);

  // A std::expected<size_t, Errno>: how many bytes came; fewer than asked for are normal, 0 is the
  // file's end. REQUIRES: !buffer.empty().
  ReadAtAwaiter ReadAt(std::span<char> buffer, uint64_t offset, Nanoseconds deadline = kNever) {
    return ReadAtAwaiter(descriptor_, buffer, offset, deadline);
  }
  // A std::expected<void, Errno>: the file has all of them; the disk has, after Sync(). ENOSPC,
  // EIO.
  WriteAtAwaiter WriteAt(std::string_view bytes, uint64_t offset, Nanoseconds deadline = kNever) {
    return WriteAtAwaiter(descriptor_, bytes, offset, deadline);
  }
  // A std::expected<void, Errno>. After an error what was written since the last success may be
  // lost, and another Sync() would not tell: do not retry.
  SyncAwaiter Sync() { return SyncAwaiter(descriptor_); }
  // A std::expected<FileStatus, Errno>.
  StatusAwaiter Status() { return StatusAwaiter(descriptor_); }

 private:
  explicit File(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}
  Descriptor descriptor_;
};

}  // namespace orrery::coro
