#include "tests/scenarios/loop_scenario.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/loop/port.h"
#include "runtime/loop/submission_loop.h"
#include "sim/world.h"
#include "tests/scenarios/loop_callers.h"
#include "tests/scenarios/loop_workload.h"

namespace orrery::scenarios {
namespace {

// Numbers of participants, for choices.
constexpr uint64_t kLoopNumber = 0;
constexpr uint64_t kStopperNumber = 1;
constexpr uint64_t kFirstCallerNumber = 16;
constexpr uint64_t kFirstPeerNumber = 2048;
// Scripts take a few seconds of virtual time; more than this is left to the second part.
constexpr Nanoseconds kScriptsMax = 20 * kSecond;
constexpr Nanoseconds kSettleMax = 60 * kSecond;
constexpr uint64_t kStepsMax = 2'000'000;

// Swarm style: each knob is often at its default and sometimes at an end.
sim::Configuration DrawConfiguration(Prng& prng) {
  sim::Configuration configuration;
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  set("prompt", prng.Below(2));
  const uint64_t linked = prng.Chance(1, 3) ? 1 : 0;
  set("linked_timeouts", linked);
  // In the smallest ring, whose SQ is full when all of its requests come at once.
  const uint64_t entries_bits = prng.Chance(1, 3) ? 2 : prng.Between(2, 5);
  set("entries", uint64_t{1} << entries_bits);
  set("waiters_max", prng.Chance(1, 2) ? prng.Between(1, 4) : uint64_t{1} << entries_bits);
  set("queue_capacity", uint64_t{1} << prng.Between(1, 6));
  // As small as the SQ, which linked timeouts double: completions wait in the kernel's backlog.
  const uint64_t cq_more_bits = prng.Chance(1, 2) ? 0 : prng.Below(3);
  set("cq_entries", uint64_t{1} << (entries_bits + linked + cq_more_bits));
  const uint64_t socket_bytes = uint64_t{1} << prng.Between(4, 16);
  set("socket_buffer_bytes", socket_bytes + prng.Below(socket_bytes));
  set("descriptors_max", prng.Chance(1, 4) ? prng.Between(6, 10) : 1024);
  if (prng.Chance(1, 2)) {
    if (prng.Chance(1, 2)) {
      set("stop_after_ns", prng.Below(static_cast<uint64_t>(50 * kMillisecond)));
    } else {
      set("stop_after_steps", uint64_t{1} << prng.Between(3, 9));
    }
    if (prng.Chance(2, 3)) set("finish_limit_ns", prng.Below(uint64_t{1} << prng.Below(28)));
    if (prng.Chance(1, 2)) set("cancel_limit_ns", prng.Below(uint64_t{1} << prng.Below(28)));
  }
  return configuration;
}

// An SQ that is often full, for operations that need two entries of it: the smallest ring, whose
// requests all come at once and have deadlines.
void TightenLinked(Prng& prng, sim::Configuration& configuration) {
  configuration["linked_timeouts"] = 1;
  configuration["entries"] = configuration["waiters_max"] = 4;
  configuration["cq_entries"] = 16;
  configuration["queue_capacity"] = 16;
  configuration["strategy"] = static_cast<int64_t>(prng.Between(1, 3));
  sim::SiteRates rates = RatesIn(configuration);
  const bool again = prng.Chance(1, 2);
  rates.Set(again ? model::Site::kEnterAgain : model::Site::kEnterConsumesFewer,
            sim::SiteRates::kAlways / 2);
  WriteRates(rates, configuration);
}

std::optional<std::string> ProblemOf(const sim::Configuration& configuration) {
  for (const char* name : {"entries", "waiters_max", "queue_capacity", "socket_buffer_bytes"}) {
    const int64_t value = sim::ValueOr(configuration, name, 1);
    if (value < 1 || value > 1'048'576) {
      return "configuration: \"" + std::string(name) + "\" must be from 1 to 1048576";
    }
  }
  if (sim::ValueOr(configuration, "waiters_max", 1) > sim::ValueOr(configuration, "entries", 1)) {
    return "configuration: \"waiters_max\" must not be above \"entries\"";
  }
  return std::nullopt;
}

model::ModelOptions KernelOptions(const sim::Plan& plan) {
  const sim::Configuration& configuration = plan.configuration;
  model::ModelOptions options;
  const bool prompt = sim::ValueOr(configuration, "prompt", 0) != 0;
  options.task_work = prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred;
  options.entropy_seed = plan.seed;
  options.cq_entries = static_cast<unsigned>(sim::ValueOr(configuration, "cq_entries", 0));
  options.socket_buffer_bytes =
      static_cast<size_t>(sim::ValueOr(configuration, "socket_buffer_bytes", 65536));
  options.descriptors_max =
      static_cast<unsigned>(sim::ValueOr(configuration, "descriptors_max", 1024));
  return options;
}

class LoopUnderTest final : public sim::Turnable {
 public:
  explicit LoopUnderTest(SubmissionLoop& loop) : loop_(loop) {}
  EnterRequest Turn() override { return loop_.Turn(); }
  void OnEntered(const EnterResult& result) override { loop_.OnEntered(result); }
  bool finished() const override { return loop_.finished(); }

 private:
  SubmissionLoop& loop_;
};

// Tells the loop to end, at its time.
class Stopper final : public sim::Actor {
 public:
  Stopper(Port& port, const ShutdownLimits& limits, LoopCircumstances& circumstances,
          const sim::World& world)
      : submitter_(port), limits_(limits), circumstances_(circumstances), world_(world) {}

  void StopAt(Nanoseconds time) { stop_at_ = time; }
  void StopAtStep(uint64_t step) { stop_at_step_ = step; }
  // Is no submitter any more, and never was one to stop.
  void Leave() {
    done_ = true;
    submitter_ = Submitter();
  }

  bool Ready(Nanoseconds now) const override {
    return !done_ && (now >= stop_at_ || world_.steps() >= stop_at_step_);
  }
  bool Step(Nanoseconds) override {
    circumstances_.shutdown = true;
    circumstances_.may_be_lost = limits_.cancel != kNever;
    submitter_.Shutdown(limits_);
    Leave();
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return done_ || stop_at_ <= now ? kNever : stop_at_;
  }

 private:
  Submitter submitter_;
  const ShutdownLimits limits_;
  LoopCircumstances& circumstances_;
  const sim::World& world_;
  Nanoseconds stop_at_ = kNever;
  uint64_t stop_at_step_ = UINT64_MAX;
  bool done_ = false;
};

// One run. The order of members is that of construction.
class LoopRun {
 public:
  static std::expected<std::unique_ptr<LoopRun>, std::string> Make(const sim::Plan& plan,
                                                                   LoopWorkload workload,
                                                                   sim::RecordingChoice& choice,
                                                                   sim::EventLog& log) {
    const sim::Configuration& configuration = plan.configuration;
    auto run = std::unique_ptr<LoopRun>(new LoopRun(plan, choice, log));
    const auto queue = static_cast<size_t>(sim::ValueOr(configuration, "queue_capacity", 64));
    const auto port = Port::Make(run->kernel_, queue);
    if (!port) return std::unexpected("the port: " + port.error().ToString());
    run->port_ = *port;
    LoopOptions options;
    options.entries = static_cast<unsigned>(sim::ValueOr(configuration, "entries", 16));
    options.waiters_max = static_cast<uint32_t>(sim::ValueOr(configuration, "waiters_max", 16));
    options.linked_timeouts = sim::ValueOr(configuration, "linked_timeouts", 0) != 0;
    options.spin_turns = static_cast<uint32_t>(sim::ValueOr(configuration, "spin_turns", 0));
    options.log = [run = run.get()](std::string_view line) {
      run->log_.Note("loop-log", kLoopNumber, 0, 0, line);
    };
    auto loop = SubmissionLoop::Create(*run->port_, options);
    if (!loop) return std::unexpected("the loop: " + loop.error());
    run->loop_ = *std::move(loop);
    run->Populate(configuration, std::move(workload));
    return run;
  }

  void Go() {
    if (RunScripts() && Settle() && End()) CheckNothingLeft();
  }

  // The last of it: not even a descriptor is left.
  void TakeDown() {
    for (const auto& caller : callers_) ORRERY_CHECK(caller->left());
    loop_.reset();
    circumstances_.listener = SharedFile();
    port_ = PortShare();
    if (kernel_.open_descriptors() == descriptors_before_ && kernel_.open_files() == 0) return;
    log_.OnViolation("left-over", std::to_string(kernel_.open_descriptors()) + " descriptors (" +
                                      std::to_string(descriptors_before_) + " before), " +
                                      std::to_string(kernel_.open_files()) + " files");
  }

  bool lost() const { return port_->counters().leaked.load() != 0; }

  void Count(RunResult& result) const {
    result.steps = world_.steps();
    result.counters["results"] = circumstances_.results;
    result.counters["rung"] = port_->counters().wakes_rung.load();
    result.counters["saved"] = port_->wakes_saved();
    result.counters["leaked"] = port_->counters().leaked.load();
    result.counters["timed_out"] = port_->counters().timed_out.load();
    result.counters["cancels_sent"] = loop_->counters().cancels_sent;
    result.counters["refused"] = loop_->counters().refused;
  }

 private:
  LoopRun(const sim::Plan& plan, sim::RecordingChoice& choice, sim::EventLog& log)
      : choice_(choice),
        log_(log),
        kernel_(KernelOptions(plan), choice, &log),
        world_(kernel_, choice, log,
               {.interrupts = sim::ValueOr(plan.configuration, "prompt", 0) != 0,
                .spin_turns_max = 2000}),
        start_(kernel_.MonotonicNow()),
        descriptors_before_(kernel_.open_descriptors()),
        circumstances_{.kernel = kernel_, .log = log, .listener = {}} {}

  void Populate(const sim::Configuration& configuration, LoopWorkload workload) {
    const int listener = kernel_.Listen({}).value();
    const uint16_t port_number = kernel_.LocalPort(listener).value();
    circumstances_.listener = SharedFile(kernel_, listener);
    const auto limit = [&configuration](const char* name) {
      const int64_t value = sim::ValueOr(configuration, name, -1);
      return value < 0 ? kNever : value;
    };
    stopper_ = std::make_unique<Stopper>(
        *port_,
        ShutdownLimits{.finish = limit("finish_limit_ns"), .cancel = limit("cancel_limit_ns")},
        circumstances_, world_);
    const Nanoseconds stop_after = limit("stop_after_ns");
    if (stop_after != kNever) stopper_->StopAt(start_ + stop_after);
    const int64_t stop_steps = sim::ValueOr(configuration, "stop_after_steps", -1);
    if (stop_steps >= 0) stopper_->StopAtStep(static_cast<uint64_t>(stop_steps));
    turnable_ = std::make_unique<LoopUnderTest>(*loop_);
    world_.AddShard(kLoopNumber, *turnable_, *kernel_.rings().front());
    world_.AddActor(kStopperNumber, *stopper_);
    for (CallerScript& script : workload.callers) {
      const uint64_t number = kFirstCallerNumber + script.caller;
      callers_.push_back(
          std::make_unique<LoopCaller>(std::move(script), *port_, circumstances_, streams_));
      world_.AddActor(number, *callers_.back());
    }
    for (PeerScript& script : workload.peers) {
      const uint64_t number = kFirstPeerNumber + script.peer;
      peers_.push_back(std::make_unique<LoopPeer>(std::move(script), port_number, start_,
                                                  circumstances_, streams_));
      world_.AddActor(number, *peers_.back());
    }
  }

  bool AllCallers(bool (LoopCaller::*holds)() const) const {
    return std::all_of(callers_.begin(), callers_.end(),
                       [holds](const auto& caller) { return (caller.get()->*holds)(); });
  }

  std::string DescribeState() const {
    std::string text = std::to_string(port_->queued()) + " queued, " +
                       std::to_string(port_->counters().pending.load()) + " pending, " +
                       std::to_string(kernel_.requests_in_flight()) + " in the kernel, " +
                       std::to_string(kernel_.open_descriptors()) + " descriptors (" +
                       std::to_string(descriptors_before_) + " before)";
    for (const auto& caller : callers_) {
      if (!caller->left()) text += "; " + caller->Describe();
    }
    return text;
  }

  // Requests that can only end when others come do not end here.
  bool RunScripts() {
    const sim::StopReason reason =
        world_.RunUntil([this] { return AllCallers(&LoopCaller::script_done); },
                        {.time_max = start_ + kScriptsMax, .steps_max = kStepsMax});
    if (reason == sim::StopReason::kStepLimit) log_.OnViolation("endless", DescribeState());
    if (reason == sim::StopReason::kQuiescent && !loop_->finished()) CheckAsleep();
    return !log_.violation().has_value();
  }

  // Nothing would ever happen any more: then there is nothing that the loop could do.
  void CheckAsleep() {
    const bool places = port_->counters().pending.load() < loop_->waiters_max();
    if (places && port_->queued() > 0) {
      log_.OnViolation("lost-wake", "the loop sleeps over its queue: " + DescribeState());
    }
    for (const auto& caller : callers_) {
      if (caller->MissesDeadline(world_.now())) log_.OnViolation("deadline", caller->Describe());
    }
  }

  bool Await(const std::function<bool()>& done, std::string_view invariant) {
    const sim::StopReason reason =
        world_.RunUntil(done, {.time_max = world_.now() + kSettleMax, .steps_max = kStepsMax});
    if (reason == sim::StopReason::kPredicate) return true;
    log_.OnViolation(invariant,
                     DescribeState() + "; the world stopped at: " + std::string(NameOf(reason)));
    return false;
  }

  // Faults are off: everybody cancels what is left, and every request has its result.
  bool Settle() {
    choice_.TurnFaultsOff();
    for (const auto& caller : callers_) caller->Hurry();
    for (const auto& peer : peers_) peer->Hurry();
    return Await([this] { return AllCallers(&LoopCaller::left); }, "liveness");
  }

  // Nobody submits any more: the loop ends by itself.
  bool End() {
    stopper_->Leave();
    if (!Await([this] { return loop_->finished(); }, "stop")) return false;
    for (const auto& peer : peers_) peer->Leave();
    return !log_.violation().has_value();
  }

  void CheckNothingLeft() {
    for (const auto& peer : peers_) peer->CheckStream();
    if (loop_->counters().stale_completions != 0) {
      log_.OnViolation("slot-died-early", DescribeState());
    }
    if (port_->queued() != 0 || port_->counters().pending.load() != 0) {
      log_.OnViolation("left-over", "in the loop: " + DescribeState());
    }
    // What was lost keeps its files, and the kernel its requests.
    if (port_->counters().leaked.load() != 0) return;
    if (!circumstances_.may_be_lost && kernel_.requests_in_flight() != 0) {
      log_.OnViolation("left-over", "in the kernel: " + DescribeState());
    }
  }

  sim::RecordingChoice& choice_;
  sim::EventLog& log_;
  model::ModelKernel kernel_;
  sim::World world_;
  Nanoseconds start_;
  size_t descriptors_before_;
  LoopCircumstances circumstances_;
  std::map<uint64_t, StreamState> streams_;
  PortShare port_;
  std::unique_ptr<SubmissionLoop> loop_;
  std::unique_ptr<LoopUnderTest> turnable_;
  std::unique_ptr<Stopper> stopper_;
  std::vector<std::unique_ptr<LoopCaller>> callers_;
  std::vector<std::unique_ptr<LoopPeer>> peers_;
};

}  // namespace

sim::Plan LoopScenario::Draw(uint64_t seed) const {
  sim::Plan plan = DrawPlan(name(), seed, DrawConfiguration);
  Prng rare_prng(Combine(seed, 5));
  const bool tight = rare_prng.Chance(1, 8);
  if (tight) TightenLinked(rare_prng, plan.configuration);
  Prng workload_prng(Combine(seed, kWorkloadSequence));
  LoopWorkload workload = GenerateLoopWorkload(workload_prng, tight);
  Prng multishot_prng(Combine(seed, 6));
  if (multishot_prng.Chance(1, 4)) {
    AddMultishots(multishot_prng, tight, workload);
    const bool spins = multishot_prng.Chance(1, 2);
    if (spins) {
      plan.configuration["spin_turns"] = static_cast<int64_t>(multishot_prng.Between(1, 4));
    }
  }
  WriteLoopWorkload(workload, plan.workload);
  return plan;
}

std::expected<RunResult, std::string> LoopScenario::Run(const sim::Plan& plan,
                                                        sim::RecordingChoice& choice,
                                                        sim::EventLog& log) const {
  if (auto problem = ProblemOf(plan.configuration)) return std::unexpected(*std::move(problem));
  return CarryOut<LoopRun>(plan, ReadLoopWorkload(plan.workload), choice, log);
}

}  // namespace orrery::scenarios
