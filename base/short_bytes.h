// Words out of bytes, and comparing and copying a few bytes in less time than a call takes.
//
// Keys, names and small values are mostly of 3 to 16 bytes, which are two overlapping words. For
// any other size these are memcmp and memcpy.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace orrery {

// The first bytes as a little-endian word.
template <typename Word>
Word LoadWord(const char* bytes) {
  static_assert(std::endian::native == std::endian::little);
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

template <typename Word>
void StoreWord(char* bytes, Word word) {
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(bytes, &word, sizeof word);
}

inline bool SameBytes(std::string_view left, std::string_view right) {
  const size_t size = left.size();
  if (size != right.size()) return false;
  if (size < sizeof(uint64_t) || size > 2 * sizeof(uint64_t)) return left == right;
  const size_t last = size - sizeof(uint64_t);
  return ((LoadWord<uint64_t>(left.data()) ^ LoadWord<uint64_t>(right.data())) |
          (LoadWord<uint64_t>(left.data() + last) ^ LoadWord<uint64_t>(right.data() + last))) == 0;
}

// memcpy(3), and `from` may be null when there is nothing to copy.
inline void CopyBytes(char* to, std::string_view from) {
  const size_t size = from.size();
  const char* const bytes = from.data();
  // All loads come before the stores.
  const auto overlapping = [&]<typename Word>(Word) {
    const Word front = LoadWord<Word>(bytes);
    const Word back = LoadWord<Word>(bytes + size - sizeof(Word));
    StoreWord(to, front);
    StoreWord(to + size - sizeof(Word), back);
  };
  if (size >= sizeof(uint64_t)) {
    if (size <= 2 * sizeof(uint64_t)) {
      overlapping(uint64_t{});
    } else {
      std::memcpy(to, bytes, size);
    }
  } else if (size >= sizeof(uint32_t)) {
    overlapping(uint32_t{});
  } else if (size >= sizeof(uint16_t)) {
    overlapping(uint16_t{});
  } else if (size == 1) {
    *to = *bytes;
  }
}

// Up to eight bytes as a word, the missing ones zero.
inline uint64_t LoadUpToWord(std::string_view text) {
  const char* const bytes = text.data();
  const size_t size = text.size();
  const auto overlapping = [&]<typename Word>(Word) {
    return uint64_t{LoadWord<Word>(bytes)} | uint64_t{LoadWord<Word>(bytes + size - sizeof(Word))}
                                                 << (8 * (size - sizeof(Word)));
  };
  if (size >= sizeof(uint64_t)) return LoadWord<uint64_t>(bytes);
  if (size >= sizeof(uint32_t)) return overlapping(uint32_t{});
  if (size >= sizeof(uint16_t)) return overlapping(uint16_t{});
  return size == 0 ? 0 : LoadWord<uint8_t>(bytes);
}

}  // namespace orrery
