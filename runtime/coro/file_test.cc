// Files for tasks, on Linux and on the fake kernel with faults: what would break is a byte at the
// wrong place, or an end that is taken for success.
#include "runtime/coro/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <string>

#include "base/errno.h"
#include "runtime/coro/io_world.h"
#include "runtime/coro/task.h"

namespace orrery::coro {
namespace {

using FileTest = IoTest;
INSTANTIATE_TEST_SUITE_P(Kernels, FileTest, AllWorlds(), NameOf);

// In the test's own folder, which the sandbox makes; the fake kernel has one root.
std::string NewName(const char* name) {
  return "coro_file_test_" + std::to_string(::getpid()) + "_" + name;
}

// A disk with faults fails now and then, not for ever.
constexpr int kTriesMax = 100;

Task<std::string> ReadAll(File& file) {
  std::string text;
  std::array<char, 1000> buffer;
  for (int failures = 0; failures < kTriesMax;) {
    const auto count = co_await file.ReadAt(buffer, text.size());
    if (!count) {
      EXPECT_EQ(count.error(), EIO);
      ++failures;
    } else if (*count == 0) {
      co_return text;
    } else {
      text.append(buffer.data(), *count);
    }
  }
  co_return "it fails for ever";
}

Task<> WriteInTheEnd(File& file, const std::string& bytes, uint64_t offset) {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const auto written = co_await file.WriteAt(bytes, offset);
    if (written) co_return;
    EXPECT_TRUE(written.error() == EIO || written.error() == ENOSPC);
  }
  ADD_FAILURE() << "it fails for ever";
}

Task<std::expected<File, Errno>> OpenInTheEnd(IoContext& io, const std::string& name, int flags) {
  for (int tries = 0;; ++tries) {
    auto file = co_await File::Open(io, name, flags);
    if (file || tries == kTriesMax) co_return file;
  }
}

TEST_P(FileTest, KeepsWhatWasWritten) {
  const std::string name = NewName("keeps");
  const auto body = [&]() -> Task<> {
    std::string text;
    for (int i = 0; i < 3000; ++i) text += std::to_string(i);
    {
      auto file = co_await OpenInTheEnd(io(), name, O_RDWR | O_CREAT | O_TRUNC);
      EXPECT_TRUE(file.has_value());
      if (!file) co_return;
      co_await WriteInTheEnd(*file, text, 0);
      co_await WriteInTheEnd(*file, "changed", 100);
      text.replace(100, 7, "changed");
      const auto status = co_await file->Status();
      EXPECT_TRUE(status.has_value());
      EXPECT_EQ(status->bytes, text.size());
      EXPECT_TRUE(status->is_regular);
      const auto synced = co_await file->Sync();
      EXPECT_TRUE(synced || (faults() && synced.error() == EIO));
    }
    auto again = co_await OpenInTheEnd(io(), name, O_RDONLY);
    EXPECT_TRUE(again.has_value());
    if (!again) co_return;
    const std::string read = co_await ReadAll(*again);
    EXPECT_EQ(read, text);
    const auto refused = co_await again->WriteAt("x", 0);
    EXPECT_EQ(ErrorOf(refused), EBADF);
  };
  io().Run(body());
  (void)::unlink(name.c_str());
}

TEST_P(FileTest, SaysWhatIsMissing) {
  const auto body = [&]() -> Task<> {
    const auto file = co_await File::Open(io(), NewName("missing"), O_RDONLY);
    EXPECT_EQ(ErrorOf(file), ENOENT);
  };
  io().Run(body());
}

}  // namespace
}  // namespace orrery::coro
