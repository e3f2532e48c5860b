// Draws what a run of the scenario "values" is: a server that values of one byte to 8 MiB go in and
// out of, in each of the ways that it has for them, and clients that do little else.
//
// No state: a function of the seed.
#pragma once

#include <cstdint>
#include <string_view>

#include "sim/plan.h"

namespace orrery::scenarios {

sim::Plan DrawValuesPlan(std::string_view scenario, uint64_t seed);

}  // namespace orrery::scenarios
