// A Choice for tests: benign, but for the answers written down beforehand.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "kernel_model/choice.h"

namespace orrery::model {

class ScriptedChoice final : public Choice {
 public:
  // Answers the question with this ordinal of this site and entity. An answer beyond the
  // alternatives becomes the last of them.
  void Script(Site site, uint64_t entity, uint64_t ordinal, uint64_t answer) {
    script_[{site, entity, ordinal}] = answer;
  }
  // Answers every question of a site that Script() says nothing about.
  void Always(Site site, uint64_t answer) { always_[site] = answer; }
  void Never(Site site) { always_.erase(site); }

  uint64_t Choose(Site site, uint64_t entity, uint64_t ordinal, uint64_t alternatives) override {
    ++asked_[site];
    uint64_t answer = 0;
    if (const auto always = always_.find(site); always != always_.end()) answer = always->second;
    const auto scripted = script_.find({site, entity, ordinal});
    if (scripted != script_.end()) answer = scripted->second;
    return answer < alternatives ? answer : alternatives - 1;
  }

  // How often a site was asked.
  uint64_t asked(Site site) const {
    const auto found = asked_.find(site);
    return found == asked_.end() ? 0 : found->second;
  }

 private:
  std::map<std::tuple<Site, uint64_t, uint64_t>, uint64_t> script_;
  std::map<Site, uint64_t> always_;
  std::map<Site, uint64_t> asked_;
};

}  // namespace orrery::model
