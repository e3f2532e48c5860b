// Who may use which keys of a shard now: the locks of the transactions that are in progress.
//
// A request names its keys by their hashes, or the whole shard, and joins the queue of each of them
// in one step. It is granted when it is the first in all of its queues: so requests for the same
// key are granted in the order in which they came, none is passed by a later one, and no two
// requests of one shard wait for each other. Two keys of one hash only lock too much. A key costs a
// look into one bucket; memory is asked for only by a request of more keys than any before.
//
// Invariant: a request's `blockers_` is the number of its keys at which another one is before it,
// and one more if any request for the whole shard is before it (or, for one for the whole shard
// itself, any request at all). So the first request of all is always granted. Owned and used by one
// shard's thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/intrusive_list.h"

namespace orrery::server {

struct Errand;

// What somebody wants to lock. Lives at one address while it is in a table.
class LockRequest {
 public:
  // Of `errand`, which outlives it.
  explicit LockRequest(Errand& errand) : errand_(errand) {}
  LockRequest(const LockRequest&) = delete;
  LockRequest& operator=(const LockRequest&) = delete;
  ~LockRequest() { ORRERY_CHECK(!active()); }

  Errand& errand() const { return errand_; }

  // REQUIRES: not active(), for these three. Keys may be added more than once; the whole shard
  // makes keys unnecessary.
  void Clear() {
    ORRERY_CHECK(!active());
    if (hashes_.size() > kHashesKept) {
      hashes_ = {};
      places_.reset();
      room_ = 0;
    }
    hashes_.clear();
    whole_ = false;
  }
  void AddKey(uint64_t hash) { hashes_.push_back(hash); }
  void AddWholeShard() { whole_ = true; }

  // In a table: it waits, or is granted.
  bool active() const { return link_.linked(); }
  bool granted() const { return active() && blockers_ == 0; }

 private:
  friend class LockTable;

  // A request of more gives its memory back.
  static constexpr size_t kHashesKept = 64;

  // A request in the queue of one key.
  struct Place {
    uint64_t hash = 0;
    LockRequest* request = nullptr;
    ListLink link;  // Of its bucket.
  };

  // One place for each hash.
  void MakePlaces() {
    std::sort(hashes_.begin(), hashes_.end());
    hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
    if (hashes_.size() <= room_) return;
    places_ = std::make_unique<Place[]>(hashes_.size());
    room_ = hashes_.size();
  }

  Errand& errand_;
  bool whole_ = false;
  uint32_t blockers_ = 0;
  std::vector<uint64_t> hashes_;
  std::unique_ptr<Place[]> places_;
  size_t room_ = 0;
  ListLink link_;          // Of all requests.
  ListLink whole_link_;    // Of those for the whole shard.
  ListLink granted_link_;  // Of those that NextGranted() gives.
};

class LockTable {
 public:
  LockTable() = default;
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;
  ~LockTable() { ORRERY_CHECK(empty()); }

  // Nothing is locked: the one branch of who wants one key.
  bool empty() const { return requests_.empty(); }
  size_t size() const { return requests_.size(); }

  // Whether a request for this key would have to wait.
  bool IsLocked(uint64_t hash) {
    return !wholes_.empty() || FirstOf(hash, bucket(hash).front()) != nullptr;
  }

  // Queues the request for all that it wants. Whether it has been granted at once.
  bool Acquire(LockRequest& request) {
    ORRERY_CHECK(!request.active());
    request.blockers_ = (request.whole_ ? requests_.empty() : wholes_.empty()) ? 0 : 1;
    if (request.whole_) {
      wholes_.PushBack(request);
    } else {
      request.MakePlaces();
      for (size_t index = 0; index < request.hashes_.size(); ++index) {
        LockRequest::Place& place = request.places_[index];
        place.hash = request.hashes_[index];
        place.request = &request;
        Bucket& queue = bucket(place.hash);
        if (FirstOf(place.hash, queue.front()) != nullptr) ++request.blockers_;
        queue.PushBack(place);
      }
    }
    requests_.PushBack(request);
    return request.blockers_ == 0;
  }

  // REQUIRES: request.granted(). Requests that have waited for nothing else are granted by it:
  // NextGranted().
  void Release(LockRequest& request) {
    ORRERY_CHECK(request.granted());
    ORRERY_CHECK(!request.granted_link_.linked());
    requests_.Remove(request);
    if (request.whole_) {
      wholes_.Remove(request);
      for (LockRequest* other = requests_.front(); other != nullptr && !other->whole_;
           other = requests_.Next(*other)) {
        Unblock(*other);
      }
    } else {
      for (size_t index = 0; index < request.hashes_.size(); ++index) {
        LockRequest::Place& place = request.places_[index];
        Bucket& queue = bucket(place.hash);
        LockRequest::Place* next = FirstOf(place.hash, queue.Next(place));
        queue.Remove(place);
        if (next != nullptr) Unblock(*next->request);
      }
    }
    LockRequest* first = requests_.front();
    if (first != nullptr && first->whole_) Unblock(*first);
  }

  // The requests that have waited and are granted now, each once; null when there is none. Who
  // releases goes on until then.
  LockRequest* NextGranted() { return granted_.PopFront(); }

 private:
  // A bucket holds the queues of all hashes that belong there, one mixed with the other.
  using Bucket = IntrusiveList<LockRequest::Place, &LockRequest::Place::link>;
  static constexpr size_t kBuckets = 1024;

  Bucket& bucket(uint64_t hash) { return buckets_[hash % kBuckets]; }
  // The first place of the hash's queue from `place` on, which may be null.
  LockRequest::Place* FirstOf(uint64_t hash, LockRequest::Place* place) {
    while (place != nullptr && place->hash != hash) place = bucket(hash).Next(*place);
    return place;
  }

  void Unblock(LockRequest& request) {
    ORRERY_CHECK(request.blockers_ > 0);
    if (--request.blockers_ == 0) granted_.PushBack(request);
  }

  std::array<Bucket, kBuckets> buckets_;
  IntrusiveList<LockRequest, &LockRequest::link_> requests_;
  IntrusiveList<LockRequest, &LockRequest::whole_link_> wholes_;
  IntrusiveList<LockRequest, &LockRequest::granted_link_> granted_;
};

}  // namespace orrery::server
