// What would break: a hash that differs from SipHash is not known to resist chosen keys, and one
// that differs between builds changes what a replayed run does.
#include "base/siphash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace orrery {
namespace {

// The key of the published vectors: bytes 00 01 .. 0f. Their inputs: bytes 00 01 .. of each length.
constexpr SipHashKey kVectorKey{.low = 0x0706050403020100, .high = 0x0f0e0d0c0b0a0908};

std::string VectorInput(size_t size_bytes) {
  std::string input;
  for (size_t i = 0; i < size_bytes; ++i) input.push_back(static_cast<char>(i));
  return input;
}

TEST(SipHashTest, TwoFourMatchesThePublishedVectors) {
  const uint64_t by_length[] = {
      0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
      0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
      0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
      0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
  };
  for (size_t size = 0; size < std::size(by_length); ++size) {
    EXPECT_EQ(SipHash24(kVectorKey, VectorInput(size)), by_length[size]) << size;
  }
  EXPECT_EQ(SipHash24(kVectorKey, VectorInput(63)), 0x958a324ceb064572);
}

TEST(SipHashTest, OneThreeMatchesThePublishedVector) {
  EXPECT_EQ(SipHash13(kVectorKey, ""), 0xabac0158050fc4dc);
}

TEST(SipHashTest, DependsOnTheKeyTheLengthAndEveryByte) {
  std::set<uint64_t> seen;
  const std::string input = VectorInput(37);
  EXPECT_TRUE(seen.insert(SipHash13(kVectorKey, input)).second);
  EXPECT_TRUE(seen.insert(SipHash13({.low = 1, .high = kVectorKey.high}, input)).second);
  EXPECT_TRUE(seen.insert(SipHash13({.low = kVectorKey.low, .high = 1}, input)).second);
  EXPECT_TRUE(seen.insert(SipHash13(kVectorKey, input + std::string(1, '\0'))).second);
  for (size_t i = 0; i < input.size(); ++i) {
    std::string changed = input;
    changed[i] = static_cast<char>(changed[i] ^ 0x80);
    EXPECT_TRUE(seen.insert(SipHash13(kVectorKey, changed)).second) << i;
  }
}

}  // namespace
}  // namespace orrery
