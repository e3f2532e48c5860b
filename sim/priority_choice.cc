#include "sim/priority_choice.h"

#include <algorithm>

#include "base/check.h"
#include "base/prng.h"

namespace orrery::sim {
namespace {

// Runs ask from a hundred to some ten thousand questions of order: a fall comes after 2^0 to 2^16,
// each power as likely.
constexpr uint64_t kFallBits = 17;
// Above all who have fallen.
constexpr uint64_t kNeverFell = uint64_t{1} << 63;

}  // namespace

PriorityChoice::PriorityChoice(model::Choice& rest, uint64_t seed, unsigned depth)
    : rest_(rest), seed_(seed) {
  ORRERY_CHECK(depth >= 1 && depth <= kDepthMax);
  Prng prng(Combine(seed, depth));
  for (unsigned fall = 1; fall < depth; ++fall) {
    const uint64_t power = uint64_t{1} << prng.Below(kFallBits);
    falls_.push_back(prng.Between(power, 2 * power - 1));
  }
}

uint64_t PriorityChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                                uint64_t alternatives) {
  return rest_.Choose(site, entity, ordinal, alternatives);
}

uint64_t PriorityChoice::ChooseAmong(model::Site site, uint64_t /*entity*/, uint64_t /*ordinal*/,
                                     std::span<const uint64_t> names) {
  ++questions_;
  if (std::find(falls_.begin(), falls_.end(), questions_) != falls_.end()) {
    const uint64_t name = names[Highest(site, names)];
    fallen_[{site, name}] = kNeverFell - questions_;
  }
  return Highest(site, names);
}

uint64_t PriorityChoice::PriorityOf(const Name& name) const {
  const auto fallen = fallen_.find(name);
  if (fallen != fallen_.end()) return fallen->second;
  const uint64_t site = Combine(seed_, static_cast<uint64_t>(name.site));
  return kNeverFell | Combine(site, name.name);
}

size_t PriorityChoice::Highest(model::Site site, std::span<const uint64_t> names) const {
  size_t highest = 0;
  for (size_t index = 1; index < names.size(); ++index) {
    if (PriorityOf({site, names[index]}) > PriorityOf({site, names[highest]})) highest = index;
  }
  return highest;
}

}  // namespace orrery::sim
