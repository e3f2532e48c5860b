// What would break: an older kernel would be blamed for a feature that it does not have, or a new
// one would silently be let off.
#include "tests/conformance/requirements.h"

#include "gtest/gtest.h"

namespace orrery::conformance {
namespace {

TEST(Requirements, VersionsAreReadAndCompared) {
  EXPECT_EQ(ParseVersion("6.18"), (KernelVersion{6, 18}));
  EXPECT_EQ(ParseVersion("5.4.0-generic"), (KernelVersion{5, 4}));
  EXPECT_EQ(ParseVersion("6"), std::nullopt);
  EXPECT_EQ(ParseVersion("of unknown version"), std::nullopt);
  EXPECT_LT((KernelVersion{6, 9}), (KernelVersion{6, 10}));
  EXPECT_LT((KernelVersion{5, 19}), (KernelVersion{6, 0}));
  EXPECT_EQ((KernelVersion{6, 10}).ToString(), "6.10");
}

TEST(Requirements, ATestIsNamedAfterItsFact) {
  EXPECT_EQ(FactOf("T10_TooMany/RealPlain"), "T10");
  EXPECT_EQ(FactOf("V7b_OnlyWhatIsMissing/ModelPrompt"), "V7b");
  EXPECT_EQ(FactOf("Nop/RealPlain"), "");
  EXPECT_EQ(FactOf("A_Name"), "");
  EXPECT_EQ(FactOf("T1x2_Name"), "");
  EXPECT_EQ(FactOf("T1"), "");
}

TEST(Requirements, WhatIsNewerThanTheBaselineIsKnown) {
  EXPECT_EQ(NeededFor("Bundles", "D3"), (KernelVersion{6, 10}));
  EXPECT_EQ(NeededFor("Sockets", "A14"), (KernelVersion{6, 11}));
  EXPECT_EQ(NeededFor("Sockets", "A12"), std::nullopt);
  EXPECT_EQ(NeededFor("Sending", "T1"), std::nullopt);
}

}  // namespace
}  // namespace orrery::conformance
