#include "tests/acceptor/server_trace_index.h"

#include <poll.h>
#include <sys/socket.h>

#include <unordered_map>
#include <variant>

namespace orrery::acceptor {
namespace {

// What the acceptor knows of an operation: empty, or what it does not.
std::string Unknown(const TracedSubmission& submission) {
  const io_uring_sqe& sqe = submission.sqe;
  const auto unless = [&](bool known, const char* what) {
    return known ? std::string() : std::string(what) + " of " + ToText(submission);
  };
  if ((sqe.flags & ~unsigned{IOSQE_BUFFER_SELECT}) != 0)
    return "the flags of " + ToText(submission);
  switch (sqe.opcode) {
    case IORING_OP_NOP:
      return unless(sqe.rw_flags == 0, "the flags");
    case IORING_OP_ACCEPT:
      return unless((sqe.ioprio & ~IORING_ACCEPT_MULTISHOT) == 0 && sqe.addr == 0 &&
                        sqe.addr2 == 0 && sqe.file_index == 0,
                    "the form");
    case IORING_OP_RECV:
      return unless(sqe.ioprio == IORING_RECV_MULTISHOT && sqe.msg_flags == 0 &&
                        (sqe.flags & IOSQE_BUFFER_SELECT) != 0 && sqe.file_index == 0,
                    "the form");
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
      return unless(sqe.ioprio == 0 && (sqe.msg_flags & ~uint32_t{MSG_NOSIGNAL | MSG_MORE}) == 0 &&
                        sqe.addr2 == 0 && sqe.flags == 0,
                    "the form");
    case IORING_OP_POLL_ADD:
      return unless((sqe.len & ~IORING_POLL_ADD_MULTI) == 0 && sqe.poll32_events == POLLIN,
                    "the form");
    case IORING_OP_ASYNC_CANCEL:
      return unless(sqe.cancel_flags == 0, "the flags");
    case IORING_OP_SHUTDOWN:
      return {};
    case IORING_OP_CLOSE:
      return unless(sqe.file_index == 0, "the form");
    default:
      return "the operation of " + ToText(submission);
  }
}

std::string Unknown(const TracedRing& ring) {
  if ((ring.flags & IORING_SETUP_DEFER_TASKRUN) == 0) {
    return "a ring without DEFER_TASKRUN, whose completions appear at any moment: it is held to "
           "the conformance tests only";
  }
  return (ring.flags & IORING_SETUP_SUBMIT_ALL) != 0 ? "" : "a ring without SUBMIT_ALL";
}

std::string Unknown(const TracedRegister& call) {
  if (call.opcode != IORING_REGISTER_PBUF_RING && call.opcode != IORING_UNREGISTER_PBUF_RING) {
    return "register operation " + std::to_string(call.opcode);
  }
  return call.flags == 0 ? "" : "flags of a buffer ring: " + std::to_string(call.flags);
}

}  // namespace

class ServerTraceIndex::Builder {
 public:
  explicit Builder(ServerTraceIndex& index) : index_(index) {}

  bool stopped() const { return !index_.unsupported_.empty() || !index_.broken_.empty(); }

  void Add(size_t at, const TraceEvent& event) {
    at_ = at;
    index_.enter_begins_.push_back(static_cast<uint32_t>(index_.completions_.size()));
    if (const auto* ring = std::get_if<TracedRing>(&event)) {
      NotKnown(Unknown(*ring));
    } else if (const auto* call = std::get_if<TracedRegister>(&event)) {
      NotKnown(Unknown(*call));
    } else if (const auto* close = std::get_if<TracedClose>(&event)) {
      connections_by_descriptor_.erase(close->descriptor);
    } else if (const auto* enter = std::get_if<TracedEnter>(&event)) {
      if (enter->min_wait_us != 0) NotKnown("a minimum wait");
      for (const TracedSubmission& submission : enter->submissions) Begin(submission);
      for (const TracedCompletion& completion : enter->completions) End(completion);
    }
  }

  void Finish() { index_.in_flight_at_end_ = in_flight_.size(); }

 private:
  struct Operation {
    const TracedSubmission* submission = nullptr;
    size_t submitted = 0;
    uint32_t connection = IndexedCompletion::kNone;
    unsigned retries = 0;  // Of a receive, since it had its share.
  };

  void NotKnown(const std::string& what) {
    if (!what.empty() && !stopped()) index_.unsupported_ = what;
  }
  void Broken(const std::string& what) {
    if (stopped()) return;
    index_.broken_ = what;
    index_.broken_at_ = at_;
  }

  void Begin(const TracedSubmission& submission) {
    const io_uring_sqe& sqe = submission.sqe;
    NotKnown(Unknown(submission));
    const auto found = connections_by_descriptor_.find(sqe.fd);
    const uint32_t connection =
        found == connections_by_descriptor_.end() || sqe.opcode == IORING_OP_ASYNC_CANCEL
            ? IndexedCompletion::kNone
            : found->second;
    const auto [entry, added] =
        in_flight_.try_emplace(sqe.user_data, Operation{&submission, at_, connection, 0});
    if (!added) {
      Broken("an operation with this user data has not completed yet: " + ToText(submission));
    }
    if (sqe.opcode == IORING_OP_CLOSE) connections_by_descriptor_.erase(sqe.fd);
  }

  void End(const TracedCompletion& completion) {
    const auto found = in_flight_.find(completion.user_data);
    if (found == in_flight_.end()) {
      Broken("nothing that was submitted is in flight for " + ToText(completion));
      return;
    }
    IndexedCompletion indexed{.cqe = &completion,
                              .submission = found->second.submission,
                              .submitted = found->second.submitted,
                              .connection = found->second.connection,
                              .next_receive = IndexedCompletion::kNone,
                              .put_off = false};
    constexpr unsigned kRetriesMax = 32;  // MULTISHOT_MAX_RETRY, over all its runs.
    if (indexed.opcode() == IORING_OP_RECV && completion.result > 0 && indexed.more() &&
        indexed.not_empty() && found->second.retries++ >= kRetriesMax) {
      found->second.retries = 0;
      indexed.put_off = true;
    }
    if (indexed.opcode() == IORING_OP_ACCEPT && completion.result >= 0) {
      indexed.connection = index_.connections_++;
      last_receive_.push_back(IndexedCompletion::kNone);
      if (!connections_by_descriptor_.try_emplace(completion.result, indexed.connection).second) {
        Broken("a descriptor that is open was given out again: " + ToText(completion));
      }
    }
    const auto number = static_cast<uint32_t>(index_.completions_.size());
    if (indexed.opcode() == IORING_OP_RECV && indexed.connection != IndexedCompletion::kNone) {
      uint32_t& last = last_receive_[indexed.connection];
      if (last != IndexedCompletion::kNone) index_.completions_[last].next_receive = number;
      last = number;
    }
    index_.completions_.push_back(indexed);
    if (!indexed.more()) in_flight_.erase(found);
  }

  ServerTraceIndex& index_;
  size_t at_ = 0;
  // Never walked: order does not matter.
  std::unordered_map<uint64_t, Operation> in_flight_;
  std::unordered_map<int32_t, uint32_t> connections_by_descriptor_;
  std::vector<uint32_t> last_receive_;  // By connection.
};

ServerTraceIndex::ServerTraceIndex(const ServerTrace& trace) {
  Builder builder(*this);
  for (size_t at = 0; at < trace.events.size() && !builder.stopped(); ++at) {
    builder.Add(at, trace.events[at]);
  }
  builder.Finish();
  enter_begins_.resize(trace.events.size(), static_cast<uint32_t>(completions_.size()));
}

}  // namespace orrery::acceptor
