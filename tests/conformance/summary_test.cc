// What would break: the table would count a fact as shown of which nothing ran, or lose a failure.
#include "tests/conformance/summary.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace orrery::conformance {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using Outcome = Summary::Outcome;

TEST(SummaryTable, CountsFactsByFamilyAndOnceInTheTotal) {
  Summary summary;
  for (const char* world : {"RealDeferred", "RealPlain", "ModelDeferred", "ModelPrompt"}) {
    summary.Add("Kernels/Sending", std::string("T7_AfterAFin/") + world, Outcome::kPassed, "");
    summary.Add("Kernels/Sending", std::string("T7_AfterAReset/") + world, Outcome::kPassed, "");
    summary.Add("Kernels/Sockets", std::string("T7_AfterAConnect/") + world, Outcome::kPassed, "");
    summary.Add("Kernels/Sockets", std::string("Helper/") + world, Outcome::kPassed, "");
  }
  const std::string table = summary.Table();
  EXPECT_THAT(table, ContainsRegex("Sending +1 +2 +1 +1 +0 +0\n"));
  EXPECT_THAT(table, ContainsRegex("Sockets +1 +2 +1 +1 +0 +0\n"));
  EXPECT_THAT(table, ContainsRegex("a fact once\\) +1 +4 +1 +1 +0 +0\n"));
  EXPECT_THAT(table, HasSubstr("on the model: 8 passed, 0 skipped, 0 failed; "
                               "on the kernel: 8 passed, 0 skipped, 0 failed\n"));
  EXPECT_EQ(summary.facts(), 1U);
}

TEST(SummaryTable, AFactIsSkippedWhereTheKernelShowedNothingOfIt) {
  Summary summary;
  summary.Add("Kernels/Bundles", "D1_Counts/RealDeferred", Outcome::kSkipped, "needs Linux 6.10");
  summary.Add("Kernels/Bundles", "D1_Counts/ModelDeferred", Outcome::kPassed, "");
  // Of one mode only, which is no gap.
  summary.Add("Kernels/Bundles", "D2_Any/RealDeferred", Outcome::kSkipped, "of the other mode");
  summary.Add("Kernels/Bundles", "D2_Any/RealPlain", Outcome::kPassed, "");
  summary.Add("Kernels/Bundles", "D2_Any/ModelPrompt", Outcome::kPassed, "");
  const std::string table = summary.Table();
  EXPECT_THAT(table, ContainsRegex("Bundles +2 +2 +2 +1 +1 +0\n"));
  EXPECT_THAT(table, HasSubstr("skipped Bundles.D1_Counts/RealDeferred: needs Linux 6.10\n"));
}

TEST(SummaryTable, AFailureIsCountedAndItsFactDoesNotHold) {
  Summary summary;
  summary.Add("Kernels/Wait", "W1_Ends/RealDeferred", Outcome::kPassed, "");
  summary.Add("Kernels/Wait", "W1_Ends/RealPlain", Outcome::kFailed, "");
  summary.Add("Kernels/Wait", "W1_Ends/ModelPrompt", Outcome::kPassed, "");
  EXPECT_THAT(summary.Table(), ContainsRegex("Wait +1 +1 +1 +0 +0 +1\n"));
}

}  // namespace
}  // namespace orrery::conformance
