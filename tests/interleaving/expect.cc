#include "tests/interleaving/expect.h"

#include <gtest/gtest.h>

#include <iostream>

namespace orrery::interleaving {

void ExpectAllRight(const char* what, const Explorer::Result& result) {
  EXPECT_EQ(result.problem, "") << what << ", decisions " << result.decisions;
  EXPECT_TRUE(result.complete) << what;
  std::cout << what << ": " << result.runs << " interleavings: all of them, at most "
            << result.steps_max << " steps in one\n";
}

void ExpectFound(const char* what, const Explorer::Result& result) {
  EXPECT_NE(result.problem, "") << what << " was not found in " << result.runs << " runs";
  std::cout << what << ": " << result.problem << ", in interleaving " << result.runs << "\n";
}

}  // namespace orrery::interleaving
