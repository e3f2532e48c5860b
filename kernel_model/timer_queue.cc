#include "kernel_model/timer_queue.h"

#include <algorithm>

#include "base/check.h"

namespace orrery::model {

void TimerQueue::Arm(Timer& timer, Nanoseconds due) {
  ORRERY_CHECK(!timer.armed());
  timer.due = due;
  timer.sequence = next_sequence_++;
  heap_.push_back(&timer);
  timer.position = heap_.size() - 1;
  SiftUp(timer.position);
}

void TimerQueue::Disarm(Timer& timer) {
  if (!timer.armed()) return;
  const size_t hole = timer.position;
  Timer* const last = heap_.back();
  heap_.pop_back();
  timer.position = Timer::kIdle;
  if (last == &timer) return;
  Place(hole, last);
  SiftUp(hole);
  SiftDown(last->position);
}

std::vector<Timer*> TimerQueue::Armed() const {
  std::vector<Timer*> armed = heap_;
  std::sort(armed.begin(), armed.end(),
            [](const Timer* left, const Timer* right) { return left->sequence < right->sequence; });
  return armed;
}

void TimerQueue::SiftUp(size_t position) {
  Timer* const timer = heap_[position];
  while (position > 0) {
    const size_t parent = (position - 1) / 2;
    if (!Before(*timer, *heap_[parent])) break;
    Place(position, heap_[parent]);
    position = parent;
  }
  Place(position, timer);
}

void TimerQueue::SiftDown(size_t position) {
  Timer* const timer = heap_[position];
  for (;;) {
    size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Before(*heap_[child + 1], *heap_[child])) ++child;
    if (!Before(*heap_[child], *timer)) break;
    Place(position, heap_[child]);
    position = child;
  }
  Place(position, timer);
}

}  // namespace orrery::model
