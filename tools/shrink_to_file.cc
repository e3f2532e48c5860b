#include "tools/shrink_to_file.h"

#include <chrono>

#include "tools/from_caller.h"

namespace orrery::tools {

std::expected<ShrunkFile, std::string> ShrinkToFile(scenarios::IsolatedRunner& runner,
                                                    const scenarios::Scenario& scenario,
                                                    const sim::Plan& plan,
                                                    const ShrinkToFileOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [start] { return std::chrono::steady_clock::now() - start; };
  const sim::ShrinkLimits limits{.runs_max = options.runs_max, .out_of_time = [&] {
                                   return elapsed() > std::chrono::seconds(options.seconds_max);
                                 }};
  const auto result = ShrinkIsolated(runner, scenario, plan, limits);
  if (!result) return std::unexpected(result.error());
  const auto written = WritePlanFile(FromCaller(options.path), result->plan);
  if (!written) return std::unexpected(written.error());
  return ShrunkFile{.first_lines = LinesOf(plan),
                    .lines = LinesOf(result->plan),
                    .runs = result->runs,
                    .seconds = std::chrono::duration<double>(elapsed()).count(),
                    .end = result->end};
}

}  // namespace orrery::tools
