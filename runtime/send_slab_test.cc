// The send slab: when a slot and what it pins are let go, and that a message goes on at the byte
// where the kernel stopped. Any order of all this is //tests/property:send_slab_property_test's.
#include "runtime/send_slab.h"

#include <string>
#include <utility>
#include <vector>

#include "base/shared_bytes.h"
#include "gtest/gtest.h"

namespace orrery {
namespace {

using TestSlab = SendSlab<SharedBytes>;
using Progress = TestSlab::Progress;

constexpr SlotHandle kOwner{7, 3};

class SendSlabTest : public testing::Test {
 protected:
  SendSlabTest() : body_(SharedBytes::Copy("0123456789")) {}

  // A message of `parts` pieces of the body.
  std::optional<TestSlab::Allocation> Allocate(std::initializer_list<std::pair<int, int>> parts) {
    std::vector<iovec> iovecs;
    for (const auto& [offset, length] : parts) {
      iovecs.push_back({.iov_base = const_cast<char*>(body_.data()) + offset,
                        .iov_len = static_cast<size_t>(length)});
    }
    guards_.assign(1, body_);
    copies_ = pool_.Take();
    return slab_.Allocate(kOwner, iovecs, guards_, std::move(copies_));
  }

  static std::string BytesOf(const msghdr& message) {
    std::string bytes;
    for (size_t index = 0; index < message.msg_iovlen; ++index) {
      const iovec& part = message.msg_iov[index];
      bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
    return bytes;
  }

  // The slot's guard and its copies; guards_ may hold another reference, after a refusal.
  bool holds_memory() const { return body_.references() == 2 && pool_.in_use() == 1; }
  bool holds_nothing() const { return body_.references() == 1 && pool_.in_use() == 0; }

  SharedBytes body_;
  CopyPool pool_{4, 16};
  std::vector<SharedBytes> guards_;
  CopyPool::Lease copies_;
  TestSlab slab_{{.slots = 2, .iovecs = 3, .guards = 1}};
};

TEST_F(SendSlabTest, AMessageGoesOnWhereTheKernelStopped) {
  const SlotHandle handle = Allocate({{0, 3}, {5, 2}, {9, 1}})->handle;
  EXPECT_EQ(slab_.OwnerOf(handle), kOwner);
  EXPECT_EQ(slab_.total_length(handle), 6U);
  EXPECT_EQ(BytesOf(slab_.Begin(handle)), "012569");
  EXPECT_EQ(slab_.Advance(handle, 1, false), Progress::kMore);
  EXPECT_EQ(BytesOf(slab_.Begin(handle)), "12569");
  EXPECT_EQ(slab_.Advance(handle, 2, false), Progress::kMore);  // The end of a part.
  EXPECT_EQ(BytesOf(slab_.Begin(handle)), "569");
  EXPECT_EQ(slab_.Advance(handle, 0, false), Progress::kMore);
  EXPECT_EQ(slab_.total_length(handle), 6U);
  EXPECT_EQ(BytesOf(slab_.Begin(handle)), "569");
  EXPECT_EQ(slab_.Advance(handle, 3, false), Progress::kDone);
  EXPECT_TRUE(holds_nothing());
  EXPECT_EQ(slab_.size(), 0U);
}

TEST_F(SendSlabTest, TheMemoryIsHeldUntilTheLastNotification) {
  const SlotHandle handle = Allocate({{0, 10}})->handle;
  EXPECT_FALSE(slab_.has_in_flight());
  slab_.Begin(handle);
  EXPECT_TRUE(slab_.has_in_flight());
  EXPECT_EQ(slab_.Advance(handle, 4, true), Progress::kMore);
  EXPECT_TRUE(slab_.has_in_flight());
  slab_.Begin(handle);
  slab_.Notify(handle);  // Of the first operation, while the second is in flight.
  EXPECT_TRUE(holds_memory());
  EXPECT_EQ(slab_.Advance(handle, 6, true), Progress::kDone);
  EXPECT_TRUE(holds_memory());
  slab_.Notify(handle);
  EXPECT_TRUE(holds_nothing());
  EXPECT_FALSE(slab_.has_in_flight());
  EXPECT_EQ(slab_.late_notifications(), 0U);
}

TEST_F(SendSlabTest, AnErrorThatAnnouncesANotificationIsWaitedForToo) {
  const SlotHandle handle = Allocate({{0, 10}})->handle;
  slab_.Begin(handle);
  EXPECT_EQ(slab_.Advance(handle, 0, true), Progress::kMore);
  slab_.End(handle);
  EXPECT_TRUE(holds_memory());
  slab_.Notify(handle);
  EXPECT_TRUE(holds_nothing());
}

TEST_F(SendSlabTest, AnErrorWithoutOneEndsTheSlotAtOnce) {
  const SlotHandle handle = Allocate({{0, 10}})->handle;
  slab_.Begin(handle);
  EXPECT_EQ(slab_.Advance(handle, 0, false), Progress::kMore);
  EXPECT_TRUE(holds_memory());  // It could be tried again.
  slab_.End(handle);
  EXPECT_TRUE(holds_nothing());
}

TEST_F(SendSlabTest, AMessageThatIsNeverSentCanBeGivenUp) {
  slab_.End(Allocate({{0, 1}})->handle);
  EXPECT_TRUE(holds_nothing());
}

TEST_F(SendSlabTest, AStaleHandleIsRecognised) {
  const SlotHandle stale = Allocate({{0, 1}})->handle;
  slab_.End(stale);
  const SlotHandle handle = Allocate({{0, 1}})->handle;
  ASSERT_EQ(handle.index, stale.index);
  EXPECT_EQ(slab_.OwnerOf(stale), std::nullopt);
  slab_.Begin(handle);
  EXPECT_EQ(slab_.Advance(handle, 1, true), Progress::kDone);
  slab_.Notify(stale);
  EXPECT_TRUE(holds_memory());  // It was not this one's.
  EXPECT_EQ(slab_.late_notifications(), 1U);
  slab_.Notify(handle);
  EXPECT_TRUE(holds_nothing());
  slab_.Notify(handle);
  EXPECT_EQ(slab_.late_notifications(), 2U);
}

TEST_F(SendSlabTest, ANotificationThatWasNotAnnouncedReleasesNothing) {
  const SlotHandle handle = Allocate({{0, 2}})->handle;
  slab_.Begin(handle);
  slab_.Notify(handle);
  EXPECT_EQ(slab_.late_notifications(), 1U);
  EXPECT_TRUE(holds_memory());
  EXPECT_EQ(slab_.Advance(handle, 2, false), Progress::kDone);
  EXPECT_TRUE(holds_nothing());
}

TEST_F(SendSlabTest, AFullSlabTakesNothing) {
  const SlotHandle first = Allocate({{0, 1}})->handle;
  const SlotHandle second = Allocate({{0, 1}})->handle;
  EXPECT_FALSE(Allocate({{0, 1}}).has_value());
  ASSERT_EQ(guards_.size(), 1U);
  EXPECT_EQ(guards_[0].data(), body_.data());
  EXPECT_TRUE(copies_);
  slab_.End(first);
  EXPECT_TRUE(Allocate({{0, 1}}).has_value());
  EXPECT_TRUE(guards_[0].empty());
  EXPECT_FALSE(copies_);
  slab_.End(second);
  slab_.End({first.index, first.generation + 1});
  EXPECT_EQ(slab_.size(), 0U);
}

TEST_F(SendSlabTest, AllSlotsArePinnedApart) {
  const auto first = Allocate({{0, 3}, {4, 1}});
  const auto second = Allocate({{5, 1}});
  EXPECT_EQ(BytesOf(*first->message), "0124");
  EXPECT_EQ(BytesOf(*second->message), "5");
  EXPECT_EQ(&slab_.Begin(first->handle), first->message);
  slab_.Advance(first->handle, 3, false);
  EXPECT_EQ(BytesOf(*first->message), "4");
  EXPECT_EQ(BytesOf(*second->message), "5");
  slab_.End(first->handle);
  slab_.End(second->handle);
}

using SendSlabDeathTest = SendSlabTest;

TEST_F(SendSlabDeathTest, MoreBytesThanWereLeftIsNotDone) {
  const SlotHandle handle = Allocate({{0, 4}})->handle;
  slab_.Begin(handle);
  EXPECT_DEATH(slab_.Advance(handle, 5, true), "left_bytes");
  slab_.Advance(handle, 3, false);
  slab_.Begin(handle);
  EXPECT_DEATH(slab_.Advance(handle, 2, true), "left_bytes");
  slab_.Advance(handle, 1, false);
}

TEST_F(SendSlabDeathTest, MisuseIsNoticed) {
  const SlotHandle handle = Allocate({{0, 4}})->handle;
  EXPECT_DEATH(slab_.Advance(handle, 1, false), "in_flight");
  EXPECT_DEATH(Allocate({{0, 1}, {1, 1}, {2, 1}, {3, 1}}), "iovecs");
  EXPECT_DEATH(Allocate({}), "empty");
  EXPECT_DEATH(Allocate({{0, 0}}), "iov_len");
  slab_.Begin(handle);
  EXPECT_DEATH(slab_.Begin(handle), "in_flight");
  EXPECT_DEATH(slab_.End(handle), "in_flight");
  slab_.Advance(handle, 4, false);
  EXPECT_DEATH(slab_.Begin(handle), "after its release");
}

TEST_F(SendSlabDeathTest, ItOutlivesWhatItPins) {
  const auto die_with_a_slot = [this] {
    const iovec part{.iov_base = const_cast<char*>(body_.data()), .iov_len = 1};
    TestSlab slab({.slots = 1, .iovecs = 1, .guards = 1});
    (void)slab.Allocate(kOwner, {&part, 1}, {}, {});
  };
  EXPECT_DEATH(die_with_a_slot(), "may read");
}

}  // namespace
}  // namespace orrery
