// The reactor: completions in, operations out, for listeners and their connections on one ring.
//
// It is driven, it does not run: Turn() reaps CQEs, tells the application, returns the buffers,
// arms what is queued and says how to enter the kernel; OnEntered() takes what the kernel answered.
// So the production driver is
//
//     while (!reactor.finished()) reactor.OnEntered(ring.Enter(reactor.Turn()));
//
// and a simulation puts the rest of the world in between. The reactor never asks which of them
// drives it.
//
// The way of the data: CQE -> Completion -> connection's state -> Event -> application ->
// PendingOutput -> arm queue -> SQE. Invariants, checked where they are kept:
//   - a connection with work that can be submitted and nothing in flight for it is in the arm
//   queue;
//   - a provided buffer that a completion hands over goes back exactly once, in the same turn,
//   whatever the completion
//     says and whether its connection still lives;
//   - one send is in flight per connection; one terminal CQE ends each operation; a slot dies after
//   its last one;
//   - what a zero-copy send has pinned is held until its notification, also when the connection is
//   gone;
//   - while anything could be submitted, Turn() asks Enter not to sleep.
//
// Thread: everything is called on the ring's thread. The reactor allocates at start-up and when
// more connections or output exist than ever before, not otherwise.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/errno.h"
#include "base/intrusive_list.h"
#include "base/shared_bytes.h"
#include "base/slab.h"
#include "base/units.h"
#include "runtime/arm_queue.h"
#include "runtime/buffer_ring.h"
#include "runtime/connection.h"
#include "runtime/incoming_body.h"
#include "runtime/pending_output.h"
#include "runtime/ring/completion.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/zero_copy_sender.h"

namespace orrery {

struct ReactorOptions {
  uint32_t connections_max = 65536;  // Above it, an accepted connection is closed at once.
  unsigned buffers = 1024;           // Provided buffers for receiving; a power of two.
  size_t buffer_bytes = 16 * kKiB;
  // Connections are accepted into this many slots of the ring's fixed-file table, and have no
  // descriptors then. Who comes when none is free is not lost: it gets a descriptor. 0: no table.
  unsigned fixed_files = 0;
  // A chunk's iovecs: at most IOV_MAX, above which the kernel refuses the send.
  unsigned iovecs_max = 1024;
  // How long the output of a finishing connection may stand still before the connection is closed:
  // a slow reader makes room in steps of megabytes. Once the reactor stops, `linger` holds instead.
  Nanoseconds flush_timeout = 30 * kSecond;
  // How long a finishing connection that has sent everything waits for its peer's end.
  Nanoseconds linger = 2 * kSecond;
  size_t drain_bytes_max = 16 * kMiB;  // How much input a finishing connection may still send.
  Nanoseconds accept_retry = 100 * kMillisecond;  // Pause after an accept met a limit.
  ZeroCopyOptions zero_copy = {};
  // How long a reactor that has stopped and has no connection left waits for the kernel to let go
  // of what zero-copy sends have pinned. It waits for peers that do not read.
  Nanoseconds notification_timeout = 10 * kSecond;
  // After a turn that had something to do, so many turns only look before one may sleep: work that
  // comes meanwhile is met awake, at the price of a processor that is never idle under load.
  uint32_t spin_turns = 0;
};

// What happened to a connection. Events of one connection come in order.
struct ConnectionEvent {
  enum class Kind : uint8_t {
    kOpened,      // Accepted. The first event of a connection.
    kData,        // `data` was received; it is valid until OnEvents() returns.
    kBody,        // What was received in place has completed the body: TakeBody().
    kEndOfInput,  // The peer will send nothing more; it may still read.
    kSent,        // Output went out while reads are paused, or of one that reports it.
    kClosed,      // Gone. The last event; the connection dies when OnEvents() returns.
  };
  Kind kind;
  Connection* connection;
  std::string_view data;
};

// What stands on a reactor. Called on the reactor's thread, from within Turn(); it may call the
// reactor's methods of the section "For the application", nothing else.
class Application {
 public:
  virtual ~Application() = default;

  // At most kEventsMax events, often of several connections; called once a batch, not once an
  // event. An event before this one in the batch may have finished its connection: look at open()
  // where that matters.
  virtual void OnEvents(std::span<const ConnectionEvent> events) = 0;
  // The waker has been rung.
  virtual void OnWoken() = 0;
  // A connection was accepted from a listener whose connections are handed out: its descriptor
  // belongs to the application, which gives it to some reactor's Adopt().
  virtual void OnAccepted(int /*descriptor*/) {
    CheckFailed(__FILE__, __LINE__, "OnAccepted", "handed out to nobody who takes it");
  }
  // Once a turn, after all events. Returns the time at which it wants to be called again at the
  // latest.
  virtual Nanoseconds OnTurn(Nanoseconds now) = 0;

  // For an application to which work comes by memory as well (runtime/mailboxes.h). The last thing
  // of a turn after which Enter is to sleep: announces the sleep and answers true, or answers
  // false, because something has come; then Enter only looks. From the announcement on, others may
  // ring.
  virtual bool TrySleep() { return true; }
  // Enter has returned, after a turn whose TrySleep() answered true.
  virtual void OnAwake() {}
  // Whether a reactor that has stopped and has no connection left may end. Asked each turn.
  virtual bool MayEnd() { return true; }
};

// Counts since the start, for metrics and tests.
struct ReactorCounters {
  uint64_t turns = 0;
  uint64_t completions = 0;
  uint64_t accepted = 0;
  uint64_t accept_failures = 0;      // Accepts that met a limit.
  uint64_t connections_refused = 0;  // Closed at once: connections_max.
  // Have descriptors, because no slot of the fixed-file table was free when their accept began.
  uint64_t accepted_beside_table = 0;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  // Of connections that have ended: what their output was, by how it came there, and what of it was
  // never sent. Each byte comes there once.
  uint64_t copied_bytes = 0;
  uint64_t borrowed_bytes = 0;
  uint64_t unsent_bytes = 0;
  uint64_t starved = 0;  // Receives that ended for want of a buffer.
  uint64_t refused = 0;  // Operations that found the submission queue full.
  uint64_t stale_completions = 0;
  uint64_t zero_copy_sends = 0;
  uint64_t zero_copy_refused = 0;    // By the kernel; the bytes went by plain sends.
  uint64_t notifications_stale = 0;  // Nobody waited for them.
  uint64_t enter_retries = 0;        // EINTR, EAGAIN and EBUSY of Enter.
};

class Reactor {
 public:
  static constexpr size_t kEventsMax = 256;
  static constexpr uint16_t kBufferGroup = 0;

  // `ring`, `kernel` and `application` must outlive the reactor. Errors are those of registering
  // the buffers.
  static std::expected<std::unique_ptr<Reactor>, Errno> Create(Ring& ring, Kernel& kernel,
                                                               Application& application,
                                                               const ReactorOptions& options);
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  // REQUIRES: finished(), or nothing of it was ever armed.
  ~Reactor();

  // --- Set-up, before the first turn.

  static constexpr size_t kListenersMax = 64;
  enum class Accepted : uint8_t {
    kServed,     // By this reactor.
    kHandedOut,  // To Application::OnAccepted().
  };
  // Accepts connections from `listener`; the reactor closes it when it stops.
  void Listen(int listener, Accepted accepted = Accepted::kServed);
  enum class Ownership : uint8_t { kTaken, kLent };
  // Calls Application::OnWoken() after each write to `eventfd`. The reactor closes it when it
  // stops, if it was taken; one that was lent must be open until the reactor has finished.
  void Watch(int eventfd, Ownership ownership = Ownership::kTaken);

  // --- For the driver.

  EnterRequest Turn();
  void OnEntered(const EnterResult& result);
  // Stop() was called and everything has ended: nothing is in flight, nothing is open.
  bool finished() const;

  // --- For the application.

  // The monotonic time of this turn.
  Nanoseconds now() const { return now_; }
  // This turn had something to do that no completion tells of, such as mail (ReactorOptions,
  // spin_turns).
  void NoteWork() { worked_ = true; }
  // Serves a connected socket, which it takes over, as if it had been accepted here, but for its
  // first event: there is no kOpened. Null: it was closed at once, for want of room or because the
  // reactor stops.
  Connection* Adopt(int descriptor);
  // Sends what is in the connection's output; call it after appending.
  void Flush(Connection& connection);
  // Stops and resumes receiving. What arrives until the kernel has stopped is still delivered.
  void PauseReads(Connection& connection);
  void ResumeReads(Connection& connection);
  // Whether there is a kSent for whatever goes out, also while reads are not paused.
  void ReportSends(Connection& connection, bool reports) { connection.reports_sends_ = reports; }
  // Receives the next `body.total_bytes()` bytes of the stream, less those that are filled, into
  // the body instead of events. What had arrived before still comes by events: its front belongs to
  // the body, see FeedBody(). When it is complete the stream goes on by events. Does nothing to a
  // connection that is not open. REQUIRES: none is being received, and `body` is not complete.
  void ReceiveBody(Connection& connection, IncomingBody body);
  // Puts the front of an event's data into the body that is being received; how many bytes. This
  // may complete it: no kBody comes then.
  size_t FeedBody(Connection& connection, std::string_view data);
  // The body, once it is complete; then none is being received any more.
  std::optional<SharedBytes> TakeBody(Connection& connection);
  // Asks how much of a body has come, of which the kernel says nothing before it is complete:
  // Connection::last_progress() and filled_bytes() know it some turns later. Does nothing where
  // none is being received.
  void AskAboutBody(Connection& connection);
  // Sends the output, then ends the connection so that the peer receives all of it. Input is
  // discarded from now on.
  void Finish(Connection& connection);
  // Ends the connection now; what it had to send is lost.
  void Abort(Connection& connection);
  // Stops accepting, finishes every connection, and ends. May be called again: then everything is
  // aborted.
  void Stop();
  bool stopping() const { return stopping_; }

  uint32_t connections() const { return connections_.size(); }
  const ReactorCounters& counters() const { return counters_; }
  // Connections visited by the arm queue so far.
  uint64_t arm_visits() const { return arm_queue_.visits(); }

 private:
  using StarvedList = IntrusiveList<Connection, &Connection::starved_link_>;
  using LingerList = IntrusiveList<Connection, &Connection::linger_link_>;

  // An operation on a descriptor that is not a connection's: the listener's accept, the waker's
  // poll. Multishot, but for an accept where there is a table: one that finds no slot loses its
  // connection (fact A10), so each has a slot before it is submitted.
  struct Source {
    int descriptor = -1;
    bool handed_out = false;  // Of a listener: its connections.
    bool lent = false;
    bool in_flight = false;
    bool holds_slot = false;  // Of the fixed-file table: for the accept in flight.
    bool cancel_in_flight = false;
    bool cancel_sent = false;
    Nanoseconds retry_at = 0;  // Not armed before.
  };

  Reactor(Ring& ring, Kernel& kernel, Application& application, const ReactorOptions& options);

  // Completions in.
  void Reap();
  // Hands the batch to the application and its buffers back to the kernel.
  void Deliver();
  void Handle(const Completion& completion);
  void HandleAccept(Source& listener, const Completion& completion);
  // The connection on `file`, or null, and then `file` is closed.
  Connection* Open(File file);
  void HandleWaker(const Completion& completion);
  void HandleReceive(Connection& connection, const Completion& completion);
  void HandleReceiveInPlace(Connection& connection, const Completion& completion);
  void HandleReceiveEnd(Connection& connection, const Completion& completion);
  void HandleSend(Connection& connection, const Completion& completion);
  void HandleZeroCopySend(const Completion& completion);
  void HandleShutdown(Connection& connection, const Completion& completion);
  void HandleClose(Connection& connection, const Completion& completion);
  // The bytes of the buffer that `completion` carries, which goes back after this batch.
  std::string_view TakeBuffer(const Completion& completion);
  void Emit(ConnectionEvent::Kind kind, Connection& connection, std::string_view data = {});
  void Discard(Connection& connection, size_t bytes);

  // Operations out.
  void ArmSources();
  // False: the submission queue is full; the same for all below.
  [[nodiscard]] bool ArmSource(Source& source, bool end, UserData tag, UserData cancel_tag);
  [[nodiscard]] bool SubmitAccept(Source& listener, UserData tag);
  [[nodiscard]] bool Arm(Connection& connection);
  [[nodiscard]] bool ArmReceive(Connection& connection);
  [[nodiscard]] bool ArmSend(Connection& connection);
  [[nodiscard]] bool ArmPlainSend(Connection& connection, size_t body_bytes_end);
  // Notes that `operation` is in flight if it was `queued`.
  [[nodiscard]] bool Submitted(Connection& connection, Operation operation, bool queued);
  // What the connection's send in flight is tagged with.
  static UserData SendTag(const Connection& connection) {
    if (!connection.pinned_send_) return Tag(connection, Operation::kSend);
    return {.operation = Operation::kSendZeroCopy, .slot = *connection.pinned_send_};
  }
  static UserData Tag(const Connection& connection, Operation operation) {
    return {.operation = operation, .slot = connection.handle()};
  }
  // Puts the connection in the arm queue if something can be submitted for it.
  void Queue(Connection& connection);

  // The end of a connection.
  // The clock of a finishing connection starts again.
  void StartLinger(Connection& connection);
  void StopLinger(Connection& connection);
  void ContinueFinish(Connection& connection);
  void EnterClosing(Connection& connection);
  // Nothing more of the pinned message is sent. REQUIRES: no send is in flight.
  void Unpin(Connection& connection);
  void ReleaseClosed();
  // Whether all is over but notifications.
  bool WaitsForNotificationsOnly() const;

  void WakeStarved();
  void ExpireLingering();
  // Closes a connection that nothing was submitted for.
  void CloseNow(File file);
  // Whether all of a stopped source has ended; closes its descriptor.
  bool CloseSource(Source& source);
  bool listening() const;
  bool MustNotSleep() const;
  // Announces the sleep, if it may.
  bool MaySleep();
  Nanoseconds NextDeadline(Nanoseconds application_deadline);

  Ring& ring_;
  Kernel& kernel_;
  Application& application_;
  ReactorOptions options_;
  SubmissionQueue submission_;
  std::unique_ptr<BufferRing> buffers_;
  OutputBlockPool blocks_;
  std::unique_ptr<ZeroCopySender> zero_copy_;  // Null when off.
  Nanoseconds notification_deadline_ = kNever;
  Slab<Connection> connections_;
  ArmQueue<Connection> arm_queue_;
  StarvedList starved_;
  // Finishing connections. Each list is in the order of their deadlines, because its delay is the
  // same for all: flush_timeout for the first, linger for the second.
  LingerList flushing_;
  LingerList lingering_;
  std::vector<Source> listeners_;
  unsigned free_slots_;  // Of the fixed-file table, that no accept in flight holds.
  Source waker_;
  bool source_refused_ = false;
  bool stopping_ = false;
  bool may_sleep_ = false;  // The Enter of this turn.
  bool worked_ = false;     // This turn had something to do.
  uint32_t spins_left_ = 0;
  Nanoseconds now_ = 0;
  ReactorCounters counters_;

  // One batch.
  std::vector<ConnectionEvent> events_;
  std::vector<uint16_t> taken_buffers_;
  std::vector<SlotHandle> closed_;
  bool woken_ = false;

  // iovecs and msghdrs of sends that no Enter has consumed yet; reused when the submission queue is
  // empty.
  std::vector<iovec> iovecs_;
  std::vector<msghdr> messages_;
  size_t iovecs_used_ = 0;
  size_t messages_used_ = 0;
};

}  // namespace orrery
