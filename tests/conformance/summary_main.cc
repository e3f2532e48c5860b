// Runs every body of the conformance suite in one process, on Linux and on the model, and prints
// what came of the facts. Exit code 0: all hold. 1: one does not, or there are fewer than promised.
//
// Takes GoogleTest's options; with a filter, the table is of what ran.
#include <cstdio>

#include "gtest/gtest.h"
#include "runtime/ring/liburing_ring.h"
#include "tests/conformance/summary.h"

namespace {

// So many facts the suite promises to show.
constexpr size_t kFactsMin = 150;

}  // namespace

int main(int argc, char** argv) {
  GTEST_FLAG_SET(brief, true);  // The table says what passed.
  testing::InitGoogleTest(&argc, argv);
  auto* const summary = new orrery::conformance::Summary();  // GoogleTest owns its listeners.
  testing::UnitTest& tests = *testing::UnitTest::GetInstance();
  tests.listeners().Append(summary);
  int code = RUN_ALL_TESTS();
  std::printf("\nFacts about io_uring, on Linux %s and on the model\n\n%s",
              orrery::RunningKernelVersion().c_str(), summary->Table().c_str());
  const bool all = tests.test_to_run_count() == tests.total_test_count();
  if (all && summary->facts() < kFactsMin) {
    std::printf("FAILED: %zu facts, promised are %zu\n", summary->facts(), kFactsMin);
    code = 1;
  }
  return code;
}
