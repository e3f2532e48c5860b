#include "tests/acceptor/times.h"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "tests/acceptor/executor.h"

namespace orrery::acceptor {
namespace {

// When a timer fires: just before a turn, inside an Enter between submission and the first look at
// task work, while that runs, between two looks, soon after a turn, or in the middle of a wait.
constexpr Nanoseconds kInRun = kPerLook + kPerRun / 2;
constexpr Nanoseconds kBetweenLooks = 7 * kMicrosecond;
constexpr Nanoseconds kAfterTurn = 25 * kMicrosecond;
constexpr Nanoseconds kInWait = 300 * kMicrosecond;
constexpr Nanoseconds kBeforeTurn = 20 * kMicrosecond;
constexpr Nanoseconds kRealShort = 400 * kMicrosecond;
constexpr uint64_t kLateTurnsAll = 3;

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
Moments Between(const Trace& trace, size_t begun, size_t seen, Nanoseconds likely, bool at_once,
                Freedom freedom) {
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
    found.emplace_back(distance(real.start, real.end), start + kBetweenLooks);
    found.emplace_back(distance(real.start, real.end), start + kInRun);
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
  Moments moments;
  for (const auto& [unlikely, due] : by_distance) moments.push_back(due);
  return moments;
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

// The timeouts of no time at all.
bool IsOfNoTime(const Program& program, uint32_t id) {
  return std::any_of(program.steps.begin(), program.steps.end(), [id](const Step& step) {
    return step.id == id && step.kind == StepKind::kTimeout && DurationOf(step) == Duration::kZero;
  });
}

std::optional<size_t> TurnOfSubmission(uint32_t id, const Program& program, const Trace& trace) {
  for (const Step& step : program.steps) {
    if (IsOperation(step.kind) && step.id == id) return TurnOfSubmission(step, trace);
  }
  return std::nullopt;
}

}  // namespace

std::optional<size_t> TurnOfSubmission(const Step& step, const Trace& trace) {
  size_t turn = 0;
  const std::string prepared = ToText(step);
  while (turn < trace.turns.size() && trace.turns[turn].what != prepared) ++turn;
  while (turn < trace.turns.size() && !trace.turns[turn].enters) ++turn;
  return turn < trace.turns.size() ? std::optional(turn) : std::nullopt;
}

std::vector<Nanoseconds> Delays(size_t turns) {
  std::vector<Nanoseconds> delays = {0,      kMicrosecond,  4 * kMicrosecond,
                                     kInRun, kBetweenLooks, 50 * kMicrosecond};
  for (size_t turn = 0; turn <= turns; ++turn) {
    const auto later = static_cast<Nanoseconds>(turn) * kTurn;
    if (turn > 0) {
      delays.push_back(later + kInEnter);
      delays.push_back(later + kInRun);
      delays.push_back(later + kBetweenLooks);
    }
    delays.push_back(later + kInWait);
    delays.push_back(later + kTurn - kBeforeTurn);
  }
  return delays;
}

bool EndsWhereItShows(const Trace& trace, uint64_t turn, Nanoseconds delay) {
  const auto turns = static_cast<uint64_t>(delay / kTurn);
  if (turns < kLateTurnsAll) return true;
  const uint64_t then = turn + turns;
  if (then + 1 >= trace.turns.size()) return false;
  if (delay % kTurn == kInWait) return trace.turns[then].waits;
  if (delay % kTurn < kInWait) return trace.turns[then].enters;
  return trace.turns[then].enters || trace.turns[then + 1].enters;
}

std::map<uint32_t, Moments> ExpiriesIn(const Program& program, const Trace& trace,
                                       Freedom freedom) {
  std::map<uint32_t, Moments> expiries;
  const auto before = [&](uint32_t id, size_t seen) {
    std::vector<size_t> begun = ShortFrom(id, program, trace);
    std::erase_if(begun, [&](size_t turn) { return turn > seen; });
    if (begun.empty()) return Moments();
    const Nanoseconds fires = trace.turns[begun.back()].start + kRealShort;
    return Between(trace, begun.front(), seen, fires, /*at_once=*/false, freedom);
  };
  const std::map<uint32_t, uint32_t> hidden_by = HiddenTimeouts(program);
  for (const Observation& seen : trace.observations) {
    if (seen.kind != Observation::Kind::kCompletion) continue;
    // A linked timeout that fired too late says ENOENT (fact Q3).
    if (seen.result == -ETIME || seen.result == -ENOENT || seen.result == -EALREADY) {
      const Moments found = before(seen.id, seen.turn);
      if (!found.empty()) expiries[seen.id] = found;
    }
    if (IsOfNoTime(program, seen.id)) {
      const std::optional<size_t> begun = TurnOfSubmission(seen.id, program, trace);
      if (begun && *begun < seen.turn) {
        Moments late = Between(trace, *begun, seen.turn, trace.turns[*begun].end,
                               /*at_once=*/true, freedom);
        late.insert(late.begin(), kAtOnce);
        if (seen.result != -ETIME) late.push_back(kBeyondTrace);
        expiries[seen.id] = late;
      }
    }
    const auto hidden = hidden_by.find(seen.id);
    if (hidden == hidden_by.end()) continue;
    Moments found = before(hidden->second, seen.turn);
    const bool likely = seen.result == -ECANCELED;
    found.insert(likely ? found.end() : found.begin(), kBeyondTrace);
    expiries[hidden->second] = found;
  }
  return expiries;
}

std::map<uint32_t, Moments> NotificationsIn(const Trace& trace, Freedom freedom) {
  std::map<uint32_t, Moments> notifications;
  std::map<uint32_t, size_t> sent;
  for (const Observation& seen : trace.observations) {
    if (seen.kind != Observation::Kind::kCompletion) continue;
    if ((seen.flags & IORING_CQE_F_NOTIF) == 0) {
      sent[seen.id] = seen.turn;
      continue;
    }
    const size_t begun = sent.contains(seen.id) ? sent[seen.id] : seen.turn;
    Moments found = Between(trace, begun, seen.turn, trace.turns[seen.turn].start,
                            /*at_once=*/true, freedom);
    if (begun == seen.turn) found.insert(found.begin(), kAtOnce);
    notifications[seen.id] = found;
  }
  return notifications;
}

}  // namespace orrery::acceptor
