#include "tests/acceptor/lab.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/errno.h"

namespace orrery::acceptor {
namespace {

constexpr unsigned kSqEntries = 32;
constexpr unsigned kCqEntries = 128;
// Of the operations around the experiment.
constexpr uint64_t kHelperId = 1'000'000;
constexpr int kWindUpMax = 100;
constexpr Nanoseconds kWindUpWait = 50 * kMillisecond;
constexpr mode_t kFileMode = 0600;

std::string Symbol(int32_t error) {
  // "ECANCELED (125)" and the like: the name is enough.
  const std::string text = Errno(error).ToString();
  return text.substr(0, text.find_first_of(" :("));
}

}  // namespace

Lab::Lab(Surroundings& surroundings) : surroundings_(surroundings) {
  auto ring = world().MakeRing({.sq_entries = kSqEntries, .cq_entries = kCqEntries});
  ORRERY_CHECK_MSG(ring.has_value(), "no ring");
  ring_ = *std::move(ring);
  queue_ = std::make_unique<SubmissionQueue>(*ring_);
}

Lab::~Lab() {
  Rest();
  WindUp();
  queue_.reset();
  ring_.reset();
  for (const int fd : descriptors_) kernel().Close(fd);
  if (listener_ >= 0) kernel().Close(listener_);
  if (shared_buffers_ != nullptr) ::munmap(shared_buffers_, shared_bytes_);
}

void Lab::WindUp() {
  for (int turn = 0; in_flight_ > 0; ++turn) {
    ORRERY_CHECK_MSG(turn < kWindUpMax, "an operation that no cancel ends");
    Add(kHelperId,
        [](io_uring_sqe* sqe) { ::io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY); });
    (void)Enter(1, kWindUpWait);  // Whatever it answers, the next turn looks.
  }
}

io_uring_sqe& Lab::Acquire() {
  io_uring_sqe* const sqe = ::io_uring_get_sqe(&ring_->memory());
  ORRERY_CHECK(sqe != nullptr);
  std::memset(sqe, 0, sizeof *sqe);
  ++in_flight_;
  return *sqe;
}

int32_t Lab::Result() {
  const size_t before = in_flight_;
  while (in_flight_ >= before) (void)Enter(1);  // It has nothing else to do.
  return last_result_;
}

// --- Set-up

int Lab::listener() {
  if (listener_ < 0) {
    listener_ = kernel().Listen({}).value();
    world().PrepareListener(listener_);
    ORRERY_CHECK(kernel().SetSocketOption(listener_, IPPROTO_TCP, TCP_NODELAY, 1));
  }
  return listener_;
}

uint16_t Lab::port() { return kernel().LocalPort(listener()).value(); }

Connection Lab::Connect() {
  Connection connection;
  connection.peer = world().Connect(port()).value();
  Add(kHelperId, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_accept(sqe, listener(), nullptr, nullptr, SOCK_CLOEXEC);
  });
  connection.fd = Result();
  ORRERY_CHECK(connection.fd >= 0);
  descriptors_.push_back(connection.fd);
  return connection;
}

int Lab::MakeEventFd() {
  descriptors_.push_back(kernel().MakeEventFd().value());
  return descriptors_.back();
}

int Lab::MakeFile(std::string_view name, size_t bytes) {
  paths_.push_back(world().Directory() + "/" + std::string(name));
  Add(kHelperId, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_openat(sqe, AT_FDCWD, paths_.back().c_str(), O_RDWR | O_CREAT | O_CLOEXEC,
                           kFileMode);
  });
  const int fd = Result();
  ORRERY_CHECK(fd >= 0);
  descriptors_.push_back(fd);
  const std::span<std::byte> memory = Memory(bytes);
  Add(kHelperId, [&](io_uring_sqe* sqe) {
    ::io_uring_prep_write(sqe, fd, memory.data(), static_cast<unsigned>(bytes), 0);
  });
  ORRERY_CHECK_OP(Result(), ==, static_cast<int32_t>(bytes));
  Add(kHelperId, [&](io_uring_sqe* sqe) { ::io_uring_prep_fsync(sqe, fd, 0); });
  ORRERY_CHECK_OP(Result(), ==, 0);
  return fd;
}

void Lab::MakeCold(int fd) {
  // An advice: a file system that keeps its pages may.
  if (real()) (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

void Lab::FillStream(const Connection& connection, std::span<const std::byte> memory) {
  do {
    Add(kHelperId, [&](io_uring_sqe* sqe) {
      ::io_uring_prep_send(sqe, connection.fd, memory.data(), memory.size(),
                           MSG_DONTWAIT | MSG_NOSIGNAL);
    });
  } while (Result() > 0);
  ORRERY_CHECK_OP(last_result_, ==, -EAGAIN);
}

void Lab::UseBuffers(unsigned count) {
  shared_bytes_ = count * sizeof(io_uring_buf);
  shared_buffers_ =
      ::mmap(nullptr, shared_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ORRERY_CHECK(shared_buffers_ != MAP_FAILED);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(shared_buffers_);  // As the ABI has it.
  registration.ring_entries = count;
  registration.bgid = kGroup;
  ORRERY_CHECK(ring_->Register(IORING_REGISTER_PBUF_RING, &registration, 1).has_value());
  const std::span<std::byte> memory = Memory(size_t{count} * kBufferBytes);
  auto* const shared = static_cast<io_uring_buf_ring*>(shared_buffers_);
  for (unsigned id = 0; id < count; ++id) {
    ::io_uring_buf_ring_add(shared, memory.data() + size_t{id} * kBufferBytes, kBufferBytes,
                            static_cast<uint16_t>(id), static_cast<int>(count - 1),
                            static_cast<int>(id));
  }
  ::io_uring_buf_ring_advance(shared, static_cast<int>(count));
}

void Lab::ShowAsPartOf(uint32_t id, int32_t whole) { parts_.push_back({id, whole}); }

std::span<std::byte> Lab::Memory(size_t bytes) {
  memory_.emplace_back(bytes);
  return memory_.back();
}

// --- The experiment

EnterResult Lab::Enter(unsigned min_complete, Nanoseconds timeout) {
  const EnterResult entered = surroundings_.Enter(*ring_, queue_->Publish(), min_complete, timeout);
  Reap();
  return entered;
}

void Lab::AwaitEnds() {
  const Nanoseconds bound = kernel().MonotonicNow() + kAwaitBound;
  while (in_flight_ > 0) {
    const Nanoseconds left = bound - kernel().MonotonicNow();
    if (left <= 0) return Note("(not ended)");
    (void)Enter(1, left);  // What it did is seen by what is in flight.
  }
}

void Lab::AwaitCompletions(size_t completions) {
  const Nanoseconds bound = kernel().MonotonicNow() + kAwaitBound;
  while (completions_ < completions) {
    const Nanoseconds left = bound - kernel().MonotonicNow();
    if (left <= 0) return Note("(nothing more)");
    (void)Enter(1, left);  // What it did is seen by what was written down.
  }
}

void Lab::CloseFile(int fd) {
  std::erase(descriptors_, fd);
  kernel().Close(fd);
}

void Lab::Note(std::string_view word) {
  if (!outcome_.empty()) outcome_ += ' ';
  outcome_ += word;
}

void Lab::Reap() {
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_->memory(), head, cqe) {
    ++seen;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) --in_flight_;
    last_result_ = cqe->res;
    if (cqe->user_data != kHelperId) WriteDown(*cqe);
  }
  ::io_uring_cq_advance(&ring_->memory(), seen);
}

void Lab::WriteDown(const io_uring_cqe& cqe) {
  ++completions_;
  const auto id = static_cast<uint32_t>(cqe.user_data);
  std::string word = std::to_string(id) + "=";
  const auto part =
      std::find_if(parts_.begin(), parts_.end(), [&](const Part& known) { return known.id == id; });
  if (cqe.res < 0) {
    word += Symbol(-cqe.res);
  } else if (part != parts_.end()) {
    word += cqe.res == part->whole ? "all" : cqe.res == 0 ? "0" : "short";
  } else if (descriptors_of_.contains(id)) {
    word += "fd";
    descriptors_.push_back(cqe.res);
  } else {
    word += std::to_string(cqe.res);
  }
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    word += "#" + std::to_string(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) word += "+";
  if ((cqe.flags & IORING_CQE_F_NOTIF) != 0) word += "!";
  if (with_hint_.contains(id) && (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) word += "~";
  Note(word);
}

}  // namespace orrery::acceptor
