// bazel run //examples:echo -- [PORT]     then: nc 127.0.0.1 PORT
#include "examples/echo.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::printf(
        "usage: echo [PORT]\nSends back what it receives, on 127.0.0.1. PORT 0, or none, picks a "
        "free one.\n");
    return argc > 2 ? 1 : 0;
  }
  const auto port = static_cast<uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0);
  return orrery::examples::echo::RunServer(port);
}
