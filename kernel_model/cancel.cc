// ASYNC_CANCEL and its synchronous form: by user data, file, operation, or everything.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <vector>

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

bool IsOnWorker(const Request& request) {
  return request.state == RequestState::kWorking || request.state == RequestState::kBusy;
}

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
    case RequestState::kBusy:
      return -EALREADY;
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
    case RequestState::kMessage:
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

// The bucket of io_poll_file_find()'s hash table that holds a request.
uint64_t BucketOf(const RingCore& ring, const Request& request) {
  constexpr uint64_t kGoldenRatio = 0x61c8864680b583eb;  // hash_64()
  const int width = static_cast<int>(std::bit_width(ring.completions.entries()));
  const int bits = std::clamp(width - 1 - 5, 1, 8);
  return request.user_data * kGoldenRatio >> (64 - bits);
}

// The order in which io_try_cancel() finds them: first what is on workers, then what waits for
// files, bucket by bucket, then timeouts as io_timeout() lists them.
bool FoundEarlier(const RingCore& ring, const Request& left, const Request& right) {
  const auto kind = [](const Request& request) {
    if (IsOnWorker(request)) return 0;
    return request.state == RequestState::kTimed ? 2 : 1;
  };
  if (kind(left) != kind(right)) return kind(left) < kind(right);
  // Within a bucket, the latest that came to wait is first.
  if (kind(left) != 2) return BucketOf(ring, left) < BucketOf(ring, right);
  if (left.counts_completions != right.counts_completions) return left.counts_completions;
  if (!left.counts_completions) return left.listed < right.listed;
  return std::tie(left.completions_target, left.number) <
         std::tie(right.completions_target, right.number);
}

std::vector<Request*> FindVictims(const RingCore& ring, const Target& target) {
  const bool by_user_data = SearchesByUserData(target);
  std::vector<Request*> victims;
  Request* next = by_user_data ? ring.table.Find(target.user_data) : ring.table.newest();
  for (; next != nullptr; next = by_user_data ? RequestTable::NextSame(*next) : next->older) {
    if (next->state == RequestState::kInFlight) continue;  // Fact C10.
    if (Matches(target, *next)) victims.push_back(next);
  }
  if (by_user_data) return victims;
  const auto earlier = [&](const Request* left, const Request* right) {
    return FoundEarlier(ring, *left, *right);
  };
  // Each behind its equals, so that they keep the order of the walk; of those for workers, who take
  // them in order, the oldest is first.
  std::vector<Request*> ordered;
  for (Request* victim : victims) {
    const auto place = IsOnWorker(*victim)
                           ? ordered.begin()
                           : std::upper_bound(ordered.begin(), ordered.end(), victim, earlier);
    ordered.insert(place, victim);
  }
  return ordered;
}

// How many, or -errno. `free_order`: a lone victim may come before its cancel.
int32_t CancelMatching(RingCore& ring, const Target& target, bool free_order) {
  const bool all = (target.flags & (IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL)) != 0;
  int32_t cancelled = 0;
  bool queued_for_workers = false;
  bool at_work = false;
  for (Request* victim : FindVictims(ring, target)) {
    if (all && ring.machine.bystander != nullptr) {
      ring.machine.bystander->BeforeVictim(ring.number, victim->user_data);
    }
    const bool worker = IsOnWorker(*victim);
    const int32_t result = CancelOne(ring, *victim, free_order && !all);
    if (!all) return result;
    if (!worker && result == 0) ++cancelled;
    queued_for_workers |= worker && result == 0;
    at_work |= worker && result == -EALREADY;
  }
  // Facts C2, C14: those of workers are looked for all at once, as io_wq_cancel_cb() does.
  if (all) return cancelled + (queued_for_workers && !at_work ? 1 : 0);
  const bool wins = ring.machine.options.defect == Defect::kCancelAlwaysWins;
  return wins ? 0 : -ENOENT;  // Fact C1.
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
  return Attempt::Done(CancelMatching(ring, target, /*free_order=*/!request.by_worker));
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
