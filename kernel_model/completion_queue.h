// The kernel's side of a ring's CQ, with the backlog behind it. Private to kernel_model.
//
// Invariant: while the backlog holds a CQE every new one goes behind it, so that order is kept
// (fact O2); a buffer's memory is the program's from the moment its CQE is in the CQ, and not
// before.
#pragma once

#include <liburing.h>

#include <cstdint>
#include <deque>

#include "kernel_model/provided_buffers.h"

namespace orrery::model {

class CompletionQueue {
 public:
  // Sits on the ring memory that `memory` describes.
  explicit CompletionQueue(io_uring& memory) : memory_(memory) {}
  ~CompletionQueue();

  struct Entry {
    uint64_t user_data = 0;
    int32_t res = 0;
    uint32_t flags = 0;
    HandedBuffer buffer;
  };

  // False, and nothing posted, when it would go to the backlog.
  bool TryPost(const Entry& entry);
  // To the CQ or to the backlog.
  void Post(const Entry& entry);
  // Moves what fits from the backlog (fact O3).
  void Flush();

  bool has_backlog() const { return !backlog_.empty(); }
  size_t backlog() const { return backlog_.size(); }
  // CQEs that the program has not consumed; entries that are free.
  unsigned ready() const { return tail_ - head(); }
  unsigned space() const { return entries() - ready(); }
  unsigned entries() const { return memory_.cq.ring_entries; }
  unsigned head() const { return __atomic_load_n(memory_.cq.khead, __ATOMIC_ACQUIRE); }
  unsigned tail() const { return tail_; }
  // CQEs that ever entered the CQ.
  uint64_t written() const { return written_; }

 private:
  void Write(const Entry& entry);

  io_uring& memory_;
  unsigned tail_ = 0;
  uint64_t written_ = 0;
  std::deque<Entry> backlog_;
};

}  // namespace orrery::model
