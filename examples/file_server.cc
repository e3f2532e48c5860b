// bazel run //examples:file_server -- FOLDER [PORT]     then open the address that it prints
#include "examples/file_server.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "runtime/coro/run.h"

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3 || argv[1][0] == '-') {
    std::printf(
        "usage: file_server FOLDER [PORT]\nServes the files below FOLDER on 127.0.0.1. PORT 0, or "
        "none, picks a free one.\n");
    return 1;
  }
  const auto port = static_cast<uint16_t>(argc == 3 ? std::atoi(argv[2]) : 0);
  return orrery::coro::RunMain("file_server", [&](orrery::coro::IoContext& io) {
    return orrery::examples::file_server::Main(io, port, argv[1]);
  });
}
