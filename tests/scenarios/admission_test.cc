// What would break: a server that refuses clients for no reason, or serves more than it may, would
// pass; or one that rightly refuses would fail.
#include "tests/scenarios/admission.h"

#include <gtest/gtest.h>

namespace orrery::scenarios {
namespace {

TEST(Admission, WithoutLimitsNobodyIsRefused) {
  Admission admission;
  for (uint64_t connection = 0; connection < 100; ++connection) {
    admission.OnAccepted(connection);
    EXPECT_FALSE(admission.MayRefuse(connection));
    EXPECT_FALSE(admission.MayDrop(connection));
    EXPECT_TRUE(admission.OnServed(connection));
  }
}

TEST(Admission, OneTooManyIsRefusedAndMustNotBeServed) {
  Admission admission;
  admission.SetClientsMax(1);
  admission.OnAccepted(1);
  EXPECT_FALSE(admission.MayRefuse(1));  // There is room for it.
  admission.OnAccepted(2);
  EXPECT_TRUE(admission.OnServed(1));
  EXPECT_FALSE(admission.MayRefuse(1));
  EXPECT_TRUE(admission.MayRefuse(2));
  EXPECT_FALSE(admission.OnServed(2));
}

TEST(Admission, AReasonThatIsOverCountsForWhoWasThere) {
  Admission admission;
  admission.SetClientsMax(1);
  admission.OnAccepted(1);
  EXPECT_TRUE(admission.OnServed(1));
  admission.OnAccepted(2);
  admission.OnClosed(1);
  EXPECT_TRUE(admission.MayRefuse(2));
  admission.OnGone(1);
  admission.OnAccepted(3);
  EXPECT_FALSE(admission.MayRefuse(3));
  EXPECT_TRUE(admission.OnServed(3));
}

TEST(Admission, TheServerLearnsOfACloseLaterThanTheKernel) {
  Admission admission;
  admission.SetClientsMax(1);
  admission.OnAccepted(1);
  EXPECT_TRUE(admission.OnServed(1));
  admission.OnClosed(1);
  admission.OnAccepted(2);
  EXPECT_TRUE(admission.MayRefuse(2));
  EXPECT_TRUE(admission.OnServed(2));
}

TEST(Admission, AReasonThatCameTooLateIsNone) {
  Admission admission;
  admission.SetClientsMax(1);
  admission.OnAccepted(1);
  admission.OnClosed(1);
  admission.OnAccepted(2);
  EXPECT_TRUE(admission.OnServed(2));
  EXPECT_FALSE(admission.MayRefuse(1));
}

TEST(Admission, ALimitThatIsRaisedHoldsFromThenOn) {
  Admission admission;
  admission.SetClientsMax(1);
  admission.OnAccepted(1);
  EXPECT_TRUE(admission.OnServed(1));
  admission.OnAccepted(2);
  admission.SetClientsMax(10);
  admission.OnAccepted(3);
  EXPECT_TRUE(admission.MayRefuse(2));
  EXPECT_FALSE(admission.MayRefuse(3));
}

TEST(Admission, ASlotIsFreeSomeTurnsAfterTheClose) {
  Admission admission;
  admission.SetConnectionsMax(1);
  admission.OnAccepted(1);
  EXPECT_FALSE(admission.MayDrop(1));
  admission.OnClosed(1);
  admission.OnAccepted(2);
  EXPECT_TRUE(admission.MayDrop(2));
  admission.OnClosed(2);
  for (int turn = 0; turn < 20; ++turn) admission.OnTurn();
  admission.OnAccepted(3);
  EXPECT_FALSE(admission.MayDrop(3));
}

TEST(Admission, AConnectionThatWasNeverAcceptedDoesNotCount) {
  Admission admission;
  admission.SetClientsMax(1);
  admission.OnClosed(1);
  admission.OnAccepted(2);
  EXPECT_TRUE(admission.OnServed(2));
}

}  // namespace
}  // namespace orrery::scenarios
