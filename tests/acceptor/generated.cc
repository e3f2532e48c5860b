#include "tests/acceptor/generated.h"

#include <liburing.h>

#include <algorithm>
#include <string>

#include "base/units.h"
#include "kernel_model/choice.h"
#include "sim/odometer.h"
#include "tests/acceptor/executor.h"
#include "tests/acceptor/generator.h"
#include "tests/acceptor/program.h"
#include "tests/acceptor/surroundings.h"
#include "tests/acceptor/trace.h"

namespace orrery::acceptor {
namespace {

using model::Site;

constexpr size_t kStepsMax = 16;
// A turn of the model: longer than the first delay of a packet, shorter than the second.
constexpr Nanoseconds kTurn = 200 * kMicrosecond;
constexpr Nanoseconds kWait = 1 * kMillisecond;
constexpr uint64_t kSoonAnswer = 2;
constexpr uint64_t kLaterAnswer = 3;

bool IsFree(const Step& step) {
  switch (step.kind) {
    case StepKind::kShutdown:
      return true;
    case StepKind::kTimeout:
      return static_cast<Duration>(step.amount) == Duration::kShort;
    default:
      return step.kind > StepKind::kShutdown && IsOperation(step.kind);
  }
}

// Writes the outcome down.
class Scribe final : public Driver {
 public:
  explicit Scribe(Surroundings& surroundings) : surroundings_(surroundings) {}

  void BeginTurn(const Turn&) override {
    surroundings_.Pass(kTurn);
    if (surroundings_.real()) surroundings_.Moment();
  }
  void EndTurn() override { ++turn_; }
  bool real() const override { return surroundings_.real(); }
  bool Observe(const Observation& observation) override {
    Observation bare = observation;
    if (bare.kind == Observation::Kind::kCompletion) bare.flags &= ~kHint;
    outcome_ += (outcome_.empty() ? "" : "; ") + std::to_string(turn_) + ": " + ToText(bare);
    return true;
  }
  Nanoseconds WaitBound(bool) override { return kWait; }
  Time ShortTimeout(uint32_t) override { return {.time = kWait}; }
  Time ZeroLinkTimeout(uint32_t) override { return {}; }
  Time ZeroTimeout(uint32_t) override { return {}; }
  void Connected(conformance::World::Peer) override {}
  size_t PeerReads(uint32_t, size_t bytes_max) override { return bytes_max; }
  void Pause() override {}

  const std::string& outcome() const { return outcome_; }

 private:
  static constexpr uint32_t kHint = IORING_CQE_F_SOCK_NONEMPTY;
  Surroundings& surroundings_;
  uint64_t turn_ = 0;
  std::string outcome_;
};

}  // namespace

std::optional<Subject> GeneratedSubject(uint64_t seed) {
  const Program program = Generate(seed, kPlain);
  if (program.steps.size() > kStepsMax) return std::nullopt;
  if (std::any_of(program.steps.begin(), program.steps.end(), IsFree)) return std::nullopt;
  return Subject{.name = "seed-" + std::to_string(seed),
                 .about = "a generated program",
                 .scope = sim::OdometerScope()
                              .Open(Site::kWakeDelay, {kSoonAnswer, kLaterAnswer})
                              .DeparturesAtMost(1),
                 .run = [program](Surroundings& surroundings) {
                   surroundings.Start();
                   Scribe scribe(surroundings);
                   (void)Run(program, surroundings.world(), scribe);  // The scribe stops nothing.
                   surroundings.Rest();
                   return scribe.outcome();
                 }};
}

}  // namespace orrery::acceptor
