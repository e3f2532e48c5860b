#include "runtime/coro/file.h"

#include <liburing.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"

namespace orrery::coro {
namespace {

// What one SQE can ask for; the kernel itself stops a page short of 2 GiB.
constexpr size_t kBytesMax = size_t{1} << 30;

unsigned LengthOf(size_t bytes) { return static_cast<unsigned>(std::min(bytes, kBytesMax)); }

class OpenAwaiter final : public IoAwaiter {
 public:
  OpenAwaiter(IoContext& context, const char* path, int flags, mode_t mode) : IoAwaiter(context) {
    io_uring_prep_openat(&sqe(), AT_FDCWD, path, flags | O_CLOEXEC, mode);
  }
  std::expected<Descriptor, Errno> await_resume() {
    if (!result()) return std::unexpected(result().error());
    return Descriptor(io(), static_cast<int>(*result()));
  }

 private:
  void Start() override { io().operations().Start(*this); }
};

}  // namespace

ReadAtAwaiter::ReadAtAwaiter(Descriptor& file, std::span<char> buffer, uint64_t offset,
                             Nanoseconds deadline)
    : CountAwaiter(file, Lane::kAny, deadline) {
  ORRERY_CHECK_MSG(!buffer.empty(), "nothing cannot be told from the end");
  io_uring_prep_read(&sqe(), number(), buffer.data(), LengthOf(buffer.size()), offset);
}

WriteAtAwaiter::WriteAtAwaiter(Descriptor& file, std::string_view bytes, uint64_t offset,
                               Nanoseconds deadline)
    : DescriptorAwaiter(file, Lane::kAny, deadline), left_(bytes), offset_(offset) {
  io_uring_prep_write(&sqe(), number(), left_.data(), LengthOf(left_.size()), offset_);
}

RingOperation::Next WriteAtAwaiter::OnProgress(const Completion& completion) {
  if (!completion.ok()) return Next::kDone;
  left_.remove_prefix(completion.value());
  offset_ += completion.value();
  // A write that takes nothing would be repeated for ever.
  stuck_ = completion.value() == 0 && !left_.empty();
  if (left_.empty() || stuck_) return Next::kDone;
  io_uring_prep_write(&sqe(), number(), left_.data(), LengthOf(left_.size()), offset_);
  return Next::kAgain;
}

std::expected<void, Errno> WriteAtAwaiter::await_resume() const {
  if (!result()) return std::unexpected(result().error());
  if (stuck_) return std::unexpected(Errno(EIO));
  return {};
}

SyncAwaiter::SyncAwaiter(Descriptor& file) : DoneAwaiter(file, Lane::kAny, kNever) {
  io_uring_prep_fsync(&sqe(), number(), 0);
}

StatusAwaiter::StatusAwaiter(Descriptor& file) : DescriptorAwaiter(file, Lane::kAny, kNever) {
  io_uring_prep_statx(&sqe(), number(), "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &status_);
}

std::expected<FileStatus, Errno> StatusAwaiter::await_resume() const {
  if (!result()) return std::unexpected(result().error());
  return FileStatus{.bytes = status_.stx_size, .is_regular = S_ISREG(status_.stx_mode)};
}

Task<std::expected<File, Errno>> File::Open(IoContext& io, std::string path, int flags,
                                            mode_t mode) {
  std::expected<Descriptor, Errno> file = co_await OpenAwaiter(io, path.c_str(), flags, mode);
  if (!file) co_return std::unexpected(file.error());
  co_return File(*std::move(file));
}

}  // namespace orrery::coro
