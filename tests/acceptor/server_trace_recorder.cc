#include "tests/acceptor/server_trace_recorder.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace orrery::acceptor {
namespace {

// The ABI carries pointers as 64-bit integers.
template <typename T>
const T* Pointer(uint64_t address) {
  return reinterpret_cast<const T*>(address);
}

void AppendTo(TracePayload& payload, std::string_view bytes) {
  payload.hash.Append(bytes);
  // Once it was too long it stays without content.
  const bool fits = payload.hash.bytes() <= TracePayload::kContentMax;
  if (fits) {
    payload.content += bytes;
  } else {
    payload.content.clear();
  }
}

// The first `bytes` bytes of what the iovecs name.
TracePayload PayloadOf(std::span<const iovec> iovecs, uint64_t bytes) {
  TracePayload payload;
  for (const iovec& part : iovecs) {
    const uint64_t count = std::min<uint64_t>(bytes, part.iov_len);
    AppendTo(payload, {static_cast<const char*>(part.iov_base), count});
    bytes -= count;
    if (bytes == 0) break;
  }
  return payload;
}

}  // namespace

// What both faces write to, and what they know of the operations in flight.
class ServerTraceRecorder::Log {
 public:
  explicit Log(TraceWriter& writer) : writer_(writer) {}

  void Write(const TraceEvent& event) { writer_.Write(event); }
  void Write(const TracedEnter& enter) { writer_.Write(enter); }
  bool Close() { return writer_.Close(streams_); }

  // Describes an SQE, whose memory is as the kernel will see it.
  void Describe(const io_uring_sqe& sqe, TracedSubmission& submission) {
    submission.sqe = sqe;
    submission.iovecs = 0;
    submission.payload = {};
    gathered_.clear();
    Gather(sqe);
    uint64_t bytes = 0;
    for (const iovec& part : gathered_) bytes += part.iov_len;
    submission.iovecs = gathered_.size();
    submission.payload = PayloadOf(gathered_, bytes);
  }

  // The kernel has consumed it.
  void Begin(const io_uring_sqe& sqe) {
    Operation& operation = in_flight_[sqe.user_data];
    operation.opcode = sqe.opcode;
    operation.group = sqe.buf_group;
    const auto stream = streams_by_descriptor_.find(sqe.fd);
    operation.stream = stream == streams_by_descriptor_.end() ? kNoStream : stream->second;
    gathered_.clear();
    Gather(sqe);
    operation.iovecs = gathered_;
  }

  void End(const io_uring_cqe& cqe, TracedCompletion& completion) {
    completion.user_data = cqe.user_data;
    completion.result = cqe.res;
    completion.flags = cqe.flags;
    completion.payload = {};
    const auto found = in_flight_.find(cqe.user_data);
    if (found == in_flight_.end()) return;
    Operation& operation = found->second;
    const auto bytes = static_cast<uint64_t>(std::max(cqe.res, 0));
    if (operation.opcode == IORING_OP_ACCEPT && cqe.res >= 0) {
      streams_by_descriptor_[cqe.res] = streams_.size();
      streams_.emplace_back();
    } else if (operation.opcode == IORING_OP_RECV && (cqe.flags & IORING_CQE_F_BUFFER) != 0) {
      const auto id = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      const uint64_t address = groups_[operation.group].addresses[id];
      AppendTo(completion.payload, {Pointer<char>(address), bytes});
      if (operation.stream != kNoStream) {
        streams_[operation.stream].received.Append(completion.payload.hash);
      }
    } else if (IsSend(operation.opcode) && bytes > 0) {
      completion.payload = PayloadOf(operation.iovecs, bytes);
      completion.payload.content.clear();  // It was written with the SQE.
      if (operation.stream != kNoStream) {
        streams_[operation.stream].sent.Append(completion.payload.hash);
      }
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) in_flight_.erase(found);
  }

  void AddGroup(const io_uring_buf_reg& registration) {
    Group& group = groups_[registration.bgid];
    group.ring = Pointer<io_uring_buf_ring>(registration.ring_addr);
    group.entries = registration.ring_entries;
    group.tail = 0;
  }
  void RemoveGroup(uint16_t group) { groups_.erase(group); }

  // Writes down what has been published since.
  void LookAtGroups() {
    for (auto& [id, group] : groups_) {
      // The tail is ours: this thread publishes.
      const uint16_t tail = group.ring->tail;
      if (tail == group.tail) continue;
      publication_.group = id;
      publication_.buffers.clear();
      for (; group.tail != tail; ++group.tail) {
        // The entries begin where the header does.
        const auto* entries = reinterpret_cast<const io_uring_buf*>(group.ring);
        const io_uring_buf& entry = entries[group.tail & (group.entries - 1)];
        group.addresses[entry.bid] = entry.addr;
        publication_.buffers.push_back(
            {.address = entry.addr, .bytes = entry.len, .id = entry.bid});
      }
      writer_.Write(publication_);
    }
  }

 private:
  static constexpr size_t kNoStream = ~size_t{0};

  struct Operation {
    uint8_t opcode = 0;
    uint16_t group = 0;
    size_t stream = kNoStream;
    std::vector<iovec> iovecs;
  };
  struct Group {
    const io_uring_buf_ring* ring = nullptr;
    unsigned entries = 0;
    uint16_t tail = 0;
    std::map<uint16_t, uint64_t> addresses;  // By id, as they were published last.
  };

  static bool IsSend(uint8_t opcode) {
    return opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG;
  }

  void Gather(const io_uring_sqe& sqe) {
    if (sqe.opcode == IORING_OP_SEND) {
      auto* const base = const_cast<char*>(Pointer<char>(sqe.addr));  // iovec has no other.
      gathered_.push_back({.iov_base = base, .iov_len = sqe.len});
    } else if (sqe.opcode == IORING_OP_SENDMSG) {
      const auto* message = Pointer<msghdr>(sqe.addr);
      gathered_.assign(message->msg_iov, message->msg_iov + message->msg_iovlen);
    }
  }

  TraceWriter& writer_;
  // Never walked: order does not matter.
  std::unordered_map<uint64_t, Operation> in_flight_;
  std::unordered_map<int, size_t> streams_by_descriptor_;
  std::vector<TracedStream> streams_;
  std::map<uint16_t, Group> groups_;
  std::vector<iovec> gathered_;
  TracedPublication publication_;
};

class ServerTraceRecorder::RecordingRing final : public Ring {
 public:
  RecordingRing(std::unique_ptr<Ring> inner, Kernel& clock, Log& log, Nanoseconds began)
      : inner_(std::move(inner)), clock_(clock), log_(log), began_(began) {
    // The program and the inner ring work on the same memory. What is not shared are the indices
    // that SQEs are prepared with, and only the program prepares any.
    memory_ = inner_->memory();
    seen_head_ = *memory_.cq.khead;
    log_.Write(TracedRing{.sq_entries = memory_.sq.ring_entries,
                          .cq_entries = memory_.cq.ring_entries,
                          .flags = memory_.flags});
  }

  EnterResult Enter(const EnterRequest& request) override {
    log_.LookAtGroups();
    const unsigned sq_head = *memory_.sq.khead;
    const unsigned queued = *memory_.sq.ktail - sq_head;  // This thread moves the tail.
    const unsigned given = std::min(queued, request.to_submit);
    enter_.submissions.resize(given);
    for (unsigned index = 0; index < given; ++index) {
      log_.Describe(At(sq_head + index), enter_.submissions[index]);
    }
    const unsigned cq_head = *memory_.cq.khead;
    const unsigned cq_tail = *memory_.cq.ktail;
    enter_.reaped = cq_head - seen_head_;
    seen_head_ = cq_head;
    enter_.to_submit = request.to_submit;
    enter_.min_complete = request.min_complete;
    enter_.min_wait_us = request.min_wait_us;
    enter_.deadline = request.deadline == kNever ? kNever : request.deadline - began_;
    enter_.start = clock_.MonotonicNow() - began_;

    const EnterResult result = inner_->Enter(request);

    enter_.end = clock_.MonotonicNow() - began_;
    enter_.result = result ? static_cast<int32_t>(*result) : -result.error().value();
    enter_.sq_flags = IO_URING_READ_ONCE(*memory_.sq.kflags);
    const unsigned consumed = *memory_.sq.khead - sq_head;
    ORRERY_CHECK(consumed <= given);
    enter_.submissions.resize(consumed);
    for (const TracedSubmission& submission : enter_.submissions) log_.Begin(submission.sqe);
    const unsigned tail = io_uring_smp_load_acquire(memory_.cq.ktail);
    enter_.completions.resize(tail - cq_tail);
    for (unsigned index = 0; index < tail - cq_tail; ++index) {
      log_.End(memory_.cq.cqes[(cq_tail + index) & memory_.cq.ring_mask],
               enter_.completions[index]);
    }
    log_.Write(enter_);
    return result;
  }

  std::expected<unsigned, Errno> Register(unsigned opcode, const void* argument,
                                          unsigned count) override {
    const auto result = inner_->Register(opcode, argument, count);
    TracedRegister call{.opcode = opcode,
                        .result = result ? static_cast<int32_t>(*result) : -result.error().value()};
    if (opcode == IORING_REGISTER_PBUF_RING || opcode == IORING_UNREGISTER_PBUF_RING) {
      const auto& registration = *static_cast<const io_uring_buf_reg*>(argument);
      call.group = registration.bgid;
      call.entries = registration.ring_entries;
      call.flags = registration.pad;  // Named flags since Linux 6.4.
      if (result && opcode == IORING_REGISTER_PBUF_RING) log_.AddGroup(registration);
      if (result && opcode == IORING_UNREGISTER_PBUF_RING) log_.RemoveGroup(registration.bgid);
    }
    log_.Write(call);
    return result;
  }

 private:
  const io_uring_sqe& At(unsigned position) const {
    return memory_.sq.sqes[memory_.sq.array[position & memory_.sq.ring_mask]];
  }

  std::unique_ptr<Ring> inner_;
  Kernel& clock_;
  Log& log_;
  const Nanoseconds began_;
  unsigned seen_head_ = 0;
  TracedEnter enter_;  // Kept for its memory.
};

class ServerTraceRecorder::RecordingKernel final : public Kernel {
 public:
  RecordingKernel(Kernel& inner, Log& log)
      : inner_(inner), log_(log), began_(inner.MonotonicNow()) {}

  std::expected<std::unique_ptr<Ring>, std::string> MakeRing(const RingOptions& options) override {
    ORRERY_CHECK_MSG(!has_ring_, "a trace is of one ring");
    auto ring = inner_.MakeRing(options);
    if (!ring) return ring;
    has_ring_ = true;
    return std::make_unique<RecordingRing>(std::move(*ring), inner_, log_, began_);
  }
  std::expected<int, Errno> Listen(const ListenOptions& options) override {
    const auto listener = inner_.Listen(options);
    TracedListen listen{.result = listener ? *listener : -listener.error().value(),
                        .port = options.port,
                        .backlog = options.backlog};
    if (listener) listen.port = inner_.LocalPort(*listener).value_or(options.port);
    log_.Write(listen);
    return listener;
  }
  // A trace has no words for these.
  std::expected<std::vector<int>, Errno> ListenShared(const ListenOptions&, unsigned) override {
    return std::unexpected(Errno(EOPNOTSUPP));
  }
  std::expected<int, Errno> ListenUnix(const UnixListenOptions&) override {
    return std::unexpected(Errno(EOPNOTSUPP));
  }
  void RemoveSocketFile(const std::string& path) override { inner_.RemoveSocketFile(path); }
  std::expected<uint16_t, Errno> LocalPort(int listener) override {
    return inner_.LocalPort(listener);
  }
  std::expected<SocketEnds, Errno> Ends(int socket) override { return inner_.Ends(socket); }
  ProcessUsage Usage() override { return inner_.Usage(); }
  std::expected<void, Errno> SetSocketOption(int socket, int level, int option,
                                             int value) override {
    return inner_.SetSocketOption(socket, level, option, value);
  }
  std::expected<int, Errno> MakeEventFd() override {
    const auto eventfd = inner_.MakeEventFd();
    log_.Write(TracedEventFd{.result = eventfd ? *eventfd : -eventfd.error().value()});
    return eventfd;
  }
  void SignalEventFd(int fd) override { inner_.SignalEventFd(fd); }
  void Close(int fd) override {
    inner_.Close(fd);
    log_.Write(TracedClose{.descriptor = fd});
  }
  std::expected<uint64_t, Errno> RaiseDescriptorLimit() override {
    return inner_.RaiseDescriptorLimit();
  }
  Nanoseconds MonotonicNow() override { return inner_.MonotonicNow(); }
  Nanoseconds RealtimeNow() override { return inner_.RealtimeNow(); }
  void Entropy(std::span<std::byte> bytes) override { inner_.Entropy(bytes); }

 private:
  Kernel& inner_;
  Log& log_;
  const Nanoseconds began_;
  bool has_ring_ = false;
};

ServerTraceRecorder::ServerTraceRecorder(Kernel& inner, TraceWriter& writer)
    : log_(std::make_unique<Log>(writer)),
      kernel_(std::make_unique<RecordingKernel>(inner, *log_)) {}

ServerTraceRecorder::~ServerTraceRecorder() = default;

Kernel& ServerTraceRecorder::kernel() { return *kernel_; }

bool ServerTraceRecorder::Close() { return log_->Close(); }

}  // namespace orrery::acceptor
