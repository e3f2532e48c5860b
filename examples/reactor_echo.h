// The smallest server on the reactor: it sends back what it receives, without tasks.
//
// Everything that a server has to do is here. The same object runs on Linux
// (reactor_echo.cc) and on the fake kernel with faults (reactor_echo_test.cc).
#pragma once

#include <expected>
#include <memory>
#include <span>

#include "base/errno.h"
#include "base/units.h"
#include "runtime/reactor.h"

namespace orrery::examples {

class EchoServer final : public Application {
 public:
  // More than this waiting for a peer stops reading from it: a peer that does not read costs
  // bounded memory.
  static constexpr size_t kOutputMax = 64 * kKiB;

  // Serves on `listener`, a listening socket, which it takes over; writing to `waker`, an eventfd,
  // stops it.
  static std::expected<std::unique_ptr<EchoServer>, Errno> Create(
      Ring& ring, Kernel& kernel, int listener, int waker, const ReactorOptions& options = {}) {
    std::unique_ptr<EchoServer> server(new EchoServer);
    auto reactor = Reactor::Create(ring, kernel, *server, options);
    if (!reactor) return std::unexpected(reactor.error());
    server->reactor_ = std::move(*reactor);
    server->reactor_->Listen(listener);
    server->reactor_->Watch(waker);
    return server;
  }

  Reactor& reactor() { return *reactor_; }

  void OnEvents(std::span<const ConnectionEvent> events) override {
    for (const ConnectionEvent& event : events) {
      Connection& connection = *event.connection;
      switch (event.kind) {
        case ConnectionEvent::Kind::kData:
          connection.output().Append(event.data);
          if (connection.output().size_bytes() > kOutputMax) reactor_->PauseReads(connection);
          reactor_->Flush(connection);
          break;
        case ConnectionEvent::Kind::kSent:
          if (connection.output().size_bytes() < kOutputMax / 2) reactor_->ResumeReads(connection);
          break;
        case ConnectionEvent::Kind::kEndOfInput:
          reactor_->Finish(connection);
          break;
        case ConnectionEvent::Kind::kBody:  // Nobody asks for one here.
        case ConnectionEvent::Kind::kOpened:
        case ConnectionEvent::Kind::kClosed:
          break;
      }
    }
  }

  void OnWoken() override { reactor_->Stop(); }
  Nanoseconds OnTurn(Nanoseconds) override { return kNever; }

 private:
  EchoServer() = default;

  std::unique_ptr<Reactor> reactor_;
};

}  // namespace orrery::examples
