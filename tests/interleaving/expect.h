// What a test expects of all interleavings of a case: that each is right, or, where a mistake is
// planted, that one is not. It prints how many there were.
#pragma once

#include <cstdint>

#include "tests/interleaving/explorer.h"

namespace orrery::interleaving {

// No case here has as many interleavings.
constexpr uint64_t kRunsMax = 20'000'000;

// `threads` describes a case: Explorer::Case Describe().
template <typename Threads>
Explorer::Result Explore(Threads&& threads) {
  return Explorer::Run(threads.Describe(), kRunsMax);
}

void ExpectAllRight(const char* what, const Explorer::Result& result);
void ExpectFound(const char* what, const Explorer::Result& result);

}  // namespace orrery::interleaving
