// The keys of a shard: a hash table that grows a bucket at a time.
//
// Linear hashing over buckets of one cache line (seven entries and a link). Growth splits one
// bucket after another, in the order of their indices, at most one for each insertion; so no
// operation stops for a rehash. An entry's place is decided by the low bits of a keyed hash:
// iteration depends on the key of the hash and on the operations, never on addresses. A bucket
// covers an interval of the bit-reversed hashes, splitting halves it, and a scan walks these
// intervals in order: that is why an entry that is there from a scan's beginning to its end is
// always returned.
//
// Expired keys are gone for every caller: Find() removes what it finds expired, ExpireSome() the
// rest. Invariant: the entries of a bucket's chain are packed, with no hole before the last.
// Owned and used by one thread.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "base/short_bytes.h"
#include "base/siphash.h"
#include "base/units.h"
#include "server/access_clock.h"
#include "server/entry.h"
#include "server/key_hash.h"

namespace orrery::server {

// A key and its hash, which is computed once.
struct HashedKey {
  std::string_view bytes;
  uint64_t hash = 0;
};
// Sees every key that is removed because its time had come, right before it goes.
class ExpiryObserver {
 public:
  virtual ~ExpiryObserver() = default;
  // `key` is valid during the call.
  virtual void OnExpired(std::string_view key, int64_t expires_at_ms) = 0;
};

// What a write is for who watches the key.
enum class Write : uint8_t {
  kChange,
  kTouch,  // Its bytes may be others now, but Redis does not take it for a change.
};

// Sees every write.
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  // `key` is valid during the call. It has just been written to, or is just about to be. Whoever is
  // told must not use the keyspace.
  virtual void OnWrite(std::string_view key, Write write) = 0;
  // All keys are about to go.
  virtual void OnClear() = 0;
};

// Bytes to be stored.
struct NewValue {
  NewValue() = default;
  // They are copied.
  template <typename Text>
    requires std::convertible_to<const Text&, std::string_view>
  // NOLINTNEXTLINE(google-explicit-constructor): bytes are the usual value.
  NewValue(const Text& its_bytes) : bytes(its_bytes) {}
  // They are kept as they are, where the keyspace keeps large values so. `its_body` (may be null)
  // holds exactly `its_bytes`.
  NewValue(std::string_view its_bytes, const SharedBytes* its_body)
      : bytes(its_bytes), body(its_body) {}

  SharedBytes Body() const { return body != nullptr ? *body : SharedBytes::Copy(bytes); }
  size_t size() const { return bytes.size(); }

  std::string_view bytes;
  const SharedBytes* body = nullptr;
};

class Keyspace {
 public:
  // Where a key was found, or that it was not. Valid until the keyspace changes.
  class Place {
   public:
    Place() = default;
    explicit operator bool() const { return slot_ != nullptr; }
    // REQUIRES: found.
    const Entry* operator->() const { return EntryOf(*slot_); }
    const Entry& operator*() const { return *EntryOf(*slot_); }

   private:
    friend class Keyspace;
    Place(void* head, uint64_t* slot) : head_(head), slot_(slot) {}
    void* head_ = nullptr;  // The first Bucket of the chain that holds the slot.
    uint64_t* slot_ = nullptr;
  };

  struct Counters {
    uint64_t expired = 0;  // Keys removed because their time had come.
    uint64_t splits = 0;   // Buckets split, since construction.
    uint64_t merges = 0;
    uint64_t freed = 0;  // Of the keys that Clear() left for Step(), those that it has freed.
  };

  struct Expiration {
    uint32_t visited = 0;  // Keys with an expiry that were looked at.
    uint32_t expired = 0;
    int64_t ttl_sum_ms = 0;  // What the others have left.
  };

  // Buckets are allocated by segments of 2^`segment_bits`: of 32 KiB, or of a few buckets where a
  // test wants tables of many segments. REQUIRES: segment_bits >= 2.
  static constexpr uint32_t kSegmentBits = 9;
  explicit Keyspace(SipHashKey hash_key, uint32_t segment_bits = kSegmentBits);
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;
  ~Keyspace();

  uint64_t Hash(std::string_view key) const { return hash_(key); }
  // Keyed, for tables of what clients choose.
  const KeyHash& hash() const { return hash_; }
  HashedKey WithHash(std::string_view key) const { return {.bytes = key, .hash = Hash(key)}; }

  // Hints for a batch of keys: first every bucket, then every entry (which reads the bucket).
  // What the first returns, the second takes, unless the keyspace has changed in between.
  using BucketHint = const void*;
  BucketHint PrefetchBucket(uint64_t hash) const {
    const Bucket* const bucket = &BucketOf(hash);
    __builtin_prefetch(bucket);
    return bucket;
  }
  static void PrefetchEntry(BucketHint hint, uint64_t hash) {
    const Bucket& bucket = *static_cast<const Bucket*>(hint);
    const uint64_t tag = TagOf(hash);
    for (const uint64_t slot : bucket.slots) {
      if (!HasTag(slot, tag)) continue;
      __builtin_prefetch(EntryOf(slot));
      return;  // Hardly ever is it another one.
    }
    if (bucket.next != nullptr) __builtin_prefetch(bucket.next);
  }

  // Keys that are gone and whose memory Step() will free.
  size_t dying() const { return dying_entries_; }
  // Keys held, those included that have expired and were not found out yet.
  size_t size() const { return size_; }
  // Those of them that have an expiry.
  size_t expiring() const { return expiring_; }

  // `observer` (may be null) is told from now on, and must outlive the keyspace.
  void ObserveExpiry(ExpiryObserver* observer) { expiry_observer_ = observer; }

  // `observer` is told of every key that is written to, erased or expires; null: nobody is, at the
  // price of one branch a write.
  void ObserveWrites(WriteObserver* observer) { write_observer_ = observer; }

  // An expired key is removed and not found. What is found counts as used now.
  Place Find(HashedKey key, int64_t now_ms) {
    const Place place = Peek(key, now_ms);
    if (place && counts_uses_) EntryOf(*place.slot_)->accessed_ = access_clock_;
    return place;
  }
  // Whether what is found from now on counts as used; at first it does.
  void CountUses(bool count) { counts_uses_ = count; }
  // The same, for who only asks about the key: it does not count as used.
  Place Peek(HashedKey key, int64_t now_ms) {
    if (now_ms != now_ms_) {
      now_ms_ = now_ms;
      access_clock_ = AccessClock(now_ms);
    }
    Bucket& head = BucketOf(key.hash);
    const uint64_t tag = TagOf(key.hash);
    Bucket* bucket = &head;
    do {
      for (uint64_t& slot : bucket->slots) {
        if (!HasTag(slot, tag) || !SameBytes(EntryOf(slot)->key(), key.bytes)) continue;
        const Place place(&head, &slot);
        if ((slot & kExpiresBit) != 0 && EraseIfExpired(place, now_ms)) [[unlikely]]
          return {};
        return place;
      }
      bucket = bucket->next;
    } while (bucket != nullptr);
    return {};
  }
  // Whether the key is held, expired or not.
  bool Holds(HashedKey key) const;
  // Says when it was used, by AccessClock(), instead. REQUIRES: found.
  void SetAccessed(Place place, uint32_t accessed);

  // Stores `value` under `key`, at `place`, which Find(key) has just given. Replaces what is there,
  // in its own memory where it fits. `value` must not lie in the keyspace. `place`
  // is no longer valid.
  void Assign(Place place, HashedKey key, const NewValue& value, int64_t expires_at_ms,
              Encoding encoding = Encoding::kNatural);
  // Adds `bytes` behind the value. REQUIRES: found. `bytes` must not lie in the keyspace.
  void Append(Place place, std::string_view bytes);
  // The value's bytes, to be changed in place: at least `bytes_min` of them, new ones are zero.
  // Valid until the keyspace changes. REQUIRES: found.
  // Where it may turn out to be no change, it is a kTouch, and the caller says SetChanged() when it
  // was one after all.
  std::span<char> Edit(Place place, size_t bytes_min, Write write = Write::kChange);
  // The same for a key that is not there; its value is empty at first, and this is a kTouch.
  Place AddEmpty(HashedKey key, int64_t now_ms);
  void SetChanged(HashedKey key) { Written(key.bytes, Write::kChange); }
  // Stores the value and the expiry at `from` under another key as well, whose place Find() has
  // given too. Neither place is valid afterwards. REQUIRES: `from` is found, and is not `to`.
  void Copy(Place from, Place to, HashedKey to_key);
  // Moves value and expiry from one key to another, and replaces what is there. REQUIRES: `from` is
  // there, and the keys differ.
  void Rename(HashedKey from, HashedKey to, int64_t now_ms);
  // kNoExpiry takes the expiry away. REQUIRES: found.
  void SetExpiry(Place place, int64_t expires_at_ms);
  // REQUIRES: found.
  void Erase(Place place);
  // Forgets all keys. A table of more than one segment is left for Step() to free.
  void Clear();

  // Any entry, each about as likely as the others; null when there is none. It may have expired.
  const Entry* RandomEntry(Prng& prng) const;

  // Background work is bounded by what it may cost, in buckets: as much as looking at one,
  // splitting one, or freeing the small values in one. Freeing large values costs one bucket more
  // for so many of their bytes. A call ends with the bucket that uses its budget up, and may go
  // beyond by that.
  static constexpr size_t kBytesLikeABucket = 16 * kKiB;

  // Looks for expired keys, going on where the last call ended; at each bucket once at most. Does
  // nothing while no key has an expiry.
  Expiration ExpireSome(int64_t now_ms, uint32_t budget_buckets);

  // Growing on, shrinking, freeing what Clear() left. Whether there is more to do.
  bool Step(uint32_t budget_buckets);
  // Whether Step() would find something to do.
  bool unsettled() const {
    return !dying_.empty() || growing_ || shrinking_ || (size_ < buckets() && level_ > kLevelMin);
  }

  // Calls visit(const Entry&) for each entry of one bucket and returns the cursor of the next; 0
  // starts a scan and ends it. Any 64-bit value is a valid cursor. A key that is there during a
  // whole scan is visited at least once, whatever else changes. `visit` must not change the
  // keyspace. Expired keys may be visited.
  template <typename Visit>
  uint64_t Scan(uint64_t cursor, Visit visit) const {
    for (const Bucket* bucket = &BucketOf(cursor); bucket != nullptr; bucket = bucket->next) {
      for (const uint64_t slot : bucket->slots) {
        if (slot == 0) break;
        visit(static_cast<const Entry&>(*EntryOf(slot)));
      }
    }
    return NextCursor(cursor);
  }

  // Bytes asked of the allocator for entries, for large values, and for the table.
  size_t memory_bytes() const { return entry_bytes_ + body_bytes_ + table_bytes(); }
  size_t table_bytes() const;
  size_t buckets() const { return (size_t{1} << level_) + split_; }
  const Counters& counters() const { return counters_; }

  // Ends the process if the structure contradicts itself. O(size).
  void CheckInvariants() const;

 private:
  // A slot is 0, or an entry's address below and 16 bits of its own above.
  static constexpr unsigned kAddressBits = 48;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << kAddressBits) - 1;
  static constexpr uint64_t kUsedBit = uint64_t{1} << 63;
  static constexpr uint64_t kExpiresBit = uint64_t{1} << kAddressBits;
  // High bits of the hash; growth uses the low ones.
  static constexpr uint64_t kTagMask = ~(kAddressMask | kUsedBit | kExpiresBit);

  static constexpr size_t kSlotsPerBucket = 7;
  static constexpr uint32_t kLevelMin = 2;
  static constexpr uint32_t kLevelMax = 40;
  // Growth of a level starts above 5.5 entries a bucket and ends below 3; shrinking starts below 1.
  static constexpr size_t kGrowEntries = 11;
  static constexpr size_t kGrowBuckets = 2;

  struct alignas(64) Bucket {
    uint64_t slots[kSlotsPerBucket] = {};
    Bucket* next = nullptr;
  };
  static_assert(sizeof(Bucket) == 64);

  static Entry* EntryOf(uint64_t slot) {
    // User space addresses fit in 48 bits; MakeSlot checks it.
    return reinterpret_cast<Entry*>(slot & kAddressMask);
  }
  // What a slot has above the bits of the address and the expiry.
  static uint64_t TagOf(uint64_t hash) { return (hash | kUsedBit) >> (kAddressBits + 1); }
  static bool HasTag(uint64_t slot, uint64_t tag) { return slot >> (kAddressBits + 1) == tag; }
  static uint64_t MakeSlot(const Entry* entry, uint64_t hash);

  size_t IndexOf(uint64_t hash) const {
    const size_t index = hash & level_mask_;
    return index < split_ ? hash & (2 * level_mask_ + 1) : index;
  }
  Bucket& BucketAt(size_t index) const {
    return segments_[index >> segment_bits_][index & segment_mask_];
  }
  size_t segment_buckets() const { return size_t{1} << segment_bits_; }
  bool StartsSegment(size_t index) const { return (index & segment_mask_) == 0; }
  Bucket& BucketOf(uint64_t hash) const { return BucketAt(IndexOf(hash)); }
  uint64_t NextCursor(uint64_t cursor) const;

  Entry* NewEntry(const Entry::Shape& shape, std::string_view key);
  void FreeEntry(Entry* entry);
  // Puts `entry`, whose key was `old`'s, in its place.
  void Replace(uint64_t& slot, Entry* entry);
  Entry* CopyEntry(const Entry& old, const Entry::Shape& shape);
  bool AssignInPlace(uint64_t& slot, const NewValue& value, int64_t expires_at_ms);
  Entry* MakeEntry(std::string_view key, const NewValue& value, int64_t expires_at_ms);
  void SetSlotExpiry(uint64_t& slot, int64_t expires_at_ms);
  void SetBody(Entry& entry, SharedBytes body);
  enum class Fill : uint8_t { kNone, kZeros };
  std::span<char> Edit(Place place, size_t bytes_min, Fill fill, Write write);
  std::span<char> Grow(uint64_t& slot, size_t total);
  // A new key's entry; the table grows on.
  void Insert(uint64_t hash, Entry* entry);

  void Written(std::string_view key, Write write = Write::kChange) {
    if (write_observer_ != nullptr) [[unlikely]]
      write_observer_->OnWrite(key, write);
  }

  static size_t ChainSize(const Bucket& head);
  // REQUIRES: index < ChainSize(head).
  static const Entry* ChainAt(const Bucket& head, size_t index);
  void AddToChain(Bucket& head, uint64_t slot);
  // Takes the slot out of the chain of `head`; its entry is the caller's.
  void RemoveFromChain(Bucket& head, uint64_t* slot);
  // Moves the entries of one bucket to where they belong now.
  void Redistribute(Bucket& head);
  void StartTable();
  void SetLevel(uint32_t level);
  void SplitBucket();
  void MergeBucket();
  bool FreeSome(uint32_t& budget_buckets);
  // Takes a bucket and the large values that were freed in it off the budget. `bodies_before` is
  // what body_bytes_ was.
  void Spend(uint32_t& budget_buckets, size_t bodies_before) const;
  // Returns how many entries there were.
  size_t FreeChain(Bucket& head);
  void ExpireBucket(Bucket& head, int64_t now_ms, Expiration& result);
  // Removes what has expired.
  void EraseExpired(Place place);
  // The same, if it has; whether it had. For who asked for it.
  bool EraseIfExpired(Place place, int64_t now_ms);

  const KeyHash hash_;
  const uint32_t segment_bits_;
  const size_t segment_mask_;
  // Of segment_buckets() each.
  std::vector<Bucket*> segments_;
  uint32_t level_ = kLevelMin;
  size_t level_mask_ = 0;  // The low `level_` bits: a bucket is asked for several times a command.
  // Buckets below this have been split at this level.
  size_t split_ = 0;
  bool growing_ = false;
  bool shrinking_ = false;
  size_t size_ = 0;
  size_t expiring_ = 0;
  uint64_t expire_cursor_ = 0;
  bool counts_uses_ = true;
  ExpiryObserver* expiry_observer_ = nullptr;
  int64_t now_ms_ = 0;  // At the last Find() or Peek(), and what the clock of uses said.
  uint32_t access_clock_ = 0;
  WriteObserver* write_observer_ = nullptr;

  // What Clear() left: how many keys, where, and how far FreeSome() has come in the last of it.
  size_t dying_entries_ = 0;
  std::vector<Bucket*> dying_;
  size_t dying_done_ = 0;

  size_t entry_bytes_ = 0;
  size_t body_bytes_ = 0;
  size_t overflow_buckets_ = 0;
  Counters counters_;
};

}  // namespace orrery::server
