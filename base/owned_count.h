// A count that one thread changes and any thread may read.
//
// Not a locked instruction: it is the owner's, and others see it a little late. For what a loop
// counts on its way and a metric reads now and then.
#pragma once

#include <atomic>
#include <cstdint>

namespace orrery {

class OwnedCount {
 public:
  // By its owner.
  void operator+=(uint64_t by) {
    // Relaxed: nothing is published with it.
    value_.store(value() + by, std::memory_order_relaxed);
  }
  void operator++() { *this += 1; }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }

  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace orrery
