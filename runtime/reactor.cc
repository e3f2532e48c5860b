#include "runtime/reactor.h"

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/mark.h"

namespace orrery {
namespace {

// Sends of one turn share this many iovecs; when they are used up the rest waits for the next
// Enter.
constexpr size_t kIovecsPerEnter = 8192;

// After a body: the end of its line by itself, and some commands, one of which may bring another.
constexpr uint8_t kSingleReceives = 4;

// A source is named by the operation, and a listener by its number.
constexpr UserData SourceTag(Operation operation, size_t number = 0) {
  return {.operation = operation,
          .slot = {.index = static_cast<uint32_t>(number), .generation = 0}};
}

void MarkRefusal([[maybe_unused]] Operation operation) {
  ORRERY_MARK_IF(operation == Operation::kReceive, "sq-full.receive");
  ORRERY_MARK_IF(operation == Operation::kReceiveCancel, "sq-full.receive-cancel");
  ORRERY_MARK_IF(operation == Operation::kSend, "sq-full.send");
  ORRERY_MARK_IF(operation == Operation::kSendCancel, "sq-full.send-cancel");
  ORRERY_MARK_IF(operation == Operation::kShutdown, "sq-full.shutdown");
  ORRERY_MARK_IF(operation == Operation::kClose, "sq-full.close");
}

void MarkCancel([[maybe_unused]] const Completion& completion,
                [[maybe_unused]] bool target_in_flight) {
  ORRERY_MARK_IF(completion.failed_with(ENOENT), "cancel.found-nothing");
  ORRERY_MARK_IF(target_in_flight, "cancel.before-its-target");
  ORRERY_MARK_IF(!target_in_flight, "cancel.after-its-target");
}

// Whether the kernel knows the operation.
bool Supports(Ring& ring, unsigned opcode) {
  constexpr unsigned kOpcodesMax = 256;
  alignas(io_uring_probe)
      std::byte memory[sizeof(io_uring_probe) + kOpcodesMax * sizeof(io_uring_probe_op)] = {};
  // The kernel fills in the header and the array behind it.
  auto* probe = reinterpret_cast<io_uring_probe*>(memory);
  if (!ring.Register(IORING_REGISTER_PROBE, probe, kOpcodesMax)) return false;
  return io_uring_opcode_supported(probe, static_cast<int>(opcode)) != 0;
}

// Answers of a kernel that does not send this way, to this socket or for want of memory that may be
// pinned. Nothing was sent.
bool RefusesZeroCopy(const Completion& completion) {
  return completion.failed_with(EINVAL) || completion.failed_with(EOPNOTSUPP) ||
         completion.failed_with(ENOMEM) || completion.failed_with(ENOBUFS);
}

}  // namespace

std::expected<std::unique_ptr<Reactor>, Errno> Reactor::Create(Ring& ring, Kernel& kernel,
                                                               Application& application,
                                                               const ReactorOptions& options) {
  ORRERY_CHECK(options.iovecs_max >= 1 && options.iovecs_max <= 1024);
  ORRERY_CHECK(options.connections_max <= UserData::kIndexMax);
  ORRERY_CHECK(options.drain_bytes_max <= UINT32_MAX);
  std::unique_ptr<Reactor> reactor(new Reactor(ring, kernel, application, options));
  auto buffers = BufferRing::Create(ring, kBufferGroup, options.buffers, options.buffer_bytes);
  if (!buffers) return std::unexpected(buffers.error());
  reactor->buffers_ = std::move(*buffers);
  if (options.fixed_files > 0) {
    const auto registered = RegisterSparseFiles(ring, options.fixed_files);
    if (!registered) return std::unexpected(registered.error());
  }
  if (options.zero_copy.body_bytes_min != ZeroCopyOptions::kNever &&
      Supports(ring, IORING_OP_SENDMSG_ZC)) {
    reactor->zero_copy_ = std::make_unique<ZeroCopySender>(options.zero_copy);
  }
  return reactor;
}

Reactor::Reactor(Ring& ring, Kernel& kernel, Application& application,
                 const ReactorOptions& options)
    : ring_(ring),
      kernel_(kernel),
      application_(application),
      options_(options),
      submission_(ring),
      connections_(options.connections_max),
      free_slots_(options.fixed_files),
      iovecs_(std::max<size_t>(kIovecsPerEnter, options.iovecs_max)),
      messages_(ring.memory().sq.ring_entries) {
  events_.reserve(kEventsMax);
  taken_buffers_.reserve(kEventsMax);
}

Reactor::~Reactor() {
  const bool accepts = std::ranges::any_of(listeners_, &Source::in_flight);
  ORRERY_CHECK_MSG(connections_.size() == 0 && !accepts && !waker_.in_flight,
                   "a reactor died while the kernel still worked for it");
  // Given up (notification_timeout): the kernel may still read it, so it is nobody's for ever.
  if (zero_copy_ != nullptr && zero_copy_->slab().has_in_flight()) (void)zero_copy_.release();
}

void Reactor::Listen(int listener, Accepted accepted) {
  ORRERY_CHECK(listeners_.size() < kListenersMax);
  listeners_.push_back({.descriptor = listener, .handed_out = accepted == Accepted::kHandedOut});
  // Accepted sockets inherit it from their listener.
  (void)kernel_.SetSocketOption(listener, IPPROTO_TCP, TCP_NODELAY, 1);  // A matter of speed only.
}

void Reactor::Watch(int eventfd, Ownership ownership) {
  ORRERY_CHECK(waker_.descriptor < 0);
  waker_.descriptor = eventfd;
  waker_.lent = ownership == Ownership::kLent;
}

// --- The turn

EnterRequest Reactor::Turn() {
  ++counters_.turns;
  now_ = kernel_.MonotonicNow();
  Reap();
  if (woken_) {
    woken_ = false;
    application_.OnWoken();
  }
  const Nanoseconds application_deadline = application_.OnTurn(now_);
  ExpireLingering();
  WakeStarved();

  if (submission_.pending() == 0) iovecs_used_ = messages_used_ = 0;
  if (notification_deadline_ == kNever && WaitsForNotificationsOnly()) {
    notification_deadline_ = now_ + options_.notification_timeout;
  }
  ArmSources();
  arm_queue_.Walk(connections_, [this](Connection& connection) { return Arm(connection); });

  may_sleep_ = MaySleep();
  return {.to_submit = submission_.Publish(),
          .min_complete = may_sleep_ ? 1u : 0u,
          .deadline = NextDeadline(application_deadline)};
}

void Reactor::OnEntered(const EnterResult& result) {
  if (may_sleep_) application_.OnAwake();
  // A short count is no error: what was not consumed is still in the queue and goes with the next
  // Enter.
  ORRERY_MARK_IF(result && submission_.pending() > 0, "enter.consumed-fewer");
  if (result) return;
  ORRERY_MARK_IF(result.error() == EINTR, "enter.interrupted");
  ORRERY_MARK_IF(result.error() == EAGAIN, "enter.again");
  ORRERY_MARK_IF(result.error() == EBUSY, "enter.busy");
  switch (result.error().value()) {
    case ETIME:
      return;
    case EINTR:
    case EAGAIN:
    case EBUSY:
      ++counters_.enter_retries;
      return;
    default:
      CheckFailed(__FILE__, __LINE__, "io_uring_enter", result.error().ToString().c_str());
  }
}

bool Reactor::MaySleep() {
  if (std::exchange(worked_, false)) spins_left_ = options_.spin_turns;
  if (MustNotSleep()) return false;
  if (spins_left_ > 0) {
    // Entering without waiting, and not watching the CQ: late completions appear in Enter only
    // (fact V3).
    --spins_left_;
    return false;
  }
  return application_.TrySleep();
}

bool Reactor::MustNotSleep() const {
  return !arm_queue_.empty() || source_refused_ ||
         (!starved_.empty() && buffers_->with_kernel() > 0) || finished();
}

Nanoseconds Reactor::NextDeadline(Nanoseconds application_deadline) {
  Nanoseconds deadline = application_deadline;
  for (LingerList* list : {&flushing_, &lingering_}) {
    if (Connection* first = list->front()) deadline = std::min(deadline, first->linger_deadline_);
  }
  if (WaitsForNotificationsOnly()) deadline = std::min(deadline, notification_deadline_);
  // Of sources that pause. One that ends waits for completions only.
  for (const Source& listener : listeners_) {
    if (listener.retry_at > now_) deadline = std::min(deadline, listener.retry_at);
  }
  if (waker_.retry_at > now_) deadline = std::min(deadline, waker_.retry_at);
  return deadline;
}

// --- Completions in

void Reactor::Reap() {
  io_uring* memory = &ring_.memory();
  // What is there now; what the handlers cause comes with a later Enter.
  unsigned ready = io_uring_cq_ready(memory);
  ORRERY_MARK_IF(ready > kEventsMax, "reap.several-batches");
  while (ready > 0) {
    unsigned batch = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(memory, head, cqe) {
      if (batch == std::min<size_t>(ready, kEventsMax)) break;
      ++batch;
      // The next one's connection is on its way into the cache meanwhile.
      const io_uring_cqe& next = memory->cq.cqes[(head + 1) & memory->cq.ring_mask];
      if (batch < ready) connections_.Prefetch(Completion(next).user_data().slot);
      Handle(Completion(*cqe));
    }
    io_uring_cq_advance(memory, batch);
    counters_.completions += batch;
    worked_ = true;
    ready -= batch;
    Deliver();
  }
}

void Reactor::Deliver() {
  if (!events_.empty()) application_.OnEvents(events_);
  events_.clear();
  for (const uint16_t buffer : taken_buffers_) buffers_->Return(buffer);
  taken_buffers_.clear();
  buffers_->Publish();
  ORRERY_CHECK_OP(buffers_->with_kernel(), ==, buffers_->buffers());
  ReleaseClosed();
}

void Reactor::Handle(const Completion& completion) {
  const UserData tag = completion.user_data();
  switch (tag.operation) {
    case Operation::kAccept:
      return HandleAccept(listeners_[tag.slot.index], completion);
    case Operation::kAcceptCancel:
      listeners_[tag.slot.index].cancel_in_flight = false;
      return;
    case Operation::kWaker:
      return HandleWaker(completion);
    case Operation::kWakerCancel:
      waker_.cancel_in_flight = false;
      return;
    case Operation::kSendZeroCopy:
      return HandleZeroCopySend(completion);
    default:
      break;
  }
  ORRERY_CHECK_MSG(tag.operation <= Operation::kTest,
                   "user data that no operation of ours carries");
  Connection* connection = connections_.Find(tag.slot);
  if (connection == nullptr || !connection->in_flight(tag.operation)) {
    // Of a connection that is gone. Its buffer goes back all the same.
    ++counters_.stale_completions;
    (void)TakeBuffer(completion);
    return;
  }
  switch (tag.operation) {
    case Operation::kReceive:
      return HandleReceive(*connection, completion);
    case Operation::kSend:
      return HandleSend(*connection, completion);
    case Operation::kShutdown:
      return HandleShutdown(*connection, completion);
    case Operation::kClose:
      return HandleClose(*connection, completion);
    case Operation::kReceiveCancel:
    case Operation::kSendCancel:
      // Whatever the cancel says, the terminal completion of its target tells what became of it.
      MarkCancel(completion, connection->in_flight(tag.operation == Operation::kSendCancel
                                                       ? Operation::kSend
                                                       : Operation::kReceive));
      connection->clear_in_flight(tag.operation);
      return Queue(*connection);
    default:
      CheckFailed(__FILE__, __LINE__, "tag.operation",
                  "a completion of an operation that nobody submits");
  }
}

std::string_view Reactor::TakeBuffer(const Completion& completion) {
  const auto buffer = completion.buffer();
  if (!buffer) return {};
  taken_buffers_.push_back(*buffer);
  return buffers_->Take(*buffer, completion.ok() ? completion.value() : 0);
}

void Reactor::Emit(ConnectionEvent::Kind kind, Connection& connection, std::string_view data) {
  events_.push_back({.kind = kind, .connection = &connection, .data = data});
}

void Reactor::HandleAccept(Source& listener, const Completion& completion) {
  if (!completion.more()) listener.in_flight = false;
  const bool fixed = std::exchange(listener.holds_slot, false);
  if (!completion.ok()) {
    if (fixed) ++free_slots_;
    if (stopping_) return;
    // EMFILE, ENFILE and the like last: accepting again at once would spin. A connection that
    // closes ends the pause.
    ORRERY_MARK("accept.limit");
    ++counters_.accept_failures;
    listener.retry_at = now_ + options_.accept_retry;
    return;
  }
  const auto number = static_cast<int>(completion.value());
  if (listener.handed_out) return application_.OnAccepted(number);
  if (options_.fixed_files > 0 && !fixed) {
    ORRERY_MARK("accept.beside-a-full-table");
    ++counters_.accepted_beside_table;
  }
  Connection* const connection = Open({.number = number, .fixed = fixed});
  if (connection != nullptr) Emit(ConnectionEvent::Kind::kOpened, *connection);
}

Connection* Reactor::Adopt(int descriptor) { return Open(File::Descriptor(descriptor)); }

Connection* Reactor::Open(File file) {
  Connection* const connection = stopping_ ? nullptr : connections_.Allocate(file, blocks_);
  if (connection == nullptr) {
    ORRERY_MARK_IF(stopping_, "accept.while-stopping");
    ++counters_.connections_refused;
    CloseNow(file);
    return nullptr;
  }
  ++counters_.accepted;
  connection->last_progress_ = now_;
  Queue(*connection);
  return connection;
}

void Reactor::CloseNow(File file) {
  if (!file.fixed) return kernel_.Close(file.number);
  ORRERY_CHECK(UpdateFixedFile(ring_, static_cast<unsigned>(file.number), -1).has_value());
  ++free_slots_;
}

void Reactor::HandleWaker(const Completion& completion) {
  if (!completion.more()) waker_.in_flight = false;
  if (completion.ok()) {
    woken_ = true;
  } else if (!stopping_) {
    waker_.retry_at = now_ + options_.accept_retry;  // For want of memory: not at once, not never.
  }
}

void Reactor::HandleReceive(Connection& connection, const Completion& completion) {
  if (connection.in_place_in_flight_) return HandleReceiveInPlace(connection, completion);
  const std::string_view data = TakeBuffer(completion);
  [[maybe_unused]] const bool single = connection.single_receives_ > 0;
  if (!data.empty()) {
    if (connection.single_receives_ > 0) --connection.single_receives_;
    counters_.received_bytes += data.size();
    connection.last_progress_ = now_;
    if (connection.open()) {
      ORRERY_MARK_IF(connection.reads_paused(), "receive.data-while-paused");
      Emit(ConnectionEvent::Kind::kData, connection, data);
    } else {
      ORRERY_MARK_IF(connection.phase() == Phase::kClosing, "receive.data-while-closing");
      Discard(connection, data.size());
    }
  }
  // F_MORE alone says whether the receive lives on: one that has brought data may have ended as
  // well (fact O5).
  if (completion.more()) return;
  ORRERY_MARK_IF(!data.empty() && !single, "receive.ended-with-data");
  HandleReceiveEnd(connection, completion);
}

void Reactor::HandleReceiveInPlace(Connection& connection, const Completion& completion) {
  connection.in_place_in_flight_ = false;
  const size_t bytes = completion.ok() ? completion.value() : 0;
  // One that is cancelled or ended by its peer says how far it has come (fact R5).
  ORRERY_MARK_IF(bytes > 0 && connection.receive_cancel_sent_, "body.cancelled-with-bytes");
  counters_.received_bytes += bytes;
  if (bytes > 0) connection.last_progress_ = now_;
  connection.body_->Fill(bytes);
  if (connection.open()) {
    ORRERY_MARK_IF(bytes > 0 && !connection.body_->complete(), "body.comes-in-parts");
    if (connection.body_->complete()) Emit(ConnectionEvent::Kind::kBody, connection);
  } else {
    connection.body_.reset();
    Discard(connection, bytes);
  }
  HandleReceiveEnd(connection, completion);
}

void Reactor::HandleReceiveEnd(Connection& connection, const Completion& completion) {
  connection.clear_in_flight(Operation::kReceive);
  connection.receive_cancel_sent_ = connection.receive_asked_ = false;
  if (completion.ok() && completion.value() == 0) {
    connection.end_of_input_ = true;
    ORRERY_MARK_IF(connection.phase() == Phase::kFlushing, "receive.end-while-flushing");
    ORRERY_MARK_IF(connection.phase() == Phase::kDraining, "receive.end-while-draining");
    if (connection.open()) {
      Emit(ConnectionEvent::Kind::kEndOfInput, connection);
    } else if (connection.phase() == Phase::kDraining) {
      EnterClosing(connection);
    } else {
      ContinueFinish(connection);
    }
  } else if (completion.failed_with(ENOBUFS)) {
    // Not dead, starved: nothing in the kernel will wake it when buffers come back, so we must
    // (fact M4).
    ++counters_.starved;
    if (connection.wants_receive()) starved_.PushBack(connection);
  } else if (!completion.ok() && !completion.failed_with(ECANCELED) &&
             !completion.failed_with(EINTR) && !completion.failed_with(EAGAIN)) {
    ORRERY_MARK("receive.failed");
    EnterClosing(connection);
  }
  Queue(connection);
}

void Reactor::Discard(Connection& connection, size_t bytes) {
  // 32 bits hold it: the first that exceeds the limit ends it.
  const size_t drained = connection.drained_bytes_ + bytes;
  connection.drained_bytes_ = static_cast<uint32_t>(drained);
  if (drained <= options_.drain_bytes_max) return;
  ORRERY_MARK("linger.drained-too-much");
  EnterClosing(connection);
}

void Reactor::HandleZeroCopySend(const Completion& completion) {
  ZeroCopySender::Slab& slab = zero_copy_->slab();
  const SlotHandle message = completion.user_data().slot;
  const std::optional<SlotHandle> owner = slab.OwnerOf(message);
  Connection* connection = owner ? connections_.Find(*owner) : nullptr;
  if (completion.notification()) {
    ORRERY_MARK_IF(connection == nullptr, "zero-copy.notified-after-the-connection");
    slab.Notify(message);
    counters_.notifications_stale = slab.late_notifications();
    return;
  }
  // Its connection waits for the result, as for that of any send.
  ORRERY_CHECK(connection != nullptr);
  ORRERY_MARK_IF(!completion.ok() && completion.more(), "zero-copy.failed-and-notifies");
  const auto progress =
      slab.Advance(message, completion.ok() ? completion.value() : 0, completion.more());
  if (progress == ZeroCopySender::Slab::Progress::kDone) connection->pinned_send_.reset();
  ORRERY_MARK_IF(completion.ok() && connection->pinned_send_, "zero-copy.continued");
  HandleSend(*connection, completion);
}

void Reactor::HandleSend(Connection& connection, const Completion& completion) {
  connection.clear_in_flight(Operation::kSend);
  connection.send_cancel_sent_ = false;
  if (connection.phase() >= Phase::kClosing) {
    Unpin(connection);
  } else if (connection.pinned_send_ && RefusesZeroCopy(completion)) {
    Unpin(connection);
    connection.zero_copy_refused_ = true;
    ++counters_.zero_copy_refused;
    return Queue(connection);
  }
  if (completion.ok()) {
    counters_.sent_bytes += completion.value();
    connection.last_progress_ = now_;
    connection.output_.Advance(completion.value());
    ORRERY_MARK_IF(!connection.output_.empty(), "send.continued");
    if (connection.phase() == Phase::kFlushing) {
      StartLinger(connection);  // It moves: the clock starts again.
      ContinueFinish(connection);
    } else if (connection.open() && (connection.reads_paused() || connection.reports_sends_)) {
      Emit(ConnectionEvent::Kind::kSent, connection);
    }
  } else if (!completion.failed_with(EINTR) && !completion.failed_with(EAGAIN)) {
    ORRERY_MARK_IF(!completion.failed_with(ECANCELED), "send.failed");
    EnterClosing(connection);  // EPIPE, ECONNRESET: nobody will read the rest.
  }
  Queue(connection);
}

void Reactor::HandleShutdown(Connection& connection, const Completion& completion) {
  connection.clear_in_flight(Operation::kShutdown);
  if (connection.phase() == Phase::kFlushing) {
    if (!completion.ok() || connection.end_of_input_) {
      ORRERY_MARK_IF(!completion.ok(), "shutdown.failed");
      ORRERY_MARK_IF(completion.ok(), "shutdown.after-the-end");
      EnterClosing(connection);
    } else {
      connection.phase_ = Phase::kDraining;
      StartLinger(connection);
    }
  }
  Queue(connection);
}

void Reactor::HandleClose(Connection& connection, const Completion& completion) {
  ORRERY_CHECK_MSG(!completion.failed_with(EBADF),
                   "a connection's descriptor was closed by somebody else");
  connection.clear_in_flight(Operation::kClose);
  connection.phase_ = Phase::kClosed;
  if (connection.file().fixed) ++free_slots_;
  counters_.copied_bytes += connection.output_.copied_bytes();
  counters_.borrowed_bytes += connection.output_.borrowed_bytes();
  counters_.unsent_bytes += connection.output_.size_bytes();
  Emit(ConnectionEvent::Kind::kClosed, connection);
  closed_.push_back(connection.handle());
}

void Reactor::ReleaseClosed() {
  for (const SlotHandle handle : closed_) connections_.Release(handle);
  if (closed_.empty()) return;
  closed_.clear();
  // A descriptor is free again: an accept that met the limit may succeed.
  for (Source& listener : listeners_) {
    ORRERY_MARK_IF(listener.retry_at > now_, "accept.revived-by-close");
    listener.retry_at = 0;
  }
}

// --- Operations out

void Reactor::Queue(Connection& connection) {
  if (connection.wants_anything()) arm_queue_.Push(connection);
}

void Reactor::ArmSources() {
  source_refused_ = false;
  for (size_t number = 0; number < listeners_.size(); ++number) {
    const bool armed =
        ArmSource(listeners_[number], stopping_, SourceTag(Operation::kAccept, number),
                  SourceTag(Operation::kAcceptCancel, number));
    ORRERY_MARK_IF(!armed && !stopping_, "sq-full.listener");
    if (!armed) source_refused_ = true;
  }
  // The waker is needed until everything else has ended.
  const bool end = stopping_ && connections_.size() == 0 && !listening() && application_.MayEnd();
  const bool armed =
      ArmSource(waker_, end, SourceTag(Operation::kWaker), SourceTag(Operation::kWakerCancel));
  ORRERY_MARK_IF(!armed && !end, "sq-full.waker");
  if (!armed) source_refused_ = true;
}

bool Reactor::ArmSource(Source& source, bool end, UserData tag, UserData cancel_tag) {
  if (source.descriptor < 0) return true;
  if (end) {
    if (CloseSource(source) || source.cancel_sent) return true;
    if (!submission_.Cancel(tag, cancel_tag)) {
      ORRERY_MARK("sq-full.source-cancel");
      return false;
    }
    source.cancel_sent = source.cancel_in_flight = true;
    return true;
  }
  if (source.in_flight || source.retry_at > now_) return true;
  const bool queued =
      tag.operation == Operation::kAccept
          ? SubmitAccept(source, tag)
          : submission_.PollMultishot(File::Descriptor(source.descriptor), POLLIN, tag);
  if (queued) source.in_flight = true;
  ORRERY_MARK_IF(queued && source.retry_at != 0, "accept.retried-after-pause");
  return queued;
}

bool Reactor::SubmitAccept(Source& listener, UserData tag) {
  const File file = File::Descriptor(listener.descriptor);
  if (options_.fixed_files == 0 || listener.handed_out) {
    return submission_.AcceptMultishot(file, SOCK_CLOEXEC, tag);
  }
  if (free_slots_ == 0) {
    return submission_.Accept(file, SOCK_CLOEXEC, tag);
  }
  if (!submission_.AcceptFixed(file, tag)) return false;
  --free_slots_;
  listener.holds_slot = true;
  return true;
}

bool Reactor::CloseSource(Source& source) {
  if (source.in_flight || source.cancel_in_flight) return false;
  if (!source.lent) kernel_.Close(source.descriptor);
  source.descriptor = -1;
  return true;
}

bool Reactor::listening() const {
  return std::ranges::any_of(listeners_,
                             [](const Source& listener) { return listener.descriptor >= 0; });
}

bool Reactor::Submitted(Connection& connection, Operation operation, bool queued) {
  if (queued) {
    connection.set_in_flight(operation);
  } else {
    MarkRefusal(operation);
    ++counters_.refused;
  }
  return queued;
}

bool Reactor::Arm(Connection& connection) {
  const File socket = connection.file();
  if (connection.wants_receive_cancel()) {
    if (!Submitted(connection, Operation::kReceiveCancel,
                   submission_.Cancel(Tag(connection, Operation::kReceive),
                                      Tag(connection, Operation::kReceiveCancel)))) {
      return false;
    }
    connection.receive_cancel_sent_ = true;
  }
  if (connection.wants_send_cancel()) {
    if (!Submitted(
            connection, Operation::kSendCancel,
            submission_.Cancel(SendTag(connection), Tag(connection, Operation::kSendCancel)))) {
      return false;
    }
    connection.send_cancel_sent_ = true;
  }
  if (connection.wants_receive() && !ArmReceive(connection)) return false;
  if (connection.wants_send() && !ArmSend(connection)) return false;
  if (connection.wants_shutdown() &&
      !Submitted(connection, Operation::kShutdown,
                 submission_.Shutdown(socket, SHUT_WR, Tag(connection, Operation::kShutdown)))) {
    return false;
  }
  if (connection.wants_close() &&
      !Submitted(connection, Operation::kClose,
                 submission_.Close(socket, Tag(connection, Operation::kClose)))) {
    return false;
  }
  return true;
}

bool Reactor::ArmReceive(Connection& connection) {
  const File socket = connection.file();
  const UserData tag = Tag(connection, Operation::kReceive);
  if (!connection.receives_in_place()) {
    // A multishot would take half a megabyte of another body in one go (fact M9), all of it to be
    // copied, and then be cancelled.
    return Submitted(connection, Operation::kReceive,
                     connection.single_receives_ > 0
                         ? submission_.ReceiveBuffer(socket, kBufferGroup, tag)
                         : submission_.ReceiveMultishot(socket, kBufferGroup, tag));
  }
  // All of the room at once: what is missing is known, and nothing can be done before it is there.
  const bool queued = submission_.Receive(socket, connection.body_->Room(), MSG_WAITALL, tag);
  ORRERY_MARK_IF(!queued, "sq-full.receive-in-place");
  connection.in_place_in_flight_ = queued;
  return Submitted(connection, Operation::kReceive, queued);
}

bool Reactor::ArmSend(Connection& connection) {
  if (submission_.space_left() == 0) {
    ORRERY_MARK_IF(connection.pinned_send_, "sq-full.zero-copy-continued");
    return Submitted(connection, Operation::kSend, false);
  }
  if (zero_copy_ == nullptr || connection.zero_copy_refused_) {
    return ArmPlainSend(connection, ZeroCopyOptions::kNever);
  }
  if (!connection.pinned_send_) {
    connection.pinned_send_ = zero_copy_->Pin(connection.output_, connection.handle());
  }
  if (!connection.pinned_send_) return ArmPlainSend(connection, zero_copy_->body_bytes_min());
  ++counters_.zero_copy_sends;
  return Submitted(connection, Operation::kSend,
                   submission_.SendMessageZeroCopy(
                       connection.file(), zero_copy_->slab().Begin(*connection.pinned_send_), 0,
                       SendTag(connection)));
}

bool Reactor::ArmPlainSend(Connection& connection, size_t body_bytes_end) {
  // One piece takes no message: the kernel is 0.1 us faster with it (docs/performance.md).
  if (const std::span<const char> piece = connection.output_.OnlyPiece(); !piece.empty()) {
    return Submitted(connection, Operation::kSend,
                     submission_.Send(connection.file(), std::as_bytes(piece), 0,
                                      Tag(connection, Operation::kSend)));
  }
  const size_t iovecs_left = std::min<size_t>(iovecs_.size() - iovecs_used_, options_.iovecs_max);
  if (iovecs_left == 0 || messages_used_ == messages_.size()) {
    return Submitted(connection, Operation::kSend, false);
  }
  const std::span<iovec> iovecs = std::span(iovecs_).subspan(iovecs_used_, iovecs_left);
  const Chunk chunk = connection.output_.Gather(iovecs, body_bytes_end);
  ORRERY_MARK_IF(chunk.bytes < connection.output_.size_bytes(), "send.more-than-a-chunk");
  msghdr& message = messages_[messages_used_];
  message = {};
  message.msg_iov = iovecs.data();
  message.msg_iovlen = chunk.iovecs;
  iovecs_used_ += chunk.iovecs;
  ++messages_used_;
  return Submitted(
      connection, Operation::kSend,
      submission_.SendMessage(connection.file(), message, 0, Tag(connection, Operation::kSend)));
}

// --- Starving, lingering, ending

void Reactor::WakeStarved() {
  // As many as there are buffers; if more wait, MustNotSleep() brings us back for them.
  for (unsigned buffers = buffers_->with_kernel(); buffers > 0 && !starved_.empty(); --buffers) {
    ORRERY_MARK("receive.starved-revived");
    Queue(*starved_.PopFront());
  }
  ORRERY_MARK_IF(!starved_.empty() && buffers_->with_kernel() > 0,
                 "receive.more-starved-than-buffers");
}

void Reactor::StopLinger(Connection& connection) {
  if (!connection.linger_link_.linked()) return;
  (connection.flush_clock_ ? flushing_ : lingering_).Remove(connection);
}

void Reactor::StartLinger(Connection& connection) {
  StopLinger(connection);
  connection.flush_clock_ = connection.phase() == Phase::kFlushing && !stopping_;
  connection.linger_deadline_ =
      now_ + (connection.flush_clock_ ? options_.flush_timeout : options_.linger);
  (connection.flush_clock_ ? flushing_ : lingering_).PushBack(connection);
}

void Reactor::ExpireLingering() {
  for (LingerList* list : {&flushing_, &lingering_}) {
    Connection* connection = nullptr;
    while ((connection = list->front()) != nullptr && connection->linger_deadline_ <= now_) {
      ORRERY_MARK_IF(list == &flushing_, "linger.flush-expired");
      ORRERY_MARK_IF(list == &lingering_ && connection->phase() == Phase::kDraining,
                     "linger.drain-expired");
      EnterClosing(*connection);
    }
  }
}

void Reactor::ContinueFinish(Connection& connection) {
  if (connection.phase() != Phase::kFlushing) return;
  const bool flushed = connection.output_.empty() && !connection.in_flight(Operation::kSend);
  if (flushed && connection.end_of_input_ && !connection.in_flight(Operation::kShutdown)) {
    EnterClosing(connection);
  }
}

void Reactor::EnterClosing(Connection& connection) {
  if (connection.phase() >= Phase::kClosing) return;
  connection.phase_ = Phase::kClosing;
  StopLinger(connection);
  ORRERY_MARK_IF(connection.starved_link_.linked(), "receive.starved-closes");
  if (connection.starved_link_.linked()) starved_.Remove(connection);
  if (!connection.in_flight(Operation::kSend)) Unpin(connection);
  Queue(connection);
}

void Reactor::Unpin(Connection& connection) {
  if (!connection.pinned_send_) return;
  zero_copy_->slab().End(*connection.pinned_send_);
  connection.pinned_send_.reset();
}

// --- For the application

void Reactor::Flush(Connection& connection) { Queue(connection); }

void Reactor::PauseReads(Connection& connection) {
  if (!connection.open()) return;
  connection.reads_paused_ = true;
  ORRERY_MARK_IF(connection.starved_link_.linked(), "receive.starved-paused");
  if (connection.starved_link_.linked()) starved_.Remove(connection);
  Queue(connection);
}

void Reactor::ResumeReads(Connection& connection) {
  if (!connection.open()) return;
  ORRERY_MARK_IF(connection.in_flight(Operation::kReceive), "receive.resumed-before-cancelled");
  connection.reads_paused_ = false;
  Queue(connection);
}

void Reactor::ReceiveBody(Connection& connection, IncomingBody body) {
  ORRERY_CHECK(connection.body() == nullptr);
  ORRERY_CHECK(!body.complete());
  if (!connection.open()) return;
  connection.body_ = std::make_unique<IncomingBody>(std::move(body));
  // It needs no provided buffer.
  ORRERY_MARK_IF(connection.starved_link_.linked(), "body.of-a-starved-connection");
  if (connection.starved_link_.linked()) starved_.Remove(connection);
  Queue(connection);
}

size_t Reactor::FeedBody(Connection& connection, std::string_view data) {
  ORRERY_CHECK(connection.body() != nullptr);
  ORRERY_CHECK(!connection.in_place_in_flight_);
  const size_t bytes = connection.body_->Append(data);
  ORRERY_MARK("body.fed-meanwhile");
  ORRERY_MARK_IF(connection.body_->complete(), "body.complete-before-the-switch");
  Queue(connection);
  return bytes;
}

std::optional<SharedBytes> Reactor::TakeBody(Connection& connection) {
  ORRERY_CHECK(connection.body() != nullptr);
  if (!connection.body_->complete()) return std::nullopt;
  ORRERY_CHECK(!connection.in_place_in_flight_);
  SharedBytes body = std::move(*connection.body_).Take();
  connection.body_.reset();
  connection.single_receives_ = kSingleReceives;
  return body;
}

void Reactor::AskAboutBody(Connection& connection) {
  if (!connection.open() || !connection.in_place_in_flight_) return;
  // The receive that is cancelled says how far it has come (fact R5), and another one follows it.
  connection.receive_asked_ = true;
  Queue(connection);
}

void Reactor::Finish(Connection& connection) {
  if (!connection.open()) return;
  connection.phase_ = Phase::kFlushing;
  connection.reads_paused_ = false;
  StartLinger(connection);
  ContinueFinish(connection);
  Queue(connection);
}

void Reactor::Abort(Connection& connection) { EnterClosing(connection); }

void Reactor::Stop() {
  const bool again = stopping_;
  stopping_ = true;
  connections_.ForEach(
      [&](Connection& connection) { again ? Abort(connection) : Finish(connection); });
  if (again) options_.notification_timeout = 0;
  if (again && notification_deadline_ != kNever) notification_deadline_ = now_;
  // Those that were finishing already have less time from now on, too.
  while (Connection* connection = flushing_.front()) StartLinger(*connection);
}

bool Reactor::WaitsForNotificationsOnly() const {
  return stopping_ && connections_.size() == 0 && !listening() && waker_.descriptor < 0 &&
         zero_copy_ != nullptr && zero_copy_->slab().has_in_flight();
}

bool Reactor::finished() const {
  if (WaitsForNotificationsOnly()) return now_ >= notification_deadline_;
  return stopping_ && connections_.size() == 0 && !listening() && waker_.descriptor < 0;
}

}  // namespace orrery
