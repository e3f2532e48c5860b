#include "tests/scenarios/shards_scenario.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/bells.h"
#include "runtime/mailboxes.h"
#include "runtime/reactor.h"
#include "server/client.h"
#include "server/resp_parser.h"
#include "server/router.h"
#include "server/server_context.h"
#include "server/shard.h"
#include "server/shard_group.h"
#include "sim/interrupted_kernel.h"
#include "sim/world.h"
#include "tests/scenarios/limits_judge.h"
#include "tests/scenarios/resp_client.h"
#include "tests/scenarios/server_drawing.h"
#include "tests/scenarios/server_participants.h"
#include "tests/scenarios/server_setup.h"
#include "tests/scenarios/shards_judge.h"
#include "tests/scenarios/shards_traits.h"
#include "tests/scenarios/shards_workload.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {
namespace {

// Numbers of participants, for choices: shards from 0 on, then these.
constexpr uint64_t kShardsMax = 8;
constexpr uint64_t kStopperNumber = 8;
constexpr uint64_t kFirstPauserNumber = 9;
constexpr uint64_t kPausesMax = 4;
constexpr uint64_t kFirstClientNumber = 16;
static_assert(kFirstPauserNumber + kPausesMax <= kFirstClientNumber);
// Of each shard, when nobody is connected: the accept and the waker's poll.
constexpr size_t kRequestsAtRest = 2;
// Operations that the search for an order may try, for each part of the history.
constexpr uint64_t kSearchStepsMax = 50'000;

// --- Drawing.

// A pause's names in a configuration: which shard, from which step of the world on, how long.
std::string PauseName(uint64_t index, const char* what) {
  return "pause_" + std::to_string(index) + "_" + what;
}

void DrawPauses(Prng& prng, sim::Configuration& configuration) {
  if (!prng.Chance(1, 2)) return;
  const uint64_t pauses = prng.Between(1, kPausesMax);
  const auto shards = static_cast<uint64_t>(configuration["shards"]);
  for (uint64_t index = 0; index < pauses; ++index) {
    const uint64_t low_step = uint64_t{1} << prng.Between(5, 12);
    const uint64_t low_us = uint64_t{1} << prng.Below(15);
    configuration[PauseName(index, "shard")] = static_cast<int64_t>(prng.Below(shards));
    configuration[PauseName(index, "at_step")] =
        static_cast<int64_t>(prng.Between(low_step, 2 * low_step));
    configuration[PauseName(index, "for_ns")] =
        static_cast<Nanoseconds>(prng.Between(low_us, 2 * low_us)) * kMicrosecond;
  }
}

sim::Configuration DrawConfiguration(Prng& prng) {
  sim::Configuration configuration = DrawServerConfiguration(prng);
  // There are descriptors for all.
  configuration["descriptors_max"] = 4096;
  // Bytes one by one are the scenario "server"'s subject.
  configuration["socket_buffer_bytes"] =
      std::max<int64_t>(configuration["socket_buffer_bytes"], 256);
  configuration["buffer_bytes"] = std::max<int64_t>(configuration["buffer_bytes"], 64);
  if (!prng.Chance(1, 2)) configuration.erase("stop_after_ns");
  return configuration;
}

// How many shards there are, and how little there is room for between them: in most worlds
// something is soon full.
void DrawShards(Prng& prng, sim::Configuration& configuration) {
  const auto few_or = [&prng](uint64_t few_max, uint64_t otherwise) {
    return static_cast<int64_t>(prng.Chance(1, 2) ? prng.Between(1, few_max) : otherwise);
  };
  const uint64_t shards_max = prng.Chance(1, 4) ? kShardsMax : 4;
  configuration["shards"] =
      static_cast<int64_t>(prng.Between(prng.Chance(1, 8) ? 1 : 2, shards_max));
  configuration["mailbox_capacity"] = few_or(4, 512);
  configuration["mailbox_budget"] = few_or(4, 256);
  configuration["replies_max"] = few_or(6, 128);
  configuration["errands_max"] = few_or(6, 1024);
}

// --- Running.

struct Pause {
  uint64_t shard = 0;
  uint64_t at_step = 0;
  Nanoseconds duration = 0;
};

std::vector<Pause> PausesIn(const sim::Configuration& configuration) {
  std::vector<Pause> pauses;
  for (uint64_t index = 0; index < kPausesMax; ++index) {
    const int64_t duration = sim::ValueOr(configuration, PauseName(index, "for_ns"), 0);
    if (duration <= 0) continue;
    const int64_t shard = sim::ValueOr(configuration, PauseName(index, "shard"), 0);
    const int64_t at_step = sim::ValueOr(configuration, PauseName(index, "at_step"), 0);
    pauses.push_back({.shard = static_cast<uint64_t>(shard),
                      .at_step = static_cast<uint64_t>(at_step),
                      .duration = duration});
  }
  return pauses;
}

// The knobs as the shards and the world take them.
struct ShardsSetup {
  ServerSetup server;
  MailboxOptions mailboxes;
  std::vector<Pause> pauses;
};

ShardsSetup ReadSetup(const sim::Plan& plan) {
  const sim::Configuration& configuration = plan.configuration;
  ShardsSetup setup{.server = ReadServerSetup(plan), .mailboxes = {}, .pauses = {}};
  const auto take = [&configuration](std::string_view name, uint32_t& value) {
    value = static_cast<uint32_t>(sim::ValueOr(configuration, name, value));
  };
  take("shards", setup.mailboxes.shards);
  take("mailbox_capacity", setup.mailboxes.capacity);
  take("mailbox_budget", setup.mailboxes.budget_per_source);
  take("replies_max", setup.server.shard.router.replies_max);
  take("errands_max", setup.server.shard.router.errands_max);
  setup.pauses = PausesIn(configuration);
  return setup;
}

std::optional<std::string> ShardsProblemOf(const sim::Configuration& configuration) {
  for (const char* name :
       {"shards", "mailbox_capacity", "mailbox_budget", "replies_max", "errands_max"}) {
    const int64_t value = sim::ValueOr(configuration, name, 1);
    const int64_t value_max = std::string_view(name) == "shards" ? int64_t{kShardsMax} : 1'000'000;
    if (value >= 1 && value <= value_max) continue;
    return "configuration: \"" + std::string(name) + "\" must be 1 to " + std::to_string(value_max);
  }
  return ProblemOf(configuration);
}

// Between the model and the log: knows which connection is which of the server's descriptors, and
// so who its clients are; and when bytes of theirs move.
class ClientFinder final : public model::Observer {
 public:
  ClientFinder(sim::EventLog& log, LimitsJudge& limits) : log_(log), limits_(limits) {}

  void OnEvent(const model::Event& event) override {
    log_.OnEvent(event);
    if (event.kind == model::EventKind::kAccepted) by_file_[event.a] = event.entity;
    const bool moved =
        event.kind == model::EventKind::kSent || event.kind == model::EventKind::kReceived;
    if (moved) limits_.OnActivity(event.entity);
  }
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    log_.OnViolation(invariant, detail);
  }
  void OnSqe(const io_uring_sqe& sqe) override { log_.OnSqe(sqe); }
  void OnBytes(std::span<const std::byte> bytes) override { log_.OnBytes(bytes); }

  void OnClient(const server::Client& client, const File& file) {
    by_client_[client.id] = by_file_.at(file.number);
    limits_.OnServed(by_client_[client.id]);
  }
  uint64_t ConnectionOf(const server::Client& client) const { return by_client_.at(client.id); }

 private:
  sim::EventLog& log_;
  LimitsJudge& limits_;
  std::map<int64_t, uint64_t> by_file_;  // Of each, the last.
  std::map<uint64_t, uint64_t> by_client_;
};

// Tells the judges what a shard executes, and what it holds for its clients.
class ShardWatcher final : public server::CommandObserver {
 public:
  ShardWatcher(ClientFinder& finder, ShardsJudge& judge, LimitsJudge& limits)
      : finder_(finder), judge_(judge), limits_(limits) {}

  void Watch(const server::Shard& shard) { shard_ = &shard; }
  void LookAtClients() {
    if (!limits_.limits_clients()) return;
    for (const auto& [id, client] : clients_) {
      if (!shard_->ConnectionOf(*client).open()) continue;
      limits_.OnHeld(finder_.ConnectionOf(*client), *client, shard_->MemoryOf(*client));
    }
  }

  void OnClient(const server::Client& client) override {
    finder_.OnClient(client, shard_->ConnectionOf(client).file());
    clients_[client.id] = &client;
  }
  void OnCutOff(const server::Client& client, server::CutReason reason) override {
    const uint64_t connection = finder_.ConnectionOf(client);
    limits_.OnCutOff(connection, client, reason, shard_->MemoryOf(client));
    judge_.OnCutOff(connection);
  }
  void OnClientGone(const server::Client& client) override {
    clients_.erase(client.id);
    limits_.OnGone(finder_.ConnectionOf(client));
  }
  void OnCommand(const server::Client& client, const server::Command& command,
                 int64_t now_ms) override {
    std::vector<std::string> arguments;
    for (size_t index = 0; index < command.size(); ++index) {
      arguments.emplace_back(command[index]);
    }
    judge_.OnExecuted(finder_.ConnectionOf(client), client.in_multi(), arguments, now_ms);
  }

 private:
  ClientFinder& finder_;
  ShardsJudge& judge_;
  LimitsJudge& limits_;
  const server::Shard* shard_ = nullptr;
  std::map<uint64_t, const server::Client*> clients_;  // Of this shard, by their ids.
};

// One run. The order of members is that of construction: rings die before their kernel.
class ShardsRun {
 public:
  static std::expected<std::unique_ptr<ShardsRun>, std::string> Make(const sim::Plan& plan,
                                                                     Workload workload,
                                                                     sim::RecordingChoice& choice,
                                                                     sim::EventLog& log) {
    const ShardsSetup setup = ReadSetup(plan);
    auto run = std::unique_ptr<ShardsRun>(new ShardsRun(setup, choice, log));
    auto listeners = run->kernel_.ListenShared(setup.server.shard.listen, setup.mailboxes.shards);
    if (!listeners) return std::unexpected("the listeners: " + listeners.error().ToString());
    run->listeners_ = *std::move(listeners);
    for (uint32_t index = 0; index < setup.mailboxes.shards; ++index) {
      if (auto problem = run->AddShard(setup.server, index)) {
        return std::unexpected(*std::move(problem));
      }
    }
    run->Populate(setup, std::move(workload));
    return run;
  }

  void Go() {
    if (!RunScripts() || !Settle() || !Leave() || !Stop()) return;
    judge_.CheckKills();
    judge_.CheckHistory(kSearchStepsMax);
  }

  void Count(RunResult& result) const {
    result.steps = world_.steps();
    result.counters["shards"] = shards_.size();
    result.counters["clients"] = clients_.size();
    result.counters["replies"] = judge_.replies();
    result.counters["messages"] = judge_.messages();
    result.counters["operations"] = judge_.operations();
    result.counters["transactions"] = judge_.transactions();
    result.counters["transactions.aborted"] = judge_.aborted();
    for (const auto& place : shards_) {
      const server::Router* const router = place->shard->router();
      if (router != nullptr) result.counters["mail"] += router->mail().counters().received;
    }
    result.counters["search.steps"] = judge_.search_steps();
    result.counters["search.undecided"] = judge_.undecided();
  }

 private:
  // What a shard has of its own.
  struct Place {
    Place(model::ModelKernel& kernel, ClientFinder& finder, ShardsJudge& judge, LimitsJudge& limits)
        : interrupted_kernel(kernel), watcher(finder, judge, limits) {}

    sim::InterruptedKernel interrupted_kernel;  // As this shard sees it.
    ShardWatcher watcher;
    std::unique_ptr<Ring> ring;
    std::unique_ptr<server::Shard> shard;
    std::unique_ptr<ShardUnderTest> turnable;
    uint64_t received = 0;  // Messages, by the end of its last turn.
  };

  ShardsRun(const ShardsSetup& setup, sim::RecordingChoice& choice, sim::EventLog& log)
      : choice_(choice),
        log_(log),
        judge_(log, setup.mailboxes.shards),
        limits_(log, setup.server.shard.config),
        finder_(log, limits_),
        kernel_(setup.server.kernel, choice, &finder_),
        world_(kernel_, choice, log, {.interrupts = setup.server.prompt, .spin_turns_max = 2000}),
        start_(kernel_.MonotonicNow()),
        bells_(Bells::Create(kernel_, setup.mailboxes.shards).value()),
        descriptors_before_(kernel_.open_descriptors()),
        group_(setup.mailboxes, bells_.get()),
        mail_budget_(setup.mailboxes.budget_per_source) {}

  std::optional<std::string> AddShard(const ServerSetup& setup, uint32_t number) {
    auto place = std::make_unique<Place>(kernel_, finder_, judge_, limits_);
    place->interrupted_kernel.OnInterrupt([this, number] { world_.InterruptMaybe(number); });
    auto ring = kernel_.MakeRing({});
    if (!ring) return "the ring: " + ring.error();
    place->ring = *std::move(ring);
    server::ShardPlace its_place;
    its_place.group = &group_;
    its_place.index = number;
    its_place.listener = listeners_[number];
    auto shard = server::Shard::Create(*place->ring, place->interrupted_kernel, setup.shard,
                                       &place->watcher, its_place);
    if (!shard) return "the server: " + shard.error();
    place->shard = *std::move(shard);
    place->watcher.Watch(*place->shard);
    place->turnable = std::make_unique<ShardUnderTest>(
        *place->shard, [this, &turned = *place] { AfterTurn(turned); });
    world_.AddShard(number, *place->turnable, *kernel_.rings().back());
    shards_.push_back(std::move(place));
    return std::nullopt;
  }

  void Populate(const ShardsSetup& setup, Workload workload) {
    descriptors_at_rest_ = kernel_.open_descriptors();
    if (EndsHastily(setup.server)) judge_.AllowHastyEnds();
    stopper_ = std::make_unique<Stopper>(
        [this] {
          judge_.OnServerStops();
          group_.RequestStop();
          for (uint32_t shard = 0; shard < shards_.size(); ++shard) bells_->Ring(shard);
        },
        world_);
    if (setup.server.stop_after) stopper_->StopAt(start_ + *setup.server.stop_after);
    world_.AddActor(kStopperNumber, *stopper_);
    for (const Pause& pause : setup.pauses) {
      const uint64_t number = kFirstPauserNumber + pausers_.size();
      pausers_.push_back(
          std::make_unique<Pauser>(pause.shard, pause.at_step, pause.duration, world_, log_));
      world_.AddActor(number, *pausers_.back());
    }
    for (Script& script : workload) {
      const uint64_t number = kFirstClientNumber + script.client;
      clients_.push_back(
          std::make_unique<RespClient>(std::move(script), kServerPort, start_, kernel_, judge_));
      world_.AddActor(number, *clients_.back());
    }
  }

  bool AllClients(bool (RespClient::*holds)() const) const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [holds](const auto& client) { return (client.get()->*holds)(); });
  }
  bool AllShards(const std::function<bool(const server::Shard&)>& holds) const {
    return std::all_of(shards_.begin(), shards_.end(),
                       [&holds](const auto& place) { return holds(*place->shard); });
  }

  std::string DescribeState() {
    const auto open = std::count_if(clients_.begin(), clients_.end(),
                                    [](const auto& client) { return !client->closed(); });
    std::string text = std::to_string(open) + " clients open; " +
                       std::to_string(kernel_.open_descriptors()) + " descriptors (" +
                       std::to_string(descriptors_at_rest_) + " at rest), " +
                       std::to_string(kernel_.requests_in_flight()) + " requests in flight";
    for (size_t index = 0; index < shards_.size(); ++index) {
      text += "; shard " + std::to_string(index) + " has " + Remains(*shards_[index]->shard);
    }
    return text;
  }
  // What is there of a shard's, for people.
  static std::string Remains(const server::Shard& shard) {
    std::string text = std::to_string(shard.reactor().connections()) + " connections, " +
                       std::to_string(shard.subscriptions().size()) + " subscriptions";
    if (!shard.watches().empty()) text += ", watched keys";
    if (const server::Router* const router = shard.router()) {
      text += ", " + std::to_string(router->away()) + " errands away, " +
              std::to_string(router->lent()) + " values lent";
      if (!router->transactor().idle()) text += ", transactions";
      if (!router->transactor().nothing_locked()) text += ", locked keys";
    }
    return text;
  }
  static bool AtRest(const server::Shard& shard) {
    const server::Router* const router = shard.router();
    return shard.reactor().connections() == 0 && shard.subscriptions().size() == 0 &&
           shard.watches().empty() && (router == nullptr || AtRest(*router));
  }
  static bool AtRest(const server::Router& router) {
    return router.away() == 0 && router.lent() == 0 && router.transactor().idle() &&
           router.transactor().nothing_locked();
  }

  void AfterTurn(Place& place) {
    CheckDrain(place);
    place.watcher.LookAtClients();
  }
  // However much mail there is, a turn is bounded.
  void CheckDrain(Place& place) {
    const server::Router* const router = place.shard->router();
    if (router == nullptr) return;
    const uint64_t received = router->mail().counters().received;
    const uint64_t in_turn = received - std::exchange(place.received, received);
    const uint64_t in_turn_max = mail_budget_ * shards_.size();
    if (in_turn <= in_turn_max) return;
    log_.OnViolation("drain", "a shard took " + std::to_string(in_turn) +
                                  " messages in a turn, more than " + std::to_string(in_turn_max));
  }

  // Runs until `done`. False after a violation; that it does not come about is one.
  bool Await(const std::function<bool()>& done, std::string_view invariant) {
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = world_.now() + kSettleMax, .steps_max = kStepsMax});
    if (reason == sim::StopReason::kPredicate) return true;
    if (!stopper_->stopped()) judge_.CheckNothingOutstanding();
    log_.OnViolation(invariant,
                     DescribeState() + "; the world stopped at: " + std::string(NameOf(reason)));
    return false;
  }

  bool RunScripts() {
    const auto done = [this] { return AllClients(&RespClient::script_done); };
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = start_ + kScriptsMax, .steps_max = kStepsMax});
    return reason != sim::StopReason::kViolation;
  }

  // Faults are off: everything that was sent completely is answered, and everybody leaves.
  bool Settle() {
    choice_.TurnFaultsOff();
    const auto gone = [this] {
      return AllShards(
          [](const server::Shard& shard) { return shard.reactor().connections() == 0; });
    };
    if (stopper_->stopped() && !Await(gone, "stop")) return false;
    for (const auto& client : clients_) client->Hurry();
    return Await([this] { return AllClients(&RespClient::closed); }, "liveness");
  }

  // Nobody is there: the server is as it was before.
  bool Leave() {
    const auto at_rest = [this] {
      if (stopper_->stopped()) return true;
      return AllShards([](const server::Shard& shard) { return AtRest(shard); }) &&
             kernel_.open_descriptors() == descriptors_at_rest_ &&
             kernel_.requests_in_flight() <= kRequestsAtRest * shards_.size();
    };
    return Await(at_rest, "left-over");
  }

  // Nothing is left.
  bool Stop() {
    stopper_->StopAt(world_.now());
    const auto finished = [this] {
      return AllShards([](const server::Shard& shard) { return shard.finished(); });
    };
    if (!Await(finished, "stop")) return false;
    const bool clean = AllShards([](const server::Shard& shard) { return AtRest(shard); }) &&
                       kernel_.requests_in_flight() == 0 &&
                       kernel_.open_descriptors() == descriptors_before_;
    if (!clean) log_.OnViolation("left-over", "after the server has ended: " + DescribeState());
    return clean;
  }

  sim::RecordingChoice& choice_;
  sim::EventLog& log_;
  ShardsJudge judge_;
  LimitsJudge limits_;
  ClientFinder finder_;
  model::ModelKernel kernel_;
  sim::World world_;
  Nanoseconds start_;
  std::unique_ptr<Bells> bells_;
  size_t descriptors_before_;
  size_t descriptors_at_rest_ = 0;
  server::ShardGroup group_;
  const uint64_t mail_budget_;  // Of each source, in a turn.
  std::vector<int> listeners_;  // One of each shard, on one port: the kernel chooses.
  std::vector<std::unique_ptr<Place>> shards_;
  std::unique_ptr<Stopper> stopper_;
  std::vector<std::unique_ptr<Pauser>> pausers_;
  std::vector<std::unique_ptr<RespClient>> clients_;
};

}  // namespace

sim::Plan ShardsScenario::Draw(uint64_t seed) const {
  sim::Plan plan = DrawPlan(name(), seed, DrawConfiguration);
  Prng shards_prng(Combine(seed, 5));
  DrawShards(shards_prng, plan.configuration);
  // The strategy's sequence as well: recorded seeds depend on it.
  Prng pauses_prng(Combine(seed, 4));
  DrawPauses(pauses_prng, plan.configuration);
  Prng workload_prng(Combine(seed, kWorkloadSequence));
  const ShardsWorkloadOptions options = DrawShardsWorkloadOptions(workload_prng);
  Workload workload = GenerateShardsWorkload(workload_prng, options);
  Prng traits_prng(Combine(seed, 6));
  AddShardsTraits(traits_prng, options, plan.configuration, workload);
  WriteWorkload(workload, plan.workload);
  return plan;
}

std::expected<RunResult, std::string> ShardsScenario::Run(const sim::Plan& plan,
                                                          sim::RecordingChoice& choice,
                                                          sim::EventLog& log) const {
  if (auto problem = ShardsProblemOf(plan.configuration)) {
    return std::unexpected(*std::move(problem));
  }
  return CarryOut<ShardsRun>(plan, ReadWorkload(plan.workload), choice, log);
}

}  // namespace orrery::scenarios
