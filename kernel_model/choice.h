// Where the model may go one way or another, and who decides.
//
// The rules of the model say which outcomes are legal; a Choice picks one. Every point of freedom
// is a Site, asked for an entity (a socket, a ring: a small number given in order of creation,
// never an address) with an ordinal (how often this site was asked for this entity before).
// Alternative 0 is always the benign one: what an idle, healthy machine does. So a run is described
// by the choices that were not 0, and taking one away moves nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace orrery::model {

// How we know that a real kernel behaves so.
enum class Evidence : uint8_t {
  kWitnessed,   // Seen on a real kernel: a conformance test shows it, or a run of //tools:outcomes.
  kDocumented,  // A man page or the kernel's source says so.
};

// The sites, as choice_sites.inc lists them: there is no other place to add one.
enum class Site : uint16_t {
#define ORRERY_CHOICE_SITE(enumerator, ...) enumerator,
#include "kernel_model/choice_sites.inc"
#undef ORRERY_CHOICE_SITE
  kCount,
};

// A site's row in docs/choices.md.
struct SiteInfo {
  Site site;
  std::string_view name;  // As plans write it: "send.partial".
  Evidence evidence;
  std::string_view entity;   // What is numbered.
  std::string_view meaning;  // Of an answer k > 0.
  std::string_view source;   // The facts, man page or kernel function that allow it.
};

// All sites in the order of the enumeration.
std::span<const SiteInfo> Sites();
const SiteInfo& InfoOf(Site site);
// Null when no site has this name.
const SiteInfo* FindSite(std::string_view name);

// Decides. Implementations must be functions of their arguments and of their own state alone.
class Choice {
 public:
  virtual ~Choice() = default;
  // A number below `alternatives`. REQUIRES: alternatives >= 1.
  virtual uint64_t Choose(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives) = 0;
  // The same where the alternatives are who goes first: `names` say who they are, the same ones in
  // every question of the run that they are part of.
  virtual uint64_t ChooseAmong(Site site, uint64_t entity, uint64_t ordinal,
                               std::span<const uint64_t> names) {
    return Choose(site, entity, ordinal, names.size());
  }
};

// Always 0.
class BenignChoice final : public Choice {
 public:
  uint64_t Choose(Site, uint64_t, uint64_t, uint64_t) override { return 0; }
};

// A choice that was taken.
struct Chosen {
  uint64_t ordinal = 0;
  uint64_t answer = 0;
};

// The model's side: counts ordinals and checks the answer.
class Chooser {
 public:
  explicit Chooser(Choice& choice) : choice_(choice) {}

  // Entities are small: the counters are indexed by them.
  Chosen Choose(Site site, uint64_t entity, uint64_t alternatives) {
    ORRERY_CHECK(alternatives >= 1);
    if (alternatives == 1) return {};  // No freedom, no question.
    const uint64_t ordinal = NextOrdinal(site, entity);
    const uint64_t answer = choice_.Choose(site, entity, ordinal, alternatives);
    ORRERY_CHECK(answer < alternatives);
    return {.ordinal = ordinal, .answer = answer};
  }

  // See Choice::ChooseAmong().
  Chosen ChooseAmong(Site site, uint64_t entity, std::span<const uint64_t> names) {
    ORRERY_CHECK(!names.empty());
    if (names.size() == 1) return {};
    const uint64_t ordinal = NextOrdinal(site, entity);
    const uint64_t answer = choice_.ChooseAmong(site, entity, ordinal, names);
    ORRERY_CHECK(answer < names.size());
    return {.ordinal = ordinal, .answer = answer};
  }

 private:
  uint64_t NextOrdinal(Site site, uint64_t entity) {
    std::vector<uint64_t>& ordinals = ordinals_[static_cast<size_t>(site)];
    if (entity >= ordinals.size()) ordinals.resize(entity + 1);
    return ordinals[entity]++;
  }

  Choice& choice_;
  std::array<std::vector<uint64_t>, static_cast<size_t>(Site::kCount)> ordinals_;
};

}  // namespace orrery::model
