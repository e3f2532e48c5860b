#include "tests/acceptor/acceptor.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "kernel_model/choice.h"
#include "kernel_model/observer.h"
#include "tests/acceptor/executor.h"
#include "tests/acceptor/follower.h"
#include "tests/acceptor/times.h"
#include "tests/conformance/model_world.h"

namespace orrery::acceptor {
namespace {

using model::Site;

// How many packets of one trace, and threads that wake up, may be late.
constexpr size_t kLateEventsMax = 2;
// Runs of the first search, for what differs on any machine.
constexpr size_t kUsualRunsMax = 1000;
// What happened before, again.
constexpr size_t kStaleness = 16;
// More than Linux ever lets a program send ahead: how much it was, the trace says.
constexpr size_t kPlentyOfSpace = 8 * kMiB;

std::string Said(const Observation& observation) {
  return "turn " + std::to_string(observation.turn) + ": " + ToText(observation);
}

// FNV-1a, by words.
uint64_t Mix(uint64_t hash, uint64_t word) { return (hash ^ word) * 0x100000001b3; }

// What went on in a run: a hash of it, and the first rule that the program broke.
class Collector final : public model::Observer {
 public:
  void OnEvent(const model::Event& event) override {
    if (event.kind == model::EventKind::kFault) return;  // A choice, whatever comes of it.
    for (const uint64_t word :
         {static_cast<uint64_t>(event.kind), event.entity, static_cast<uint64_t>(event.a),
          static_cast<uint64_t>(event.b), static_cast<uint64_t>(event.c)}) {
      happened_ = Mix(happened_, word);
    }
  }
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    // The recording process ignores the signal, as these programs write to broken streams.
    if (invariant == "sigpipe" || !violation_.empty()) return;
    violation_ = std::string(invariant) + ": " + std::string(detail);
  }
  uint64_t happened() const { return happened_; }
  // Empty: none.
  const std::string& violation() const { return violation_; }

 private:
  uint64_t happened_ = 0xcbf29ce484222325;
  std::string violation_;
};

// One run of the model under a script.
struct Attempted {
  bool complete = false;
  size_t matched = 0;
  uint64_t happened = 0;  // What, and what was asked: the same in two runs that differ in nothing.
  std::vector<Question> asked;
  std::set<uint64_t> differs;
  std::string modelled;
  std::string violation;
};

class Search {
 public:
  Search(const Program& program, const Trace& trace, const AcceptorOptions& options,
         Freedom freedom, size_t runs_max)
      : program_(program),
        trace_(trace),
        options_(options),
        runs_max_(runs_max),
        reading_(program, trace, freedom) {}

  Verdict Run() {
    frontier_.push({});
    while (!frontier_.empty()) {
      if (verdict_.runs == runs_max_) {
        verdict_.kind = Verdict::Kind::kOutOfBudget;
        return verdict_;
      }
      const Node node = frontier_.top();
      frontier_.pop();
      if (!tried_.insert(node.script).second) continue;
      const Attempted attempted = Attempt(node.script);
      ++verdict_.runs;
      if (attempted.complete) {
        verdict_.kind = Verdict::Kind::kExplained;
        verdict_.departures = node.script.size();
        verdict_.late_events = node.late_events;
        for (const auto& [key, answer] : node.script) {
          const auto [site, entity, ordinal] = key;
          verdict_.how += site == kMoment ? "moment" : std::string(model::InfoOf(site).name);
          verdict_.how += " " + std::to_string(entity) + "/" + std::to_string(ordinal) + ": " +
                          std::to_string(answer) + "\n";
        }
        verdict_.explained = attempted.matched;
        return verdict_;
      }
      Note(attempted);
      Branch(node, attempted, StalenessOf(attempted));
    }
    verdict_.kind = Verdict::Kind::kUnexplained;
    return verdict_;
  }

 private:
  // A script to try: its parent's with one more answer. Only those behind the first `settled`
  // questions are free, so that hardly a script is met twice.
  struct Node {
    Script script;
    size_t settled = 0;
    size_t late_events = 0;     // Of the script.
    bool ends_late = false;     // The last answer of the script is one.
    size_t staleness = 0;       // Of the parent, see StalenessOf().
    size_t matched = 0;         // By the parent.
    bool to_the_point = false;  // The last answer is about what the parent did otherwise.
    size_t sequence = 0;
    std::optional<Question> last = std::nullopt;  // That was answered otherwise than by the parent.
    friend bool operator<(const Node& left, const Node& right) {
      // Best last, as std::priority_queue wants it.
      if (left.staleness != right.staleness) return left.staleness > right.staleness;
      if (left.matched != right.matched) return left.matched < right.matched;
      if (left.to_the_point != right.to_the_point) return right.to_the_point;
      if (left.script.size() != right.script.size()) {
        return left.script.size() > right.script.size();
      }
      return left.sequence > right.sequence;
    }
  };

  Attempted Attempt(const Script& script) const {
    Follower follower(reading_, script);
    model::ModelOptions options;
    options.defect = options_.defect;
    options.delays = reading_.delays;
    if (reading_.sends_long) options.socket_buffer_bytes = kPlentyOfSpace;
    Collector collector;
    conformance::ModelWorld world(options, follower, collector);
    follower.Attach(world.model());
    Attempted attempted;
    const bool ran = acceptor::Run(program_, world, follower);
    attempted.matched = follower.matched();
    attempted.asked = follower.asked();
    attempted.differs = follower.differs();
    attempted.modelled = follower.modelled();
    attempted.violation = collector.violation();
    attempted.happened = collector.happened();
    for (const Question& question : attempted.asked) {
      attempted.happened = Mix(attempted.happened, static_cast<uint64_t>(question.site));
      attempted.happened = Mix(attempted.happened, question.entity);
    }
    attempted.complete =
        ran && attempted.matched == trace_.observations.size() && attempted.violation.empty();
    return attempted;
  }

  void Note(const Attempted& attempted) {
    if (verdict_.runs > 1 && attempted.matched <= verdict_.explained) return;
    verdict_.explained = attempted.matched;
    const bool at_end = attempted.matched == trace_.observations.size();
    verdict_.observed = at_end ? "" : Said(trace_.observations[attempted.matched]);
    verdict_.modelled = attempted.modelled;
    verdict_.violation = attempted.violation;
  }

  // How little is to be hoped for from a run like this. One that went as one before can only end
  // like it; of those that end alike, each has half the hope of those before it.
  size_t StalenessOf(const Attempted& attempted) {
    const size_t alike = ++ends_[{attempted.matched, attempted.modelled}];
    const bool again = !happened_.insert(attempted.happened).second;
    return static_cast<size_t>(std::bit_width(alike)) + (again ? kStaleness : 0);
  }

  // Of delays, not all are worth a run.
  bool WorthTrying(const Question& question, uint64_t answer) const {
    uint64_t delay = answer;
    if (question.site == Site::kWorkerDelay || question.site == Site::kReadCold) {
      if (answer == 0) return true;
      delay = answer - 1;
    } else if (question.site != Site::kWakeDelay && question.site != Site::kFinAcknowledged) {
      return true;
    }
    return answer + 1 == question.alternatives ||
           EndsWhereItShows(trace_, question.turn, reading_.delays[delay]);
  }

  void Branch(const Node& node, const Attempted& attempted, size_t staleness) {
    // The other answers to what was asked last are as good, or better.
    const bool further = attempted.matched > node.matched;
    if (further && node.last.has_value()) Answers(node, *node.last, attempted, staleness);
    // A late packet must explain something by itself.
    if (node.ends_late && !further) return;
    // The latest questions are the likeliest to matter, and those to the point even if they are
    // settled.
    for (size_t index = attempted.asked.size(); index > 0; --index) {
      const Question& question = attempted.asked[index - 1];
      if (index <= node.settled && !IsToThePoint(question, attempted)) continue;
      const bool late = question.overloaded;
      if (late && node.late_events == kLateEventsMax) continue;
      Node parent = node;
      parent.settled = std::max(node.settled, index);
      parent.ends_late = late;
      if (late) ++parent.late_events;
      Answers(parent, question, attempted, staleness);
    }
  }

  static bool IsToThePoint(const Question& question, const Attempted& attempted) {
    return std::any_of(question.about.begin(), question.about.end(),
                       [&](uint64_t id) { return attempted.differs.contains(id); });
  }

  // A node for each answer to the question, but those that it has.
  void Answers(const Node& parent, const Question& question, const Attempted& attempted,
               size_t staleness) {
    const bool to_the_point = IsToThePoint(question, attempted);
    for (uint64_t answer = 0; answer < question.alternatives; ++answer) {
      if (answer == question.answer || !WorthTrying(question, answer)) continue;
      Node child = parent;
      child.staleness = staleness;
      child.matched = attempted.matched;
      child.to_the_point = to_the_point;
      child.sequence = sequence_++;
      child.last = question;
      child.script[{question.site, question.entity, question.ordinal}] = answer;
      frontier_.push(std::move(child));
    }
  }

  const Program& program_;
  const Trace& trace_;
  const AcceptorOptions& options_;
  const size_t runs_max_;
  const Reading reading_;
  std::priority_queue<Node> frontier_;
  std::set<Script> tried_;
  std::set<uint64_t> happened_;                            // In runs so far.
  std::map<std::pair<size_t, std::string>, size_t> ends_;  // How often: matched and modelled.
  size_t sequence_ = 0;
  Verdict verdict_;
};

}  // namespace

Verdict Explain(const Program& program, const Trace& trace, const AcceptorOptions& options) {
  // What is usual is found soon, or not at all.
  const size_t soon = std::min(options.runs_max, kUsualRunsMax);
  const Verdict usual = Search(program, trace, options, Freedom::kUsual, soon).Run();
  if (usual.kind == Verdict::Kind::kExplained) return usual;
  Verdict late = Search(program, trace, options, Freedom::kOverloaded, options.runs_max).Run();
  late.runs += usual.runs;
  return late;
}

}  // namespace orrery::acceptor
