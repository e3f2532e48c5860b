// bazel run //examples:proxy -- PORT HOST TARGET_PORT      HOST is numeric
#include "examples/proxy.h"

#include <cstdio>

#include "examples/arguments.h"
#include "runtime/coro/run.h"

int main(int argc, char** argv) {
  using orrery::coro::SocketAddress;
  using orrery::examples::PortIn;
  const auto port = PortIn(argc == 4 ? argv[1] : "");
  const auto target =
      SocketAddress::Parse(argc == 4 ? argv[2] : "", PortIn(argc == 4 ? argv[3] : "").value_or(0));
  if (!port || !target || target->port() == 0) {
    std::printf(
        "usage: proxy PORT HOST TARGET_PORT\nForwards connections to 127.0.0.1:PORT to HOST, a "
        "numeric address. PORT 0 picks a free one.\n");
    return 1;
  }
  return orrery::coro::RunMain("proxy", [&](orrery::coro::IoContext& io) {
    return orrery::examples::proxy::Main(io, *port, *target);
  });
}
