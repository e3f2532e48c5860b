// Priority-based schedules (PCT: Burckhardt, Kothari, Musuvathi, Nagarakatte 2010).
//
// Everybody who may run next (a shard, a client, a completion that waits in a ring) has a priority
// of its own for the whole run, and the highest runs. At a few moments, one fewer than the depth,
// whoever would have run falls below all others. So a run is extreme in one way, and consistent: a
// bug that needs d things in one order is met with a likelihood that does not vanish with the
// length of the run, where a fair coin at each step would have to fall right every time.
//
// Questions without names are passed on. Invariant: a function of the seed and of the questions.
// Used by the one thread of its run.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "kernel_model/choice.h"

namespace orrery::sim {

class PriorityChoice final : public model::Choice {
 public:
  static constexpr unsigned kDepthMax = 3;

  // `rest` answers what is no question of order; it must outlive this. REQUIRES: 1 <= depth <=
  // kDepthMax.
  PriorityChoice(model::Choice& rest, uint64_t seed, unsigned depth);

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;
  uint64_t ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                       std::span<const uint64_t> names) override;

 private:
  struct Name {
    model::Site site;
    uint64_t name;
    friend auto operator<=>(const Name&, const Name&) = default;
  };

  uint64_t PriorityOf(const Name& name) const;
  size_t Highest(model::Site site, std::span<const uint64_t> names) const;

  model::Choice& rest_;
  uint64_t seed_;
  // After how many questions somebody falls.
  std::vector<uint64_t> falls_;
  uint64_t questions_ = 0;
  // Who has fallen, and how low: later is lower.
  std::map<Name, uint64_t> fallen_;
};

}  // namespace orrery::sim
