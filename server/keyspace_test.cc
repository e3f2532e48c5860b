// What would break: a key is lost or doubled while the table grows, a scan misses one, a value that
// is being sent changes, a rehash stops the server.
#include "server/keyspace.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/prng.h"

namespace orrery::server {
namespace {

constexpr SipHashKey kHashKey{.low = 11, .high = 22};
constexpr int64_t kNow = 1'000'000;
// Some dozens of keys are many segments then.
constexpr uint32_t kSmallSegmentBits = 2;

std::string KeyName(uint64_t number) { return "key:" + std::to_string(number); }

// A value whose size is drawn around the sizes that matter.
std::string MakeValue(uint64_t word) {
  constexpr size_t kSizes[] = {0, 1, 8, 20, 100, kSharedValueMin - 1, kSharedValueMin, 6000};
  return std::string(kSizes[word % std::size(kSizes)], static_cast<char>('a' + word % 26));
}

class KeyspaceTest : public testing::Test {
 protected:
  Keyspace::Place Find(std::string_view key, int64_t now_ms = kNow) {
    return keyspace_.Find(keyspace_.WithHash(key), now_ms);
  }
  void Set(std::string_view key, std::string_view value, int64_t expires_at_ms = kNoExpiry) {
    const HashedKey hashed = keyspace_.WithHash(key);
    keyspace_.Assign(keyspace_.Find(hashed, kNow), hashed, value, expires_at_ms);
  }

  Keyspace keyspace_{kHashKey};
};

TEST_F(KeyspaceTest, KeepsALargeBodyAsItIs) {
  const HashedKey key = keyspace_.WithHash("a");
  const auto assign = [&](const SharedBytes& body) {
    keyspace_.Assign(keyspace_.Find(key, kNow), key, {body.view(), &body}, kNoExpiry);
  };
  SharedBytes first = SharedBytes::Copy(std::string(kSharedValueMin, 'f'));
  const char* const memory = first.data();
  assign(first);
  EXPECT_EQ(Find("a")->value().data(), memory);
  // While it is somebody else's, too, nothing is written into it.
  assign(SharedBytes::Copy(std::string(kSharedValueMin, 's')));
  EXPECT_EQ(Find("a")->value()[0], 's');
  EXPECT_EQ(first.view()[0], 'f');
  EXPECT_TRUE(first.unique());
  // A small one is copied, as any small value.
  const SharedBytes small = SharedBytes::Copy("small");
  assign(small);
  EXPECT_EQ(Find("a")->value(), "small");
  EXPECT_TRUE(small.unique());
  keyspace_.Erase(Find("a"));
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, FindsWhatWasAssigned) {
  EXPECT_FALSE(Find("a"));
  Set("a", "1");
  Set("", "empty key");
  Set(std::string_view("a\0", 2), "zero byte");
  ASSERT_TRUE(Find("a"));
  EXPECT_EQ(Find("a")->value(), "1");
  EXPECT_EQ(Find("a")->key(), "a");
  EXPECT_EQ(Find("")->value(), "empty key");
  EXPECT_EQ(Find(std::string_view("a\0", 2))->value(), "zero byte");
  EXPECT_EQ(keyspace_.size(), 3u);
  keyspace_.Erase(Find("a"));
  EXPECT_FALSE(Find("a"));
  EXPECT_EQ(keyspace_.size(), 2u);
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, RemembersWhenAKeyWasUsed) {
  Set("a", "1");
  EXPECT_EQ(Find("a")->accessed(), 1000u);
  EXPECT_EQ(keyspace_.Peek(keyspace_.WithHash("a"), 5'000'000)->accessed(), 1000u);
  EXPECT_EQ(Find("a", 5'000'000)->accessed(), 5000u);
  keyspace_.CountUses(false);
  EXPECT_EQ(Find("a", 6'000'000)->accessed(), 5000u);
  keyspace_.CountUses(true);
  keyspace_.SetExpiry(Find("a", 6'000'000), 7'000'000);
  EXPECT_EQ(keyspace_.Peek(keyspace_.WithHash("a"), 6'500'000)->accessed(), 6000u);
}

TEST_F(KeyspaceTest, AValueThatIsBorrowedIsNotEdited) {
  Set("a", std::string(kSharedValueMin, 'x'));
  const SharedBytes borrowed = Find("a")->shared();
  keyspace_.Edit(Find("a"), 1)[0] = 'y';
  EXPECT_EQ(borrowed.view()[0], 'x');
  EXPECT_EQ(Find("a")->value()[0], 'y');
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, ReplacesAValueOfTheSameSizeInItsOwnMemory) {
  Set("small", "12345678");
  Set("large", std::string(kSharedValueMin, 'a'));
  const char* small = Find("small")->value().data();
  const char* large = Find("large")->value().data();
  const size_t memory = keyspace_.memory_bytes();
  Set("small", "abcdefgh");
  Set("large", std::string(kSharedValueMin, 'b'));
  EXPECT_EQ(Find("small")->value(), "abcdefgh");
  EXPECT_EQ(Find("small")->value().data(), small);
  EXPECT_EQ(Find("large")->value().data(), large);
  EXPECT_EQ(keyspace_.memory_bytes(), memory);
}

TEST_F(KeyspaceTest, AMuchSmallerValueGivesMemoryBack) {
  Set("key", std::string(4000, 'x'));
  const size_t before = keyspace_.memory_bytes();
  Set("key", "x");
  EXPECT_LT(keyspace_.memory_bytes() + 3900, before);
}

TEST_F(KeyspaceTest, NeverChangesABorrowedValue) {
  const std::string original(kSharedValueMin, 'a');
  Set("key", original);
  const SharedBytes borrowed = Find("key")->shared();
  Set("key", std::string(kSharedValueMin, 'b'));
  EXPECT_EQ(borrowed.view(), original);
  EXPECT_EQ(Find("key")->value(), std::string(kSharedValueMin, 'b'));

  const SharedBytes before_append = Find("key")->shared();
  keyspace_.Append(Find("key"), "tail");
  EXPECT_EQ(before_append.view(), std::string(kSharedValueMin, 'b'));
  EXPECT_EQ(Find("key")->value(), std::string(kSharedValueMin, 'b') + "tail");

  const SharedBytes last = Find("key")->shared();
  keyspace_.Erase(Find("key"));
  EXPECT_EQ(last.size(), kSharedValueMin + 4);
  EXPECT_TRUE(last.unique());
}

TEST_F(KeyspaceTest, TakesALargeValueWithoutCopyingIt) {
  const auto assign = [this](std::string_view name, int64_t expires_at_ms) {
    const SharedBytes body = SharedBytes::Copy(std::string(kSharedValueMin, 'b'));
    const HashedKey key = keyspace_.WithHash(name);
    keyspace_.Assign(keyspace_.Find(key, kNow), key, {body.view(), &body}, expires_at_ms,
                     Encoding::kRaw);
    ASSERT_TRUE(Find(name));
    EXPECT_EQ(Find(name)->value().data(), body.data());
    EXPECT_EQ(Find(name)->expires_at_ms(), expires_at_ms);
    EXPECT_EQ(Find(name)->encoding(), Encoding::kRaw);
  };
  assign("new", kNoExpiry);
  assign("new", kNow + 1);
  Set("small", "s", kNow + 5);
  assign("small", kNoExpiry);
  EXPECT_EQ(keyspace_.size(), 2u);
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, AppendsOverEveryBorder) {
  std::string model;
  Set("key", "", kNow + 5);
  const std::string piece = "0123456789abc";
  while (model.size() < 2 * kSharedValueMin) {
    keyspace_.Append(Find("key"), piece);
    model += piece;
    ASSERT_EQ(Find("key")->value(), model);
    ASSERT_EQ(Find("key")->expires_at_ms(), kNow + 5);
    ASSERT_EQ(Find("key")->is_shared(), model.size() >= kSharedValueMin);
  }
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, AppendingToALargeValueDoesNotCopyItEachTime) {
  Set("key", std::string(kSharedValueMin, 'a'));
  const std::string piece(100, 'b');
  size_t moves = 0;
  for (size_t count = 0; count < 10'000; ++count) {
    const char* before = Find("key")->value().data();
    keyspace_.Append(Find("key"), piece);
    moves += Find("key")->value().data() != before ? 1 : 0;
  }
  // From 4 KiB to 1 MB, by half each time.
  EXPECT_LE(moves, 16U);
  EXPECT_EQ(Find("key")->value().size(), kSharedValueMin + 1'000'000);
  EXPECT_LE(keyspace_.memory_bytes(), 2'000'000U);
  Set("key", "small");
  EXPECT_LT(keyspace_.memory_bytes(), 100'000U);
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, AKeyLivesInItsLastMillisecondAndNotAfter) {
  Set("key", "value", kNow);
  Set("stays", "value", kNow);
  keyspace_.SetExpiry(Find("stays"), kNoExpiry);
  EXPECT_TRUE(Find("key", kNow));
  EXPECT_EQ(keyspace_.expiring(), 1u);
  EXPECT_FALSE(Find("key", kNow + 1));
  EXPECT_EQ(keyspace_.size(), 1u);
  EXPECT_EQ(keyspace_.expiring(), 0u);
  EXPECT_EQ(keyspace_.counters().expired, 1u);
  EXPECT_TRUE(Find("stays", kNow + 1));
}

TEST_F(KeyspaceTest, ExpiresInTheBackgroundByABoundedShare) {
  constexpr uint32_t kKeys = 5000;
  for (uint32_t i = 0; i < kKeys; ++i) Set(KeyName(i), "v", i % 2 == 0 ? kNow : kNow + 1000);
  const uint32_t buckets = static_cast<uint32_t>(keyspace_.buckets());
  Keyspace::Expiration all;
  const uint32_t share = 16;
  for (uint32_t visited = 0; visited < buckets; visited += share) {
    const Keyspace::Expiration some = keyspace_.ExpireSome(kNow + 1, share);
    EXPECT_LT(some.visited, share * 40);
    all.visited += some.visited;
    all.expired += some.expired;
  }
  EXPECT_EQ(all.expired, kKeys / 2);
  EXPECT_GE(all.visited, kKeys);
  EXPECT_EQ(keyspace_.size(), kKeys / 2);
  EXPECT_EQ(keyspace_.ExpireSome(kNow + 1, buckets).expired, 0u);
  EXPECT_EQ(keyspace_.ExpireSome(kNow + 1001, buckets).expired, kKeys / 2);
  EXPECT_EQ(keyspace_.ExpireSome(kNow + 1001, buckets).visited, 0u);
  keyspace_.CheckInvariants();
}

TEST_F(KeyspaceTest, TellsOfEveryKeyThatExpiresAndWhen) {
  struct Observer final : ExpiryObserver {
    void OnExpired(std::string_view key, int64_t expires_at_ms) override {
      seen.emplace_back(key, expires_at_ms);
    }
    std::vector<std::pair<std::string, int64_t>> seen;
  } observer;
  keyspace_.ObserveExpiry(&observer);
  Set("asked", "v", kNow + 10);
  Set("unasked", "v", kNow + 20);
  Set("erased", "v", kNow + 10);
  keyspace_.Erase(Find("erased"));
  EXPECT_FALSE(Find("asked", kNow + 11));
  EXPECT_EQ(observer.seen, (std::vector<std::pair<std::string, int64_t>>{{"asked", kNow + 10}}));
  keyspace_.ExpireSome(kNow + 21, 1 << 20);
  ASSERT_EQ(observer.seen.size(), 2u);
  EXPECT_EQ(observer.seen[1], (std::pair<std::string, int64_t>("unasked", kNow + 20)));
  keyspace_.ObserveExpiry(nullptr);
}

TEST_F(KeyspaceTest, GrowsAtMostOneBucketAnInsertion) {
  uint64_t splits = 0;
  for (uint32_t i = 0; i < 50'000; ++i) {
    Set(KeyName(i), "v");
    ASSERT_LE(keyspace_.counters().splits, splits + 1);
    splits = keyspace_.counters().splits;
    ASSERT_LE(keyspace_.size(), keyspace_.buckets() * 7 + 7);
  }
  EXPECT_GT(splits, 4000u);
  keyspace_.CheckInvariants();
  for (uint32_t i = 0; i < 50'000; ++i) ASSERT_TRUE(Find(KeyName(i)));
}

TEST_F(KeyspaceTest, ShrinksInTheBackground) {
  for (uint32_t i = 0; i < 20'000; ++i) Set(KeyName(i), "v");
  const size_t large = keyspace_.table_bytes();
  for (uint32_t i = 100; i < 20'000; ++i) keyspace_.Erase(Find(KeyName(i)));
  EXPECT_EQ(keyspace_.counters().merges, 0u);
  EXPECT_TRUE(keyspace_.Step(10));
  EXPECT_LE(keyspace_.counters().merges, 10u);
  while (keyspace_.Step(100)) {
  }
  keyspace_.CheckInvariants();
  EXPECT_LT(keyspace_.table_bytes(), large / 4);
  for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(Find(KeyName(i)));
}

TEST_F(KeyspaceTest, ClearsAtOnceAndFreesABoundedShareAStep) {
  for (uint32_t i = 0; i < 20'000; ++i) Set(KeyName(i), std::string(100, 'v'));
  const size_t full = keyspace_.memory_bytes();
  keyspace_.Clear();
  EXPECT_EQ(keyspace_.size(), 0u);
  EXPECT_FALSE(Find(KeyName(1)));
  Set(KeyName(1), "new");
  EXPECT_TRUE(keyspace_.Step(10));
  EXPECT_GT(keyspace_.memory_bytes(), full / 2);
  while (keyspace_.Step(100)) {
  }
  EXPECT_LT(keyspace_.memory_bytes(), full / 20);
  EXPECT_EQ(Find(KeyName(1))->value(), "new");
  keyspace_.CheckInvariants();
  // A small table is freed at once: clearing alone never piles up memory.
  for (int i = 0; i < 1000; ++i) {
    Set("a", "1");
    keyspace_.Clear();
  }
  EXPECT_LT(keyspace_.memory_bytes(), full / 20);
}

// Would free a bucket's entries twice, and others never.
TEST_F(KeyspaceTest, IsClearedAgainInTheMiddleOfASegmentThatIsBeingFreed) {
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < 5'000; ++i) Set(KeyName(i), "value");
    keyspace_.Clear();
    EXPECT_TRUE(keyspace_.Step(10));
  }
  while (keyspace_.Step(100)) {
  }
  keyspace_.CheckInvariants();
  EXPECT_EQ(keyspace_.memory_bytes(), keyspace_.table_bytes());
}

// Large values: what they cost to free is counted, or a thousand of a megabyte would go in one
// turn.
TEST(KeyspaceBudgetTest, FreesABoundedShareOfLargeValues) {
  constexpr uint32_t kKeys = 200;
  constexpr size_t kValueBytes = 64 * kKiB;
  constexpr uint32_t kBudget = 16;
  // A bucket, and what is hung on it, may go beyond.
  constexpr size_t kBytesMax = kBudget * Keyspace::kBytesLikeABucket + 14 * kValueBytes;
  for (const bool expire : {false, true}) {
    SCOPED_TRACE(expire);
    Keyspace keyspace(kHashKey, kSmallSegmentBits);
    const std::string value(kValueBytes, 'v');
    for (uint32_t i = 0; i < kKeys; ++i) {
      const std::string name = KeyName(i);
      const HashedKey key = keyspace.WithHash(name);
      keyspace.Assign(keyspace.Find(key, kNow), key, value, expire ? kNow : kNoExpiry);
    }
    if (!expire) keyspace.Clear();
    uint32_t calls = 0;
    for (size_t before = keyspace.memory_bytes(); before >= kValueBytes; ++calls) {
      ASSERT_LT(calls, kKeys);
      if (expire) {
        keyspace.ExpireSome(kNow + 1, kBudget);
      } else {
        keyspace.Step(kBudget);
      }
      ASSERT_LE(before - keyspace.memory_bytes(), kBytesMax);
      before = keyspace.memory_bytes();
    }
    EXPECT_GT(calls, kKeys * kValueBytes / kBytesMax);
  }
}

TEST_F(KeyspaceTest, SpendsLittleOnASmallKey) {
  constexpr size_t kKeys = 200'000;
  for (size_t i = 0; i < kKeys; ++i) {
    std::string key = std::to_string(i);
    key.insert(0, 16 - key.size(), '0');
    Set(key, "12345678");
  }
  // 32 bytes of header, key and value, and the table's share, worst in the middle of its growth.
  EXPECT_LT(keyspace_.memory_bytes() / kKeys, 32 + 26u);
}

// The iteration must not depend on where the allocator puts things.
TEST(KeyspaceOrderTest, DependsOnTheHashKeyAndTheOperationsOnly) {
  const auto order = [](SipHashKey hash_key, size_t ballast_bytes) {
    Keyspace keyspace(hash_key);
    std::vector<std::unique_ptr<char[]>> ballast;
    for (uint64_t i = 0; i < 1000; ++i) {
      const std::string name = KeyName(i);
      const HashedKey key = keyspace.WithHash(name);
      keyspace.Assign(keyspace.Find(key, kNow), key, MakeValue(i), kNoExpiry);
      if (i % 3 == 0) keyspace.Erase(keyspace.Find(key, kNow));
      ballast.push_back(std::make_unique<char[]>(ballast_bytes));
    }
    std::vector<std::string> keys;
    uint64_t cursor = 0;
    do {
      cursor = keyspace.Scan(cursor, [&](const Entry& entry) { keys.emplace_back(entry.key()); });
    } while (cursor != 0);
    return keys;
  };
  EXPECT_EQ(order(kHashKey, 1), order(kHashKey, 200));
  EXPECT_NE(order(kHashKey, 1), order({.low = 5, .high = 6}, 1));
}

// --- properties

// A key that is there during a whole scan is visited, whatever the table does meanwhile.
TEST(KeyspaceScanTest, VisitsEveryKeyThatStays) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    Keyspace keyspace(kHashKey, seed % 2 == 0 ? Keyspace::kSegmentBits : kSmallSegmentBits);
    const auto set = [&](const std::string& name) {
      const HashedKey key = keyspace.WithHash(name);
      keyspace.Assign(keyspace.Find(key, kNow), key, "v", kNoExpiry);
    };
    std::set<std::string> staying;
    for (uint64_t i = 0; i < 300; ++i) set(*staying.insert("stay:" + std::to_string(i)).first);
    // Some scans see only growth, some shrinking, some both.
    const uint64_t others_before = prng.Below(3000);
    for (uint64_t i = 0; i < others_before; ++i) set(KeyName(i));
    const uint64_t inserts = prng.Below(60);
    const uint64_t erases = prng.Below(60);
    uint64_t next_insert = others_before;
    uint64_t next_erase = 0;

    std::set<std::string> visited;
    uint64_t cursor = 0;
    uint64_t calls = 0;
    do {
      cursor = keyspace.Scan(cursor, [&](const Entry& entry) { visited.emplace(entry.key()); });
      for (uint64_t i = prng.Below(inserts + 1); i > 0; --i) set(KeyName(next_insert++));
      for (uint64_t i = prng.Below(erases + 1); i > 0 && next_erase < next_insert; --i) {
        keyspace.Erase(keyspace.Find(keyspace.WithHash(KeyName(next_erase++)), kNow));
      }
      keyspace.Step(static_cast<uint32_t>(prng.Below(40)));
      ASSERT_LT(++calls, 1'000'000u);
    } while (cursor != 0);
    for (const std::string& key : staying) ASSERT_TRUE(visited.contains(key)) << key;
    keyspace.CheckInvariants();
  }
}

TEST(KeyspaceScanTest, VisitsEachKeyOnceWhenNothingChanges) {
  Keyspace keyspace(kHashKey);
  for (uint64_t i = 0; i < 777; ++i) {
    const std::string name = KeyName(i);
    const HashedKey key = keyspace.WithHash(name);
    keyspace.Assign({}, key, "v", kNoExpiry);
    std::multiset<std::string> visited;
    uint64_t cursor = 0;
    do {
      cursor = keyspace.Scan(cursor, [&](const Entry& entry) { visited.emplace(entry.key()); });
    } while (cursor != 0);
    ASSERT_EQ(visited.size(), i + 1);
    ASSERT_EQ(std::set<std::string>(visited.begin(), visited.end()).size(), i + 1);
  }
  // A cursor that no scan returned is harmless.
  keyspace.Scan(0xdeadbeefdeadbeef, [](const Entry&) {});
}

// The naive model: what a map and a clock would say.
class Model {
 public:
  struct Item {
    std::string value;
    int64_t expires_at_ms;
  };

  explicit Model(Keyspace& keyspace) : keyspace_(keyspace) {}

  void Apply(uint64_t operation, uint64_t word, const std::string& name, const std::string& other) {
    const HashedKey key = keyspace_.WithHash(name);
    switch (operation) {
      case 0:
      case 1:
      case 2: {
        const int64_t expires_at_ms = Expiry(word >> 8);
        keyspace_.Assign(Find(key), key, MakeValue(word), expires_at_ms);
        items_[name] = {MakeValue(word), expires_at_ms};
        break;
      }
      case 3:
        if (const Keyspace::Place place = Find(key)) {
          keyspace_.Append(place, MakeValue(word));
          items_[name].value += MakeValue(word);
        }
        break;
      case 4:
        if (const Keyspace::Place place = Find(key)) {
          keyspace_.Erase(place);
          items_.erase(name);
        }
        break;
      case 5:
        if (const Keyspace::Place place = Find(key)) {
          keyspace_.SetExpiry(place, Expiry(word));
          items_[name].expires_at_ms = Expiry(word);
        }
        break;
      case 6:
        now_ms_ += static_cast<int64_t>(word % 20);
        break;
      case 7:
        keyspace_.ExpireSome(now_ms_, static_cast<uint32_t>(word % 8));
        break;
      case 8:
        keyspace_.Step(static_cast<uint32_t>(word % 8));
        break;
      case 9:
        EditValue(key, word);
        break;
      case 10:
        if (name != other) CopyOrRename(key, keyspace_.WithHash(other), word % 2 == 0);
        break;
      case 11: {
        Prng prng(word);
        const Entry* entry = keyspace_.RandomEntry(prng);
        RC_ASSERT((entry == nullptr) == (keyspace_.size() == 0));
        if (entry != nullptr) RC_ASSERT(items_.contains(std::string(entry->key())));
        break;
      }
      default:
        if (word % 64 == 0) {
          keyspace_.Clear();
          items_.clear();
        }
    }
  }

  void EditValue(HashedKey key, uint64_t word) {
    const Keyspace::Place place = Find(key);
    if (!place) return;
    std::string& value = items_[std::string(key.bytes)].value;
    const size_t bytes_min = MakeValue(word).size() + 1;
    const std::span<char> bytes = keyspace_.Edit(place, bytes_min);
    if (value.size() < bytes_min) value.resize(bytes_min);
    RC_ASSERT(bytes.size() == value.size());
    bytes[bytes_min - 1] = value[bytes_min - 1] = 'e';
    RC_ASSERT(place->encoding() == Encoding::kRaw);
  }

  void CopyOrRename(HashedKey from, HashedKey to, bool copy) {
    if (!Find(from)) return;
    const Item item = items_[std::string(from.bytes)];
    if (copy) {
      const Keyspace::Place to_place = Find(to);
      keyspace_.Copy(Find(from), to_place, to);
    } else {
      keyspace_.Rename(from, to, now_ms_);
      items_.erase(std::string(from.bytes));
    }
    items_[std::string(to.bytes)] = item;
  }

  // Finds `key` in the keyspace and checks what is found.
  Keyspace::Place Find(HashedKey key) {
    const Keyspace::Place place = keyspace_.Find(key, now_ms_);
    const auto item = items_.find(std::string(key.bytes));
    const bool lives = item != items_.end() && !Expired(item->second);
    if (!lives && item != items_.end()) items_.erase(item);
    RC_ASSERT(static_cast<bool>(place) == lives);
    if (lives) {
      RC_ASSERT(place->value() == item->second.value);
      RC_ASSERT(place->expires_at_ms() == item->second.expires_at_ms);
    }
    return place;
  }

  void CheckAll() {
    keyspace_.CheckInvariants();
    // Each call gets on by a bucket at least, whatever freeing large values costs.
    for (size_t i = keyspace_.buckets(); i > 0; --i) keyspace_.ExpireSome(now_ms_, 1);
    std::erase_if(items_, [&](const auto& item) { return Expired(item.second); });
    RC_ASSERT(keyspace_.size() == items_.size());
    const std::map<std::string, Item> items = items_;
    for (const auto& [name, item] : items) Find(keyspace_.WithHash(name));
  }

 private:
  bool Expired(const Item& item) const {
    return item.expires_at_ms != kNoExpiry && now_ms_ > item.expires_at_ms;
  }
  int64_t Expiry(uint64_t word) const {
    return word % 2 == 0 ? kNoExpiry : now_ms_ + static_cast<int64_t>(word / 2 % 40);
  }

  Keyspace& keyspace_;
  std::map<std::string, Item> items_;
  int64_t now_ms_ = kNow;
};

RC_GTEST_PROP(KeyspaceProperty, BehavesAsAMap, ()) {
  Keyspace keyspace(kHashKey, *rc::gen::element(Keyspace::kSegmentBits, kSmallSegmentBits));
  Model model(keyspace);
  const uint64_t names = *rc::gen::element<uint64_t>(5, 200);
  Prng prng(*rc::gen::arbitrary<uint64_t>());
  const int operations = *rc::gen::inRange(0, 1500);
  for (int i = 0; i < operations; ++i) {
    const uint64_t operation = prng.Below(13);
    const uint64_t word = prng.Next();
    const std::string name = KeyName(prng.Below(names));
    model.Apply(operation, word, name, KeyName(prng.Below(names)));
  }
  model.CheckAll();
}

}  // namespace
}  // namespace orrery::server
