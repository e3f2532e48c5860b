#include "tests/scenarios/registry.h"

#include <array>

#include "tests/scenarios/server_scenario.h"

namespace orrery::scenarios {

std::span<const Scenario* const> AllScenarios() {
  static const ServerScenario server;
  static constexpr std::array<const Scenario*, 1> kScenarios = {&server};
  return kScenarios;
}

const Scenario* FindScenario(std::string_view name) {
  for (const Scenario* scenario : AllScenarios()) {
    if (scenario->name() == name) return scenario;
  }
  return nullptr;
}

}  // namespace orrery::scenarios
