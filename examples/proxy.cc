// bazel run //examples:proxy -- PORT HOST TARGET_PORT      HOST is numeric
#include "examples/proxy.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "runtime/coro/run.h"

int main(int argc, char** argv) {
  using orrery::coro::SocketAddress;
  const auto target = SocketAddress::Parse(
      argc == 4 ? argv[2] : "", static_cast<uint16_t>(argc == 4 ? std::atoi(argv[3]) : 0));
  if (!target) {
    std::printf(
        "usage: proxy PORT HOST TARGET_PORT\nForwards connections to 127.0.0.1:PORT to HOST, a "
        "numeric address. PORT 0 picks a free one.\n");
    return 1;
  }
  return orrery::coro::RunMain("proxy", [&](orrery::coro::IoContext& io) {
    return orrery::examples::proxy::Main(io, static_cast<uint16_t>(std::atoi(argv[1])), *target);
  });
}
