// The main() of a program that is a task.
//
//   int main() {
//     return orrery::coro::RunMain("echo", [](orrery::coro::IoContext& io) { return Echo(io, 7);
//     });
//   }
#pragma once

#include <functional>
#include <string_view>

#include "runtime/coro/io_context.h"
#include "runtime/coro/task.h"

namespace orrery::coro {

// Makes a ring on this thread, runs the task that `main` returns, and returns its result. Without
// io_uring it says why in one line to stderr, which begins with `program`, and returns 1.
int RunMain(std::string_view program, const std::function<Task<int>(IoContext&)>& main);

}  // namespace orrery::coro
