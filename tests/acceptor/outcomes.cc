#include "tests/acceptor/outcomes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "sim/odometer.h"
#include "tests/acceptor/lab.h"

namespace orrery::acceptor {
namespace {

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

Subject SubjectOf(const Experiment& experiment) {
  return {.name = std::string(experiment.name),
          .about = std::string(experiment.about),
          .scope = experiment.scope(),
          .settings = experiment.settings,
          .run = [body = experiment.body](Surroundings& surroundings) {
            Lab lab(surroundings);
            body(lab);
            return lab.outcome();
          }};
}

ModelOutcomes Enumerate(const Subject& subject, uint64_t runs_max) {
  ModelOutcomes result;
  sim::OdometerScope scope = subject.scope;
  sim::Odometer odometer(scope.Open(model::Site::kSchedule), runs_max);
  while (odometer.NextRun()) {
    const auto surroundings = MakeModelSurroundings(subject.settings, odometer);
    const std::string outcome = subject.run(*surroundings);
    Learn(result.outcomes[outcome], odometer.departures());
    if (result.violation.empty()) result.violation = surroundings->violation();
  }
  result.runs = odometer.runs();
  result.complete = odometer.complete();
  return result;
}

std::string RunReally(const Subject& subject, uint64_t seed) {
  const auto surroundings = MakeRealSurroundings(seed);
  return subject.run(*surroundings);
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

Comparison MakeComparison(const Subject& subject, uint64_t model_runs_max) {
  return {
      .name = subject.name, .about = subject.about, .model = Enumerate(subject, model_runs_max)};
}

void Witness(const Subject& subject, uint64_t seed, Comparison& comparison) {
  ++comparison.runs;
  ++comparison.seen[RunReally(subject, seed)];
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
