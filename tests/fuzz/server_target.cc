// The server's target: bytes become a configuration, a workload and choices; the scenario judges.
// Invariant: a prefix of an input is an input, with zeros and benign choices behind it.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>

#include "base/check.h"
#include "base/prng.h"
#include "base/units.h"
#include "sim/byte_choice.h"
#include "sim/plan.h"
#include "tests/fuzz/targets.h"
#include "tests/scenarios/registry.h"
#include "tests/scenarios/scenario.h"
#include "tests/scenarios/workload.h"

namespace orrery::fuzz {
namespace {

// Takes bytes from the front; zeros when there are none.
class Bytes {
 public:
  explicit Bytes(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // A number below `bound`. REQUIRES: 1 <= bound <= 256.
  uint64_t Below(uint64_t bound) {
    if (bytes_.empty()) return 0;
    const uint64_t byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte % bound;
  }
  std::span<const uint8_t> rest() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

sim::Configuration TakeConfiguration(Bytes& bytes) {
  sim::Configuration configuration;
  const auto set = [&configuration](const char* name, uint64_t value) {
    configuration[name] = static_cast<int64_t>(value);
  };
  const auto power = [&bytes](uint64_t low, uint64_t exponents) {
    return low << bytes.Below(exponents);
  };
  set("prompt", bytes.Below(2));
  const uint64_t sq_entries = power(1, 5);
  set("sq_entries", sq_entries);
  set("cq_entries", power(sq_entries, 4));
  set("socket_buffer_bytes", power(16, 10));
  set("buffers", power(1, 4));
  set("buffer_bytes", 16 + bytes.Below(256));
  set("iovecs_max", 1 + bytes.Below(16));
  const uint64_t pause_bytes = power(64, 10);
  set("output_pause_bytes", pause_bytes);
  set("output_resume_bytes", pause_bytes / 4);
  set("descriptors_max", bytes.Below(2) == 0 ? 1024 : 8 + bytes.Below(4));
  set("linger_ns", power(1000, 16));
  set("drain_bytes_max", power(16, 16));
  if (const uint64_t stop = bytes.Below(256); stop < 128) {
    set("stop_after_ns", stop * static_cast<uint64_t>(100 * kMicrosecond));
  }
  return configuration;
}

std::vector<sim::Json> TakeWorkload(Bytes& bytes) {
  scenarios::WorkloadOptions options;
  options.clients = 1 + bytes.Below(4);
  options.steps_max = 1 + bytes.Below(6);
  options.pipeline_max = 1 + bytes.Below(8);
  options.keys = 1 + bytes.Below(4);
  options.value_bytes_max = uint64_t{16} << bytes.Below(9);
  options.big_value_odds = bytes.Below(8);
  options.protocol_error_odds = bytes.Below(8);
  options.disconnect_odds = bytes.Below(8);
  options.pause_odds = bytes.Below(8);
  options.wide_odds = 0;
  options.stay_odds = bytes.Below(4);
  uint64_t seed = 0;
  for (int byte = 0; byte < 4; ++byte) seed = seed << 8 | bytes.Below(256);
  Prng prng(seed);
  std::vector<sim::Json> items;
  scenarios::WriteWorkload(scenarios::GenerateWorkload(prng, options), items);
  return items;
}

}  // namespace

void FuzzServer(std::span<const uint8_t> input) {
  const scenarios::Scenario* scenario = scenarios::FindScenario("server");
  ORRERY_CHECK(scenario != nullptr);
  Bytes bytes(input);
  sim::Plan plan;
  plan.scenario = scenario->name();
  plan.configuration = TakeConfiguration(bytes);
  plan.workload = TakeWorkload(bytes);
  sim::ByteChoice choice(bytes.rest());
  const auto result = scenarios::RunChoices(*scenario, plan, choice, {});
  ORRERY_CHECK_MSG(result.has_value(), "the plan of an input cannot be run");
  if (!result->violation.has_value()) return;
  static constexpr char kPlanFile[] = "fuzz-failure.jsonl";
  (void)sim::WritePlanFile(kPlanFile, result->plan);  // The input is kept by the fuzzer as well.
  std::fprintf(stderr, "%s\nits plan is in %s\n", result->report.c_str(), kPlanFile);
  CheckFailed(__FILE__, __LINE__, "no rule is broken", result->violation->invariant.c_str());
}

}  // namespace orrery::fuzz
