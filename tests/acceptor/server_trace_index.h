// What each completion of a trace belongs to: its operation, its connection, and the receive of the
// same connection that comes after it. Built in one pass, before the trace is explained.
//
// Connections are numbered in the order in which they were accepted. Invariant: completions are
// numbered in the order of the CQ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/acceptor/server_trace.h"

namespace orrery::acceptor {

struct IndexedCompletion {
  static constexpr uint32_t kNone = ~uint32_t{0};

  const TracedCompletion* cqe = nullptr;
  const TracedSubmission* submission = nullptr;
  size_t submitted = 0;           // The event that submitted its operation.
  uint32_t connection = kNone;    // That it accepted, or that its operation works on.
  uint32_t next_receive = kNone;  // Of receives: the next completion of one of this connection.
  // The receive has had its share: it goes on behind others (fact M9).
  bool put_off = false;

  uint8_t opcode() const { return submission->sqe.opcode; }
  uint64_t user_data() const { return cqe->user_data; }
  int32_t result() const { return cqe->result; }
  bool more() const { return (cqe->flags & IORING_CQE_F_MORE) != 0; }
  bool not_empty() const { return (cqe->flags & IORING_CQE_F_SOCK_NONEMPTY) != 0; }
};

class ServerTraceIndex {
 public:
  // `trace` must outlive it.
  explicit ServerTraceIndex(const ServerTrace& trace);

  // Why the trace cannot be explained at all: it is of another kind of ring, or has operations that
  // nobody taught the acceptor. Empty: it can.
  const std::string& unsupported() const { return unsupported_; }
  // What is wrong with the trace itself, and the event at which it shows. Empty: nothing.
  const std::string& broken() const { return broken_; }
  size_t broken_at() const { return broken_at_; }

  const std::vector<IndexedCompletion>& completions() const { return completions_; }
  // The first completion of an event that is an Enter, or would be if it had any.
  uint32_t enter_begin(size_t event) const { return enter_begins_[event]; }
  uint32_t connections() const { return connections_; }
  // Operations whose last completion is not in the trace.
  size_t in_flight_at_end() const { return in_flight_at_end_; }

 private:
  class Builder;

  std::string unsupported_;
  std::string broken_;
  size_t broken_at_ = 0;
  std::vector<IndexedCompletion> completions_;
  std::vector<uint32_t> enter_begins_;  // By event.
  uint32_t connections_ = 0;
  size_t in_flight_at_end_ = 0;
};

}  // namespace orrery::acceptor
