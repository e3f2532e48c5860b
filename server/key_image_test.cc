// What would break: a key that travels comes back as another one.
#include "server/key_image.h"

#include <gtest/gtest.h>

#include <string>

#include "base/siphash.h"
#include "server/keyspace.h"

namespace orrery::server {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

class KeyImageTest : public testing::Test {
 protected:
  static Keyspace::Place Find(Keyspace& keyspace, std::string_view key) {
    return keyspace.Peek(keyspace.WithHash(key), kNow);
  }
  static void Set(Keyspace& keyspace, std::string_view key, std::string_view value,
                  int64_t expires_at_ms, Encoding encoding) {
    keyspace.Assign(Find(keyspace, key), keyspace.WithHash(key), value, expires_at_ms, encoding);
  }

  Keyspace from_{SipHashKey{.low = 1, .high = 2}};
  Keyspace to_{SipHashKey{.low = 3, .high = 4}};
  KeyImage image_;
};

TEST_F(KeyImageTest, CarriesAllOfAKey) {
  image_.need = KeyNeed::kValue;
  for (const size_t bytes : {0u, 1u, 4095u, 4096u, 100'000u}) {
    image_.key = "key";
    Set(from_, "key", std::string(bytes, 'x'), kNow + 5, Encoding::kRaw);
    from_.SetAccessed(Find(from_, "key"), 77);
    image_.Take(from_, kNow);
    image_.Put(to_, kNow);
    const Keyspace::Place place = Find(to_, "key");
    ASSERT_TRUE(place);
    EXPECT_EQ(place->value(), std::string(bytes, 'x'));
    EXPECT_EQ(place->expires_at_ms(), kNow + 5);
    EXPECT_EQ(place->encoding(), Encoding::kRaw);
    EXPECT_EQ(place->accessed(), 77u);
    // It has memory of its own.
    EXPECT_TRUE(!place->is_shared() || place->shared().unique());
  }
}

TEST_F(KeyImageTest, OfAKeyThatIsNotThereItTakesItAway) {
  Set(to_, "key", "old", kNoExpiry, Encoding::kNatural);
  image_.key = "key";
  image_.need = KeyNeed::kValue;
  image_.Take(from_, kNow);
  EXPECT_FALSE(image_.there);
  image_.Put(to_, kNow);
  EXPECT_FALSE(Find(to_, "key"));
  image_.Put(to_, kNow);
}

TEST_F(KeyImageTest, BringsNoMoreThanIsNeeded) {
  Set(from_, "key", "value", kNow + 5, Encoding::kNatural);
  image_.key = "key";
  image_.need = KeyNeed::kPresence;
  image_.Take(from_, kNow);
  EXPECT_TRUE(image_.there);
  EXPECT_EQ(image_.expires_at_ms, kNow + 5);
  EXPECT_TRUE(image_.small.empty());
}

}  // namespace
}  // namespace orrery::server
