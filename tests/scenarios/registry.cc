#include "tests/scenarios/registry.h"

#include <array>

#include "tests/scenarios/device_scenario.h"
#include "tests/scenarios/loop_scenario.h"
#include "tests/scenarios/server_scenario.h"
#include "tests/scenarios/shards_scenario.h"

namespace orrery::scenarios {

std::span<const Scenario* const> AllScenarios() {
  static const ServerScenario server;
  static const LoopScenario loop;
  static const DeviceScenario device;
  static const ShardsScenario shards;
  static const ValuesScenario values;
  static constexpr std::array<const Scenario*, 5> kScenarios = {&server, &loop, &device, &shards,
                                                                &values};
  return kScenarios;
}

const Scenario* FindScenario(std::string_view name) {
  for (const Scenario* scenario : AllScenarios()) {
    if (scenario->name() == name) return scenario;
  }
  return nullptr;
}

}  // namespace orrery::scenarios
