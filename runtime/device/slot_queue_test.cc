// A slot that changes hands out of turn is served twice, or never. Each transition, and that there
// is no other; every interleaving of them is in //tests/interleaving.
#include "runtime/device/slot_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/device/requester.h"

extern "C" void PublishInC(orrery_device_slot* slot);

namespace orrery {
namespace {

constexpr size_t kSlotBytes = sizeof(orrery_device_slot);

class SlotQueueTest : public testing::Test {
 protected:
  std::span<std::byte> Bytes(size_t bytes) {
    return std::as_writable_bytes(std::span(memory_)).first(bytes);
  }
  void SetStatus(uint32_t index, uint32_t status) { memory_[index].status = status; }

  alignas(64) std::array<orrery_device_slot, 8192> memory_{};
};

constexpr DeviceRequest kRequest = {.operation = ORRERY_DEVICE_READ,
                                    .source = 7,
                                    .destination = 9,
                                    .offset = 0x1234567890abcdef,
                                    .bytes = 4096,
                                    .published_at = 77};

TEST_F(SlotQueueTest, BadGeometryIsRefused) {
  EXPECT_TRUE(MapSlotQueue(Bytes(kSlotBytes)).has_value());
  EXPECT_TRUE(MapSlotQueue(Bytes(4096 * kSlotBytes)).has_value());
  EXPECT_FALSE(MapSlotQueue(Bytes(8192 * kSlotBytes)).has_value());
  EXPECT_FALSE(MapSlotQueue(Bytes(0)).has_value());
  EXPECT_FALSE(MapSlotQueue(Bytes(3 * kSlotBytes)).has_value());
  EXPECT_FALSE(MapSlotQueue(Bytes(kSlotBytes + 16)).has_value());
  EXPECT_FALSE(MapSlotQueue(Bytes(2 * kSlotBytes).subspan(16, kSlotBytes)).has_value());
}

TEST_F(SlotQueueTest, ARequestGoesAroundOnce) {
  SlotQueue queue = MapSlotQueue(Bytes(4 * kSlotBytes)).value();
  EXPECT_FALSE(queue.TryClaim(1));
  ASSERT_TRUE(queue.TryPublish(1, kRequest));
  EXPECT_EQ(memory_[1].offset_high, 0x12345678U);
  EXPECT_EQ(memory_[1].offset_low, 0x90abcdefU);
  EXPECT_FALSE(queue.TryPublish(1, {}));
  EXPECT_FALSE(queue.Recycle(1));
  EXPECT_FALSE(queue.Complete(1, {.ok = true, .tag = 1}));
  ASSERT_TRUE(queue.TryClaim(1));
  EXPECT_FALSE(queue.TryClaim(1));
  EXPECT_FALSE(queue.TryPublish(1, {}));
  EXPECT_FALSE(queue.Result(1).has_value());
  EXPECT_FALSE(queue.Recycle(1));
  EXPECT_EQ(queue.Read(1), kRequest);
  ASSERT_TRUE(queue.Complete(1, {.ok = false, .tag = EIO}));
  EXPECT_FALSE(queue.Complete(1, {.ok = true, .tag = 5}));
  EXPECT_FALSE(queue.TryClaim(1));
  EXPECT_EQ(queue.Result(1), (DeviceResult{.ok = false, .tag = EIO}));
  ASSERT_TRUE(queue.Recycle(1));
  EXPECT_FALSE(queue.Recycle(1));
  EXPECT_TRUE(queue.TryPublish(1, kRequest));
}

TEST_F(SlotQueueTest, AProgramInCPublishes) {
  SlotQueue queue = MapSlotQueue(Bytes(2 * kSlotBytes)).value();
  PublishInC(&memory_[1]);
  ASSERT_TRUE(queue.TryClaim(1));
  DeviceRequest request = kRequest;
  request.operation = ORRERY_DEVICE_WRITE;
  EXPECT_EQ(queue.Read(1), request);
}

TEST_F(SlotQueueTest, AStatusThatIsNoneMovesNothing) {
  SlotQueue queue = MapSlotQueue(Bytes(kSlotBytes)).value();
  for (const uint32_t status : {5U, 77U, 0xffffffffU}) {
    SetStatus(0, status);
    EXPECT_FALSE(queue.TryPublish(0, kRequest));
    EXPECT_FALSE(queue.TryClaim(0));
    EXPECT_FALSE(queue.Complete(0, {}));
    EXPECT_FALSE(queue.Recycle(0));
    EXPECT_EQ(memory_[0].status, status);
    EXPECT_EQ(memory_[0].tag, 0U);
  }
}

TEST_F(SlotQueueTest, ARequesterGoesInOrderAndWaitsForItsSlots) {
  SlotQueue queue = MapSlotQueue(Bytes(2 * kSlotBytes)).value();
  Requester requester(queue);
  EXPECT_EQ(requester.TryPublish(kRequest), 0U);
  EXPECT_EQ(requester.TryPublish(kRequest), 1U);
  EXPECT_EQ(requester.TryPublish(kRequest), std::nullopt);
  EXPECT_EQ(requester.TryTake(0), std::nullopt);
  for (const uint32_t index : {1U, 0U}) {
    ASSERT_TRUE(queue.TryClaim(index));
    ASSERT_TRUE(queue.Complete(index, {.ok = true, .tag = index}));
  }
  EXPECT_EQ(requester.TryTake(1), (DeviceResult{.ok = true, .tag = 1}));
  // Number 2 wants the slot of number 0.
  EXPECT_EQ(requester.TryPublish(kRequest), std::nullopt);
  EXPECT_EQ(requester.TryTake(0), (DeviceResult{.ok = true, .tag = 0}));
  EXPECT_EQ(requester.TryPublish(kRequest), 2U);
  EXPECT_EQ(requester.published(), 3U);
}

}  // namespace
}  // namespace orrery
