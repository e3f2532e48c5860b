// What would break: a table whose keys lie in few buckets is slow, and one whose hash ignores a
// byte of some length is a list.
#include "server/key_hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string>
#include <vector>

namespace orrery::server {
namespace {

constexpr SipHashKey kKey{.low = 11, .high = 22};

std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('a' + i % 26));
  return text;
}

TEST(KeyHashTest, EveryBitOfEveryLengthCounts) {
  const KeyHash hash(kKey);
  for (size_t size = 0; size <= 2 * KeyHash::kShortBytesMax; ++size) {
    const std::string text = Text(size);
    std::set<uint64_t> hashes{hash(text)};
    for (size_t bit = 0; bit < 8 * size; ++bit) {
      std::string other = text;
      other[bit / 8] ^= static_cast<char>(1 << bit % 8);
      EXPECT_TRUE(hashes.insert(hash(other)).second) << size << " " << bit;
    }
  }
}

TEST(KeyHashTest, KeysOfZeroBytesDifferByTheirLengths) {
  const KeyHash hash(kKey);
  std::set<uint64_t> hashes;
  for (size_t size = 0; size <= 2 * KeyHash::kShortBytesMax; ++size) {
    EXPECT_TRUE(hashes.insert(hash(std::string(size, '\0'))).second) << size;
  }
}

TEST(KeyHashTest, AnotherKeyIsAnotherHash) {
  const KeyHash hash(kKey);
  const KeyHash other(SipHashKey{.low = 12, .high = 22});
  for (size_t size = 0; size <= 2 * KeyHash::kShortBytesMax; ++size) {
    EXPECT_NE(hash(Text(size)), other(Text(size))) << size;
  }
}

// Neighbours, as counters make them, in the bits that the table uses: the low ones for the bucket,
// the high ones for the tag.
TEST(KeyHashTest, NeighboursFillAllBucketsEvenly) {
  constexpr size_t kBuckets = 256;
  constexpr size_t kKeys = kBuckets * 64;
  const KeyHash hash(kKey);
  for (const std::string front : {"", "key:", "key:000000", "a-prefix-of-20-bytes"}) {
    std::vector<size_t> low(kBuckets);
    std::vector<size_t> high(kBuckets);
    for (size_t i = 0; i < kKeys; ++i) {
      const uint64_t h = hash(front + std::to_string(i));
      ++low[h % kBuckets];
      ++high[h >> 56];
    }
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      // 64 expected, with a deviation of 8.
      EXPECT_LT(low[bucket], 64 + 6 * 8) << front << bucket;
      EXPECT_GT(low[bucket], 64 - 6 * 8) << front << bucket;
      EXPECT_LT(high[bucket], 64 + 6 * 8) << front << bucket;
      EXPECT_GT(high[bucket], 64 - 6 * 8) << front << bucket;
    }
  }
}

TEST(KeyHashTest, HalfOfTheBitsChangeWithOne) {
  const KeyHash hash(kKey);
  for (const size_t size : {1, 7, 8, 15, 16, 17, 31, 32}) {
    const std::string text = Text(size);
    int changed = 0;
    for (size_t bit = 0; bit < 8 * size; ++bit) {
      std::string other = text;
      other[bit / 8] ^= static_cast<char>(1 << bit % 8);
      changed += std::popcount(hash(text) ^ hash(other));
    }
    const int bits = static_cast<int>(8 * size) * 64;
    EXPECT_GT(changed, bits * 4 / 10) << size;
    EXPECT_LT(changed, bits * 6 / 10) << size;
  }
}

}  // namespace
}  // namespace orrery::server
