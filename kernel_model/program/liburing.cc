// liburing's out-of-line functions on the fake kernel: link this instead of liburing.
//
// Each does what liburing 2.3 does, call for call, down to the results that surprise (a wait with a
// timeout answers with what was submitted, fact W8; a peek on a deferred ring runs no task work).
// Below them are the three system calls, which are the model's. The program's own `struct io_uring`
// points into the memory of the model's ring, so that liburing's inline functions work on it.
//
// Thread: the program's. Calls from outside of a program, other threads among them, stop the run.
#include <liburing.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/check.h"
#include "kernel_model/program/program.h"

namespace orrery::model {
namespace {

constexpr uint8_t kRegisteredDescriptor = 1;  // INT_FLAG_REG_RING
constexpr unsigned kFlushFlags = IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN;
constexpr size_t kSignalSetBytes = _NSIG / 8;
constexpr unsigned kProbeOperations = 256;

[[noreturn]] void StopUnsupported(const char* call) {
  const std::string message = std::string("the fake kernel does not offer ") + call;
  CheckFailed(__FILE__, __LINE__, "known to the model", message.c_str());
}

Program& Caller() {
  Program* const program = Program::Current();
  ORRERY_CHECK_MSG(program != nullptr,
                   "liburing is the fake kernel's here: only a program that a world runs may call "
                   "it, and from its one thread");
  return *program;
}

int Enter(const io_uring& ring, const EnterCall& call) {
  return Caller().EnterRing(ring.ring_fd, call);
}

int Register(int fd, unsigned opcode, const void* argument, unsigned count) {
  Program& program = Caller();
  program.BeginCall();
  int result = program.system().open(fd) ? -EOPNOTSUPP : -EBADF;
  if (ModelRing* const ring = program.FindRing(fd)) {
    const auto answer = ring->Register(opcode, argument, count);
    result = answer ? static_cast<int>(*answer) : -answer.error().value();
  }
  program.EndCall();
  return result;
}

// Where liburing hides a positive answer.
int RegisterQuietly(const io_uring* ring, unsigned opcode, const void* argument, unsigned count) {
  const int result = Register(ring->ring_fd, opcode, argument, count);
  return result > 0 ? 0 : result;
}

bool NeedsEnter(const io_uring& ring) {
  return (ring.flags & IORING_SETUP_IOPOLL) != 0 ||
         (IO_URING_READ_ONCE(*ring.sq.kflags) & kFlushFlags) != 0;
}

// Shows the kernel what has been prepared; how much that is.
unsigned Publish(io_uring& ring) {
  io_uring_sq& sq = ring.sq;
  const unsigned tail = sq.sqe_tail;
  if (sq.sqe_head != tail) {
    sq.sqe_head = tail;
    io_uring_smp_store_release(sq.ktail, tail);
  }
  return tail - *sq.khead;
}

int Submit(io_uring& ring, unsigned submitted, unsigned wait_nr, bool get_events) {
  const bool events = get_events || wait_nr != 0 || NeedsEnter(ring);
  if (submitted == 0 && !events) return 0;
  return Enter(ring, {.to_submit = submitted,
                      .min_complete = wait_nr,
                      .flags = events ? unsigned{IORING_ENTER_GETEVENTS} : 0,
                      .argument = nullptr,
                      .argument_bytes = kSignalSetBytes});
}

// What a wait is asked for.
struct Demand {
  unsigned submit = 0;
  unsigned wait_nr = 0;
  unsigned flags = 0;
  const void* argument = nullptr;
  size_t argument_bytes = kSignalSetBytes;
  const io_uring_getevents_arg* timed = nullptr;  // The argument, when it has a timeout.
};

// _io_uring_get_cqe(): looks, enters, and looks again until there is something.
int GetCqe(io_uring& ring, io_uring_cqe** cqe_out, Demand demand) {
  io_uring_cqe* cqe = nullptr;
  bool entered = false;
  int result = 0;
  for (;;) {
    unsigned available = 0;
    const int peeked = __io_uring_peek_cqe(&ring, &cqe, &available);
    if (peeked != 0) {
      if (result == 0) result = peeked;
      break;
    }
    bool need_enter = false;
    if (cqe == nullptr && demand.wait_nr == 0 && demand.submit == 0) {
      if (entered || !NeedsEnter(ring)) {
        if (result == 0) result = -EAGAIN;
        if (!entered) Caller().LookAgain();
        break;
      }
      need_enter = true;
    }
    unsigned flags = 0;
    if (demand.wait_nr > available || need_enter) {
      flags = IORING_ENTER_GETEVENTS | demand.flags;
      need_enter = true;
    }
    if (!need_enter && demand.submit == 0) break;
    if (entered && demand.timed != nullptr) {
      if (cqe == nullptr && demand.timed->ts != 0 && result == 0) result = -ETIME;
      break;
    }
    const int consumed = Enter(ring, {.to_submit = demand.submit,
                                      .min_complete = demand.wait_nr,
                                      .flags = flags,
                                      .argument = demand.argument,
                                      .argument_bytes = demand.argument_bytes});
    if (consumed < 0) {
      if (result == 0) result = consumed;
      break;
    }
    demand.submit -= static_cast<unsigned>(consumed);
    if (cqe != nullptr) break;
    if (!entered) result = consumed;
    entered = true;
  }
  *cqe_out = cqe;
  return result;
}

int GetCqeInTime(io_uring& ring, io_uring_cqe** cqe, unsigned submit, unsigned wait_nr,
                 const __kernel_timespec* time, const sigset_t* mask) {
  // The ABI carries pointers as 64-bit integers.
  io_uring_getevents_arg argument{};
  argument.sigmask = reinterpret_cast<uint64_t>(mask);
  argument.sigmask_sz = kSignalSetBytes;
  argument.ts = reinterpret_cast<uint64_t>(time);
  return GetCqe(ring, cqe,
                {.submit = submit,
                 .wait_nr = wait_nr,
                 .flags = IORING_ENTER_EXT_ARG,
                 .argument = &argument,
                 .argument_bytes = sizeof argument,
                 .timed = &argument});
}

// The tables of files and buffers, by their newer call.
int RegisterTable(io_uring* ring, unsigned opcode, const void* data, const __u64* tags,
                  unsigned count, unsigned flags) {
  io_uring_rsrc_register request{};
  request.nr = count;
  request.flags = flags;
  request.data = reinterpret_cast<uint64_t>(data);
  request.tags = reinterpret_cast<uint64_t>(tags);
  return Register(ring->ring_fd, opcode, &request, sizeof request);
}

int UpdateTable(io_uring* ring, unsigned opcode, unsigned offset, const void* data,
                const __u64* tags, unsigned count) {
  io_uring_rsrc_update2 request{};
  request.offset = offset;
  request.data = reinterpret_cast<uint64_t>(data);
  request.tags = reinterpret_cast<uint64_t>(tags);
  request.nr = count;
  return Register(ring->ring_fd, opcode, &request, sizeof request);
}

}  // namespace
}  // namespace orrery::model

using orrery::model::Caller;
using orrery::model::GetCqe;
using orrery::model::GetCqeInTime;
using orrery::model::kRegisteredDescriptor;
using orrery::model::Program;
using orrery::model::Publish;
using orrery::model::Register;
using orrery::model::RegisterQuietly;
using orrery::model::RegisterTable;
using orrery::model::StopUnsupported;
using orrery::model::Submit;
using orrery::model::UpdateTable;

extern "C" {

// --- The system calls.

int io_uring_setup(unsigned int entries, struct io_uring_params* p) {
  return Caller().SetUpRing(entries, p);
}

int io_uring_enter2(unsigned int fd, unsigned int to_submit, unsigned int min_complete,
                    unsigned int flags, sigset_t* sig, size_t sz) {
  return Caller().EnterRing(static_cast<int>(fd), {.to_submit = to_submit,
                                                   .min_complete = min_complete,
                                                   .flags = flags,
                                                   .argument = sig,
                                                   .argument_bytes = sz});
}

int io_uring_enter(unsigned int fd, unsigned int to_submit, unsigned int min_complete,
                   unsigned int flags, sigset_t* sig) {
  return io_uring_enter2(fd, to_submit, min_complete, flags, sig, orrery::model::kSignalSetBytes);
}

int io_uring_register(unsigned int fd, unsigned int opcode, const void* arg, unsigned int nr_args) {
  return Register(static_cast<int>(fd), opcode, arg, nr_args);
}

// --- Setting up and ending.

int io_uring_queue_init_params(unsigned entries, struct io_uring* ring, struct io_uring_params* p) {
  Program& program = Caller();
  const int fd = program.SetUpRing(entries, p);
  if (fd < 0) return fd;
  *ring = program.FindRing(fd)->memory();
  ring->features = p->features;
  return 0;
}

int io_uring_queue_init(unsigned entries, struct io_uring* ring, unsigned flags) {
  io_uring_params parameters{};
  parameters.flags = flags;
  return io_uring_queue_init_params(entries, ring, &parameters);
}

int io_uring_queue_mmap(int, struct io_uring_params*, struct io_uring*) {
  StopUnsupported("io_uring_queue_mmap()");
}

int io_uring_ring_dontfork(struct io_uring* ring) {
  return Caller().FindRing(ring->ring_fd) != nullptr ? 0 : -EINVAL;
}

void io_uring_queue_exit(struct io_uring* ring) {
  Program& program = Caller();
  ORRERY_CHECK_MSG(program.FindRing(ring->ring_fd) != nullptr,
                   "io_uring_queue_exit() of a ring that is none, or was ended already");
  program.CloseRing(ring->ring_fd);
}

// Since NATIVE_WORKERS, rings are not counted as locked memory.
ssize_t io_uring_mlock_size_params(unsigned, struct io_uring_params*) { return 0; }
ssize_t io_uring_mlock_size(unsigned, unsigned) { return 0; }

// --- Submitting and waiting.

// The inline function of the same name is in the way.
struct io_uring_sqe* OutOfLineGetSqe(struct io_uring* ring) __asm__("io_uring_get_sqe");
struct io_uring_sqe* OutOfLineGetSqe(struct io_uring* ring) { return _io_uring_get_sqe(ring); }

int io_uring_submit(struct io_uring* ring) { return Submit(*ring, Publish(*ring), 0, false); }

int io_uring_submit_and_wait(struct io_uring* ring, unsigned wait_nr) {
  return Submit(*ring, Publish(*ring), wait_nr, false);
}

int io_uring_submit_and_get_events(struct io_uring* ring) {
  return Submit(*ring, Publish(*ring), 0, true);
}

int io_uring_get_events(struct io_uring* ring) {
  return orrery::model::Enter(*ring, {.to_submit = 0,
                                      .min_complete = 0,
                                      .flags = IORING_ENTER_GETEVENTS,
                                      .argument = nullptr,
                                      .argument_bytes = orrery::model::kSignalSetBytes});
}

int __io_uring_get_cqe(struct io_uring* ring, struct io_uring_cqe** cqe_ptr, unsigned submit,
                       unsigned wait_nr, sigset_t* sigmask) {
  return GetCqe(*ring, cqe_ptr, {.submit = submit, .wait_nr = wait_nr, .argument = sigmask});
}

int io_uring_wait_cqes(struct io_uring* ring, struct io_uring_cqe** cqe_ptr, unsigned wait_nr,
                       struct __kernel_timespec* ts, sigset_t* sigmask) {
  if (ts != nullptr) return GetCqeInTime(*ring, cqe_ptr, 0, wait_nr, ts, sigmask);
  return __io_uring_get_cqe(ring, cqe_ptr, 0, wait_nr, sigmask);
}

int io_uring_wait_cqe_timeout(struct io_uring* ring, struct io_uring_cqe** cqe_ptr,
                              struct __kernel_timespec* ts) {
  return io_uring_wait_cqes(ring, cqe_ptr, 1, ts, nullptr);
}

int io_uring_submit_and_wait_timeout(struct io_uring* ring, struct io_uring_cqe** cqe_ptr,
                                     unsigned wait_nr, struct __kernel_timespec* ts,
                                     sigset_t* sigmask) {
  const unsigned submit = Publish(*ring);
  if (ts != nullptr) return GetCqeInTime(*ring, cqe_ptr, submit, wait_nr, ts, sigmask);
  return __io_uring_get_cqe(ring, cqe_ptr, submit, wait_nr, sigmask);
}

unsigned io_uring_peek_batch_cqe(struct io_uring* ring, struct io_uring_cqe** cqes,
                                 unsigned count) {
  unsigned ready = io_uring_cq_ready(ring);
  if (ready == 0 && (IO_URING_READ_ONCE(*ring->sq.kflags) & orrery::model::kFlushFlags) != 0) {
    io_uring_get_events(ring);
    ready = io_uring_cq_ready(ring);
  } else if (ready == 0) {
    Caller().LookAgain();
    return 0;
  }
  if (count > ready) count = ready;
  const unsigned shift = io_uring_cqe_shift(ring);
  const unsigned head = *ring->cq.khead;
  for (unsigned i = 0; i < count; ++i) {
    cqes[i] = &ring->cq.cqes[((head + i) & ring->cq.ring_mask) << shift];
  }
  return count;
}

int __io_uring_sqring_wait(struct io_uring*) { StopUnsupported("rings with SQPOLL"); }

// --- Probing.

int io_uring_register_probe(struct io_uring* ring, struct io_uring_probe* p, unsigned nr) {
  return RegisterQuietly(ring, IORING_REGISTER_PROBE, p, nr);
}

struct io_uring_probe* io_uring_get_probe_ring(struct io_uring* ring) {
  constexpr unsigned kCount = orrery::model::kProbeOperations;
  void* const memory = std::calloc(1, sizeof(io_uring_probe) + kCount * sizeof(io_uring_probe_op));
  if (memory == nullptr) return nullptr;
  auto* const probe = static_cast<io_uring_probe*>(memory);
  if (io_uring_register_probe(ring, probe, kCount) >= 0) return probe;
  std::free(memory);
  return nullptr;
}

struct io_uring_probe* io_uring_get_probe(void) {
  struct io_uring ring;
  if (io_uring_queue_init(2, &ring, 0) < 0) return nullptr;
  struct io_uring_probe* const probe = io_uring_get_probe_ring(&ring);
  io_uring_queue_exit(&ring);
  return probe;
}

void io_uring_free_probe(struct io_uring_probe* probe) { std::free(probe); }

// --- Buffers.

int io_uring_register_buffers(struct io_uring* ring, const struct iovec* iovecs,
                              unsigned nr_iovecs) {
  return RegisterQuietly(ring, IORING_REGISTER_BUFFERS, iovecs, nr_iovecs);
}

int io_uring_register_buffers_tags(struct io_uring* ring, const struct iovec* iovecs,
                                   const __u64* tags, unsigned nr) {
  return RegisterTable(ring, IORING_REGISTER_BUFFERS2, iovecs, tags, nr, 0);
}

int io_uring_register_buffers_sparse(struct io_uring* ring, unsigned nr) {
  return RegisterTable(ring, IORING_REGISTER_BUFFERS2, nullptr, nullptr, nr,
                       IORING_RSRC_REGISTER_SPARSE);
}

int io_uring_register_buffers_update_tag(struct io_uring* ring, unsigned off,
                                         const struct iovec* iovecs, const __u64* tags,
                                         unsigned nr) {
  return UpdateTable(ring, IORING_REGISTER_BUFFERS_UPDATE, off, iovecs, tags, nr);
}

int io_uring_unregister_buffers(struct io_uring* ring) {
  return RegisterQuietly(ring, IORING_UNREGISTER_BUFFERS, nullptr, 0);
}

int io_uring_register_buf_ring(struct io_uring* ring, struct io_uring_buf_reg* reg, unsigned int) {
  return Register(ring->ring_fd, IORING_REGISTER_PBUF_RING, reg, 1);
}

int io_uring_unregister_buf_ring(struct io_uring* ring, int bgid) {
  io_uring_buf_reg registration{};
  registration.bgid = static_cast<__u16>(bgid);
  return Register(ring->ring_fd, IORING_UNREGISTER_PBUF_RING, &registration, 1);
}

// --- Files.

int io_uring_register_files(struct io_uring* ring, const int* files, unsigned nr_files) {
  return Register(ring->ring_fd, IORING_REGISTER_FILES, files, nr_files);
}

int io_uring_register_files_tags(struct io_uring* ring, const int* files, const __u64* tags,
                                 unsigned nr) {
  return RegisterTable(ring, IORING_REGISTER_FILES2, files, tags, nr, 0);
}

int io_uring_register_files_sparse(struct io_uring* ring, unsigned nr) {
  return RegisterTable(ring, IORING_REGISTER_FILES2, nullptr, nullptr, nr,
                       IORING_RSRC_REGISTER_SPARSE);
}

int io_uring_register_files_update(struct io_uring* ring, unsigned off, const int* files,
                                   unsigned nr_files) {
  io_uring_files_update request{};
  request.offset = off;
  request.fds = reinterpret_cast<uint64_t>(files);
  return Register(ring->ring_fd, IORING_REGISTER_FILES_UPDATE, &request, nr_files);
}

int io_uring_register_files_update_tag(struct io_uring* ring, unsigned off, const int* files,
                                       const __u64* tags, unsigned nr_files) {
  return UpdateTable(ring, IORING_REGISTER_FILES_UPDATE2, off, files, tags, nr_files);
}

int io_uring_unregister_files(struct io_uring* ring) {
  return RegisterQuietly(ring, IORING_UNREGISTER_FILES, nullptr, 0);
}

int io_uring_register_file_alloc_range(struct io_uring* ring, unsigned off, unsigned len) {
  io_uring_file_index_range range{};
  range.off = off;
  range.len = len;
  return Register(ring->ring_fd, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
}

// --- The rest of io_uring_register(2).

int io_uring_register_eventfd(struct io_uring* ring, int fd) {
  return RegisterQuietly(ring, IORING_REGISTER_EVENTFD, &fd, 1);
}

int io_uring_register_eventfd_async(struct io_uring* ring, int fd) {
  return RegisterQuietly(ring, IORING_REGISTER_EVENTFD_ASYNC, &fd, 1);
}

int io_uring_unregister_eventfd(struct io_uring* ring) {
  return RegisterQuietly(ring, IORING_UNREGISTER_EVENTFD, nullptr, 0);
}

int io_uring_register_personality(struct io_uring* ring) {
  return Register(ring->ring_fd, IORING_REGISTER_PERSONALITY, nullptr, 0);
}

int io_uring_unregister_personality(struct io_uring* ring, int id) {
  return Register(ring->ring_fd, IORING_UNREGISTER_PERSONALITY, nullptr, static_cast<unsigned>(id));
}

int io_uring_register_restrictions(struct io_uring* ring, struct io_uring_restriction* res,
                                   unsigned int nr_res) {
  return RegisterQuietly(ring, IORING_REGISTER_RESTRICTIONS, res, nr_res);
}

int io_uring_enable_rings(struct io_uring* ring) {
  return Register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

int io_uring_register_iowq_aff(struct io_uring* ring, size_t cpusz, const cpu_set_t* mask) {
  if (cpusz > (1U << 31) - 1) return -EINVAL;
  return Register(ring->ring_fd, IORING_REGISTER_IOWQ_AFF, mask, static_cast<unsigned>(cpusz));
}

int io_uring_unregister_iowq_aff(struct io_uring* ring) {
  return Register(ring->ring_fd, IORING_UNREGISTER_IOWQ_AFF, nullptr, 0);
}

int io_uring_register_iowq_max_workers(struct io_uring* ring, unsigned int* values) {
  return Register(ring->ring_fd, IORING_REGISTER_IOWQ_MAX_WORKERS, values, 2);
}

// A quicker name for the ring's descriptor. Calls with a `struct io_uring` find it by the other,
// and what liburing 2.3 does not look at is not looked at here: both may be called twice.
int io_uring_register_ring_fd(struct io_uring* ring) {
  if (Caller().FindRing(ring->ring_fd) == nullptr) return -EBADF;
  ring->int_flags |= kRegisteredDescriptor;
  ring->enter_ring_fd = 0;
  return 1;
}

int io_uring_unregister_ring_fd(struct io_uring* ring) {
  ring->int_flags &= static_cast<uint8_t>(~kRegisteredDescriptor);
  ring->enter_ring_fd = ring->ring_fd;
  return 1;
}

int io_uring_register_sync_cancel(struct io_uring* ring, struct io_uring_sync_cancel_reg* reg) {
  return Register(ring->ring_fd, IORING_REGISTER_SYNC_CANCEL, reg, 1);
}

}  // extern "C"
