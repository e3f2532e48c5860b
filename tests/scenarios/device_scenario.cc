#include "tests/scenarios/device_scenario.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "runtime/device/device_loop.h"
#include "runtime/device/device_port.h"
#include "runtime/ring/submission_queue.h"
#include "sim/world.h"
#include "tests/scenarios/device_actors.h"
#include "tests/scenarios/device_oracle.h"
#include "tests/scenarios/device_workload.h"

namespace orrery::scenarios {
namespace {

// Numbers of participants, for choices.
constexpr uint64_t kLoopNumber = 0;
constexpr uint64_t kBreakerNumber = 1;
constexpr uint64_t kStopperNumber = 2;
constexpr uint64_t kHostNumber = 3;
constexpr uint64_t kDeviceNumber = 4;

constexpr size_t kFiles = 3;
constexpr Nanoseconds kScriptsMax = 2 * kSecond;
constexpr Nanoseconds kSettleMax = 10 * kSecond;
constexpr uint64_t kStepsMax = 500'000;
// What the ring fails with: a completion was lost (io_uring_enter(2), EBADR).
constexpr int kRingError = EBADR;

uint64_t FileBytesIn(const sim::Configuration& configuration) {
  return static_cast<uint64_t>(sim::ValueOr(configuration, "file_bytes", 5000));
}
uint64_t PlaceBytesIn(const sim::Configuration& configuration) {
  return static_cast<uint64_t>(sim::ValueOr(configuration, "place_bytes", 300));
}

// Swarm style: each knob is often at its default and sometimes at an end.
sim::Configuration DrawConfiguration(Prng& prng) {
  sim::Configuration configuration;
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  set("prompt", prng.Below(2));
  set("slots", uint64_t{1} << prng.Below(6));
  set("requests_max", prng.Chance(1, 3) ? prng.Between(1, 2) : prng.Between(1, 32));
  set("piece_bytes_max", prng.Chance(1, 2) ? prng.Between(1, 64) : 1 << 20);
  set("fixed_buffers", prng.Chance(1, 5) ? 0 : 1);
  // An SQ that is full long before all requests are in it.
  if (prng.Chance(1, 2)) set("sq_entries", 4);
  set("file_bytes", prng.Between(1, 6000));
  set("place_bytes", prng.Between(1, 300));
  set("recycling", prng.Chance(1, 2) ? 0 : prng.Below(static_cast<uint64_t>(Recycling::kCount)));
  set("finish_limit_ns", prng.Below(uint64_t{1} << prng.Below(24)));
  if (prng.Chance(1, 3)) {
    if (prng.Chance(1, 2)) {
      set("stop_after_ns", prng.Below(static_cast<uint64_t>(5 * kMillisecond)));
    } else {
      set("stop_after_steps", uint64_t{1} << prng.Between(2, 9));
    }
  } else if (prng.Chance(1, 4)) {
    set("break_after_turns", uint64_t{1} << prng.Between(0, 8));
    set("break_turns", uint64_t{1} << prng.Below(10));
    set("loss_limit_ns", prng.Below(uint64_t{1} << prng.Below(24)));
  }
  return configuration;
}

// A disk on which most things take a while, so that much is in flight at once.
void SlowTheDisk(sim::Configuration& configuration) {
  sim::SiteRates rates = RatesIn(configuration);
  rates.Set(model::Site::kReadCold, sim::SiteRates::kAlways / 2);
  rates.Set(model::Site::kWorkerDelay, sim::SiteRates::kAlways / 2);
  WriteRates(rates, configuration);
}

// Requests come all at once, to an SQ that has no room for them.
void Crowd(sim::Configuration& configuration) {
  configuration["slots"] = 32;
  configuration["requests_max"] = 32;
  configuration["sq_entries"] = 4;
}

std::optional<std::string> ProblemOf(const sim::Configuration& configuration) {
  for (const char* name :
       {"slots", "requests_max", "piece_bytes_max", "file_bytes", "place_bytes"}) {
    const int64_t value = sim::ValueOr(configuration, name, 1);
    if (value < 1 || value > 1'048'576) {
      return "configuration: \"" + std::string(name) + "\" must be from 1 to 1048576";
    }
  }
  const int64_t recycling = sim::ValueOr(configuration, "recycling", 0);
  if (recycling < 0 || recycling >= static_cast<int64_t>(Recycling::kCount)) {
    return "configuration: \"recycling\" must be 0, 1 or 2";
  }
  return std::nullopt;
}

model::ModelOptions KernelOptions(const sim::Plan& plan) {
  model::ModelOptions options;
  const bool prompt = sim::ValueOr(plan.configuration, "prompt", 0) != 0;
  options.task_work = prompt ? model::TaskWork::kPrompt : model::TaskWork::kDeferred;
  options.sq_entries = static_cast<unsigned>(sim::ValueOr(plan.configuration, "sq_entries", 0));
  options.entropy_seed = plan.seed;
  // An idle loop turns ten thousand times a second: no disk is slower than this.
  options.delays = {0, kMicrosecond, 30 * kMicrosecond, 200 * kMicrosecond, 5 * kMillisecond};
  return options;
}

// The loop as the world turns it, and what breaks its ring: from some turn on Enter fails, for so
// many turns.
class DrivenLoop final : public sim::Turnable, public sim::Actor {
 public:
  DrivenLoop(DeviceLoop& loop, const DevicePort& port, const DeviceActor& device,
             DeviceOracle& oracle, sim::World& world, sim::EventLog& log, uint32_t requests_max)
      : loop_(loop),
        port_(port),
        device_(device),
        oracle_(oracle),
        world_(world),
        log_(log),
        requests_max_(requests_max) {}

  void BreakAfter(uint64_t turns, uint64_t failures) {
    turns_left_ = turns;
    failures_left_ = failures;
  }
  // It works again.
  void Mend() { failures_left_ = std::min<uint64_t>(failures_left_, broken_ ? 1 : 0); }

  EnterRequest Turn() override {
    CheckLatency();
    last_turn_ = world_.now();
    return loop_.Turn();
  }
  void OnEntered(const EnterResult& result) override {
    if (turns_left_ > 0 && --turns_left_ == 0 && failures_left_ > 0) {
      broken_ = true;
      oracle_.ring_error = Errno(kRingError);
      return Fail();
    }
    loop_.OnEntered(result);
  }
  bool finished() const override { return loop_.finished() || broken_; }

  // While it is broken, the world's clock drives it.
  bool Ready(Nanoseconds now) const override {
    return broken_ && !loop_.finished() && now >= wake_at_;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return broken_ && !loop_.finished() && wake_at_ > now ? wake_at_ : kNever;
  }
  bool Step(Nanoseconds now) override {
    if (std::exchange(entered_, false)) {
      Fail();
      return true;
    }
    const EnterRequest request = loop_.Turn();
    entered_ = true;
    // A call that fails takes a moment, too.
    wake_at_ = std::max(now + kMicrosecond, request.min_complete == 0 ? now : request.deadline);
    return true;
  }

 private:
  void Fail() {
    --failures_left_;
    loop_.OnEntered(std::unexpected(Errno(kRingError)));
    if (failures_left_ == 0) broken_ = false;
  }

  // No request waits for longer than a sleep of the loop while there is room for it.
  void CheckLatency() {
    // A slot that was taken away from the loop is its own for longer than it seems.
    if (device_.has_scribbled()) return;
    if (oracle_.stopped || oracle_.ring_error.has_value()) return;
    const bool room = port_.counters().in_flight.value() < requests_max_;
    const auto published_at = device_.PublishedAt(loop_.next_slot());
    if (!room || !published_at.has_value()) return;
    if (device_.status(loop_.next_slot()) != ORRERY_DEVICE_PUBLISHED) return;
    const Nanoseconds waited = world_.now() - std::max(*published_at, last_turn_);
    if (waited <= DeviceLoop::kParkMax) return;
    log_.OnViolation("late-claim", "a request was published, and nobody looked for " +
                                       std::to_string(waited) + " ns");
  }

  DeviceLoop& loop_;
  const DevicePort& port_;
  const DeviceActor& device_;
  DeviceOracle& oracle_;
  sim::World& world_;
  sim::EventLog& log_;
  const uint32_t requests_max_;
  Nanoseconds last_turn_ = 0;
  uint64_t turns_left_ = 0;
  uint64_t failures_left_ = 0;
  bool broken_ = false;
  bool entered_ = false;
  Nanoseconds wake_at_ = 0;
};

// Tells the loop to stop, at its time, and then once more.
class DeviceStopper final : public sim::Actor {
 public:
  DeviceStopper(DevicePort& port, DeviceOracle& oracle, const sim::World& world)
      : port_(port), oracle_(oracle), world_(world) {}

  void StopAt(Nanoseconds time) { stop_at_ = time; }
  void StopAtStep(uint64_t step) { stop_at_step_ = step; }

  bool Ready(Nanoseconds now) const override {
    return asked_ < 2 && (now >= stop_at_ || world_.steps() >= stop_at_step_);
  }
  bool Step(Nanoseconds) override {
    ++asked_;
    oracle_.stopped = true;
    port_.RequestStop();
    return true;
  }
  Nanoseconds NextAt(Nanoseconds now) const override {
    return asked_ < 2 && stop_at_ > now ? stop_at_ : kNever;
  }

 private:
  DevicePort& port_;
  DeviceOracle& oracle_;
  const sim::World& world_;
  Nanoseconds stop_at_ = kNever;
  uint64_t stop_at_step_ = UINT64_MAX;
  int asked_ = 0;
};

// What a queue consists of, aligned as one has to be.
struct alignas(64) CacheLine {
  orrery_device_slot slots[2];
};

// One run. The order of members is that of construction.
class DeviceRun {
 public:
  static std::expected<std::unique_ptr<DeviceRun>, std::string> Make(const sim::Plan& plan,
                                                                     DeviceWorkload workload,
                                                                     sim::RecordingChoice& choice,
                                                                     sim::EventLog& log) {
    const auto slots = static_cast<size_t>(sim::ValueOr(plan.configuration, "slots", 8));
    auto run = std::unique_ptr<DeviceRun>(new DeviceRun(plan, slots, choice, log));
    const auto queue = MapSlotQueue(run->queue_bytes());
    if (!queue) return std::unexpected(queue.error());
    run->MakeFiles(*queue);
    auto port = DevicePort::Create(run->kernel_, run->queue_bytes(), run->oracle_->regions());
    if (!port) return std::unexpected(port.error());
    run->port_ = *std::move(port);
    if (auto problem = run->MakeLoop()) return std::unexpected(*std::move(problem));
    run->Populate(*queue, std::move(workload));
    run->gate_.open = true;
    return run;
  }

  void Go() {
    if (RunScripts() && Settle() && Probe() && Stop()) CheckEnd();
  }

  // The last of it: not even a descriptor is left.
  void TakeDown() {
    loop_.reset();
    port_.reset();
    for (size_t file = 0; file < kFiles; ++file) oracle_->CheckFile(file, Contents(file));
    oracle_.reset();
    if (kernel_.open_descriptors() == descriptors_before_ && kernel_.open_files() == 0) return;
    log_.OnViolation("left-over", std::to_string(kernel_.open_descriptors()) + " descriptors (" +
                                      std::to_string(descriptors_before_) + " before), " +
                                      std::to_string(kernel_.open_files()) + " files");
  }

  bool lost() const { return port_->counters().lost.value() != 0; }

  void Count(RunResult& result) const {
    const DeviceCounters& counters = port_->counters();
    result.steps = world_.steps();
    result.counters["claimed"] = counters.claimed.value();
    result.counters["completed"] = counters.completed.value();
    result.counters["refused_transitions"] = counters.refused.value();
    result.counters["lost"] = counters.lost.value();
    result.counters["failed_kernel"] = counters.failures(DeviceFailure::kKernel);
    result.counters["failed_stopped"] = counters.failures(DeviceFailure::kStopped);
    result.counters["refused_by_sq"] = loop_->operations().refused;
  }

 private:
  DeviceRun(const sim::Plan& plan, size_t slots, sim::RecordingChoice& choice, sim::EventLog& log)
      : configuration_(plan.configuration),
        choice_(choice),
        gate_(choice),
        log_(log),
        kernel_(KernelOptions(plan), gate_, &log),
        world_(kernel_, choice, log,
               {.interrupts = sim::ValueOr(plan.configuration, "prompt", 0) != 0,
                .spin_turns_max = 2000}),
        start_(kernel_.MonotonicNow()),
        descriptors_before_(kernel_.open_descriptors()),
        memory_((slots + 1) / 2),
        slots_(memory_.front().slots, slots) {}

  std::span<std::byte> queue_bytes() { return std::as_writable_bytes(slots_); }

  // One operation on a ring of its own.
  int Do(const std::function<void(io_uring_sqe*)>& prepare) {
    auto ring = kernel_.MakeRing({.sq_entries = 4, .cq_entries = 8}).value();
    SubmissionQueue submission(*ring);
    io_uring_sqe sqe{};
    prepare(&sqe);
    ORRERY_CHECK(submission.Push(sqe, {.operation = Operation::kTest, .slot = {}}));
    ORRERY_CHECK(ring->Enter({.to_submit = submission.Publish(), .min_complete = 1}).has_value());
    int result = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring->memory(), head, cqe) result = cqe->res;
    return result;
  }

  void MakeFiles(SlotQueue queue) {
    oracle_ = std::make_unique<DeviceOracle>(log_, queue, PlaceBytesIn(configuration_));
    const uint64_t bytes = FileBytesIn(configuration_);
    for (size_t file = 0; file < kFiles; ++file) {
      const std::string path = "/file" + std::to_string(file);
      const int fd = Do([&](io_uring_sqe* sqe) {
        io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      });
      ORRERY_CHECK(fd >= 0);
      std::vector<std::byte> content(bytes);
      for (uint64_t at = 0; at < bytes; ++at) content[at] = DeviceFileByte(file, at);
      const int written = Do([&](io_uring_sqe* sqe) {
        io_uring_prep_write(sqe, fd, content.data(), static_cast<unsigned>(bytes), 0);
      });
      ORRERY_CHECK_OP(written, ==, static_cast<int>(bytes));
      oracle_->AddFile(SharedFile(kernel_, fd), bytes);
    }
  }

  std::vector<std::byte> Contents(size_t file) {
    std::vector<std::byte> content(oracle_->file_bytes(file));
    const int fd = oracle_->file(file).descriptor();
    const int read = Do([&](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, fd, content.data(), static_cast<unsigned>(content.size()), 0);
    });
    ORRERY_CHECK_OP(read, ==, static_cast<int>(content.size()));
    return content;
  }

  std::optional<std::string> MakeLoop() {
    DeviceLoopOptions options;
    options.requests_max = static_cast<uint32_t>(sim::ValueOr(configuration_, "requests_max", 8));
    options.piece_bytes_max =
        static_cast<uint32_t>(sim::ValueOr(configuration_, "piece_bytes_max", 1 << 20));
    options.fixed_buffers = sim::ValueOr(configuration_, "fixed_buffers", 1) != 0;
    options.finish_limit = sim::ValueOr(configuration_, "finish_limit_ns", kSecond);
    options.loss_limit = sim::ValueOr(configuration_, "loss_limit_ns", kSecond);
    requests_max_ = std::min(options.requests_max, static_cast<uint32_t>(slots_.size()));
    auto loop = DeviceLoop::Create(*port_, options);
    if (!loop) return loop.error();
    loop_ = *std::move(loop);
    return std::nullopt;
  }

  void Populate(SlotQueue queue, DeviceWorkload workload) {
    const auto recycling = static_cast<Recycling>(sim::ValueOr(configuration_, "recycling", 0));
    device_ = std::make_unique<DeviceActor>(std::move(workload.device), recycling, queue, slots_,
                                            *oracle_, log_);
    host_ = std::make_unique<HostActor>(std::move(workload.host), *port_, *oracle_, log_);
    host_->Begin(start_);
    driven_ = std::make_unique<DrivenLoop>(*loop_, *port_, *device_, *oracle_, world_, log_,
                                           requests_max_);
    const int64_t break_after = sim::ValueOr(configuration_, "break_after_turns", 0);
    if (break_after > 0) {
      driven_->BreakAfter(static_cast<uint64_t>(break_after),
                          static_cast<uint64_t>(std::max<int64_t>(
                              sim::ValueOr(configuration_, "break_turns", 1), 1)));
    }
    stopper_ = std::make_unique<DeviceStopper>(*port_, *oracle_, world_);
    const int64_t stop_after = sim::ValueOr(configuration_, "stop_after_ns", -1);
    if (stop_after >= 0) stopper_->StopAt(start_ + stop_after);
    const int64_t stop_steps = sim::ValueOr(configuration_, "stop_after_steps", -1);
    if (stop_steps >= 0) stopper_->StopAtStep(static_cast<uint64_t>(stop_steps));
    world_.AddShard(kLoopNumber, *driven_, *kernel_.rings().back());
    world_.AddActor(kBreakerNumber, *driven_);
    world_.AddActor(kStopperNumber, *stopper_);
    world_.AddActor(kHostNumber, *host_);
    world_.AddActor(kDeviceNumber, *device_);
  }

  std::string DescribeState() const {
    std::string text = std::to_string(port_->counters().in_flight.value()) + " in flight, " +
                       std::to_string(kernel_.requests_in_flight()) + " in the kernel; next slot " +
                       std::to_string(loop_->next_slot()) + "; statuses";
    for (const orrery_device_slot& slot : slots_) text += " " + std::to_string(slot.status);
    return text;
  }

  bool RunScripts() {
    const sim::StopReason reason = world_.RunUntil(
        [this] { return loop_->finished() || (device_->script_done() && host_->done()); },
        {.time_max = start_ + kScriptsMax, .steps_max = kStepsMax});
    if (reason == sim::StopReason::kStepLimit) log_.OnViolation("endless", DescribeState());
    return !log_.violation().has_value();
  }

  bool Await(const std::function<bool()>& done, std::string_view invariant) {
    const sim::StopReason reason = world_.RunUntil(
        done, {.time_max = world_.now() + kSettleMax, .steps_max = world_.steps() + kStepsMax});
    if (reason == sim::StopReason::kPredicate) return true;
    if (reason == sim::StopReason::kViolation) return false;
    log_.OnViolation(invariant,
                     DescribeState() + "; the world stopped at: " + std::string(NameOf(reason)));
    return false;
  }

  // Faults are off: every request is answered, unless the loop has ended.
  bool Settle() {
    choice_.TurnFaultsOff();
    device_->Hurry();
    host_->Hurry();
    const auto answered = [this] { return device_->AllAnswered() && host_->done(); };
    if (!Await([&] { return loop_->finished() || answered(); }, "liveness")) return false;
    oracle_->faults = false;
    if (loop_->finished() && !oracle_->stopped && !oracle_->ring_error.has_value()) {
      log_.OnViolation("stop/by-itself", "nobody has told the loop to: " + DescribeState());
      return false;
    }
    return true;
  }

  // A loop that was told nothing still serves, a lap and one more, and in full.
  bool Probe() {
    if (oracle_->stopped || oracle_->ring_error.has_value() || !oracle_->order_known) return true;
    const SourceLimits all{.end = oracle_->file_bytes(0)};
    const uint32_t source = port_->handles().AddSource(oracle_->file(0), all).value();
    oracle_->AddSource(source, 0, all);
    DeviceRequest request{
        .operation = ORRERY_DEVICE_READ,
        .source = source,
        .bytes = static_cast<uint32_t>(std::min(oracle_->place_bytes(), all.end))};
    // Spoiled requests have some of the places, for ever.
    for (size_t place = 0; place < DeviceOracle::kPlaces; ++place) {
      request.destination = port_->handles()
                                .AddDestination(oracle_->RegionOf(place), oracle_->OffsetOf(place),
                                                oracle_->place_bytes())
                                .value();
      oracle_->AddDestination(request.destination, place, oracle_->place_bytes());
      if (oracle_->MayAsk(request)) break;
    }
    if (!oracle_->MayAsk(request)) return true;
    for (size_t lap = 0; lap <= slots_.size(); ++lap) {
      device_->Probe(request, world_.now());
      const auto done = [this] { return loop_->finished() || device_->AllAnswered(); };
      if (!Await(done, "liveness")) return false;
      if (loop_->finished()) return true;
    }
    return true;
  }

  bool Stop() {
    if (!loop_->finished()) {
      stopper_->StopAt(world_.now());
      driven_->Mend();
    }
    return Await([this] { return loop_->finished(); }, "stop");
  }

  void CheckEnd() {
    const DeviceCounters& counters = port_->counters();
    oracle_->CheckEnd(counters.lost.value());
    if (counters.in_flight.value() != 0 ||
        counters.claimed.value() != counters.completed.value() + counters.lost.value()) {
      log_.OnViolation("left-over", "in the loop: " + DescribeState());
    }
    if (!device_->has_scribbled() && counters.refused.value() != 0) {
      log_.OnViolation("refused-for-nothing", std::to_string(counters.refused.value()) +
                                                  " transitions, of a device " +
                                                  "that has made no other than its own");
    }
    if (counters.lost.value() == 0 && !oracle_->ring_error.has_value() &&
        kernel_.requests_in_flight() != 0) {
      log_.OnViolation("left-over", "in the kernel: " + DescribeState());
    }
    // What the kernel may still do, it does now.
    (void)world_.RunUntil([] { return false; },
                          {.time_max = world_.now() + kSecond, .steps_max = kStepsMax});
    oracle_->CheckMemory();
  }

  const sim::Configuration configuration_;
  sim::RecordingChoice& choice_;
  sim::GatedChoice gate_;
  sim::EventLog& log_;
  model::ModelKernel kernel_;
  sim::World world_;
  Nanoseconds start_;
  size_t descriptors_before_;
  std::vector<CacheLine> memory_;
  std::span<orrery_device_slot> slots_;
  std::unique_ptr<DeviceOracle> oracle_;
  std::unique_ptr<DevicePort> port_;
  std::unique_ptr<DeviceLoop> loop_;
  uint32_t requests_max_ = 0;
  std::unique_ptr<DeviceActor> device_;
  std::unique_ptr<HostActor> host_;
  std::unique_ptr<DrivenLoop> driven_;
  std::unique_ptr<DeviceStopper> stopper_;
};

}  // namespace

sim::Plan DeviceScenario::Draw(uint64_t seed) const {
  sim::Plan plan = DrawPlan(name(), seed, DrawConfiguration);
  Prng rare_prng(Combine(seed, 5));
  if (rare_prng.Chance(1, 2)) SlowTheDisk(plan.configuration);
  if (rare_prng.Chance(1, 6)) Crowd(plan.configuration);
  Prng workload_prng(Combine(seed, kWorkloadSequence));
  WriteDeviceWorkload(GenerateDeviceWorkload(workload_prng, FileBytesIn(plan.configuration),
                                             PlaceBytesIn(plan.configuration)),
                      plan.workload);
  return plan;
}

std::expected<RunResult, std::string> DeviceScenario::Run(const sim::Plan& plan,
                                                          sim::RecordingChoice& choice,
                                                          sim::EventLog& log) const {
  if (auto problem = ProblemOf(plan.configuration)) return std::unexpected(*std::move(problem));
  return CarryOut<DeviceRun>(plan, ReadDeviceWorkload(plan.workload), choice, log);
}

}  // namespace orrery::scenarios
