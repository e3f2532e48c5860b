// A check that does not end the process, or hides what it compared, leaves a broken program
// running.
#include "base/check.h"

#include <cstdio>

#include "gtest/gtest.h"

namespace orrery {
namespace {

TEST(Check, PassesWithoutEvaluatingTwice) {
  int evaluations = 0;
  ORRERY_CHECK(++evaluations == 1);
  ORRERY_CHECK_MSG(++evaluations == 2, "never shown");
  ORRERY_CHECK_OP(++evaluations, ==, 3);
  EXPECT_EQ(evaluations, 3);
}

TEST(CheckDeathTest, FailureNamesPlaceAndCondition) {
  EXPECT_DEATH(ORRERY_CHECK(1 > 2), "check_test\\.cc:[0-9]+: check failed: 1 > 2");
}

TEST(CheckDeathTest, FailureShowsTheMessage) {
  EXPECT_DEATH(ORRERY_CHECK_MSG(false, "a queue ran over"), "false \\(a queue ran over\\)");
}

TEST(CheckDeathTest, ComparisonShowsBothValues) {
  const unsigned used = 7;
  const int limit = 5;
  EXPECT_DEATH(ORRERY_CHECK_OP(used, <=, static_cast<unsigned>(limit)), "7 against 5");
}

TEST(CheckDeathTest, DebugCheckIsOnInTestBuilds) {
  int evaluations = 0;
#ifdef ORRERY_DCHECKS
  EXPECT_DEATH(ORRERY_DCHECK(false), "check failed: false");
  ORRERY_DCHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
#else
  ORRERY_DCHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 0);
#endif
}

TEST(CheckDeathTest, HookRunsOnceBeforeTheEnd) {
  const auto fail = [] {
    SetCheckFailureHook(
        [](void* context) {
          std::fprintf(stderr, "seed %d;", *static_cast<int*>(context));
          ORRERY_CHECK_MSG(false, "inside the hook");
        },
        [] {
          static int seed = 42;
          return &seed;
        }());
    ORRERY_CHECK(false);
  };
  // The hook's own failure ends the process without calling the hook again.
  EXPECT_DEATH(fail(), "check failed: false\nseed 42;.*inside the hook\\)\n$");
}

TEST(CheckDeathTest, NullHookIsNoHook) {
  SetCheckFailureHook(nullptr, nullptr);
  EXPECT_DEATH(CheckFailed("file.cc", 3, "x", nullptr), "^file\\.cc:3: check failed: x\n$");
}

}  // namespace
}  // namespace orrery
