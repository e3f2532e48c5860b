// One TCP connection of a shard: its descriptor, its pending output, and what the kernel is doing
// for it.
//
// At most one operation of each kind is in flight, so "what is in flight" is a set of bits.
// Invariant: the slot lives until the set is empty and the descriptor is closed; whatever the
// kernel may still read or write is owned by it and dies with it, never before. The descriptor is
// closed only when nothing else is in flight, so its number cannot be reused under an operation.
// Owned by the reactor's slab; used by the shard's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/intrusive_list.h"
#include "base/slab.h"
#include "base/units.h"
#include "runtime/incoming_body.h"
#include "runtime/pending_output.h"
#include "runtime/ring/submission_queue.h"
#include "runtime/ring/user_data.h"

namespace orrery {

// How far a connection's life has come. It only moves forwards.
enum class Phase : uint8_t {
  kOpen,      // Input goes to the application.
  kFlushing,  // Finishing: output still goes out, input is discarded.
  kDraining,  // The write side is shut down; input is discarded until the peer's end, so that no
              // reset eats the reply.
  kClosing,   // Everything in flight is cancelled and waited for; then the descriptor is closed.
  kClosed,    // The descriptor is closed. The slot is released after the application has been told.
};

class Connection {
 public:
  Connection(SlotHandle handle, File file, OutputBlockPool& blocks)
      : handle_(handle), file_(file), output_(blocks) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Names the connection for its life; the index is that of its slot and is reused by later ones.
  SlotHandle handle() const { return handle_; }
  File file() const { return file_; }
  // -1 when the socket is in the ring's fixed-file table and has none.
  int descriptor() const { return file_.fixed ? -1 : file_.number; }
  Phase phase() const { return phase_; }
  // Whether the application should still care: false once Finish() or Abort() was called or the
  // peer is gone.
  bool open() const { return phase_ == Phase::kOpen; }
  bool reads_paused() const { return reads_paused_; }

  // When bytes last went out or came in, as far as the kernel has told; before the first of them,
  // when it was accepted.
  Nanoseconds last_progress() const { return last_progress_; }

  // What is being received in its own memory (Reactor::ReceiveBody()), or null.
  const IncomingBody* body() const { return body_.get(); }

  // Whether Reactor::AskAboutBody() has no answer yet.
  bool asked_about_body() const { return receive_asked_; }

  // Where replies go. After appending, call Reactor::Flush().
  PendingOutput& output() { return output_; }

  // The arm queue's mark; nobody else writes it.
  bool arm_queued = false;

 private:
  friend class Reactor;

  bool in_flight(Operation operation) const { return (in_flight_ & Bit(operation)) != 0; }
  void set_in_flight(Operation operation) { in_flight_ |= Bit(operation); }
  void clear_in_flight(Operation operation) {
    in_flight_ &= static_cast<uint16_t>(~Bit(operation));
  }
  static constexpr uint16_t Bit(Operation operation) {
    return static_cast<uint16_t>(1u << static_cast<unsigned>(operation));
  }

  // Whether receives are to write into the body; otherwise they take provided buffers.
  bool receives_in_place() const { return open() && body_ != nullptr && !body_->complete(); }

  // What can be submitted for it now. The arm queue holds it while one of these holds.
  bool wants_receive() const {
    return phase_ <= Phase::kDraining && !reads_paused_ && !end_of_input_ &&
           !starved_link_.linked() && !in_flight(Operation::kReceive) &&
           !in_flight(Operation::kReceiveCancel);
  }
  bool wants_receive_cancel() const {
    return in_flight(Operation::kReceive) && !receive_cancel_sent_ &&
           (reads_paused_ || receive_asked_ || phase_ == Phase::kClosing ||
            in_place_in_flight_ != receives_in_place());
  }
  bool wants_send() const {
    return phase_ <= Phase::kFlushing && !output_.empty() && !in_flight(Operation::kSend) &&
           !in_flight(Operation::kShutdown);  // Too late: EPIPE would end it with a reset.
  }
  bool wants_send_cancel() const {
    return phase_ == Phase::kClosing && in_flight(Operation::kSend) && !send_cancel_sent_;
  }
  bool wants_shutdown() const {
    return phase_ == Phase::kFlushing && output_.empty() && !end_of_input_ &&
           !in_flight(Operation::kSend) && !in_flight(Operation::kShutdown);
  }
  bool wants_close() const { return phase_ == Phase::kClosing && in_flight_ == 0; }
  bool wants_anything() const {
    return wants_receive() || wants_receive_cancel() || wants_send() || wants_send_cancel() ||
           wants_shutdown() || wants_close();
  }

  // Small members stand together: ten thousand idle connections are this many times the padding.
  Phase phase_ = Phase::kOpen;
  uint16_t in_flight_ = 0;  // A bit for each Operation.
  bool reads_paused_ = false;
  bool reports_sends_ = false;
  bool end_of_input_ = false;  // The peer's stream has ended: there is nothing more to receive.
  bool receive_cancel_sent_ = false;  // For the receive in flight.
  bool receive_asked_ = false;        // How far the receive in flight has come is asked for.
  bool in_place_in_flight_ = false;   // The receive in flight writes into body_.
  // So many receives more take one buffer each: a body has come, and another may follow.
  uint8_t single_receives_ = 0;
  bool send_cancel_sent_ = false;   // For the send in flight.
  bool zero_copy_refused_ = false;  // The kernel does not do it for this socket.
  bool flush_clock_ = false;        // Which of the reactor's clocks the deadline is of.
  SlotHandle handle_;
  File file_;
  PendingOutput output_;
  Nanoseconds linger_deadline_ = kNever;
  Nanoseconds last_progress_ = 0;

  // What the kernel may write to is not touched until the receive in flight has ended.
  std::unique_ptr<IncomingBody> body_;

  // The message in the send slab that the front of the output has been pinned in. While there is
  // one, sends continue it.
  std::optional<SlotHandle> pinned_send_;
  uint32_t drained_bytes_ = 0;  // Input discarded while finishing.

  ListLink starved_link_;
  ListLink linger_link_;
};

}  // namespace orrery
