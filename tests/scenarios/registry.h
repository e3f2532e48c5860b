// All scenarios, by name: what //tools:replay and the tests of seeds choose from.
#pragma once

#include <span>
#include <string_view>

#include "tests/scenarios/scenario.h"

namespace orrery::scenarios {

// In the order in which they are listed.
std::span<const Scenario* const> AllScenarios();
// Null when no scenario has this name.
const Scenario* FindScenario(std::string_view name);

}  // namespace orrery::scenarios
