// What would break: the plan of a run that crashed would lack its last decisions, which are those
// that matter most.
#include "sim/journal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "kernel_model/choice.h"
#include "sim/child.h"
#include "sim/choices.h"

namespace orrery::sim {
namespace {

using model::Site;

const PlannedChoice kSent{.site = Site::kSendPartial, .entity = 3, .ordinal = 7, .value = 1};
const PlannedChoice kShort{.site = Site::kReceiveShort, .entity = 1, .ordinal = 0, .value = 9};

TEST(SharedJournal, SurvivesTheCrashOfItsWriter) {
  SharedJournal journal;
  const auto child = Child::Start(
      [&](const ChildSide&) {
        journal.Append(kSent);
        journal.Append(kShort);
        std::abort();
      },
      {});
  child->PumpToTheEnd();
  EXPECT_EQ(child->end(), Child::End::kSignalled);
  EXPECT_EQ(journal.Read(), (std::vector{kSent, kShort}));
}

TEST(SharedJournal, StartsAgainEmpty) {
  SharedJournal journal;
  EXPECT_TRUE(journal.Read().empty());
  journal.Append(kSent);
  journal.Clear();
  EXPECT_TRUE(journal.Read().empty());
  journal.Append(kShort);
  EXPECT_EQ(journal.Read(), std::vector{kShort});
}

TEST(JournalChoice, PassesOnAnswersAndKeepsThoseThatAreNotBenign) {
  SharedJournal journal;
  PlanChoice plan({kSent, kShort});
  JournalChoice choice(plan, journal);
  EXPECT_EQ(choice.Choose(Site::kReceiveShort, 1, 0, 10), 9u);
  EXPECT_EQ(choice.Choose(Site::kReceiveShort, 1, 1, 10), 0u);
  EXPECT_EQ(choice.Choose(Site::kSendPartial, 3, 7, 10), 1u);
  EXPECT_EQ(journal.Read(), (std::vector{kShort, kSent}));
}

}  // namespace
}  // namespace orrery::sim
