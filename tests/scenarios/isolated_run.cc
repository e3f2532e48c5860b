#include "tests/scenarios/isolated_run.h"

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

}  // namespace

std::expected<IsolatedResult, std::string> IsolatedRunner::Run(const Scenario& scenario,
                                                               const sim::Plan& plan,
                                                               Choices choices) {
  journal_.Clear();
  const auto body = [&](const sim::ChildSide& side) {
    RunOptions options;
    options.journal = &journal_;
    side.Write(WriteResult(choices == Choices::kOfPlan
                               ? scenarios::RunPlan(scenario, plan, options)
                               : scenarios::RunSeed(scenario, plan.seed, options)));
  };
  const auto child = sim::Child::Start(body, limits_);
  child->PumpToTheEnd();
  if (child->end() == sim::Child::End::kReturned) return ReadResult(child->output());
  IsolatedResult result;
  result.signature = SignatureOfEnd(*child);
  result.report = child->errors();
  result.plan = plan;
  result.plan.choices = journal_.Read();
  result.plan.expected_hash.reset();
  result.plan.expected_invariant = result.signature;
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
                                                             const sim::ShrinkLimits& limits) {
  const auto first = runner.RunPlan(scenario, plan);
  if (!first) return std::unexpected(first.error());
  if (first->signature.empty()) return std::unexpected("the plan breaks no rule");
  const auto run = [&](const sim::Plan& candidate) -> std::optional<sim::Plan> {
    auto result = runner.RunPlan(scenario, candidate);
    if (!result || result->signature != first->signature) return std::nullopt;
    return std::move(result->plan);
  };
  return sim::Shrink(first->plan, run, limits);
}

}  // namespace orrery::scenarios
