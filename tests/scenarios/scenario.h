// A scenario: a program under test in a world of its own, and the runs of it.
//
// A scenario turns a seed into a plan without choices (Draw), and carries out a plan (Run).
// Everything else is the same for all scenarios and lives here: a run of a seed decides at random
// and writes its decisions into the plan that it returns; a run of a plan decides as the plan says.
//
// Invariant: RunSeed(s).plan, run by RunPlan, gives RunSeed(s)'s hash.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/choice.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/journal.h"
#include "sim/plan.h"
#include "sim/report.h"
#include "sim/transcript.h"

namespace orrery::scenarios {

struct RunOptions {
  // The last events to return as text, of the whole run.
  size_t events_shown = 0;
  // With the hash up to each of them.
  bool hashes_shown = false;
  // Where the plan came from, for the report; empty for a seed.
  std::string plan_path;
  // As many events are a violation: for plans that can be told to be too long.
  uint64_t events_max = sim::EventLog::Limits{}.events_max;
  // Where decisions go as well, if anywhere: for a run whose process may not survive it.
  sim::SharedJournal* journal = nullptr;
  // Where everything that happens goes as well, if anywhere.
  sim::Transcript* transcript = nullptr;
  // Called when an ORRERY_CHECK has failed, right before that ends the process.
  std::function<void(const sim::EventLog& log)> on_failed_check = {};
};

struct RunResult {
  uint64_t hash = 0;
  uint64_t events = 0;
  uint64_t steps = 0;
  Nanoseconds virtual_time = 0;
  std::optional<sim::Violation> violation;
  // How a seed decided; of a plan, "plan".
  std::string strategy;
  // What to print when there is a violation.
  std::string report;
  std::string last_events;
  // What happened, complete: running it again gives this result.
  sim::Plan plan;
  uint64_t questions = 0;  // Choices asked for; the plan has those that were not benign.
  // Planned choices that nobody asked for (of a plan's run).
  uint64_t unused_choices = 0;
  // Counts of the scenario's own, by name: commands executed, connections, faults by site.
  std::map<std::string, uint64_t> counters;
  // The coverage marks (base/mark.h) that the run passed, by name; of a build without marks, none.
  std::vector<std::string_view> marks;
};

class Scenario {
 public:
  virtual ~Scenario() = default;
  virtual std::string_view name() const = 0;
  // One line for people.
  virtual std::string_view description() const = 0;
  // Configuration and workload of a seed. Rates of faults are configuration: see RatesIn().
  virtual sim::Plan Draw(uint64_t seed) const = 0;
  // Carries out `plan`, whose choices are those of `choice`. It fills what it can see of the
  // result; plan, choices and report are the caller's. The error is what is wrong with the plan.
  virtual std::expected<RunResult, std::string> Run(const sim::Plan& plan,
                                                    sim::RecordingChoice& choice,
                                                    sim::EventLog& log) const = 0;
};

// The rates of faults as a plan's configuration has them: "rate.send.partial", out of
// sim::SiteRates::kAlways.
void WriteRates(const sim::SiteRates& rates, sim::Configuration& configuration);
sim::SiteRates RatesIn(const sim::Configuration& configuration);

// How a seed decides who goes first: as likely each time as the rates of "schedule" and others say
// ("uniform"), or by priorities (sim/priority_choice.h) of this depth ("pct-2"). In a plan's
// configuration it is "strategy": 0, or the depth.
void DrawStrategy(uint64_t seed, sim::Configuration& configuration);
std::string StrategyIn(const sim::Configuration& configuration);

// A seed's plan but for the workload: the configuration that `draw` draws, rates, a strategy. Each
// part has a sequence of numbers of its own, so that a new knob changes no other part: these three
// are drawn from Combine(seed, 1), 2 and 4, and from 5 on a scenario numbers sequences of its own.
constexpr uint64_t kWorkloadSequence = 3;
sim::Plan DrawPlan(std::string_view scenario, uint64_t seed, sim::Configuration (*draw)(Prng&));

std::expected<RunResult, std::string> RunSeed(const Scenario& scenario, uint64_t seed,
                                              const RunOptions& options);
// Any other choice than those two: a fuzzer's bytes.
std::expected<RunResult, std::string> RunChoices(const Scenario& scenario, const sim::Plan& plan,
                                                 model::Choice& choice, const RunOptions& options);
// The plan's scenario must be this one.
std::expected<RunResult, std::string> RunPlan(const Scenario& scenario, const sim::Plan& plan,
                                              const RunOptions& options);

// Whether the result is what the plan expects of it; a text says what differs. Nothing when the
// plan expects nothing or all is as expected. A violation is a difference unless it is the expected
// one. A plan whose run no longer passes its marks is stale: it tests nothing any more.
std::optional<std::string> Difference(const sim::Plan& plan, const RunResult& result);

// What Scenario::Run() comes to. A `Run` is made from a plan and what was read of its workload
// (Make), goes (Go), and tells what it saw (Count). One that also checks what is left when it has
// been taken down (TakeDown) says first whether that can be: the kernel still has memory of what
// was lost (lost).
template <typename Run, typename Workload>
std::expected<RunResult, std::string> CarryOut(const sim::Plan& plan,
                                               std::expected<Workload, std::string> workload,
                                               sim::RecordingChoice& choice, sim::EventLog& log) {
  if (!workload) return std::unexpected(std::move(workload).error());
  std::expected<std::unique_ptr<Run>, std::string> made =
      Run::Make(plan, *std::move(workload), choice, log);
  if (!made) return std::unexpected(std::move(made).error());
  std::unique_ptr<Run> run = *std::move(made);
  run->Go();
  RunResult result;
  run->Count(result);
  bool keep = log.violation().has_value();
  if constexpr (requires { run->TakeDown(); }) {
    keep = keep || run->lost();
    if (!keep) run->TakeDown();
    keep = keep || log.violation().has_value();
  }
  // For ever: what has broken a rule cannot be expected to be destroyed in order, and a check that
  // fails on the way would hide the violation.
  static auto* const kept = new std::vector<std::unique_ptr<Run>>;
  if (keep) kept->push_back(std::move(run));
  return result;
}

}  // namespace orrery::scenarios
