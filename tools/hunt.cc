// hunt: looks for the first seed that fails, and makes its plan small.
//
// One process, and a child for each run. Exit code 0: no seed failed. 1: one did. 2: wrong use.

#include "tests/scenarios/hunt.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "sim/plan.h"
#include "sim/shrink.h"
#include "tests/scenarios/isolated_run.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"
#include "tools/shrink_to_file.h"

namespace {

using orrery::scenarios::HuntResult;
using orrery::scenarios::IsolatedRunner;
using orrery::scenarios::Scenario;
using orrery::sim::HexOf;
using orrery::sim::Json;
using orrery::sim::LinesOf;
using orrery::tools::ShrunkFile;

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

struct Arguments {
  std::string scenario = "all";
  std::string first_seed = "0";
  uint64_t seeds = 1600;
  uint64_t seconds = 600;
  uint64_t run_seconds = 30;
  orrery::tools::ShrinkToFileOptions shrink;
  bool json = false;
};

int WrongUse(const std::string& message) {
  fmt::print(stderr, "hunt: {}\n", message);
  return kWrongUse;
}

double SecondsOf(orrery::Nanoseconds time) {
  return static_cast<double>(time) / static_cast<double>(orrery::kSecond);
}

void PrintJson(const HuntResult& hunt, const std::optional<ShrunkFile>& shrunk) {
  Json json;
  json["seeds"] = hunt.seeds;
  json["cpu_seconds"] = SecondsOf(hunt.processor_time);
  json["out_of_time"] = hunt.out_of_time;
  json["signature"] = nullptr;
  if (hunt.scenario != nullptr) {
    json["scenario"] = hunt.scenario->name();
    json["seed"] = hunt.seed;
    json["strategy"] = orrery::scenarios::StrategyIn(hunt.failure.plan.configuration);
    json["signature"] = hunt.failure.signature;
    json["report"] = hunt.failure.report;
    json["lines"] = LinesOf(hunt.failure.plan);
  }
  if (shrunk.has_value()) {
    json["shrunk_lines"] = shrunk->lines;
    json["shrink_runs"] = shrunk->runs;
    json["shrink_seconds"] = shrunk->seconds;
    json["shrink_end"] = NameOf(shrunk->end);
  }
  fmt::print("{}\n", json.dump(-1, ' ', true, Json::error_handler_t::replace));
}

void PrintText(const Arguments& arguments, const HuntResult& hunt,
               const std::optional<ShrunkFile>& shrunk) {
  fmt::print("seeds         {}, {:.1f} s on processors{}\n", hunt.seeds,
             SecondsOf(hunt.processor_time), hunt.out_of_time ? ": the time is over" : "");
  if (hunt.scenario == nullptr) return;
  fmt::print("seed          {} of {}\n", HexOf(hunt.seed), hunt.scenario->name());
  fmt::print("signature     {}\n", hunt.failure.signature);
  fmt::print("first plan    {} lines\n", LinesOf(hunt.failure.plan));
  if (shrunk.has_value()) {
    fmt::print("shrunk plan   {} lines, {}, in {} runs; {}\n", shrunk->lines, arguments.shrink.path,
               shrunk->runs, NameOf(shrunk->end));
  }
  std::fflush(stdout);
  fmt::print(stderr, "\n{}", hunt.failure.report);
}

int Run(const Arguments& arguments) {
  std::vector<const Scenario*> scenarios;
  for (const Scenario* scenario : orrery::scenarios::AllScenarios()) {
    if (arguments.scenario == "all" || arguments.scenario == scenario->name()) {
      scenarios.push_back(scenario);
    }
  }
  if (scenarios.empty()) {
    return WrongUse("there is no scenario \"" + arguments.scenario +
                    "\" (bazel run //tools:replay -- --list)");
  }
  const auto first_seed = orrery::sim::ParseNumber(arguments.first_seed);
  if (!first_seed) {
    return WrongUse("--first-seed must be a number such as 42 or 0x2a, not " +
                    arguments.first_seed);
  }
  const auto nanoseconds = [](uint64_t seconds) {
    return static_cast<orrery::Nanoseconds>(seconds) * orrery::kSecond;
  };
  IsolatedRunner runner({.processor_time_max = nanoseconds(arguments.run_seconds)});
  const HuntResult hunt = Hunt(runner, {.scenarios = scenarios,
                                        .first_seed = *first_seed,
                                        .seeds_max = arguments.seeds,
                                        .processor_time_max = nanoseconds(arguments.seconds)});
  std::optional<ShrunkFile> shrunk;
  if (hunt.scenario != nullptr && !arguments.shrink.path.empty()) {
    const auto result = ShrinkToFile(runner, *hunt.scenario, hunt.failure.plan, arguments.shrink);
    if (!result) return WrongUse(result.error());
    shrunk = *result;
  }
  if (arguments.json) {
    PrintJson(hunt, shrunk);
  } else {
    PrintText(arguments, hunt, shrunk);
  }
  return hunt.scenario == nullptr ? 0 : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs seeds in their order, each in every scenario and in a process of its own, until one "
      "fails, crashes or hangs.",
      "hunt");
  app.footer(
      "\nExit code: 0 no seed failed, 1 one did, 2 wrong use.\n\n"
      "  bazel run //tools:hunt -- --first-seed=0 --seeds=1600 --shrink=/tmp/small.jsonl");
  Arguments arguments;
  const CLI::Range positive(uint64_t{1}, uint64_t{1'000'000'000});
  app.add_option("--scenario", arguments.scenario, "Which scenario, or all")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--first-seed", arguments.first_seed, "Where to begin, decimal or 0x...")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--seeds", arguments.seeds, "Ends after so many")
      ->capture_default_str()
      ->check(positive)
      ->type_name("N");
  app.add_option("--seconds", arguments.seconds, "Ends after so much time of processors")
      ->capture_default_str()
      ->check(positive)
      ->type_name("N");
  app.add_option("--run-seconds", arguments.run_seconds,
                 "A run that uses so much of a processor hangs")
      ->capture_default_str()
      ->check(positive)
      ->type_name("N");
  app.add_option("--shrink", arguments.shrink.path,
                 "Makes the plan of the seed that failed small, and writes it")
      ->type_name("FILE");
  app.add_option("--shrink-runs", arguments.shrink.runs_max,
                 "Ends the shrinking after so many runs")
      ->capture_default_str()
      ->check(positive)
      ->type_name("N");
  app.add_option("--shrink-seconds", arguments.shrink.seconds_max,
                 "Ends the shrinking after so long on the wall")
      ->capture_default_str()
      ->check(positive)
      ->type_name("N");
  app.add_flag("--json", arguments.json, "Prints one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return WrongUse(std::string(error.what()) + " (--help explains)");
  }
  return Run(arguments);
}
