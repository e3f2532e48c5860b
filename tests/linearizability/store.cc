#include "tests/linearizability/store.h"

#include <algorithm>
#include <string_view>

#include "base/prng.h"
#include "tests/linearizability/footprint.h"

namespace orrery::linearizability {
namespace {

bool Names(const Footprint& footprint, std::string_view key) {
  return footprint.all_keys ||
         std::find(footprint.keys.begin(), footprint.keys.end(), key) != footprint.keys.end();
}

}  // namespace

bool Store::Apply(size_t index, bool aborted) {
  const Operation& operation = (*operations_)[index];
  switch (operation.kind) {
    case Operation::Kind::kWatch:
      if (operation.guards) watched_[index] = Watched::kUntouched;
      return true;
    case Operation::Kind::kTransaction:
      return ApplyTransaction(operation, operation.answered() ? operation.aborted : aborted);
    case Operation::Kind::kCommand:
      return Execute(operation);
  }
  return false;
}

bool Store::ApplyTransaction(const Operation& operation, bool aborted) {
  Watched watched = WorstOf(operation.watches);
  // Where keys expire is up to the clocks of several shards, which do not read them at once.
  if (watched == Watched::kUntouched && HasExpired(operation)) watched = Watched::kWritten;
  for (const size_t watch : operation.watches) watched_.erase(watch);
  if (aborted) return watched != Watched::kUntouched;
  return watched != Watched::kChanged && Execute(operation);
}

bool Store::Execute(const Operation& operation) {
  const Footprint footprint = FootprintOf(operation);
  // One that has expired is not there, whether somebody has taken it away or not.
  const auto fingerprint_of = [&](std::string_view key) {
    const std::string name(key);
    return model_.HasExpired(name, operation.clock_ms) ? 0 : model_.FingerprintOf(name);
  };
  // What watched keys were, as far as they may be something else now.
  std::map<std::string_view, uint64_t> before;
  if (footprint.writes) {
    for (const auto& [watch, state] : watched_) {
      for (const std::string_view key : FootprintOf((*operations_)[watch]).keys) {
        if (Names(footprint, key)) before[key] = fingerprint_of(key);
      }
    }
  }
  scenarios::SequentialModel::Connection connection;
  connection.protocol = operation.protocol;
  for (size_t at = 0; at < operation.commands.size(); ++at) {
    const scenarios::Expectation expected =
        model_.Execute(connection, operation.commands[at], {.wall_ms = operation.clock_ms});
    if (operation.answered() && !expected.Matches(operation.replies[at])) return false;
  }
  if (before.empty()) return true;
  for (auto& [watch, state] : watched_) {
    for (const std::string_view key : FootprintOf((*operations_)[watch]).keys) {
      const auto found = before.find(key);
      if (found == before.end()) continue;
      const bool changed = fingerprint_of(key) != found->second;
      state = std::max(state, changed ? Watched::kChanged : Watched::kWritten);
    }
  }
  return true;
}

Store::Watched Store::WorstOf(const std::vector<size_t>& watches) const {
  Watched worst = Watched::kUntouched;
  for (const size_t watch : watches) worst = std::max(worst, watched_.at(watch));
  return worst;
}

bool Store::HasExpired(const Operation& transaction) const {
  for (const size_t watch : transaction.watches) {
    for (const std::string_view key : FootprintOf((*operations_)[watch]).keys) {
      if (model_.HasExpired(std::string(key), transaction.clock_ms)) return true;
    }
  }
  return false;
}

uint64_t Store::Fingerprint() const {
  uint64_t fingerprint = model_.Fingerprint();
  for (const auto& [watch, state] : watched_) {
    fingerprint = Combine(Combine(fingerprint, watch), static_cast<uint64_t>(state));
  }
  return fingerprint;
}

std::string Store::Describe() const { return model_.Describe(); }

}  // namespace orrery::linearizability
