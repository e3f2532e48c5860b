// Which keys a command names, and whether it may change them: what decides which operations can be
// told apart.
//
// Written apart from the server's command table. No state.
#pragma once

#include <string_view>
#include <vector>

#include "tests/linearizability/history.h"

namespace orrery::linearizability {

struct Footprint {
  std::vector<std::string_view> keys;  // As often as they are named; they point into the arguments.
  bool all_keys = false;               // The whole keyspace, whatever is named.
  bool writes = false;
};

// A command that is not known here names no key; the sequential model then says what it answers.
Footprint FootprintOf(const Arguments& arguments);
// Of all commands of the operation together.
Footprint FootprintOf(const Operation& operation);

}  // namespace orrery::linearizability
