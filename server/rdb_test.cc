// What would break: a dump does not restore in Redis, or a damaged one is taken for a value. The
// payloads are those of Redis 7.0.15.
#include "server/rdb.h"

#include <gtest/gtest.h>

#include <string>

#include "base/units.h"

namespace orrery::server {
namespace {

using namespace std::string_literals;

constexpr size_t kBytesMax = 1 * kMiB;

std::string Seal(std::string body, int version = 10) {
  body += static_cast<char>(version);
  body += '\0';
  uint64_t crc = Crc64(0, body);
  for (int byte = 0; byte < 8; ++byte, crc >>= 8) body += static_cast<char>(crc);
  return body;
}

TEST(Rdb, TheChecksumIsRedis) {
  EXPECT_EQ(Crc64(0, "123456789"), 0xe9c6d914c4b8d9cau);
  EXPECT_EQ(Crc64(0, ""), 0u);
  const std::string text = "This is a test of the emergency broadcast system.";
  EXPECT_EQ(Crc64(Crc64(0, text.substr(0, 13)), text.substr(13)), Crc64(0, text));
}

TEST(Rdb, APayloadOfRedis) {
  // SET k abc..., forty times, on a Redis that compresses.
  const std::string payload =
      "\x00\xc3\x0b\x40\x78\x03"
      "abca\xe0\x69\x02\x01"
      "bc\n\x00\xc4\x94\xa1p*\xe2>\x06"s;
  std::string expected;
  for (int times = 0; times < 40; ++times) expected += "abc";
  EXPECT_EQ(DecodeDump(payload, kBytesMax), expected);
}

TEST(Rdb, EveryValueComesBack) {
  for (const std::string& value :
       {""s, "0"s, "-1"s, "127"s, "128"s, "-129"s, "32768"s, "2147483648"s, "-2147483649"s, "01"s,
        "+1"s, std::string(63, 'a'), std::string(64, 'b'), std::string(16383, 'c'),
        std::string(16384, 'd'), "\0\xff\r\n"s}) {
    EXPECT_EQ(DecodeDump(EncodeDump(value), kBytesMax), value);
  }
}

TEST(Rdb, ADamagedFooterIsNoticed) {
  const std::string payload = EncodeDump("value");
  for (size_t at = 0; at < payload.size(); ++at) {
    std::string damaged = payload;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_EQ(DecodeDump(damaged, kBytesMax).error(), DumpError::kFooter) << at;
    EXPECT_EQ(DecodeDump(payload.substr(0, at), kBytesMax).error(), DumpError::kFooter) << at;
  }
  EXPECT_EQ(DecodeDump(Seal("\0\x01"s + "a", 11), kBytesMax).error(), DumpError::kFooter);
  EXPECT_EQ(DecodeDump(Seal("\0\x01"s + "a", 6), kBytesMax), "a");
}

TEST(Rdb, WhatIsNoStringIsRefused) {
  for (const std::string& body :
       {""s, "\x01\x01"s + "a", "\0"s, "\0\xc4"s, "\0\x82"s,
        // Compressed: a copy from before the beginning, and too much of it.
        "\0\xc3\x02\x03\x20\x00"s, "\0\xc3\x02\x01\x01"s + "ab", "\0\xc3\x03\x05\x01"s + "ab"}) {
    const auto value = DecodeDump(Seal(body), kBytesMax);
    ASSERT_FALSE(value) << body.size();
    EXPECT_EQ(value.error(), DumpError::kData);
  }
  EXPECT_EQ(DecodeDump(EncodeDump("longer"), 5).error(), DumpError::kData);
}

}  // namespace
}  // namespace orrery::server
