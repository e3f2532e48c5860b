// Which outcomes a small program may have by the model, and which of them Linux was seen to have.
//
// The model's side is complete or says that it is not; what a run of Linux needed is read off the
// model's explanations of its outcome. Invariant: an outcome is foreign only if the enumeration was
// complete and does not have it. One thread, but for the peers of a real run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernel_model/choice.h"
#include "sim/odometer.h"
#include "tests/acceptor/experiments.h"
#include "tests/acceptor/surroundings.h"

namespace orrery::acceptor {

// How the model comes to an outcome.
struct Explanation {
  // Sites that departed from benign in every run that had it: it cannot be explained without them.
  std::set<model::Site> needed;
  // Sites that departed in the simplest of these runs: the one in which the kernel departs least.
  std::set<model::Site> simplest;
  std::pair<size_t, size_t> departures_min;  // The kernel's, and those of the world.
  uint64_t runs = 0;
};

struct ModelOutcomes {
  std::map<std::string, Explanation> outcomes;
  uint64_t runs = 0;
  bool complete = false;
  std::string violation;  // The first rule that the program broke; empty: none.
};

// A program that both kernels can run.
struct Subject {
  std::string name;
  std::string about;
  sim::OdometerScope scope;  // What the kernel is free to do in it.
  ModelSettings settings = {};
  // Runs it from the set-up on, and answers its outcome. Starts and rests the surroundings.
  std::function<std::string(Surroundings&)> run;
};
Subject SubjectOf(const Experiment& experiment);

ModelOutcomes Enumerate(const Subject& subject, uint64_t runs_max);

// One run on Linux. `seed` varies its delays.
std::string RunReally(const Subject& subject, uint64_t seed);

// What came of a program on both sides.
struct Comparison {
  std::string name;
  std::string about;
  ModelOutcomes model;
  uint64_t runs = 0;                          // On Linux.
  std::map<std::string, uint64_t> seen = {};  // Outcomes of Linux, and how often.
  size_t witnessed() const;                   // Outcomes of the model that were seen.
  std::vector<std::string> foreign() const;   // Outcomes of Linux that the model does not have.
};

Comparison MakeComparison(const Subject& subject, uint64_t model_runs_max);
// One more run on Linux.
void Witness(const Subject& subject, uint64_t seed, Comparison& comparison);

// How often a site was at work in real runs.
struct SiteCount {
  uint64_t needed = 0;    // Runs that cannot be explained without it.
  uint64_t simplest = 0;  // Runs whose simplest explanation has it.
  std::set<std::string> experiments;
};
std::map<model::Site, SiteCount> CountSites(const std::vector<Comparison>& comparisons);

}  // namespace orrery::acceptor
