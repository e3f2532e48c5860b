// Follows a trace on the model, and answers the model's questions: from a script where Linux is
// free, from the trace where the trace says it, and with the benign answer everywhere else.
//
// What is asked within a run depends on nothing but the program, the trace and the script. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "kernel_model/bystander.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/observer.h"
#include "tests/acceptor/executor.h"
#include "tests/acceptor/program.h"
#include "tests/acceptor/times.h"
#include "tests/acceptor/trace.h"

namespace orrery::acceptor {

// Not the model's: when something happens. Entity: the id, of a thread that wakes up the turn.
constexpr auto kMoment = model::Site::kCount;
// Its ordinals.
enum MomentOf : uint64_t { kExpiry, kNotification, kLastByte, kFirstWaking };

// One question that was asked. A script answers those that it knows, the others get 0.
struct Question {
  model::Site site;
  uint64_t entity;
  uint64_t ordinal;
  uint64_t alternatives;
  uint64_t answer;
  uint64_t turn;
  std::vector<uint64_t> about;  // Whose place it decides, as far as that is known: ids.
  bool overloaded = false;      // The other answers are for a machine that is overloaded.
};
using Key = std::tuple<model::Site, uint64_t, uint64_t>;
using Script = std::map<Key, uint64_t>;

// What the trace says of a program by itself, whatever the model does.
class Reading {
 public:
  Reading(const Program& program, const Trace& trace, Freedom freedom);

  const Program& program;
  const Trace& trace;
  const Freedom freedom;
  const std::vector<Nanoseconds> delays;
  const std::map<uint32_t, Moments> expiries;
  const std::map<uint32_t, Moments> notifications;
  std::set<uint64_t> for_workers;         // The ids of what workers carry out.
  std::map<uint32_t, uint32_t> guards;    // By linked timeouts: the operation before it.
  std::map<uint32_t, uint32_t> updates;   // By updates: the timeout.
  std::map<uint32_t, const Step*> steps;  // By id, of operations.
  struct End {
    uint64_t turn = 0;
    int32_t result = 0;
  };
  std::map<uint32_t, End> ends;  // By id: when, and with what. Without an entry: not seen.
  std::map<uint64_t, std::vector<uint64_t>> chains;  // By id: it, and what is linked behind it.
  // By id, of what workers carry out: the turn by which they had, as it shows itself, or by what is
  // linked to it. Without an entry: not seen.
  std::map<uint32_t, uint64_t> worked_by;
  std::vector<uint64_t> late_reads;  // The ids of reads of files that did not end at once.

  // --- Of programs some of whose sends may be short or have to wait.
  bool sends_long = false;
  std::map<uint32_t, size_t> peer_bytes;  // By peer: how much it read, all in all.
  // Whether this peer read something between the two turns.
  bool ReadsBetween(uint32_t peer, uint64_t after, uint64_t before) const;
};

class Follower final : public Driver, public model::Bystander, public model::Choice {
 public:
  // Both outlive it.
  Follower(const Reading& reading, const Script& script) : reading_(reading), script_(script) {}
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() override;

  // Before the run. The kernel outlives it, and is asked to tell `this`.
  void Attach(model::ModelKernel& kernel);

  // --- Of the run.
  size_t matched() const { return next_; }
  // What the model did instead of what comes next in the trace, if it did.
  const std::string& modelled() const { return modelled_; }
  // The ids of both.
  const std::set<uint64_t>& differs() const { return differs_; }
  const std::vector<Question>& asked() const { return asked_; }

  // --- Driver
  void BeginTurn(const Turn& turn) override;
  void EndTurn() override { ++turn_; }
  bool real() const override { return false; }
  bool Observe(const Observation& observation) override;
  void Connected(conformance::World::Peer peer) override { connections_.push_back(peer); }
  size_t PeerReads(uint32_t number, size_t bytes_max) override;
  Nanoseconds WaitBound(bool) override { return kWait; }
  Time ShortTimeout(uint32_t id) override;
  Time ZeroLinkTimeout(uint32_t id) override;
  Time ZeroTimeout(uint32_t id) override;
  void Pause() override {}

  // --- Bystander: time passes inside an Enter.
  void BeforeOperation(uint64_t ring, const io_uring_sqe& sqe) override;
  void BeforeVictim(uint64_t ring, uint64_t user_data) override;
  void BeforeTaskWork(uint64_t ring, unsigned room, bool again) override;
  void WithTaskWork(uint64_t ring) override;
  void BeforeWakingUp(uint64_t ring) override;
  void AfterReceive(uint64_t, uint64_t, size_t) override {}
  void BeforeWaiting(uint64_t, uint64_t) override {}
  size_t SendRoom(uint64_t ring, uint64_t user_data, size_t room, size_t unread) override;
  bool TellsOfSpace(uint64_t connection) override;
  void BeforeWork(uint64_t, uint64_t user_data) override { worker_ = user_data; }
  bool HoldsWorker(uint64_t ring, uint64_t user_data) override;
  std::optional<Nanoseconds> PayloadHeldFor(uint64_t ring, uint64_t user_data) override;

  // --- Choice
  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;
  uint64_t ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                       std::span<const uint64_t> names) override;

 private:
  uint64_t Ask(model::Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives,
               std::vector<uint64_t> about, bool overloaded = false);
  void NoteDiffering(uint32_t id);
  // Which of the moments of this timeout it is.
  uint64_t AskWhen(uint32_t id, size_t moments);
  Time At(uint32_t id, const Moments& moments);
  uint32_t PeerOf(uint64_t connection) const;
  // The ids of the polls of its socket.
  std::vector<uint64_t> PollsOf(uint64_t connection) const;
  // What a question about a worker decides: what it is at, and what waits for that.
  std::vector<uint64_t> AboutWorker() const;
  // When a worker is done: at once, or after which of the delays.
  uint64_t AskOfWorker(uint64_t entity, uint64_t ordinal);
  uint64_t LostWithReset(uint64_t connection, uint64_t unread) const;
  // What a send takes of what it has left: all that it is known to send, but the last byte of one
  // that goes on waiting.
  size_t Takes(uint32_t id, const Step& step);

  const Reading& reading_;
  const Script& script_;
  model::ModelKernel* kernel_ = nullptr;
  uint64_t turn_ = 0;
  unsigned operations_ = 0;  // Of this turn.
  unsigned looks_ = 0;       // Of this turn, at task work.
  unsigned wakings_ = 0;     // Of this turn.
  uint64_t worker_ = 0;      // Whose worker it is that is asked about next.
  size_t next_ = 0;
  std::string modelled_;
  std::set<uint64_t> differs_;
  std::vector<Question> asked_;

  std::vector<conformance::World::Peer> connections_;  // By peer.
  std::map<uint32_t, size_t> read_;                    // By peer: how much so far.
  std::map<uint32_t, size_t> sent_;                    // By id: how much so far.
  std::map<uint32_t, uint32_t> waiting_;               // By peer: which send to it waits.
  std::optional<uint64_t> peer_reads_in_;              // The turn.
};

}  // namespace orrery::acceptor
