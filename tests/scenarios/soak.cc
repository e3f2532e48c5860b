#include "tests/scenarios/soak.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "sim/event_log.h"
#include "sim/plan.h"
#include "sim/shrink.h"
#include "sim/signature.h"
#include "tests/scenarios/isolated_run.h"

namespace orrery::scenarios {
namespace {

using sim::Json;

// Lines of a child: a letter, then JSON.
constexpr char kBegins = 'B';  // A seed.
constexpr char kResult = 'R';  // Of the seed that began.
constexpr char kPlan = 'P';    // Of a failure, as a string.
constexpr char kShrunk = 'S';  // The same, shrunk.

// A child leaks what a failing run had; after so many it ends, and another one goes on.
constexpr uint64_t kFailuresABlock = 8;

void Say(const sim::ChildSide& side, char letter, const Json& json) {
  side.Write(letter + json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n");
}

Json ResultOf(const RunResult& result, std::set<std::string_view>& marks_said) {
  Json json;
  json["events"] = result.events;
  json["virtual_ns"] = result.virtual_time;
  json["marks"] = Json::array();
  for (const std::string_view mark : result.marks) {
    if (marks_said.insert(mark).second) json["marks"].push_back(mark);
  }
  if (result.violation.has_value()) {
    json["signature"] = SignatureOf(*result.violation);
    json["report"] = result.report;
  }
  return json;
}

void RunBlock(const sim::ChildSide& side, const Scenario& scenario, uint64_t seed, uint64_t end) {
  std::set<std::string_view> marks_said;
  for (uint64_t failures = 0; seed < end && failures < kFailuresABlock; ++seed) {
    side.RestartClock();
    Say(side, kBegins, seed);
    const auto result = RunSeed(scenario, seed, {});
    ORRERY_CHECK_MSG(result.has_value(), "a scenario cannot run what it has drawn");
    Say(side, kResult, ResultOf(*result, marks_said));
    if (result->violation.has_value()) ++failures;
  }
}

// "liveness/never-executed" as part of a file's name.
std::string AsFileName(std::string_view signature) {
  static constexpr size_t kNameMax = 60;
  std::string name;
  for (const char byte : signature.substr(0, kNameMax)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(byte)) != 0;
    if (plain) {
      name += byte;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  // What was cut off tells long ones apart.
  if (signature.size() > kNameMax) name += "-" + sim::HexOf(sim::HashBytes(signature) % 65536);
  return name;
}

}  // namespace

struct Soak::Job {
  std::unique_ptr<sim::Child> child;
  const Scenario* scenario = nullptr;
  // A block of seeds: the one that comes next, and the end.
  uint64_t seed = 0;
  uint64_t end = 0;
  bool in_flight = false;  // `seed` has begun.
  // Or a failure whose plan is being made.
  std::optional<Failed> failed;
  bool has_plan = false;
};

Soak::Soak(const SoakOptions& options) : options_(options) {
  ORRERY_CHECK(!options.scenarios.empty());
  ORRERY_CHECK(options.jobs >= 1 && options.seeds_a_block >= 1);
}

Soak::~Soak() = default;

std::unique_ptr<Soak::Job> Soak::BlockFrom(const Scenario& scenario, uint64_t seed, uint64_t end) {
  auto job = std::make_unique<Job>();
  job->scenario = &scenario;
  job->seed = seed;
  job->end = end;
  job->child =
      sim::Child::Start([&](const sim::ChildSide& side) { RunBlock(side, scenario, seed, end); },
                        {.processor_time_max = options_.processor_time_max});
  return job;
}

std::unique_ptr<Soak::Job> Soak::KeepFailure(Failed failed) {
  auto job = std::make_unique<Job>();
  job->scenario = failed.scenario;
  const sim::ChildLimits limits{.processor_time_max = options_.processor_time_max};
  job->child = sim::Child::Start(
      [&](const sim::ChildSide& side) {
        IsolatedRunner runner(limits);
        const auto first = runner.RunSeed(*failed.scenario, failed.seed);
        if (!first.has_value()) return;
        Say(side, kPlan, sim::WritePlan(first->plan));
        if (!failed.shrink) return;
        const auto small =
            ShrinkIsolated(runner, *failed.scenario, first->plan,
                           {.runs_max = options_.shrink_runs_max, .out_of_time = {}});
        if (small.has_value()) Say(side, kShrunk, sim::WritePlan(small->plan));
      },
      // Its work is that of its own children.
      {.processor_time_max = 3600 * kSecond, .silence_max = 3600 * kSecond});
  job->failed = std::move(failed);
  return job;
}

std::unique_ptr<Soak::Job> Soak::NextJob() {
  if (!to_keep_.empty()) {
    Failed failed = std::move(to_keep_.back());
    to_keep_.pop_back();
    failed.shrink = failed.shrink && shrinking_;
    return KeepFailure(std::move(failed));
  }
  if (stopping_) return nullptr;
  if (!rests_.empty()) {
    const Rest rest = rests_.back();
    rests_.pop_back();
    return BlockFrom(*rest.scenario, rest.seed, rest.end);
  }
  // The scenarios take turns.
  const uint64_t scenarios = options_.scenarios.size();
  const uint64_t begin = blocks_begun_ / scenarios * options_.seeds_a_block;
  if (begin >= options_.seeds_max) return nullptr;
  const uint64_t seeds = std::min(options_.seeds_a_block, options_.seeds_max - begin);
  const Scenario& scenario = *options_.scenarios[blocks_begun_ % scenarios];
  ++blocks_begun_;
  return BlockFrom(scenario, options_.first_seed + begin, options_.first_seed + begin + seeds);
}

void Soak::FillSlots() {
  while (jobs_.size() < options_.jobs) {
    auto job = NextJob();
    if (job == nullptr) return;
    jobs_.push_back(std::move(job));
  }
}

bool Soak::Step(Nanoseconds timeout) {
  FillSlots();
  if (jobs_.empty()) return false;
  std::vector<const sim::Child*> children;
  for (const auto& job : jobs_) children.push_back(job->child.get());
  sim::Child::WaitForAny(children, timeout);
  for (size_t index = 0; index < jobs_.size();) {
    Job& job = *jobs_[index];
    const bool runs = job.child->Pump();
    TakeLines(job);
    const bool enough = job.failed.has_value() && job.has_plan && !shrinking_;
    if (runs && !enough) {
      ++index;
      continue;
    }
    if (!runs) OnEnd(job);
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(index));
  }
  return true;
}

void Soak::StopNow() {
  stopping_ = true;
  shrinking_ = false;
  std::erase_if(jobs_, [](const auto& job) { return !job->failed.has_value(); });
}

void Soak::TakeLines(Job& job) {
  std::string& output = job.child->output();
  size_t taken = 0;
  for (size_t end = output.find('\n'); end != std::string::npos; end = output.find('\n', taken)) {
    TakeLine(job, std::string_view(output).substr(taken, end - taken));
    taken = end + 1;
  }
  output.erase(0, taken);
}

void Soak::TakeLine(Job& job, std::string_view line) {
  const Json json = Json::parse(line.substr(1), nullptr, false);
  ORRERY_CHECK_MSG(!json.is_discarded(), "a child of the soak says what is no result");
  switch (line.front()) {
    case kBegins:
      job.seed = json.get<uint64_t>();
      job.in_flight = true;
      return;
    case kResult:
      job.in_flight = false;
      ++totals_.seeds;
      totals_.events += json["events"].get<uint64_t>();
      totals_.virtual_time += json["virtual_ns"].get<Nanoseconds>();
      for (const Json& mark : json["marks"]) totals_.marks.insert(mark.get<std::string>());
      if (json.contains("signature")) {
        OnFailure(*job.scenario, job.seed, json["signature"].get<std::string>(),
                  json["report"].get<std::string>());
      }
      ++job.seed;
      return;
    case kPlan:
      job.has_plan = true;
      return StorePlan(job, json.get<std::string>());
    case kShrunk:
      return StoreShrunk(job, json.get<std::string>());
    default:
      CheckFailed(__FILE__, __LINE__, "line.front()", "a child of the soak says what is no result");
  }
}

void Soak::OnEnd(Job& job) {
  if (job.failed.has_value()) return;
  if (job.in_flight) {
    // Between two seeds nothing can go wrong; in one, it has.
    ++totals_.seeds;
    OnFailure(*job.scenario, job.seed, SignatureOfEnd(*job.child), job.child->errors());
    ++job.seed;
  }
  if (job.seed < job.end) rests_.push_back({job.scenario, job.seed, job.end});
}

void Soak::OnFailure(const Scenario& scenario, uint64_t seed, const std::string& signature,
                     std::string report) {
  ++totals_.failed;
  SoakFailure& failure = totals_.failures[signature];
  const bool first = failure.count++ == 0;
  if (first) failure.report = std::move(report);
  if (failure.seeds.size() == options_.plans_a_signature) return;
  failure.seeds.push_back(
      {.scenario = std::string(scenario.name()), .seed = seed, .plan_path = {}, .lines = 0});
  to_keep_.push_back(
      {.scenario = &scenario, .seed = seed, .signature = signature, .shrink = first});
}

bool Soak::Write(const std::string& path, const std::string& text) {
  std::error_code error;
  std::filesystem::create_directories(options_.folder, error);
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return true;
  problems_.push_back(path + " could not be written");
  return false;
}

void Soak::StorePlan(const Job& job, const std::string& text) {
  const Failed& failed = *job.failed;
  const std::string path = options_.folder + "/" + AsFileName(failed.signature) + "." +
                           std::string(failed.scenario->name()) + "." + sim::HexOf(failed.seed) +
                           ".jsonl";
  if (!Write(path, text)) return;
  for (SoakFailure::Seed& seed : totals_.failures[failed.signature].seeds) {
    if (seed.seed != failed.seed || seed.scenario != failed.scenario->name()) continue;
    seed.plan_path = path;
    seed.lines = static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
  }
}

void Soak::StoreShrunk(const Job& job, const std::string& text) {
  const Failed& failed = *job.failed;
  const std::string path = options_.folder + "/" + AsFileName(failed.signature) + ".small.jsonl";
  if (!Write(path, text)) return;
  SoakFailure& failure = totals_.failures[failed.signature];
  failure.small_path = path;
  failure.small_lines = static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace orrery::scenarios
