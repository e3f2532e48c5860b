// soak: runs seeds of the simulation until it is told to stop, and keeps what fails.
//
// One process that waits, and a child for each job. Exit code 0: nothing failed. 1: something did;
// its plans are in the folder that the last lines name. 2: wrong use.

#include "tests/scenarios/soak.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mark_counts.h"
#include "base/units.h"
#include "sim/plan.h"
#include "sim/report.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"
#include "tools/command_line.h"
#include "tools/from_caller.h"

namespace {

using orrery::scenarios::Scenario;
using orrery::scenarios::Soak;
using orrery::scenarios::SoakFailure;
using orrery::scenarios::SoakOptions;
using orrery::scenarios::SoakTotals;
using orrery::sim::HexOf;
using orrery::sim::Json;
using orrery::tools::FromCaller;
using orrery::tools::kFailed;
using orrery::tools::WrongUse;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kTool = "soak";

struct Arguments {
  std::string scenario = "all";
  double minutes = 0;
  uint64_t seeds = 0;
  std::string first_seed;
  unsigned jobs = 0;
  std::string folder = "soak-failures";
  unsigned progress_seconds = 10;
  bool json = false;
};

volatile std::sig_atomic_t interrupts = 0;

void OnInterrupt(int) { interrupts = interrupts + 1; }

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> NeverReached(const SoakTotals& totals) {
  std::vector<std::string> names;
  for (const orrery::MarkCount& mark : orrery::MarkCounts()) {
    if (!totals.marks.contains(std::string(mark.name))) names.emplace_back(mark.name);
  }
  return names;
}

std::string ProgressLine(const SoakTotals& totals, double seconds) {
  const double virtual_seconds =
      static_cast<double>(totals.virtual_time) / static_cast<double>(orrery::kSecond);
  return fmt::format(
      "{:.0f} s: {} seeds, {:.0f} a second; {:.1f} M events; {:.0f} s of virtual time, {:.0f} for "
      "one; {} of {} marks; {} failures of {} kinds",
      seconds, totals.seeds, static_cast<double>(totals.seeds) / seconds,
      static_cast<double>(totals.events) / 1e6, virtual_seconds, virtual_seconds / seconds,
      totals.marks.size(), orrery::MarkCounts().size(), totals.failed, totals.failures.size());
}

std::string ReplayOf(const SoakFailure::Seed& seed) {
  return orrery::sim::ReplayCommand(
      {.scenario = seed.scenario, .seed = seed.seed, .plan_path = seed.plan_path});
}

void PrintFailures(const SoakTotals& totals) {
  for (const auto& [signature, failure] : totals.failures) {
    fmt::print("\n{}: {} seeds\n", signature, failure.count);
    for (const SoakFailure::Seed& seed : failure.seeds) {
      fmt::print("  {} {}: {} lines: {}\n", seed.scenario, HexOf(seed.seed), seed.lines,
                 ReplayOf(seed));
    }
    if (!failure.small_path.empty()) {
      fmt::print(
          "  the first one shrunk to {} lines: {}\n", failure.small_lines,
          orrery::sim::ReplayCommand({.scenario = {}, .seed = 0, .plan_path = failure.small_path}));
    }
  }
}

Json AsJson(const Soak& soak, const SoakOptions& options, double seconds) {
  const SoakTotals& totals = soak.totals();
  Json json;
  json["first_seed"] = HexOf(options.first_seed);
  json["jobs"] = options.jobs;
  json["seconds"] = seconds;
  json["seeds"] = totals.seeds;
  json["events"] = totals.events;
  json["virtual_ns"] = totals.virtual_time;
  json["marks_reached"] = totals.marks;
  json["marks_never_reached"] = NeverReached(totals);
  json["failed"] = totals.failed;
  json["failures"] = Json::array();
  for (const auto& [signature, failure] : totals.failures) {
    Json seeds = Json::array();
    for (const SoakFailure::Seed& seed : failure.seeds) {
      seeds.push_back({{"scenario", seed.scenario},
                       {"seed", HexOf(seed.seed)},
                       {"plan", seed.plan_path},
                       {"lines", seed.lines}});
    }
    json["failures"].push_back({{"signature", signature},
                                {"count", failure.count},
                                {"seeds", seeds},
                                {"report", failure.report},
                                {"small_plan", failure.small_path},
                                {"small_lines", failure.small_lines}});
  }
  json["problems"] = soak.problems();
  return json;
}

// Steps until all is done, the time is over, or somebody presses Ctrl-C.
void RunSoak(const Arguments& arguments, Soak& soak, Clock::time_point start) {
  bool told_soon = false;
  bool told_now = false;
  double next_line = arguments.progress_seconds;
  while (interrupts < 2 && soak.Step(200 * orrery::kMillisecond)) {
    const double seconds = SecondsSince(start);
    if (interrupts == 1 && !told_now) {
      told_now = true;
      fmt::print(stderr, "stopping; once more to leave at once\n");
      soak.StopNow();
    }
    if (arguments.minutes > 0 && seconds >= arguments.minutes * 60 && !told_soon) {
      told_soon = true;
      soak.StopSoon();
    }
    if (arguments.progress_seconds == 0 || seconds < next_line) continue;
    next_line = seconds + arguments.progress_seconds;
    fmt::print(stderr, "{}\n", ProgressLine(soak.totals(), seconds));
  }
}

int Run(const Arguments& arguments) {
  SoakOptions options;
  for (const Scenario* scenario : orrery::scenarios::AllScenarios()) {
    if (arguments.scenario == "all" || arguments.scenario == scenario->name()) {
      options.scenarios.push_back(scenario);
    }
  }
  if (options.scenarios.empty()) {
    return WrongUse(kTool, "there is no scenario \"" + arguments.scenario +
                               "\": say all, or a name of `bazel run //tools:replay -- --list`");
  }
  if (arguments.first_seed.empty()) {
    // Seeds that nobody has run: a soak of yesterday tried others.
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    options.first_seed = static_cast<uint64_t>(milliseconds) << 16;
  } else if (const auto seed = orrery::sim::ParseNumber(arguments.first_seed)) {
    options.first_seed = *seed;
  } else {
    return WrongUse(kTool, "--first-seed must be a number such as 42 or 0x2a");
  }
  if (arguments.seeds > 0) options.seeds_max = arguments.seeds;
  options.jobs = arguments.jobs > 0 ? arguments.jobs : std::thread::hardware_concurrency();
  options.folder = FromCaller(arguments.folder);
  // Before it says that this works.
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGTERM, OnInterrupt);
  fmt::print(stderr, "{} jobs from seed {} on; Ctrl-C stops\n", options.jobs,
             HexOf(options.first_seed));

  const auto start = Clock::now();
  Soak soak(options);
  RunSoak(arguments, soak, start);
  const double seconds = SecondsSince(start);
  if (arguments.json) {
    const Json json = AsJson(soak, options, seconds);
    fmt::print("{}\n", json.dump(-1, ' ', true, Json::error_handler_t::replace));
  } else {
    fmt::print("{}\n", ProgressLine(soak.totals(), seconds));
    for (const std::string& name : NeverReached(soak.totals())) {
      fmt::print("never reached: {}\n", name);
    }
    PrintFailures(soak.totals());
  }
  for (const std::string& problem : soak.problems()) fmt::print(stderr, "soak: {}\n", problem);
  return soak.totals().failed > 0 ? kFailed : 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs seeds of the simulation's scenarios on all processors until it is told to stop. Every "
      "failure is kept as a plan and counted by its signature; the first of a signature is shrunk. "
      "Seeds that crash or hang are failures like others.",
      std::string(kTool));
  app.footer(
      "\nExit code: 0 nothing failed, 1 something did, 2 wrong use. Ctrl-C stops cleanly.\n\n"
      "  bazel run //tools:soak -- --scenario=all --minutes=10 --jobs=2");
  Arguments arguments;
  app.add_option("--scenario", arguments.scenario, "A scenario's name, or all")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--minutes", arguments.minutes, "Stops after so long; 0: when it is told to")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e7))
      ->type_name("N");
  app.add_option("--seeds", arguments.seeds, "Stops after so many seeds of each scenario; 0: never")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--first-seed", arguments.first_seed,
                 "Where to begin; otherwise at seeds that nobody has run")
      ->type_name("N");
  app.add_option("--jobs", arguments.jobs, "How many run side by side; 0: one for each processor")
      ->capture_default_str()
      ->check(CLI::Range(0u, 1024u))
      ->type_name("N");
  app.add_option("--failures", arguments.folder, "The folder for plans of what fails")
      ->capture_default_str()
      ->type_name("FOLDER");
  app.add_option("--progress", arguments.progress_seconds, "Seconds between lines; 0: none")
      ->capture_default_str()
      ->type_name("N");
  app.add_flag("--json", arguments.json, "Prints one JSON object at the end instead of text");
  if (const auto code = orrery::tools::Parse(app, argc, argv)) return *code;
  return Run(arguments);
}
