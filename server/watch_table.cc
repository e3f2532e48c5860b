#include "server/watch_table.h"

#include <algorithm>

#include "base/check.h"
#include "base/mark.h"

namespace orrery::server {

void WatchSet::Clear() {
  if (table_ != nullptr) table_->Forget(*this);
  changed_ = false;
}

WatchTable::~WatchTable() { ORRERY_CHECK(empty()); }

void WatchTable::Watch(WatchSet& set, HashedKey key, int64_t now_ms) {
  // What has expired goes now: that it does is no change for this client.
  (void)keyspace_.Peek(key, now_ms);
  Watchers& watchers = watchers_[key.hash];
  for (WatchSet::WatchedKey* other = watchers.front(); other != nullptr;
       other = watchers.Next(*other)) {
    if (other->set == &set && other->key == key.bytes) return;
  }
  if (set.table_ == nullptr) {
    set.table_ = this;
    sets_.PushBack(set);
    Observe();
  }
  ORRERY_CHECK(set.table_ == this);
  WatchSet::WatchedKey& watched = set.keys_.emplace_back();
  watched.set = &set;
  watched.key = key.bytes;
  watched.hash = key.hash;
  set.key_bytes_ += key.bytes.size();
  watchers.PushBack(watched);
}

bool WatchTable::Changed(WatchSet& set, int64_t now_ms) {
  for (const WatchSet::WatchedKey& watched : set.keys_) {
    if (set.changed_) break;
    // What it finds expired it takes away, and says so to OnWrite().
    (void)keyspace_.Peek({.bytes = watched.key, .hash = watched.hash}, now_ms);
  }
  return set.changed_;
}

void WatchTable::Forget(WatchSet& set) {
  for (WatchSet::WatchedKey& watched : set.keys_) {
    const auto found = watchers_.find(watched.hash);
    found->second.Remove(watched);
    if (found->second.empty()) watchers_.erase(found);
  }
  set.keys_.clear();
  set.key_bytes_ = 0;
  sets_.Remove(set);
  set.table_ = nullptr;
  Observe();
}

void WatchTable::Suspend() {
  suspended_ = true;
  keyspace_.ObserveWrites(nullptr);
}

void WatchTable::Resume() {
  suspended_ = false;
  Observe();
}

void WatchTable::Observe() {
  if (!suspended_) keyspace_.ObserveWrites(sets_.empty() ? nullptr : this);
}

void WatchTable::OnWrite(std::string_view key, Write write) {
  if (write != Write::kChange) return;
  const auto found = watchers_.find(keyspace_.Hash(key));
  if (found == watchers_.end()) return;
  Watchers& watchers = found->second;
  for (WatchSet::WatchedKey* watched = watchers.front(); watched != nullptr;
       watched = watchers.Next(*watched)) {
    if (watched->key != key) continue;
    ORRERY_MARK("watch.changed");
    watched->set->changed_ = true;
  }
}

void WatchTable::OnClear() {
  for (WatchSet* set = sets_.front(); set != nullptr; set = sets_.Next(*set)) {
    set->changed_ = set->changed_ ||
                    std::ranges::any_of(set->keys_, [this](const WatchSet::WatchedKey& watched) {
                      return keyspace_.Holds({.bytes = watched.key, .hash = watched.hash});
                    });
  }
}

}  // namespace orrery::server
