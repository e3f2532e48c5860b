#include "kernel_model/ring_core.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "kernel_model/memory_guard.h"
#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

constexpr uint64_t kReservedUserData = ~uint64_t{0};  // LIBURING_UDATA_TIMEOUT
constexpr size_t kCacheLine = 64;

// Heads, tails and flags, each on a line of its own as in the kernel's io_rings.
struct SharedWords {
  alignas(kCacheLine) unsigned sq_head = 0;
  alignas(kCacheLine) unsigned sq_tail = 0;
  alignas(kCacheLine) unsigned cq_head = 0;
  alignas(kCacheLine) unsigned cq_tail = 0;
  alignas(kCacheLine) unsigned sq_flags = 0;
  unsigned sq_dropped = 0;
  unsigned sq_mask = 0;
  unsigned sq_entries = 0;
  unsigned cq_flags = 0;
  unsigned cq_overflow = 0;
  unsigned cq_mask = 0;
  unsigned cq_entries = 0;
};

bool IsReadOrWrite(uint8_t opcode) {
  return opcode == IORING_OP_READ || opcode == IORING_OP_WRITE || opcode == IORING_OP_READV ||
         opcode == IORING_OP_WRITEV || opcode == IORING_OP_READ_FIXED ||
         opcode == IORING_OP_WRITE_FIXED || opcode == kOpReadvFixed || opcode == kOpWritevFixed;
}

// kiocb_done(): the errors of writes are posted by task work, those of reads are not.
bool EndsByTaskWork(const Request& request) {
  if (request.file != nullptr && request.file->on_disk()) return false;  // Its worker posts them.
  return request.opcode == IORING_OP_WRITE || request.opcode == IORING_OP_WRITEV ||
         request.opcode == IORING_OP_WRITE_FIXED || request.opcode == kOpWritevFixed;
}

bool WritesMemory(uint8_t opcode) {
  return opcode == IORING_OP_RECV || opcode == IORING_OP_RECVMSG || opcode == IORING_OP_READ ||
         opcode == IORING_OP_READV || opcode == IORING_OP_READ_FIXED || opcode == kOpReadvFixed;
}

Attempt TryReadOrWrite(RingCore& ring, Request& request) {
  const bool read = request.opcode == IORING_OP_READ || request.opcode == IORING_OP_READV ||
                    request.opcode == IORING_OP_READ_FIXED || request.opcode == kOpReadvFixed;
  if (request.file->on_disk()) return TryFileTransfer(ring, request);
  const bool is_pipe = request.file->kind == FileKind::kPipe;
  if (request.buffer_select && request.file->kind == FileKind::kEventFd) {
    StopUnknown("buffer selection with opcode", request.opcode);
  }
  const auto rw_flags = static_cast<uint32_t>(request.argument);
  if ((rw_flags & ~kRwfNowait) != 0) StopUnknown("rw_flags", rw_flags);
  if (is_pipe) return TryPipeTransfer(ring, request);
  if (request.file->kind == FileKind::kEventFd) {
    return read ? TryEventFdRead(ring, request) : TryEventFdWrite(ring, request);
  }
  return read ? TryReceive(ring, request) : TrySend(ring, request);
}

Attempt OnWorker(RingCore& ring, Request& request) {
  ring.StartWorker(request);
  return Attempt::Pending();
}

Attempt Try(RingCore& ring, Request& request) {
  if (!ImportFixedBuffer(ring, request)) return Attempt::Done(-EFAULT);
  if (request.force_worker || IsFileOperation(request.opcode)) return OnWorker(ring, request);
  if (IsNameOperation(request.opcode)) return TryNameOperation(ring, request);
  switch (request.opcode) {
    case IORING_OP_NOP:
      return Attempt::Done(request.result);
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_WRITE_FIXED:
    case kOpReadvFixed:
    case kOpWritevFixed:
      return TryReadOrWrite(ring, request);
    case kOpReadMultishot:
      if (request.file->on_disk()) return Attempt::Done(-EBADFD);  // Fact M15.
      if (request.file->kind == FileKind::kPipe) return TryPipeTransfer(ring, request);
      return request.file->kind == FileKind::kEventFd ? TryEventFdReadMultishot(ring, request)
                                                      : TryReceive(ring, request);
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
      return TryReceive(ring, request);
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
      return TrySend(ring, request);
    case IORING_OP_ACCEPT:
      return TryAccept(ring, request);
    case IORING_OP_POLL_ADD:
      return TryPollAdd(ring, request);
    case IORING_OP_POLL_REMOVE:
      return TryPollRemove(ring, request);
    case IORING_OP_TIMEOUT:
      return TryTimeout(ring, request);
    case IORING_OP_LINK_TIMEOUT:
      return Attempt::Done(-ECANCELED);  // io_no_issue(): it guards nothing any more.
    case IORING_OP_TIMEOUT_REMOVE:
      return TryTimeoutRemove(ring, request);
    case IORING_OP_ASYNC_CANCEL:
      return TryCancel(ring, request);
    case IORING_OP_CLOSE:
      return TryClose(ring, request);
    case IORING_OP_SOCKET:
      return TrySocket(ring, request);
    case kOpBind:
      return TryBind(ring, request);
    case kOpListen:
      return TryListen(ring, request);
    case IORING_OP_CONNECT:
      return TryConnect(ring, request);
    case kOpPipe:
      return TryPipe(ring, request);
    case IORING_OP_FILES_UPDATE:
      return TryFilesUpdate(ring, request);
    case IORING_OP_SHUTDOWN:
      return TryShutdown(ring, request);
    case IORING_OP_MSG_RING:
      return TryMessage(ring, request);
    default:
      StopUnknown("opcode", request.opcode);
  }
}

// Whether it is a worker's that is the first to issue it.
bool IsUntried(const Request& request) {
  return request.at_worker && (request.force_worker || !IsReadOrWrite(request.opcode));
}

// Whether a worker does more with it than issue it.
bool IsFinishedElsewhere(const Request& request) {
  const bool forced = request.force_worker && request.opcode != IORING_OP_RECV;
  return request.opcode == IORING_OP_SHUTDOWN || forced || IsFileOperation(request.opcode) ||
         IsNameOperation(request.opcode);
}

// What a worker, or the disk, does when its time has come.
void FinishElsewhere(RingCore& ring, Request& request) {
  if (request.opcode == IORING_OP_SHUTDOWN) {
    FinishShutdown(ring, request);
  } else if (request.opcode == IORING_OP_NOP) {
    ring.EndWork(request, request.result);
  } else if (IsNameOperation(request.opcode)) {
    FinishNameOperation(ring, request);
  } else {
    FinishFileOperation(ring, request);
  }
}

}  // namespace

RingCore::RingCore(Machine& ring_machine, io_uring& memory, OpenFile& ring_file,
                   uint64_t ring_number, const RingSetUp& set_up)
    : machine(ring_machine),
      number(ring_number),
      own_file(ring_file),
      completions(memory, set_up.flags),
      memory_(memory),
      deferred_((set_up.flags & IORING_SETUP_DEFER_TASKRUN) != 0),
      submits_all_((set_up.flags & IORING_SETUP_SUBMIT_ALL) != 0),
      shows_task_work_((set_up.flags & IORING_SETUP_TASKRUN_FLAG) != 0),
      disabled_((set_up.flags & IORING_SETUP_R_DISABLED) != 0) {
  if ((set_up.flags & IORING_SETUP_SINGLE_ISSUER) != 0 && !disabled_) issuer_ = machine.thread;
  const unsigned sq_entries = set_up.sq_entries;
  const unsigned cq_entries = set_up.cq_entries;
  static_assert(sizeof(io_uring_sqe) == kCacheLine);
  static_assert(sizeof(io_uring_cqe) == 16);
  const size_t sqes_bytes = sq_entries * sizeof(io_uring_sqe);
  const size_t cqe_bytes =
      sizeof(io_uring_cqe) * ((set_up.flags & IORING_SETUP_CQE32) != 0 ? 2 : 1);
  const size_t cqes_bytes = cq_entries * cqe_bytes;
  const size_t bytes =
      sizeof(SharedWords) + sqes_bytes + cqes_bytes + sq_entries * sizeof(unsigned) + kCacheLine;
  storage_ = std::make_unique<std::byte[]>(bytes);
  void* start = storage_.get();
  size_t space = bytes;
  std::align(kCacheLine, bytes - kCacheLine, start, space);
  auto* const words = new (start) SharedWords();
  auto* const after = static_cast<std::byte*>(start) + sizeof(SharedWords);
  // The storage is zeroed and aligned; SQEs, CQEs and indices are plain data.
  memory_.sq.sqes = reinterpret_cast<io_uring_sqe*>(after);
  memory_.cq.cqes = reinterpret_cast<io_uring_cqe*>(after + sqes_bytes);
  if ((set_up.flags & kSetUpNoSqArray) == 0) {  // Fact S5.
    memory_.sq.array = reinterpret_cast<unsigned*>(after + sqes_bytes + cqes_bytes);
    for (unsigned index = 0; index < sq_entries; ++index) memory_.sq.array[index] = index;
  }
  words->sq_mask = memory_.sq.ring_mask = sq_entries - 1;
  words->sq_entries = memory_.sq.ring_entries = sq_entries;
  words->cq_mask = memory_.cq.ring_mask = cq_entries - 1;
  words->cq_entries = memory_.cq.ring_entries = cq_entries;
  memory_.sq.khead = &words->sq_head;
  memory_.sq.ktail = &words->sq_tail;
  memory_.sq.kring_mask = &words->sq_mask;
  memory_.sq.kring_entries = &words->sq_entries;
  memory_.sq.kflags = &words->sq_flags;
  memory_.sq.kdropped = &words->sq_dropped;
  memory_.sq.ring_ptr = start;
  memory_.sq.ring_sz = bytes - kCacheLine;
  memory_.cq.khead = &words->cq_head;
  memory_.cq.ktail = &words->cq_tail;
  memory_.cq.kring_mask = &words->cq_mask;
  memory_.cq.kring_entries = &words->cq_entries;
  memory_.cq.kflags = &words->cq_flags;
  memory_.cq.koverflow = &words->cq_overflow;
  memory_.cq.ring_ptr = start;
  memory_.cq.ring_sz = bytes - kCacheLine;
  memory_.flags = set_up.flags;
  memory_.features = kRingFeatures;
}

RingCore::~RingCore() {
  // Fact X6: requests end with their ring, unseen. Those that wait are in the table or in task
  // work, and some in both.
  std::vector<Request*> doomed;
  for (Request* request = table.newest(); request != nullptr; request = request->older) {
    doomed.push_back(request);
  }
  for (const std::deque<Request*>* queue : {&retry_, &fresh_}) {
    for (Request* request : *queue) {
      if (!request->tracked && request->state != RequestState::kMessage) doomed.push_back(request);
    }
  }
  machine.tcp.ForgetPayloads(*this);
  doomed.insert(doomed.end(), notifying_.begin(), notifying_.end());
  const auto free = [&](Request& request) {
    machine.timers.Disarm(request.timer);
    if (request.file != nullptr) {
      request.file->waiters.Remove(request);
      machine.DropReference(*request.file);
    }
    table.Remove(request);
    pool_.Free(request);
  };
  for (Request* request : doomed) free(*request);
  pool_.ForEach(free);  // Those that had not been issued.
  ORRERY_CHECK_OP(pool_.size(), ==, size_t{0});
  if (event_fd_ != nullptr) machine.DropReference(*event_fd_);
  if (fixed_files.has_value()) {
    for (OpenFile* file : *fixed_files) {
      if (file != nullptr) machine.DropReference(*file);
    }
  }
}

OpenFile* RingCore::FindFile(int file_number, bool fixed) const {
  if (!fixed) return machine.descriptors.Find(file_number);
  if (!fixed_files.has_value() || file_number < 0) return nullptr;
  const auto slot = static_cast<size_t>(file_number);
  return slot < fixed_files->size() ? (*fixed_files)[slot] : nullptr;
}

BufferGroup* RingCore::FindGroup(uint16_t group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : found->second.get();
}

// --- Submission

unsigned RingCore::Submit(unsigned to_submit) {
  consuming_ = true;
  const unsigned consumed = ConsumeBatch(to_submit);
  CloseChain();
  Flush();
  consuming_ = false;
  RunWorkers();
  return consumed;
}

unsigned RingCore::ConsumeBatch(unsigned to_submit) {
  unsigned head = *memory_.sq.khead;
  // Acquire: the SQEs below the tail are complete.
  const unsigned tail = __atomic_load_n(memory_.sq.ktail, __ATOMIC_ACQUIRE);
  const unsigned queued = tail - head;
  if (queued > memory_.sq.ring_entries) {
    machine.Violate("submission-queue-tail", "ring " + std::to_string(number) + " has " +
                                                 std::to_string(queued) + " SQEs queued of " +
                                                 std::to_string(memory_.sq.ring_entries));
    return 0;
  }
  unsigned count = std::min(to_submit, queued);
  if (count >= 2) {
    count -= static_cast<unsigned>(machine.Choose(Site::kEnterConsumesFewer, number, count));
  }
  for (unsigned consumed = 0; consumed < count; ++consumed) {
    unsigned index = head & memory_.sq.ring_mask;
    if (memory_.sq.array != nullptr) index = memory_.sq.array[index];
    __atomic_store_n(memory_.sq.khead, ++head, __ATOMIC_RELEASE);
    if (index >= memory_.sq.ring_entries) {  // Fact U7.
      ++*memory_.sq.kdropped;
      return consumed;
    }
    // A copy: the slot may be reused as soon as Enter returns (fact U8).
    const io_uring_sqe sqe = memory_.sq.sqes[index];
    if (!Consume(sqe) && !submits_all_) return consumed + 1;
  }
  return count;
}

bool RingCore::Consume(const io_uring_sqe& sqe) {
  if (machine.bystander != nullptr) machine.bystander->BeforeOperation(number, sqe);
  machine.EmitSqe(sqe);
  machine.Emit(EventKind::kSubmit, number, static_cast<int64_t>(sqe.user_data), sqe.opcode);
  if (sqe.user_data == kReservedUserData) {
    machine.Violate("reserved-user-data",
                    "an SQE of opcode " + std::to_string(sqe.opcode) + " carries user data ~0");
  }
  Request& request = pool_.Allocate();
  request.number = next_request_number_++;
  request.ring = this;
  request.user_data = sqe.user_data;
  request.opcode = sqe.opcode;
  request.timer.request = &request;
  request.file_number = sqe.fd;
  request.file_fixed = (sqe.flags & IOSQE_FIXED_FILE) != 0;
  ReadLinks(request, sqe.flags);
  // Fact U4.
  int32_t prepared = sqe.opcode < kOpcodes && (sqe.flags & kUnknownFlags) == 0 ? 0 : -EINVAL;
  if (sqe.opcode >= kOpcodes) request.opcode = IORING_OP_NOP;
  if (prepared == 0) prepared = ReadFlags(request, sqe.flags);
  if (prepared == 0) prepared = Prepare(*this, request, sqe);
  const bool chain_goes_on = request.linked;
  Place(request, prepared);
  return prepared == 0 || chain_goes_on;
}

void RingCore::Issue(Request& request, bool from_task_work) {
  request.state = RequestState::kIssued;
  if (NeedsFile(request)) {
    request.file = FindFile(request.file_number, request.file_fixed);
    if (request.file == nullptr) {
      End(request, -EBADF);
      return;
    }
    if (request.file->kind == FileKind::kRing && request.opcode != IORING_OP_MSG_RING &&
        request.opcode != IORING_OP_POLL_ADD) {
      StopUnknown("an operation on a ring's descriptor, opcode", request.opcode);
    }
    machine.AddReference(*request.file);
  }
  if (request.poll_first) {  // io_recv() and io_send() do not even look.
    StartItsTimeout(request);
    if (request.no_wait) {
      End(request, -EAGAIN);
    } else {
      Arm(request);
    }
    return;
  }
  Execute(request, from_task_work);
}

bool RingCore::Execute(Request& request, bool from_task_work) {
  if (request.guarded && WritesMemory(request.opcode)) CheckGuardedMemory(request);
  const Attempt attempt = Try(*this, request);
  // Then it has a successor, and outlives its end until that is flushed.
  const bool timed = request.timeout_follows;
  // __io_issue_sqe() starts it when the operation has been issued: a poll waits by then, what is
  // polled for does not yet, and what is left to a worker has not been issued at all.
  const bool polls = request.opcode == IORING_OP_POLL_ADD;
  if (timed && attempt.kind != Attempt::Kind::kDone && !polls && !IsUntried(request)) {
    StartItsTimeout(request);
  }
  switch (attempt.kind) {
    case Attempt::Kind::kDone:
      // What is refused before it is tried is not (io_rw_init_file()).
      if (attempt.result < 0 && attempt.result != -EBADF && EndsByTaskWork(request)) {
        EndLater(request, attempt.result, /*forced=*/false);
      } else {
        End(request, attempt.result, attempt.flags, attempt.buffer);
      }
      if (timed) StartItsTimeout(request);
      return false;
    case Attempt::Kind::kPending:
      return false;
    case Attempt::Kind::kRequeue:
      if (from_task_work) {
        request.wakes = 1;
        request.wake_mask = 0;
        QueueTaskWork(request, /*forced=*/false);
        return false;
      }
      break;
    case Attempt::Kind::kWait:
      break;
  }
  if (request.no_wait) {
    End(request, CutShort(request, EAGAIN));
    return false;
  }
  if (request.state == RequestState::kArmed) return true;
  if (machine.bystander != nullptr) machine.bystander->BeforeWaiting(number, request.user_data);
  Arm(request);
  if (timed && polls) StartItsTimeout(request);
  return true;
}

void RingCore::Arm(Request& request) {
  // A datagram socket that is shut down is ready, and has nothing: fact E11.
  const bool in_vain =
      request.file->kind == FileKind::kDatagram && request.file->datagrams->read_shut;
  if (++request.arms >= kArmsMax && in_vain) {
    StartWorker(request);
    return;
  }
  GuardMemory(request);
  request.state = RequestState::kArmed;
  request.wakes = 0;
  request.file->waiters.Add(request);
  table.Insert(request);
  const uint32_t mask = machine.Readiness(*request.file) & request.wait_events;
  if (mask == 0) return;
  if (request.multishot) {
    machine.WakeRequest(request, mask);
    return;
  }
  Disarm(request);
  request.state = RequestState::kRetrying;
  QueueTaskWork(request, /*forced=*/true);
}

void RingCore::Disarm(Request& request) {
  request.file->waiters.Remove(request);
  table.Remove(request);
  request.state = RequestState::kIssued;
}

// --- The program's memory

void RingCore::GuardMemory(Request& request) {
  if (request.guarded || request.iovecs.empty()) return;
  if (request.bad_memory) return;  // Found out by the transfer.
  request.guarded = true;
  if (!WritesMemory(request.opcode)) {
    request.checksum = Checksum(request.iovecs);
    return;
  }
  size_t offset = request.cursor_offset;
  for (size_t index = request.cursor_index; index < request.iovecs.size(); ++index) {
    const iovec& part = request.iovecs[index];
    FillPattern(static_cast<std::byte*>(part.iov_base) + offset, part.iov_len - offset);
    offset = 0;
  }
}

void RingCore::CheckGuardedMemory(Request& request) {
  if (!request.guarded) return;
  if (!WritesMemory(request.opcode)) {
    if (Checksum(request.iovecs) != request.checksum) {
      machine.Violate("send-memory-changed-in-flight",
                      "user data " + std::to_string(request.user_data) +
                          ": the payload changed between submission and completion");
    }
    return;
  }
  size_t offset = request.cursor_offset;
  for (size_t index = request.cursor_index; index < request.iovecs.size(); ++index) {
    const iovec& part = request.iovecs[index];
    if (!HoldsPattern(static_cast<std::byte*>(part.iov_base) + offset, part.iov_len - offset)) {
      machine.Violate("receive-memory-written",
                      "user data " + std::to_string(request.user_data) +
                          ": memory of a receive was written to while the kernel owned it");
      request.guarded = false;  // Said once.
      return;
    }
    offset = 0;
  }
}

// --- Completion

bool RingCore::Failed(const Request& request, int32_t result) {
  if (request.failed) return true;
  if (request.never_fails) return false;                        // Fact L11.
  if (request.opcode == IORING_OP_LINK_TIMEOUT) return false;   // Fact Q9.
  if (result == -ETIME && request.etime_success) return false;  // Fact K7.
  if (result < 0) return true;
  const bool all_or_failed = request.wait_all || IsReadOrWrite(request.opcode);  // Facts L1, L2.
  return all_or_failed && static_cast<size_t>(result) != request.total_bytes;
}

bool RingCore::PostMore(Request& request, int32_t result, uint32_t flags, HandedBuffer buffer) {
  if (ended_since_flush()) Flush();  // As io_req_post_cqe() does, to keep the order.
  posted_since_flush_ = true;
  const CompletionQueue::Entry entry{.user_data = request.user_data,
                                     .res = result,
                                     .flags = flags | IORING_CQE_F_MORE,
                                     .buffer = buffer};
  if (!completions.TryPost(entry)) return false;
  machine.Emit(EventKind::kComplete, number, static_cast<int64_t>(entry.user_data), result,
               entry.flags);
  return true;
}

void RingCore::End(Request& request, int32_t result, uint32_t flags, HandedBuffer buffer) {
  ORRERY_CHECK(!request.queued);
  if (request.by_worker) {
    request.by_worker = false;
    request.result_flags = flags;
    request.result_buffer = buffer;
    EndLater(request, result, /*forced=*/true);
    return;
  }
  if (request.notifies) {
    EndZeroCopy(request, result, flags);
    return;
  }
  CheckGuardedMemory(request);
  if (request.held_flags != 0) {  // Fact B8: whatever it ends with.
    flags |= request.held_flags;
  }
  if (request.held_flags != 0 && WritesMemory(request.opcode)) {
    const iovec& held = request.iovecs.front();
    buffer = {.address = static_cast<std::byte*>(held.iov_base),
              .length = static_cast<uint32_t>(held.iov_len),
              .flags = request.held_flags};
  }
  if (request.file != nullptr) request.file->waiters.Remove(request);
  table.Remove(request);
  machine.timers.Disarm(request.timer);
  request.failed = Failed(request, result);
  if (!request.silent && (!request.skip_success || request.failed)) {
    unflushed_.push_back(
        {.user_data = request.user_data, .res = result, .flags = flags, .buffer = buffer});
    if (request.big_completion) {
      unflushed_.back().big = true;
      unflushed_.back().extra = {request.offset, request.new_user_data};
    }
    machine.Emit(EventKind::kComplete, number, static_cast<int64_t>(request.user_data), result,
                 flags);
  }
  OpenFile* const file = std::exchange(request.file, nullptr);
  if (request.link != nullptr || request.held) {
    request.state = RequestState::kEnded;
    ended_.push_back(&request);
  } else {
    pool_.Free(request);
    ++freed_since_flush_;
  }
  if (file != nullptr) machine.DropReference(*file);
}

void RingCore::EndLater(Request& request, int32_t result, bool forced) {
  if (request.file != nullptr) request.file->waiters.Remove(request);
  table.Remove(request);
  machine.timers.Disarm(request.timer);
  if (request.counts_completions) std::erase(counted_timeouts_, &request);
  request.state = RequestState::kEnding;
  request.result = result;
  QueueTaskWork(request, forced);
}

void RingCore::AddCountedTimeout(Request& request) {
  timeouts_looked_at_ = completion_sequence();
  request.completions_target = timeouts_looked_at_ + static_cast<uint32_t>(request.offset);
  counted_timeouts_.push_back(&request);
  timeouts_counted_ = true;
}

void RingCore::ForgetCount(Request& request) {
  if (request.counts_completions) std::erase(counted_timeouts_, &request);
  request.counts_completions = false;
  request.offset = 0;
}

void RingCore::EndCountedTimeouts() {
  // As in io_flush_timeouts(): in the order of their targets, and in its arithmetic, in which a
  // sequence that went back is beyond every target.
  const uint32_t sequence = completion_sequence();
  const uint32_t got = sequence - timeouts_looked_at_;
  for (;;) {
    Request* first = nullptr;
    uint32_t first_needs = 0;
    for (Request* request : counted_timeouts_) {
      const uint32_t needs = request->completions_target - timeouts_looked_at_;
      if (first != nullptr && needs >= first_needs) continue;
      first = request;
      first_needs = needs;
    }
    if (first == nullptr || got < first_needs) break;
    ++timeouts_ended_;
    EndLater(*first, 0, /*forced=*/true);
  }
  timeouts_looked_at_ = sequence;
}

void RingCore::Announce() {
  // As __io_commit_cqring_flush(): only if there is something new.
  if (timeouts_counted_) EndCountedTimeouts();
  if (announced_ == completions.written()) return;
  announced_ = completions.written();
  if (event_fd_ != nullptr) SignalEvent();
  if (!own_file.waiters.empty()) machine.Wake(own_file, POLLIN);
}

void RingCore::FlushBacklog() {
  if (!completions.has_backlog()) return;
  completions.Flush();
  Announce();
}

void RingCore::SignalEvent() {
  if ((*memory_.cq.kflags & IORING_CQ_EVENTFD_DISABLED) != 0) return;
  AddToEventFd(machine, *event_fd_);
}

uint32_t RingCore::Readiness() const {
  // As io_uring_poll().
  const bool work = completions.has_backlog() || (deferred_ && task_work_pending());
  uint32_t mask = completions.ready() > 0 || work ? POLLIN | POLLRDNORM : 0;
  // Acquire: as the kernel reads it.
  const unsigned tail = __atomic_load_n(memory_.sq.ktail, __ATOMIC_ACQUIRE);
  if (tail - *memory_.sq.khead != memory_.sq.ring_entries) mask |= POLLOUT | POLLWRNORM;
  return mask;
}

void RingCore::StartWorker(Request& request) {
  request.at_worker = true;
  Bystander* const bystander = machine.bystander;
  const bool held = bystander != nullptr && bystander->HoldsWorker(number, request.user_data);
  StartElsewhere(request, RequestState::kWorking,
                 held ? kNever : machine.ChooseWorkerDelay(number));
}

void RingCore::StartDisk(Request& request, Nanoseconds delay) {
  StartElsewhere(request, RequestState::kInFlight, delay);
}

void RingCore::StartElsewhere(Request& request, RequestState state, Nanoseconds delay) {
  GuardMemory(request);
  request.state = state;
  table.Insert(request);
  if (delay == kNever) return;
  if (delay == Machine::kAfterBatch && consuming_) {
    workers_.push_back(&request);
  } else if (delay <= 0) {
    Work(request);
  } else {
    machine.timers.Arm(request.timer, machine.now + delay);
  }
}

bool RingCore::RunWorker(uint64_t user_data) {
  Request* request = table.Find(user_data);
  while (request != nullptr && request->state != RequestState::kWorking) {
    request = RequestTable::NextSame(*request);
  }
  if (request == nullptr || request->timer.armed()) return false;
  std::erase(workers_, request);
  Work(*request);
  return true;
}

void RingCore::RunWorkers() {
  while (!workers_.empty()) {
    // Fact L10. Two shutdowns in a row show nothing of their order.
    const auto shows = [](const Request* request) { return request->opcode != IORING_OP_SHUTDOWN; };
    const bool free = std::any_of(workers_.begin(), workers_.end(), shows);
    const size_t index = free ? machine.Choose(Site::kWorkerOrder, number, workers_.size()) : 0;
    Request& request = *workers_[index];
    workers_.erase(workers_.begin() + static_cast<ptrdiff_t>(index));
    Work(request);
  }
}

void RingCore::CancelWorker(Request& request) {
  std::erase(workers_, &request);
  // It may have come back from a wait, with a part: io_sendrecv_fail(), io_rw_fail().
  EndLater(request, CutShort(request, ECANCELED), /*forced=*/true);
}

void RingCore::Work(Request& request) {
  const bool of_disk = request.file != nullptr && request.file->on_disk();
  if (!of_disk && !IsFinishedElsewhere(request)) {
    IssueByWorker(request);
    return;
  }
  if (WritesMemory(request.opcode)) CheckGuardedMemory(request);
  if (machine.bystander != nullptr) machine.bystander->BeforeWork(number, request.user_data);
  FinishElsewhere(*this, request);
}

void RingCore::IssueByWorker(Request& request) {
  // As io_wq_submit_work().
  table.Remove(request);
  request.on_worker = request.at_worker = request.force_worker = false;
  request.by_worker = true;
  request.began_on_worker = !request.multishot;
  request.poll_first |= request.multishot;  // Those wait first.
  if (request.file == nullptr) {
    Issue(request, /*from_task_work=*/false);
  } else {
    request.state = RequestState::kIssued;
    Execute(request, /*from_task_work=*/false);
  }
  request.by_worker = false;
}

void RingCore::EndWork(Request& request, int32_t result) {
  const bool by_worker = request.state == RequestState::kWorking;
  const Nanoseconds time = by_worker ? machine.ChooseDelay(number, Site::kWorkerTime) : 0;
  request.result = result;
  if (time == 0) {
    LeaveWorker(request);
    return;
  }
  request.state = RequestState::kBusy;
  machine.timers.Arm(request.timer, machine.now + time);
}

void RingCore::LeaveWorker(Request& request) {
  // Fact Q5: too late. Whose file was not there has not been issued at all.
  const bool refused = request.file == nullptr && request.result == -EBADF;
  if (IsUntried(request) && (!refused || IsNameOperation(request.opcode))) {
    StartItsTimeout(request);
  }
  EndLater(request, request.result, /*forced=*/true);
}

void RingCore::OnTimer(Request& request) {
  if (request.state == RequestState::kWorking || request.state == RequestState::kInFlight) {
    Work(request);
    return;
  }
  if (request.state == RequestState::kBusy) {
    LeaveWorker(request);
    return;
  }
  if (request.state == RequestState::kNotifying) {
    Notify(request);
    return;
  }
  ORRERY_CHECK(request.state == RequestState::kTimed);
  machine.Emit(EventKind::kTimer, number, static_cast<int64_t>(request.user_data));
  if (request.opcode == IORING_OP_LINK_TIMEOUT) {
    OnLinkTimeout(request);
    return;
  }
  ++timeouts_fired_;
  ++timeouts_ended_;
  EndLater(request, -ETIME, /*forced=*/true);
}

}  // namespace orrery::model
