#include "tests/acceptor/outcomes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "sim/odometer.h"

namespace orrery::acceptor {
namespace {

std::string RunOn(Surroundings& surroundings, const Experiment& experiment) {
  Lab lab(surroundings);
  experiment.body(lab);
  return lab.outcome();
}

void Learn(Explanation& explanation, const std::vector<sim::PlannedChoice>& departures) {
  std::set<model::Site> sites;
  for (const sim::PlannedChoice& departure : departures) sites.insert(departure.site);
  const auto worlds = static_cast<size_t>(
      std::count_if(departures.begin(), departures.end(), [](const sim::PlannedChoice& departure) {
        return departure.site == model::Site::kSchedule;
      }));
  const std::pair<size_t, size_t> count(departures.size() - worlds, worlds);
  const bool first = explanation.runs++ == 0;
  if (first || count < explanation.departures_min) {
    explanation.departures_min = count;
    explanation.simplest = sites;
  }
  if (first) {
    explanation.needed = std::move(sites);
    return;
  }
  std::set<model::Site> both;
  std::set_intersection(sites.begin(), sites.end(), explanation.needed.begin(),
                        explanation.needed.end(), std::inserter(both, both.end()));
  explanation.needed = std::move(both);
}

}  // namespace

ModelOutcomes Enumerate(const Experiment& experiment, uint64_t runs_max) {
  ModelOutcomes result;
  sim::Odometer odometer(experiment.scope().Open(model::Site::kSchedule), runs_max);
  while (odometer.NextRun()) {
    const auto surroundings = MakeModelSurroundings(experiment.settings, odometer);
    const std::string outcome = RunOn(*surroundings, experiment);
    Learn(result.outcomes[outcome], odometer.departures());
    if (result.violation.empty()) result.violation = surroundings->violation();
  }
  result.runs = odometer.runs();
  result.complete = odometer.complete();
  return result;
}

std::string RunReally(const Experiment& experiment, uint64_t seed) {
  const auto surroundings = MakeRealSurroundings(seed);
  return RunOn(*surroundings, experiment);
}

size_t Comparison::witnessed() const {
  return static_cast<size_t>(
      std::count_if(model.outcomes.begin(), model.outcomes.end(),
                    [&](const auto& outcome) { return seen.contains(outcome.first); }));
}

std::vector<std::string> Comparison::foreign() const {
  std::vector<std::string> foreign;
  for (const auto& [outcome, times] : seen) {
    if (!model.outcomes.contains(outcome)) foreign.push_back(outcome);
  }
  return foreign;
}

Comparison MakeComparison(const Experiment& experiment, uint64_t model_runs_max) {
  return {.name = std::string(experiment.name),
          .about = std::string(experiment.about),
          .model = Enumerate(experiment, model_runs_max)};
}

void Witness(const Experiment& experiment, uint64_t seed, Comparison& comparison) {
  ++comparison.runs;
  ++comparison.seen[RunReally(experiment, seed)];
}

std::map<model::Site, SiteCount> CountSites(const std::vector<Comparison>& comparisons) {
  std::map<model::Site, SiteCount> counts;
  for (const Comparison& comparison : comparisons) {
    for (const auto& [outcome, times] : comparison.seen) {
      const auto found = comparison.model.outcomes.find(outcome);
      if (found == comparison.model.outcomes.end()) continue;
      for (const model::Site site : found->second.needed) {
        counts[site].needed += times;
        counts[site].experiments.insert(comparison.name);
      }
      for (const model::Site site : found->second.simplest) counts[site].simplest += times;
    }
  }
  return counts;
}

}  // namespace orrery::acceptor
