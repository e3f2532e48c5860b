// A hash table whose links live in its elements, and which grows and shrinks by one bucket at a
// time (linear hashing): no operation stops to move the others.
//
// Invariant: an element is in at most one table per link member, and outlives its membership. The
// caller hashes, with a secret key where strangers choose what is hashed. Owned and used by one
// thread; owns none of its elements.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "base/check.h"
#include "base/element_of.h"

namespace orrery {

// A hash table's link. Embed one per table that an element may be in.
struct HashLink {
  HashLink* next = nullptr;
  uint64_t hash = 0;
};

template <typename T, HashLink T::* kLink>
class IntrusiveHashTable {
 public:
  IntrusiveHashTable() : buckets_(kBucketsMin) {}
  IntrusiveHashTable(const IntrusiveHashTable&) = delete;
  IntrusiveHashTable& operator=(const IntrusiveHashTable&) = delete;

  size_t size() const { return size_; }
  size_t buckets() const { return buckets_.size(); }

  // REQUIRES: `element` is not in a table by this link.
  void Insert(T& element, uint64_t hash) {
    HashLink& link = element.*kLink;
    link.hash = hash;
    Push(buckets_[BucketOf(hash)], link);
    ++size_;
    if (size_ > buckets_.size()) Split();
  }

  // The element with this hash for which matches(element), or null.
  template <typename Matches>
  T* Find(uint64_t hash, Matches matches) const {
    for (HashLink* link = buckets_[BucketOf(hash)]; link != nullptr; link = link->next) {
      if (link->hash == hash && matches(*Element(link))) return Element(link);
    }
    return nullptr;
  }

  // REQUIRES: `element` is in this table.
  void Remove(T& element) {
    HashLink& link = element.*kLink;
    HashLink** place = &buckets_[BucketOf(link.hash)];
    while (*place != &link) {
      ORRERY_CHECK_MSG(*place != nullptr, "an element is not in the table it is taken from");
      place = &(*place)->next;
    }
    *place = link.next;
    link.next = nullptr;
    --size_;
    // Twice: a table that shrinks must not lag behind one that is emptied.
    for (int i = 0; i < 2 && buckets_.size() > kBucketsMin && buckets_.size() > 2 * size_; ++i) {
      Merge();
    }
  }

 private:
  static constexpr size_t kBucketsMin = 8;
  static_assert(std::has_single_bit(kBucketsMin));

  // The buckets from the last power of two on are those that have been split off.
  size_t BucketOf(uint64_t hash) const {
    const size_t whole = std::bit_floor(buckets_.size());
    const size_t bucket = hash & (2 * whole - 1);
    return bucket < buckets_.size() ? bucket : bucket - whole;
  }

  static void Push(HashLink*& bucket, HashLink& link) {
    link.next = bucket;
    bucket = &link;
  }

  // Adds a bucket, and moves there what belongs there.
  void Split() {
    const size_t whole = std::bit_floor(buckets_.size());
    HashLink* link = std::exchange(buckets_[buckets_.size() - whole], nullptr);
    buckets_.push_back(nullptr);
    while (link != nullptr) {
      HashLink* next = link->next;
      Push(buckets_[BucketOf(link->hash)], *link);
      link = next;
    }
  }

  // Takes the last bucket away.
  void Merge() {
    HashLink* link = buckets_.back();
    buckets_.pop_back();
    while (link != nullptr) {
      HashLink* next = link->next;
      Push(buckets_[BucketOf(link->hash)], *link);
      link = next;
    }
  }

  static T* Element(HashLink* link) { return ElementOf<kLink, T>(link); }

  std::deque<HashLink*> buckets_;  // It grows without moving them.
  size_t size_ = 0;
};

}  // namespace orrery
