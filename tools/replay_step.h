// replay --step: walks through a run in the terminal, event by event, forwards and backwards.
//
// The run is carried out once to see all of it, and again, from its plan, up to each event at which
// the world is asked what it looks like: going back is running again. Commands are lines, so that a
// pipe drives it as well as a person.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "sim/transcript.h"
#include "tests/scenarios/scenario.h"
#include "tools/view/picture.h"

namespace orrery::tools {

// Carries out the run with a transcript; the same each time.
using RunAgain =
    std::function<std::expected<scenarios::RunResult, std::string>(sim::Transcript& transcript)>;

class StepSession {
 public:
  // Reads commands from `in` and answers on `out`; `prompt` is printed before each line is read.
  StepSession(RunAgain run, std::istream& in, std::ostream& out, std::string prompt);
  StepSession(const StepSession&) = delete;
  StepSession& operator=(const StepSession&) = delete;

  // Until the end of the input or `q`. The error is that of the run, or that two runs differ.
  std::expected<void, std::string> Go();

  // The help on the commands, as `h` prints it.
  static std::string_view Help();

 private:
  // False: it was the last one.
  bool Obey(const std::string& line);
  bool Walk(char command, const std::string& rest);
  void Move(int64_t by);
  void MoveTo(size_t event);
  void MoveToNumber(const std::string& text);
  void MoveToFailure();
  void MoveToFault(int by);
  void Jump();
  void Search(const std::string& text);
  void Watch(const std::string& text);

  void Show();
  void ShowLines(const std::string& text);
  void ShowEvent();
  void ShowBytes();
  void ShowWorld();
  void PrintLine(size_t event);
  // The connection that is shown: the one that was asked for, or the event's own.
  std::optional<size_t> ShownLane() const;
  std::optional<size_t> ConnectionOf(size_t event) const;

  RunAgain run_;
  std::istream& in_;
  std::ostream& out_;
  std::string prompt_;
  view::Picture picture_;
  uint64_t hash_ = 0;
  size_t at_ = 0;
  std::optional<size_t> watched_;  // A lane.
  std::string searched_;
  std::string problem_;  // Ends the session.
};

}  // namespace orrery::tools
