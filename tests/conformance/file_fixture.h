// What the bodies about files share: a directory, and operations that SubmissionQueue does not
// prepare. Every helper that completes something waits for it.
#pragma once

#include <fcntl.h>
#include <linux/stat.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {

class FileConformance : public Conformance {
 protected:
  static constexpr uint64_t kPosition = SubmissionQueue::kCurrentOffset;

  void SetUp() override {
    Conformance::SetUp();
    directory_ = world().Directory();
    if (!directory_.ends_with('/')) directory_ += '/';
  }
  void TearDown() override {
    for (const int fd : opened_) kernel().Close(fd);
  }

  // An absolute path of `name` in the test's directory. The string lives as long as the test.
  const char* Path(std::string_view name) {
    paths_.push_back(std::make_unique<std::string>(directory_ + std::string(name)));
    return paths_.back()->c_str();
  }

  // Prepares an operation: `prepare(sqe)` with an SQE of zeros.
  template <typename Prepare>
  void Add(uint32_t id, Prepare prepare, uint8_t flags = 0) {
    Conformance::Add(id, [&](io_uring_sqe* sqe) {
      prepare(sqe);
      sqe->flags |= flags;
    });
  }
  void AddOpen(uint32_t id, int directory, const char* path, int flags) {
    Add(id,
        [&](io_uring_sqe* sqe) { io_uring_prep_openat(sqe, directory, path, flags, kFileMode); });
  }
  void AddFsync(uint32_t id, int fd, uint8_t flags = 0, unsigned fsync_flags = 0) {
    Add(id, [&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, fd, fsync_flags); }, flags);
  }
  void AddWrite(uint32_t id, int fd, std::string_view text, uint64_t offset, uint8_t flags = 0) {
    Add(
        id,
        [&](io_uring_sqe* sqe) {
          io_uring_prep_write(sqe, fd, text.data(), static_cast<unsigned>(text.size()), offset);
        },
        flags);
  }
  void AddRead(uint32_t id, int fd, std::span<std::byte> bytes, uint64_t offset,
               uint8_t flags = 0) {
    Add(
        id,
        [&](io_uring_sqe* sqe) {
          io_uring_prep_read(sqe, fd, bytes.data(), static_cast<unsigned>(bytes.size()), offset);
        },
        flags);
  }
  // FTRUNCATE is younger than some liburing headers.
  void AddTruncate(uint32_t id, int fd, int64_t size, uint8_t flags = 0) {
    Add(
        id,
        [&](io_uring_sqe* sqe) {
          sqe->opcode = 55;
          sqe->fd = fd;
          sqe->off = static_cast<uint64_t>(size);
        },
        flags);
  }

  // The result of what was prepared last.
  int Result() { return AwaitOne().result; }

  int OpenAt(int directory, const char* path, int flags) {
    AddOpen(kFileHelperId, directory, path, flags | O_CLOEXEC);
    const int fd = Result();
    if (fd >= 0) opened_.push_back(fd);
    return fd;
  }
  // Prepares the close of a descriptor that a helper opened.
  void AddClose(uint32_t id, int fd) {
    std::erase(opened_, fd);
    ASSERT_TRUE(queue().Close(File::Descriptor(fd), Id(id)));
  }
  int Open(std::string_view name, int flags) { return OpenAt(AT_FDCWD, Path(name), flags); }
  int Create(std::string_view name) { return Open(name, O_RDWR | O_CREAT | O_EXCL); }
  // A file with this in it.
  int CreateWith(std::string_view name, std::string_view text) {
    const int fd = Create(name);
    EXPECT_EQ(Write(fd, text, 0), static_cast<int>(text.size()));
    return fd;
  }
  int Write(int fd, std::string_view text, uint64_t offset) {
    AddWrite(kFileHelperId, fd, text, offset);
    return Result();
  }
  // What a read of `bytes` gives; the error in the other case.
  struct Bytes {
    int result = 0;
    std::string text;
  };
  Bytes ReadUpTo(int fd, size_t bytes, uint64_t offset) {
    Bytes read;
    read.text.resize(bytes);
    AddRead(kFileHelperId, fd, std::as_writable_bytes(std::span(read.text)), offset);
    read.result = Result();
    read.text.resize(read.result > 0 ? static_cast<size_t>(read.result) : 0);
    return read;
  }
  std::string Contents(int fd) { return ReadUpTo(fd, 64 * kKiB, 0).text; }
  int Truncate(int fd, int64_t size) {
    AddTruncate(kFileHelperId, fd, size);
    return Result();
  }
  int MakeDirectory(std::string_view name) {
    const char* const path = Path(name);
    Add(kFileHelperId,
        [&](io_uring_sqe* sqe) { io_uring_prep_mkdirat(sqe, AT_FDCWD, path, 0755); });
    return Result();
  }
  int Unlink(std::string_view name, int flags = 0) {
    const char* const path = Path(name);
    Add(kFileHelperId,
        [&](io_uring_sqe* sqe) { io_uring_prep_unlinkat(sqe, AT_FDCWD, path, flags); });
    return Result();
  }
  int Rename(std::string_view from, std::string_view to, unsigned flags = 0) {
    const char* const from_path = Path(from);
    const char* const to_path = Path(to);
    Add(kFileHelperId, [&](io_uring_sqe* sqe) {
      io_uring_prep_renameat(sqe, AT_FDCWD, from_path, AT_FDCWD, to_path, flags);
    });
    return Result();
  }
  int Stat(int directory, const char* path, int flags, struct statx* result) {
    Add(kFileHelperId, [&](io_uring_sqe* sqe) {
      io_uring_prep_statx(sqe, directory, path, flags, STATX_BASIC_STATS, result);
    });
    return Result();
  }

 private:
  static constexpr mode_t kFileMode = 0644;
  static constexpr uint32_t kFileHelperId = 0xffffe0;

  std::string directory_;
  std::vector<std::unique_ptr<std::string>> paths_;
  std::vector<int> opened_;
};

}  // namespace orrery::conformance
