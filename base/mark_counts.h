// What the coverage marks of base/mark.h have counted: for the simulation and tests only, never for
// what the server is built from (its target is visible to them alone).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace orrery {

struct MarkCount {
  std::string_view name;
  uint64_t hits = 0;  // Since the process started.
};

// All marks of the program by name. Empty in a build without marks (--config=bench).
std::vector<MarkCount> MarkCounts();

}  // namespace orrery
