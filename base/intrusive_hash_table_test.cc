// What would break: an element is lost or found twice while the table grows or shrinks, or one
// insertion stops to move all the others.
#include "base/intrusive_hash_table.h"

#include <map>
#include <memory>

#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"

namespace orrery {
namespace {

struct Item {
  explicit Item(uint64_t its_key) : key(its_key) {}
  uint64_t key;
  HashLink link;
};
using Table = IntrusiveHashTable<Item, &Item::link>;

Item* Find(const Table& table, uint64_t key, uint64_t hash) {
  return table.Find(hash, [key](const Item& item) { return item.key == key; });
}

TEST(IntrusiveHashTable, GrowsByOneBucketAtATimeAndShrinksAgain) {
  constexpr uint64_t kItems = 10'000;
  Table table;
  const size_t smallest = table.buckets();
  std::vector<std::unique_ptr<Item>> items;
  for (uint64_t key = 0; key < kItems; ++key) {
    const size_t before = table.buckets();
    items.push_back(std::make_unique<Item>(key));
    table.Insert(*items.back(), key * 0x9e3779b97f4a7c15);
    EXPECT_LE(table.buckets() - before, 1u);
  }
  EXPECT_EQ(table.buckets(), kItems);
  for (uint64_t key = 0; key < kItems; ++key) {
    EXPECT_EQ(Find(table, key, key * 0x9e3779b97f4a7c15), items[key].get());
  }
  for (const auto& item : items) table.Remove(*item);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.buckets(), smallest);
}

RC_GTEST_PROP(IntrusiveHashTableProperty, FindsWhatAMapFinds, ()) {
  // Few hashes, so that different keys meet on them.
  const uint64_t hash_bits = *rc::gen::element<uint64_t>(0, 1, 3, 0xff, ~uint64_t{0});
  const auto hash_of = [hash_bits](uint64_t key) { return key * 0x9e3779b97f4a7c15 & hash_bits; };
  Table table;
  std::map<uint64_t, Item> model;
  for (const uint64_t key :
       *rc::gen::container<std::vector<uint64_t>>(rc::gen::inRange<uint64_t>(0, 100))) {
    const auto found = model.find(key);
    if (found != model.end()) {
      RC_ASSERT(Find(table, key, hash_of(key)) == &found->second);
      table.Remove(found->second);
      model.erase(found);
      RC_ASSERT(Find(table, key, hash_of(key)) == nullptr);
    } else {
      RC_ASSERT(Find(table, key, hash_of(key)) == nullptr);
      table.Insert(model.emplace(key, key).first->second, hash_of(key));
    }
    RC_ASSERT(table.size() == model.size());
  }
  for (auto& [key, item] : model) RC_ASSERT(Find(table, key, hash_of(key)) == &item);
}

}  // namespace
}  // namespace orrery
