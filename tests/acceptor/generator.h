// Writes programs. One thread; a program is a function of its seed and of the families that may be
// drawn.
#pragma once

#include <cstdint>

#include "tests/acceptor/program.h"

namespace orrery::acceptor {

// What programs can be about beside what all of them are about; a program draws some of these, so
// that each is met with and without the others.
enum Family : uint32_t {
  kPlain = 0,
  kLinks = 1,
  kZeroCopy = 2,
  kSlots = 4,
  kBundles = 8,
  kIncremental = 16,
  kDrains =
      32,  // Without shutdowns and files: no cancel waits for a worker that a drain holds back.
  kPipes = 64,
  kFiles = 128,
  kDatagrams = 256,
  kLongSends = 512,     // That are short, or have to wait.
  kSelectReads = 1024,  // Reads, too, into provided buffers.
};
constexpr uint32_t kEveryFamily = 2 * kSelectReads - 1;
// Drawn by default: not drains and long sends. README.md says why, and what they would need.
constexpr uint32_t kDefaultFamilies = kEveryFamily & ~uint32_t{kDrains | kLongSends};

// Of those families at most.
Program Generate(uint64_t seed, uint32_t families = kDefaultFamilies);

}  // namespace orrery::acceptor
