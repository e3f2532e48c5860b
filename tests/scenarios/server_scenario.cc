#include "tests/scenarios/server_scenario.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/reactor.h"
#include "server/client.h"
#include "server/resp_parser.h"
#include "server/server_context.h"
#include "server/shard.h"
#include "sim/interrupted_kernel.h"
#include "sim/world.h"
#include "tests/scenarios/judge.h"
#include "tests/scenarios/limits_judge.h"
#include "tests/scenarios/resp_client.h"
#include "tests/scenarios/server_drawing.h"
#include "tests/scenarios/server_participants.h"
#include "tests/scenarios/server_setup.h"
#include "tests/scenarios/values_drawing.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {
namespace {

// Numbers of participants, for choices.
constexpr uint64_t kShardNumber = 0;
constexpr uint64_t kStopperNumber = 1;
constexpr uint64_t kClockSetterNumber = 2;
constexpr uint64_t kFirstClientNumber = 16;
// When nobody is connected: the accept and the waker's poll.
constexpr size_t kRequestsAtRest = 2;
// Input as the server holds it takes at most this much more memory than it had bytes: arguments may
// be of no bytes, and what is known of one takes 16; and memory that is kept for the next frame.
constexpr size_t kInputMemoryFactor = 8;
constexpr size_t kInputMemoryAtRest = 64 * kKiB;

// Between the model and the log: knows which connection is which of the server's files, and so who
// its clients are; and counts what goes through the kernel.
class KernelWatcher final : public model::Observer {
 public:
  KernelWatcher(sim::EventLog& log, Judge& judge, LimitsJudge& limits)
      : log_(log), judge_(judge), limits_(limits) {}

  void OnEvent(const model::Event& event) override {
    log_.OnEvent(event);
    switch (event.kind) {
      case model::EventKind::kAccepted:
        connections_by_file_[{.number = static_cast<int>(event.a), .fixed = event.b != 0}] =
            event.entity;
        judge_.admission().OnAccepted(event.entity);
        break;
      case model::EventKind::kClosed:
        judge_.admission().OnClosed(event.entity);
        break;
      case model::EventKind::kSubmit:
        ++submitted_;
        break;
      case model::EventKind::kSent:
        limits_.OnActivity(event.entity);
        break;
      case model::EventKind::kReceived:
        limits_.OnActivity(event.entity);
        received_bytes_ += static_cast<uint64_t>(event.a);
        break;
      default:
        break;
    }
  }
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    log_.OnViolation(invariant, detail);
  }
  void OnSqe(const io_uring_sqe& sqe) override { log_.OnSqe(sqe); }
  void OnBytes(std::span<const std::byte> bytes) override { log_.OnBytes(bytes); }

  // The server has taken in a client, whose connection is `file`.
  void OnClient(const server::Client& client, const File& file) {
    const auto found = connections_by_file_.find(file);
    ORRERY_CHECK_MSG(found != connections_by_file_.end(),
                     "the server has a client that was never accepted");
    connections_by_client_[client.id] = found->second;
    judge_.OnServed(found->second);
    limits_.OnServed(found->second);
  }
  void OnCutOff(const server::Client& client, server::CutReason reason,
                const server::ClientMemory& memory) {
    const uint64_t connection = connections_by_client_.at(client.id);
    limits_.OnCutOff(connection, client, reason, memory);
    judge_.OnCutOff(connection);
  }
  void OnLeaving(const server::Client& client) {
    judge_.OnLeaving(connections_by_client_.at(client.id));
  }
  void OnClientGone(const server::Client& client) {
    const uint64_t connection = connections_by_client_.at(client.id);
    judge_.OnForgotten(connection);
    limits_.OnGone(connection);
  }
  // The connection of the server's client `id`; nothing when there is none.
  std::optional<uint64_t> ConnectionOf(uint64_t id) const {
    const auto found = connections_by_client_.find(id);
    if (found == connections_by_client_.end()) return std::nullopt;
    return found->second;
  }
  uint64_t submitted() const { return submitted_; }            // SQEs.
  uint64_t received_bytes() const { return received_bytes_; }  // By the server.

 private:
  sim::EventLog& log_;
  Judge& judge_;
  LimitsJudge& limits_;
  struct FileOrder {
    bool operator()(const File& one, const File& other) const {
      return std::pair(one.fixed, one.number) < std::pair(other.fixed, other.number);
    }
  };
  std::map<File, uint64_t, FileOrder> connections_by_file_;  // Of each, the last.
  std::map<uint64_t, uint64_t> connections_by_client_;
  uint64_t submitted_ = 0;
  uint64_t received_bytes_ = 0;
};

// Tells the judge what the server executes, in its order.
class ExecutionWatcher final : public server::CommandObserver {
 public:
  ExecutionWatcher(KernelWatcher& watcher, model::ModelKernel& kernel, Judge& judge)
      : watcher_(watcher), kernel_(kernel), judge_(judge) {}

  void Watch(const server::Shard& shard, const server::ShardOptions& options) {
    shard_ = &shard;
    output_max_ = options.output_pause_bytes;
    memory_bytes_max_ = options.config.memory_bytes_max;
  }

  // The clocks themselves, whatever the server has read.
  Moment Now() {
    return {.wall_ms = kernel_.RealtimeNow() / kMillisecond,
            .monotonic_ms = kernel_.MonotonicNow() / kMillisecond};
  }
  // Tells what the server holds for each of its clients.
  void LookAtClients(LimitsJudge& limits) {
    for (const auto& [id, client] : clients_) {
      if (!shard_->ConnectionOf(*client).open()) continue;
      limits.OnHeld(*watcher_.ConnectionOf(id), *client, shard_->MemoryOf(*client));
    }
  }

  void OnClient(const server::Client& client) override {
    clients_[client.id] = &client;
    watcher_.OnClient(client, shard_->ConnectionOf(client).file());
  }
  void OnCutOff(const server::Client& client, server::CutReason reason) override {
    watcher_.OnCutOff(client, reason, shard_->MemoryOf(client));
  }
  void OnLeaving(const server::Client& client) override { watcher_.OnLeaving(client); }
  void OnClientGone(const server::Client& client) override {
    clients_.erase(client.id);
    watcher_.OnClientGone(client);
  }
  void OnCommand(const server::Client& client, const server::Command& command,
                 int64_t now_ms) override {
    std::vector<std::string> arguments;
    for (size_t index = 0; index < command.size(); ++index) {
      arguments.emplace_back(command[index]);
    }
    const std::optional<uint64_t> connection = watcher_.ConnectionOf(client.id);
    ORRERY_CHECK_MSG(connection.has_value(), "a client that was not let in has a command");
    judge_.SetOutOfMemory(memory_bytes_max_ != 0 &&
                          shard_->keyspace().memory_bytes() > memory_bytes_max_);
    judge_.CheckOutput(*connection, shard_->MemoryOf(client).output_bytes, output_max_);
    judge_.OnExecuted(*connection, arguments, now_ms, Now());
  }
  void OnExpired(std::string_view key, int64_t expires_at_ms) override {
    judge_.OnExpired(std::string(key), expires_at_ms, Now());
  }

 private:
  KernelWatcher& watcher_;
  model::ModelKernel& kernel_;
  Judge& judge_;
  const server::Shard* shard_ = nullptr;
  std::map<uint64_t, const server::Client*> clients_;  // By their ids.
  // When a client has so much to get, nothing more of it is executed.
  size_t output_max_ = 0;
  uint64_t memory_bytes_max_ = 0;
};

// One run. The order of members is that of construction: the ring dies before its kernel.
class ServerRun {
 public:
  static std::expected<std::unique_ptr<ServerRun>, std::string> Make(const sim::Plan& plan,
                                                                     Workload workload,
                                                                     sim::RecordingChoice& choice,
                                                                     sim::EventLog& log) {
    const ServerSetup setup = ReadServerSetup(plan);
    auto run = std::unique_ptr<ServerRun>(new ServerRun(setup, choice, log));
    auto ring = run->kernel_.MakeRing({});
    if (!ring) return std::unexpected("the ring: " + ring.error());
    run->ring_ = *std::move(ring);
    run->descriptors_before_server_ = run->kernel_.open_descriptors();
    auto shard = server::Shard::Create(*run->ring_, run->interrupted_kernel_, setup.shard,
                                       &run->executions_);
    if (!shard) return std::unexpected("the server: " + shard.error());
    run->shard_ = *std::move(shard);
    run->Populate(setup, std::move(workload));
    return run;
  }

  void Go() {
    if (RunScripts() && Settle() && Leave()) Stop();
  }

  void Count(RunResult& result) const {
    result.steps = world_.steps();
    result.counters["clients"] = clients_.size();
    result.counters["commands"] = judge_.executed();
    result.counters["replies"] = judge_.replies();
    result.counters["wall_jumps"] = clock_setter_->done();
    const ReactorCounters& counters = shard_->reactor().counters();
    result.counters["reactor.turns"] = counters.turns;
    result.counters["reactor.accepted"] = counters.accepted;
    result.counters["reactor.accept_failures"] = counters.accept_failures;
    result.counters["reactor.starved"] = counters.starved;
    result.counters["reactor.refused"] = counters.refused;
    result.counters["reactor.stale_completions"] = counters.stale_completions;
    result.counters["reactor.enter_retries"] = counters.enter_retries;
    result.counters["reactor.zero_copy_sends"] = counters.zero_copy_sends;
  }

 private:
  ServerRun(const ServerSetup& setup, sim::RecordingChoice& choice, sim::EventLog& log)
      : choice_(choice),
        log_(log),
        judge_(log),
        limits_(log, setup.shard.config),
        watcher_(log, judge_, limits_),
        kernel_(setup.kernel, choice, &watcher_),
        executions_(watcher_, kernel_, judge_),
        world_(kernel_, choice, log, {.interrupts = setup.prompt, .spin_turns_max = 2000}),
        start_(kernel_.MonotonicNow()) {
    interrupted_kernel_.OnInterrupt([this] { world_.InterruptMaybe(kShardNumber); });
    judge_.FindClientsBy([this](uint64_t id) { return watcher_.ConnectionOf(id); });
  }

  void Populate(const ServerSetup& setup, Workload workload) {
    descriptors_at_rest_ = kernel_.open_descriptors();
    if (EndsHastily(setup)) judge_.AllowHastyEnds();
    executions_.Watch(*shard_, setup.shard);
    judge_.SetPassword(setup.shard.config.password);
    judge_.admission().SetClientsMax(setup.shard.config.clients_max);
    judge_.admission().SetConnectionsMax(setup.shard.reactor.connections_max);
    turnable_ = std::make_unique<ShardUnderTest>(*shard_, [this] { AfterTurn(); });
    stopper_ = std::make_unique<Stopper>(
        [this] {
          judge_.OnServerStops();
          shard_->RequestStop();
          kernel_.SignalEventFd(shard_->waker());
        },
        world_);
    if (setup.stop_after_steps.has_value()) stopper_->StopAtStep(*setup.stop_after_steps);
    if (setup.stop_after.has_value()) stopper_->StopAt(start_ + *setup.stop_after);
    world_.AddShard(kShardNumber, *turnable_, *kernel_.rings().front());
    world_.AddActor(kStopperNumber, *stopper_);
    clock_setter_ =
        std::make_unique<ClockSetter>(kClockSetterNumber, setup.jumps, start_, kernel_, log_);
    world_.AddActor(kClockSetterNumber, *clock_setter_);
    for (Script& script : workload) {
      const uint64_t number = kFirstClientNumber + script.client;
      clients_.push_back(
          std::make_unique<RespClient>(std::move(script), kServerPort, start_, kernel_, judge_));
      world_.AddActor(number, *clients_.back());
    }
  }

  void AfterTurn() {
    judge_.admission().OnTurn();
    // What the server holds of its input grows with what has come, not with what was announced.
    const size_t held = shard_->input_memory_bytes();
    if (held > kInputMemoryAtRest + kInputMemoryFactor * watcher_.received_bytes()) {
      log_.OnViolation("input-memory",
                       "the server holds " + std::to_string(held) + " bytes after " +
                           std::to_string(watcher_.received_bytes()) + " have come");
    }
    if (!limits_.limits_clients()) return;
    if (judge_.Paused(executions_.Now())) limits_.OnPause();
    executions_.LookAtClients(limits_);
  }

  // Runs until `done`. False after a violation; that it does not come about is one.
  bool Await(const std::function<bool()>& done, std::string_view invariant) {
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = world_.now() + kSettleMax, .steps_max = kStepsMax});
    if (reason == sim::StopReason::kPredicate) return true;
    judge_.CheckNothingOutstanding();
    log_.OnViolation(invariant,
                     DescribeState() + "; the world stopped at: " + std::string(NameOf(reason)));
    return false;
  }

  std::string DescribeState() {
    const auto open = std::count_if(clients_.begin(), clients_.end(),
                                    [](const auto& client) { return !client->closed(); });
    return std::to_string(open) + " clients open; the server has " +
           std::to_string(shard_->reactor().connections()) + " connections, " +
           std::to_string(kernel_.open_descriptors()) + " descriptors (" +
           std::to_string(descriptors_at_rest_) + " at rest), " +
           std::to_string(kernel_.requests_in_flight()) + " requests in flight, " +
           std::to_string(judge_.ExpiredKeys(kernel_.RealtimeNow() / kMillisecond)) +
           " keys that have expired";
  }

  bool AllClients(bool (RespClient::*holds)() const) const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [holds](const auto& client) { return (client.get()->*holds)(); });
  }

  bool RunScripts() {
    const auto done = [this] { return AllClients(&RespClient::script_done); };
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = start_ + kScriptsMax, .steps_max = kStepsMax});
    return reason != sim::StopReason::kViolation;
  }

  // Faults are off: a server that was told to stop does not wait for its clients; everything that
  // was sent completely is answered, and everybody leaves.
  bool Settle() {
    choice_.TurnFaultsOff();
    // What a zero-copy send has pinned may wait for a client that does not read.
    const auto gone = [this] { return shard_->reactor().connections() == 0; };
    if (judge_.server_stops() && !Await(gone, "stop")) return false;
    for (const auto& client : clients_) client->Hurry();
    return Await([this] { return AllClients(&RespClient::closed); }, "liveness");
  }

  // Nobody is there: the server is as it was before.
  bool Leave() {
    const auto at_rest = [this] {
      if (judge_.server_stops()) return true;
      return shard_->reactor().connections() == 0 &&
             kernel_.open_descriptors() == descriptors_at_rest_ &&
             kernel_.requests_in_flight() <= kRequestsAtRest &&
             judge_.ExpiredKeys(kernel_.RealtimeNow() / kMillisecond) == 0;
    };
    return Await(at_rest, "left-over");
  }

  // Nothing is left.
  void Stop() {
    if (!judge_.server_stops()) stopper_->StopAt(world_.now());
    if (!Await([this] { return shard_->finished(); }, "stop")) return;
    if (kernel_.requests_in_flight() != 0 ||
        kernel_.open_descriptors() != descriptors_before_server_) {
      log_.OnViolation("left-over", "after the server has ended: " + DescribeState());
    }
    CheckCounters(shard_->reactor().counters(), shard_->reactor().arm_visits());
  }

  // What holds of a whole run.
  void CheckCounters(const ReactorCounters& counters, uint64_t visits) {
    // A connection waits for the last completion of each of its operations, and what a zero-copy
    // send has pinned for its notification.
    const uint64_t stale = counters.stale_completions + counters.notifications_stale;
    if (stale != 0) {
      log_.OnViolation("slot-died-early",
                       std::to_string(stale) + " completions came after their slot was gone");
    }
    // A reply is copied once, or never.
    const uint64_t queued = counters.copied_bytes + counters.borrowed_bytes;
    const uint64_t gone = counters.sent_bytes + counters.unsent_bytes;
    if (queued != gone) {
      log_.OnViolation("output-copied-again", std::to_string(queued) +
                                                  " bytes were copied or borrowed for " +
                                                  std::to_string(gone) + " of output");
    }
    // A connection is visited for what it wants to have submitted, or because it has just changed
    // its mind.
    const uint64_t reasons = watcher_.submitted() + counters.refused + counters.completions;
    if (visits > reasons) {
      log_.OnViolation("idle-visits", std::to_string(visits) + " visits of connections for " +
                                          std::to_string(reasons) + " operations and completions");
    }
  }

  sim::RecordingChoice& choice_;
  sim::EventLog& log_;
  Judge judge_;
  LimitsJudge limits_;
  KernelWatcher watcher_;
  model::ModelKernel kernel_;
  sim::InterruptedKernel interrupted_kernel_{kernel_};  // As the server sees it.
  ExecutionWatcher executions_;
  sim::World world_;
  Nanoseconds start_;
  size_t descriptors_before_server_ = 0;
  size_t descriptors_at_rest_ = 0;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<server::Shard> shard_;
  std::unique_ptr<ShardUnderTest> turnable_;
  std::unique_ptr<Stopper> stopper_;
  std::unique_ptr<ClockSetter> clock_setter_;
  std::vector<std::unique_ptr<RespClient>> clients_;
};

}  // namespace

sim::Plan ServerScenario::Draw(uint64_t seed) const { return DrawServerPlan(name(), seed); }

sim::Plan ValuesScenario::Draw(uint64_t seed) const { return DrawValuesPlan(name(), seed); }

std::expected<RunResult, std::string> ValuesScenario::Run(const sim::Plan& plan,
                                                          sim::RecordingChoice& choice,
                                                          sim::EventLog& log) const {
  return ServerScenario().Run(plan, choice, log);
}

std::expected<RunResult, std::string> ServerScenario::Run(const sim::Plan& plan,
                                                          sim::RecordingChoice& choice,
                                                          sim::EventLog& log) const {
  if (auto problem = ProblemOf(plan.configuration)) return std::unexpected(*std::move(problem));
  return CarryOut<ServerRun>(plan, ReadWorkload(plan.workload), choice, log);
}

}  // namespace orrery::scenarios
