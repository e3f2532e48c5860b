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
// io_uring it says why and returns 1. What it, and the context, have to say goes to stderr, each
// line behind the name of the program.
int RunMain(std::string_view program, const std::function<Task<int>(IoContext&)>& main);

}  // namespace orrery::coro
