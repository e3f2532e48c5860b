// io_uring_setup(2): which rings there can be. Private to kernel_model.
//
// Invariant: what comes out is a ring that Linux 6.18 would make; one that it would make and the
// model cannot play ends the run.
#pragma once

#include <liburing.h>

#include <expected>

#include "base/errno.h"

namespace orrery::model {

// Flags that the headers of liburing 2.3 do not have.
inline constexpr unsigned kSetUpNoMmap = 1U << 14;
inline constexpr unsigned kSetUpRegisteredFdOnly = 1U << 15;
inline constexpr unsigned kSetUpNoSqArray = 1U << 16;
inline constexpr unsigned kSetUpHybridIoPoll = 1U << 17;
inline constexpr unsigned kSetUpCqeMixed = 1U << 18;

inline constexpr uint32_t kRingFeatures = (1U << 18) - 1;  // What 6.18 reports, fact S9.

// What a ring is.
struct RingSetUp {
  unsigned sq_entries = 0;  // Powers of two, both.
  unsigned cq_entries = 0;
  unsigned flags = 0;  // IORING_SETUP_*
};

// The sizes and flags that `parameters` ask for, or EINVAL (facts S1 to S4, S9). Its sizes are
// filled in.
std::expected<RingSetUp, Errno> ReadSetUp(unsigned entries, io_uring_params& parameters);

}  // namespace orrery::model
