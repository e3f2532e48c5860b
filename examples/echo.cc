// bazel run //examples:echo -- [PORT]     then: nc 127.0.0.1 PORT
#include "examples/echo.h"

#include <cstdio>

#include "examples/arguments.h"

int main(int argc, char** argv) {
  const auto port = orrery::examples::PortIn(argc == 2 ? argv[1] : "0");
  if (argc > 2 || !port) {
    std::printf(
        "usage: echo [PORT]\nSends back what it receives, on 127.0.0.1. PORT 0, or none, picks a "
        "free one.\n");
    return 1;
  }
  return orrery::examples::echo::RunServer(*port);
}
