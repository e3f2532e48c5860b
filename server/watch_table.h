// WATCH: which clients want to know that a key has changed.
//
// A client's keys are a WatchSet, which remembers that one of them has changed; what keys there are
// and who watches them is the shard's WatchTable, which the keyspace tells of every write while
// anybody watches anything, and which costs a write one branch while nobody does. A key that
// expires has changed; that it had expired before it was watched, changes nothing. Used by the
// thread of the keyspace's shard only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "base/intrusive_list.h"
#include "server/keyspace.h"

namespace orrery::server {

class WatchTable;

// The keys that one client watches. Lives at one address; gone, it watches nothing.
class WatchSet {
 public:
  WatchSet() = default;
  WatchSet(const WatchSet&) = delete;
  WatchSet& operator=(const WatchSet&) = delete;
  ~WatchSet() { Clear(); }

  // Whether a watched key has been written to since, as far as is known without looking for expired
  // ones.
  bool changed() const { return changed_; }
  bool empty() const { return keys_.empty(); }
  size_t memory_bytes() const { return keys_.size() * kBytesPerKey + key_bytes_; }
  // What a key takes, with its bytes.
  static constexpr size_t kBytesPerKey = 64;

  // Calls visit(hash) for each key.
  template <typename Visit>
  void ForEachHash(Visit visit) const {
    for (const WatchedKey& watched : keys_) visit(watched.hash);
  }
  // Watches nothing any more, and nothing has changed.
  void Clear();

 private:
  friend class WatchTable;

  struct WatchedKey {
    WatchSet* set;
    std::string key;
    uint64_t hash;
    ListLink link;  // Of those who watch a key of this hash.
  };

  WatchTable* table_ = nullptr;  // Null when it watches nothing.
  std::deque<WatchedKey> keys_;
  size_t key_bytes_ = 0;
  bool changed_ = false;
  ListLink link_;  // Of the sets that are not empty.
};

class WatchTable final : public WriteObserver {
 public:
  explicit WatchTable(Keyspace& keyspace) : keyspace_(keyspace) {}
  WatchTable(const WatchTable&) = delete;
  WatchTable& operator=(const WatchTable&) = delete;
  // REQUIRES: empty().
  ~WatchTable() override;

  // From now on a change of the key changes the set; once is enough.
  void Watch(WatchSet& set, HashedKey key, int64_t now_ms);
  // Whether a key of the set has changed, or has expired by now.
  bool Changed(WatchSet& set, int64_t now_ms);
  // Somebody else observes the writes, and hands on what concerns this table.
  void Suspend();
  void Resume();
  // Whether nobody watches anything.
  bool empty() const { return watchers_.empty(); }

 private:
  friend class WatchSet;
  using Watchers = IntrusiveList<WatchSet::WatchedKey, &WatchSet::WatchedKey::link>;

  void Forget(WatchSet& set);
  // Has itself told of writes while anybody watches anything.
  void Observe();
  void OnWrite(std::string_view key, Write write) override;
  // As in Redis, those who watch a key that was not there are not concerned.
  void OnClear() override;

  Keyspace& keyspace_;
  bool suspended_ = false;
  std::map<uint64_t, Watchers> watchers_;  // By the key's hash; never an empty list.
  IntrusiveList<WatchSet, &WatchSet::link_> sets_;
};

}  // namespace orrery::server
