// A picture in the Trace Event Format, for Perfetto (ui.perfetto.dev) and chrome://tracing.
//
// Times are those of the virtual clock. Processes are the kinds of lanes, threads the lanes. A call
// of io_uring_enter is a slice of its ring; what a shard does between two calls is a slice of the
// shard; a request is an asynchronous event from its SQE to its last CQE, on its connection or,
// when it has none, on its ring. All else are instants.
#pragma once

#include <string>

#include "tools/view/picture.h"

namespace orrery::view {

// One JSON document.
std::string WriteTraceEvents(const Picture& picture);

}  // namespace orrery::view
