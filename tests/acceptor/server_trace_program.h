// A program for the tests of traces: it serves connections by hand, so that everything that the
// acceptor looks at happens in a few hundred completions, on Linux and on the model alike. It goes
// by what it is told and expects nothing, so that it can be recorded on a broken kernel, too.
#pragma once

#include <cstddef>
#include <vector>

#include "tests/conformance/world.h"

namespace orrery::acceptor {

// The trace's file. In it: more wake-ups than one run of task work has, a receive that gets more
// than its share, exhaustion, cancels in time and too late, ends, resets, a close of what is armed,
// a shutdown, signals.
std::vector<std::byte> RecordTestProgram(conformance::World& world);

}  // namespace orrery::acceptor
