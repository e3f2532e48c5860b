// Callers of a submission loop, and the peers of their connections, as actors of a simulated world.
// They know what each answer must be, and say so in the log when it is not.
//
// What is checked of every request: it has one result, which comes at some time; its outcome has a
// reason (a deadline that has passed, a cancel, a shutdown); its buffer is the one that was handed
// over; bytes that were received are the next ones that the peer sent, bytes that were read are
// those that were written, and a timeout is not early. Of a multishot each completion is heard, and
// nothing after the last. A peer checks that it reads exactly what was said to be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "runtime/loop/port.h"
#include "runtime/loop/request.h"
#include "runtime/ring/completion.h"
#include "sim/event_log.h"
#include "sim/world.h"
#include "tests/scenarios/loop_workload.h"

namespace orrery::scenarios {

// What the actors of a run share.
struct LoopCircumstances {
  model::ModelKernel& kernel;
  sim::EventLog& log;
  SharedFile listener;
  // The loop may have been told to end: whatever was under way may be cancelled, or, with a limit
  // for that, be lost.
  bool shutdown = false;
  bool may_be_lost = false;
  uint64_t results = 0;
  // Requests that went into the queue, which the loop takes in this order.
  uint64_t submitted = 0;
};

// A byte of what a peer sends, and of what is sent to it, by its place in the stream.
std::byte PeerByte(uint64_t peer, uint64_t position);
std::byte CallerByte(uint64_t peer, uint64_t position);

// What is known of a peer's connection, on both sides.
struct StreamState {
  uint64_t received = 0;      // By the caller: the next byte's place.
  bool gap = false;           // Bytes may have gone where nobody looked.
  uint64_t sent = 0;          // By the caller, as it was told.
  uint64_t sent_at_most = 0;  // Also what it was not told about.
  bool peer_done = false;     // The peer sends nothing any more.
};

class LoopCaller final : public sim::Actor {
 public:
  // `streams` by peers, for all actors.
  LoopCaller(CallerScript script, Port& port, LoopCircumstances& circumstances,
             std::map<uint64_t, StreamState>& streams);

  bool Ready(Nanoseconds now) const override;
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

  // No more steps: cancels what is under way, and leaves.
  void Hurry() { hurry_ = true; }
  bool script_done() const { return next_ == script_.steps.size() && under_way_.empty(); }
  // The loop has taken something whose deadline has passed.
  bool MissesDeadline(Nanoseconds now) const;
  bool left() const { return left_ && under_way_.empty(); }
  // For people.
  std::string Describe() const;

 private:
  class Hearing;
  struct Connection {
    uint64_t peer = 0;
    SharedFile file;
    bool receives = false;  // One receive and one send at a time.
    bool sends = false;
  };
  struct UnderWay {
    CallerStep step;
    uint64_t number = 0;
    uint64_t order = 0;  // Of circumstances' submitted.
    Future future;
    uint64_t peer = 0;  // Of a connection's.
    const std::byte* buffer = nullptr;
    size_t buffer_bytes = 0;
    uint64_t position = 0;  // Of the first byte of a send, or of a file's transfer.
    Nanoseconds deadline = kNever;
    Nanoseconds time = 0;  // Of a timeout.
    bool cancel_asked = false;
  };

  const CallerStep* NextStep() const;
  void Submit(const CallerStep& step, Nanoseconds now);
  // Nothing: the step makes no sense now.
  std::optional<Request> MakeRequest(const CallerStep& step, Nanoseconds now, UnderWay& under_way);
  Request MakeMultishot(const CallerStep& step, const SharedFile& file, uint64_t number);
  // A completion of a multishot, also of one that was given up.
  void Hear(uint64_t number, CallerStep::Kind kind, const Completion& completion);
  void CheckHeard(const UnderWay& request, const Result& result);
  void Accepted(SharedFile file);
  void Harvest(size_t index, Nanoseconds now);
  void Check(const UnderWay& request, Result& result, Nanoseconds now);
  void CheckOutcome(const UnderWay& request, const Result& result, Nanoseconds now);
  void CheckReceived(const UnderWay& request, const Result& result);
  void CheckRead(const UnderWay& request, const Result& result);
  void NoteSent(const UnderWay& request, const Result& result);
  void NoteWritten(const UnderWay& request, const Result& result);
  void GiveUp(size_t index);
  void Release(const UnderWay& request);
  Connection* ConnectionOf(uint64_t peer);
  Connection* AnyConnection(uint64_t which);
  void Fail(const UnderWay& request, std::string_view invariant, const std::string& detail) {
    Fail(request.number, invariant, detail);
  }
  void Fail(uint64_t number, std::string_view invariant, const std::string& detail);

  const CallerScript script_;
  Port& port_;
  LoopCircumstances& circumstances_;
  std::map<uint64_t, StreamState>& streams_;
  Submitter submitter_;
  size_t next_ = 0;
  uint64_t next_number_ = 0;
  Nanoseconds wait_until_ = 0;
  bool hurry_ = false;
  bool left_ = false;
  std::vector<UnderWay> under_way_;
  // The last completion that was heard of a multishot, by its number.
  std::map<uint64_t, Completion> heard_;
  std::vector<Connection> connections_;
  SharedFile file_;
  bool file_busy_ = false;
  // The file's bytes, as long as they are known: what failed, or was given up, may have come
  // anywhere.
  std::vector<std::byte> content_;
  bool content_known_ = true;
};

class LoopPeer final : public sim::Actor {
 public:
  LoopPeer(PeerScript script, uint16_t port, Nanoseconds start, LoopCircumstances& circumstances,
           std::map<uint64_t, StreamState>& streams);

  bool Ready(Nanoseconds now) const override;
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

  void Hurry() { hurry_ = true; }
  // Reads what there is, and closes; even where it could not go on.
  void Leave();
  // Of one that was accepted: what it has read is what was sent.
  void CheckStream() const;

 private:
  const PeerStep* NextStep() const;
  void Read();
  void Close(bool reset);

  const PeerScript script_;
  const uint16_t port_;
  LoopCircumstances& circumstances_;
  std::map<uint64_t, StreamState>& streams_;
  Nanoseconds wait_until_;
  std::optional<model::ModelKernel::PeerId> id_;
  size_t next_ = 0;
  uint64_t sent_of_step_ = 0;
  uint64_t sent_ = 0;
  uint64_t read_ = 0;
  bool hurry_ = false;
  bool half_closed_ = false;
  bool closed_ = false;
};

}  // namespace orrery::scenarios
