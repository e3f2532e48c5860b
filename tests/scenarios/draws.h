// What workloads are drawn with, besides Prng itself. Two draws never stand in one expression: its
// operands may be evaluated in any order.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"

namespace orrery::scenarios {

// One in so many; 0 never.
inline bool OneIn(Prng& prng, uint64_t odds) { return odds != 0 && prng.Chance(1, odds); }

// From 1 to `high`: each order of magnitude as often as the others. REQUIRES: high > 0.
inline uint64_t LogUniform(Prng& prng, uint64_t high) {
  const uint64_t low = uint64_t{1} << prng.Below(static_cast<uint64_t>(std::bit_width(high)));
  return prng.Between(low, std::min(high, low * 2 - 1));
}

// The same for a time, from 1 to `high` microseconds.
inline Nanoseconds Microseconds(Prng& prng, uint64_t high) {
  return static_cast<Nanoseconds>(LogUniform(prng, high)) * kMicrosecond;
}

// An index of `weights`, as likely as its weight. REQUIRES: one is not 0.
template <typename Weights>
size_t Weighted(Prng& prng, const Weights& weights) {
  uint64_t sum = 0;
  for (const uint64_t weight : weights) sum += weight;
  ORRERY_CHECK(sum > 0);
  uint64_t pick = prng.Below(sum);
  size_t at = 0;
  while (pick >= weights[at]) pick -= weights[at++];
  return at;
}

// One of `words`. REQUIRES: there are some.
template <typename Words>
std::string_view Pick(Prng& prng, const Words& words) {
  return words[prng.Below(words.size())];
}

}  // namespace orrery::scenarios
