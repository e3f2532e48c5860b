// What would break: who watches a key is not told of a change, or is told of another's.
#include "server/watch_table.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <set>
#include <string>

#include "base/prng.h"
#include "base/siphash.h"
#include "server/keyspace.h"

namespace orrery::server {
namespace {

// A set of the model: the keys, and whether one has changed.
struct NaiveSet {
  std::set<std::string> keys;
  bool changed = false;
};

// Random watches, writes and ends against a list of what everybody watches.
TEST(WatchTable, TellsWhoWatchesWhatIsWritten) {
  constexpr int64_t kNow = 1'000'000;
  uint64_t changes_seen = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Keyspace keyspace(SipHashKey{.low = 1, .high = seed});
    WatchTable table(keyspace);
    std::array<WatchSet, 5> sets;
    std::array<NaiveSet, 5> naive;
    Prng prng(seed);
    const auto change = [&naive](const std::string& key) {
      for (NaiveSet& set : naive) set.changed = set.changed || set.keys.contains(key);
    };
    for (int step = 0; step < 300; ++step) {
      const uint64_t which = prng.Below(sets.size());
      const std::string key = "k" + std::to_string(prng.Below(8));
      const HashedKey hashed = keyspace.WithHash(key);
      const uint64_t what = prng.Below(16);
      if (what < 5) {
        table.Watch(sets[which], hashed, kNow);
        naive[which].keys.insert(key);
      } else if (what < 8) {
        sets[which].Clear();
        naive[which] = {};
      } else if (what < 11) {
        keyspace.Assign(keyspace.Find(hashed, kNow), hashed, "value", kNoExpiry);
        change(key);
      } else if (what < 15) {
        const Keyspace::Place place = keyspace.Find(hashed, kNow);
        if (!place) continue;
        keyspace.Erase(place);
        change(key);
      } else {
        for (const NaiveSet& set : naive) {
          for (const std::string& watched : set.keys) {
            if (keyspace.Holds(keyspace.WithHash(watched))) change(watched);
          }
        }
        keyspace.Clear();
      }
      bool nobody = true;
      for (size_t index = 0; index < sets.size(); ++index) {
        ASSERT_EQ(sets[index].changed(), naive[index].changed) << "seed " << seed;
        ASSERT_EQ(sets[index].empty(), naive[index].keys.empty());
        nobody = nobody && naive[index].keys.empty();
        changes_seen += naive[index].changed ? 1 : 0;
      }
      ASSERT_EQ(table.empty(), nobody);
    }
    for (WatchSet& set : sets) set.Clear();
  }
  EXPECT_GT(changes_seen, 1000u);
}

}  // namespace
}  // namespace orrery::server
