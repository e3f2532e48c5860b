// Times and sizes. Times are signed 64-bit nanoseconds; a point in time is on the monotonic clock
// unless its name says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace orrery {

using Nanoseconds = int64_t;

inline constexpr Nanoseconds kMicrosecond = 1'000;
inline constexpr Nanoseconds kMillisecond = 1'000'000;
inline constexpr Nanoseconds kSecond = 1'000'000'000;
// A deadline that never comes.
inline constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

inline constexpr size_t kKiB = size_t{1} << 10;
inline constexpr size_t kMiB = size_t{1} << 20;

}  // namespace orrery
