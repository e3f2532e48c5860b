// Which seeds every run of the tests tries, of each scenario: 0 and up, in blocks that Bazel can
// run side by side.
#pragma once

#include <cstdint>

namespace orrery::scenarios {

inline constexpr uint64_t kBlocks = 16;
inline constexpr uint64_t kSeedsABlock = 100;
inline constexpr uint64_t kDefaultSeeds = kBlocks * kSeedsABlock;

}  // namespace orrery::scenarios
