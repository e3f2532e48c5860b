// The echo server under faults: what every client reads is what it sent, for a hundred seeds.
//
// What would break: a byte is lost, doubled or out of order, a connection wedges, or something is
// left in flight when the server stops. It is also the example of how to simulate a server of your
// own: a kernel, a world, your server as a Turnable, your clients as Actors.
#include "examples/reactor_echo.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "sim/choices.h"
#include "sim/event_log.h"
#include "sim/world.h"

namespace orrery::examples {
namespace {

// The server, driven by the world.
class Shard final : public sim::Turnable {
 public:
  explicit Shard(Reactor& reactor) : reactor_(reactor) {}
  EnterRequest Turn() override { return reactor_.Turn(); }
  void OnEntered(const EnterResult& result) override { reactor_.OnEntered(result); }
  bool finished() const override { return reactor_.finished(); }

 private:
  Reactor& reactor_;
};

// Sends its bytes, ends its stream, and reads until the server ends too.
class Client final : public sim::Actor {
 public:
  Client(model::ModelKernel& kernel, uint16_t port, std::string bytes)
      : kernel_(kernel), bytes_(std::move(bytes)), peer_(*kernel.PeerConnect(port)) {}

  bool Ready(Nanoseconds) const override { return !done_; }
  Nanoseconds NextAt(Nanoseconds) const override { return kNever; }

  bool Step(Nanoseconds) override {
    bool moved = false;
    if (!ended_) {
      const auto rest = std::as_bytes(std::span(bytes_)).subspan(sent_);
      const auto sent = kernel_.PeerSend(peer_, rest);
      if (!sent) return false;
      sent_ += *sent;
      moved = *sent > 0;
      if (sent_ == bytes_.size()) {
        kernel_.PeerShutdownWrite(peer_);
        ended_ = moved = true;
      }
    }
    std::array<std::byte, 1000> piece;
    const model::PeerRead read = kernel_.PeerReceive(peer_, piece);
    received_.append(reinterpret_cast<const char*>(piece.data()), read.bytes);
    if (read.end || read.reset) {
      kernel_.PeerClose(peer_);
      done_ = true;
    }
    return moved || read.bytes > 0 || done_;
  }

  bool done() const { return done_; }
  bool exact() const { return received_ == bytes_; }

 private:
  model::ModelKernel& kernel_;
  std::string bytes_;
  model::ModelKernel::PeerId peer_;
  size_t sent_ = 0;
  std::string received_;
  bool ended_ = false;
  bool done_ = false;
};

void RunSeed(uint64_t seed) {
  Prng prng(seed);
  const sim::SiteRates rates = sim::SiteRates::Draw(prng);
  sim::RandomChoice choice(seed, rates);
  sim::EventLog log;
  model::ModelOptions machine;
  machine.task_work = prng.Chance(1, 2) ? model::TaskWork::kDeferred : model::TaskWork::kPrompt;
  machine.sq_entries = 1u << prng.Below(4);
  machine.cq_entries = machine.sq_entries << prng.Below(4);
  machine.socket_buffer_bytes = prng.Between(100, 5000);
  model::ModelKernel kernel(machine, choice, &log);

  ReactorOptions options;
  options.buffers = 1u << prng.Below(4);
  options.buffer_bytes = prng.Between(16, 500);
  options.flush_timeout = kSecond;
  options.linger = kSecond;
  auto ring = kernel.MakeRing({});
  const auto listener = kernel.Listen({.port = 7});
  const auto waker = kernel.MakeEventFd();
  ASSERT_TRUE(ring.has_value() && listener.has_value() && waker.has_value());
  auto server = EchoServer::Create(**ring, kernel, *listener, *waker, options);
  ASSERT_TRUE(server.has_value());

  sim::World world(kernel, choice, log,
                   {.interrupts = machine.task_work == model::TaskWork::kPrompt});
  Shard shard((*server)->reactor());
  world.AddShard(0, shard, static_cast<model::ModelRing&>(**ring));
  std::vector<std::unique_ptr<Client>> clients;
  for (uint64_t number = 1; number <= 4; ++number) {
    const size_t bytes = prng.Between(0, 20'000);
    std::string text;
    for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(prng.Next());
    clients.push_back(std::make_unique<Client>(kernel, 7, std::move(text)));
    world.AddActor(number, *clients.back());
  }

  const auto all_done = [&] {
    for (const auto& client : clients) {
      if (!client->done()) return false;
    }
    return true;
  };
  const sim::RunLimits limits{.time_max = 1000 * kSecond, .steps_max = 10'000'000};
  EXPECT_EQ(world.RunUntil(all_done, limits), sim::StopReason::kPredicate)
      << "a client waits for ever";
  for (const auto& client : clients)
    EXPECT_TRUE(client->exact()) << "a client did not read what it sent";

  kernel.SignalEventFd(*waker);
  EXPECT_EQ(world.RunUntil([&] { return shard.finished(); }, limits), sim::StopReason::kPredicate)
      << "the server does not stop";
  EXPECT_FALSE(log.violation().has_value())
      << log.violation()->invariant << ": " << log.violation()->detail;
  EXPECT_EQ(kernel.requests_in_flight(), 0u);
}

TEST(Echo, EveryClientReadsWhatItSent) {
  for (uint64_t seed = 0; seed < 100 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RunSeed(seed);
  }
}

}  // namespace
}  // namespace orrery::examples
