// replay: runs a scenario from a seed or from a plan, and says what happened.
//
// One process, one thread; the same arguments print the same hash in every build. Exit code 0: the
// run broke no rule (or broke the one that its plan expects). 1: it did, or is not what its plan
// expects. 2: wrong use, also a plan that cannot be read.

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"
#include "sim/child.h"
#include "sim/plan.h"
#include "sim/report.h"
#include "sim/transcript.h"
#include "tests/scenarios/isolated_run.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"
#include "tools/command_line.h"
#include "tools/from_caller.h"
#include "tools/replay_step.h"
#include "tools/replay_views.h"
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
using orrery::tools::kFailed;
using orrery::tools::StepSession;
using orrery::tools::Views;
using orrery::tools::WrongUse;

// The tool's name, in what it says.
constexpr std::string_view kReplay = "replay";

struct Arguments {
  std::string scenario;
  std::string seed;
  std::string plan;
  std::string write_plan;
  orrery::tools::ViewPaths views;
  orrery::tools::ShrinkToFileOptions shrink;
  uint64_t runs = 1;
  size_t events = 0;
  bool hashes = false;
  bool step = false;
  bool json = false;
  bool list = false;
};

// A plan, or a seed: what there is to run.
struct Subject {
  const Scenario* scenario = nullptr;
  std::optional<Plan> plan;
  uint64_t seed = 0;
  std::string plan_path;  // As the caller gave it.

  std::expected<RunResult, std::string> Run(RunOptions options) const {
    options.plan_path = plan_path;
    if (!plan.has_value()) return RunSeed(*scenario, seed, options);
    auto result = RunPlan(*scenario, *plan, options);
    if (!result) return std::unexpected(plan_path + ": " + result.error());
    return result;
  }

  // The command that runs it again.
  std::string Command() const {
    return orrery::sim::ReplayCommand(
        {.scenario = std::string(scenario->name()), .seed = seed, .plan_path = plan_path});
  }

  // How its choices are made.
  std::string Strategy() const {
    if (plan.has_value()) return "plan";
    return orrery::scenarios::StrategyIn(scenario->Draw(seed).configuration);
  }
};

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

// Prints the result and says whether it is as it should be.
int Judge(const Arguments& arguments, const Subject& subject, const RunResult& result) {
  if (arguments.json) {
    PrintJson(*subject.scenario, result);
  } else {
    PrintText(*subject.scenario, result);
  }
  if (!arguments.write_plan.empty()) {
    const auto written = WritePlanFile(FromCaller(arguments.write_plan), result.plan);
    if (!written) return WrongUse(kReplay, written.error());
  }
  std::fflush(stdout);
  const bool expected = subject.plan.has_value() && subject.plan->expected_invariant.has_value();
  if (!result.report.empty()) {
    fmt::print(stderr, "\n{}", result.report);
    if (!expected) {
      const std::string command = subject.Command();
      fmt::print(stderr, "\nto see it:        {} --html=RUN.html\n", command);
      fmt::print(stderr, "to make it small: {} --shrink=SMALL.jsonl\n", command);
      return kFailed;
    }
  }
  if (subject.plan.has_value()) {
    if (const auto difference = orrery::scenarios::Difference(*subject.plan, result)) {
      fmt::print(stderr, "replay: {}\n", *difference);
      return kFailed;
    }
  }
  return 0;
}

int RunOnce(const Arguments& arguments, const Subject& subject) {
  RunOptions options;
  options.events_shown = arguments.events;
  options.hashes_shown = arguments.hashes;
  Views views(arguments.views,
              {.scenario = std::string(subject.scenario->name()),
               .strategy = subject.Strategy(),
               .replay = subject.Command(),
               .seed = subject.plan.has_value() ? subject.plan->seed : subject.seed});
  views.Watch(options);
  const auto result = subject.Run(options);
  if (!result) return WrongUse(kReplay, result.error());
  const int code = Judge(arguments, subject, *result);
  if (const auto written = views.Write(*result); !written) {
    return WrongUse(kReplay, written.error());
  }
  return code;
}

int Step(const Subject& subject) {
  const auto run = [&subject](orrery::sim::Transcript& transcript) {
    RunOptions options;
    options.transcript = &transcript;
    return subject.Run(options);
  };
  StepSession session(run, std::cin, std::cout, isatty(STDIN_FILENO) != 0 ? "step> " : "");
  const auto ended = session.Go();
  return ended ? 0 : WrongUse(kReplay, ended.error());
}

// Shrinks a run that failed, crashed or hung, and writes what is left of its plan.
int Shrink(const Arguments& arguments, const Subject& subject) {
  IsolatedRunner runner(ChildLimits{});
  const Scenario& scenario = *subject.scenario;
  const std::expected<IsolatedResult, std::string> first =
      subject.plan.has_value() ? runner.RunPlan(scenario, *subject.plan)
                               : runner.RunSeed(scenario, subject.seed);
  if (!first) return WrongUse(kReplay, first.error());
  if (first->signature.empty())
    return WrongUse(kReplay, "the run breaks no rule: nothing to shrink");
  fmt::print("signature     {}\n", first->signature);
  fmt::print("first plan    {} lines\n", LinesOf(first->plan));
  std::fflush(stdout);
  const auto shrunk = ShrinkToFile(runner, scenario, first->plan, arguments.shrink);
  if (!shrunk) return WrongUse(kReplay, shrunk.error());
  fmt::print("shrunk plan   {} lines, {}\n", shrunk->lines, arguments.shrink.path);
  fmt::print("runs          {} in {:.1f} s; {}\n", shrunk->runs, shrunk->seconds,
             NameOf(shrunk->end));
  fmt::print(
      "replay        {}\n",
      orrery::sim::ReplayCommand({.scenario = {}, .seed = 0, .plan_path = arguments.shrink.path}));
  return kFailed;
}

// The error says what is wrong.
std::expected<Subject, std::string> SubjectOfPlan(const Arguments& arguments) {
  if (!arguments.scenario.empty() || !arguments.seed.empty()) {
    return std::unexpected("a plan has its own scenario and seed: give --plan alone");
  }
  Subject subject;
  subject.plan_path = arguments.plan;
  const std::string path = FromCaller(arguments.plan);
  auto plan = orrery::sim::ReadPlanFile(path);
  if (!plan) return std::unexpected(plan.error());
  subject.plan = *std::move(plan);
  subject.scenario = FindScenario(subject.plan->scenario);
  if (subject.scenario == nullptr) {
    return std::unexpected(path + ": there is no scenario \"" + subject.plan->scenario +
                           "\" (see --list)");
  }
  return subject;
}

std::expected<Subject, std::string> SubjectOf(const Arguments& arguments) {
  if (!arguments.plan.empty()) return SubjectOfPlan(arguments);
  if (arguments.scenario.empty() || arguments.seed.empty()) {
    return std::unexpected("give --scenario and --seed, or --plan (--help explains)");
  }
  Subject subject;
  subject.scenario = FindScenario(arguments.scenario);
  if (subject.scenario == nullptr) {
    return std::unexpected("there is no scenario \"" + arguments.scenario + "\" (see --list)");
  }
  const std::optional<uint64_t> seed = orrery::sim::ParseNumber(arguments.seed);
  if (!seed) {
    return std::unexpected("--seed must be a number such as 42 or 0x2a, not " + arguments.seed);
  }
  subject.seed = *seed;
  return subject;
}

// What goes together with what; nothing when all is well.
std::optional<std::string> Contradiction(const Arguments& arguments) {
  const bool views = arguments.views.any();
  if (arguments.runs != 1) {
    if (!arguments.plan.empty()) return "--runs counts seeds, and a plan is one run";
    if (!arguments.write_plan.empty()) return "--write-plan writes one run: leave --runs out";
    if (!arguments.shrink.path.empty()) return "--shrink shrinks one run: leave --runs out";
    if (arguments.step) return "--step walks through one run: leave --runs out";
    if (views) return "--html and --trace show one run: leave --runs out";
  }
  if (!arguments.shrink.path.empty() && (views || arguments.step)) {
    return "--shrink writes a plan: look at that one with --html, --trace or --step, in a second "
           "command";
  }
  if (arguments.step && (views || arguments.json || !arguments.write_plan.empty())) {
    return "--step only walks: write files in a second command";
  }
  return std::nullopt;
}

int List() {
  for (const Scenario* scenario : orrery::scenarios::AllScenarios()) {
    fmt::print("{:<12}{}\n", scenario->name(), scenario->description());
  }
  return 0;
}

int Run(const Arguments& arguments) {
  if (arguments.list) return List();
  if (const auto problem = Contradiction(arguments)) return WrongUse(kReplay, *problem);
  auto subject = SubjectOf(arguments);
  if (!subject) return WrongUse(kReplay, subject.error());
  if (!arguments.shrink.path.empty()) return Shrink(arguments, *subject);
  if (arguments.step) return Step(*subject);
  for (uint64_t run = 0; run < arguments.runs; ++run, ++subject->seed) {
    if (const int code = RunOnce(arguments, *subject); code != 0) return code;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Runs a scenario of the simulation from a seed or from a plan file, and prints its event "
      "hash. The same seed or plan gives the same hash, every time, in every build.",
      std::string(kReplay));
  app.footer(
      "\nExit code: 0 no rule was broken, 1 one was (its report goes to stderr), 2 wrong use.\n\n"
      "What --step understands:\n\n" +
      std::string(StepSession::Help()) +
      "\n"
      "  bazel run //tools:replay -- --scenario=server --seed=42\n"
      "  bazel run //tools:replay -- --scenario=server --seed=42 --write-plan=/tmp/42.jsonl\n"
      "  bazel run //tools:replay -- --plan=/tmp/42.jsonl --events=50\n"
      "  bazel run //tools:replay -- --plan=/tmp/42.jsonl --html=/tmp/42.html\n"
      "  bazel run //tools:replay -- --plan=/tmp/42.jsonl --step\n"
      "  bazel run //tools:replay -- --plan=/tmp/42.jsonl --shrink=/tmp/small.jsonl");
  Arguments arguments;
  app.add_option("--scenario", arguments.scenario, "Which scenario; --list names them")
      ->type_name("NAME");
  app.add_option("--seed", arguments.seed, "The seed to run, decimal or 0x...")->type_name("N");
  app.add_option("--plan", arguments.plan, "Runs this plan instead of a seed")->type_name("FILE");
  app.add_option("--write-plan", arguments.write_plan,
                 "Writes what happened as a plan, to be replayed, edited or kept")
      ->type_name("FILE");
  app.add_option("--html", arguments.views.html,
                 "Writes the run as one page for a browser: lanes, SQEs and their CQEs, faults, "
                 "bytes, the rule that broke; it needs no network and nothing beside it")
      ->type_name("FILE");
  app.add_option(
         "--trace", arguments.views.trace,
         "Writes the run in the Trace Event Format, for ui.perfetto.dev or chrome://tracing")
      ->type_name("FILE");
  app.add_flag("--step", arguments.step,
               "Walks through the run event by event, forwards and backwards, and shows what is "
               "known of a connection; reads commands, also from a pipe");
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
  if (const auto code = orrery::tools::Parse(app, argc, argv)) return *code;
  return Run(arguments);
}
