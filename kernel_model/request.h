// One consumed SQE until its terminal CQE, and the pool of them. Private to kernel_model.
//
// Invariant: a request ends exactly once, by RingCore::End(), which posts its terminal CQE and
// drops its reference to its file.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernel_model/provided_buffers.h"
#include "kernel_model/timer_queue.h"

namespace orrery::model {

class RingCore;
struct OpenFile;

// What operations on names carry: OPENAT, STATX, MKDIRAT, UNLINKAT, RENAMEAT.
struct NameArguments {
  int directory = -1;
  std::string path;
  int to_directory = -1;
  std::string to_path;
  uint32_t flags = 0;
  uint32_t mode = 0;       // And STATX's mask.
  void* result = nullptr;  // STATX's answer, in the program's memory.
};

// Who has come to wait this often waits on a worker instead (APOLL_MAX_RETRY).
constexpr uint32_t kArmsMax = 128;

enum class RequestState : uint8_t {
  kWaiting,    // Behind others: in a chain, or held back by a drain. A cancel does not find it.
  kStarting,   // Its turn has come: task work will issue it.
  kIssued,     // Is being carried out, inside some call.
  kArmed,      // Waits for its file. A cancel finds it.
  kRetrying,   // Its file was ready when it came to wait: task work will try again.
  kTimed,      // A timeout that waits for its time. A cancel finds it.
  kWorking,    // Is a worker's. A cancel finds it.
  kBusy,       // A worker is at it: a cancel finds it, too late.
  kInFlight,   // Is the disk's. A cancel does not find it.
  kNotifying,  // A zero-copy send that has its result, and whose payload is still in use.
  kEnding,     // Its result is known; task work will post it.
  kFailing,    // The first of the rest of a chain that broke: task work will end them all.
  kEnded,      // Its terminal CQE has been posted; what hangs on it comes with the next flush.
  kHeld,       // The same, flushed; a linked timeout that fired still refers to it.
  kReleased,   // No longer held: task work will flush it.
  kMessage,    // Of another ring: task work will post it.
  kTimedOut,   // A linked timeout that fired: task work will cancel what it guarded.
};

struct Request {
  uint64_t number = 0;  // In order of consumption, per ring.
  RingCore* ring = nullptr;
  OpenFile* file = nullptr;  // A counted reference; null for operations without a file.
  uint64_t user_data = 0;
  uint8_t opcode = 0;
  RequestState state = RequestState::kWaiting;

  // What was asked.
  bool multishot = false;
  bool buffer_select = false;
  bool wait_all = false;      // MSG_WAITALL
  bool no_wait = false;       // MSG_DONTWAIT, RWF_NOWAIT
  bool poll_first = false;    // Skip the first attempt.
  bool skip_success = false;  // IOSQE_CQE_SKIP_SUCCESS
  bool bundle = false;        // IORING_RECVSEND_BUNDLE
  uint16_t buffer_group = 0;
  uint32_t length = 0;       // sqe->len
  uint32_t poll_events = 0;  // POLL_ADD
  uint64_t offset = 0;
  int argument = 0;              // SHUTDOWN's how, ACCEPT's flags, rw_flags.
  bool force_worker = false;     // IOSQE_ASYNC
  bool by_worker = false;        // Is being issued by one: its end is for task work.
  bool began_on_worker = false;  // It was, so that a buffer is its own before it waits.
  bool never_fails = false;      // Its result is its own: an error is no failure (fact L11).
  std::unique_ptr<NameArguments> names;
  uint32_t file_index = 0;  // Of the file that it makes: a slot + 1, ALLOC, or 0 for a descriptor.
  // CONNECT, BIND, and where a send goes that is `addressed`; so many bytes of it are meant.
  sockaddr_in socket_address{};
  uint32_t address_bytes = 0;
  bool addressed = false;
  bool connecting = false;  // CONNECT has started.
  void* address = nullptr;  // An array that it reads and writes when it is carried out.
  // ACCEPT: where the peer's address goes, in the program's memory.
  sockaddr* peer_address = nullptr;
  socklen_t* peer_address_bytes = nullptr;

  // RECVMSG: its header, in the program's memory, and what a multishot puts before the payload.
  bool peek = false;  // MSG_PEEK
  msghdr* message = nullptr;
  size_t name_bytes = 0;
  size_t control_bytes = 0;

  // Its memory must lie in this registered buffer; looked at when it is issued.
  bool fixed_buffer = false;
  uint16_t fixed_buffer_index = 0;

  // Memory of the program's, gathered or scattered; empty with buffer_select.
  std::vector<iovec> iovecs;
  bool bad_memory = false;  // Some of it cannot be anybody's.
  size_t total_bytes = 0;
  size_t done_bytes = 0;
  size_t cursor_index = 0;  // Where done_bytes lies: iovec and offset in it.
  size_t cursor_offset = 0;
  size_t known_left = 0;        // Bytes that a bundle left in the stream, if more than one.
  size_t bundle_room = 1;       // Buffers that it can list without knowing how much there is.
  uint32_t chosen_bytes = 0;    // See NoteChosen().
  bool bundle_emptied = false;  // It took all that the group had.
  bool bundle_cut = false;      // A length ended inside of a buffer: it does not go on (fact D4).
  uint32_t held_flags = 0;      // Its memory is a provided buffer: the flags that hand it over.
  uint64_t total_limit = 0;     // A multishot receive that has given this much ends; 0: never.
  uint64_t total_received = 0;
  bool guarded = false;   // Has waited: the memory is watched.
  uint64_t checksum = 0;  // Of send memory, when guarded.

  // Waiting for a file, as the kernel's poll machinery does it: the first wake-up queues task work
  // and stashes its mask; further ones before it runs are only counted.
  uint32_t wait_events = 0;
  bool exclusive = false;
  bool in_wait_queue = false;
  bool cancelled = false;
  bool queued = false;  // In the ring's task work.
  uint32_t wakes = 0;
  uint32_t wake_mask = 0;
  uint32_t multishot_loops = 0;
  uint32_t arms = 0;  // How often it has come to wait.
  Request* wait_previous = nullptr;
  Request* wait_next = nullptr;

  // sqe->fd. Looked up when the request is issued, on a worker by that.
  int file_number = -1;
  bool file_fixed = false;

  // Chains and drains, links.cc.
  Request* link = nullptr;   // The next one of its chain.
  bool linked = false;       // IOSQE_IO_LINK or IOSQE_IO_HARDLINK.
  bool hard_linked = false;  // IOSQE_IO_HARDLINK
  bool drains = false;       // IOSQE_IO_DRAIN, on it or inside its chain.
  bool on_worker = false;    // Has to be issued by a worker.
  bool at_worker = false;    // Was given to one, and has not been issued by it.
  bool failed = false;       // Broke its chain; with `result` when it did so in preparation.
  bool silent = false;       // Posts nothing, whatever comes: the one that broke the chain skips.

  // LINK_TIMEOUT, link_timeout.cc.
  bool timeout_follows = false;  // `link` is the timeout of this one.
  bool held = false;             // That has fired, and its task work has not run.
  Request* timed = nullptr;      // The timeout's: the one before it, until either ends.
  Request* victim = nullptr;     // The timeout's, once it has fired.

  // TIMEOUT and LINK_TIMEOUT: what was asked.
  Nanoseconds time = 0;
  bool absolute_time = false;
  bool realtime = false;
  bool etime_success = false;
  uint64_t repeats = 0;  // Expiries left of a multishot that counts them; `offset` is not 0.

  // POLL_REMOVE that updates.
  uint64_t new_user_data = 0;

  // NOP: its completion has 32 bytes; `offset` and `new_user_data` are what is behind the others.
  bool big_completion = false;

  // MSG_RING: `offset` and `length` are the message, `argument` its flags, `file_index` where a
  // file goes or what flags it has.
  uint32_t message_command = 0;
  uint32_t source_slot = 0;

  // ASYNC_CANCEL by operation.
  uint8_t cancel_opcode = 0;

  // TIMEOUT and operations on workers.
  Timer timer;
  bool counts_completions = false;
  uint32_t completions_target = 0;
  uint64_t listed = 0;  // TIMEOUT: when it came into the ring's list, or an update moved it.
  int32_t result = 0;   // When kEnding, or failed in preparation; NOP's.
  uint32_t result_flags = 0;
  HandedBuffer result_buffer;

  // Zero-copy sends.
  bool notifies = false;     // The result is to come, and after it a notification.
  int32_t notification = 0;  // Its result.

  // Found by the ring's table while it is known there.
  bool tracked = false;
  Request* newer = nullptr;
  Request* older = nullptr;
  Request* same_bucket_previous = nullptr;
  Request* same_bucket_next = nullptr;
};

// Reuses requests, and the capacity of their vectors, so that a steady state allocates nothing.
class RequestPool {
 public:
  Request& Allocate() {
    if (free_.empty()) {
      pages_.push_back(std::make_unique<Request[]>(kPageRequests));
      for (size_t index = kPageRequests; index > 0; --index) {
        free_.push_back(&pages_.back()[index - 1]);
      }
    }
    Request& request = *free_.back();
    free_.pop_back();
    ++size_;
    return request;
  }

  void Free(Request& request) {
    std::vector<iovec> iovecs = std::move(request.iovecs);
    iovecs.clear();
    request = Request();
    request.iovecs = std::move(iovecs);
    free_.push_back(&request);
    --size_;
  }

  size_t size() const { return size_; }

  // Those in use, in an order of their own.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (const std::unique_ptr<Request[]>& page : pages_) {
      for (size_t index = 0; index < kPageRequests; ++index) {
        if (page[index].ring != nullptr) visit(page[index]);
      }
    }
  }

 private:
  static constexpr size_t kPageRequests = 64;

  std::vector<std::unique_ptr<Request[]>> pages_;
  std::vector<Request*> free_;
  size_t size_ = 0;
};

// The requests of a ring that a cancel can find: by user data, or all, newest first.
class RequestTable {
 public:
  RequestTable();

  void Insert(Request& request);
  // Nothing happens when it is not in.
  void Remove(Request& request);

  // The newest with this user data, and the next older one with the same.
  Request* Find(uint64_t user_data) const;
  static Request* NextSame(const Request& request);
  // All of them, newest first, by Request::older.
  Request* newest() const { return newest_; }

 private:
  size_t BucketOf(uint64_t user_data) const;
  void Link(Request& request);
  void Grow();

  std::vector<Request*> buckets_;  // A power of two of them.
  Request* newest_ = nullptr;
  size_t size_ = 0;
};

}  // namespace orrery::model
