#include "tests/acceptor/follower.h"

#include <liburing.h>

#include <algorithm>
#include <array>
#include <utility>

namespace orrery::acceptor {
namespace {

using model::Site;

constexpr uint64_t kNotSeen = ~uint64_t{0};  // No turn.
// How late a thread wakes up on an idle machine.
constexpr Nanoseconds kRealMargin = 100 * kMicrosecond;

std::string Said(const Observation& observation) {
  return "turn " + std::to_string(observation.turn) + ": " + ToText(observation);
}

}  // namespace

Reading::Reading(const Program& its_program, const Trace& its_trace, Freedom its_freedom)
    : program(its_program),
      trace(its_trace),
      freedom(its_freedom),
      delays(Delays(trace.turns.size())),
      expiries(ExpiriesIn(program, trace, freedom)),
      notifications(NotificationsIn(trace, freedom)) {
  const Step* before = nullptr;
  std::vector<const Step*> operations;
  bool drains = false;
  for (const Step& step : program.steps) {
    if (!IsOperation(step.kind)) continue;
    operations.push_back(&step);
    steps[step.id] = &step;
    if (IsForWorker(step)) for_workers.insert(step.id);
    if (step.kind == StepKind::kTimeoutUpdate) {
      updates[step.id] = static_cast<uint32_t>(step.amount);
    }
    if (step.kind == StepKind::kLinkTimeout && before != nullptr) guards[step.id] = before->id;
    // What is behind a drain is a worker's, too.
    drains |= (step.flags & kDrain) != 0;
    if (drains) for_workers.insert(step.id);
    sends_long |= IsSend(step) && step.amount > kShortSendMax;
    before = &step;
  }
  for (const Observation& seen : trace.observations) {
    if (seen.kind == Observation::Kind::kPeer && seen.id < kDatagramPeerId && !seen.bytes.empty()) {
      peer_bytes[seen.id] += static_cast<size_t>(seen.result);
    }
    if (seen.kind == Observation::Kind::kCompletion && (seen.flags & IORING_CQE_F_NOTIF) == 0) {
      ends[seen.id] = {.turn = seen.turn, .result = seen.result};
    }
  }
  // What an operation does not show itself, what is linked to it does.
  uint64_t shown = kNotSeen;
  std::vector<uint64_t> chain;
  for (size_t index = operations.size(); index > 0; --index) {
    const Step& step = *operations[index - 1];
    if ((step.flags & (kLink | kHardLink)) == 0) {
      shown = kNotSeen;
      chain.clear();
    }
    chain.push_back(step.id);
    chains[step.id] = chain;
    if (const auto end = ends.find(step.id); end != ends.end()) shown = end->second.turn;
    if (shown == kNotSeen) continue;
    const bool reads = step.kind == StepKind::kRead || step.kind == StepKind::kReadVector;
    const bool late = reads && KindOf(step.object) == ObjectKind::kFile &&
                      shown > TurnOfSubmission(step, trace).value_or(shown);
    if (late) late_reads.push_back(step.id);
    if (late || for_workers.contains(step.id)) worked_by[step.id] = shown;
  }
}

bool Reading::ReadsBetween(uint32_t peer, uint64_t after, uint64_t before) const {
  return std::any_of(trace.observations.begin(), trace.observations.end(),
                     [&](const Observation& seen) {
                       return seen.kind == Observation::Kind::kPeer && seen.id == peer &&
                              !seen.bytes.empty() && seen.turn > after && seen.turn < before;
                     });
}

Follower::~Follower() {
  if (kernel_ != nullptr) kernel_->SetBystander(nullptr);
}

void Follower::Attach(model::ModelKernel& kernel) {
  kernel_ = &kernel;
  kernel_->SetBystander(this);
}

// --- Driver

void Follower::BeginTurn(const Turn&) {
  const Nanoseconds start = static_cast<Nanoseconds>(turn_) * kTurn;
  kernel_->AdvanceTo(std::max(start, kernel_->MonotonicNow()));
  operations_ = looks_ = wakings_ = 0;
}

bool Follower::Observe(const Observation& observation) {
  const std::vector<Observation>& seen = reading_.trace.observations;
  if (next_ == seen.size() || !SameOutcome(seen[next_], observation)) {
    modelled_ = Said(observation);
    NoteDiffering(observation.id);
    if (next_ < seen.size()) NoteDiffering(seen[next_].id);
    return false;
  }
  if (observation.kind == Observation::Kind::kPeer && !observation.bytes.empty()) {
    read_[observation.id] += static_cast<size_t>(observation.result);
  }
  ++next_;
  return true;
}

void Follower::NoteDiffering(uint32_t id) {
  differs_.insert(id);
  // What a cancel finds depends on what workers have done, reads that had to wait among it.
  const auto step = reading_.steps.find(id);
  if (id >= kCancelId || (step != reading_.steps.end() && IsCancel(step->second->kind))) {
    differs_.insert(reading_.for_workers.begin(), reading_.for_workers.end());
    differs_.insert(reading_.late_reads.begin(), reading_.late_reads.end());
  }
}

size_t Follower::PeerReads(uint32_t number, size_t bytes_max) {
  peer_reads_in_ = turn_;
  const std::vector<Observation>& seen = reading_.trace.observations;
  if (!reading_.sends_long || next_ == seen.size()) return bytes_max;
  const Observation& read = seen[next_];
  const bool this_one =
      read.kind == Observation::Kind::kPeer && read.id == number && read.turn == turn_;
  return this_one ? std::min(bytes_max, static_cast<size_t>(read.result)) : bytes_max;
}

uint64_t Follower::AskWhen(uint32_t id, size_t moments) {
  std::vector<uint64_t> about = {id};
  if (const auto guards = reading_.guards.find(id); guards != reading_.guards.end()) {
    about.push_back(guards->second);
  }
  return Ask(kMoment, id, kExpiry, moments, std::move(about));
}

Driver::Time Follower::At(uint32_t id, const Moments& moments) {
  const Nanoseconds due = moments[AskWhen(id, moments.size())];
  return {.time = due, .absolute = due != kAtOnce};
}

Driver::Time Follower::ShortTimeout(uint32_t id) {
  if (const auto updated = reading_.updates.find(id); updated != reading_.updates.end()) {
    id = updated->second;
  }
  const auto found = reading_.expiries.find(id);
  return found == reading_.expiries.end() ? Time{.time = kBeyondTrace} : At(id, found->second);
}

Driver::Time Follower::ZeroLinkTimeout(uint32_t id) {
  // When its operation has been issued, or just after that; or the interrupt is late, and comes
  // behind the submission.
  constexpr std::array<Nanoseconds, 3> kTimes = {0, kPerSqe / 2, kInEnter};
  const bool overloaded = reading_.freedom == Freedom::kOverloaded;
  return {.time = kTimes[AskWhen(id, overloaded ? 3 : 2)]};
}

Driver::Time Follower::ZeroTimeout(uint32_t id) {
  const auto found = reading_.expiries.find(id);
  return found == reading_.expiries.end() ? Time() : At(id, found->second);
}

// --- Bystander

void Follower::BeforeOperation(uint64_t, const io_uring_sqe&) {
  if (operations_++ > 0) kernel_->AdvanceTo(kernel_->MonotonicNow() + kPerSqe);
}

void Follower::BeforeVictim(uint64_t, uint64_t) {
  kernel_->AdvanceTo(kernel_->MonotonicNow() + kPerVictim);
}

void Follower::BeforeTaskWork(uint64_t, unsigned, bool) {
  const Nanoseconds start = static_cast<Nanoseconds>(turn_) * kTurn;
  kernel_->AdvanceTo(std::max(start + ++looks_ * kPerLook, kernel_->MonotonicNow()));
}

void Follower::WithTaskWork(uint64_t) { kernel_->AdvanceTo(kernel_->MonotonicNow() + kPerRun); }

void Follower::BeforeWakingUp(uint64_t) {
  const Nanoseconds end = static_cast<Nanoseconds>(turn_) * kTurn + kWait;
  if (kernel_->MonotonicNow() >= end) return;
  // Others may have the processor until its wait is over. Of one that took longer than it waits at
  // most, that is known.
  const Turn& real = reading_.trace.turns[turn_];
  const bool known = real.end - real.start > kRealWait + kRealMargin;
  if (!known && reading_.freedom != Freedom::kOverloaded) return;
  const uint64_t otherwise = Ask(kMoment, turn_, kFirstWaking + wakings_++, 2, {}, !known);
  if (known == (otherwise == 0)) kernel_->AdvanceTo(end);
}

size_t Follower::Takes(uint32_t id, const Step& step) {
  const auto known = reading_.ends.find(id);
  if (known == reading_.ends.end() || known->second.result <= 0) return 0;
  const auto result = static_cast<size_t>(known->second.result);
  const auto before = sent_.find(id);
  const size_t left = result - (before == sent_.end() ? 0 : std::min(before->second, result));
  const bool ends = known->second.turn == turn_;
  if ((step.flags & kWaitAll) == 0) return ends ? left : 0;
  // One that was cut short sends no more; the others end with their last byte. What goes on the way
  // while it comes to wait makes room at once.
  const bool cut_short = known->second.result < step.amount;
  if (cut_short || left == 0) return left;
  if (left < result) return ends ? left : left - 1;
  return ends && Ask(kMoment, id, kLastByte, 2, {id}) == 0 ? left : left - 1;
}

size_t Follower::SendRoom(uint64_t, uint64_t user_data, size_t room, size_t unread) {
  const auto id = static_cast<uint32_t>(user_data);
  const auto found = reading_.steps.find(id);
  if (!reading_.sends_long || found == reading_.steps.end()) return room;
  const Step& step = *found->second;
  size_t takes = std::min(room, Takes(id, step));
  // Where nothing is in its way, it cannot wait: then the trace is another's.
  if (takes == 0 && unread == 0) takes = room;
  sent_[id] += takes;
  const auto peer = static_cast<uint32_t>(step.object);
  if (takes < room) {
    waiting_[peer] = id;
  } else {
    waiting_.erase(peer);
  }
  return takes;
}

bool Follower::TellsOfSpace(uint64_t connection) {
  if (!reading_.sends_long) return true;
  const uint32_t peer = PeerOf(connection);
  const auto waiting = waiting_.find(peer);
  if (waiting == waiting_.end()) return true;
  const auto sent = reading_.ends.find(waiting->second);
  if (sent == reading_.ends.end() || sent->second.result <= 0) return false;
  return !reading_.ReadsBetween(peer, turn_, sent->second.turn);
}

bool Follower::HoldsWorker(uint64_t, uint64_t user_data) {
  worker_ = user_data;
  return false;
}

std::optional<Nanoseconds> Follower::PayloadHeldFor(uint64_t, uint64_t user_data) {
  const auto found = reading_.notifications.find(static_cast<uint32_t>(user_data));
  if (found == reading_.notifications.end()) return kBeyondTrace;
  const Moments& moments = found->second;
  const Nanoseconds then = moments[Ask(kMoment, user_data, kNotification, moments.size(), {})];
  return std::max<Nanoseconds>(0, then - kernel_->MonotonicNow());
}

// --- Choice

uint64_t Follower::LostWithReset(uint64_t connection, uint64_t unread) const {
  const uint32_t peer = PeerOf(connection);
  const auto count = [peer](const std::map<uint32_t, size_t>& bytes) {
    const auto of_peer = bytes.find(peer);
    return of_peer == bytes.end() ? size_t{0} : of_peer->second;
  };
  const size_t still_read = count(reading_.peer_bytes) - count(read_);
  return unread - std::min<uint64_t>(unread, still_read);
}

std::vector<uint64_t> Follower::PollsOf(uint64_t connection) const {
  std::vector<uint64_t> polls;
  for (const auto& [id, step] : reading_.steps) {
    const bool polled = step->kind == StepKind::kPoll || step->kind == StepKind::kPollMultishot;
    if (polled && static_cast<uint32_t>(step->object) == PeerOf(connection)) polls.push_back(id);
  }
  return polls;
}

uint32_t Follower::PeerOf(uint64_t connection) const {
  const auto found = std::find(connections_.begin(), connections_.end(), connection);
  return static_cast<uint32_t>(found - connections_.begin());
}

std::vector<uint64_t> Follower::AboutWorker() const {
  const auto chain = reading_.chains.find(worker_);
  return chain == reading_.chains.end() ? std::vector<uint64_t>{worker_} : chain->second;
}

uint64_t Follower::AskOfWorker(uint64_t entity, uint64_t ordinal) {
  std::vector<uint64_t> answers;
  const auto add = [&](Nanoseconds from, Nanoseconds to) {
    for (uint64_t delay = 1; delay < reading_.delays.size(); ++delay) {
      const Nanoseconds end = kernel_->MonotonicNow() + reading_.delays[delay];
      if (end >= from && end < to) answers.push_back(delay);
    }
  };
  const auto begin_of = [](uint64_t turn) { return static_cast<Nanoseconds>(turn) * kTurn; };
  const auto add_behind = [&](uint64_t turn) { add(begin_of(turn) + kWait, begin_of(turn + 1)); };
  const auto id = static_cast<uint32_t>(worker_);
  const auto seen = reading_.worked_by.find(id);
  const bool known = seen != reading_.worked_by.end() && seen->second >= turn_;
  const uint64_t shown = known ? seen->second : turn_ + 1;
  if (known && !reading_.ends.contains(id)) {
    // Some Enters before what was linked to it showed that.
    answers.push_back(0);
    for (uint64_t turn = shown + 1; turn > turn_; --turn) {
      add(begin_of(turn - 1), begin_of(turn - 1) + kWait);
      if (turn > turn_ + 1) add_behind(turn - 2);
    }
    return answers[Ask(Site::kWorkerTime, entity, ordinal, answers.size(), AboutWorker())];
  }
  if (shown == turn_) {
    answers.push_back(0);
  } else {
    // Behind the last Enter that did not show it, most likely; or just before the one that did.
    uint64_t before = shown - 1;
    while (before > turn_ && !reading_.trace.turns[before].enters) --before;
    add_behind(before);
    if (before + 1 < shown) add_behind(shown - 1);
    // Or in its wait, which something else had ended.
    if (reading_.trace.turns[before].waits)
      add(begin_of(before) + kPerLook, begin_of(before) + kWait);
  }
  if (known) {
    add(begin_of(shown), begin_of(shown) + kWait);
  } else {
    for (uint64_t delay = 0; delay < kSoonDelays; ++delay) answers.push_back(delay);
  }
  return answers[Ask(Site::kWorkerTime, entity, ordinal, answers.size(), AboutWorker())];
}

uint64_t Follower::Choose(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives) {
  const bool overloaded = reading_.freedom == Freedom::kOverloaded;
  switch (site) {
    case Site::kWorkerDelay:
      if (!overloaded) alternatives = std::min(alternatives, kSoonDelays);
      return Ask(site, entity, ordinal, alternatives, AboutWorker());
    case Site::kWorkerTime:
      return AskOfWorker(entity, ordinal);
    case Site::kReadCold:
    case Site::kReadPunted:
      if (reading_.late_reads.empty()) return 0;
      return Ask(site, entity, ordinal, alternatives, reading_.late_reads);
    case Site::kWorkerOrder:
    case Site::kWorkerStarted:
    case Site::kFinAcknowledged:
      return Ask(site, entity, ordinal, alternatives, PollsOf(entity));
    case Site::kLinkTimeoutRace:
    case Site::kBundleShort:
    case Site::kBundleEnds:
      return Ask(site, entity, ordinal, alternatives, {});
    case Site::kWakeDelay:
      // A peer may take its time to say that it has read something.
      if (reading_.sends_long && peer_reads_in_ == turn_) {
        return Ask(site, entity, ordinal, alternatives, {});
      }
      return overloaded ? Ask(site, entity, ordinal, alternatives, {}, /*overloaded=*/true) : 0;
    case Site::kResetLosesData:
      return reading_.sends_long ? LostWithReset(entity, alternatives - 1) : 0;
    default:
      return 0;
  }
}

uint64_t Follower::ChooseAmong(Site site, uint64_t entity, uint64_t ordinal,
                               std::span<const uint64_t> names) {
  if (site != Site::kTaskWorkOrder) return Choose(site, entity, ordinal, names.size());
  // Only the end of a worker stands anywhere among others: it overtakes, or is overtaken.
  const auto by_worker = [&](uint64_t id) { return reading_.for_workers.contains(id); };
  std::vector<uint64_t> answers = {0};
  for (uint64_t index = 1; index < names.size(); ++index) {
    if (by_worker(names[0]) || by_worker(names[index])) answers.push_back(index);
  }
  return answers[Ask(site, entity, ordinal, answers.size(), {names.begin(), names.end()})];
}

uint64_t Follower::Ask(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives,
                       std::vector<uint64_t> about, bool overloaded) {
  // While the program's files are made, everything goes as it does.
  if (alternatives == 1 || turn_ == 0) return 0;
  const auto scripted = script_.find({site, entity, ordinal});
  const uint64_t answer =
      scripted == script_.end() ? 0 : std::min(scripted->second, alternatives - 1);
  asked_.push_back(
      {site, entity, ordinal, alternatives, answer, turn_, std::move(about), overloaded});
  return answer;
}

}  // namespace orrery::acceptor
