// Makes a failing program short: takes steps out while it keeps failing (delta debugging).
#pragma once

#include <cstddef>
#include <functional>

#include "tests/acceptor/program.h"

namespace orrery::acceptor {

// The shortest program found that `fails`, after at most `tries_max` calls of it. REQUIRES: `fails`
// says true of `program`, and likely does so again.
Program Shrink(const Program& program, const std::function<bool(const Program&)>& fails,
               size_t tries_max);

}  // namespace orrery::acceptor
