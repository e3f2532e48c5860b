#include "tests/scenarios/hunt.h"

#include <utility>

#include "base/check.h"

namespace orrery::scenarios {

HuntResult Hunt(IsolatedRunner& runner, const HuntOptions& options) {
  HuntResult hunt;
  while (hunt.seeds < options.seeds_max) {
    const uint64_t seed = options.first_seed + hunt.seeds++;
    for (const Scenario* scenario : options.scenarios) {
      if (hunt.processor_time >= options.processor_time_max) {
        hunt.out_of_time = true;
        return hunt;
      }
      auto result = runner.RunSeed(*scenario, seed);
      ORRERY_CHECK_MSG(result.has_value(), "a scenario cannot run what it has drawn");
      hunt.processor_time += result->processor_time;
      if (result->signature.empty()) continue;
      hunt.scenario = scenario;
      hunt.seed = seed;
      hunt.failure = *std::move(result);
      return hunt;
    }
  }
  return hunt;
}

}  // namespace orrery::scenarios
