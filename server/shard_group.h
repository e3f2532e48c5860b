// What the shards of one server share: their mailboxes, and the few counts that must be exact.
//
// Made before them and outlives them. The atomic members are changed once a connection or less.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "runtime/bells.h"
#include "runtime/mailboxes.h"
#include "server/errand.h"
#include "server/interest.h"

namespace orrery::server {

using ErrandMailboxes = Mailboxes<Errand*>;
using ErrandMail = Mail<Errand*>;

class ShardGroup {
 public:
  // `bells` must outlive the group; null where the shards have no rings.
  explicit ShardGroup(const MailboxOptions& options, Bells* bells = nullptr)
      : mailboxes_(options), memory_(options.shards), bells_(bells) {
    for (uint32_t shard = 0; shard < options.shards; ++shard) {
      farewells_.emplace_back(ErrandKind::kFarewell, shard);
      interests_.emplace_back();
    }
  }
  ShardGroup(const ShardGroup&) = delete;
  ShardGroup& operator=(const ShardGroup&) = delete;

  uint32_t shards() const { return mailboxes_.shards(); }
  ErrandMailboxes& mailboxes() { return mailboxes_; }
  Errand& farewell(unsigned shard) { return farewells_[shard]; }

  // What somebody listens to on the shard.
  Interest& interest(unsigned shard) { return interests_[shard]; }

  Bells& bells() { return *bells_; }

  // Of all shards, so that they are unique and grow.
  uint64_t NextClientId() { return last_client_id_.fetch_add(1, std::memory_order_relaxed) + 1; }

  // Counts a client that has come, unless there are `clients_max` already.
  bool TryAdmit(uint32_t clients_max) {
    if (clients_.fetch_add(1, std::memory_order_relaxed) < clients_max) return true;
    Dismiss();
    return false;
  }
  // What a shard's keys take, as it says once a turn; and what those of all others do.
  void SetMemory(unsigned shard, uint64_t bytes) {
    memory_[shard].bytes.store(bytes, std::memory_order_relaxed);
  }
  uint64_t MemoryBeside(unsigned shard) const {
    uint64_t sum = 0;
    for (unsigned other = 0; other < memory_.size(); ++other) {
      if (other != shard) sum += memory_[other].bytes.load(std::memory_order_relaxed);
    }
    return sum;
  }
  void Dismiss() { clients_.fetch_sub(1, std::memory_order_relaxed); }

  // Each shard stops when it is woken and sees a new request; the second one ends it at once. One
  // store: any thread, and signal handlers. Ring all bells afterwards.
  void RequestStop() { stop_requests_.fetch_add(1, std::memory_order_relaxed); }
  uint32_t stop_requests() const { return stop_requests_.load(std::memory_order_relaxed); }

 private:
  // On a cache line of its own: its shard writes it often.
  struct alignas(64) Memory {
    std::atomic<uint64_t> bytes = 0;
  };

  ErrandMailboxes mailboxes_;
  std::deque<Errand> farewells_;
  std::vector<Memory> memory_;  // By shard.
  std::deque<Interest> interests_;
  Bells* const bells_;
  std::atomic<uint64_t> last_client_id_ = 0;
  std::atomic<uint32_t> clients_ = 0;
  std::atomic<uint32_t> stop_requests_ = 0;
};

// Which of the shards one is.
struct ShardPlace {
  ShardGroup* group = nullptr;  // Null: the only one.
  unsigned index = 0;
  enum class Accepting : uint8_t {
    kForItself,
    kForAll,   // Whom it accepts the shards serve in turn.
    kNothing,  // Another shard has the listener, and closes it.
  };
  // A listening socket that the shard takes over; without one it makes its own.
  std::optional<int> listener = std::nullopt;
  Accepting accepting = Accepting::kForItself;
  // Another one, whose connections the shards serve in turn.
  std::optional<int> shared_listener = std::nullopt;
};

}  // namespace orrery::server
