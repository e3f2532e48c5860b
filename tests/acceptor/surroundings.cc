#include "tests/acceptor/surroundings.h"

#include <signal.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <deque>
#include <string>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "kernel_model/bystander.h"
#include "kernel_model/choice.h"
#include "kernel_model/model_kernel.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/observer.h"
#include "sim/choices.h"
#include "tests/conformance/model_world.h"
#include "tests/conformance/real_world.h"

namespace orrery::acceptor {
namespace {

using conformance::World;

// --- Linux

class RealSurroundings final : public Surroundings {
 public:
  explicit RealSurroundings(uint64_t seed)
      : world_(conformance::MakeRealWorld(/*deferred=*/true)), prng_(seed) {
    ORRERY_CHECK(::signal(SIGPIPE, SIG_IGN) != SIG_ERR);  // Fact T8: writes raise it.
  }
  ~RealSurroundings() override { Rest(); }

  World& world() override { return *world_; }
  bool real() const override { return true; }
  void Start() override {}
  void Rest() override {
    for (std::thread& thread : beside_) thread.join();
    beside_.clear();
  }

  void Beside(std::vector<std::function<void()>> actions) override {
    std::vector<Nanoseconds> delays;
    for (size_t i = 0; i < actions.size(); ++i) delays.push_back(Delay());
    beside_.emplace_back([actions = std::move(actions), delays = std::move(delays)] {
      for (size_t i = 0; i < actions.size(); ++i) {
        Wait(delays[i]);
        actions[i]();
      }
    });
  }
  void Moment() override { Wait(Delay()); }
  void Pass(Nanoseconds) override {}

  EnterResult Enter(Ring& ring, unsigned to_submit, unsigned min_complete,
                    Nanoseconds timeout) override {
    return ring.Enter({.to_submit = to_submit,
                       .min_complete = min_complete,
                       .deadline = world_->kernel().MonotonicNow() + timeout});
  }

 private:
  // Mostly about as long as a thread takes to start, or a worker to run.
  Nanoseconds Delay() {
    switch (prng_.Below(4)) {
      case 0:
        return 0;
      case 1:
        return static_cast<Nanoseconds>(prng_.Below(20 * kMicrosecond));
      case 2:
        return static_cast<Nanoseconds>(prng_.Below(150 * kMicrosecond));
      default:
        return static_cast<Nanoseconds>(prng_.Below(600 * kMicrosecond));
    }
  }

  static Nanoseconds Now() {
    timespec now{};
    ORRERY_CHECK_OP(::clock_gettime(CLOCK_MONOTONIC, &now), ==, 0);
    return now.tv_sec * kSecond + now.tv_nsec;
  }
  // Short times by spinning, which a sleep would make long.
  static void Wait(Nanoseconds duration) {
    constexpr Nanoseconds kSpinMax = 50 * kMicrosecond;
    if (duration > kSpinMax) {
      const timespec left{.tv_sec = 0, .tv_nsec = duration};
      (void)::nanosleep(&left, nullptr);  // Cut short is as good.
      return;
    }
    const Nanoseconds end = Now() + duration;
    while (Now() < end) {
    }
  }

  std::unique_ptr<World> world_;
  Prng prng_;
  std::vector<std::thread> beside_;
};

// --- The model

// How long a moment may be: not at all, longer than a worker takes and the shorter delays of a
// packet, longer than all of them.
constexpr std::array<Nanoseconds, 3> kMoments = {0, 150 * kMicrosecond, 300 * kMillisecond};

// Nobody beside takes so long to act.
constexpr Nanoseconds kSoon = 1 * kSecond;

// So near to something that it is a race.
constexpr Nanoseconds kJustBefore = 5 * kMicrosecond;

// What the world is asked about, as entities of Site::kSchedule.
enum class Asked : uint64_t { kWhoActs, kMoment, kOversleep, kCount };

class OdometerSurroundings final : public ModelSurroundings, private model::Bystander {
 public:
  OdometerSurroundings(const ModelSettings& settings, sim::Odometer& odometer)
      : gate_(odometer),
        world_({.socket_buffer_bytes = settings.socket_buffer_bytes}, gate_, collector_) {
    world_.model().SetBystander(this);
  }
  ~OdometerSurroundings() override { world_.model().SetBystander(nullptr); }

  World& world() override { return world_; }
  bool real() const override { return false; }
  const std::string& violation() const override { return collector_.violation; }
  void Start() override { gate_.open = true; }
  void Rest() override {
    gate_.open = false;
    while (!beside_.empty()) Act(0);
    world_.model().AdvanceTo(world_.model().MonotonicNow() + kMoments.back());
  }

  void Beside(std::vector<std::function<void()>> actions) override {
    beside_.emplace_back(actions.begin(), actions.end());
  }
  void Moment() override {
    LetOthersAct();
    const uint64_t answer = Ask(Asked::kMoment, kMoments.size());
    world_.model().AdvanceTo(world_.model().MonotonicNow() + kMoments[answer]);
    if (answer != 0) LetOthersAct();
  }

  void Pass(Nanoseconds duration) override {
    world_.model().AdvanceTo(world_.model().MonotonicNow() + duration);
  }

  EnterResult Enter(Ring&, unsigned to_submit, unsigned min_complete,
                    Nanoseconds timeout) override {
    model::ModelKernel& kernel = world_.model();
    model::ModelRing& ring = *kernel.rings().back();
    LetOthersAct();
    const std::optional<EnterResult> at_once =
        ring.Begin({.to_submit = to_submit,
                    .min_complete = min_complete,
                    .deadline = kernel.MonotonicNow() + timeout});
    if (at_once) return *at_once;
    while (!ring.CanFinish()) {
      const Nanoseconds next = std::min(kernel.NextEventAt(), ring.deadline());
      LetOthersAct(/*surely=*/next - kernel.MonotonicNow() >= kSoon);
      Oversleep(ring);
      if (ring.CanFinish()) break;
      kernel.AdvanceTo(std::min(kernel.NextEventAt(), ring.deadline()));
      Oversleep(ring);
    }
    return ring.Finish();
  }

 private:
  class Collector final : public model::Observer {
   public:
    void OnEvent(const model::Event&) override {}
    void OnViolation(std::string_view invariant, std::string_view detail) override {
      // The other side ignores the signal.
      if (invariant == "sigpipe" || !violation.empty()) return;
      violation = std::string(invariant) + ": " + std::string(detail);
    }
    std::string violation;
  };

  uint64_t Ask(Asked what, uint64_t alternatives) {
    if (alternatives == 1) return 0;
    const uint64_t ordinal = asked_[static_cast<size_t>(what)]++;
    return gate_.Choose(model::Site::kSchedule, static_cast<uint64_t>(what), ordinal, alternatives);
  }
  // Who of those beside does their next thing, or nobody (the last answer). `surely`: one of them.
  void LetOthersAct(bool surely = false) {
    while (!beside_.empty()) {
      const uint64_t answer = Ask(Asked::kWhoActs, beside_.size() + (surely ? 0 : 1));
      if (answer == beside_.size()) return;
      Act(answer);
      surely = false;
    }
  }
  // A sleeper that was woken does not run at once: more may happen before it does.
  void Oversleep(const model::ModelRing& ring) {
    model::ModelKernel& kernel = world_.model();
    for (;;) {
      const Nanoseconds next = kernel.NextEventAt();
      if (next >= ring.deadline() || next - kernel.MonotonicNow() >= kSoon) return;
      // Not at all, up to what comes next, or up to just before it.
      const bool far = next - kernel.MonotonicNow() > kJustBefore;
      const uint64_t answer = Ask(Asked::kOversleep, far ? 3 : 2);
      if (answer == 0) return;
      kernel.AdvanceTo(answer == 1 ? next : next - kJustBefore);
      if (answer == 2) return;
      LetOthersAct();
    }
  }
  void Act(size_t who) {
    const std::function<void()> action = std::move(beside_[who].front());
    beside_[who].pop_front();
    if (beside_[who].empty()) beside_.erase(beside_.begin() + static_cast<ptrdiff_t>(who));
    action();
  }

  // --- Bystander: inside Enter.
  void BeforeOperation(uint64_t, const io_uring_sqe&) override { LetOthersAct(); }
  void BeforeTaskWork(uint64_t, unsigned, bool) override { LetOthersAct(); }
  void AfterReceive(uint64_t, uint64_t, size_t) override { LetOthersAct(); }
  void BeforeWaiting(uint64_t, uint64_t) override { LetOthersAct(); }
  size_t SendRoom(uint64_t, uint64_t, size_t room, size_t) override { return room; }
  bool HoldsWorker(uint64_t, uint64_t) override { return false; }

  sim::GatedChoice gate_;
  Collector collector_;
  conformance::ModelWorld world_;
  std::vector<std::deque<std::function<void()>>> beside_;
  std::array<uint64_t, static_cast<size_t>(Asked::kCount)> asked_{};
};

}  // namespace

std::unique_ptr<Surroundings> MakeRealSurroundings(uint64_t seed) {
  return std::make_unique<RealSurroundings>(seed);
}

std::unique_ptr<ModelSurroundings> MakeModelSurroundings(const ModelSettings& settings,
                                                         sim::Odometer& odometer) {
  return std::make_unique<OdometerSurroundings>(settings, odometer);
}

}  // namespace orrery::acceptor
