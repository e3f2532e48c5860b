// When a key was last used, as Redis counts it: seconds of Unix time in 24 bits, which start again
// every 194 days.
//
// For OBJECT IDLETIME and RESTORE IDLETIME, which tell clients of it to the last bit.
#pragma once

#include <cstdint>

namespace orrery::server {

inline constexpr int64_t kAccessClockMax = (int64_t{1} << 24) - 1;

inline uint32_t AccessClock(int64_t now_ms) {
  return static_cast<uint32_t>(now_ms / 1000 & kAccessClockMax);
}

// How long ago `accessed` was. Where the clock has started again, a second less.
inline int64_t IdleSeconds(uint32_t accessed, uint32_t now) {
  const int64_t seconds = int64_t{now} - int64_t{accessed};
  return seconds >= 0 ? seconds : seconds + kAccessClockMax;
}

// What the clock is taken to have said `idle_s` seconds ago, at least 0: any number is turned into
// some time, by Redis's arithmetic, which overflows.
inline uint32_t AccessedBefore(int64_t idle_s, uint32_t now) {
  const auto milliseconds = static_cast<int64_t>(static_cast<uint64_t>(idle_s) * 1000);
  int64_t accessed = int64_t{now} - milliseconds / 1000;
  if (accessed < 0) accessed += kAccessClockMax;
  return static_cast<uint32_t>(accessed & kAccessClockMax);
}

}  // namespace orrery::server
