// What the other shards of a server may know of a shard's subscriptions: whether somebody there may
// listen to a channel.
//
// A message goes only to shards that may have a receiver, so that most servers' messages cross to
// few. Channels share kSlots bits by their hash slots: it is never wrong that nobody listens.
// Changed by the shard's thread only, read by all. A bit is set before the reply to SUBSCRIBE
// leaves, so who has learned of the subscription, by whatever way outside the server, publishes to
// it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "server/hash_slot.h"
#include "server/subscription.h"

namespace orrery::server {

class Interest {
 public:
  static constexpr size_t kSlots = 1024;

  // --- The shard's.

  // A topic that somebody listens to has come to be, or is not any more.
  void Add(TopicKind kind, std::string_view name) {
    uint32_t& topics = CountOf(kind, name);
    if (topics++ == 0) Publish(kind, name, true);
  }
  void Remove(TopicKind kind, std::string_view name) {
    uint32_t& topics = CountOf(kind, name);
    ORRERY_CHECK(topics > 0);
    if (--topics == 0) Publish(kind, name, false);
  }

  // --- Anybody's.

  // Whether somebody may listen to a channel of this kind and slot (SlotOf()).
  bool MayListen(TopicKind kind, size_t slot) const {
    if (kind == TopicKind::kChannel && patterns_.load(std::memory_order_acquire)) return true;
    return (bits_[slot / kWordBits].load(std::memory_order_acquire) >> (slot % kWordBits) & 1) != 0;
  }
  static size_t SlotOf(std::string_view channel) { return HashSlot(channel) % kSlots; }

 private:
  static constexpr size_t kWordBits = 64;

  uint32_t& CountOf(TopicKind kind, std::string_view name) {
    return kind == TopicKind::kPattern ? pattern_count_ : counts_[SlotOf(name)];
  }
  void Publish(TopicKind kind, std::string_view name, bool listens) {
    if (kind == TopicKind::kPattern) {
      patterns_.store(listens, std::memory_order_release);
      return;
    }
    const size_t slot = SlotOf(name);
    const uint64_t bit = uint64_t{1} << (slot % kWordBits);
    std::atomic<uint64_t>& word = bits_[slot / kWordBits];
    if (listens) {
      word.fetch_or(bit, std::memory_order_release);
    } else {
      word.fetch_and(~bit, std::memory_order_release);
    }
  }

  // What is read by others has cache lines of its own.
  alignas(64) std::array<std::atomic<uint64_t>, kSlots / kWordBits> bits_{};
  std::atomic<bool> patterns_ = false;
  alignas(64) std::array<uint32_t, kSlots> counts_{};
  uint32_t pattern_count_ = 0;
};

}  // namespace orrery::server
