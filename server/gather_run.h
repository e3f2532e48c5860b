// A gather under way: its parts, and who waits for its reply. Belongs to its home's router.
#pragma once

#include <deque>

#include "server/client.h"
#include "server/errand.h"
#include "server/gather.h"

namespace orrery::server {

struct GatherRun;

// The part of one shard.
struct GatherPart : Errand {
  GatherPart(unsigned its_home, GatherRun& its_run)
      : Errand(ErrandKind::kGatherPart, its_home), run(its_run) {}
  GatherRun& run;
};

struct GatherRun : WideCommand {
  GatherRun(unsigned home, unsigned shards) {
    for (unsigned shard = 0; shard < shards; ++shard) parts.emplace_back(home, *this);
  }

  // Set before the parts go, and not changed while any of them is away.
  Gather* gather = nullptr;
  GatherOrder order = GatherOrder::kAtOnce;
  // By their shards. With kOneByOne the first goes round, for all.
  std::deque<GatherPart> parts;
  // The home's.
  unsigned parts_left = 0;
  GatherRun* next = nullptr;
};

}  // namespace orrery::server
