// How fast the simulated server is: requests a wall second of one shard on the fake kernel, with 50
// clients of which each sends a GET, waits for the reply, checks it, and sends the next.
//
//     simulation_bench [--requests=200000] [--connections=50] [--keys=100000]
//
// Nothing goes wrong, and all that a run of a scenario has is there: the checks of the model, the
// scheduler, the hash over all events. Prints one line of JSON. simulation.py puts it beside the
// real server.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/ring/kernel.h"
#include "runtime/ring/ring.h"
#include "server/shard.h"
#include "sim/event_log.h"
#include "sim/world.h"

namespace orrery::bench {
namespace {

struct Options {
  uint64_t requests = 200'000;
  unsigned connections = 50;
  uint64_t keys = 100'000;
};

constexpr std::string_view kReply = "$3\r\nxxx\r\n";
constexpr std::string_view kStored = "+OK\r\n";

std::string Get(uint64_t key) {
  return fmt::format("*2\r\n$3\r\nGET\r\n$16\r\nkey:{:012}\r\n", key);
}
std::string Set(uint64_t key) {
  return fmt::format("*3\r\n$3\r\nSET\r\n$16\r\nkey:{:012}\r\n$3\r\nxxx\r\n", key);
}

class TurnableShard final : public sim::Turnable {
 public:
  explicit TurnableShard(server::Shard& shard) : shard_(shard) {}
  EnterRequest Turn() override { return shard_.Turn(); }
  void OnEntered(const EnterResult& result) override { shard_.OnEntered(result); }
  bool finished() const override { return shard_.finished(); }

 private:
  server::Shard& shard_;
};

// Sends a request, waits for all of its reply, and goes on: SETs of all keys in turn, or GETs of
// any.
class ClosedLoop final : public sim::Actor {
 public:
  enum class Work : uint8_t { kNone, kStoreAll, kGet };

  ClosedLoop(model::ModelKernel& kernel, model::ModelKernel::PeerId peer, uint64_t keys,
             uint64_t seed)
      : kernel_(kernel), peer_(peer), keys_(keys), prng_(seed) {}

  // REQUIRES: idle().
  void Start(Work work) {
    work_ = work;
    SendNext();
  }
  void Stop() { work_ = Work::kNone; }
  // Waits for no reply.
  bool idle() const { return awaited_.empty(); }
  uint64_t replies() const { return replies_; }

  bool Ready(Nanoseconds) const override { return kernel_.PeerReadable(peer_) > 0; }
  bool Step(Nanoseconds) override {
    std::array<char, 64> bytes;
    const auto read = kernel_.PeerReceive(peer_, std::as_writable_bytes(std::span(bytes)));
    const std::string_view got(bytes.data(), read.bytes);
    ORRERY_CHECK(awaited_.starts_with(got));
    awaited_.remove_prefix(got.size());
    if (!awaited_.empty()) return true;
    ++replies_;
    SendNext();
    return true;
  }
  Nanoseconds NextAt(Nanoseconds) const override { return kNever; }

 private:
  void SendNext() {
    if (work_ == Work::kStoreAll && stored_ == keys_) work_ = Work::kNone;
    if (work_ == Work::kNone) return;
    const bool stores = work_ == Work::kStoreAll;
    const std::string request = stores ? Set(stored_++) : Get(prng_.Below(keys_));
    const auto sent = kernel_.PeerSend(peer_, std::as_bytes(std::span(request)));
    ORRERY_CHECK(sent == request.size());
    awaited_ = stores ? kStored : kReply;
  }

  model::ModelKernel& kernel_;
  const model::ModelKernel::PeerId peer_;
  const uint64_t keys_;
  Prng prng_;
  Work work_ = Work::kNone;
  std::string_view awaited_;
  uint64_t stored_ = 0;
  uint64_t replies_ = 0;
};

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void Run(const Options& options) {
  model::BenignChoice choice;
  // The limit of events ends runs that do not end; here time does.
  sim::EventLog log({.events_max = UINT64_MAX});
  model::ModelOptions machine;
  machine.descriptors_max = options.connections + 64;
  model::ModelKernel kernel(machine, choice, &log);
  auto ring = kernel.MakeRing({});
  ORRERY_CHECK(ring.has_value());
  auto shard = server::Shard::Create(**ring, kernel, {}, nullptr);
  ORRERY_CHECK(shard.has_value());
  TurnableShard turnable(**shard);
  sim::World world(kernel, choice, log, {});
  world.AddShard(0, turnable, static_cast<model::ModelRing&>(**ring));
  std::vector<std::unique_ptr<ClosedLoop>> clients;
  for (unsigned number = 0; number < options.connections; ++number) {
    const auto peer = kernel.PeerConnect((*shard)->port());
    ORRERY_CHECK(peer.has_value());
    clients.push_back(std::make_unique<ClosedLoop>(kernel, *peer, options.keys, number));
    world.AddActor(number + 1, *clients.back());
  }

  const auto run_until = [&world](const std::function<bool()>& done) {
    const sim::StopReason reason = world.RunUntil(done, {});
    ORRERY_CHECK(reason == sim::StopReason::kPredicate);
  };
  const auto all_idle = [&clients] {
    return std::all_of(clients.begin(), clients.end(),
                       [](const auto& client) { return client->idle(); });
  };
  clients.front()->Start(ClosedLoop::Work::kStoreAll);
  run_until(all_idle);

  const uint64_t stored = clients.front()->replies();
  const uint64_t events_before = log.count();
  for (const auto& client : clients) client->Start(ClosedLoop::Work::kGet);
  const auto replies = [&clients, stored] {
    uint64_t sum = 0;
    for (const auto& client : clients) sum += client->replies();
    return sum - stored;
  };
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const double cpu_start = CpuSeconds();
  while (replies() < options.requests) {
    constexpr uint64_t kStepsBetweenLooks = 1024;
    run_until([&world, end = world.steps() + kStepsBetweenLooks] { return world.steps() >= end; });
  }
  const double wall_s = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu_s = CpuSeconds() - cpu_start;
  const auto requests = static_cast<double>(replies());
  fmt::print(
      "{{\"requests_a_second\": {:.0f}, \"cpu_us\": {:.4f}, \"events_a_request\": {:.2f}, "
      "\"hash\": "
      "\"{:016x}\"}}\n",
      requests / wall_s, cpu_s * 1e6 / requests,
      static_cast<double>(log.count() - events_before) / requests, log.hash());

  for (const auto& client : clients) client->Stop();
  run_until(all_idle);
  for (int request = 0; request < 2; ++request) (*shard)->RequestStop();
  kernel.SignalEventFd((*shard)->waker());
  run_until([&shard] { return (*shard)->finished(); });
}

int Main(int argc, char** argv) {
  CLI::App app("How fast one shard on the fake kernel serves GETs; prints JSON.",
               "simulation_bench");
  Options options;
  app.option_defaults()->always_capture_default();
  app.add_option("--requests", options.requests, "How many are measured");
  app.add_option("--connections", options.connections, "Clients");
  app.add_option("--keys", options.keys, "Different keys, drawn at random");
  CLI11_PARSE(app, argc, argv);
  Run(options);
  return 0;
}

}  // namespace
}  // namespace orrery::bench

int main(int argc, char** argv) { return orrery::bench::Main(argc, argv); }
