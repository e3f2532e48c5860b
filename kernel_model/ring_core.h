// One ring: submission, waiting, task work and completion. Private to kernel_model; ModelRing is
// its public face.
//
// Transfers happen when an operation is issued or when its task work runs, against the state at
// that moment (fact V11). Invariant: every consumed SQE is a Request until End().
#pragma once

#include <liburing.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kernel_model/completion_queue.h"
#include "kernel_model/fixed_file_table.h"
#include "kernel_model/machine.h"
#include "kernel_model/provided_buffers.h"
#include "kernel_model/request.h"
#include "kernel_model/set_up.h"
#include "runtime/ring/ring.h"

namespace orrery::model {

// What one attempt at an operation came to.
struct Attempt {
  enum class Kind : uint8_t {
    kDone,     // Ends with result and flags.
    kWait,     // Nothing can be done now: wait for the file.
    kRequeue,  // A multishot has had its share of this run.
    kPending,  // Has been put where it waits by the operation itself.
  };
  Kind kind = Kind::kDone;
  int32_t result = 0;
  uint32_t flags = 0;
  HandedBuffer buffer;
  bool last = false;  // A multishot ends with it, whatever its result.

  static Attempt Done(int64_t result, uint32_t flags = 0, HandedBuffer buffer = {}) {
    return {.kind = Kind::kDone,
            .result = static_cast<int32_t>(result),
            .flags = flags,
            .buffer = buffer,
            .last = false};
  }
  static Attempt Wait() {
    return {.kind = Kind::kWait, .result = 0, .flags = 0, .buffer = {}, .last = false};
  }
  static Attempt Requeue() {
    return {.kind = Kind::kRequeue, .result = 0, .flags = 0, .buffer = {}, .last = false};
  }
  static Attempt Pending() {
    return {.kind = Kind::kPending, .result = 0, .flags = 0, .buffer = {}, .last = false};
  }
};

struct EnterCall;

// What io_uring_enter(2) can be told about a wait that EnterRequest cannot.
struct WaitMode {
  bool wants_events = true;     // GETEVENTS. Without it nothing but the submission happens.
  bool blocks_signals = false;  // By a signal mask for the time of the wait.
  int argument_error = 0;  // What is wrong with its argument, which is read after the submission.
};

class RingCore {
 public:
  RingCore(Machine& ring_machine, io_uring& memory, OpenFile& ring_file, uint64_t ring_number,
           const RingSetUp& set_up);
  RingCore(const RingCore&) = delete;
  RingCore& operator=(const RingCore&) = delete;
  ~RingCore();

  // --- For ModelRing: see there.
  std::optional<EnterResult> Begin(const EnterRequest& request) { return Begin(request, {}); }
  std::optional<EnterResult> Begin(const EnterCall& call);
  bool sleeping() const { return sleeping_; }
  bool CanFinish();
  Nanoseconds wake_at() const { return std::min({deadline_, interrupt_at_, min_wait_at_}); }
  EnterResult Finish();
  void Interrupt();
  void Signal() { interrupt_at_ = std::min(interrupt_at_, machine.now); }
  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument, unsigned count);
  size_t requests_in_flight() const { return pool_.size() - held_requests_; }

  // --- For the machine.
  // Lazy work lets a sleeper sleep until there is enough of it; forced work makes it look.
  void QueueTaskWork(Request& request, bool forced);
  void OnTimer(Request& request);
  // See ModelKernel.
  bool RunWorker(uint64_t user_data);

  // --- For the operations.
  // A CQE with F_MORE. False when it did not fit: then the request must end with it (fact O5).
  bool PostMore(Request& request, int32_t result, uint32_t flags, HandedBuffer buffer = {});
  // The terminal CQE. The request is gone afterwards.
  void End(Request& request, int32_t result, uint32_t flags = 0, HandedBuffer buffer = {});
  // The same by task work.
  void EndLater(Request& request, int32_t result, bool forced);
  // The payload of a zero-copy send is in use no more.
  void Notify(Request& request);
  // What a request that is cut short ends with: the bytes so far, or the error (facts R5, T5, C6).
  static int32_t CutShort(const Request& request, int error) {
    return request.done_bytes > 0 ? static_cast<int32_t>(request.done_bytes) : -error;
  }
  // The file that a number names now, or null.
  OpenFile* FindFile(int number, bool fixed) const;
  // Puts a file into a slot, as sqe->file_index says it (the slot + 1, or ALLOC): 0, or the slot
  // that was allocated, or -errno. Takes over a reference, which is dropped on errors.
  int32_t InstallFixed(OpenFile& file, uint32_t file_index);
  // Files of descriptors into the slots from `offset` on; how many, or -errno (fact F2).
  int32_t UpdateSlots(uint64_t offset, const int* numbers, unsigned count);
  BufferGroup* FindGroup(uint16_t group) const;
  void AddCountedTimeout(Request& request);
  uint64_t NextListed() { return ++listed_; }
  // The timeout counts completions, or its expiries, no more.
  void ForgetCount(Request& request);
  // Makes a linked timeout guard the last one of the chain that is being submitted: 0, or -errno.
  int32_t Guard(Request& timeout);
  // Armed ones only; null when there is none.
  Request* FindLinkTimeout(uint64_t user_data) const;
  void UpdatePoll(Request& poll, const Request& update);
  // What the count of a timeout is compared with (fact K1): CQEs, and not those of timeouts that
  // have ended, which are taken off before they are posted.
  uint32_t completion_sequence() const {
    return static_cast<uint32_t>(completions.written() - timeouts_ended_);
  }
  // msg_ring.cc: what other rings do to this one. Sends a CQE to it: 0, or -errno.
  int32_t TakeMessage(uint64_t user_data, int32_t result, uint32_t flags);
  // Puts a file into a slot, as InstallFixed() does, and says so in a CQE unless it is silent: the
  // slot, or -errno.
  int32_t TakeFile(OpenFile& file, uint32_t file_index, uint64_t user_data, bool silent);
  // The poll(2) mask of the ring's descriptor (fact N2).
  uint32_t Readiness() const;
  bool is_deferred() const { return deferred_; }
  bool is_disabled() const { return disabled_; }
  // Hands the request to a worker, or to the disk for so long. The second half of its operation
  // runs there.
  void StartWorker(Request& request);
  void StartDisk(Request& request, Nanoseconds delay);
  // A worker, or the disk, has done it; the end of it may take a while.
  void EndWork(Request& request, int32_t result);
  void LeaveWorker(Request& request);
  void IssueByWorker(Request& request);
  // Takes it from a worker that has not begun.
  void CancelWorker(Request& request);

  Machine& machine;
  const uint64_t number;
  OpenFile& own_file;  // Its descriptor's.
  RequestTable table;
  CompletionQueue completions;
  // Fixed files: counted references or null. Without a table, nothing.
  std::optional<FixedFileTable> fixed_files;
  // Registered buffers; empty slots are null. Without a table, nothing.
  std::optional<std::vector<iovec>> fixed_buffers;

 private:
  static constexpr unsigned kTaskWorkBatch = 20;  // IO_LOCAL_TW_DEFAULT_MAX
  static constexpr unsigned kRefusalsInARowMax = 3;
  static constexpr size_t kOrderWindow = 4;

  // enter.cc
  std::optional<EnterResult> Begin(const EnterRequest& request, const WaitMode& mode);
  bool MinimumWaitEnds();
  EnterResult Return(EnterResult result);
  std::optional<Errno> Refusal(const EnterRequest& request);
  bool ShouldWake() const;
  void LookAtBuffers();

  // ring_core.cc
  unsigned Submit(unsigned to_submit);
  unsigned ConsumeBatch(unsigned to_submit);
  // False when it ends the submission of a ring without SUBMIT_ALL (fact U4).
  bool Consume(const io_uring_sqe& sqe);
  // The first attempt; what it is done with is looked up now.
  void Issue(Request& request, bool from_task_work);
  // False: the request has ended, or somebody else has it now.
  bool Execute(Request& request, bool from_task_work);
  void Arm(Request& request);
  void Disarm(Request& request);
  void GuardMemory(Request& request);
  void CheckGuardedMemory(Request& request);
  void EndCountedTimeouts();
  // Tells who wants to know that CQEs have entered the CQ.
  void Announce();
  void FlushBacklog();
  void SignalEvent();
  void RunWorkers();
  // The worker's turn has come.
  void Work(Request& request);
  void StartElsewhere(Request& request, RequestState state, Nanoseconds delay);
  static bool Failed(const Request& request, int32_t result);

  // msg_ring.cc
  void PostMessage(uint64_t user_data, int32_t result, uint32_t flags);
  void RunMessage(Request& message);

  // zero_copy.cc
  void EndZeroCopy(Request& request, int32_t result, uint32_t flags);
  // links.cc: chains, drains, and what follows an end.
  // Those of an SQE that count whatever else is wrong with it.
  static void ReadLinks(Request& request, unsigned flags);
  // Reads the flags about drains: 0, or -errno.
  int32_t ReadFlags(Request& request, unsigned flags);
  // Puts a request that was prepared, or failed at it, where it belongs: into the chain that is
  // open, behind a drain, or to work.
  void Place(Request& request, int32_t prepared);
  void Launch(Request& head);
  void LaunchSlowly(Request& head);
  void CloseChain();
  // As __io_submit_flush_completions(): starts, or ends, what waited for those that ended.
  void Flush();
  bool ended_since_flush() const {
    return !ended_.empty() || freed_since_flush_ > 0 || !unflushed_.empty();
  }
  void Follow(Request& ended);
  void EndRestLater(Request& broken);
  void EndRest(Request& first);
  // link_timeout.cc
  // As __io_issue_sqe(): after the first attempt, also if the request is over with it, which its
  // flush will say, and before it comes to wait. Not for what has gone to a worker.
  void StartItsTimeout(const Request& request);
  void ArmLinkTimeout(Request& timeout);
  void OnLinkTimeout(Request& timeout);
  void RunLinkTimeout(Request& timeout);
  void DisarmLinkTimeout(Request& ended);
  // links.cc: drains.
  void HoldBack(Request& head);
  void LetGo();

  // task_work.cc
  bool task_work_pending() const { return !retry_.empty() || !fresh_.empty(); }
  // At most `max` items, and again while fewer than `min` have run and there are more.
  // `again`: it runs once more in this Enter, whatever comes.
  void RunTaskWork(unsigned min, unsigned max, bool again = false);
  void RunAllTaskWork();
  unsigned RunFrom(std::deque<Request*>& queue, unsigned max);
  Request& Pick(std::deque<Request*>& queue);
  void RunTask(Request& request);
  void RunWoken(Request& request);
  // What a wake-up with this mask is to a request that waits once,
  void EndOrRetry(Request& request, uint32_t mask);
  // and to a multishot. False: it waits no more.
  bool RunMultishot(Request& request, uint32_t mask);

  // cancel.cc
  std::expected<unsigned, Errno> CancelNow(const void* argument, unsigned count);

  // register.cc
  std::expected<unsigned, Errno> Enable(const void* argument, unsigned count);
  std::expected<unsigned, Errno> RegisterEventFd(const void* argument, unsigned count);
  std::expected<unsigned, Errno> UnregisterEventFd(const void* argument, unsigned count);
  std::expected<unsigned, Errno> RegisterBufferRing(const void* argument, unsigned count);
  std::expected<unsigned, Errno> UnregisterBufferRing(const void* argument, unsigned count);
  std::expected<unsigned, Errno> ReportBuffers(const void* argument, unsigned count);
  std::expected<unsigned, Errno> RegisterFileTable(const void* argument, unsigned count);
  // Without numbers: empty slots.
  std::expected<unsigned, Errno> RegisterFiles(const void* numbers, unsigned count);
  std::expected<unsigned, Errno> Probe(const void* argument, unsigned count);
  std::expected<unsigned, Errno> UpdateFiles(const void* argument, unsigned count);
  std::expected<unsigned, Errno> SetAllocationRange(const void* argument, unsigned count);
  std::expected<unsigned, Errno> UnregisterFiles(const void* argument, unsigned count);

  // fixed_buffers.cc. Without iovecs: empty slots.
  std::expected<unsigned, Errno> RegisterBuffers(const void* iovecs, unsigned count);
  std::expected<unsigned, Errno> RegisterBufferTable(const void* argument, unsigned count);
  std::expected<unsigned, Errno> UpdateBuffers(const void* argument, unsigned count);
  std::expected<unsigned, Errno> UnregisterBuffers(const void* argument, unsigned count);

  // Whether the calling thread may do what only the ring's own may (facts S7, S8).
  bool is_issuer() const { return !issuer_.has_value() || *issuer_ == machine.thread; }

  io_uring& memory_;
  const bool deferred_;
  const bool submits_all_;          // SUBMIT_ALL
  const bool shows_task_work_;      // TASKRUN_FLAG
  bool disabled_;                   // R_DISABLED, and nobody has enabled it.
  std::optional<unsigned> issuer_;  // SINGLE_ISSUER: the thread that it belongs to.
  std::unique_ptr<std::byte[]> storage_;
  RequestPool pool_;
  OpenFile* event_fd_ = nullptr;  // Registered (fact N1): a counted reference.
  uint64_t announced_ = 0;        // completions.written() then.
  RequestPool messages_;          // Of other rings, in task work. Nobody's SQEs here.
  uint64_t next_request_number_ = 0;
  std::map<uint16_t, std::unique_ptr<BufferGroup>> groups_;
  std::vector<Request*> counted_timeouts_;
  std::vector<Request*> link_timeouts_;  // That are armed, in that order.
  size_t held_requests_ = 0;             // Over, but for a linked timeout that refers to them.
  std::vector<Request*> notifying_;
  bool consuming_ = false;         // A batch is being consumed.
  std::vector<Request*> workers_;  // What workers and the disk do when that is over.

  // The chain that is being submitted.
  Request* chain_head_ = nullptr;
  Request* chain_last_ = nullptr;
  // Since the last flush: those that ended with something behind them, and notifications of sends
  // that were never tried.
  std::vector<Request*> ended_;
  size_t freed_since_flush_ = 0;     // Others that ended.
  bool posted_since_flush_ = false;  // A CQE of a multishot.
  // Heads of chains that a drain holds back; how many requests that are.
  std::deque<Request*> held_back_;
  size_t held_back_requests_ = 0;
  bool drain_active_ = false;
  bool drain_next_ = false;      // The chain that is open has a drain: what follows it is one, too.
  bool drain_disabled_ = false;  // Fact L8.

  // As in the kernel: what a run left over comes first in the next.
  std::deque<Request*> retry_;
  std::deque<Request*> fresh_;
  bool forced_ = false;
  uint64_t listed_ = 0;  // Timeouts, ever.
  uint64_t timeouts_fired_ = 0;
  uint64_t timeouts_ended_ = 0;      // By time or by count.
  bool timeouts_counted_ = false;    // There was one with a count.
  uint32_t timeouts_looked_at_ = 0;  // cq_last_tm_flush: the sequence then.
  // CQEs of the batch that runs: they enter the CQ when it is over, behind what is posted meanwhile
  // (facts V5, G6).
  std::vector<CompletionQueue::Entry> unflushed_;

  unsigned refusals_in_a_row_ = 0;
  bool sleeping_ = false;
  bool slept_ = false;      // It has slept, and been woken at least once when it looks again.
  bool satisfied_ = false;  // The wait is over; Finish() has its result.
  Nanoseconds deadline_ = kNever;
  Nanoseconds interrupt_at_ = kNever;
  Nanoseconds min_wait_at_ =
      kNever;                 // When the minimum wait is over; kNever: it is, or there is none.
  bool any_will_do_ = false;  // It is over, and nothing had come: the first one ends the wait.
  unsigned submitted_ = 0;
  unsigned wait_tail_ = 0;  // The CQ's tail that ends the wait.
  uint64_t timeouts_at_wait_ = 0;
  int wait_error_ = 0;  // ETIME, EINTR.
};

}  // namespace orrery::model
