// What would break: two transactions have one key at a time, one that came later goes first, or one
// that nobody holds up waits for ever.
#include "server/lock_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <vector>

#include "base/prng.h"
#include "server/errand.h"

namespace orrery::server {
namespace {

// The table does not look at it.
Errand& AnErrand() {
  static Errand* errand = new Errand(ErrandKind::kCommand, 0);
  return *errand;
}

std::unique_ptr<LockRequest> Of(std::initializer_list<uint64_t> keys) {
  auto request = std::make_unique<LockRequest>(AnErrand());
  for (const uint64_t key : keys) request->AddKey(key);
  return request;
}

std::unique_ptr<LockRequest> OfAll() {
  auto request = std::make_unique<LockRequest>(AnErrand());
  request->AddWholeShard();
  return request;
}

TEST(LockTable, GrantsInTheOrderOfComing) {
  LockTable table;
  EXPECT_TRUE(table.empty());
  const auto first = Of({1, 2, 1});
  const auto second = Of({2, 3});
  const auto third = Of({3});
  const auto apart = Of({4});
  EXPECT_TRUE(table.Acquire(*first));
  EXPECT_FALSE(table.Acquire(*second));
  EXPECT_FALSE(table.Acquire(*third));  // Not past the second, although nobody has 3.
  EXPECT_TRUE(table.Acquire(*apart));
  EXPECT_TRUE(table.IsLocked(3));
  EXPECT_FALSE(table.IsLocked(5));
  table.Release(*first);
  EXPECT_EQ(table.NextGranted(), second.get());
  EXPECT_EQ(table.NextGranted(), nullptr);
  table.Release(*second);
  EXPECT_EQ(table.NextGranted(), third.get());
  table.Release(*third);
  table.Release(*apart);
  EXPECT_EQ(table.NextGranted(), nullptr);
  EXPECT_TRUE(table.empty());
}

TEST(LockTable, ARequestForAllIsAWall) {
  LockTable table;
  const auto before = Of({1});
  const auto all = OfAll();
  const auto behind = Of({2});
  const auto all_again = OfAll();
  const auto last = Of({3});
  EXPECT_TRUE(table.Acquire(*before));
  EXPECT_FALSE(table.Acquire(*all));
  EXPECT_FALSE(table.Acquire(*behind));
  EXPECT_FALSE(table.Acquire(*all_again));
  EXPECT_FALSE(table.Acquire(*last));
  EXPECT_TRUE(table.IsLocked(99));
  for (LockRequest* held : {before.get(), all.get(), behind.get(), all_again.get()}) {
    table.Release(*held);
    LockRequest* next = table.NextGranted();
    ASSERT_NE(next, nullptr);
    EXPECT_TRUE(next->granted());
    EXPECT_EQ(table.NextGranted(), nullptr);
  }
  table.Release(*last);
}

TEST(LockTable, ARequestOfNothingIsGranted) {
  LockTable table;
  const auto nothing = Of({});
  EXPECT_TRUE(table.Acquire(*nothing));
  EXPECT_FALSE(table.empty());
  table.Release(*nothing);
}

// A request as the definition has it: granted when no earlier one shares a key with it.
struct NaiveRequest {
  LockRequest* request = nullptr;
  bool whole = false;
  std::set<uint64_t> keys;

  bool Conflicts(const NaiveRequest& other) const {
    if (whole || other.whole) return true;
    return std::ranges::any_of(keys, [&](uint64_t key) { return other.keys.contains(key); });
  }
};

// Random requests, on keys of which many share a bucket and some a queue, against the definition.
TEST(LockTable, GrantsWhatTheDefinitionGrants) {
  uint64_t waits = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Prng prng(seed);
    const uint64_t key_count = prng.Between(1, 12);
    const uint64_t whole_odds = prng.Between(3, 40);
    LockTable table;
    std::vector<std::unique_ptr<LockRequest>> idle;
    for (int index = 0; index < 12; ++index)
      idle.push_back(std::make_unique<LockRequest>(AnErrand()));
    std::list<NaiveRequest> active;  // In the order of coming.
    std::set<LockRequest*> granted;
    const auto expected = [&] {
      std::set<LockRequest*> free;
      for (auto one = active.begin(); one != active.end(); ++one) {
        if (std::none_of(active.begin(), one,
                         [&](const NaiveRequest& earlier) { return earlier.Conflicts(*one); })) {
          free.insert(one->request);
        }
      }
      return free;
    };
    for (int step = 0; step < 300; ++step) {
      if (!idle.empty() && prng.Chance(1, 2)) {
        LockRequest& request = *idle.back().release();
        idle.pop_back();
        request.Clear();
        NaiveRequest& naive = active.emplace_back();
        naive.request = &request;
        naive.whole = prng.Chance(1, whole_odds);
        if (naive.whole) request.AddWholeShard();
        for (uint64_t keys = prng.Below(5); keys > 0; --keys) {
          // Of one bucket, all of them.
          const uint64_t key = 7 + 1024 * prng.Below(key_count);
          if (!naive.whole) naive.keys.insert(key);
          request.AddKey(key);
        }
        if (table.Acquire(request)) {
          granted.insert(&request);
        } else {
          ++waits;
        }
      } else if (!granted.empty()) {
        const auto victim =
            std::next(granted.begin(), static_cast<ptrdiff_t>(prng.Below(granted.size())));
        LockRequest* request = *victim;
        granted.erase(victim);
        active.remove_if([&](const NaiveRequest& one) { return one.request == request; });
        table.Release(*request);
        idle.emplace_back(request);
        while (LockRequest* next = table.NextGranted()) granted.insert(next);
      }
      ASSERT_EQ(granted, expected()) << "seed " << seed << ", step " << step;
      ASSERT_EQ(table.size(), active.size());
      for (uint64_t index = 0; index < key_count; ++index) {
        const uint64_t key = 7 + 1024 * index;
        const bool taken = std::ranges::any_of(
            active, [&](const NaiveRequest& one) { return one.whole || one.keys.contains(key); });
        ASSERT_EQ(table.IsLocked(key), taken);
      }
    }
    // What is granted ends; then nobody waits.
    while (!granted.empty()) {
      LockRequest* request = *granted.begin();
      granted.erase(granted.begin());
      table.Release(*request);
      idle.emplace_back(request);
      while (LockRequest* next = table.NextGranted()) granted.insert(next);
    }
    ASSERT_TRUE(table.empty()) << "seed " << seed;
  }
  EXPECT_GT(waits, 1000u);
}

}  // namespace
}  // namespace orrery::server
