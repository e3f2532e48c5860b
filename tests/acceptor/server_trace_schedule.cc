#include "tests/acceptor/server_trace_schedule.h"

#include <algorithm>
#include <variant>

namespace orrery::acceptor {

TaskWorkSchedule::Answer TaskWorkSchedule::Find(const Situation& situation) {
  items_.clear();
  stages_.clear();
  hopeless_.clear();
  tries_ = 0;
  open_end_ = false;
  Answer answer{.arrived = situation.queued_until};
  if (!AddStage(situation.event, situation.next)) return answer;

  Queue queue;
  while (queue.queued < items_.size() && items_[queue.queued].begin < situation.queued_until) {
    ++queue.queued;
    if (queue.queued == items_.size() && !AddNextStage()) break;
  }
  const auto run = situation.sleeping ? Run::kAsleep : situation.again ? Run::kFirst : Run::kLast;
  const bool posted = situation.next > index_.enter_begin(situation.event);
  size_t chosen = 0;
  answer.found =
      TakeOver({.stage = 0, .run = run, .done = 0, .limit = situation.room, .posted = posted},
               queue, &chosen);
  answer.gave_up = !answer.found && tries_ >= kTriesMax;
  if (answer.found && chosen > 0) {
    answer.arrived = std::max(answer.arrived, items_[chosen - 1].begin + 1);
  }
  return answer;
}

// --- What there is to explain

uint32_t TaskWorkSchedule::InlineEnd(const TracedEnter& enter, uint32_t begin) const {
  // In the order of the batch; what is not of it, or stands before, was posted by task work.
  const TracedSubmission* last = enter.submissions.data();
  const TracedSubmission* const end = last + enter.submissions.size();
  uint32_t number = begin;
  for (; number < begin + enter.completions.size(); ++number) {
    const IndexedCompletion& completion = index_.completions()[number];
    const TracedSubmission* const submission = completion.submission;
    const bool late =
        completion.opcode() == IORING_OP_POLL_ADD || completion.opcode() == IORING_OP_SHUTDOWN;
    if (late || submission < last || submission >= end) break;
    last = submission;
  }
  return number;
}

bool TaskWorkSchedule::AddStage(size_t event, uint32_t first_late) {
  const auto* const enter = std::get_if<TracedEnter>(&trace_.events[event]);
  if (enter == nullptr) return false;
  const uint32_t begin = index_.enter_begin(event);
  const auto end = begin + static_cast<uint32_t>(enter->completions.size());
  for (uint32_t number = first_late; number < end;) {
    const IndexedCompletion& first = index_.completions()[number];
    Item item{.begin = number, .end = number, .submitted = first.submitted};
    do {
      item.put_off = index_.completions()[item.end++].put_off;
    } while (!item.put_off && item.end < end &&
             index_.completions()[item.end].user_data() == first.user_data());
    for (size_t before = items_.size(); before > 0; --before) {
      if (index_.completions()[items_[before - 1].begin].user_data() != first.user_data()) continue;
      item.previous = before - 1;
      items_[before - 1].successor = items_.size();
      break;
    }
    number = item.end;
    items_.push_back(item);
  }
  stages_.push_back({.event = event,
                     .items_end = items_.size(),
                     .runs_twice = enter->to_submit > 0,
                     .runs = enter->to_submit == enter->submissions.size() && enter->result >= 0,
                     .posted_inline = first_late > begin,
                     .waits = enter->min_complete > 0});
  // An Enter that only waited has no result.
  if (enter->result < 0 && enter->to_submit == 0) stages_.back().runs = true;
  return true;
}

bool TaskWorkSchedule::AddNextStage() {
  if (stages_.size() == kStagesMax) return false;
  for (size_t event = stages_.back().event + 1; event < trace_.events.size(); ++event) {
    const auto* const enter = std::get_if<TracedEnter>(&trace_.events[event]);
    if (enter == nullptr) continue;
    // Not that at which the trace is broken.
    if (!index_.broken().empty() && event >= index_.broken_at()) return false;
    return AddStage(event, InlineEnd(*enter, index_.enter_begin(event)));
  }
  return false;
}

bool TaskWorkSchedule::IsSimple(size_t stage) const {
  const size_t begin = stages_[stage - 1].items_end;
  const size_t end = stages_[stage].items_end;
  if (end - begin > (stages_[stage].runs_twice ? 2 * kRunMax : kRunMax)) return false;
  for (size_t item = begin; item < end; ++item) {
    const bool again = items_[item].previous != kNone && items_[item].previous >= begin;
    if (again || items_[item].put_off) return false;
  }
  return true;
}

// --- The queue

bool TaskWorkSchedule::MayArrive(size_t item, const Queue& queue, size_t stage) const {
  if (items_[item].submitted > stages_[stage].event) return false;
  // What is queued already is not queued again, and what queues up by itself would be.
  const size_t previous = items_[item].previous;
  return previous == kNone || (previous < queue.next && !items_[previous].put_off);
}

bool TaskWorkSchedule::TakeOver(const Moment& moment, const Queue& queue, size_t* chosen) {
  const auto works = [&](size_t reach) {
    if (++tries_ > kTriesMax) return false;
    const Queue taken{.next = queue.next, .taken = reach, .queued = reach};
    if (!Continue(moment, taken)) return false;
    if (chosen != nullptr) *chosen = reach;
    return true;
  };
  // All of this Enter, if that can be; or less; or more, which is left over.
  size_t all = queue.queued;
  while (all < stages_[moment.stage].items_end && MayArrive(all, queue, moment.stage)) ++all;
  for (size_t reach = all + 1; reach > queue.queued; --reach) {
    if (works(reach - 1)) return true;
  }
  for (size_t reach = all; reach < all + kAheadMax; ++reach) {
    if (reach == items_.size() && !AddNextStage()) return false;
    if (reach == items_.size() || !MayArrive(reach, queue, moment.stage)) return false;
    if (works(reach + 1)) return true;
  }
  return false;
}

bool TaskWorkSchedule::Start(Moment moment, Queue queue) {
  if (!RunItems(moment, queue)) return false;
  if (queue.next == queue.taken) return TakeOver(moment, queue, nullptr);
  return Finish(moment, queue);
}

bool TaskWorkSchedule::Continue(Moment moment, Queue queue) {
  if (!RunItems(moment, queue)) return false;
  return Finish(moment, queue);
}

bool TaskWorkSchedule::Finish(const Moment& moment, const Queue& queue) {
  if (open_end_) return true;
  const Stage& stage = stages_[moment.stage];
  const bool complete = queue.next == stage.items_end;
  if (moment.run == Run::kFirst) {
    return Start({.stage = moment.stage,
                  .run = Run::kLast,
                  .done = 0,
                  .limit = kRunMax,
                  .posted = moment.posted},
                 queue);
  }
  const bool sleeps = moment.run == Run::kLast && !moment.posted && stage.waits && !complete;
  if (sleeps) {
    return Start(
        {.stage = moment.stage, .run = Run::kAsleep, .done = 0, .limit = 1, .posted = false},
        queue);
  }
  return complete && EnterNext(moment.stage, queue);
}

bool TaskWorkSchedule::EnterNext(size_t stage, const Queue& queue) {
  if (hopeless_.contains({stage, queue})) return false;
  if (stage + 1 == stages_.size() && !AddNextStage()) return true;
  // Nothing of the past matters any more.
  if (queue.next == queue.queued && IsSimple(stage + 1)) return true;
  const Stage next = stages_[stage + 1];
  bool works = false;
  if (!next.runs) {
    works = next.items_end == queue.next && EnterNext(stage + 1, queue);
  } else {
    works = Start({.stage = stage + 1,
                   .run = next.runs_twice ? Run::kFirst : Run::kLast,
                   .done = 0,
                   .limit = kRunMax,
                   .posted = next.posted_inline},
                  queue);
  }
  if (!works) hopeless_.insert({stage, queue});
  return works;
}

bool TaskWorkSchedule::RunItems(Moment& moment, Queue& queue) {
  while (queue.next < queue.taken && !open_end_) {
    if (!RunItem(moment, queue)) return false;
    moment.posted = true;
    if (++moment.done >= moment.limit) break;
  }
  return true;
}

bool TaskWorkSchedule::RunItem(const Moment& moment, Queue& queue) {
  if (queue.next >= stages_[moment.stage].items_end) return false;
  const size_t item = queue.next++;
  if (!items_[item].put_off) return true;
  // It queues up behind all that comes before it when it runs again.
  while (items_[item].successor == kNone) {
    if (!AddNextStage()) {
      open_end_ = true;
      return true;
    }
  }
  const size_t successor = items_[item].successor;
  if (successor < queue.queued) return false;
  for (size_t between = queue.queued; between < successor; ++between) {
    if (!MayArrive(between, queue, moment.stage)) return false;
  }
  queue.queued = successor + 1;
  return true;
}

}  // namespace orrery::acceptor
