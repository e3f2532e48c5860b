// bazel run //examples:reactor_echo -- [PORT]     then: nc 127.0.0.1 PORT

#include "examples/reactor_echo.h"

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "runtime/ring/linux_kernel.h"

namespace {

// Set before the handler is; a signal handler can reach nothing else.
int waker = -1;

extern "C" void OnSignal(int) {
  const uint64_t one = 1;
  (void)!write(waker, &one, sizeof one);
}

int Fail(const char* what, const std::string& why) {
  std::fprintf(stderr, "reactor_echo: %s: %s\n", what, why.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::printf(
        "usage: reactor_echo [PORT]\nSends back what it receives, on 127.0.0.1. PORT 0, or none, "
        "picks a "
        "free one.\n");
    return argc > 2 ? 1 : 0;
  }
  orrery::LinuxKernel kernel;
  auto ring = kernel.MakeRing({});
  if (!ring) return Fail("no ring", ring.error());
  const auto port = static_cast<uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0);
  const auto listener = kernel.Listen({.port = port});
  if (!listener) return Fail("cannot listen", listener.error().ToString());
  const auto eventfd = kernel.MakeEventFd();
  if (!eventfd) return Fail("no eventfd", eventfd.error().ToString());
  waker = *eventfd;
  const auto bound_port = kernel.LocalPort(*listener);
  ORRERY_CHECK(bound_port.has_value());

  auto server = orrery::examples::EchoServer::Create(**ring, kernel, *listener, *eventfd);
  if (!server) return Fail("cannot start", server.error().ToString());
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  std::printf("reactor_echo: listening on 127.0.0.1:%d; Ctrl-C stops it\n", *bound_port);
  std::fflush(stdout);

  orrery::Reactor& reactor = (*server)->reactor();
  while (!reactor.finished()) reactor.OnEntered((*ring)->Enter(reactor.Turn()));
  return 0;
}
