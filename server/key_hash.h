// The hash of a key in its shard's table: keyed, and cheap for short keys.
//
// A key of up to 32 bytes is hashed by products of its words with secret ones (the NH family, Black
// et al., "UMAC", 1999): for two different keys of one length, the secrets under which their sums
// of products are equal are one in 2^64. A second product with secret words spreads the sum over
// all 64 bits. Longer keys take SipHash-1-3. Whoever does not know the secrets cannot choose keys
// that collide; unlike SipHash, it is not made to keep them from somebody who sees hashes
// (docs/decisions/0015).
//
// The same on every platform. Immutable; may be shared by threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/short_bytes.h"
#include "base/siphash.h"

namespace orrery::server {

class KeyHash {
 public:
  static constexpr size_t kShortBytesMax = 32;

  // All secrets follow from `key`.
  explicit KeyHash(SipHashKey key);

  uint64_t operator()(std::string_view key) const {
    if (key.size() > kShortBytesMax) [[unlikely]]
      return SipHash13(long_key_, key);
    return Short(key);
  }

 private:
  using Product = unsigned __int128;

  // Keys of one length differ in their words, because these cover all bytes; and the length is part
  // of the second product.
  uint64_t Short(std::string_view key) const {
    const char* const bytes = key.data();
    const size_t size = key.size();
    Product sum;
    if (size >= 8) {
      sum = Multiply(LoadWord<uint64_t>(bytes) + secret_[0],
                     LoadWord<uint64_t>(bytes + size - 8) + secret_[1]);
      if (size > 16) {
        sum += Multiply(LoadWord<uint64_t>(bytes + 8) + secret_[2],
                        LoadWord<uint64_t>(bytes + size - 16) + secret_[3]);
      }
    } else {
      sum = Multiply(LoadUpToWord(key) + secret_[0], secret_[1]);
    }
    const Product spread = Multiply(static_cast<uint64_t>(sum) ^ (secret_[4] + size),
                                    static_cast<uint64_t>(sum >> 64) ^ secret_[5]);
    return static_cast<uint64_t>(spread) ^ static_cast<uint64_t>(spread >> 64);
  }

  static Product Multiply(uint64_t left, uint64_t right) { return Product{left} * right; }

  std::array<uint64_t, 6> secret_;
  SipHashKey long_key_;
};

}  // namespace orrery::server
