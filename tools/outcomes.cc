// outcomes: what may come of small programs by the model, and what Linux was seen to do.
//
// Enumerates all outcomes of each experiment on the model, runs it on this kernel many times with
// varied delays, half of them on a busy machine, and compares. Writes docs/choices_witnessed.json
// and the page that is made from it. Exit code 0: Linux did nothing that the model does not have.
// 1: it did, or an enumeration was not complete. 2: wrong use.

#include "tests/acceptor/outcomes.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "kernel_model/choice.h"
#include "tests/acceptor/experiments.h"
#include "tests/acceptor/generated.h"
#include "tools/choices_page.h"

namespace {

using orrery::acceptor::Comparison;
using orrery::acceptor::CountSites;
using orrery::acceptor::Experiment;
using orrery::acceptor::Experiments;
using orrery::acceptor::FindExperiment;
using orrery::acceptor::GeneratedSubject;
using orrery::acceptor::MakeComparison;
using orrery::acceptor::SiteCount;
using orrery::acceptor::Subject;
using orrery::acceptor::SubjectOf;
using orrery::acceptor::Witness;

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;
constexpr unsigned kSpinners = 3;

struct Arguments {
  uint64_t runs = 200;
  uint64_t seed = 1;
  uint64_t model_runs_max = 300'000;
  uint64_t generated = 40;
  std::string experiment;
  bool outcomes = false;
  bool dry = false;
};

// Threads that keep the processors busy while it lives.
class Load {
 public:
  Load() {
    for (unsigned i = 0; i < kSpinners; ++i) {
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  ~Load() {
    stop_.store(true, std::memory_order_relaxed);  // Nothing is handed over with it.
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

void PrintOutcomes(const Comparison& comparison) {
  for (const auto& [outcome, explanation] : comparison.model.outcomes) {
    const auto seen = comparison.seen.find(outcome);
    std::string sites;
    for (const orrery::model::Site site : explanation.simplest) {
      sites += (sites.empty() ? "" : ", ") + std::string(orrery::model::InfoOf(site).name);
    }
    fmt::print("    {:>6}  {}{}\n", seen == comparison.seen.end() ? 0 : seen->second,
               outcome.empty() ? "(nothing)" : outcome, sites.empty() ? "" : "   [" + sites + "]");
  }
  for (const std::string& outcome : comparison.foreign()) {
    fmt::print("    {:>6}  {}   NOT OF THE MODEL\n", comparison.seen.at(outcome), outcome);
  }
}

std::string Kernel() {
  utsname name{};
  if (::uname(&name) != 0) return "unknown";
  // Without what a distribution or a cloud appends to the version.
  std::string_view release(name.release);
  release = release.substr(0, release.find('-'));
  return fmt::format("{} {} {}", name.sysname, release, name.machine);
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[sizeof "2026-11-20"];
  if (std::strftime(text, sizeof text, "%Y-%m-%d", &utc) == 0) return "unknown";
  return text;
}

// Of the table of programs.
struct Row {
  std::string name;
  std::string about;
  size_t model_outcomes = 0;
  size_t witnessed = 0;
  size_t foreign = 0;
  uint64_t model_runs = 0;
  uint64_t runs = 0;

  void Add(const Comparison& comparison) {
    model_outcomes += comparison.model.outcomes.size();
    witnessed += comparison.witnessed();
    foreign += comparison.foreign().size();
    model_runs += comparison.model.runs;
    runs += comparison.runs;
  }
  nlohmann::ordered_json Json() const {
    return {{"name", name},
            {"about", about},
            {"model_outcomes", model_outcomes},
            {"witnessed", witnessed},
            {"foreign", foreign},
            {"model_runs", model_runs},
            {"runs", runs}};
  }
};

nlohmann::ordered_json Measured(const Arguments& arguments,
                                const std::vector<Comparison>& comparisons) {
  nlohmann::ordered_json measured = {
      {"command", fmt::format("bazel run //tools:outcomes -- --runs={} --seed={}", arguments.runs,
                              arguments.seed)},
      {"date", Today()},
      {"kernel", fmt::format("{}, {} processors", Kernel(), std::thread::hardware_concurrency())}};
  Row generated{.name = "(generated)", .about = ""};
  size_t programs = 0;
  for (const Comparison& comparison : comparisons) {
    const bool single = FindExperiment(comparison.name) != nullptr;
    Row row{.name = comparison.name, .about = comparison.about};
    Row& sum = single ? row : generated;
    sum.Add(comparison);
    if (single) measured["experiments"].push_back(row.Json());
    programs += single ? 0 : 1;
  }
  generated.about = fmt::format("{} programs of the acceptor's generator, all together", programs);
  if (programs > 0) measured["experiments"].push_back(generated.Json());
  const auto counts = CountSites(comparisons);
  for (const orrery::model::SiteInfo& info : orrery::model::Sites()) {
    const auto found = counts.find(info.site);
    const SiteCount count = found == counts.end() ? SiteCount{} : found->second;
    measured["sites"][std::string(info.name)] = {{"needed", count.needed},
                                                 {"simplest", count.simplest}};
  }
  return measured;
}

bool WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) fmt::print(stderr, "outcomes: cannot write {}\n", path);
  return static_cast<bool>(file);
}

// docs/choices_witnessed.json, and the page that is made from it.
bool Update(const Arguments& arguments, const std::vector<Comparison>& comparisons) {
  const char* const tree = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  const std::string docs = std::string(tree == nullptr ? "." : tree) + "/docs/";
  std::ifstream file(docs + "kernel_facts.md");
  std::stringstream facts;
  facts << file.rdbuf();
  if (!file) {
    fmt::print(stderr, "outcomes: cannot read {}kernel_facts.md\n", docs);
    return false;
  }
  const std::string measured = Measured(arguments, comparisons).dump(1) + "\n";
  return WriteFile(docs + "choices_witnessed.json", measured) &&
         WriteFile(docs + "choices.md",
                   orrery::tools::ChoicesPage(orrery::model::Sites(), facts.str(), measured));
}

// The experiments, and the first generated programs; or the one that was asked for.
std::vector<Subject> FindSubjects(const Arguments& arguments) {
  std::vector<Subject> subjects;
  for (const Experiment& experiment : Experiments()) subjects.push_back(SubjectOf(experiment));
  uint64_t found = 0;
  for (uint64_t seed = 1; found < arguments.generated; ++seed) {
    if (const auto subject = GeneratedSubject(seed)) {
      subjects.push_back(*subject);
      ++found;
    }
  }
  if (arguments.experiment.empty()) return subjects;
  std::erase_if(subjects,
                [&](const Subject& subject) { return subject.name != arguments.experiment; });
  return subjects;
}

Comparison Compare(const Arguments& arguments, const Subject& subject) {
  Comparison comparison = MakeComparison(subject, arguments.model_runs_max);
  const uint64_t idle = arguments.runs / 2;
  for (uint64_t run = 0; run < idle; ++run) Witness(subject, arguments.seed + run, comparison);
  const Load load;
  for (uint64_t run = idle; run < arguments.runs; ++run) {
    Witness(subject, arguments.seed + run, comparison);
  }
  return comparison;
}

// False: it shows that the model is wrong, or nothing.
bool Good(const Comparison& comparison) {
  return comparison.model.complete && comparison.model.violation.empty() &&
         comparison.foreign().empty();
}

void Print(const Comparison& comparison) {
  fmt::print("{:26} {:>8} {:>10} {:>10} {:>9} {:>8}{}{}\n", comparison.name,
             comparison.model.outcomes.size(), comparison.witnessed(), comparison.foreign().size(),
             comparison.model.runs, comparison.runs,
             comparison.model.complete ? "" : "  NOT ALL RUNS OF THE MODEL",
             comparison.model.violation.empty() ? "" : "  VIOLATION " + comparison.model.violation);
  std::fflush(stdout);
}

void PrintTotals(const std::vector<Comparison>& comparisons) {
  Row all{.name = "all", .about = ""};
  for (const Comparison& comparison : comparisons) all.Add(comparison);
  fmt::print("{:26} {:>8} {:>10} {:>10} {:>9} {:>8}\n\n", all.name, all.model_outcomes,
             all.witnessed, all.foreign, all.model_runs, all.runs);
  fmt::print("{:26} {:>8} {:>10}   in\n", "site", "needed", "simplest");
  for (const auto& [site, count] : CountSites(comparisons)) {
    fmt::print("{:26} {:>8} {:>10}   {}\n", orrery::model::InfoOf(site).name, count.needed,
               count.simplest, fmt::join(count.experiments, ", "));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Compares what may happen on the model with what happens on this kernel.");
  app.add_option("--runs", arguments.runs, "Runs of each experiment on this kernel.");
  app.add_option("--seed", arguments.seed, "Of the delays.");
  app.add_option("--budget", arguments.model_runs_max, "Runs of the model for one experiment.");
  app.add_option("--generated", arguments.generated, "How many generated programs.");
  app.add_option("--experiment", arguments.experiment, "Only this one; writes nothing.");
  app.add_flag("--dry-run", arguments.dry, "Write nothing.");
  app.add_flag("--outcomes", arguments.outcomes, "Print every outcome, and how often it was seen.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUse;
  }
  const std::vector<Subject> subjects = FindSubjects(arguments);
  if (subjects.empty()) {
    fmt::print(stderr, "outcomes: no program has the name {}\n", arguments.experiment);
    return kWrongUse;
  }
  fmt::print("{:26} {:>8} {:>10} {:>10} {:>9} {:>8}\n", "program", "outcomes", "witnessed",
             "foreign", "runs", "on Linux");
  std::vector<Comparison> comparisons;
  bool good = true;
  for (const Subject& subject : subjects) {
    const Comparison& comparison = comparisons.emplace_back(Compare(arguments, subject));
    Print(comparison);
    if (arguments.outcomes || !comparison.foreign().empty()) PrintOutcomes(comparison);
    good &= Good(comparison);
  }
  PrintTotals(comparisons);
  if (arguments.experiment.empty() && !arguments.dry && !Update(arguments, comparisons)) {
    return kFailed;
  }
  return good ? 0 : kFailed;
}
