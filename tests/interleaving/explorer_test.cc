// An explorer that leaves interleavings out finds nothing and says that all is well. So: what is
// possible on a processor with store buffers is found, and nothing else.
#include "tests/interleaving/explorer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace orrery::interleaving {
namespace {

constexpr uint64_t kRunsMax = 100'000;

struct Cells {
  TracedAtomic<int> x;
  TracedAtomic<int> y;
  int first = -1;
  int second = -1;
};

// What (first, second) can be when the threads are done.
std::set<std::pair<int, int>> OutcomesOf(std::function<void(Cells&)> left,
                                         std::function<void(Cells&)> right) {
  std::unique_ptr<Cells> cells;
  std::set<std::pair<int, int>> outcomes;
  Explorer::Case described;
  described.prepare = [&] { cells = std::make_unique<Cells>(); };
  described.threads = {[&] { left(*cells); }, [&] { right(*cells); }};
  described.verdict = [&] {
    outcomes.insert({cells->first, cells->second});
    return std::string();
  };
  EXPECT_TRUE(Explorer::Run(described, kRunsMax).complete);
  return outcomes;
}

using Outcomes = std::set<std::pair<int, int>>;

TEST(Explorer, StoreBuffersLetBothThreadsReadTheOldValues) {
  const auto outcomes_with = [](std::memory_order order) {
    return OutcomesOf(
        [order](Cells& cells) {
          cells.x.store(1, order);
          cells.first = cells.y.load();
        },
        [order](Cells& cells) {
          cells.y.store(1, order);
          cells.second = cells.x.load();
        });
  };
  EXPECT_EQ(outcomes_with(std::memory_order_release), (Outcomes{{0, 0}, {0, 1}, {1, 0}, {1, 1}}));
  EXPECT_EQ(outcomes_with(std::memory_order_seq_cst), (Outcomes{{0, 1}, {1, 0}, {1, 1}}));
}

TEST(Explorer, StoresBecomeVisibleInTheirOrder) {
  const Outcomes outcomes = OutcomesOf(
      [](Cells& cells) {
        cells.x.store(1, std::memory_order_release);
        cells.y.store(1, std::memory_order_release);
      },
      [](Cells& cells) {
        cells.first = cells.y.load();
        cells.second = cells.x.load();
      });
  EXPECT_EQ(outcomes, (Outcomes{{0, 0}, {0, 1}, {1, 1}}));
}

TEST(Explorer, AThreadReadsItsOwnStoresAtOnce) {
  const Outcomes outcomes = OutcomesOf(
      [](Cells& cells) {
        cells.x.store(1, std::memory_order_release);
        cells.first = cells.x.load();
      },
      [](Cells& cells) { cells.second = cells.x.load(); });
  EXPECT_EQ(outcomes, (Outcomes{{1, 0}, {1, 1}}));
}

TEST(Explorer, ChangesAreOneAndLoadWithStoreAreTwo) {
  const auto sums = [](auto add) {
    std::set<int> values;
    for (const auto& [first, second] : OutcomesOf(
             [add](Cells& cells) {
               add(cells.x);
               cells.first = cells.x.visible();
             },
             [add](Cells& cells) {
               add(cells.x);
               cells.second = cells.x.visible();
             })) {
      values.insert(std::max(first, second));
    }
    return values;
  };
  EXPECT_EQ(sums([](TracedAtomic<int>& x) { x.fetch_add(1); }), (std::set<int>{2}));
  EXPECT_EQ(sums([](TracedAtomic<int>& x) { x.store(x.load() + 1); }), (std::set<int>{1, 2}));
}

TEST(Explorer, AWaitThatNobodyEndsIsADeadlock) {
  Explorer::Case described;
  bool rung = false;
  described.prepare = [] {};
  described.threads = {[&] { Explorer::BlockUntil(&rung, [&] { return rung; }); }};
  described.verdict = [] { return std::string(); };
  EXPECT_EQ(Explorer::Run(described, kRunsMax).problem, "deadlock");
}

TEST(Explorer, SaysWhenItWasNotAll) {
  std::unique_ptr<TracedAtomic<int>> x;
  Explorer::Case described;
  described.prepare = [&] { x = std::make_unique<TracedAtomic<int>>(); };
  described.threads = {[&] { x->fetch_add(1); }, [&] { x->fetch_add(1); }};
  described.verdict = [] { return std::string(); };
  EXPECT_FALSE(Explorer::Run(described, 1).complete);
  const Explorer::Result all = Explorer::Run(described, 2);
  EXPECT_TRUE(all.complete);
  EXPECT_EQ(all.runs, 2U);
}

}  // namespace
}  // namespace orrery::interleaving
