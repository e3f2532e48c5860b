#include "runtime/ring/liburing_ring.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"

namespace orrery {
namespace {

// Flags that newer kernels know and that the system's header may not: they are kernel ABI.
constexpr unsigned kFeatureMinimumWait = 1U << 15;  // IORING_FEAT_MIN_TIMEOUT, Linux 6.12.

constexpr unsigned kSizeFlags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;

constexpr unsigned SetupFlags(RingMode mode) {
  switch (mode) {
    case RingMode::kDeferred:
      return kSizeFlags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
             IORING_SETUP_DEFER_TASKRUN;
    case RingMode::kCooperative:
      return kSizeFlags | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN;
    case RingMode::kPlain:
      return kSizeFlags;
  }
  return kSizeFlags;
}

constexpr std::array kModes = {RingMode::kDeferred, RingMode::kCooperative, RingMode::kPlain};

// Every operation that SubmissionQueue prepares.
constexpr std::array kOperations = {IORING_OP_NOP,          IORING_OP_READ,     IORING_OP_WRITE,
                                    IORING_OP_WRITEV,       IORING_OP_SEND,     IORING_OP_SENDMSG,
                                    IORING_OP_RECV,         IORING_OP_ACCEPT,   IORING_OP_TIMEOUT,
                                    IORING_OP_ASYNC_CANCEL, IORING_OP_SHUTDOWN, IORING_OP_CLOSE,
                                    IORING_OP_POLL_ADD,     IORING_OP_MSG_RING};

// What the code relies on and every kernel since 5.11 has.
constexpr unsigned kFeatures =
    IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;

// How often a probe is repeated that the kernel did not take.
constexpr int kProbeTriesMax = 100;

// The buffer group that the probe uses and gives back.
constexpr uint16_t kProbeBufferGroup = 0xffff;

int ReadDisabledSysctl() {
  std::FILE* file = std::fopen("/proc/sys/kernel/io_uring_disabled", "re");
  if (file == nullptr) return -1;
  int value = -1;
  if (std::fscanf(file, "%d", &value) != 1) value = -1;
  std::fclose(file);
  return value;
}

Nanoseconds MonotonicNow() {
  timespec now{};
  ORRERY_CHECK_OP(::clock_gettime(CLOCK_MONOTONIC, &now), ==, 0);
  return now.tv_sec * kSecond + now.tv_nsec;
}

}  // namespace

std::string RunningKernelVersion() {
  utsname name{};
  if (::uname(&name) != 0) return "of unknown version";
  const std::string_view release = name.release;
  // Major and minor; what follows the second number says nothing about features.
  const size_t first_dot = release.find('.');
  if (first_dot == std::string_view::npos) return std::string(release);
  const size_t end = release.find_first_not_of("0123456789", first_dot + 1);
  return std::string(release.substr(0, end));
}

std::string ExplainSetupFailure(Errno error, const std::string& kernel, int disabled_sysctl) {
  const std::string prefix = "cannot set up io_uring on Linux " + kernel + ": ";
  switch (error.value()) {
    case ENOSYS:
      return prefix +
             "the kernel, or the sandbox or container around this process, does not have it "
             "(Linux 6.0 or newer with CONFIG_IO_URING is needed)";
    case EPERM:
      if (disabled_sysctl == 2) {
        return prefix + "it is disabled for every process by sysctl kernel.io_uring_disabled=2";
      }
      if (disabled_sysctl == 1) {
        return prefix +
               "it is disabled for unprivileged processes by sysctl kernel.io_uring_disabled=1 "
               "(set it to 0, or join the group that kernel.io_uring_group names)";
      }
      return prefix +
             "not permitted, most likely by a container's seccomp profile (allow io_uring_setup, "
             "io_uring_enter and io_uring_register)";
    case ENOMEM: {
      rlimit limit{};
      const bool limited =
          ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
      return prefix + "out of memory, or over the limit of locked memory" +
             (limited ? " (ulimit -l is " + std::to_string(limit.rlim_cur / kKiB) + " KiB)" : "");
    }
    case EMFILE:
      return prefix + "this process has no descriptor left (raise ulimit -n)";
    case EINVAL:
      return prefix + "the kernel refuses even the plainest set-up (Linux 6.0 or newer is needed)";
    default:
      return prefix + error.ToString();
  }
}

std::expected<std::unique_ptr<LiburingRing>, std::string> LiburingRing::Create(
    const RingOptions& options, RingMode best_mode) {
  ORRERY_CHECK(options.sq_entries > 0);
  int error = EINVAL;
  for (const RingMode mode : kModes) {
    if (mode < best_mode) continue;
    io_uring_params parameters{};
    parameters.flags = SetupFlags(mode);
    parameters.cq_entries = std::max(options.cq_entries, options.sq_entries);
    io_uring memory{};
    error = -::io_uring_queue_init_params(options.sq_entries, &memory, &parameters);
    if (error == EINVAL) continue;  // Perhaps a flag that this kernel does not know.
    if (error != 0) break;

    std::unique_ptr<LiburingRing> ring(new LiburingRing(mode));
    ring->memory_ = memory;
    ring->has_minimum_wait_ = (memory.features & kFeatureMinimumWait) != 0;
    // The index array stays the identity for good: slot i of the queue is SQE i.
    for (unsigned i = 0; i < memory.sq.ring_entries; ++i) memory.sq.array[i] = i;
    if (const char* missing = ring->MissingFeature(); missing != nullptr) {
      return std::unexpected("io_uring of Linux " + RunningKernelVersion() + " does not have " +
                             missing + ", which is needed (Linux 6.0 or newer has it)");
    }
    return ring;
  }
  return std::unexpected(
      ExplainSetupFailure(Errno(error), RunningKernelVersion(), ReadDisabledSysctl()));
}

LiburingRing::~LiburingRing() { ::io_uring_queue_exit(&memory_); }

const char* LiburingRing::MissingFeature() {
  if ((memory_.features & kFeatures) != kFeatures) {
    return "the features EXT_ARG, NODROP, SUBMIT_STABLE and FAST_POLL";
  }
  const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(
      ::io_uring_get_probe_ring(&memory_), ::io_uring_free_probe);
  if (probe == nullptr) return "the operation probe";
  for (const int operation : kOperations) {
    if (::io_uring_opcode_supported(probe.get(), operation) == 0) {
      return "all of the operations read, write, send, receive, accept, timeout, cancel, shutdown, "
             "close, poll and message between rings";
    }
  }
  if (!HasBufferRings()) return "rings of provided buffers";

  // A kernel that knows the multishot forms gets as far as seeing that an eventfd is no socket;
  // one that does not refuses the flag (EINVAL) first.
  const int not_a_socket = ::eventfd(0, EFD_CLOEXEC);
  if (not_a_socket < 0) return "an eventfd to probe it with";
  io_uring_sqe accept{};
  ::io_uring_prep_multishot_accept(&accept, not_a_socket, nullptr, nullptr, 0);
  const bool has_accept = ResultOf(accept) == -ENOTSOCK;
  io_uring_sqe receive{};
  ::io_uring_prep_recv_multishot(&receive, not_a_socket, nullptr, 0, 0);
  receive.flags |= IOSQE_BUFFER_SELECT;
  receive.buf_group = kProbeBufferGroup;
  const bool has_receive = ResultOf(receive) == -ENOTSOCK;
  ::close(not_a_socket);
  if (!has_accept) return "multishot accept";
  if (!has_receive) return "multishot receive";
  return nullptr;
}

bool LiburingRing::HasBufferRings() {
  const size_t bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);  // The ABI carries a pointer so.
  registration.ring_entries = 1;
  registration.bgid = kProbeBufferGroup;
  const bool works = ::io_uring_register_buf_ring(&memory_, &registration, 0) == 0;
  if (works) ::io_uring_unregister_buf_ring(&memory_, kProbeBufferGroup);
  ::munmap(memory, bytes);
  return works;
}

std::optional<int> LiburingRing::ResultOf(const io_uring_sqe& prepared) {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&memory_);
  ORRERY_CHECK(sqe != nullptr);
  *sqe = prepared;
  memory_.sq.sqe_head = memory_.sq.sqe_tail;
  // Release: the kernel that sees the tail sees the SQE.
  io_uring_smp_store_release(memory_.sq.ktail, memory_.sq.sqe_tail);
  EnterResult entered = 0;
  for (int tries = 0; tries < kProbeTriesMax; ++tries) {
    entered = Enter({.to_submit = 1, .min_complete = 0});
    // A signal, or memory that is short for a moment: it says nothing about the operation.
    if (entered || (entered.error() != EINTR && entered.error() != EAGAIN)) break;
  }
  if (entered != 1U) return std::nullopt;
  std::optional<int> result;
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&memory_, head, cqe) {
    result = cqe->res;
    ++seen;
  }
  ::io_uring_cq_advance(&memory_, seen);
  return result;
}

EnterResult LiburingRing::Enter(const EnterRequest& request) {
  unsigned flags = IORING_ENTER_GETEVENTS;
  io_uring_getevents_arg argument{};
  __kernel_timespec timeout{};
  void* extra = nullptr;
  size_t extra_bytes = 0;
  const bool waits = request.min_complete > 0;
  if (waits && (request.deadline != kNever || request.min_wait_us > 0)) {
    if (request.deadline != kNever) {
      const Nanoseconds left = std::max<Nanoseconds>(0, request.deadline - MonotonicNow());
      timeout.tv_sec = left / kSecond;
      timeout.tv_nsec = left % kSecond;
      argument.ts = reinterpret_cast<uint64_t>(&timeout);  // The ABI carries a pointer so.
    }
    // Named min_wait_usec since Linux 6.12; before, it had to be 0.
    if (has_minimum_wait_) argument.pad = request.min_wait_us;
    flags |= IORING_ENTER_EXT_ARG;
    extra = &argument;
    extra_bytes = sizeof argument;
  }
  // The parameter is a signal mask or, with EXT_ARG, this structure.
  const int result =
      ::io_uring_enter2(static_cast<unsigned>(memory_.ring_fd), request.to_submit,
                        request.min_complete, flags, static_cast<sigset_t*>(extra), extra_bytes);
  if (result < 0) return std::unexpected(Errno(-result));
  return static_cast<unsigned>(result);
}

std::expected<unsigned, Errno> LiburingRing::Register(unsigned opcode, const void* argument,
                                                      unsigned count) {
  const int result =
      ::io_uring_register(static_cast<unsigned>(memory_.ring_fd), opcode, argument, count);
  if (result < 0) return std::unexpected(Errno(-result));
  return static_cast<unsigned>(result);
}

std::string DescribeRing(const io_uring& memory) {
  const std::string text = "io_uring, Linux " + RunningKernelVersion() + ", ";
  if ((memory.flags & IORING_SETUP_DEFER_TASKRUN) != 0) return text + "SINGLE_ISSUER|DEFER_TASKRUN";
  if ((memory.flags & IORING_SETUP_COOP_TASKRUN) != 0) return text + "COOP_TASKRUN";
  return text + "plain";
}

}  // namespace orrery
