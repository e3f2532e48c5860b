// The kernel's side of a ring's CQ, with the backlog behind it. Private to kernel_model.
//
// Invariant: while the backlog holds a CQE every new one goes behind it, so that order is kept
// (fact O2); a buffer's memory is the program's from the moment its CQE is in the CQ, and not
// before.
#pragma once

#include <liburing.h>

#include <array>
#include <cstdint>
#include <deque>

#include "kernel_model/provided_buffers.h"

namespace orrery::model {

class CompletionQueue {
 public:
  // Sits on the ring memory that `memory` describes. `flags`: of the set-up.
  CompletionQueue(io_uring& memory, unsigned flags);
  ~CompletionQueue();

  struct Entry {
    uint64_t user_data = 0;
    int32_t res = 0;
    uint32_t flags = 0;
    HandedBuffer buffer;
    bool big = false;  // Of 32 bytes, with these behind the others (fact V13).
    std::array<uint64_t, 2> extra = {};
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
  // Whether it takes big ones.
  bool has_big() const { return all_big_ || mixed_; }
  // Entries of the CQ that were ever filled.
  uint64_t written() const { return written_; }

 private:
  // Whether there is space for it. In a mixed ring one that would wrap leaves a filler behind.
  bool Fits(const Entry& entry);
  void Write(const Entry& entry);
  void Advance(unsigned entries);

  io_uring& memory_;
  const bool all_big_;  // CQE32
  const bool mixed_;    // CQE_MIXED
  unsigned tail_ = 0;
  uint64_t written_ = 0;
  std::deque<Entry> backlog_;
};

}  // namespace orrery::model
