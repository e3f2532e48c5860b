#include "tests/scenarios/scenario.h"

#include <algorithm>
#include <utility>

#include "base/mark_counts.h"
#include "base/prng.h"
#include "kernel_model/choice.h"
#include "sim/priority_choice.h"

namespace orrery::scenarios {
namespace {

std::string RateName(const model::SiteInfo& info) { return "rate." + std::string(info.name); }

std::string RenderAll(const std::vector<sim::LoggedEvent>& events, bool hashes) {
  std::string text;
  for (const sim::LoggedEvent& event : events) {
    if (hashes) text += sim::HexOf(event.hash) + " ";
    text += sim::Render(event) + "\n";
  }
  return text;
}

// The marks that were passed since `before`.
std::vector<std::string_view> MarksSince(const std::vector<MarkCount>& before) {
  const std::vector<MarkCount> after = MarkCounts();
  std::vector<std::string_view> names;
  for (size_t index = 0; index < after.size(); ++index) {
    if (after[index].hits != before[index].hits) names.push_back(after[index].name);
  }
  return names;
}

std::expected<RunResult, std::string> RunWith(const Scenario& scenario, const sim::Plan& plan,
                                              const std::string& strategy, model::Choice& choice,
                                              const RunOptions& options) {
  sim::EventLog::Limits limits;
  limits.events_max = options.events_max;
  limits.recent_max = std::max(limits.recent_max, options.events_shown);
  sim::EventLog log(limits, options.transcript);
  const sim::RunIdentity identity{.scenario = plan.scenario,
                                  .seed = plan.seed,
                                  .plan_path = options.plan_path,
                                  .strategy = strategy};
  const sim::ScopedCheckReport check_report(identity, log, options.on_failed_check);
  model::Choice* decides = &choice;
  std::optional<sim::JournalChoice> journal;
  if (options.journal != nullptr) decides = &journal.emplace(*decides, *options.journal);
  std::optional<sim::TranscriptChoice> watched;
  if (options.transcript != nullptr) decides = &watched.emplace(*decides, *options.transcript);
  sim::RecordingChoice recorder(*decides);
  const std::vector<MarkCount> marks_before = MarkCounts();
  auto result = scenario.Run(plan, recorder, log);
  if (!result) return result;
  result->strategy = strategy;
  result->hash = log.hash();
  result->events = log.count();
  result->virtual_time = log.now();
  result->violation = log.violation();
  if (log.violation().has_value()) result->report = sim::RenderFailure(identity, log, {});
  result->last_events = RenderAll(log.Recent(options.events_shown), options.hashes_shown);
  result->marks = MarksSince(marks_before);
  result->questions = recorder.asked();
  result->plan = plan;
  result->plan.choices = recorder.recorded();
  result->plan.expected_hash = log.hash();
  result->plan.expected_marks.assign(result->marks.begin(), result->marks.end());
  result->plan.expected_invariant.reset();
  if (log.violation().has_value()) result->plan.expected_invariant = log.violation()->invariant;
  for (const sim::PlannedChoice& fault : recorder.recorded()) {
    ++result->counters["fault." + std::string(model::InfoOf(fault.site).name)];
  }
  return result;
}

// Seeds in this many that go by priorities.
constexpr uint64_t kPrioritiesOneIn = 4;

// A mark that the plan promises and the run did not pass. A build without marks cannot tell.
std::optional<std::string> StaleMark(const sim::Plan& plan, const RunResult& result) {
  if (MarkCounts().empty()) return std::nullopt;
  for (const std::string& mark : plan.expected_marks) {
    if (std::find(result.marks.begin(), result.marks.end(), mark) != result.marks.end()) continue;
    return "the plan is stale: it expects to pass the mark \"" + mark + "\", the run did not";
  }
  return std::nullopt;
}

uint64_t DepthIn(const sim::Configuration& configuration) {
  const int64_t depth = sim::ValueOr(configuration, "strategy", 0);
  return static_cast<uint64_t>(
      std::clamp<int64_t>(depth, 0, int64_t{sim::PriorityChoice::kDepthMax}));
}

}  // namespace

void DrawStrategy(uint64_t seed, sim::Configuration& configuration) {
  Prng prng(Combine(seed, 4));
  if (!prng.Chance(1, kPrioritiesOneIn)) return;
  configuration["strategy"] = static_cast<int64_t>(prng.Between(1, sim::PriorityChoice::kDepthMax));
}

std::string StrategyIn(const sim::Configuration& configuration) {
  const uint64_t depth = DepthIn(configuration);
  return depth == 0 ? "uniform" : "pct-" + std::to_string(depth);
}

sim::Plan DrawPlan(std::string_view scenario, uint64_t seed, sim::Configuration (*draw)(Prng&)) {
  Prng configuration_prng(Combine(seed, 1));
  Prng rates_prng(Combine(seed, 2));
  sim::Plan plan;
  plan.scenario = scenario;
  plan.seed = seed;
  plan.configuration = draw(configuration_prng);
  WriteRates(sim::SiteRates::Draw(rates_prng), plan.configuration);
  DrawStrategy(seed, plan.configuration);
  return plan;
}

void WriteRates(const sim::SiteRates& rates, sim::Configuration& configuration) {
  for (const model::SiteInfo& info : model::Sites()) {
    if (rates.of(info.site) != 0) configuration[RateName(info)] = rates.of(info.site);
  }
}

sim::SiteRates RatesIn(const sim::Configuration& configuration) {
  sim::SiteRates rates;
  for (const model::SiteInfo& info : model::Sites()) {
    const int64_t rate = sim::ValueOr(configuration, RateName(info), 0);
    rates.Set(info.site,
              static_cast<uint32_t>(std::clamp<int64_t>(rate, 0, sim::SiteRates::kAlways)));
  }
  return rates;
}

std::expected<RunResult, std::string> RunSeed(const Scenario& scenario, uint64_t seed,
                                              const RunOptions& options) {
  const sim::Plan plan = scenario.Draw(seed);
  sim::RandomChoice uniform(seed, RatesIn(plan.configuration));
  const std::string strategy = StrategyIn(plan.configuration);
  const uint64_t depth = DepthIn(plan.configuration);
  if (depth == 0) return RunWith(scenario, plan, strategy, uniform, options);
  sim::PriorityChoice priorities(uniform, seed, static_cast<unsigned>(depth));
  return RunWith(scenario, plan, strategy, priorities, options);
}

std::expected<RunResult, std::string> RunChoices(const Scenario& scenario, const sim::Plan& plan,
                                                 model::Choice& choice, const RunOptions& options) {
  return RunWith(scenario, plan, "bytes", choice, options);
}

std::expected<RunResult, std::string> RunPlan(const Scenario& scenario, const sim::Plan& plan,
                                              const RunOptions& options) {
  if (plan.scenario != scenario.name()) {
    return std::unexpected("the plan is for the scenario \"" + plan.scenario + "\"");
  }
  sim::PlanChoice choice(plan.choices);
  auto result = RunWith(scenario, plan, "plan", choice, options);
  if (result) result->unused_choices = choice.unused();
  return result;
}

std::optional<std::string> Difference(const sim::Plan& plan, const RunResult& result) {
  const std::string violated = result.violation.has_value() ? result.violation->invariant : "";
  const std::string expected = plan.expected_invariant.value_or("");
  if (violated != expected) {
    const auto name = [](const std::string& invariant) {
      return invariant.empty() ? "no violation" : "the violation \"" + invariant + "\"";
    };
    return "the plan expects " + name(expected) + ", the run had " + name(violated);
  }
  if (plan.expected_hash.has_value() && *plan.expected_hash != result.hash) {
    return "the plan expects the event hash " + sim::HexOf(*plan.expected_hash) + ", the run had " +
           sim::HexOf(result.hash);
  }
  return StaleMark(plan, result);
}

}  // namespace orrery::scenarios
