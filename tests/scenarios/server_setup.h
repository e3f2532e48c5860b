// The knobs of a server on the fake kernel: what a plan's configuration means for the kernel, the
// server and the world.
//
// No state. A knob that a plan does not have keeps its default; what a knob may be, ProblemOf()
// says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "kernel_model/model_kernel.h"
#include "server/shard.h"
#include "sim/plan.h"

namespace orrery::scenarios {

inline constexpr uint16_t kServerPort = 6379;
// Scripts take a few seconds of virtual time; more than this is left to the end of a run.
inline constexpr Nanoseconds kScriptsMax = 60 * kSecond;
// With faults off, everything that is due happens within this; lingering connections take longest.
inline constexpr Nanoseconds kSettleMax = 60 * kSecond;
// No run needs nearly as many; it ends one that would go on for ever.
inline constexpr uint64_t kStepsMax = 20'000'000;

// Of a server that has one.
inline constexpr char kPassword[] = "secret";

// Somebody sets the wall clock.
struct WallJump {
  Nanoseconds at = 0;  // From the start.
  Nanoseconds by = 0;
};
inline constexpr uint64_t kWallJumpsMax = 4;
// A jump's names in a configuration: `what` is "at_ns" or "by_ns".
std::string WallJumpName(uint64_t index, const char* what);

// The knobs as the server and the kernel take them.
struct ServerSetup {
  model::ModelOptions kernel;
  server::ShardOptions shard;
  bool prompt = false;
  std::optional<Nanoseconds> stop_after;
  std::optional<uint64_t> stop_after_steps;
  std::vector<WallJump> jumps;  // In their order in time.
};

ServerSetup ReadServerSetup(const sim::Plan& plan);

// Whether the server ends connections before a slow client may have read all.
bool EndsHastily(const ServerSetup& setup);

// A plan edited by hand gets a reason instead of a failing check.
std::optional<std::string> ProblemOf(const sim::Configuration& configuration);

}  // namespace orrery::scenarios
