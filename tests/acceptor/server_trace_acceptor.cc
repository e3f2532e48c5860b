#include "tests/acceptor/server_trace_acceptor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "kernel_model/bystander.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/observer.h"
#include "tests/acceptor/server_trace_index.h"
#include "tests/acceptor/server_trace_memory.h"
#include "tests/acceptor/server_trace_schedule.h"

namespace orrery::acceptor {
namespace {

using model::EventKind;
using model::ModelKernel;
using model::Site;

constexpr uint32_t kNone = IndexedCompletion::kNone;
// How far behind a receive that was put off for its share the others are looked for.
constexpr uint32_t kLookAheadMax = 1 << 16;
// How many completions may lie between those of a batch in a CQ that overflows.
constexpr uint32_t kLookBehind = 4096;
// What a peer leaves unread, so that its connection's sends may have to wait.
constexpr size_t kLeftUnread = 1;
constexpr size_t kReadAbove = 4096;
// Nobody has it.
constexpr int kNoDescriptor = 1 << 30;
constexpr size_t kProgressEvery = 4096;

bool IsSend(uint8_t opcode) { return opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG; }

// The model, led along a trace.
class Follower final : public model::Bystander, public model::Choice, public model::Observer {
 public:
  Follower(const ServerTrace& trace, const TraceAcceptorOptions& options)
      : trace_(trace),
        options_(options),
        index_(trace),
        schedule_(trace, index_),
        arena_(trace),
        zeros_(std::min(LongestSend(trace), Pages::kBytesMax)),
        model_(ModelOptionsFor(options), *this, this),
        triggered_(index_.completions().size(), false),
        supplied_(index_.completions().size(), false),
        connections_(index_.connections()),
        steps_max_(options.steps_per_completion_max * (index_.completions().size() + 1)) {
    model_.SetBystander(this);
    for (uint32_t number = 0; number < end(); ++number) {
      const IndexedCompletion& received = completion(number);
      if (received.opcode() != IORING_OP_RECV || received.connection == kNone) continue;
      uint32_t& first = connections_[received.connection].next_receive;
      if (first == kNone) first = number;
    }
  }
  ~Follower() override { ring_.reset(); }

  TraceVerdict Run() {
    if (!index_.unsupported().empty()) return Unsupported(index_.unsupported());
    if (!arena_.fits()) return Unsupported("buffers that lie too far apart");
    if (LongestSend(trace_) > Pages::kBytesMax) return Unsupported("sends that are so long");
    for (at_ = 0; at_ < trace_.events.size() && !failed_; ++at_) {
      if (!index_.broken().empty() && at_ == index_.broken_at()) {
        Refuse(index_.broken());
        break;
      }
      std::visit([this](const auto& event) { Carry(event); }, trace_.events[at_]);
      if (options_.progress && at_ % kProgressEvery == 0) options_.progress(at_);
    }
    if (!failed_) CheckEnd();
    verdict_.steps = steps_;
    if (!failed_) verdict_.kind = TraceVerdict::Kind::kAccepted;
    return std::move(verdict_);
  }

  // --- Bystander

  void BeforeOperation(uint64_t, const io_uring_sqe& sqe) override {
    IssueConsumed();
    consumed_ = &enter_->submissions[consumed_count_++];
    if (failed_) return;
    if (sqe.opcode == IORING_OP_ASYNC_CANCEL) {
      // The victim's completion goes through task work, behind what had arrived before.
      TriggerBetween(next_, enter_end_, sqe.addr);
      return;
    }
    const bool takes =
        sqe.opcode == IORING_OP_RECV || sqe.opcode == IORING_OP_ACCEPT || IsSend(sqe.opcode);
    // Without a buffer it ends whether there is something to receive or not (fact B3).
    const bool needs = takes && ExpectedNext(sqe.user_data);
    if (needs && completion(next_).result() != -ENOBUFS) Trigger(next_);
  }

  void BeforeTaskWork(uint64_t, unsigned room, bool again) override {
    IssueConsumed();
    if (failed_) return;
    if (inline_end_ == kNone) inline_end_ = next_;
    TriggerByNow(room, again, /*sleeping=*/false);
  }

  void AfterReceive(uint64_t, uint64_t user_data, size_t bytes) override {
    if (failed_ || bytes == 0 || !ExpectedNext(user_data)) return;
    const IndexedCompletion& received = completion(next_);
    if (!received.not_empty()) return;
    const uint32_t next = received.next_receive;
    if (next == kNone) {
      SupplyFiller(received.connection);
      return;
    }
    // What it promised does not follow at once: it has had its share, and queues up behind those
    // whose bytes have arrived by now.
    if (received.put_off) TriggerBetween(next_ + 1, next, std::nullopt);
    Trigger(next);
  }

  void BeforeWaiting(uint64_t, uint64_t user_data) override {
    if (!failed_ && ExpectedNext(user_data)) Trigger(next_);
  }

  size_t SendRoom(uint64_t, uint64_t user_data, size_t room, size_t unread) override {
    if (failed_) return room;
    if (ExpectedNext(user_data) && completion(next_).result() > 0) {
      return std::min(room, static_cast<size_t>(completion(next_).result()));
    }
    if (unread == 0) return room;
    if (waiting_sends_.insert(user_data).second) {
      const uint32_t connection = ConnectionOf(user_data);
      if (connection != kNone) ++connections_[connection].waiting_sends;
    }
    return 0;
  }

  bool HoldsWorker(uint64_t, uint64_t) override { return true; }

  // --- Choice

  uint64_t Choose(Site site, uint64_t, uint64_t, uint64_t alternatives) override {
    const auto pick = [&](bool departs) { return departs && alternatives > 1 ? 1U : 0U; };
    switch (site) {
      case Site::kNotEmptyHint:
        return pick(next_ < end() && !completion(next_).not_empty());
      case Site::kAcceptFails:
        return pick(next_ < enter_end_ && completion(next_).opcode() == IORING_OP_ACCEPT &&
                    completion(next_).result() == -EMFILE);
      case Site::kEnterAgain:
        return pick(enter_ != nullptr && enter_->result == -EAGAIN);
      case Site::kEnterBusy:
        return pick(enter_ != nullptr && enter_->result == -EBUSY);
      case Site::kEnterInterrupted:
        return pick(WasInterrupted());
      default:
        return 0;
    }
  }

  // --- Observer

  void OnEvent(const model::Event& event) override {
    if (event.kind != EventKind::kComplete || failed_) return;
    if (next_ == end()) {
      Refuse("the model completes " + std::to_string(event.a) + " = " + std::to_string(event.b) +
             ", and the trace has no completion left");
      return;
    }
    const IndexedCompletion& expected = completion(next_);
    const TracedCompletion modelled{.user_data = static_cast<uint64_t>(event.a),
                                    .result = static_cast<int32_t>(event.b),
                                    .flags = static_cast<uint32_t>(event.c),
                                    .payload = {}};
    if (!Same(expected, modelled)) {
      Refuse("Linux: " + ToText(*expected.cqe) + "\nmodel: " + ToText(modelled));
      return;
    }
    Note(expected, modelled);
    ++next_;
  }

  void OnViolation(std::string_view invariant, std::string_view detail) override {
    Refuse("the program broke a rule of the ring: " + std::string(invariant) + ": " +
           std::string(detail));
  }

 private:
  static model::ModelOptions ModelOptionsFor(const TraceAcceptorOptions& options) {
    model::ModelOptions result;
    // Linux counts memory; how much room a send finds is taken from the trace.
    result.socket_buffer_bytes = size_t{1} << 40;
    result.descriptors_max = 1 << 20;
    result.defect = options.defect;
    return result;
  }

  struct Connection {
    ModelKernel::PeerId peer = 0;
    TracedStream seen;              // By the program, as the trace and the model have it.
    StreamHash peer_read;           // By the model's peer.
    uint32_t next_receive = kNone;  // Completion, of those that are not explained yet.
    uint32_t waiting_sends = 0;
    bool has_all_content = true;  // Of what was sent.
    bool has_filler = false;
    bool is_reset = false;
  };
  struct Group {
    std::unique_ptr<Pages> entries;
    unsigned mask = 0;
    std::map<uint16_t, uint64_t> addresses;  // By id, as they were published last.
  };

  const IndexedCompletion& completion(uint32_t number) const {
    return index_.completions()[number];
  }
  uint32_t end() const { return static_cast<uint32_t>(index_.completions().size()); }
  // The next completion of this Enter is this one's.
  bool ExpectedNext(uint64_t user_data) const {
    return next_ < enter_end_ && completion(next_).user_data() == user_data;
  }

  // --- The program's side

  void Carry(const TracedRing& ring) {
    auto made = model_.MakeRing({.sq_entries = ring.sq_entries, .cq_entries = ring.cq_entries});
    if (!made || ring_ != nullptr) {
      Refuse(made ? "a second ring" : made.error());
      return;
    }
    ring_ = std::move(*made);
    model_ring_ = model_.rings().front();
  }

  void Carry(const TracedListen& listen) {
    if (listen.result < 0) return;
    const auto made =
        model_.Listen({.address = "127.0.0.1", .port = listen.port, .backlog = listen.backlog});
    if (!made) {
      Refuse("the model does not listen: " + made.error().ToString());
      return;
    }
    descriptors_[listen.result] = *made;
    ports_[listen.result] = listen.port;
  }

  void Carry(const TracedEventFd& eventfd) {
    if (eventfd.result < 0) return;
    const auto made = model_.MakeEventFd();
    ORRERY_CHECK(made.has_value());  // There are descriptors enough.
    descriptors_[eventfd.result] = *made;
    eventfds_.insert(eventfd.result);
  }

  void Carry(const TracedClose& close) {
    const auto found = descriptors_.find(close.descriptor);
    if (found == descriptors_.end()) return;  // None of the ring's: the trace does not know it.
    model_.Close(found->second);
    Forget(close.descriptor);
  }

  void Carry(const TracedRegister& call) {
    if (ring_ == nullptr) return Refuse("no ring");
    io_uring_buf_reg registration{};
    registration.bgid = call.group;
    std::unique_ptr<Pages> entries;
    if (call.opcode == IORING_REGISTER_PBUF_RING) {
      entries = std::make_unique<Pages>(uint64_t{call.entries} * sizeof(io_uring_buf));
      // The ABI carries pointers as 64-bit integers.
      registration.ring_addr = reinterpret_cast<uint64_t>(entries->begin());
      registration.ring_entries = call.entries;
    }
    const auto result = ring_->Register(call.opcode, &registration, 1);
    const int32_t modelled = result ? static_cast<int32_t>(*result) : -result.error().value();
    if (modelled != call.result) {
      return Refuse("the model answers " + std::to_string(modelled));
    }
    if (modelled < 0) return;
    if (entries == nullptr) {
      groups_.erase(call.group);
      return;
    }
    groups_[call.group] = {
        .entries = std::move(entries), .mask = call.entries - 1, .addresses = {}};
  }

  void Carry(const TracedPublication& publication) {
    const auto found = groups_.find(publication.group);
    if (found == groups_.end()) return Refuse("the group is not registered");
    Group& group = found->second;
    auto* const ring = reinterpret_cast<io_uring_buf_ring*>(group.entries->begin());
    auto* const entries = reinterpret_cast<io_uring_buf*>(group.entries->begin());
    for (const TracedBuffer& buffer : publication.buffers) {
      io_uring_buf& entry = entries[ring->tail & group.mask];
      entry.addr = reinterpret_cast<uint64_t>(arena_.At(buffer.address));
      entry.len = buffer.bytes;
      entry.bid = buffer.id;
      group.addresses[buffer.id] = buffer.address;
      // The tail lies in the first entry, where an entry has nothing else.
      ++ring->tail;
      ++verdict_.publications;
    }
  }

  void Carry(const TracedEnter& enter) {
    if (ring_ == nullptr) return Refuse("no ring");
    enter_ = &enter;
    posted_before_ = next_;
    enter_begin_ = visible_end_;
    visible_end_ += static_cast<uint32_t>(enter.completions.size());
    enter_end_ = PostedUntil(enter);
    inline_end_ = kNone;
    consumed_count_ = 0;
    model_.AdvanceTo(std::max(enter.start, model_.MonotonicNow()));
    io_uring& memory = ring_->memory();
    io_uring_smp_store_release(memory.cq.khead,
                               *memory.cq.khead + static_cast<unsigned>(enter.reaped));
    Prepare(enter);
    const unsigned tail = *memory.cq.ktail;
    const EnterRequest request{.to_submit = enter.to_submit,
                               .min_complete = enter.min_complete,
                               .deadline = enter.deadline};
    std::optional<EnterResult> result = model_ring_->Begin(request);
    while (!result && !failed_) result = Sleep();
    IssueConsumed();
    if (!failed_) Compare(enter, *result, *memory.cq.ktail - tail);
    enter_ = nullptr;
    if (failed_) return;
    ++verdict_.enters;
    verdict_.submissions += enter.submissions.size();
    verdict_.completions += enter.completions.size();
    const uint64_t late = next_ - std::min(inline_end_, next_);
    verdict_.late_completions += late;
    verdict_.late_in_enter_max = std::max(verdict_.late_in_enter_max, late);
  }

  // What an Enter posts becomes visible in it, but for what the CQ has no room for (fact O1): that
  // lies behind the last of its completions, and is at least what its batch completed at once, and
  // what stands before such a one of the next batch. How much more there was, and was not posted
  // by the next Enter's task work, makes no difference (fact O2).
  uint32_t PostedUntil(const TracedEnter& enter) const {
    uint32_t until = std::max(visible_end_, next_);
    if ((enter.sq_flags & IORING_SQ_CQ_OVERFLOW) == 0) return until;
    until = std::max(until, std::min(visible_end_ + 1, end()));
    size_t next_event = at_ + 1;
    while (next_event < trace_.events.size() &&
           !std::holds_alternative<TracedEnter>(trace_.events[next_event])) {
      ++next_event;
    }
    const uint32_t last = std::min(end(), until + kLookBehind);
    for (uint32_t number = until; number < last; ++number) {
      const IndexedCompletion& posted = completion(number);
      const bool late = posted.opcode() == IORING_OP_POLL_ADD ||
                        posted.opcode() == IORING_OP_SHUTDOWN || posted.opcode() == IORING_OP_RECV;
      if (late) continue;
      if (posted.submitted == at_) until = number + 1;
      if (posted.submitted == next_event) return std::max(until, number);
    }
    return until;
  }

  // Puts the SQEs that Linux consumed into the model's queue, with memory of ours.
  void Prepare(const TracedEnter& enter) {
    io_uring_sq& sq = ring_->memory().sq;
    messages_.assign(enter.submissions.size(), {});
    iovecs_.clear();
    size_t iovecs = 0;
    for (const TracedSubmission& submission : enter.submissions) iovecs += submission.iovecs;
    iovecs_.reserve(iovecs);  // Their addresses are handed out below.
    unsigned tail = *sq.ktail;
    if (enter.submissions.size() > sq.ring_entries) return Refuse("more SQEs than the SQ holds");
    for (size_t number = 0; number < enter.submissions.size(); ++number) {
      const TracedSubmission& submission = enter.submissions[number];
      io_uring_sqe sqe = submission.sqe;
      if (sqe.opcode != IORING_OP_NOP && sqe.opcode != IORING_OP_ASYNC_CANCEL) {
        const auto found = descriptors_.find(sqe.fd);
        sqe.fd = found == descriptors_.end() ? kNoDescriptor : found->second;
      }
      if (IsSend(sqe.opcode)) GiveMemory(submission, messages_[number], sqe);
      if (sqe.opcode == IORING_OP_CLOSE) closing_[sqe.user_data] = submission.sqe.fd;
      sq.sqes[tail & sq.ring_mask] = sqe;
      ++tail;
    }
    io_uring_smp_store_release(sq.ktail, tail);
  }

  // All bytes in the first iovec: where they lie shows nowhere, how many iovecs there are does.
  void GiveMemory(const TracedSubmission& submission, msghdr& message, io_uring_sqe& sqe) {
    const TracePayload& payload = submission.payload;
    // The model only reads it.
    void* const base = payload.has_content()
                           ? static_cast<void*>(const_cast<char*>(payload.content.data()))
                           : static_cast<void*>(zeros_.begin());
    if (sqe.opcode == IORING_OP_SEND) {
      sqe.addr = reinterpret_cast<uint64_t>(base);
      return;
    }
    message.msg_iov = iovecs_.data() + iovecs_.size();
    message.msg_iovlen = submission.iovecs;
    for (uint64_t part = 0; part < submission.iovecs; ++part) {
      iovecs_.push_back({.iov_base = base, .iov_len = part == 0 ? payload.hash.bytes() : 0});
    }
    sqe.addr = reinterpret_cast<uint64_t>(&message);
  }

  // One thing that ends the sleep, or comes nearer to it.
  std::optional<EnterResult> Sleep() {
    if (!Step()) return std::nullopt;
    if (model_ring_->CanFinish()) return model_ring_->Finish();
    if (next_ < enter_end_ && !triggered_[next_]) {
      TriggerByNow(/*room=*/1, /*again=*/false, /*sleeping=*/true);
      Trigger(next_);
      return std::nullopt;
    }
    if (next_ < enter_end_) {
      Refuse("Linux: " + ToText(*completion(next_).cqe) +
             "\nmodel: sleeps, and nothing that it waits for brings this");
      return std::nullopt;
    }
    if (model_ring_->deadline() == kNever) {
      Refuse("the model sleeps on, and Linux returned without a completion");
      return std::nullopt;
    }
    model_.AdvanceTo(std::max(model_.MonotonicNow(), model_ring_->deadline()));
    return std::nullopt;
  }

  // What ended the wait was neither a completion nor its deadline.
  bool WasInterrupted() const {
    if (enter_ == nullptr || !enter_->completions.empty()) return false;
    if (enter_->result == -EINTR) return true;
    return enter_->result > 0 && enter_->end < enter_->deadline;
  }

  void Compare(const TracedEnter& enter, const EnterResult& result, unsigned posted) {
    const int32_t modelled = result ? static_cast<int32_t>(*result) : -result.error().value();
    if (posted != enter.completions.size()) {
      std::string reason = "Linux: " + std::to_string(enter.completions.size()) +
                           " completions in this Enter\nmodel: " + std::to_string(posted);
      if (next_ < visible_end_) reason += ", not " + ToText(*completion(next_).cqe);
      return Refuse(reason);
    }
    if (modelled != enter.result) {
      return Refuse("Linux: the Enter returned " + std::to_string(enter.result) +
                    "\nmodel: " + std::to_string(modelled));
    }
    for (uint32_t number = enter_begin_; number < visible_end_ && !failed_; ++number) {
      CompareBytes(completion(number));
    }
    for (const uint32_t number : sent_now_) ReadSome(connections_[number]);
    sent_now_.clear();
  }

  void CompareBytes(const IndexedCompletion& received) {
    const bool has_buffer = (received.cqe->flags & IORING_CQE_F_BUFFER) != 0;
    if (received.opcode() != IORING_OP_RECV || !has_buffer) return;
    const TracePayload& payload = received.cqe->payload;
    if (payload.hash.bytes() != static_cast<uint64_t>(std::max(received.result(), 0))) {
      return Refuse("as many bytes as " + ToText(*received.cqe) + " says are not in the trace");
    }
    const auto id = static_cast<uint16_t>(received.cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    const Group& group = groups_[received.submission->sqe.buf_group];
    const auto* const bytes = reinterpret_cast<const char*>(arena_.At(group.addresses.at(id)));
    const std::string_view modelled(bytes, payload.hash.bytes());
    TracedStream& seen = connections_[received.connection].seen;
    if (!payload.has_content()) {
      seen.received.Append(payload.hash);
    } else if (modelled == payload.content) {
      seen.received.Append(modelled);
    } else {
      Refuse("the bytes of " + ToText(*received.cqe) + " are not those that its peer sent");
    }
    verdict_.received_bytes += modelled.size();
  }

  // --- What the trace tells of the program's world

  bool Same(const IndexedCompletion& expected, const TracedCompletion& modelled) const {
    const uint32_t binding = ~uint32_t{IORING_CQE_F_SOCK_NONEMPTY};
    if (expected.user_data() != modelled.user_data) return false;
    if ((expected.cqe->flags & binding) != (modelled.flags & binding)) return false;
    if (expected.opcode() == IORING_OP_ACCEPT && expected.result() >= 0) {
      return modelled.result >= 0;  // Numbers are the kernel's to give.
    }
    return expected.result() == modelled.result;
  }

  void Note(const IndexedCompletion& done, const TracedCompletion& modelled) {
    if (!done.more()) issued_.erase(done.user_data());
    switch (done.opcode()) {
      case IORING_OP_ACCEPT:
        if (done.result() < 0) break;
        descriptors_[done.result()] = modelled.result;
        connections_by_descriptor_[done.result()] = done.connection;
        ++accepted_;
        ++verdict_.connections;
        break;
      case IORING_OP_CLOSE:
        if (done.result() == 0) Forget(closing_[done.user_data()]);
        closing_.erase(done.user_data());
        break;
      case IORING_OP_RECV:
        if (done.connection != kNone) {
          connections_[done.connection].next_receive = done.next_receive;
        }
        if (done.result() == -ENOBUFS) ++verdict_.starved;
        break;
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG:
        NoteSent(done);
        break;
      default:
        break;
    }
  }

  // The bytes that were in memory when the send had completed are those that the kernel was given.
  void NoteSent(const IndexedCompletion& done) {
    if (waiting_sends_.erase(done.user_data()) > 0 && done.connection != kNone) {
      --connections_[done.connection].waiting_sends;
    }
    if (done.result() <= 0) return;
    const StreamHash& completed = done.cqe->payload.hash;
    const TracePayload& given = done.submission->payload;
    const auto bytes = static_cast<uint64_t>(done.result());
    StreamHash sent = given.hash;
    if (given.has_content()) {
      sent = StreamHash();
      sent.Append(std::string_view(given.content).substr(0, bytes));
    }
    const bool known = given.has_content() || bytes == given.hash.bytes();
    if (completed.bytes() != bytes || (known && completed != sent)) {
      Refuse("the bytes of " + ToText(*done.cqe) + " changed while they were sent");
      return;
    }
    verdict_.sent_bytes += bytes;
    if (done.connection == kNone) return;
    Connection& connection = connections_[done.connection];
    connection.seen.sent.Append(completed);
    if (!given.has_content()) connection.has_all_content = false;
    sent_now_.push_back(done.connection);
  }

  void Forget(int descriptor) {
    descriptors_.erase(descriptor);
    connections_by_descriptor_.erase(descriptor);
    eventfds_.erase(descriptor);
  }

  void CheckEnd() {
    if (next_ != end()) return Refuse("completions are left over");
    if (index_.in_flight_at_end() != (ring_ == nullptr ? 0 : model_.requests_in_flight())) {
      return Refuse("the model has " + std::to_string(model_.requests_in_flight()) +
                    " operations in flight, and Linux " +
                    std::to_string(index_.in_flight_at_end()));
    }
    if (trace_.streams.size() != index_.connections()) {
      return Refuse("the trace has " + std::to_string(trace_.streams.size()) + " streams of " +
                    std::to_string(index_.connections()) + " connections");
    }
    for (uint32_t number = 0; number < index_.connections() && !failed_; ++number) {
      CheckStream(number);
    }
  }

  void CheckStream(uint32_t number) {
    Connection& connection = connections_[number];
    ReadAll(connection, 0);
    const auto differ = [&](const char* what, const StreamHash& is, const StreamHash& should) {
      if (is == should) return false;
      Refuse("connection " + std::to_string(number) + ": the stream that " + what + " has " +
             std::to_string(is.bytes()) + " bytes, and should have " +
             std::to_string(should.bytes()) +
             (is.bytes() == should.bytes() ? "; they are others" : ""));
      return true;
    };
    const TracedStream& recorded = trace_.streams[number];
    if (differ("it received", connection.seen.received, recorded.received)) return;
    if (differ("it sent", connection.seen.sent, recorded.sent)) return;
    // A reset drops what had not been read.
    const bool whole = connection.has_all_content && !connection.is_reset;
    if (whole) differ("its peer read", connection.peer_read, recorded.sent);
  }

  // --- The world's side: what it must have done

  // The SQE that was consumed before this point has been carried out.
  void IssueConsumed() {
    const TracedSubmission* const done = std::exchange(consumed_, nullptr);
    if (done == nullptr) return;
    const auto found = connections_by_descriptor_.find(done->sqe.fd);
    issued_[done->sqe.user_data] =
        found == connections_by_descriptor_.end() ? kNone : found->second;
    // Those that have ended already are not looked for again.
    if (next_ > posted_before_ && !completion(next_ - 1).more() &&
        completion(next_ - 1).user_data() == done->sqe.user_data) {
      issued_.erase(done->sqe.user_data);
    }
  }

  uint32_t ConnectionOf(uint64_t user_data) const {
    if (consumed_ != nullptr && consumed_->sqe.user_data == user_data) {
      const auto found = connections_by_descriptor_.find(consumed_->sqe.fd);
      return found == connections_by_descriptor_.end() ? kNone : found->second;
    }
    const auto found = issued_.find(user_data);
    return found == issued_.end() ? kNone : found->second;
  }

  // False: the budget is used up.
  bool Step() {
    if (failed_) return false;
    if (++steps_ <= steps_max_) return true;
    Fail(TraceVerdict::Kind::kOutOfBudget,
         "more than " + std::to_string(steps_max_) + " inferences");
    return false;
  }

  // Makes happen what the completions from `begin` to `end` need of those that wait, each once, in
  // their order: up to the first that has to be woken a second time, or to the victim of a cancel.
  void TriggerBetween(uint32_t begin, uint32_t end, std::optional<uint64_t> victim) {
    seen_.clear();
    if (end > begin && end - begin > kLookAheadMax) {
      Fail(TraceVerdict::Kind::kOutOfBudget, "a receive that was put off for too long");
      return;
    }
    uint32_t number = begin;
    while (number < end && Step()) {
      const uint64_t user_data = completion(number).user_data();
      if (user_data == victim) return;
      // A later request may have the same user data.
      const bool submitted = completion(number).submitted <= at_;
      if (submitted && issued_.contains(user_data)) {
        if (!seen_.insert(user_data).second && !triggered_[number]) return;
        Trigger(number);
      }
      while (number < end && completion(number).user_data() == user_data) ++number;
    }
  }

  // Makes happen what must have been queued by now, when task work is taken over.
  void TriggerByNow(unsigned room, bool again, bool sleeping) {
    uint32_t queued_until = std::max(next_, triggered_until_);
    for (uint32_t number = queued_until; number < enter_end_; ++number) {
      // A cancel has queued its victim.
      if (completion(number).result() == -ECANCELED) queued_until = number + 1;
    }
    if (posted_before_ != enter_begin_ || enter_end_ != visible_end_) {
      // The CQ overflows: what is visible does not tell what ran.
      TriggerBetween(next_, enter_end_, std::nullopt);
      return;
    }
    const TaskWorkSchedule::Answer answer = schedule_.Find({.event = at_,
                                                            .next = next_,
                                                            .queued_until = queued_until,
                                                            .room = room,
                                                            .again = again,
                                                            .sleeping = sleeping});
    if (answer.gave_up) gave_up_ = true;
    // If it cannot be, the model shows why.
    const uint32_t arrived = answer.found ? answer.arrived : enter_end_;
    TriggerBetween(next_, arrived, std::nullopt);
  }

  void Trigger(uint32_t number) {
    if (triggered_[number] || !Step()) return;
    triggered_[number] = true;
    triggered_until_ = std::max(triggered_until_, number + 1);
    const IndexedCompletion& expected = completion(number);
    switch (expected.opcode()) {
      case IORING_OP_ACCEPT:
        return ConnectPeers(number);
      case IORING_OP_RECV:
        if (expected.connection != kNone) Arrive(number);
        return;
      case IORING_OP_SEND:
      case IORING_OP_SENDMSG:
        if (expected.connection == kNone) return;
        if (expected.result() == -ECONNRESET || expected.result() == -EPIPE) {
          Reset(connections_[expected.connection], expected.result() == -EPIPE);
        } else {
          ReadAll(connections_[expected.connection], 0);
        }
        return;
      case IORING_OP_POLL_ADD: {
        const int descriptor = expected.submission->sqe.fd;
        if (eventfds_.contains(descriptor)) model_.SignalEventFd(descriptors_[descriptor]);
        return;
      }
      case IORING_OP_SHUTDOWN:
        if (expected.result() == -ENOTCONN && expected.connection != kNone) {
          Reset(connections_[expected.connection], /*end_first=*/false);
        }
        (void)model_.RunWorker(0, expected.user_data());  // If it does not wait, that will show.
        return;
      default:
        return;
    }
  }

  // Those that one accept takes in a row, in this Enter.
  void ConnectPeers(uint32_t number) {
    const IndexedCompletion& first = completion(number);
    const auto port = ports_.find(first.submission->sqe.fd);
    if (port == ports_.end()) return;
    const bool limit = first.result() == -EMFILE || first.result() == -ENFILE;
    const uint32_t stop = std::max(enter_end_, number + 1);
    for (; number < stop; ++number) {
      const IndexedCompletion& accepted = completion(number);
      if (accepted.user_data() != first.user_data()) return;
      if (accepted.result() < 0 && !limit) return;
      triggered_[number] = true;
      triggered_until_ = std::max(triggered_until_, number + 1);
      // One that met a limit is still there for the next accept.
      if (limit && connected_ > accepted_) return;
      const auto peer = model_.PeerConnect(port->second);
      if (!peer) {
        triggered_[number] = false;  // The backlog is full: after these have been accepted.
        return;
      }
      if (connected_ < connections_.size()) connections_[connected_].peer = *peer;
      ++connected_;
      if (limit) return;
    }
  }

  // What the receive that ended, or went on, with this completion had found.
  void Arrive(uint32_t number) {
    const IndexedCompletion& received = completion(number);
    Connection& connection = connections_[received.connection];
    if (received.result() > 0) {
      Supply(number);
    } else if (received.result() == 0) {
      model_.PeerShutdownWrite(connection.peer);
    } else if (received.result() == -ECONNRESET || received.result() == -EPIPE) {
      Reset(connection, received.result() == -EPIPE);
    } else if (received.result() == -ENOBUFS) {
      // Something came for which there was no buffer: what later receives found.
      uint32_t next = received.next_receive;
      while (next != kNone && completion(next).result() == -ENOBUFS && Step()) {
        next = completion(next).next_receive;
      }
      const bool known = next != kNone && completion(next).result() != -ECANCELED;
      known ? Arrive(next) : SupplyFiller(received.connection);
    }
  }

  // The bytes of a completion, once.
  void Supply(uint32_t number) {
    if (supplied_[number]) return;
    supplied_[number] = true;
    const IndexedCompletion& received = completion(number);
    const auto bytes = static_cast<size_t>(received.result());
    const TracePayload& payload = received.cqe->payload;
    if (payload.has_content() && payload.content.size() == bytes) {
      SendAsPeer(received.connection, std::as_bytes(std::span(payload.content)));
    } else {
      filler_.resize(std::max(filler_.size(), bytes));
      SendAsPeer(received.connection, std::span(filler_).first(bytes));
    }
  }

  // Bytes that nobody ever receives.
  void SupplyFiller(uint32_t number) {
    if (std::exchange(connections_[number].has_filler, true)) return;
    constexpr std::byte kByte{'?'};
    SendAsPeer(number, {&kByte, 1});
  }

  void SendAsPeer(uint32_t number, std::span<const std::byte> bytes) {
    // When its stream has ended nothing is sent, and the completion that needs it does not come.
    (void)model_.PeerSend(connections_[number].peer, bytes);
  }

  // Behind all that is ever received, and its end.
  void Reset(Connection& connection, bool end_first) {
    if (std::exchange(connection.is_reset, true)) return;
    for (uint32_t next = connection.next_receive; next != kNone && Step();
         next = completion(next).next_receive) {
      if (completion(next).result() > 0) Supply(next);
      if (completion(next).result() == 0) end_first = true;
    }
    if (end_first) model_.PeerShutdownWrite(connection.peer);
    model_.PeerReset(connection.peer);
  }

  // --- What the peers read

  void ReadSome(Connection& connection) {
    const size_t readable = model_.PeerReadable(connection.peer);
    if (connection.waiting_sends == 0 && readable > kReadAbove) ReadAll(connection, kLeftUnread);
  }

  void ReadAll(Connection& connection, size_t but) {
    size_t left = model_.PeerReadable(connection.peer);
    read_.resize(std::min<size_t>(left, size_t{1} << 20));
    while (left > but) {
      const std::span<std::byte> room = std::span(read_).first(std::min(read_.size(), left - but));
      const model::PeerRead got = model_.PeerReceive(connection.peer, room);
      if (got.bytes == 0) return;
      left -= got.bytes;
      connection.peer_read.Append(
          std::string_view(reinterpret_cast<const char*>(read_.data()), got.bytes));
    }
  }

  // --- Verdicts

  TraceVerdict Unsupported(const std::string& what) {
    verdict_.kind = TraceVerdict::Kind::kUnsupported;
    verdict_.reason = "the acceptor does not know " + what;
    return std::move(verdict_);
  }

  void Refuse(const std::string& reason) { Fail(TraceVerdict::Kind::kRefused, reason); }

  // The first failure counts.
  void Fail(TraceVerdict::Kind kind, const std::string& reason) {
    if (failed_) return;
    failed_ = true;
    verdict_.kind = gave_up_ ? TraceVerdict::Kind::kOutOfBudget : kind;
    verdict_.reason = reason;
    verdict_.place = "event " + std::to_string(at_) + " of " +
                     std::to_string(trace_.events.size()) + ", completion " +
                     std::to_string(next_) + " of " + std::to_string(end());
    verdict_.window = WindowText(trace_, at_, next_ - std::min(next_, enter_begin_));
  }

  const ServerTrace& trace_;
  const TraceAcceptorOptions& options_;
  const ServerTraceIndex index_;
  TaskWorkSchedule schedule_;
  const BufferArena arena_;
  const Pages zeros_;
  ModelKernel model_;
  std::unique_ptr<Ring> ring_;
  model::ModelRing* model_ring_ = nullptr;
  std::map<uint16_t, Group> groups_;

  // Where we are.
  size_t at_ = 0;
  const TracedEnter* enter_ = nullptr;
  uint32_t posted_before_ = 0;  // This Enter.
  uint32_t enter_begin_ = 0;    // The first that became visible in it.
  uint32_t visible_end_ = 0;
  uint32_t enter_end_ = 0;  // The last that was posted in it.
  uint32_t inline_end_ = kNone;
  uint32_t next_ = 0;  // The completion that is to come out of the model next.
  size_t consumed_count_ = 0;
  const TracedSubmission* consumed_ = nullptr;  // And not yet carried out.

  // By completion: what it needs has happened; its bytes have been sent.
  std::vector<bool> triggered_;
  uint32_t triggered_until_ = 0;
  std::vector<bool> supplied_;
  std::vector<Connection> connections_;
  size_t connected_ = 0;
  size_t accepted_ = 0;

  // Never walked: order does not matter. The trace's descriptors to the model's.
  std::unordered_map<int, int> descriptors_;
  std::unordered_map<int, uint16_t> ports_;
  std::unordered_map<int, uint32_t> connections_by_descriptor_;
  std::unordered_set<int> eventfds_;
  // What has been carried out and not ended, with its connection, by user data.
  std::unordered_map<uint64_t, uint32_t> issued_;
  std::unordered_map<uint64_t, int> closing_;
  std::unordered_set<uint64_t> waiting_sends_;
  std::unordered_set<uint64_t> seen_;

  // Memory of one Enter.
  std::vector<msghdr> messages_;
  std::vector<iovec> iovecs_;
  std::vector<uint32_t> sent_now_;
  std::vector<std::byte> filler_;
  std::vector<std::byte> read_;

  const uint64_t steps_max_;
  uint64_t steps_ = 0;
  bool failed_ = false;
  bool gave_up_ = false;  // Of some run of task work it is not known what had arrived.
  TraceVerdict verdict_;
};

}  // namespace

TraceVerdict ExplainServerTrace(const ServerTrace& trace, const TraceAcceptorOptions& options) {
  return Follower(trace, options).Run();
}

}  // namespace orrery::acceptor
