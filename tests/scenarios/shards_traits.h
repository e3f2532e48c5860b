// What few worlds of the scenario "shards" have besides: keys that expire, clients that pause and
// kill others, messages in transactions, subscribers who read slowly.
//
// No state. Put into a workload that has been drawn already, from a sequence of its own, so that
// all other worlds stay as they are.
#pragma once

#include "base/prng.h"
#include "sim/plan.h"
#include "tests/scenarios/shards_workload.h"
#include "tests/scenarios/workload.h"

namespace orrery::scenarios {

// `options` are those that the workload was drawn with. The configuration may get limits of output.
void AddShardsTraits(Prng& prng, const ShardsWorkloadOptions& options,
                     sim::Configuration& configuration, Workload& workload);

}  // namespace orrery::scenarios
