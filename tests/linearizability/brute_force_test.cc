// What would break: the checker would leave out an order that explains a history, or take one that
// does not. Tiny histories, drawn, right and wrong; all their orders are tried one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "tests/linearizability/checker.h"
#include "tests/linearizability/footprint.h"
#include "tests/linearizability/history.h"
#include "tests/linearizability/store.h"
#include "tests/scenarios/sequential_model.h"

namespace orrery::linearizability {
namespace {

constexpr size_t kOperationsMax = 6;
constexpr uint64_t kClients = 3;

Arguments DrawCommand(Prng& prng) {
  const auto key = [&prng] { return std::string(1, static_cast<char>('a' + prng.Below(2))); };
  const auto value = [&prng] { return std::to_string(prng.Below(2)); };
  Arguments command;
  switch (prng.Below(7)) {
    case 0:
      command = {"SET", key()};
      command.push_back(value());
      return command;
    case 1:
      return {"GET", key()};
    case 2:
      return {"INCR", key()};
    case 3:
      return {"DEL", key()};
    case 4:
      command = {"SETNX", key()};
      command.push_back(value());
      return command;
    case 5:
      return {"MGET", "a", "b"};
    default:
      command = {"MSET", "a", value(), "b"};
      command.push_back(value());
      return command;
  }
}

// Operations that happen, one after the other, at some time between their calls and their returns;
// half of the time with a reply that belongs to another one.
History DrawHistory(Prng& prng) {
  struct Active {
    size_t index = 0;
    Arguments command;
    bool happened = false;
    std::string reply = {};
  };
  History history;
  scenarios::SequentialModel model;
  scenarios::SequentialModel::Connection connection;
  std::vector<Active> active;
  size_t left = prng.Between(2, kOperationsMax);
  const bool wrong = prng.Chance(1, 2);
  std::string last_reply = "+OK\r\n";
  while (left > 0 || !active.empty()) {
    if (left > 0 && (active.empty() || prng.Chance(1, 2))) {
      --left;
      Operation operation;
      operation.client = prng.Below(kClients);
      operation.commands = {DrawCommand(prng)};
      const Arguments command = operation.commands[0];
      operation.flows = FootprintOf(command).keys.size() == 1;
      active.push_back({.index = history.Call(operation), .command = command});
      continue;
    }
    const size_t pick = prng.Below(active.size());
    Active& chosen = active[pick];
    if (!chosen.happened) {
      chosen.happened = true;
      chosen.reply = model.Execute(connection, chosen.command, {}).bytes;
      continue;
    }
    const bool swapped = wrong && prng.Chance(1, 2);
    const bool answered = !prng.Chance(1, 6);
    if (answered) history.Return(chosen.index, {swapped ? last_reply : chosen.reply});
    last_reply = chosen.reply;
    active.erase(active.begin() + static_cast<ptrdiff_t>(pick));
  }
  return history;
}

// Whether `earlier` must come before `later`, by the definition.
bool Precedes(const Operation& earlier, const Operation& later) {
  if (earlier.returned < later.called) return true;
  if (earlier.client != later.client || earlier.called > later.called) return false;
  const Footprint one = FootprintOf(earlier);
  const Footprint other = FootprintOf(later);
  return !earlier.flows || !later.flows || one.keys[0] == other.keys[0];
}

bool Explains(const std::vector<Operation>& operations, const std::vector<size_t>& order) {
  for (size_t at = 0; at < order.size(); ++at) {
    for (size_t later = at + 1; later < order.size(); ++later) {
      if (Precedes(operations[order[later]], operations[order[at]])) return false;
    }
  }
  // What was left out must not have come before what was not.
  for (size_t index = 0; index < operations.size(); ++index) {
    if (std::find(order.begin(), order.end(), index) != order.end()) continue;
    for (const size_t other : order) {
      if (Precedes(operations[index], operations[other])) return false;
    }
  }
  Store store(operations);
  return std::all_of(order.begin(), order.end(),
                     [&store](size_t index) { return store.Apply(index); });
}

bool SomeOrderExplains(const std::vector<Operation>& operations) {
  const size_t subsets = size_t{1} << operations.size();
  for (size_t subset = 0; subset < subsets; ++subset) {
    std::vector<size_t> order;
    bool all_answered = true;
    for (size_t index = 0; index < operations.size(); ++index) {
      if ((subset >> index & 1) != 0) {
        order.push_back(index);
      } else {
        all_answered &= !operations[index].answered();
      }
    }
    if (!all_answered) continue;
    do {
      if (Explains(operations, order)) return true;
    } while (std::next_permutation(order.begin(), order.end()));
  }
  return false;
}

TEST(BruteForce, AgreesWithTheCheckerOnTinyHistories) {
  constexpr uint64_t kHistories = 4000;
  uint64_t right = 0;
  for (uint64_t seed = 0; seed < kHistories; ++seed) {
    Prng prng(seed);
    const History history = DrawHistory(prng);
    const Verdict verdict = Check(history.operations(), {});
    const bool explained = SomeOrderExplains(history.operations());
    ASSERT_EQ(verdict.undecided, 0u) << seed;
    ASSERT_EQ(verdict.violated(), !explained) << seed << "\n" << verdict.violation;
    right += explained ? 1 : 0;
  }
  EXPECT_GT(right, kHistories / 4);
  EXPECT_LT(right, kHistories - kHistories / 8);
}

}  // namespace
}  // namespace orrery::linearizability
