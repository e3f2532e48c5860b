#include "sim/choices.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace orrery::sim {
namespace {

// From this many alternatives on, a choice is a quantity rather than one of a few cases.
constexpr uint64_t kQuantityMin = 16;

// A number in [1, high] whose logarithm is about uniform. REQUIRES: high >= 1.
uint64_t LogUniform(uint64_t word, uint64_t high) {
  const auto bits = static_cast<uint64_t>(std::bit_width(high));
  const uint64_t exponent = Bounded(word, bits);
  const uint64_t low = uint64_t{1} << exponent;
  const uint64_t span = std::min(low, high - low + 1);
  return low + Bounded(Mix64(word), span);
}

// A number in [1, last]. REQUIRES: last >= 1.
uint64_t Quantity(uint64_t word, uint64_t last) {
  const uint64_t shape = Bounded(Combine(word, 1), 8);
  const uint64_t inner = Combine(word, 2);
  switch (shape) {
    case 0:
      return 1;
    case 1:
      return last;
    case 2:
    case 3:
    case 4:
      return LogUniform(inner, last);
    case 5:
    case 6:
      return last + 1 - LogUniform(inner, last);
    default:
      return 1 + Bounded(inner, last);
  }
}

}  // namespace

void SiteRates::Set(model::Site site, uint32_t rate) {
  ORRERY_CHECK_OP(rate, <=, kAlways);
  rates_[Index(site)] = rate;
}

SiteRates SiteRates::Draw(Prng& prng) {
  SiteRates rates;
  for (uint32_t& rate : rates.rates_) {
    const bool on = prng.Chance(1, 2);
    const uint64_t shift = prng.Between(1, 9);
    if (on) rate = kAlways >> shift;
  }
  return rates;
}

uint64_t RandomChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                              uint64_t alternatives) {
  if (alternatives <= 1) return 0;
  uint64_t word = Combine(seed_, static_cast<uint64_t>(site));
  word = Combine(word, entity);
  word = Combine(word, ordinal);
  if (Bounded(word, SiteRates::kAlways) >= rates_.of(site)) return 0;
  const uint64_t answer = Combine(word, 0);
  const uint64_t last = alternatives - 1;
  return last < kQuantityMin ? 1 + Bounded(answer, last) : Quantity(answer, last);
}

PlanChoice::PlanChoice(const std::vector<PlannedChoice>& choices) {
  for (const PlannedChoice& choice : choices) {
    answers_[{choice.site, choice.entity, choice.ordinal}] = {.value = choice.value};
  }
  unused_ = answers_.size();
}

uint64_t PlanChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                            uint64_t alternatives) {
  const auto found = answers_.find({site, entity, ordinal});
  if (found == answers_.end()) return 0;
  Answer& answer = found->second;
  if (!answer.used) {
    answer.used = true;
    --unused_;
  }
  return std::min(answer.value, alternatives - 1);
}

uint64_t RecordingChoice::Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                                 uint64_t alternatives) {
  if (!faults_) return 0;
  const uint64_t value = inner_.Choose(site, entity, ordinal, alternatives);
  return Record({.site = site, .entity = entity, .ordinal = ordinal, .value = value});
}

uint64_t RecordingChoice::ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                                      std::span<const uint64_t> names) {
  if (!faults_) return 0;
  const uint64_t value = inner_.ChooseAmong(site, entity, ordinal, names);
  return Record({.site = site, .entity = entity, .ordinal = ordinal, .value = value});
}

uint64_t RecordingChoice::Record(const PlannedChoice& choice) {
  ++asked_;
  if (choice.value != 0) recorded_.push_back(choice);
  return choice.value;
}

}  // namespace orrery::sim
