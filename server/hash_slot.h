// Where a key belongs: its slot, as Redis Cluster computes it, and the shard of that slot.
//
// A fixed function of the key, so that every client and every shard agrees on it. No state.
#pragma once

#include <cstdint>
#include <string_view>

namespace orrery::server {

inline constexpr uint32_t kHashSlots = 16384;

// CRC16 (XMODEM) of the key, or of what stands between its first '{' and the next '}' if that is
// not nothing: keys with the same tag share a slot.
uint32_t HashSlot(std::string_view key);

// Each shard has a contiguous range of slots, as even as can be.
constexpr uint32_t ShardOfSlot(uint32_t slot, uint32_t shards) {
  return slot * shards / kHashSlots;
}
inline uint32_t ShardOfKey(std::string_view key, uint32_t shards) {
  return ShardOfSlot(HashSlot(key), shards);
}

}  // namespace orrery::server
