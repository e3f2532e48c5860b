// SipHash-c-d (Aumasson, Bernstein 2012): a keyed hash of bytes, the same on every platform.
//
// Whoever does not know the key cannot choose inputs that collide, so a table keyed by what clients
// send stays flat. SipHash13 is for tables; SipHash24 is the variant with published vectors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace orrery {

// 128 secret bits, as two little-endian words.
struct SipHashKey {
  uint64_t low = 0;
  uint64_t high = 0;
};

namespace siphash_internal {

struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
};

// The first `count` <= 8 bytes as a little-endian word.
inline uint64_t LoadWord(const char* bytes, size_t count) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t word = 0;
  if (count != 0) std::memcpy(&word, bytes, count);
  return word;
}

}  // namespace siphash_internal

// `kCompressionRounds` per eight bytes of input, `kFinalizationRounds` at the end.
template <int kCompressionRounds, int kFinalizationRounds>
uint64_t SipHash(SipHashKey key, std::string_view bytes) {
  siphash_internal::State state{.v0 = key.low ^ 0x736f6d6570736575,
                                .v1 = key.high ^ 0x646f72616e646f6d,
                                .v2 = key.low ^ 0x6c7967656e657261,
                                .v3 = key.high ^ 0x7465646279746573};
  const auto absorb = [&state](uint64_t word) {
    state.v3 ^= word;
    for (int round = 0; round < kCompressionRounds; ++round) state.Round();
    state.v0 ^= word;
  };
  const size_t whole_bytes = bytes.size() & ~size_t{7};
  for (size_t offset = 0; offset < whole_bytes; offset += 8) {
    absorb(siphash_internal::LoadWord(bytes.data() + offset, 8));
  }
  absorb(static_cast<uint64_t>(bytes.size()) << 56 |
         siphash_internal::LoadWord(bytes.data() + whole_bytes, bytes.size() - whole_bytes));
  state.v2 ^= 0xff;
  for (int round = 0; round < kFinalizationRounds; ++round) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

uint64_t SipHash13(SipHashKey key, std::string_view bytes);
uint64_t SipHash24(SipHashKey key, std::string_view bytes);

}  // namespace orrery
