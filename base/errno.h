// An operating system's error number as a type of its own: always positive, never mixed up with a
// result.
//
// -errno, as the kernel writes it, stops at the ring (runtime/ring/completion.h); above it errors
// are values: std::expected<T, Errno>.
#pragma once

#include <compare>
#include <string>

#include "base/check.h"

namespace orrery {

class [[nodiscard]] Errno {
 public:
  // REQUIRES: value > 0, as in errno(3).
  explicit constexpr Errno(int value) : value_(value) {
    if (value <= 0) CheckFailed(__FILE__, __LINE__, "value > 0", "an Errno is positive");
  }

  constexpr int value() const { return value_; }

  friend constexpr bool operator==(Errno, Errno) = default;
  // So that tests and switches read as `error == ENOBUFS`.
  friend constexpr bool operator==(Errno left, int right) { return left.value_ == right; }

  // "ENOBUFS: No buffer space available".
  std::string ToString() const;

 private:
  int value_;
};

}  // namespace orrery
