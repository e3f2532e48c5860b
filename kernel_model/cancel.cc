// ASYNC_CANCEL and its synchronous form: by user data, file, operation, or everything.
#include <cerrno>
#include <cstring>

#include "kernel_model/operations.h"

namespace orrery::model {
namespace {

// io_uring_sync_cancel_reg of 6.18; the headers of liburing 2.3 do not have the opcode.
struct SyncCancel {
  uint64_t addr;
  int32_t fd;
  uint32_t flags;
  __kernel_timespec timeout;
  uint8_t opcode;
  uint8_t pad[7];
  uint64_t pad2[3];
};
static_assert(sizeof(SyncCancel) == sizeof(io_uring_sync_cancel_reg));

// What io_try_cancel() says of one request.
int32_t CancelOne(RingCore& ring, Request& victim, bool alone) {
  switch (victim.state) {
    case RequestState::kArmed: {
      // Fact C4: the victim's CQE comes by task work, after the cancel's; the manual page promises
      // the opposite. Both are legal.
      const bool first =
          alone && !victim.queued && ring.machine.Choose(Site::kCancelOrder, ring.number, 2) != 0;
      victim.cancelled = true;
      if (first) {
        ring.End(victim, RingCore::CutShort(victim, ECANCELED));
      } else {
        ring.machine.WakeRequest(victim, 0);
      }
      return 0;
    }
    case RequestState::kTimed:
      ring.EndLater(victim, -ECANCELED, /*forced=*/true);
      return 0;
    case RequestState::kWorking:
      // Fact C10.
      if (ring.machine.Choose(Site::kWorkerStarted, ring.number, 2) != 0) return -EALREADY;
      ring.CancelWorker(victim);
      return 0;
    case RequestState::kInFlight:
    case RequestState::kWaiting:
    case RequestState::kStarting:
    case RequestState::kIssued:
    case RequestState::kRetrying:
    case RequestState::kEnding:
    case RequestState::kNotifying:
    case RequestState::kFailing:
    case RequestState::kEnded:
    case RequestState::kHeld:
    case RequestState::kReleased:
    case RequestState::kTimedOut:
      break;
  }
  return -ENOENT;
}

struct Target {
  uint64_t user_data = 0;
  uint32_t flags = 0;
  uint8_t opcode = 0;
  const OpenFile* file = nullptr;
};

bool SearchesByUserData(const Target& target) {
  if ((target.flags & IORING_ASYNC_CANCEL_ANY) != 0) return false;
  return (target.flags & kCancelUserData) != 0 ||
         (target.flags & (IORING_ASYNC_CANCEL_FD | kCancelOpcode)) == 0;
}

// io_cancel_req_match(), but for the user data.
bool Matches(const Target& target, const Request& request) {
  if ((target.flags & IORING_ASYNC_CANCEL_ANY) != 0) return true;
  if ((target.flags & IORING_ASYNC_CANCEL_FD) != 0 && request.file != target.file) return false;
  return (target.flags & kCancelOpcode) == 0 || request.opcode == target.opcode;
}

// How many, or -errno. `free_order`: a lone victim may come before its cancel.
int32_t CancelMatching(RingCore& ring, const Target& target, bool free_order) {
  const bool all = (target.flags & (IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL)) != 0;
  const bool by_user_data = SearchesByUserData(target);
  int32_t cancelled = 0;
  Request* next = by_user_data ? ring.table.Find(target.user_data) : ring.table.newest();
  while (next != nullptr) {
    Request& victim = *next;
    next = by_user_data ? RequestTable::NextSame(victim) : victim.older;
    if (!Matches(target, victim)) continue;
    if (victim.state == RequestState::kInFlight) continue;  // Fact C10.
    const int32_t result = CancelOne(ring, victim, free_order && !all);
    if (!all) return result;
    ++cancelled;
  }
  return all ? cancelled : -ENOENT;  // Facts C1, C2.
}

}  // namespace

Attempt TryCancel(RingCore& ring, Request& request) {
  Target target{.user_data = request.offset,
                .flags = request.length,
                .opcode = request.cancel_opcode,
                .file = nullptr};
  if ((target.flags & IORING_ASYNC_CANCEL_FD) != 0) {
    // Fact C3: the number must be open, whatever is armed on the file that it named before.
    target.file =
        ring.FindFile(request.argument, (target.flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0);
    if (target.file == nullptr) return Attempt::Done(-EBADF);
  }
  return Attempt::Done(CancelMatching(ring, target, /*free_order=*/true));
}

int32_t CancelByUserData(RingCore& ring, uint64_t user_data) {
  return CancelMatching(ring, {.user_data = user_data, .flags = 0, .opcode = 0, .file = nullptr},
                        /*free_order=*/false);
}

std::expected<unsigned, Errno> RingCore::CancelNow(const void* argument, unsigned count) {
  if (argument == nullptr || count != 1) return std::unexpected(Errno(EINVAL));
  SyncCancel request;
  std::memcpy(&request, argument, sizeof request);
  if ((request.flags & ~kCancelFlags) != 0) return std::unexpected(Errno(EINVAL));
  for (const uint8_t pad : request.pad) {
    if (pad != 0) return std::unexpected(Errno(EINVAL));
  }
  for (const uint64_t pad : request.pad2) {
    if (pad != 0) return std::unexpected(Errno(EINVAL));
  }
  Target target{
      .user_data = request.addr, .flags = request.flags, .opcode = request.opcode, .file = nullptr};
  if ((target.flags & IORING_ASYNC_CANCEL_FD) != 0) {
    target.file = FindFile(request.fd, (target.flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0);
    if (target.file == nullptr) return std::unexpected(Errno(EBADF));
  }
  const int32_t result = CancelMatching(*this, target, /*free_order=*/false);
  if (result == -EALREADY) StopUnknown("waiting for a worker in a cancel of", request.addr);
  if (result < 0) return std::unexpected(Errno(-result));
  return static_cast<unsigned>(result);
}

}  // namespace orrery::model
