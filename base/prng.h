// Deterministic random numbers: the same on every compiler, level and platform.
//
// Mix64 hashes; Prng draws a sequence. Neither uses <random>'s distributions, whose results differ
// between libraries. Two draws never stand in one expression: compilers order them differently.
#pragma once

#include <cstdint>

#include "base/check.h"

namespace orrery {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection with full avalanche.
constexpr uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Order matters: Combine(Combine(0, a), b) differs from Combine(Combine(0, b), a).
constexpr uint64_t Combine(uint64_t hash, uint64_t value) { return Mix64(hash ^ Mix64(value)); }

// Maps a random 64-bit word to [0, bound) by multiplication (Lemire 2019); the bias is below bound
// / 2^64. REQUIRES: bound > 0.
constexpr uint64_t Bounded(uint64_t word, uint64_t bound) {
  ORRERY_CHECK(bound > 0);
  return static_cast<uint64_t>((static_cast<unsigned __int128>(word) * bound) >> 64);
}

// SplitMix64. Copyable; a copy continues the same sequence.
class Prng {
 public:
  explicit constexpr Prng(uint64_t seed) : state_(seed) {}

  constexpr uint64_t Next() {
    const uint64_t word = Mix64(state_);
    state_ += 0x9e3779b97f4a7c15;
    return word;
  }

  // Uniform in [0, bound). REQUIRES: bound > 0.
  constexpr uint64_t Below(uint64_t bound) { return Bounded(Next(), bound); }

  // Uniform in [low, high]. REQUIRES: low <= high and the range is not all 64 bits.
  constexpr uint64_t Between(uint64_t low, uint64_t high) {
    ORRERY_CHECK(low <= high);
    return low + Below(high - low + 1);
  }

  // True `numerator` times out of `denominator`.
  constexpr bool Chance(uint64_t numerator, uint64_t denominator) {
    return Below(denominator) < numerator;
  }

 private:
  uint64_t state_;
};

}  // namespace orrery
