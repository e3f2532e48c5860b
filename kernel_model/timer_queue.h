// What will happen at a known time, in the order (time, order of arming). Private to kernel_model.
//
// A timer is embedded in what it belongs to and can be disarmed in O(log n). Invariant: `position`
// is the timer's index in the heap while it is armed. No addresses take part in the order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/units.h"

namespace orrery::model {

struct Request;
struct Connection;
class Datagrams;

struct Timer {
  static constexpr size_t kIdle = ~size_t{0};

  Nanoseconds due = kNever;
  uint64_t sequence = 0;
  size_t position = kIdle;
  // Whose it is; exactly one is set.
  Request* request = nullptr;
  Connection* connection = nullptr;
  Datagrams* datagrams = nullptr;

  bool armed() const { return position != kIdle; }
};

class TimerQueue {
 public:
  // REQUIRES: not armed.
  void Arm(Timer& timer, Nanoseconds due);
  // Nothing happens when it is not armed.
  void Disarm(Timer& timer);
  // The next one, or null.
  Timer* front() const { return heap_.empty() ? nullptr : heap_.front(); }
  // All of them, as they were armed.
  std::vector<Timer*> Armed() const;
  Nanoseconds next_due() const { return heap_.empty() ? kNever : heap_.front()->due; }

 private:
  static bool Before(const Timer& left, const Timer& right) {
    return left.due != right.due ? left.due < right.due : left.sequence < right.sequence;
  }
  void Place(size_t position, Timer* timer) {
    heap_[position] = timer;
    timer->position = position;
  }
  void SiftUp(size_t position);
  void SiftDown(size_t position);

  std::vector<Timer*> heap_;
  uint64_t next_sequence_ = 0;
};

}  // namespace orrery::model
