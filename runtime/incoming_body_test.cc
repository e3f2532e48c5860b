// A body in memory of its own: exact however it comes, and never much larger than what has come.
#include "runtime/incoming_body.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace orrery {
namespace {

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t index = 0; index < size; ++index) {
    bytes[index] = static_cast<char>(index * 7 + (index >> 10));
  }
  return bytes;
}

TEST(IncomingBodyTest, IsExactHoweverItComes) {
  Prng prng(1);
  for (const size_t total : {size_t{1}, size_t{2}, size_t{70'000}, IncomingBody::kTrustedBytes,
                             IncomingBody::kTrustedBytes + 1, 5 * IncomingBody::kTrustedBytes}) {
    const std::string expected = Pattern(total);
    IncomingBody body(total);
    while (!body.complete()) {
      const std::string_view rest = std::string_view(expected).substr(body.filled_bytes());
      const size_t part = 1 + prng.Below(total / 3 + 1);
      if (prng.Chance(1, 2)) {
        EXPECT_EQ(body.Append(rest.substr(0, part)), std::min(part, rest.size()));
      } else {
        const std::span<std::byte> room = body.Room();
        ASSERT_FALSE(room.empty());
        ASSERT_LE(room.size(), rest.size());
        const size_t written = std::min(part, room.size());
        std::memcpy(room.data(), rest.data(), written);
        body.Fill(written);
      }
    }
    EXPECT_EQ(body.Append("behind it"), 0U);
    const SharedBytes value = std::move(body).Take();
    EXPECT_TRUE(value.view() == expected) << total;
    EXPECT_EQ(value.capacity_bytes(), total);  // Nothing to spare is kept with the value.
    EXPECT_TRUE(value.unique());
  }
}

TEST(IncomingBodyTest, MemoryFollowsWhatHasCome) {
  IncomingBody body(512 * kMiB);
  EXPECT_EQ(body.capacity_bytes(), IncomingBody::kTrustedBytes);
  const std::string bytes(100'000, 'x');
  while (body.filled_bytes() < 40 * kMiB) {
    body.Append(bytes);
    EXPECT_LE(body.capacity_bytes(),
              std::max(IncomingBody::kTrustedBytes, IncomingBody::kGrowth * body.filled_bytes()));
  }
}

TEST(IncomingBodyDeathTest, MisuseIsNoticed) {
  IncomingBody body(10);
  EXPECT_DEATH(body.Fill(11), "bytes");
  EXPECT_DEATH(std::move(body).Take(), "complete");
  body.Append("0123456789");
  EXPECT_DEATH(body.Room(), "complete");
  EXPECT_DEATH(IncomingBody(0), "total_bytes");
}

}  // namespace
}  // namespace orrery
