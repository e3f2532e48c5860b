// replay: runs a scenario from a seed or from a plan, and says what happened.
//
// One process, one thread; the same arguments print the same hash in every build. Exit code 0: the
// run broke no rule (or broke the one that its plan expects). 1: it did, or is not what its plan
// expects. 2: wrong use, also a plan that cannot be read.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "sim/child.h"
#include "sim/plan.h"
#include "sim/report.h"
#include "sim/shrink.h"
#include "tests/scenarios/isolated_run.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"
#include "tools/from_caller.h"
#include "tools/shrink_to_file.h"

namespace {

using orrery::scenarios::FindScenario;
using orrery::scenarios::IsolatedResult;
using orrery::scenarios::IsolatedRunner;
using orrery::scenarios::RunOptions;
using orrery::scenarios::RunResult;
using orrery::scenarios::Scenario;
using orrery::sim::ChildLimits;
using orrery::sim::HexOf;
using orrery::sim::LinesOf;
using orrery::sim::Plan;
using orrery::tools::FromCaller;

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

struct Arguments {
  std::string scenario;
  std::string seed;
  std::string plan;
  std::string write_plan;
  orrery::tools::ShrinkToFileOptions shrink;
  uint64_t runs = 1;
  size_t events = 0;
  bool hashes = false;
  bool json = false;
  bool list = false;
};

int WrongUse(const std::string& message) {
  fmt::print(stderr, "replay: {}\n", message);
  return kWrongUse;
}

void PrintText(const Scenario& scenario, const RunResult& result) {
  if (!result.last_events.empty()) fmt::print("{}\n", result.last_events);
  fmt::print("scenario      {}\n", scenario.name());
  fmt::print("seed          {}\n", HexOf(result.plan.seed));
  fmt::print("strategy      {}\n", result.strategy);
  fmt::print("event hash    {}\n", HexOf(result.hash));
  fmt::print("events        {}\n", result.events);
  fmt::print("virtual time  {:.6f} ms\n",
             static_cast<double>(result.virtual_time) / orrery::kMillisecond);
  fmt::print("choices       {} not benign, of {} asked\n", result.plan.choices.size(),
             result.questions);
  if (result.unused_choices > 0) {
    fmt::print("unused        {} choices of the plan were never asked for\n",
               result.unused_choices);
  }
  for (const auto& [name, count] : result.counters) fmt::print("  {:<28}{}\n", name, count);
}

void PrintJson(const Scenario& scenario, const RunResult& result) {
  orrery::sim::Json json;
  json["scenario"] = scenario.name();
  json["seed"] = HexOf(result.plan.seed);
  json["strategy"] = result.strategy;
  json["hash"] = HexOf(result.hash);
  json["events"] = result.events;
  json["virtual_ns"] = result.virtual_time;
  json["choices"] = result.plan.choices.size();
  json["questions"] = result.questions;
  json["unused_choices"] = result.unused_choices;
  json["counters"] = result.counters;
  json["marks"] = result.marks;
  json["violation"] = nullptr;
  if (result.violation.has_value()) {
    json["violation"] = {{"invariant", result.violation->invariant},
                         {"detail", result.violation->detail},
                         {"virtual_ns", result.violation->time},
                         {"event", result.violation->event}};
  }
  fmt::print("{}\n", json.dump(-1, ' ', true, orrery::sim::Json::error_handler_t::replace));
}

// The command that runs this again.
std::string WhatRuns(const Arguments& arguments, const RunResult& result) {
  return orrery::sim::ReplayCommand(
      {.scenario = result.plan.scenario, .seed = result.plan.seed, .plan_path = arguments.plan});
}

// Prints the result and says whether it is as it should be.
int Judge(const Arguments& arguments, const Scenario& scenario, const Plan* plan,
          const RunResult& result) {
  if (arguments.json) {
    PrintJson(scenario, result);
  } else {
    PrintText(scenario, result);
  }
  if (!arguments.write_plan.empty()) {
    const auto written = WritePlanFile(FromCaller(arguments.write_plan), result.plan);
    if (!written) return WrongUse(written.error());
  }
  std::fflush(stdout);
  const bool expected = plan != nullptr && plan->expected_invariant.has_value();
  if (!result.report.empty()) {
    fmt::print(stderr, "\n{}", result.report);
    if (!expected) {
      fmt::print(stderr, "\nto make it small: {} --shrink=SMALL.jsonl\n",
                 WhatRuns(arguments, result));
      return kFailed;
    }
  }
  if (plan != nullptr) {
    if (const auto difference = orrery::scenarios::Difference(*plan, result)) {
      fmt::print(stderr, "replay: {}\n", *difference);
      return kFailed;
    }
  }
  return 0;
}

// Shrinks a run that failed, crashed or hung, and writes what is left of its plan.
int ShrinkRun(const Arguments& arguments, const Scenario& scenario, IsolatedRunner& runner,
              const std::expected<IsolatedResult, std::string>& first) {
  if (!first) return WrongUse(first.error());
  if (first->signature.empty()) return WrongUse("the run breaks no rule: nothing to shrink");
  fmt::print("signature     {}\n", first->signature);
  fmt::print("first plan    {} lines\n", LinesOf(first->plan));
  std::fflush(stdout);
  const auto shrunk = ShrinkToFile(runner, scenario, first->plan, arguments.shrink);
  if (!shrunk) return WrongUse(shrunk.error());
  fmt::print("shrunk plan   {} lines, {}\n", shrunk->lines, arguments.shrink.path);
  fmt::print("runs          {} in {:.1f} s; {}\n", shrunk->runs, shrunk->seconds,
             NameOf(shrunk->end));
  fmt::print(
      "replay        {}\n",
      orrery::sim::ReplayCommand({.scenario = {}, .seed = 0, .plan_path = arguments.shrink.path}));
  return kFailed;
}

int RunPlanFile(const Arguments& arguments) {
  const std::string path = FromCaller(arguments.plan);
  const auto plan = orrery::sim::ReadPlanFile(path);
  if (!plan) return WrongUse(plan.error());
  const Scenario* scenario = FindScenario(plan->scenario);
  if (scenario == nullptr) {
    return WrongUse(path + ": there is no scenario \"" + plan->scenario + "\" (see --list)");
  }
  if (!arguments.shrink.path.empty()) {
    IsolatedRunner runner(ChildLimits{});
    return ShrinkRun(arguments, *scenario, runner, runner.RunPlan(*scenario, *plan));
  }
  RunOptions options;
  options.events_shown = arguments.events;
  options.hashes_shown = arguments.hashes;
  options.plan_path = arguments.plan;
  const auto result = RunPlan(*scenario, *plan, options);
  if (!result) return WrongUse(path + ": " + result.error());
  return Judge(arguments, *scenario, &*plan, *result);
}

int RunSeeds(const Arguments& arguments, const Scenario& scenario, uint64_t first) {
  for (uint64_t run = 0; run < arguments.runs; ++run) {
    RunOptions options;
    options.events_shown = arguments.events;
    options.hashes_shown = arguments.hashes;
    const auto result = RunSeed(scenario, first + run, options);
    if (!result) return WrongUse(result.error());
    if (const int code = Judge(arguments, scenario, nullptr, *result); code != 0) return code;
  }
  return 0;
}

int List() {
  for (const Scenario* scenario : orrery::scenarios::AllScenarios()) {
    fmt::print("{:<12}{}\n", scenario->name(), scenario->description());
  }
  return 0;
}

int Run(const Arguments& arguments) {
  if (arguments.list) return List();
  if (!arguments.plan.empty()) {
    if (!arguments.scenario.empty() || !arguments.seed.empty()) {
      return WrongUse("a plan has its own scenario and seed: give --plan alone");
    }
    if (arguments.runs != 1) return WrongUse("--runs counts seeds, and a plan is one run");
    return RunPlanFile(arguments);
  }
  if (arguments.scenario.empty() || arguments.seed.empty()) {
    return WrongUse("give --scenario and --seed, or --plan (--help explains)");
  }
  const Scenario* scenario = FindScenario(arguments.scenario);
  if (scenario == nullptr) {
    return WrongUse("there is no scenario \"" + arguments.scenario + "\" (see --list)");
  }
  const std::optional<uint64_t> seed = orrery::sim::ParseNumber(arguments.seed);
  if (!seed) return WrongUse("--seed must be a number such as 42 or 0x2a, not " + arguments.seed);
  if (arguments.runs != 1 && !arguments.write_plan.empty()) {
    return WrongUse("--write-plan writes one run: leave --runs out");
  }
  if (!arguments.shrink.path.empty()) {
    if (arguments.runs != 1) return WrongUse("--shrink shrinks one run: leave --runs out");
    IsolatedRunner runner(ChildLimits{});
    return ShrinkRun(arguments, *scenario, runner, runner.RunSeed(*scenario, *seed));
  }
  return RunSeeds(arguments, *scenario, *seed);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs a scenario of the simulation from a seed or from a plan file, and prints its event "
      "hash. The same seed or plan gives the same hash, every time, in every build.",
      "replay");
  app.footer(
      "\nExit code: 0 no rule was broken, 1 one was (its report goes to stderr), 2 wrong use.\n\n"
      "  bazel run //tools:replay -- --scenario=server --seed=42\n"
      "  bazel run //tools:replay -- --scenario=server --seed=42 --write-plan=/tmp/42.jsonl\n"
      "  bazel run //tools:replay -- --plan=/tmp/42.jsonl --events=50\n"
      "  bazel run //tools:replay -- --plan=/tmp/42.jsonl --shrink=/tmp/small.jsonl");
  Arguments arguments;
  app.add_option("--scenario", arguments.scenario, "Which scenario; --list names them")
      ->type_name("NAME");
  app.add_option("--seed", arguments.seed, "The seed to run, decimal or 0x...")->type_name("N");
  app.add_option("--plan", arguments.plan, "Runs this plan instead of a seed")->type_name("FILE");
  app.add_option("--write-plan", arguments.write_plan,
                 "Writes what happened as a plan, to be replayed, edited or kept")
      ->type_name("FILE");
  app.add_option(
         "--shrink", arguments.shrink.path,
         "Takes away from a failing run what its failure does not need, and writes the plan "
         "that is left; runs that crash or hang as well")
      ->type_name("FILE");
  app.add_option("--shrink-runs", arguments.shrink.runs_max,
                 "Ends the shrinking after so many runs")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}))
      ->type_name("N");
  app.add_option(
         "--shrink-seconds", arguments.shrink.seconds_max,
         "Ends the shrinking after so long; only this makes its result depend on the machine")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000}))
      ->type_name("N");
  app.add_option("--runs", arguments.runs,
                 "Runs so many seeds, from --seed on, and stops at the first that fails")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}))
      ->type_name("N");
  app.add_option("--events", arguments.events, "Prints the last so many events as well")
      ->check(CLI::Range(size_t{0}, size_t{10'000'000}))
      ->type_name("N");
  app.add_flag("--hashes", arguments.hashes, "Prints the hash up to each event with it");
  app.add_flag("--json", arguments.json, "Prints one JSON object for each run");
  app.add_flag("--list", arguments.list, "Lists the scenarios");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return WrongUse(std::string(error.what()) + " (--help explains)");
  }
  return Run(arguments);
}
