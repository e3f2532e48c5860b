// What lock-free code is written over, so that a test can stand between it and the processor.
//
// Code that threads share without a lock takes its atomics from a policy: StdAtomics in production;
// in //tests/interleaving one that suspends before each access, so that every interleaving of a
// small case, store buffers included, is run.
#pragma once

#include <atomic>
#include <cstddef>

namespace orrery {

struct StdAtomics {
  template <typename T>
  using Atomic = std::atomic<T>;
};

// Members that different threads write are so far apart that they share no cache line.
inline constexpr size_t kApartBytes = 64;

}  // namespace orrery
