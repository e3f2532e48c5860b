#include "tests/acceptor/acceptor.h"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernel_model/bystander.h"
#include "kernel_model/choice.h"
#include "kernel_model/observer.h"
#include "tests/acceptor/executor.h"
#include "tests/conformance/model_world.h"

namespace orrery::acceptor {
namespace {

using model::Site;

// The model's clock: turn k starts at k of these. Delays of the model that are shorter end within
// a turn.
constexpr Nanoseconds kTurn = 600 * kMicrosecond;
constexpr Nanoseconds kWait = 550 * kMicrosecond;
// When a short timeout fires: just before a turn, inside an Enter between submission and the wait,
// soon after a turn, or in the middle of a wait. Some of the delays lie before, some after each.
constexpr Nanoseconds kPerSqe = 20;
constexpr Nanoseconds kPerVictim = 1;  // Of a cancel of several.
constexpr Nanoseconds kInEnter = 2 * kMicrosecond;
// Until an Enter looks at its task work, and from there until it does so again.
constexpr Nanoseconds kPerLook = 5 * kMicrosecond;
constexpr Nanoseconds kBetweenLooks = 7 * kMicrosecond;
constexpr Nanoseconds kAfterTurn = 25 * kMicrosecond;
constexpr Nanoseconds kInWait = 300 * kMicrosecond;
constexpr Nanoseconds kBeforeTurn = 20 * kMicrosecond;
constexpr Nanoseconds kAtOnce = 0;
constexpr Nanoseconds kNeverFires = 1000 * kSecond;
// How many packets of one trace may be late.
constexpr size_t kLatePacketsMax = 2;
constexpr uint64_t kLateTurnsAll = 3;
// What a worker's delay is searched for: at once, and up to two turns later.
constexpr uint64_t kWorkerAnswersMax = 16;

// What a delay of the model can be here: soon after its turn, and then in each turn, in its Enter,
// in the middle of its wait and after it. The last is longer than the trace.
std::vector<Nanoseconds> Delays(size_t turns) {
  std::vector<Nanoseconds> delays = {0, kMicrosecond, 4 * kMicrosecond, 10 * kMicrosecond,
                                     50 * kMicrosecond};
  for (size_t turn = 0; turn <= turns; ++turn) {
    const auto later = static_cast<Nanoseconds>(turn) * kTurn;
    if (turn > 0) {
      delays.push_back(later + kInEnter);
      delays.push_back(later + kBetweenLooks);
    }
    delays.push_back(later + kInWait);
    delays.push_back(later + kTurn - kBeforeTurn);
  }
  return delays;
}
constexpr Nanoseconds kRealShort = 400 * kMicrosecond;

// Not the model's: between which turns a short timeout fires. Entity: its id.
constexpr auto kTimerSlot = Site::kCount;

// One question that was asked. A script answers those that it knows, the others get 0.
struct Question {
  Site site;
  uint64_t entity;
  uint64_t ordinal;
  uint64_t alternatives;
  uint64_t answer;
  uint64_t turn;
  std::vector<uint64_t> about;  // Whose place it decides, as far as that is known: ids.
};
using Key = std::tuple<Site, uint64_t, uint64_t>;
using Script = std::map<Key, uint64_t>;

// What is searched. The second is tried only on what the first does not explain.
enum class Freedom : uint8_t {
  kUsual,       // What differs from run to run on any machine.
  kOverloaded,  // And packets of peers that are late.
};

// Where a short timeout that fired may have done so, likeliest first.
struct TimerSlots {
  std::vector<Nanoseconds> due;
};

// The turn that submitted a step: the first Enter after the turn that prepared it.
std::optional<size_t> TurnOfSubmission(const Step& step, const Trace& trace) {
  size_t turn = 0;
  const std::string prepared = ToText(step);
  while (turn < trace.turns.size() && trace.turns[turn].what != prepared) ++turn;
  while (turn < trace.turns.size() && !trace.turns[turn].enters) ++turn;
  return turn < trace.turns.size() ? std::optional(turn) : std::nullopt;
}

// When a short time of this timeout began: at its own submission, or at that of an update.
std::vector<size_t> ShortFrom(uint32_t id, const Program& program, const Trace& trace) {
  std::vector<size_t> turns;
  for (const Step& step : program.steps) {
    const bool own = step.id == id &&
                     (step.kind == StepKind::kTimeout || step.kind == StepKind::kLinkTimeout) &&
                     DurationOf(step) == Duration::kShort;
    const bool update = step.kind == StepKind::kTimeoutUpdate &&
                        static_cast<uint32_t>(step.amount) == id &&
                        DurationOf(step) == Duration::kShort;
    if (!own && !update) continue;
    if (const auto turn = TurnOfSubmission(step, trace)) turns.push_back(*turn);
  }
  return turns;
}

unsigned SqesOf(const Trace& trace, size_t turn) {
  for (const Observation& seen : trace.observations) {
    if (seen.kind == Observation::Kind::kEntered && seen.turn == turn) {
      return static_cast<unsigned>(std::max(seen.result, 0));
    }
  }
  return 0;
}

// How many the cancel of everything found that stands alone in this turn; else 0.
int32_t VictimsOf(const Trace& trace, size_t turn) {
  if (SqesOf(trace, turn) != 1) return 0;
  for (const Observation& seen : trace.observations) {
    if (seen.kind == Observation::Kind::kCompletion && seen.turn == turn) {
      return seen.id >= kCancelId ? std::max(seen.result, 0) : 0;
    }
  }
  return 0;
}

// The first turn in which a timeout can have fired that was seen in turn `seen`: an Enter that does
// not wait would have shown it, unless there was more to show than it shows at once.
size_t FirstTurnToFire(const Trace& trace, size_t submitted, size_t seen, Freedom freedom) {
  if (freedom == Freedom::kOverloaded) return submitted;
  for (size_t turn = seen; turn > submitted + 1; --turn) {
    const Turn& before = trace.turns[turn - 1];
    if (before.enters && !before.waits) return turn;
  }
  return submitted;
}

// When something happened that was seen in turn `seen`, and not before `begun`; `likely` is when it
// did by the real clock, for the order. `at_once`: perhaps in the Enter of `begun` itself.
TimerSlots SlotsBetween(const Trace& trace, size_t begun, size_t seen, Nanoseconds likely,
                        bool at_once, Freedom freedom) {
  std::vector<std::pair<Nanoseconds, Nanoseconds>> found;  // How unlikely, when in model time.
  for (size_t turn = FirstTurnToFire(trace, begun, seen, freedom); turn <= seen; ++turn) {
    const Turn& real = trace.turns[turn];
    const auto start = static_cast<Nanoseconds>(turn) * kTurn;
    const auto distance = [&](Nanoseconds from, Nanoseconds to) {
      return likely < from ? from - likely : std::max<Nanoseconds>(0, likely - to);
    };
    if (turn > begun) {
      const Turn& before = trace.turns[turn - 1];
      found.emplace_back(distance(before.end, real.start), start - kBeforeTurn);
      found.emplace_back(distance(before.end, real.start), start - kTurn + kAfterTurn);
    }
    if (real.waits) found.emplace_back(distance(real.start, real.end), start + kInWait);
    // Or it ended the wait together with the deadline: the thread was late to wake up.
    if (real.waits) found.emplace_back(distance(real.end, real.end) + kMillisecond, start + kWait);
    if (!real.enters || (turn == begun && !at_once && freedom == Freedom::kUsual)) continue;
    found.emplace_back(distance(real.start, real.end), start + kInEnter);
    if (freedom == Freedom::kUsual) continue;
    for (unsigned sqes = 1; sqes < SqesOf(trace, turn); ++sqes) {
      found.emplace_back(distance(real.start, real.end), start + sqes * kPerSqe);
    }
    // Behind each of them, as the last of which it would have been cancelled.
    for (int32_t victims = 1; victims <= VictimsOf(trace, turn) + 1; ++victims) {
      found.emplace_back(distance(real.start, real.end), start + victims * kPerVictim);
    }
  }
  // Where two are equally near, the one that was found first is tried first.
  std::multimap<Nanoseconds, Nanoseconds> by_distance(found.begin(), found.end());
  TimerSlots slots;
  for (const auto& [unlikely, due] : by_distance) slots.due.push_back(due);
  return slots;
}

// Linked timeouts that do not say what they did, by the operation that each guards.
std::map<uint32_t, uint32_t> HiddenTimeouts(const Program& program) {
  std::map<uint32_t, uint32_t> hidden_by;
  const Step* before = nullptr;
  for (const Step& step : program.steps) {
    if (!IsOperation(step.kind)) continue;
    const bool guards = step.kind == StepKind::kLinkTimeout && before != nullptr;
    if (guards && (step.flags & kSkipSuccess) != 0) hidden_by[before->id] = step.id;
    before = &step;
  }
  return hidden_by;
}

// Of each short timeout that was seen to fire, or that may have done so unseen.
std::map<uint32_t, TimerSlots> FindTimerSlots(const Program& program, const Trace& trace,
                                              Freedom freedom) {
  std::map<uint32_t, TimerSlots> slots;
  const auto slots_before = [&](uint32_t id, size_t seen) {
    std::vector<size_t> begun = ShortFrom(id, program, trace);
    std::erase_if(begun, [&](size_t turn) { return turn > seen; });
    if (begun.empty()) return TimerSlots();
    const Nanoseconds fires = trace.turns[begun.back()].start + kRealShort;
    return SlotsBetween(trace, begun.front(), seen, fires, /*at_once=*/false, freedom);
  };
  const std::map<uint32_t, uint32_t> hidden_by = HiddenTimeouts(program);
  for (const Observation& seen : trace.observations) {
    if (seen.kind != Observation::Kind::kCompletion) continue;
    // A linked timeout that fired too late says ENOENT (fact Q3).
    if (seen.result == -ETIME || seen.result == -ENOENT || seen.result == -EALREADY) {
      const TimerSlots found = slots_before(seen.id, seen.turn);
      if (!found.due.empty()) slots[seen.id] = found;
    }
    const auto hidden = hidden_by.find(seen.id);
    if (hidden == hidden_by.end()) continue;
    TimerSlots found = slots_before(hidden->second, seen.turn);
    const bool likely = seen.result == -ECANCELED;
    found.due.insert(likely ? found.due.end() : found.due.begin(), kNeverFires);
    slots[hidden->second] = found;
  }
  return slots;
}

// Of each notification. The first is the model's own: when the size of the send has it.
std::map<uint32_t, TimerSlots> FindNotificationSlots(const Trace& trace, Freedom freedom) {
  std::map<uint32_t, TimerSlots> slots;
  std::map<uint32_t, size_t> sent;
  for (const Observation& seen : trace.observations) {
    if (seen.kind != Observation::Kind::kCompletion) continue;
    if ((seen.flags & IORING_CQE_F_NOTIF) == 0) {
      sent[seen.id] = seen.turn;
      continue;
    }
    const size_t begun = sent.contains(seen.id) ? sent[seen.id] : seen.turn;
    TimerSlots found = SlotsBetween(trace, begun, seen.turn, trace.turns[seen.turn].start,
                                    /*at_once=*/true, freedom);
    if (begun == seen.turn) found.due.insert(found.due.begin(), kAtOnce);
    slots[seen.id] = found;
  }
  return slots;
}

// Answers from a script, and writes down what was asked.
class GuidedChoice final : public model::Choice {
 public:
  // `workers`: the ids of what workers carry out.
  GuidedChoice(Freedom freedom, const Script& script, const std::set<uint64_t>& workers)
      : freedom_(freedom), script_(script), workers_(workers) {}

  uint64_t Choose(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives) override {
    if (!Searched(site)) return 0;
    if (site == Site::kWorkerDelay && freedom_ == Freedom::kUsual) {
      alternatives = std::min(alternatives, kWorkerAnswersMax);
    }
    const bool timer = site == kTimerSlot;
    return Ask(site, entity, ordinal, alternatives,
               timer ? std::vector<uint64_t>{entity} : std::vector<uint64_t>{});
  }

  // Only the end of a worker stands anywhere among others: it overtakes, or is overtaken.
  uint64_t ChooseAmong(Site site, uint64_t entity, uint64_t ordinal,
                       std::span<const uint64_t> names) override {
    if (site != Site::kTaskWorkOrder) return Choose(site, entity, ordinal, names.size());
    std::vector<uint64_t> answers = {0};
    for (uint64_t index = 1; index < names.size(); ++index) {
      if (workers_.contains(names[0]) || workers_.contains(names[index])) answers.push_back(index);
    }
    return answers[Ask(site, entity, ordinal, answers.size(), {names.begin(), names.end()})];
  }

  void set_turn(uint64_t turn) { turn_ = turn; }
  const std::vector<Question>& asked() const { return asked_; }

 private:
  bool Searched(Site site) const {
    if (site == Site::kWakeDelay) return freedom_ == Freedom::kOverloaded;
    return site == kTimerSlot || site == Site::kWorkerDelay || site == Site::kWorkerOrder ||
           site == Site::kWorkerStarted || site == Site::kFinAcknowledged ||
           site == Site::kBundleShort || site == Site::kBundleEnds;
  }
  uint64_t Ask(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives,
               std::vector<uint64_t> about) {
    if (alternatives == 1) return 0;
    const auto scripted = script_.find({site, entity, ordinal});
    const uint64_t answer =
        scripted == script_.end() ? 0 : std::min(scripted->second, alternatives - 1);
    asked_.push_back({site, entity, ordinal, alternatives, answer, turn_, std::move(about)});
    return answer;
  }

  const Freedom freedom_;
  const Script& script_;
  const std::set<uint64_t>& workers_;
  std::vector<Question> asked_;
  uint64_t turn_ = 0;
};

std::string Said(const Observation& observation) {
  return "turn " + std::to_string(observation.turn) + ": " + ToText(observation);
}

// Keeps the first rule that a program broke.
class Collector final : public model::Observer {
 public:
  void OnEvent(const model::Event&) override {}
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    // The recording process ignores the signal, as these programs write to broken streams.
    if (invariant == "sigpipe" || !violation_.empty()) return;
    violation_ = std::string(invariant) + ": " + std::string(detail);
  }
  // Empty: none.
  const std::string& violation() const { return violation_; }

 private:
  std::string violation_;
};

// The model's side of the lockstep.
class Follower final : public Driver, public model::Bystander {
 public:
  Follower(model::ModelKernel& kernel, const Collector& collector, GuidedChoice& choice,
           const Program& program, const Trace& trace, const std::map<uint32_t, TimerSlots>& slots,
           const std::map<uint32_t, TimerSlots>& notifications)
      : kernel_(kernel),
        collector_(collector),
        choice_(choice),
        trace_(trace),
        slots_(slots),
        notifications_(notifications) {
    for (const Step& step : program.steps) {
      if (step.kind == StepKind::kTimeoutUpdate) {
        updated_[step.id] = static_cast<uint32_t>(step.amount);
      }
    }
    kernel_.SetBystander(this);
  }
  ~Follower() override { kernel_.SetBystander(nullptr); }

  void BeginTurn(const Turn&) override {
    const Nanoseconds start = static_cast<Nanoseconds>(turn_) * kTurn;
    kernel_.AdvanceTo(std::max(start, kernel_.MonotonicNow()));
    choice_.set_turn(turn_);
    operations_ = looks_ = 0;
  }
  void EndTurn() override { ++turn_; }

  bool Observe(const Observation& observation) override {
    if (!collector_.violation().empty()) return false;
    if (next_ == trace_.observations.size() ||
        !SameOutcome(trace_.observations[next_], observation)) {
      modelled_ = Said(observation);
      differs_ = {observation.id};
      if (next_ < trace_.observations.size()) differs_.insert(trace_.observations[next_].id);
      return false;
    }
    ++next_;
    return true;
  }

  bool real() const override { return false; }
  Nanoseconds WaitBound(bool) override { return kWait; }
  Time ShortTimeout(uint32_t id) override {
    if (const auto updated = updated_.find(id); updated != updated_.end()) id = updated->second;
    const auto found = slots_.find(id);
    if (found == slots_.end()) return {.time = kNeverFires};
    const uint64_t answer = choice_.Choose(kTimerSlot, id, 0, found->second.due.size());
    return {.time = found->second.due[answer], .absolute = true};
  }
  Time ZeroLinkTimeout(uint32_t id) override {
    // Before its operation comes to wait, or just after that.
    return {.time = choice_.Choose(kTimerSlot, id, 0, 2) == 0 ? 0 : kPerSqe / 2};
  }
  void Pause() override {}

  // Time passes inside an Enter.
  void BeforeOperation(uint64_t, const io_uring_sqe&) override {
    if (operations_++ > 0) kernel_.AdvanceTo(kernel_.MonotonicNow() + kPerSqe);
  }
  void BeforeVictim(uint64_t, uint64_t) override {
    kernel_.AdvanceTo(kernel_.MonotonicNow() + kPerVictim);
  }
  void BeforeTaskWork(uint64_t, unsigned, bool) override {
    const Nanoseconds start = static_cast<Nanoseconds>(turn_) * kTurn;
    kernel_.AdvanceTo(std::max(start + ++looks_ * kPerLook, kernel_.MonotonicNow()));
  }
  void AfterReceive(uint64_t, uint64_t, size_t) override {}
  void BeforeWaiting(uint64_t, uint64_t) override {}
  size_t SendRoom(uint64_t, uint64_t, size_t room, size_t) override { return room; }
  bool HoldsWorker(uint64_t, uint64_t) override { return false; }

  std::optional<Nanoseconds> PayloadHeldFor(uint64_t, uint64_t user_data) override {
    const auto found = notifications_.find(static_cast<uint32_t>(user_data));
    if (found == notifications_.end()) return kNeverFires;
    const std::vector<Nanoseconds>& due = found->second.due;
    const Nanoseconds then = due[choice_.Choose(kTimerSlot, user_data, 1, due.size())];
    return std::max<Nanoseconds>(0, then - kernel_.MonotonicNow());
  }

  size_t matched() const { return next_; }
  const std::string& modelled() const { return modelled_; }
  // The ids of what the kernel did next and of what the model did instead.
  const std::set<uint64_t>& differs() const { return differs_; }

 private:
  model::ModelKernel& kernel_;
  const Collector& collector_;
  GuidedChoice& choice_;
  const Trace& trace_;
  const std::map<uint32_t, TimerSlots>& slots_;
  const std::map<uint32_t, TimerSlots>& notifications_;
  std::map<uint32_t, uint32_t> updated_;  // By updates: which timeout.
  uint64_t turn_ = 0;
  unsigned operations_ = 0;  // Of this turn.
  unsigned looks_ = 0;       // Of this turn, at task work.
  size_t next_ = 0;
  std::string modelled_;
  std::set<uint64_t> differs_;
};

// One run of the model under a script.
struct Attempted {
  bool complete = false;
  size_t matched = 0;
  std::vector<Question> asked;
  std::set<uint64_t> differs;
  std::string modelled;
  std::string violation;
};

class Search {
 public:
  Search(const Program& program, const Trace& trace, const AcceptorOptions& options,
         Freedom freedom)
      : program_(program),
        trace_(trace),
        options_(options),
        freedom_(freedom),
        delays_(Delays(trace.turns.size())),
        slots_(FindTimerSlots(program, trace, freedom)),
        notifications_(FindNotificationSlots(trace, freedom)) {
    for (const Step& step : program.steps) {
      if (step.kind == StepKind::kShutdown) workers_.insert(step.id);
    }
  }

  Verdict Run() {
    frontier_.push({});
    while (!frontier_.empty()) {
      if (verdict_.runs == options_.runs_max) {
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
        verdict_.late_packets = node.late_packets;
        for (const auto& [key, answer] : node.script) {
          const auto [site, entity, ordinal] = key;
          verdict_.how += site == kTimerSlot ? "timer" : std::string(model::InfoOf(site).name);
          verdict_.how += " " + std::to_string(entity) + "/" + std::to_string(ordinal) + ": " +
                          std::to_string(answer) + "\n";
        }
        verdict_.explained = attempted.matched;
        return verdict_;
      }
      Note(attempted);
      Branch(node, attempted);
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
    size_t late_packets = 0;    // Of the script.
    bool ends_late = false;     // The last answer of the script is one.
    size_t matched = 0;         // By the parent.
    bool to_the_point = false;  // The last answer is about what the parent did otherwise.
    size_t sequence = 0;
    std::optional<Question> last = std::nullopt;  // That was answered otherwise than by the parent.
    friend bool operator<(const Node& left, const Node& right) {
      // Best last, as std::priority_queue wants it.
      if (left.matched != right.matched) return left.matched < right.matched;
      if (left.to_the_point != right.to_the_point) return right.to_the_point;
      if (left.script.size() != right.script.size()) {
        return left.script.size() > right.script.size();
      }
      return left.sequence > right.sequence;
    }
  };

  Attempted Attempt(const Script& script) const {
    GuidedChoice choice(freedom_, script, workers_);
    model::ModelOptions options;
    options.defect = options_.defect;
    options.delays = delays_;
    Collector collector;
    conformance::ModelWorld world(options, choice, collector);
    Follower follower(world.model(), collector, choice, program_, trace_, slots_, notifications_);
    Attempted attempted;
    const bool ran = acceptor::Run(program_, world, follower);
    attempted.matched = follower.matched();
    attempted.asked = choice.asked();
    attempted.differs = follower.differs();
    attempted.modelled = follower.modelled();
    attempted.violation = collector.violation();
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

  // Whether a delay is worth a run: it ends next to a turn that enters or in its wait, or a few
  // turns later, or never.
  bool WorthTrying(const Question& question, uint64_t answer) const {
    uint64_t delay = answer;
    if (question.site == Site::kWorkerDelay) {
      if (answer == 0) return true;
      delay = answer - 1;
    } else if (question.site != Site::kWakeDelay && question.site != Site::kFinAcknowledged) {
      return true;
    }
    const Nanoseconds later = delays_[delay];
    const auto turns = static_cast<uint64_t>(later / kTurn);
    if (turns < kLateTurnsAll) return true;
    const uint64_t turn = question.turn + turns;
    if (turn + 1 >= trace_.turns.size()) return answer + 1 == question.alternatives;
    if (later % kTurn == kInWait) return trace_.turns[turn].waits;
    if (later % kTurn < kInWait) return trace_.turns[turn].enters;
    return trace_.turns[turn].enters || trace_.turns[turn + 1].enters;
  }

  void Branch(const Node& node, const Attempted& attempted) {
    // The other answers to what was asked last are as good, or better.
    const bool further = attempted.matched > node.matched;
    if (further && node.last.has_value()) Answers(node, *node.last, attempted);
    // A late packet must explain something by itself.
    if (node.ends_late && !further) return;
    // The latest questions are the likeliest to matter, and those to the point even if they are
    // settled.
    for (size_t index = attempted.asked.size(); index > 0; --index) {
      const Question& question = attempted.asked[index - 1];
      if (index <= node.settled && !IsToThePoint(question, attempted)) continue;
      const bool late = question.site == Site::kWakeDelay;
      if (late && node.late_packets == kLatePacketsMax) continue;
      Node parent = node;
      parent.settled = std::max(node.settled, index);
      parent.ends_late = late;
      if (late) ++parent.late_packets;
      Answers(parent, question, attempted);
    }
  }

  static bool IsToThePoint(const Question& question, const Attempted& attempted) {
    return std::any_of(question.about.begin(), question.about.end(),
                       [&](uint64_t id) { return attempted.differs.contains(id); });
  }

  // A node for each answer to the question, but those that it has.
  void Answers(const Node& parent, const Question& question, const Attempted& attempted) {
    const bool to_the_point = IsToThePoint(question, attempted);
    for (uint64_t answer = 0; answer < question.alternatives; ++answer) {
      if (answer == question.answer || !WorthTrying(question, answer)) continue;
      Node child = parent;
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
  const Freedom freedom_;
  const std::vector<Nanoseconds> delays_;
  const std::map<uint32_t, TimerSlots> slots_;
  const std::map<uint32_t, TimerSlots> notifications_;
  std::set<uint64_t> workers_;
  std::priority_queue<Node> frontier_;
  std::set<Script> tried_;
  size_t sequence_ = 0;
  Verdict verdict_;
};

}  // namespace

Verdict Explain(const Program& program, const Trace& trace, const AcceptorOptions& options) {
  const Verdict usual = Search(program, trace, options, Freedom::kUsual).Run();
  if (usual.kind == Verdict::Kind::kExplained) return usual;
  Verdict late = Search(program, trace, options, Freedom::kOverloaded).Run();
  late.runs += usual.runs;
  return late;
}

}  // namespace orrery::acceptor
