// The keys as one order of operations makes them: what each operation would have been answered at
// this place, and which watched keys have changed since.
//
// On //tests/scenarios:sequential_model. Copied by the search wherever it tries more than one way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/linearizability/history.h"
#include "tests/scenarios/sequential_model.h"

namespace orrery::linearizability {

class Store {
 public:
  // `operations` must outlive the store and its copies.
  explicit Store(const std::vector<Operation>& operations) : operations_(&operations) {}

  // Carries out the operation of this index. False: its replies are not those that it would have
  // had; the store is then of no use any more, unless the operation writes nothing. Nobody knows of
  // a transaction that was not answered whether it was aborted: `aborted` says what to assume.
  [[nodiscard]] bool Apply(size_t index, bool aborted = false);

  // Equal for equal stores; for different ones, different in all but 1 of 2^64 cases.
  uint64_t Fingerprint() const;
  // The keys and their values, for people.
  std::string Describe() const;

 private:
  // What has become of the keys of a WATCH. A write that leaves a key as it was may abort the
  // transaction or not: Redis is not of one mind there.
  enum class Watched : uint8_t { kUntouched, kWritten, kChanged };

  bool ApplyTransaction(const Operation& operation, bool aborted);
  bool Execute(const Operation& operation);
  Watched WorstOf(const std::vector<size_t>& watches) const;
  // Whether a key that it watches has expired.
  bool HasExpired(const Operation& transaction) const;

  const std::vector<Operation>* operations_;
  scenarios::SequentialModel model_;
  std::map<size_t, Watched> watched_;  // By the index of the WATCH.
};

}  // namespace orrery::linearizability
