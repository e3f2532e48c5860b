// bazel run //examples:file_server -- FOLDER [PORT]     then open the address that it prints
#include "examples/file_server.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "examples/arguments.h"
#include "runtime/coro/run.h"

int main(int argc, char** argv) {
  const auto port = orrery::examples::PortIn(argc == 3 ? argv[2] : "0");
  if (argc < 2 || argc > 3 || argv[1][0] == '-' || !port) {
    std::printf(
        "usage: file_server FOLDER [PORT]\nServes the files below FOLDER on 127.0.0.1. PORT 0, or "
        "none, picks a free one.\n");
    return 1;
  }
  // `bazel run` starts programs elsewhere.
  const char* const called_from = std::getenv("BUILD_WORKING_DIRECTORY");
  std::error_code problem;
  if (called_from != nullptr) std::filesystem::current_path(called_from, problem);
  if (!std::filesystem::is_directory(argv[1], problem)) {
    std::printf("file_server: %s is not a folder\n", argv[1]);
    return 1;
  }
  return orrery::coro::RunMain("file_server", [&](orrery::coro::IoContext& io) {
    return orrery::examples::file_server::Main(io, *port, argv[1]);
  });
}
