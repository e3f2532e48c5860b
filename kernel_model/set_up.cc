#include "kernel_model/set_up.h"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "kernel_model/machine.h"

namespace orrery::model {
namespace {

constexpr unsigned kSqEntriesMax = 32768;  // IORING_MAX_ENTRIES
constexpr unsigned kCqEntriesMax = 65536;  // IORING_MAX_CQ_ENTRIES

// All that 6.18 has.
constexpr unsigned kFlags = IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF |
                            IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_ATTACH_WQ |
                            IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
                            IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                            IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER |
                            IORING_SETUP_DEFER_TASKRUN | kSetUpNoMmap | kSetUpRegisteredFdOnly |
                            kSetUpNoSqArray | kSetUpHybridIoPoll | kSetUpCqeMixed;

constexpr unsigned kNotModelled = IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF |
                                  IORING_SETUP_ATTACH_WQ | IORING_SETUP_SQE128 | kSetUpNoMmap |
                                  kSetUpRegisteredFdOnly | kSetUpHybridIoPoll;

constexpr bool HasAll(unsigned flags, unsigned wanted) { return (flags & wanted) == wanted; }

// io_uring_sanitise_params()
bool AreLegal(unsigned flags) {
  constexpr unsigned kByInterruption =
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_DEFER_TASKRUN;
  constexpr unsigned kQuiet = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN;
  if ((flags & ~kFlags) != 0) return false;
  if ((flags & kSetUpRegisteredFdOnly) != 0 && (flags & kSetUpNoMmap) == 0) return false;
  if ((flags & IORING_SETUP_SQPOLL) != 0 && (flags & kByInterruption) != 0) return false;
  if ((flags & IORING_SETUP_TASKRUN_FLAG) != 0 && (flags & kQuiet) == 0) return false;
  if ((flags & kSetUpHybridIoPoll) != 0 && (flags & IORING_SETUP_IOPOLL) == 0) return false;
  if ((flags & IORING_SETUP_DEFER_TASKRUN) != 0 && (flags & IORING_SETUP_SINGLE_ISSUER) == 0) {
    return false;
  }
  if ((flags & IORING_SETUP_SQ_AFF) != 0 && (flags & IORING_SETUP_SQPOLL) == 0) return false;
  return !HasAll(flags, IORING_SETUP_CQE32 | kSetUpCqeMixed);
}

// The size of a queue of so many entries, or 0.
unsigned SizeOf(unsigned entries, unsigned entries_max, unsigned flags) {
  if (entries > entries_max && (flags & IORING_SETUP_CLAMP) == 0) return 0;
  return entries == 0 ? 0 : std::bit_ceil(std::min(entries, entries_max));
}

}  // namespace

std::expected<RingSetUp, Errno> ReadSetUp(unsigned entries, io_uring_params& parameters) {
  const unsigned flags = parameters.flags;
  const bool reserved = std::any_of(std::begin(parameters.resv), std::end(parameters.resv),
                                    [](uint32_t word) { return word != 0; });
  if (reserved || !AreLegal(flags)) return std::unexpected(Errno(EINVAL));
  RingSetUp set_up{
      .sq_entries = SizeOf(entries, kSqEntriesMax, flags), .cq_entries = 0, .flags = flags};
  set_up.cq_entries = (flags & IORING_SETUP_CQSIZE) != 0
                          ? SizeOf(parameters.cq_entries, kCqEntriesMax, flags)
                          : 2 * set_up.sq_entries;
  if (set_up.sq_entries == 0 || set_up.cq_entries < set_up.sq_entries) {
    return std::unexpected(Errno(EINVAL));
  }
  if ((flags & kNotModelled) != 0) StopUnknown("set-up flags", flags & kNotModelled);
  parameters.sq_entries = set_up.sq_entries;
  parameters.cq_entries = set_up.cq_entries;
  return set_up;
}

}  // namespace orrery::model
