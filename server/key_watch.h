// What a client watches on another shard: at its home a part of the client's transaction, there a
// set of watched keys.
//
// Belongs to the client's home, and is lent to the other shard from WATCH to the end of the
// watching. While it is away, only that shard looks into `set`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "server/errand.h"
#include "server/watch_table.h"

namespace orrery::server {

struct KeyWatch;

// Who ends the watching: the transactor of the home.
class KeyWatchOwner {
 public:
  virtual void Unwatch(KeyWatch& watch) = 0;

 protected:
  ~KeyWatchOwner() = default;
};

struct KeyWatch final : Errand {
  KeyWatch(unsigned its_home, KeyWatchOwner& its_owner)
      : Errand(ErrandKind::kKeyWatch, its_home), owner(its_owner) {}

  // --- The home's.
  KeyWatchOwner& owner;
  uint32_t shard = 0;
  size_t memory_bytes = 0;   // That the set takes there.
  KeyWatch* next = nullptr;  // In the pool.

  // --- Of whoever has it.
  WatchSet set;
};

}  // namespace orrery::server
