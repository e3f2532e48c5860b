// Who decides in a run: a seed, a plan, or a seed whose decisions are written down.
//
// RandomChoice is counter-based: an answer is a hash of (seed, site, entity, ordinal), so that
// taking one fault away, or one question more, moves no other answer. No state, no floats, no
// library distributions. All of these are used by the one thread of their run.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/prng.h"
#include "kernel_model/choice.h"

namespace orrery::sim {

// One decision that was not benign.
struct PlannedChoice {
  model::Site site{};
  uint64_t entity = 0;
  uint64_t ordinal = 0;
  uint64_t value = 0;  // Never 0.

  friend bool operator==(const PlannedChoice&, const PlannedChoice&) = default;
};

// How often each site departs from the benign alternative: so many times out of kAlways.
class SiteRates {
 public:
  static constexpr uint32_t kAlways = 1 << 16;

  // Every site benign.
  SiteRates() = default;

  uint32_t of(model::Site site) const { return rates_[Index(site)]; }
  // REQUIRES: rate <= kAlways.
  void Set(model::Site site, uint32_t rate);

  // Swarm testing (Groce et al. 2012): each site is off for half of the seeds, else its rate is
  // log-uniform between about 1/512 and 1/2. Many small odd worlds beat one average world.
  static SiteRates Draw(Prng& prng);

 private:
  static size_t Index(model::Site site) { return static_cast<size_t>(site); }
  std::array<uint32_t, static_cast<size_t>(model::Site::kCount)> rates_{};
};

class RandomChoice final : public model::Choice {
 public:
  RandomChoice(uint64_t seed, const SiteRates& rates) : seed_(seed), rates_(rates) {}

  // When there are many alternatives (bytes, delays), the ends of the range are likelier than its
  // middle: 1, alternatives - 1, and log-uniform from either end.
  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;

 private:
  uint64_t seed_;
  SiteRates rates_;
};

// Answers as a plan says, and benign where it says nothing. An answer that is not below
// `alternatives` (an edited plan, changed code) is clamped to the last alternative.
class PlanChoice final : public model::Choice {
 public:
  explicit PlanChoice(const std::vector<PlannedChoice>& choices);

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;

  // Planned choices that nobody has asked for: a sign that the plan does not fit the code any more.
  size_t unused() const { return unused_; }

 private:
  struct Key {
    model::Site site;
    uint64_t entity;
    uint64_t ordinal;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Answer {
    uint64_t value = 0;
    bool used = false;
  };
  std::map<Key, Answer> answers_;
  size_t unused_ = 0;
};

// Passes on another's answers while it is open; otherwise everything is benign, and nobody is
// asked.
class GatedChoice final : public model::Choice {
 public:
  // `inner` must outlive this.
  explicit GatedChoice(model::Choice& inner) : inner_(inner) {}

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override {
    return open ? inner_.Choose(site, entity, ordinal, alternatives) : 0;
  }

  bool open = false;

 private:
  model::Choice& inner_;
};

// Passes on another's answers and notes those that are not benign, in the order in which they were
// given. While `faults` are off everything is benign, and nobody is asked: for the end of a run.
class RecordingChoice final : public model::Choice {
 public:
  // `inner` must outlive this.
  explicit RecordingChoice(model::Choice& inner) : inner_(inner) {}

  uint64_t Choose(model::Site site, uint64_t entity, uint64_t ordinal,
                  uint64_t alternatives) override;
  uint64_t ChooseAmong(model::Site site, uint64_t entity, uint64_t ordinal,
                       std::span<const uint64_t> names) override;

  void TurnFaultsOff() { faults_ = false; }

  const std::vector<PlannedChoice>& recorded() const { return recorded_; }
  // Questions asked while faults were on.
  uint64_t asked() const { return asked_; }

 private:
  uint64_t Record(const PlannedChoice& choice);

  model::Choice& inner_;
  bool faults_ = true;
  uint64_t asked_ = 0;
  std::vector<PlannedChoice> recorded_;
};

}  // namespace orrery::sim
