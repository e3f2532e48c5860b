// What makes two failures the same: the broken rule and a stable part of its circumstances, as one
// line of text. Nothing in it depends on names of keys, sizes, times or addresses, so that a plan
// keeps its signature while it is made smaller, and failures of one cause can be counted.
//
//   liveness/never-executed              a rule, with its cause where it has several
//
//   check runtime/reactor.cc: a == b     an ORRERY_CHECK
//
//   asan heap-use-after-free             what a sanitizer says
//
//   signal 11                            any other crash
//
//   hang                                 the run did not end
#pragma once

#include <string>
#include <string_view>

#include "sim/child.h"
#include "sim/event_log.h"

namespace orrery::sim {

// Of a run that was stopped because it did not end.
inline constexpr std::string_view kHangSignature = "hang";

std::string SignatureOf(const Violation& violation);

// Of a child that did not return. REQUIRES: child.end() is neither kRunning nor kReturned.
std::string SignatureOfEnd(const Child& child);

// The same from its parts: `errors` is what was printed. Empty when it tells of no failing check
// and of no sanitizer.
std::string SignatureIn(std::string_view errors);

}  // namespace orrery::sim
