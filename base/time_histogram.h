// How long things took: how many times fell into each of some hundred bins, each time kept to an
// eighth of itself.
//
// A few KiB, and an addition is a few instructions. `Count` is uint32_t, or OwnedCount where other
// threads read what one thread adds; then what they read is what it was at some moments of late.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "base/owned_count.h"
#include "base/units.h"

namespace orrery {

template <typename Count>
class BasicTimeHistogram {
 public:
  void Add(Nanoseconds time) {
    const uint64_t positive = static_cast<uint64_t>(std::max<Nanoseconds>(time, 0));
    ++bins_[std::min(BinOf(positive), kBins - 1)];
    sum_ += positive;
  }
  // Everything that was added to the other.
  void Add(const BasicTimeHistogram& other) {
    for (size_t bin = 0; bin < kBins; ++bin) bins_[bin] += ValueOf(other.bins_[bin]);
    sum_ += other.sum();
  }

  // A time that `part` of those added, of `whole` equal parts, do not exceed. REQUIRES: not empty.
  Nanoseconds Percentile(uint64_t part, uint64_t whole) const {
    const uint64_t count = this->count();
    ORRERY_CHECK(count > 0);
    const uint64_t wanted = std::max<uint64_t>((count * part + whole - 1) / whole, 1);
    uint64_t seen = 0;
    size_t bin = 0;
    while ((seen += ValueOf(bins_[bin])) < wanted) ++bin;
    return static_cast<Nanoseconds>(LastOf(bin));
  }

  uint64_t count() const { return CountUpTo(kNever); }
  // Of those added, how many do not exceed `time`, to the accuracy of a bin; exact for a power of
  // two less one.
  uint64_t CountUpTo(Nanoseconds time) const {
    uint64_t seen = 0;
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (LastOf(bin) <= static_cast<uint64_t>(time)) seen += ValueOf(bins_[bin]);
    }
    return seen;
  }
  uint64_t sum() const { return ValueOf(sum_); }

 private:
  static constexpr uint32_t kStepBits = 3;  // Bins for each doubling: 2^3.
  // Up to 2^36 ns, more than a minute; what is longer counts as that.
  static constexpr uint32_t kDoublings = 36 - kStepBits;
  static constexpr size_t kBins = size_t{kDoublings + 1} << kStepBits;
  static constexpr uint64_t kSteps = uint64_t{1} << kStepBits;

  static uint64_t ValueOf(const OwnedCount& count) { return count.value(); }
  static uint64_t ValueOf(uint64_t count) { return count; }

  // Of small times each has a bin of its own; of the others, the highest bit and the kStepBits
  // behind it say which.
  static size_t BinOf(uint64_t time) {
    if (time < kSteps) return time;
    const auto shift = static_cast<uint32_t>(std::bit_width(time)) - kStepBits - 1;
    return (size_t{shift} + 1) * kSteps + ((time >> shift) - kSteps);
  }
  static uint64_t LastOf(size_t bin) {
    if (bin < kSteps) return bin;
    const uint64_t shift = bin / kSteps - 1;
    return ((kSteps + bin % kSteps + 1) << shift) - 1;
  }

  std::array<Count, kBins> bins_{};
  std::conditional_t<std::is_same_v<Count, OwnedCount>, OwnedCount, uint64_t> sum_{};
};

}  // namespace orrery
