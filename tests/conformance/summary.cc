#include "tests/conformance/summary.h"

#include <cstdio>

#include "base/check.h"
#include "tests/conformance/requirements.h"

namespace orrery::conformance {
namespace {

constexpr size_t kLineMax = 160;

std::string Row(std::string_view family, const std::string& facts, const std::string& bodies,
                const std::string& model, const std::string& real, const std::string& skipped,
                const std::string& failed) {
  char line[kLineMax];
  const int length =
      std::snprintf(line, sizeof line, "%-18.*s %7s %8s %16s %17s %9s %8s\n",
                    static_cast<int>(family.size()), family.data(), facts.c_str(), bodies.c_str(),
                    model.c_str(), real.c_str(), skipped.c_str(), failed.c_str());
  ORRERY_CHECK(length > 0 && static_cast<size_t>(length) < sizeof line);
  return line;
}

}  // namespace

struct Summary::Line {
  size_t facts = 0;
  size_t bodies = 0;
  size_t on_model = 0;
  size_t on_kernel = 0;
  size_t skipped = 0;  // Facts of which the kernel showed nothing.
  size_t failed = 0;   // Runs.

  std::string Text(std::string_view name) const {
    return Row(name, std::to_string(facts), std::to_string(bodies), std::to_string(on_model),
               std::to_string(on_kernel), std::to_string(skipped), std::to_string(failed));
  }
};

void Summary::Tally::Add(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      ++passed;
      return;
    case Outcome::kSkipped:
      ++skipped;
      return;
    case Outcome::kFailed:
      ++failed;
      return;
  }
}

void Summary::Tally::Add(const Tally& other) {
  passed += other.passed;
  skipped += other.skipped;
  failed += other.failed;
}

void Summary::Add(std::string_view suite, std::string_view test, Outcome outcome,
                  std::string_view reason) {
  const std::string_view name = suite.substr(suite.rfind('/') + 1);
  const size_t slash = test.rfind('/');
  if (slash == std::string_view::npos) return;  // Not of a kernel.
  const std::string_view body = test.substr(0, slash);
  const std::string_view fact = FactOf(body);
  const bool real = test.substr(slash + 1).starts_with("Real");

  Family& family = families_[std::string(name)];
  family.bodies.emplace(body);
  (real ? family.runs.real : family.runs.model).Add(outcome);
  if (!fact.empty()) {
    Kernels& kernels = family.facts[std::string(fact)];
    (real ? kernels.real : kernels.model).Add(outcome);
  }
  if (outcome == Outcome::kSkipped) {
    skipped_.emplace_back(std::string(name) + "." + std::string(test), std::string(reason));
  }
}

void Summary::OnTestEnd(const testing::TestInfo& test) {
  const testing::TestResult& result = *test.result();
  std::string reason;
  for (int part = 0; part < result.total_part_count(); ++part) {
    if (result.GetTestPartResult(part).skipped()) reason = result.GetTestPartResult(part).message();
  }
  while (reason.ends_with('\n')) reason.pop_back();
  const Outcome outcome = result.Failed()    ? Outcome::kFailed
                          : result.Skipped() ? Outcome::kSkipped
                                             : Outcome::kPassed;
  Add(test.test_suite_name(), test.name(), outcome, reason);
}

Summary::Line Summary::LineOf(const std::map<std::string, Kernels>& facts, size_t bodies,
                              const Kernels& runs) {
  Line line{
      .facts = facts.size(), .bodies = bodies, .failed = runs.model.failed + runs.real.failed};
  for (const auto& [fact, kernels] : facts) {
    if (kernels.model.holds()) ++line.on_model;
    if (kernels.real.holds()) ++line.on_kernel;
    if (kernels.real.unknown()) ++line.skipped;
  }
  return line;
}

size_t Summary::facts() const {
  std::set<std::string> ids;
  for (const auto& [name, family] : families_) {
    for (const auto& [fact, kernels] : family.facts) ids.insert(fact);
  }
  return ids.size();
}

std::string Summary::Table() const {
  std::string text =
      Row("family", "facts", "bodies", "on the model", "on the kernel", "skipped", "failed");
  std::map<std::string, Kernels> all;
  Kernels runs;
  size_t bodies = 0;
  for (const auto& [name, family] : families_) {
    text += LineOf(family.facts, family.bodies.size(), family.runs).Text(name);
    bodies += family.bodies.size();
    runs.model.Add(family.runs.model);
    runs.real.Add(family.runs.real);
    for (const auto& [fact, kernels] : family.facts) {
      all[fact].model.Add(kernels.model);
      all[fact].real.Add(kernels.real);
    }
  }
  text += LineOf(all, bodies, runs).Text("all (a fact once)");
  text += "runs on the model: " + std::to_string(runs.model.passed) + " passed, " +
          std::to_string(runs.model.skipped) + " skipped, " + std::to_string(runs.model.failed) +
          " failed; on the kernel: " + std::to_string(runs.real.passed) + " passed, " +
          std::to_string(runs.real.skipped) + " skipped, " + std::to_string(runs.real.failed) +
          " failed\n";
  for (const auto& [name, reason] : skipped_) text += "skipped " + name + ": " + reason + "\n";
  return text;
}

}  // namespace orrery::conformance
