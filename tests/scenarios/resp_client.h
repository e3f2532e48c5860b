// A simulated client: carries out a script on one connection of the fake kernel.
//
// It writes and reads independently of each other: the script goes on while replies come in, as far
// as the script's waits allow. It tells the judge what is in the stream and what has come back, at
// the moment it happens. Owned by the scenario, stepped by the world. Invariant: bytes enter the
// stream in the script's order, and a unit is told to the judge in the same step in which its last
// byte entered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "sim/world.h"
#include "tests/scenarios/client_judge.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {

class RespClient final : public sim::Actor {
 public:
  // Connects to `port` when its script says, counted from `start`. `kernel` and `judge` must
  // outlive the client.
  RespClient(Script script, uint16_t port, Nanoseconds start, model::ModelKernel& kernel,
             ClientJudge& judge);

  // --- sim::Actor.
  bool Ready(Nanoseconds now) const override;
  bool Step(Nanoseconds now) override;
  Nanoseconds NextAt(Nanoseconds now) const override;

  // --- For the scenario.

  // The script is carried out, or its connection has ended and it need not stay.
  bool script_done() const { return script_done_ && (!ended_ || closed()); }
  // Gone: closed, by this side at least.
  bool closed() const { return state_ == State::kClosed; }
  // For the end of a run: waits and pauses no more, and closes when the script is done and all is
  // answered.
  void Hurry();
  // Closes the connection in order, whatever the script says.
  void CloseNow();

 private:
  enum class State : uint8_t { kIdle, kConnected, kClosed };

  // A unit in the bytes being sent, and where the judge is told.
  struct Mark {
    size_t at = 0;
    Unit unit;
  };

  bool WantsConnect(Nanoseconds now) const;
  bool WantsRead(Nanoseconds now) const;
  bool WantsScript(Nanoseconds now) const;
  bool WantsClose(Nanoseconds now) const;

  bool Connect(Nanoseconds now);
  bool Read(Nanoseconds now);
  void ParseReplies();
  // Carries on with the script.
  bool Act(Nanoseconds now);
  // Makes the bytes of the current step.
  void Prepare();
  bool Send(Nanoseconds now);
  void TellJudge();
  void NextStep();
  void End(bool reset, Nanoseconds now);

  const ScriptStep& step() const { return script_.steps[step_index_]; }

  Script script_;
  uint16_t port_;
  model::ModelKernel& kernel_;
  ClientJudge& judge_;
  State state_ = State::kIdle;
  model::ModelKernel::PeerId peer_ = 0;
  Nanoseconds connect_at_;

  // The script.
  size_t step_index_ = 0;
  bool script_done_ = false;
  bool write_broken_ = false;  // The stream takes nothing more.
  bool hurry_ = false;
  bool deaf_ = false;         // Reads nothing, until it has to hurry.
  bool ended_ = false;        // By the server.
  Nanoseconds close_at_ = 0;  // When it has stayed long enough after that.
  std::optional<Nanoseconds> wait_until_;
  Nanoseconds paused_until_ = 0;
  bool prepared_ = false;
  std::string bytes_;  // Of the current step.
  size_t sent_bytes_ = 0;
  size_t portion_index_ = 0;
  size_t portion_left_ = 0;
  std::deque<Mark> marks_;

  // What has been read and is not a whole reply yet.
  std::string received_;
  bool read_last_ = false;
};

}  // namespace orrery::scenarios
