#include "server/keyspace.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/mark.h"
#include "base/short_bytes.h"
#include "server/access_clock.h"

namespace orrery::server {
namespace {

// Bit-reverses a word: byte order, then nibbles, pairs and bits.
uint64_t ReverseBits(uint64_t word) {
  word = __builtin_bswap64(word);
  word = ((word >> 4) & 0x0f0f0f0f0f0f0f0f) | ((word & 0x0f0f0f0f0f0f0f0f) << 4);
  word = ((word >> 2) & 0x3333333333333333) | ((word & 0x3333333333333333) << 2);
  return ((word >> 1) & 0x5555555555555555) | ((word & 0x5555555555555555) << 1);
}

// A large value that is appended to gets room for a half of its size: many pieces cost what they
// are together, and what is never written to is never more than address space to the system.
constexpr size_t kSpareOneIn = 2;

// What counts of a time to live in an average: a hundred years.
constexpr int64_t kTtlMaxMs = int64_t{100} * 365 * 86'400 * 1000;

// A small value in a larger place keeps it only while it fills half of it or so.
bool FillsEnough(size_t bytes, size_t capacity) { return capacity <= 2 * bytes + 16; }

}  // namespace

Keyspace::Keyspace(SipHashKey hash_key, uint32_t segment_bits)
    : hash_(hash_key), segment_bits_(segment_bits), segment_mask_((size_t{1} << segment_bits) - 1) {
  ORRERY_CHECK(segment_bits >= kLevelMin);
  StartTable();
}

Keyspace::~Keyspace() {
  Clear();
  while (Step(1'000'000)) {
  }
  ORRERY_CHECK(entry_bytes_ == 0);
  ORRERY_CHECK(body_bytes_ == 0);
  ORRERY_CHECK(overflow_buckets_ == 0);
  for (Bucket* segment : segments_) delete[] segment;
}

void Keyspace::StartTable() {
  segments_.push_back(new Bucket[segment_buckets()]);
  SetLevel(kLevelMin);
  split_ = 0;
  growing_ = shrinking_ = false;
  size_ = expiring_ = 0;
  expire_cursor_ = 0;
}

void Keyspace::SetLevel(uint32_t level) {
  level_ = level;
  level_mask_ = (size_t{1} << level) - 1;
}

size_t Keyspace::table_bytes() const {
  const size_t buckets = (segments_.size() + dying_.size()) * segment_buckets() + overflow_buckets_;
  return buckets * sizeof(Bucket) + (segments_.capacity() + dying_.capacity()) * sizeof(Bucket*);
}

// --- entries

uint64_t Keyspace::MakeSlot(const Entry* entry, uint64_t hash) {
  const auto address = reinterpret_cast<uint64_t>(entry);
  ORRERY_CHECK((address & ~kAddressMask) == 0);
  return address | (hash & kTagMask) | kUsedBit | (entry->expires() ? kExpiresBit : 0);
}

Entry* Keyspace::NewEntry(const Entry::Shape& shape, std::string_view key) {
  const size_t bytes = Entry::KeyOffset(shape.has_expiry_field, shape.is_shared) + shape.key_bytes +
                       shape.inline_capacity;
  Entry* entry = new (::operator new(bytes)) Entry(shape);
  ORRERY_DCHECK(entry->allocated_bytes() == bytes);
  entry->set_expires_at_ms(kNoExpiry);
  entry->accessed_ = access_clock_;
  if (shape.is_shared) new (entry->Bytes() + entry->shared_offset()) SharedBytes();
  if (!key.empty()) std::memcpy(entry->Bytes() + entry->key_offset(), key.data(), key.size());
  entry_bytes_ += bytes;
  return entry;
}

void Keyspace::FreeEntry(Entry* entry) {
  entry_bytes_ -= entry->allocated_bytes();
  body_bytes_ -= entry->body_bytes();
  if (entry->is_shared()) entry->mutable_shared().~SharedBytes();
  entry->~Entry();
  ::operator delete(static_cast<void*>(entry));
}

void Keyspace::SetBody(Entry& entry, SharedBytes body) {
  body_bytes_ -= entry.body_bytes();
  entry.mutable_shared() = std::move(body);
  body_bytes_ += entry.body_bytes();
}

Entry* Keyspace::MakeEntry(std::string_view key, const NewValue& value, int64_t expires_at_ms) {
  const bool is_shared = value.size() >= kSharedValueMin;
  Entry* entry = NewEntry({.key_bytes = key.size(),
                           .inline_capacity = is_shared ? 0 : value.size(),
                           .has_expiry_field = expires_at_ms != kNoExpiry,
                           .is_shared = is_shared},
                          key);
  if (is_shared) {
    SetBody(*entry, value.Body());
  } else {
    entry->set_inline_value(value.bytes);
  }
  entry->set_expires_at_ms(expires_at_ms);
  return entry;
}

// The same key, value and expiry in another shape, which has room for them.
Entry* Keyspace::CopyEntry(const Entry& old, const Entry::Shape& shape) {
  Entry* entry = NewEntry(shape, old.key());
  if (shape.is_shared) {
    SetBody(*entry, old.is_shared() ? old.shared() : SharedBytes::Copy(old.value()));
  } else {
    entry->set_inline_value(old.value());
  }
  entry->set_expires_at_ms(old.expires_at_ms());
  entry->encoding_ = old.encoding_;
  entry->accessed_ = old.accessed_;
  return entry;
}

void Keyspace::Replace(uint64_t& slot, Entry* entry) {
  expiring_ -= (slot & kExpiresBit) != 0 ? 1 : 0;
  expiring_ += entry->expires() ? 1 : 0;
  FreeEntry(EntryOf(slot));
  slot = MakeSlot(entry, slot);
}

void Keyspace::SetSlotExpiry(uint64_t& slot, int64_t expires_at_ms) {
  if (expires_at_ms == kNoExpiry && (slot & kExpiresBit) == 0) return;
  EntryOf(slot)->set_expires_at_ms(expires_at_ms);
  expiring_ -= (slot & kExpiresBit) != 0 ? 1 : 0;
  slot &= ~kExpiresBit;
  if (expires_at_ms != kNoExpiry) {
    slot |= kExpiresBit;
    ++expiring_;
  }
}

// --- operations

bool Keyspace::EraseIfExpired(Place place, int64_t now_ms) {
  if (!place->expired(now_ms)) return false;
  ORRERY_MARK("keyspace.expired-when-asked-for");
  EraseExpired(place);
  ++counters_.expired;
  return true;
}

bool Keyspace::Holds(HashedKey key) const {
  const uint64_t tag = TagOf(key.hash);
  for (const Bucket* bucket = &BucketOf(key.hash); bucket != nullptr; bucket = bucket->next) {
    for (const uint64_t slot : bucket->slots) {
      if (HasTag(slot, tag) && EntryOf(slot)->key() == key.bytes) return true;
    }
  }
  return false;
}

void Keyspace::SetAccessed(Place place, uint32_t accessed) {
  EntryOf(*place.slot_)->accessed_ = accessed;
}

bool Keyspace::AssignInPlace(uint64_t& slot, const NewValue& value, int64_t expires_at_ms) {
  Entry& entry = *EntryOf(slot);
  if (expires_at_ms != kNoExpiry && !entry.has_expiry_field_) return false;
  if (entry.is_shared()) {
    if (value.size() < kSharedValueMin) return false;
    if (value.body == nullptr && entry.shared().unique() && entry.shared().size() == value.size() &&
        entry.shared().capacity_bytes() == value.size()) {
      std::memcpy(entry.mutable_shared().mutable_bytes().data(), value.bytes.data(), value.size());
    } else {
      ORRERY_MARK_IF(!entry.shared().unique(), "keyspace.assigned-while-borrowed");
      SetBody(entry, value.Body());
    }
  } else {
    const size_t capacity = entry.inline_capacity_;
    if (value.size() > capacity || !FillsEnough(value.size(), capacity)) return false;
    entry.set_inline_value(value.bytes);
  }
  SetSlotExpiry(slot, expires_at_ms);
  return true;
}

void Keyspace::Assign(Place place, HashedKey key, const NewValue& value, int64_t expires_at_ms,
                      Encoding encoding) {
  Written(key.bytes);
  if (!place) {
    Entry* entry = MakeEntry(key.bytes, value, expires_at_ms);
    entry->encoding_ = static_cast<uint32_t>(encoding);
    Insert(key.hash, entry);
    return;
  }
  ORRERY_DCHECK(place->key() == key.bytes);
  if (!AssignInPlace(*place.slot_, value, expires_at_ms)) {
    Replace(*place.slot_, MakeEntry(key.bytes, value, expires_at_ms));
  }
  Entry& entry = *EntryOf(*place.slot_);
  entry.encoding_ = static_cast<uint32_t>(encoding);
  entry.accessed_ = access_clock_;
}

void Keyspace::Insert(uint64_t hash, Entry* entry) {
  AddToChain(BucketOf(hash), MakeSlot(entry, hash));
  expiring_ += entry->expires() ? 1 : 0;
  ++size_;
  if (size_ * kGrowBuckets > buckets() * kGrowEntries && level_ < kLevelMax) {
    growing_ = true;
    shrinking_ = false;
  }
  if (growing_) SplitBucket();
}

void Keyspace::Append(Place place, std::string_view bytes) {
  const size_t old_bytes = place->value().size();
  const std::span<char> value = Edit(place, old_bytes + bytes.size(), Fill::kNone, Write::kChange);
  if (!bytes.empty()) std::memcpy(value.data() + old_bytes, bytes.data(), bytes.size());
}

std::span<char> Keyspace::Edit(Place place, size_t bytes_min, Write write) {
  return Edit(place, bytes_min, Fill::kZeros, write);
}

Keyspace::Place Keyspace::AddEmpty(HashedKey key, int64_t now_ms) {
  Written(key.bytes, Write::kTouch);
  Insert(key.hash, MakeEntry(key.bytes, {}, kNoExpiry));
  return Peek(key, now_ms);
}

std::span<char> Keyspace::Edit(Place place, size_t bytes_min, Fill fill, Write write) {
  Written(place->key(), write);
  const size_t old_bytes = place->value().size();
  const size_t total = std::max(old_bytes, bytes_min);
  uint64_t& slot = *place.slot_;
  std::span<char> value = Grow(slot, total);
  if (fill == Fill::kZeros)
    std::fill(value.begin() + static_cast<ptrdiff_t>(old_bytes), value.end(), 0);
  EntryOf(slot)->encoding_ = static_cast<uint32_t>(Encoding::kRaw);
  return value;
}

// The value's bytes, now `total` of them, writable; what is behind the old ones is unspecified.
std::span<char> Keyspace::Grow(uint64_t& slot, size_t total) {
  Entry& entry = *EntryOf(slot);
  const std::string_view old = entry.value();
  if (!entry.is_shared() && total <= entry.inline_capacity_) {
    entry.inline_bytes_ = static_cast<uint32_t>(total);
    return {entry.inline_value(), total};
  }
  Entry::Shape shape{.key_bytes = entry.key_bytes_,
                     .inline_capacity = 0,
                     .has_expiry_field = entry.has_expiry_field_ != 0,
                     .is_shared = total >= kSharedValueMin};
  if (!shape.is_shared) {
    // Room for as much again, so that many small pieces cost what they are together.
    shape.inline_capacity = std::min(2 * total, kSharedValueMin - 1);
    Replace(slot, CopyEntry(entry, shape));
    return Grow(slot, total);
  }
  // In place, unless somebody borrows the value.
  if (entry.is_shared() && entry.mutable_shared().TryGrow(total)) {
    return entry.mutable_shared().mutable_bytes();
  }
  ORRERY_MARK_IF(entry.is_shared() && !entry.shared().unique(), "keyspace.changed-while-borrowed");
  const size_t spare = total > old.size() ? total / kSpareOneIn : 0;
  SharedBytes body = SharedBytes::Allocate(total, total + spare);
  if (!old.empty()) std::memcpy(body.mutable_bytes().data(), old.data(), old.size());
  if (entry.is_shared()) {
    SetBody(entry, std::move(body));
    return entry.mutable_shared().mutable_bytes();
  }
  Entry* grown = NewEntry(shape, entry.key());
  SetBody(*grown, std::move(body));
  grown->set_expires_at_ms(entry.expires_at_ms());
  grown->accessed_ = entry.accessed_;
  Replace(slot, grown);
  return grown->mutable_shared().mutable_bytes();
}

void Keyspace::Copy(Place from, Place to, HashedKey to_key) {
  Written(to_key.bytes);
  const Entry& source = *from;
  Entry* made = MakeEntry(to_key.bytes, source.value(), source.expires_at_ms());
  const bool natural = source.encoding() == Encoding::kNatural;
  made->encoding_ = natural ? static_cast<uint32_t>(Encoding::kOwnInteger) : source.encoding_;
  if (to) {
    Replace(*to.slot_, made);
  } else {
    Insert(to_key.hash, made);
  }
}

void Keyspace::Rename(HashedKey from, HashedKey to, int64_t now_ms) {
  ORRERY_CHECK(from.bytes != to.bytes);
  Written(to.bytes);
  if (const Place there = Peek(to, now_ms)) Erase(there);
  const Place place = Peek(from, now_ms);
  ORRERY_CHECK(static_cast<bool>(place));
  const Entry& source = *place;
  Entry* made = NewEntry({.key_bytes = to.bytes.size(),
                          .inline_capacity = source.inline_capacity_,
                          .has_expiry_field = source.has_expiry_field_ != 0,
                          .is_shared = source.is_shared()},
                         to.bytes);
  // A large value changes hands; for a moment both have it.
  if (source.is_shared()) {
    SetBody(*made, source.shared());
  } else {
    made->set_inline_value(source.value());
  }
  made->set_expires_at_ms(source.expires_at_ms());
  made->encoding_ = source.encoding_;
  Erase(place);
  Insert(to.hash, made);
}

void Keyspace::SetExpiry(Place place, int64_t expires_at_ms) {
  Written(place->key());
  uint64_t& slot = *place.slot_;
  Entry& entry = *EntryOf(slot);
  if (expires_at_ms != kNoExpiry && !entry.has_expiry_field_) {
    Replace(slot, CopyEntry(entry, {.key_bytes = entry.key_bytes_,
                                    .inline_capacity = entry.inline_capacity_,
                                    .has_expiry_field = true,
                                    .is_shared = entry.is_shared()}));
  }
  SetSlotExpiry(slot, expires_at_ms);
}

void Keyspace::Erase(Place place) {
  Written(place->key());
  const uint64_t slot = *place.slot_;
  Entry* entry = EntryOf(slot);
  RemoveFromChain(*static_cast<Bucket*>(place.head_), place.slot_);
  expiring_ -= (slot & kExpiresBit) != 0 ? 1 : 0;
  --size_;
  FreeEntry(entry);
}

void Keyspace::Clear() {
  if (write_observer_ != nullptr) write_observer_->OnClear();
  if (segments_.size() == 1) {
    // Freed at once, or a client that only clears would leave segments faster than Step() frees.
    for (size_t index = 0; index < segment_buckets(); ++index) FreeChain(segments_[0][index]);
    delete[] segments_[0];
  } else {
    ORRERY_MARK("keyspace.large-table-cleared");
    ORRERY_MARK_IF(growing_ || shrinking_, "keyspace.cleared-while-it-is-resized");
    ORRERY_MARK_IF(dying_done_ > 0, "keyspace.cleared-while-a-segment-is-half-freed");
    dying_entries_ += size_;
    // In front: the last one may be half freed.
    dying_.insert(dying_.begin(), segments_.begin(), segments_.end());
  }
  segments_.clear();
  StartTable();
}

const Entry* Keyspace::RandomEntry(Prng& prng) const {
  if (size_ == 0) return nullptr;
  // There is about an entry a bucket at least, but for a table that is shrinking: there, after so
  // many misses, the next entry behind one of them is as good as any.
  constexpr int kTries = 64;
  uint64_t hash = 0;
  for (int tries = 0; tries < kTries; ++tries) {
    hash = prng.Next();
    if (const size_t entries = ChainSize(BucketOf(hash)); entries > 0) {
      return ChainAt(BucketOf(hash), prng.Below(entries));
    }
  }
  while (ChainSize(BucketOf(hash)) == 0) hash = NextCursor(hash);
  return ChainAt(BucketOf(hash), 0);
}

size_t Keyspace::ChainSize(const Bucket& head) {
  size_t entries = 0;
  for (const Bucket* bucket = &head; bucket != nullptr; bucket = bucket->next) {
    for (const uint64_t slot : bucket->slots) entries += slot != 0 ? 1 : 0;
  }
  return entries;
}

const Entry* Keyspace::ChainAt(const Bucket& head, size_t index) {
  const Bucket* bucket = &head;
  for (; index >= kSlotsPerBucket; index -= kSlotsPerBucket) bucket = bucket->next;
  return EntryOf(bucket->slots[index]);
}

Keyspace::Expiration Keyspace::ExpireSome(int64_t now_ms, uint32_t budget_buckets) {
  Expiration result;
  auto left = static_cast<uint32_t>(std::min<size_t>(budget_buckets, buckets()));
  while (left > 0 && expiring_ > 0) {
    const size_t bodies_before = body_bytes_;
    ExpireBucket(BucketOf(expire_cursor_), now_ms, result);
    expire_cursor_ = NextCursor(expire_cursor_);
    Spend(left, bodies_before);
  }
  counters_.expired += result.expired;
  return result;
}

void Keyspace::ExpireBucket(Bucket& head, int64_t now_ms, Expiration& result) {
  for (Bucket* bucket = &head; bucket != nullptr; bucket = bucket->next) {
    for (uint64_t& slot : bucket->slots) {
      // An erased slot is filled from the end of the chain, so it is looked at again.
      while ((slot & kExpiresBit) != 0) {
        ++result.visited;
        if (!EntryOf(slot)->expired(now_ms)) {
          result.ttl_sum_ms += std::min(EntryOf(slot)->expires_at_ms() - now_ms, kTtlMaxMs);
          break;
        }
        const bool frees_bucket =
            bucket != &head && bucket->next == nullptr && bucket->slots[1] == 0;
        EraseExpired(Place(&head, &slot));
        ++result.expired;
        if (frees_bucket) return;
      }
    }
  }
}

void Keyspace::EraseExpired(Place place) {
  if (expiry_observer_ != nullptr)
    expiry_observer_->OnExpired(place->key(), place->expires_at_ms());
  Erase(place);
}

// --- the table

uint64_t Keyspace::NextCursor(uint64_t cursor) const {
  const uint64_t index = cursor & ((uint64_t{1} << level_) - 1);
  const uint32_t bits = index < split_ ? level_ + 1 : level_;
  // The bucket covers all hashes with these low bits: in reversed bits, an interval. What follows
  // it starts where it ends.
  cursor |= ~uint64_t{0} << bits;
  return ReverseBits(ReverseBits(cursor) + 1);
}

void Keyspace::AddToChain(Bucket& head, uint64_t slot) {
  for (Bucket* bucket = &head;; bucket = bucket->next) {
    for (uint64_t& place : bucket->slots) {
      if (place == 0) {
        place = slot;
        return;
      }
    }
    if (bucket->next == nullptr) {
      ORRERY_MARK("keyspace.bucket-overflows");
      bucket->next = new Bucket;
      ++overflow_buckets_;
    }
  }
}

void Keyspace::RemoveFromChain(Bucket& head, uint64_t* slot) {
  Bucket* before_last = nullptr;
  Bucket* last = &head;
  while (last->next != nullptr) before_last = std::exchange(last, last->next);
  size_t used = kSlotsPerBucket;
  while (last->slots[used - 1] == 0) --used;
  *slot = std::exchange(last->slots[used - 1], 0);
  // When the last entry was the one to go, it has just been written back.
  if (slot == &last->slots[used - 1]) *slot = 0;
  if (used == 1 && before_last != nullptr) {
    delete std::exchange(before_last->next, nullptr);
    --overflow_buckets_;
  }
}

void Keyspace::Redistribute(Bucket& head) {
  const Bucket old = std::exchange(head, Bucket());
  for (const uint64_t slot : old.slots) {
    if (slot != 0) __builtin_prefetch(EntryOf(slot));
  }
  for (const Bucket* bucket = &old; bucket != nullptr;) {
    for (const uint64_t slot : bucket->slots) {
      if (slot != 0) AddToChain(BucketOf(Hash(EntryOf(slot)->key())), slot);
    }
    const Bucket* next = bucket->next;
    if (bucket != &old) {
      delete bucket;
      --overflow_buckets_;
    }
    bucket = next;
  }
}

void Keyspace::SplitBucket() {
  const size_t parent = split_;
  const size_t child = (size_t{1} << level_) + split_;
  if (StartsSegment(child)) segments_.push_back(new Bucket[segment_buckets()]);
  ++split_;
  ORRERY_MARK("keyspace.bucket-split");
  ++counters_.splits;
  Redistribute(BucketAt(parent));
  if (split_ == size_t{1} << level_) {
    SetLevel(level_ + 1);
    split_ = 0;
    growing_ = false;
  }
}

void Keyspace::MergeBucket() {
  if (split_ == 0) {
    SetLevel(level_ - 1);
    split_ = size_t{1} << level_;
  }
  --split_;
  ORRERY_MARK("keyspace.bucket-merged");
  ++counters_.merges;
  const size_t child = (size_t{1} << level_) + split_;
  Redistribute(BucketAt(child));
  if (StartsSegment(child)) {
    delete[] segments_.back();
    segments_.pop_back();
  }
  if (split_ == 0) shrinking_ = false;
}

bool Keyspace::Step(uint32_t budget_buckets) {
  for (uint32_t left = budget_buckets; left > 0;) {
    if (FreeSome(left)) continue;
    if (!growing_ && size_ < buckets() && level_ > kLevelMin) shrinking_ = true;
    if (growing_) {
      SplitBucket();
    } else if (shrinking_ && buckets() > size_t{1} << kLevelMin) {
      MergeBucket();
    } else {
      shrinking_ = false;
      return false;
    }
    --left;
  }
  return true;
}

// Frees one bucket's entries of what Clear() left. False when nothing is left.
bool Keyspace::FreeSome(uint32_t& budget_buckets) {
  if (dying_.empty()) return false;
  const size_t bodies_before = body_bytes_;
  const size_t freed = FreeChain(dying_.back()[dying_done_]);
  dying_entries_ -= freed;
  counters_.freed += freed;
  Spend(budget_buckets, bodies_before);
  if (++dying_done_ == segment_buckets()) {
    delete[] dying_.back();
    dying_.pop_back();
    if (dying_.empty()) dying_.shrink_to_fit();
    dying_done_ = 0;
  }
  return true;
}

void Keyspace::Spend(uint32_t& budget_buckets, size_t bodies_before) const {
  const size_t cost = 1 + (bodies_before - body_bytes_) / kBytesLikeABucket;
  budget_buckets -= static_cast<uint32_t>(std::min<size_t>(cost, budget_buckets));
}

size_t Keyspace::FreeChain(Bucket& head) {
  size_t freed = 0;
  for (Bucket* bucket = &head; bucket != nullptr;) {
    for (const uint64_t slot : bucket->slots) {
      if (slot == 0) continue;
      FreeEntry(EntryOf(slot));
      ++freed;
    }
    Bucket* next = bucket->next;
    if (bucket != &head) {
      delete bucket;
      --overflow_buckets_;
    }
    bucket = next;
  }
  return freed;
}

void Keyspace::CheckInvariants() const {
  size_t entries = 0;
  size_t expiring = 0;
  ORRERY_CHECK_OP(segments_.size(), ==, ((buckets() - 1) >> segment_bits_) + 1);
  for (size_t index = 0; index < segments_.size() << segment_bits_; ++index) {
    bool ended = false;
    for (const Bucket* bucket = &BucketAt(index); bucket != nullptr; bucket = bucket->next) {
      ORRERY_CHECK_MSG(bucket == &BucketAt(index) || bucket->slots[0] != 0, "an empty overflow");
      for (const uint64_t slot : bucket->slots) {
        ORRERY_CHECK_MSG(!ended || slot == 0, "a hole in a chain");
        ended = slot == 0;
        if (ended) continue;
        const Entry& entry = *EntryOf(slot);
        const uint64_t hash = Hash(entry.key());
        ORRERY_CHECK_OP(IndexOf(hash), ==, index);
        ORRERY_CHECK(((slot ^ hash) & kTagMask) == 0);
        ORRERY_CHECK(((slot & kExpiresBit) != 0) == entry.expires());
        ORRERY_CHECK(entry.is_shared() == (entry.value().size() >= kSharedValueMin));
        ++entries;
        expiring += entry.expires() ? 1 : 0;
      }
    }
  }
  ORRERY_CHECK_OP(entries, ==, size_);
  ORRERY_CHECK_OP(expiring, ==, expiring_);
}

}  // namespace orrery::server
