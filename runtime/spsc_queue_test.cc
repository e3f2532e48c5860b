// What one thread pushes must come out once, in order, and a producer that found no room must be
// told when there is some. Every interleaving of small cases is in //tests/interleaving; with
// threads it runs under the mailboxes (mailboxes_test.cc).
#include "runtime/spsc_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

namespace orrery {
namespace {

// On the heap: gcc's AddressSanitizer does not keep such alignments on its stacks.
using Queue = SpscQueue<int>;

std::vector<int> Numbers(int first, size_t count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

// Pops at most `max`.
std::vector<int> PopUpTo(Queue& queue, size_t max, Queue::Popped* popped = nullptr) {
  std::vector<int> values;
  const Queue::Popped result = queue.Pop(max, [&](int value) { values.push_back(value); });
  EXPECT_EQ(result.count, values.size());
  if (popped != nullptr) *popped = result;
  return values;
}

TEST(SpscQueue, TakesWhatItHasRoomForAndKeepsTheOrder) {
  // Also where the positions wrap.
  for (const size_t position : {size_t{0}, ~size_t{0} / 2 - 2}) {
    const auto queue = std::make_unique<Queue>(3, position);
    EXPECT_EQ(queue->capacity(), 4U);
    int next = 0;
    for (int round = 0; round < 5; ++round) {
      EXPECT_EQ(queue->Push(Numbers(next, 6)), 4U);
      EXPECT_EQ(PopUpTo(*queue, 3), Numbers(next, 3));
      EXPECT_EQ(queue->Push(Numbers(next + 4, 2)), 2U);
      EXPECT_EQ(PopUpTo(*queue, 100), Numbers(next + 3, 3));
      EXPECT_TRUE(PopUpTo(*queue, 100).empty());
      next += 6;
    }
  }
}

TEST(SpscQueue, AQueueOfOneIsAQueue) {
  const auto queue = std::make_unique<Queue>(1);
  for (int number = 0; number < 3; ++number) {
    EXPECT_EQ(queue->Push(Numbers(number, 2)), 1U);
    EXPECT_EQ(PopUpTo(*queue, 2), Numbers(number, 1));
  }
}

TEST(SpscQueue, SaysThatMoreIsLeft) {
  const auto queue = std::make_unique<Queue>(8);
  ASSERT_EQ(queue->Push(Numbers(0, 5)), 5U);
  Queue::Popped popped;
  (void)PopUpTo(*queue, 4, &popped);
  EXPECT_TRUE(popped.left);
  (void)PopUpTo(*queue, 0, &popped);
  EXPECT_TRUE(popped.left);
  (void)PopUpTo(*queue, 1, &popped);
  EXPECT_FALSE(popped.left);
}

// Without it, a producer would have to look again and again.
TEST(SpscQueue, TellsThatRoomIsWantedOnceAndOnlyThen) {
  const auto queue = std::make_unique<Queue>(2);
  Queue::Popped popped;
  ASSERT_EQ(queue->Push(Numbers(0, 2)), 2U);
  (void)PopUpTo(*queue, 1, &popped);
  EXPECT_FALSE(popped.room_wanted);
  ASSERT_EQ(queue->Push(Numbers(2, 3)), 1U);
  ASSERT_EQ(queue->Push(Numbers(3, 2)), 0U);
  (void)PopUpTo(*queue, 0, &popped);
  EXPECT_FALSE(popped.room_wanted) << "no room was made";
  (void)PopUpTo(*queue, 1, &popped);
  EXPECT_TRUE(popped.room_wanted);
  (void)PopUpTo(*queue, 1, &popped);
  EXPECT_FALSE(popped.room_wanted);
  ASSERT_EQ(queue->Push(Numbers(3, 2)), 2U);
}

}  // namespace
}  // namespace orrery
