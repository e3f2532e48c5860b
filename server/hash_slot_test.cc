// What would break: a client of Redis Cluster and this server disagree on where a key is, keys with
// one tag land on two shards, a shard has no slots.
#include "server/hash_slot.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>

namespace orrery::server {
namespace {

// From CLUSTER KEYSLOT of redis-server 7.0, and the cluster specification's example.
TEST(HashSlotTest, IsThatOfRedis) {
  EXPECT_EQ(HashSlot("123456789"), 0x31c3u % kHashSlots);
  EXPECT_EQ(HashSlot(""), 0u);
  EXPECT_EQ(HashSlot("foo"), 12182u);
  EXPECT_EQ(HashSlot("bar"), 5061u);
  EXPECT_EQ(HashSlot("hello"), 866u);
  EXPECT_EQ(HashSlot(std::string_view("\xff\x00\x80", 3)), HashSlot(std::string("\xff\0\x80", 3)));
}

TEST(HashSlotTest, HashesTheTagOnly) {
  EXPECT_EQ(HashSlot("{user1000}.following"), HashSlot("user1000"));
  EXPECT_EQ(HashSlot("a{user1000}.followers{x}"), HashSlot("user1000"));
  // No tag: nothing in the first braces, none closed, or closed before it is open.
  EXPECT_NE(HashSlot("foo{}{bar}"), HashSlot("bar"));
  EXPECT_NE(HashSlot("foo{bar"), HashSlot("bar"));
  EXPECT_NE(HashSlot("foo}bar{"), HashSlot("bar"));
  EXPECT_EQ(HashSlot("foo{{bar}}zap"), HashSlot("{bar"));
}

TEST(HashSlotTest, EveryShardHasItsEvenPart) {
  for (const uint32_t shards : {1u, 2u, 3u, 7u, 128u}) {
    std::map<uint32_t, uint32_t> slots;
    for (uint32_t slot = 0; slot < kHashSlots; ++slot) ++slots[ShardOfSlot(slot, shards)];
    ASSERT_EQ(slots.size(), shards);
    EXPECT_EQ(slots.rbegin()->first, shards - 1);
    for (const auto& [shard, count] : slots) {
      EXPECT_GE(count, kHashSlots / shards) << shard;
      EXPECT_LE(count, kHashSlots / shards + 1) << shard;
    }
  }
}

}  // namespace
}  // namespace orrery::server
