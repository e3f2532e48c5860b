// Draws what a run of the scenario "server" is: the world it happens in, and what its clients do.
//
// No state: a function of the seed.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/prng.h"
#include "sim/plan.h"

namespace orrery::scenarios {

// The configuration that every server on the fake kernel has: rings, buffers, limits. Swarm style:
// each knob is often at its default and sometimes at an end.
sim::Configuration DrawServerConfiguration(Prng& prng);

// A seed's plan for one shard.
sim::Plan DrawServerPlan(std::string_view scenario, uint64_t seed);

}  // namespace orrery::scenarios
