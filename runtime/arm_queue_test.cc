// A lost entry is a connection that never reads or writes again; a duplicate is one operation too
// many in flight.
#include "runtime/arm_queue.h"

#include <vector>

#include "base/slab.h"
#include "gtest/gtest.h"

namespace orrery {
namespace {

struct Element {
  explicit Element(SlotHandle own_handle) : own(own_handle) {}
  SlotHandle handle() const { return own; }

  SlotHandle own;
  bool arm_queued = false;
};

class ArmQueueTest : public testing::Test {
 protected:
  Element& Make() { return *slab_.Allocate(); }

  // Visits everything and accepts it all. The indices in the order of the visits.
  std::vector<uint32_t> WalkAll() { return WalkUntil(~size_t{0}); }
  // The same, but the queue is full after `accepted_max` elements.
  std::vector<uint32_t> WalkUntil(size_t accepted_max) {
    std::vector<uint32_t> visited;
    queue_.Walk(slab_, [&](Element& element) {
      visited.push_back(element.own.index);
      return visited.size() <= accepted_max;
    });
    return visited;
  }

  using Indices = std::vector<uint32_t>;
  Slab<Element> slab_{1000};
  ArmQueue<Element> queue_;
};

TEST_F(ArmQueueTest, VisitsInOrderAndOnce) {
  Element& a = Make();
  Element& b = Make();
  queue_.Push(b);
  queue_.Push(a);
  queue_.Push(b);
  EXPECT_EQ(queue_.size(), 2U);
  EXPECT_EQ(WalkAll(), (Indices{1, 0}));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(WalkAll(), Indices{});
  EXPECT_EQ(queue_.visits(), 2U);
}

TEST_F(ArmQueueTest, TheMarkFollowsTheQueue) {
  Element& a = Make();
  EXPECT_FALSE(a.arm_queued);
  queue_.Push(a);
  EXPECT_TRUE(a.arm_queued);
  queue_.Walk(slab_, [](Element& element) {
    EXPECT_FALSE(element.arm_queued);
    return true;
  });
  EXPECT_FALSE(a.arm_queued);
  // It left, so it can come back: a mark that stays set would keep it out for ever.
  queue_.Push(a);
  EXPECT_EQ(WalkAll(), (Indices{0}));
}

TEST_F(ArmQueueTest, PushesDuringTheWalkWaitForTheNextOne) {
  Element& a = Make();
  Element& b = Make();
  Element& c = Make();
  queue_.Push(a);
  queue_.Push(b);
  Indices visited;
  queue_.Walk(slab_, [&](Element& element) {
    visited.push_back(element.own.index);
    queue_.Push(a);  // The one that is visited, or has been.
    queue_.Push(b);
    queue_.Push(c);
    return true;
  });
  // b stood in the queue when a was visited, and its second push came during its own visit.
  EXPECT_EQ(visited, (Indices{0, 1}));
  EXPECT_EQ(WalkAll(), (Indices{0, 2, 1}));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(ArmQueueTest, RefusedStaysInFront) {
  for (int count = 0; count < 4; ++count) queue_.Push(Make());
  EXPECT_EQ(WalkUntil(1), (Indices{0, 1}));
  EXPECT_EQ(queue_.size(), 3U);
  Element& late = Make();
  queue_.Push(late);
  EXPECT_EQ(WalkUntil(1), (Indices{1, 2}));
  EXPECT_EQ(WalkUntil(0), (Indices{2}));
  EXPECT_EQ(WalkAll(), (Indices{2, 3, 4}));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(ArmQueueTest, RefusedKeepsItsMark) {
  Element& a = Make();
  queue_.Push(a);
  EXPECT_EQ(WalkUntil(0), (Indices{0}));
  EXPECT_TRUE(a.arm_queued);
  queue_.Push(a);
  EXPECT_EQ(queue_.size(), 1U);
}

TEST_F(ArmQueueTest, PushesBeforeARefusalComeBehindWhatWasThere) {
  Element& a = Make();
  Element& b = Make();
  Element& c = Make();
  queue_.Push(a);
  queue_.Push(b);
  queue_.Walk(slab_, [&](Element& element) {
    if (&element == &a) {
      queue_.Push(c);
      return true;
    }
    return false;
  });
  EXPECT_EQ(WalkAll(), (Indices{1, 2}));
}

TEST_F(ArmQueueTest, OneThatQueuedItselfAndIsRefusedIsThereOnce) {
  Element& a = Make();
  Element& b = Make();
  queue_.Push(a);
  queue_.Push(b);
  queue_.Walk(slab_, [&](Element& element) {
    queue_.Push(element);
    return false;
  });
  EXPECT_EQ(queue_.size(), 2U);
  EXPECT_TRUE(a.arm_queued);
  EXPECT_EQ(WalkAll(), (Indices{1, 0}));
}

TEST_F(ArmQueueTest, TheVanishedAreSkipped) {
  Element& a = Make();
  Element& b = Make();
  queue_.Push(a);
  queue_.Push(b);
  slab_.Release(a.own);
  EXPECT_EQ(WalkAll(), (Indices{1}));
  EXPECT_EQ(queue_.visits(), 1U);
}

TEST_F(ArmQueueTest, TheHeirOfASlotIsNotTakenForTheDead) {
  Element& dead = Make();
  queue_.Push(dead);
  slab_.Release(dead.own);
  Element& heir = Make();
  ASSERT_EQ(heir.own.index, 0U);
  EXPECT_FALSE(heir.arm_queued);
  EXPECT_EQ(WalkAll(), Indices{});
  queue_.Push(heir);
  EXPECT_EQ(WalkAll(), (Indices{0}));
}

TEST_F(ArmQueueTest, OneThatVanishesDuringTheWalkIsSkipped) {
  Element& a = Make();
  Element& b = Make();
  Element& c = Make();
  queue_.Push(a);
  queue_.Push(b);
  queue_.Push(c);
  Indices visited;
  queue_.Walk(slab_, [&](Element& element) {
    visited.push_back(element.own.index);
    if (&element == &a) slab_.Release(b.own);
    return true;
  });
  EXPECT_EQ(visited, (Indices{0, 2}));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(ArmQueueTest, VisitsCountWorkNotElements) {
  for (int count = 0; count < 1000; ++count) (void)Make();
  queue_.Push(*slab_.Find({.index = 500, .generation = 0}));
  (void)WalkAll();
  EXPECT_EQ(queue_.visits(), 1U);
}

TEST_F(ArmQueueTest, WalksDoNotNest) {
  queue_.Push(Make());
  const auto nested = [&] {
    queue_.Walk(slab_, [&](Element&) {
      queue_.Walk(slab_, [](Element&) { return true; });
      return true;
    });
  };
  EXPECT_DEATH(nested(), "walks do not nest");
}

}  // namespace
}  // namespace orrery
