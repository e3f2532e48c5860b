// Explains a trace of the real kernel by the model: is there a sequence of legal choices after
// which the model does exactly what the kernel did?
//
// The program runs on the model in lockstep with the trace, and stops at the first thing that the
// model does otherwise. A search over the choices taken up to there backtracks: the most promising
// run first, which is the one that came furthest, with the fewest departures from the benign
// answers. Searched is only what Linux itself leaves open on a ring with deferred task work (fact
// kernel list, "What varied"): when a worker runs, what it is overtaken by, between which steps a
// short timeout fires, and when a peer acknowledges a FIN. Everything else must come out exactly:
// results, flags, order, bytes. What that does not explain is searched once more, with a packet of
// the peers or a thread late, as on a machine that is overloaded; the verdict says so.
// Invariant: kExplained is answered only after a run that matched the whole trace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernel_model/model_kernel.h"
#include "tests/acceptor/program.h"
#include "tests/acceptor/trace.h"

namespace orrery::acceptor {

struct AcceptorOptions {
  // Runs of the model for one trace, of which the search without an overloaded machine has a part.
  size_t runs_max = 10'000;
  // A rule of the model that is broken on purpose.
  model::Defect defect = model::Defect::kNone;
};

struct Verdict {
  enum class Kind : uint8_t {
    kExplained,
    kUnexplained,  // No legal choices lead there.
    kOutOfBudget,  // The search ended before it knew.
  };
  Kind kind = Kind::kUnexplained;
  size_t runs = 0;
  // When explained: choices that were not benign, and packets and threads among them that were
  // late.
  size_t departures = 0;
  size_t late_events = 0;
  std::string how;  // A line for each of those choices: site, entity and ordinal, answer.
  // Otherwise, of the run that came furthest: how many observations it explained, what the kernel
  // did next (empty: the trace ends), and what the model did instead (empty: it ended).
  size_t explained = 0;
  std::string observed;
  std::string modelled;
  std::string violation;  // A rule of the model that the program broke; empty: none.
};

Verdict Explain(const Program& program, const Trace& trace, const AcceptorOptions& options);

}  // namespace orrery::acceptor
