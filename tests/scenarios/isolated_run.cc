#include "tests/scenarios/isolated_run.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "sim/signature.h"

namespace orrery::scenarios {
namespace {

using sim::Json;

// What the child says: a line about the run, and its plan if it broke something.
std::string WriteResult(const std::expected<RunResult, std::string>& result) {
  Json line;
  if (!result.has_value()) {
    line["error"] = result.error();
    return line.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }
  line["signature"] = result->violation.has_value() ? SignatureOf(*result->violation) : "";
  line["report"] = result->report;
  line["hash"] = result->hash;
  line["events"] = result->events;
  line["virtual_ns"] = result->virtual_time;
  line["marks"] = result->marks;
  std::string text = line.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  if (result->violation.has_value()) text += sim::WritePlan(result->plan);
  return text;
}

std::expected<IsolatedResult, std::string> ReadResult(const std::string& text) {
  const size_t end = text.find('\n');
  const Json line = Json::parse(text.substr(0, end), nullptr, false);
  if (end == std::string::npos || !line.is_object()) {
    return std::unexpected("a child said something that is no result: " + text.substr(0, 200));
  }
  if (line.contains("error")) return std::unexpected(line["error"].get<std::string>());
  IsolatedResult result;
  result.signature = line["signature"].get<std::string>();
  result.report = line["report"].get<std::string>();
  result.hash = line["hash"].get<uint64_t>();
  result.events = line["events"].get<uint64_t>();
  result.virtual_time = line["virtual_ns"].get<Nanoseconds>();
  result.marks = line["marks"].get<std::vector<std::string>>();
  if (!result.signature.empty()) {
    auto plan = sim::ReadPlan(std::string_view(text).substr(end + 1));
    if (!plan) return std::unexpected("the plan of a child: " + plan.error());
    result.plan = *std::move(plan);
  }
  return result;
}

// For what is tried instead of `first`.
IsolatedRunner RunnerForCandidates(const IsolatedResult& first, sim::ChildLimits limits,
                                   Nanoseconds patience) {
  static constexpr uint64_t kTimesFirst = 20;
  static constexpr uint64_t kEventsLeast = 10'000;
  const bool hangs = first.signature == sim::kHangSignature;
  const Nanoseconds time = hangs ? 0 : first.processor_time * Nanoseconds{kTimesFirst};
  limits.processor_time_max = std::min(limits.processor_time_max, std::max(patience, time));
  uint64_t events_max = RunOptions{}.events_max;
  // A run that crashed or hung has not counted them.
  if (first.events != 0) {
    events_max = std::min(events_max, std::max(kEventsLeast, first.events * kTimesFirst));
  }
  return IsolatedRunner(limits, events_max);
}

}  // namespace

std::expected<IsolatedResult, std::string> IsolatedRunner::Run(const Scenario& scenario,
                                                               const sim::Plan& plan,
                                                               Choices choices) {
  journal_.Clear();
  const auto body = [&](const sim::ChildSide& side) {
    RunOptions options;
    options.journal = &journal_;
    options.events_max = events_max_;
    side.Write(WriteResult(choices == Choices::kOfPlan
                               ? scenarios::RunPlan(scenario, plan, options)
                               : scenarios::RunSeed(scenario, plan.seed, options)));
  };
  const auto child = sim::Child::Start(body, limits_);
  child->PumpToTheEnd();
  if (child->end() == sim::Child::End::kReturned) {
    auto result = ReadResult(child->output());
    if (result) result->processor_time = child->processor_time();
    return result;
  }
  IsolatedResult result;
  result.processor_time = child->processor_time();
  result.signature = SignatureOfEnd(*child);
  result.report = child->errors();
  result.plan = plan;
  result.plan.choices = journal_.Read();
  result.plan.expected_hash.reset();
  result.plan.expected_invariant = result.signature;
  result.plan.expected_marks.clear();
  return result;
}

std::expected<IsolatedResult, std::string> IsolatedRunner::RunSeed(const Scenario& scenario,
                                                                   uint64_t seed) {
  return Run(scenario, scenario.Draw(seed), Choices::kOfSeed);
}

std::expected<IsolatedResult, std::string> IsolatedRunner::RunPlan(const Scenario& scenario,
                                                                   const sim::Plan& plan) {
  return Run(scenario, plan, Choices::kOfPlan);
}

std::expected<sim::ShrinkResult, std::string> ShrinkIsolated(IsolatedRunner& runner,
                                                             const Scenario& scenario,
                                                             const sim::Plan& plan,
                                                             const sim::ShrinkLimits& limits,
                                                             Nanoseconds patience) {
  const auto first = runner.RunPlan(scenario, plan);
  if (!first) return std::unexpected(first.error());
  if (first->signature.empty()) return std::unexpected("the plan breaks no rule");
  const auto shrink_by = [&](IsolatedRunner& candidates) {
    const auto run = [&](const sim::Plan& candidate) -> std::optional<sim::Plan> {
      auto result = candidates.RunPlan(scenario, candidate);
      if (!result || result->signature != first->signature) return std::nullopt;
      return std::move(result->plan);
    };
    return sim::Shrink(first->plan, run, limits);
  };
  IsolatedRunner impatient = RunnerForCandidates(*first, runner.limits(), patience);
  sim::ShrinkResult result = shrink_by(impatient);
  // What hangs for so long might only be slow.
  const auto confirmed = runner.RunPlan(scenario, result.plan);
  if (confirmed && confirmed->signature == first->signature) return result;
  return shrink_by(runner);
}

}  // namespace orrery::scenarios
