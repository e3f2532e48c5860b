// Reading the items of a workload: whole numbers, times, and names from a table.
//
// The first problem is kept, and what could not be read is 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"
#include "sim/plan.h"

namespace orrery::scenarios {

// `names`: pairs of a kind and its name.
template <typename Names, typename Kind>
std::string_view NameIn(const Names& names, Kind kind) {
  for (const auto& [named, name] : names) {
    if (named == kind) return name;
  }
  return "?";
}
template <typename Names, typename Kind>
bool FindKind(const Names& names, std::string_view wanted, Kind& kind) {
  for (const auto& [named, name] : names) {
    if (name != wanted) continue;
    kind = named;
    return true;
  }
  return false;
}

class ItemReader {
 public:
  explicit ItemReader(const sim::Json& item) : item_(item) {}

  bool has(std::string_view name) const { return item_.find(name) != item_.end(); }

  // A whole number up to `high`; 0 when it is not there.
  uint64_t Number(std::string_view name, uint64_t high) {
    const auto found = item_.find(name);
    if (found == item_.end()) return 0;
    if (!found->is_number_unsigned() || found->template get<uint64_t>() > high) {
      problem =
          "\"" + std::string(name) + "\" must be a whole number up to " + std::to_string(high);
      return 0;
    }
    return found->template get<uint64_t>();
  }
  Nanoseconds Time(std::string_view name) {
    constexpr uint64_t kTimeMax = 1'000'000'000'000;
    return static_cast<Nanoseconds>(Number(name, kTimeMax));
  }
  std::string Text(std::string_view name) {
    const auto found = item_.find(name);
    if (found != item_.end() && found->is_string()) return found->template get<std::string>();
    problem = "\"" + std::string(name) + "\" must be a string";
    return "";
  }

  std::string problem;

 private:
  const sim::Json& item_;
};

}  // namespace orrery::scenarios
