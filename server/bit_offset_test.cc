// What would break: a bit command takes an offset that Redis refuses, or writes where nobody asked.
#include "server/bit_offset.h"

#include <gtest/gtest.h>

namespace orrery::server {
namespace {

constexpr uint64_t kBytesMax = 512 << 20;

TEST(BitOffset, Bits) {
  EXPECT_EQ(ParseBitOffset("0", kBytesMax), 0u);
  EXPECT_EQ(ParseBitOffset("4294967295", kBytesMax), 4294967295u);
  for (const char* text : {"4294967296", "-1", "", "a", "#1", "01", "9223372036854775808"}) {
    EXPECT_EQ(ParseBitOffset(text, kBytesMax), std::nullopt) << text;
  }
}

TEST(BitOffset, Fields) {
  EXPECT_EQ(ParseFieldOffset("7", 16, kBytesMax), 7u);
  EXPECT_EQ(ParseFieldOffset("#7", 16, kBytesMax), 112u);
  for (const char* text : {"#", "#-1", "#a", "##1", "#268435456"}) {
    EXPECT_EQ(ParseFieldOffset(text, 16, kBytesMax), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace orrery::server
