// Explains a trace of a program on the real ring by the model: can the model do exactly what Linux
// did?
//
// The program's side of the trace is carried out on the model: its SQEs, publications and Enters.
// Its peers are not in the trace, so what they did is inferred, as late as possible: bytes, ends,
// resets, connections, signals and workers come when the next completions need them, at one of the
// points at which the model asks its bystander. Everything that the program saw must then come out
// of the model by itself: each completion, in order, with its result, flags and buffer, and in the
// Enter in which it appeared. Only the hint SOCK_NONEMPTY is taken from the trace, because it tells
// what had arrived by then (it must still be followed by what it promises).
//
// The work is linear in the trace, with a bounded search where a run of task work takes over what
// has been queued (server_trace_schedule.h). It is counted, and a trace that takes more than the
// budget is reported as that, never as accepted.
// Invariant: kAccepted is answered only after the whole trace came out of the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "kernel_model/model_kernel.h"
#include "tests/acceptor/server_trace.h"

namespace orrery::acceptor {

struct TraceAcceptorOptions {
  // Inferences for one completion, on average.
  uint64_t steps_per_completion_max = 64;
  // A rule of the model that is broken on purpose.
  model::Defect defect = model::Defect::kNone;
  // Called now and then with the events that are explained; may be empty.
  std::function<void(size_t)> progress = {};
};

struct TraceVerdict {
  enum class Kind : uint8_t {
    kAccepted,
    kRefused,      // The model cannot do this.
    kOutOfBudget,  // It took too long to know.
    kUnsupported,  // The trace has something that nobody taught the acceptor.
  };
  Kind kind = Kind::kRefused;
  // Why not, the place, and the events around it, a line each. Empty when accepted.
  std::string reason;
  std::string place;
  std::string window;

  // What was explained.
  uint64_t enters = 0;
  uint64_t submissions = 0;
  uint64_t completions = 0;
  uint64_t publications = 0;  // Buffers.
  uint64_t connections = 0;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  uint64_t starved = 0;           // Receives that ended with ENOBUFS.
  uint64_t late_completions = 0;  // That were posted by task work.
  uint64_t late_in_enter_max = 0;
  uint64_t steps = 0;  // Inferences.
};

TraceVerdict ExplainServerTrace(const ServerTrace& trace, const TraceAcceptorOptions& options);

}  // namespace orrery::acceptor
