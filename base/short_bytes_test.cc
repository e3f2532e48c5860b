// What would break: keys that differ taken for one key, values cut short or written past their end.
#include "base/short_bytes.h"

#include <gtest/gtest.h>

#include <string>

namespace orrery {
namespace {

constexpr size_t kSizesMax = 40;

std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('A' + i));
  return text;
}

TEST(ShortBytesTest, EqualBytesAreTheSame) {
  for (size_t size = 0; size <= kSizesMax; ++size) {
    EXPECT_TRUE(SameBytes(Text(size), Text(size))) << size;
  }
}

TEST(ShortBytesTest, OneOtherByteAnywhereIsNoticed) {
  for (size_t size = 1; size <= kSizesMax; ++size) {
    for (size_t at = 0; at < size; ++at) {
      std::string other = Text(size);
      other[at] ^= 1;
      EXPECT_FALSE(SameBytes(Text(size), other)) << size << " " << at;
    }
  }
}

TEST(ShortBytesTest, AnotherLengthIsNoticed) {
  for (size_t size = 0; size <= kSizesMax; ++size) {
    EXPECT_FALSE(SameBytes(Text(size), Text(size + 1))) << size;
  }
}

TEST(ShortBytesTest, CopiesAllOfThemAndNoMore) {
  for (size_t size = 0; size <= kSizesMax; ++size) {
    std::string to(size + 2, '.');
    CopyBytes(to.data() + 1, Text(size));
    EXPECT_EQ(to, "." + Text(size) + ".") << size;
  }
}

TEST(ShortBytesTest, CopiesNothingFromNowhere) {
  char to = '.';
  CopyBytes(&to, {});
  EXPECT_EQ(to, '.');
}

TEST(ShortBytesTest, MissingBytesOfAWordAreZero) {
  for (size_t size = 0; size <= kSizesMax; ++size) {
    const std::string text = Text(size);
    uint64_t word = 0;
    for (size_t i = 0; i < size && i < sizeof word; ++i) {
      word |= uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    EXPECT_EQ(LoadUpToWord(text), word) << size;
  }
}

}  // namespace
}  // namespace orrery
