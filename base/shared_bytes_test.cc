// A borrowed value that changes or dies under a reply in flight sends a mixture to a peer.
#include "base/shared_bytes.h"

#include <cstring>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace orrery {
namespace {

TEST(SharedBytes, DefaultIsEmptyAndOwnsNothing) {
  const SharedBytes bytes;
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(bytes.size(), 0U);
  EXPECT_EQ(bytes.references(), 0U);
  EXPECT_FALSE(bytes.unique());
  EXPECT_EQ(bytes.view(), "");
}

TEST(SharedBytes, CopiesWhatItIsGiven) {
  std::string source("a\0b", 3);
  const SharedBytes bytes = SharedBytes::Copy(source);
  source[0] = 'x';
  EXPECT_EQ(bytes.view(), std::string_view("a\0b", 3));
  EXPECT_TRUE(bytes.unique());
}

TEST(SharedBytes, EmptyCopyIsUsable) {
  const SharedBytes bytes = SharedBytes::Copy("");
  EXPECT_TRUE(bytes.empty());
  EXPECT_TRUE(bytes.unique());
}

TEST(SharedBytes, CopiesShareAndCount) {
  SharedBytes first = SharedBytes::Copy("value");
  {
    // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the copy is what is tested.
    const SharedBytes second = first;
    EXPECT_EQ(first.references(), 2U);
    EXPECT_EQ(second.references(), 2U);
    EXPECT_EQ(second.data(), first.data());
    EXPECT_FALSE(first.unique());
  }
  EXPECT_TRUE(first.unique());
}

TEST(SharedBytes, OutlivesItsFirstOwner) {
  SharedBytes borrower;
  {
    const SharedBytes owner = SharedBytes::Copy("still here");
    borrower = owner;
  }
  EXPECT_EQ(borrower.view(), "still here");
  EXPECT_TRUE(borrower.unique());
}

TEST(SharedBytes, MoveTransfersWithoutCounting) {
  SharedBytes first = SharedBytes::Copy("value");
  const char* data = first.data();
  SharedBytes second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.references(), 1U);
  EXPECT_EQ(first.references(), 0U);  // NOLINT(bugprone-use-after-move): defined to be empty.
  second = SharedBytes();
  EXPECT_TRUE(second.empty());
}

TEST(SharedBytes, AssignmentToItselfKeepsTheBytes) {
  SharedBytes bytes = SharedBytes::Copy("value");
  const SharedBytes& same = bytes;
  bytes = same;
  EXPECT_EQ(bytes.view(), "value");
  EXPECT_TRUE(bytes.unique());
}

TEST(SharedBytes, AllocatedBytesAreFilledInPlace) {
  SharedBytes bytes = SharedBytes::Allocate(4);
  std::memcpy(bytes.mutable_bytes().data(), "abcd", 4);
  EXPECT_EQ(bytes.view(), "abcd");
}

TEST(SharedBytes, GrowsInPlaceWhileThereIsRoom) {
  SharedBytes bytes = SharedBytes::Allocate(0, 5);
  const char* place = bytes.data();
  EXPECT_TRUE(bytes.TryGrow(3));
  std::memcpy(bytes.mutable_bytes().data(), "abc", 3);
  EXPECT_TRUE(bytes.TryGrow(3));
  EXPECT_TRUE(bytes.TryGrow(5));
  std::memcpy(bytes.mutable_bytes().data() + 3, "de", 2);
  EXPECT_EQ(bytes.view(), "abcde");
  EXPECT_EQ(bytes.data(), place);
  EXPECT_EQ(bytes.capacity_bytes(), 5U);
  EXPECT_FALSE(bytes.TryGrow(6));
  EXPECT_EQ(bytes.view(), "abcde");
  SharedBytes none;
  EXPECT_FALSE(none.TryGrow(1));
}

TEST(SharedBytes, SharedBytesDoNotGrow) {
  SharedBytes bytes = SharedBytes::Allocate(0, 5);
  const SharedBytes borrower = bytes;
  EXPECT_FALSE(bytes.TryGrow(1));
  EXPECT_EQ(borrower.size(), 0U);
}

TEST(SharedBytesDeathTest, SharedBytesAreNeverChanged) {
  SharedBytes bytes = SharedBytes::Copy("value");
  const SharedBytes borrower = bytes;
  EXPECT_DEATH((void)bytes.mutable_bytes(), "never changed in place");
}

struct CountingLoan : SharedBytes::Loan {
  int returned = 0;

 private:
  void OnReturned() override { ++returned; }
};

TEST(SharedBytes, ALoanEndsWithTheLastThatNamesItsBytes) {
  const std::string lent = "somebody else's";
  CountingLoan loan;
  for (int round = 1; round <= 2; ++round) {
    SharedBytes first = SharedBytes::Lend(lent, loan);
    EXPECT_EQ(first.data(), lent.data());
    EXPECT_EQ(first.size(), lent.size());
    EXPECT_EQ(first.loan(), &loan);
    {
      const SharedBytes second = first;
      first = {};
      EXPECT_EQ(second.view(), lent);
      EXPECT_TRUE(loan.out());
      EXPECT_EQ(loan.returned, round - 1);
    }
    EXPECT_FALSE(loan.out());
    EXPECT_EQ(loan.returned, round);
  }
  EXPECT_EQ(SharedBytes::Copy("own").loan(), nullptr);
}

TEST(SharedBytes, LentBytesAreNobodysToWrite) {
  CountingLoan loan;
  SharedBytes bytes = SharedBytes::Lend("lent", loan);
  EXPECT_EQ(bytes.references(), 1U);
  EXPECT_FALSE(bytes.unique());
  EXPECT_FALSE(bytes.TryGrow(4));
}

}  // namespace
}  // namespace orrery
