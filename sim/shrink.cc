#include "sim/shrink.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernel_model/choice.h"
#include "sim/event_log.h"

namespace orrery::sim {
namespace {

// Where a value is in a workload: the item, and the place in it.
struct Place {
  size_t item = 0;
  Json::json_pointer pointer;
};

// These say whose step it is and what it does: without them it is not an item.
bool NamesTheItem(std::string_view key) { return key == "op" || key == "client"; }

// Knobs that only the drawing of choices reads, never a run of a plan.
bool IsAboutDrawing(std::string_view name) {
  return name.starts_with("rate.") || name.starts_with("strategy");
}

class Shrinker {
 public:
  Shrinker(const Plan& plan, const RunPlanAgain& run, const ShrinkLimits& limits)
      : run_(run), limits_(limits), best_(plan) {}

  ShrinkResult Go() {
    ORRERY_CHECK_MSG(Try(best_), "a plan to shrink must fail");
    RemoveKnobsOfDrawing();
    uint64_t before = 0;
    do {
      before = changes_;
      RemoveSites();
      RemoveRange([](Plan& plan) -> auto& { return plan.choices; });
      RemoveClients();
      RemoveRange([](Plan& plan) -> auto& { return plan.workload; });
      RemoveKnobs();
      JoinItems();
      for (size_t item = 0; item < best_.workload.size(); ++item)
        Simplify({item, Json::json_pointer()}, 0);
      LowerChoices();
      LowerKnobs();
    } while (changes_ != before && !ended());
    return {.plan = best_, .runs = runs_, .end = end_};
  }

 private:
  bool ended() const { return end_ != ShrinkEnd::kSmallest; }

  // Whether the candidate fails in the same way; then it is the best one.
  bool Try(Plan candidate) {
    candidate.expected_hash.reset();
    candidate.expected_invariant.reset();
    candidate.expected_marks.clear();
    if (ended()) return false;
    if (!tried_.insert(HashBytes(WritePlan(candidate))).second) return false;
    if (runs_ == limits_.runs_max) {
      end_ = ShrinkEnd::kRunsUsedUp;
      return false;
    }
    if (limits_.out_of_time && limits_.out_of_time()) {
      end_ = ShrinkEnd::kOutOfTime;
      return false;
    }
    ++runs_;
    std::optional<Plan> result = run_(candidate);
    if (!result.has_value()) return false;
    best_ = *std::move(result);
    ++changes_;
    return true;
  }

  // Takes away runs of elements of the list that `access` finds in a plan: all of them, halves,
  // quarters, and so on, from the end, because what comes late is the likeliest not to matter.
  template <typename Access>
  void RemoveRange(Access access) {
    for (size_t chunk = access(best_).size(); chunk > 0 && !ended(); chunk /= 2) {
      for (size_t end = access(best_).size(); end > 0 && !ended();) {
        const size_t begin = end > chunk ? end - chunk : 0;
        Plan candidate = best_;
        auto& list = access(candidate);
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(begin),
                   list.begin() + static_cast<std::ptrdiff_t>(end));
        Try(std::move(candidate));
        // What was tried may have taken others along.
        end = std::min(begin, access(best_).size());
      }
    }
  }

  // --- Choices.

  // All choices of one site: a class of faults.
  void RemoveSites() {
    for (const model::SiteInfo& info : model::Sites()) {
      Plan candidate = best_;
      const size_t removed = std::erase_if(candidate.choices, [&info](const PlannedChoice& choice) {
        return choice.site == info.site;
      });
      if (removed > 0) Try(std::move(candidate));
    }
  }

  void LowerChoices() {
    for (size_t index = 0; index < best_.choices.size(); ++index) {
      // A choice of 0 is none: that has been tried.
      const auto access = [index](Plan& plan) -> uint64_t* {
        return index < plan.choices.size() ? &plan.choices[index].value : nullptr;
      };
      Lower<uint64_t>(access, 1);
    }
  }

  // --- The workload.

  static std::optional<uint64_t> ClientOf(const Json& item) {
    const auto found = item.find("client");
    if (found == item.end() || !found->is_number_unsigned()) return std::nullopt;
    return found->get<uint64_t>();
  }

  std::set<uint64_t> Clients() const {
    std::set<uint64_t> clients;
    for (const Json& item : best_.workload) {
      if (const auto client = ClientOf(item)) clients.insert(*client);
    }
    return clients;
  }

  void RemoveClients() {
    // Many at once first.
    const std::set<uint64_t> all = Clients();
    for (const uint64_t client : all) {
      TryWithClients([client](uint64_t other) { return other == client; });
      if (Clients().size() == 1) return;
    }
    for (const uint64_t client : Clients()) {
      const auto others = [client](uint64_t other) { return other != client; };
      if (!TryWithClients(others)) TryWithoutConnection(others);
    }
  }

  template <typename Keep>
  Plan WithClients(Keep keep) const {
    Plan candidate = best_;
    std::erase_if(candidate.workload, [&keep](const Json& item) {
      const auto client = ClientOf(item);
      return client.has_value() && !keep(*client);
    });
    return candidate;
  }

  template <typename Keep>
  bool TryWithClients(Keep keep) {
    return Try(WithClients(keep));
  }

  // Connections are numbered as they are made: without one client, those after it have other
  // numbers, and choices that name them must follow.
  template <typename Keep>
  void TryWithoutConnection(Keep keep) {
    uint64_t connections = 0;
    for (const PlannedChoice& choice : best_.choices) {
      if (IsOfConnection(choice)) connections = std::max(connections, choice.entity + 1);
    }
    const Plan without = WithClients(keep);
    for (uint64_t gone = 0; gone < connections; ++gone) {
      Plan candidate = without;
      std::erase_if(candidate.choices, [gone](const PlannedChoice& choice) {
        return IsOfConnection(choice) && choice.entity == gone;
      });
      for (PlannedChoice& choice : candidate.choices) {
        if (IsOfConnection(choice) && choice.entity > gone) --choice.entity;
      }
      if (Try(std::move(candidate))) return;
    }
  }

  static bool IsOfConnection(const PlannedChoice& choice) {
    return model::InfoOf(choice.site).entity == "connection";
  }

  // Two steps of one client that are alike but for one array, such as their commands, become one.
  void JoinItems() {
    for (size_t first = 0; first < best_.workload.size(); ++first) {
      for (size_t second = first + 1; second < best_.workload.size();) {
        auto joined = Joined(best_.workload[first], best_.workload[second]);
        if (!joined.has_value()) {
          if (ClientOf(best_.workload[first]) == ClientOf(best_.workload[second])) break;
          ++second;
          continue;
        }
        Plan candidate = best_;
        candidate.workload[first] = *std::move(joined);
        candidate.workload.erase(candidate.workload.begin() + static_cast<std::ptrdiff_t>(second));
        if (!Try(std::move(candidate))) break;
      }
    }
  }

  static std::optional<Json> Joined(const Json& first, const Json& second) {
    if (!first.is_object() || !second.is_object() || first.size() != second.size()) {
      return std::nullopt;
    }
    Json joined = first;
    bool found = false;
    for (const auto& [key, value] : second.items()) {
      const auto mine = joined.find(key);
      if (mine == joined.end()) return std::nullopt;
      if (*mine == value && !value.is_array()) continue;
      if (found || !mine->is_array() || !value.is_array()) return std::nullopt;
      found = true;
      for (const Json& element : value) mine->push_back(element);
    }
    return found ? std::optional(std::move(joined)) : std::nullopt;
  }

  static Json* Find(Plan& plan, const Place& place) {
    if (place.item >= plan.workload.size()) return nullptr;
    Json& item = plan.workload[place.item];
    return item.contains(place.pointer) ? &item[place.pointer] : nullptr;
  }

  // Takes away what it can of the value and lowers what it cannot. `depth`: how deep it lies.
  void Simplify(const Place& place, size_t depth) {
    const Json* found = Find(best_, place);
    if (found == nullptr || ended()) return;
    const Json value = *found;
    if (value.is_object()) {
      for (const auto& [key, inner] : value.items()) {
        if (depth == 0 && NamesTheItem(key)) continue;
        const Place below{place.item, place.pointer / key};
        if (!TryWithoutKey(place, key)) Simplify(below, depth + 1);
      }
    } else if (value.is_array()) {
      RemoveRange(
          [&place](Plan& plan) -> auto& { return Find(plan, place)->get_ref<Json::array_t&>(); });
      for (size_t index = 0; index < Find(best_, place)->size(); ++index) {
        Simplify({place.item, place.pointer / index}, depth + 1);
      }
    } else if (value.is_number_unsigned()) {
      Lower<uint64_t>(
          [&place](Plan& plan) { return Find(plan, place)->get_ptr<Json::number_unsigned_t*>(); },
          0);
    } else if (value.is_string()) {
      Shorten(place, value.get<std::string>());
    }
  }

  bool TryWithoutKey(const Place& place, const std::string& key) {
    Plan candidate = best_;
    Find(candidate, place)->erase(key);
    return Try(std::move(candidate));
  }

  // Texts that people can read at a glance stay as they are.
  void Shorten(const Place& place, std::string text) {
    static constexpr size_t kShort = 16;
    while (text.size() > kShort) {
      // Bytes above 127 are two in a plan's texts: never cut one in two.
      text.resize(text.size() / 2);
      while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80) != 0) {
        text.pop_back();
      }
      Plan candidate = best_;
      *Find(candidate, place) = text;
      if (!Try(std::move(candidate))) return;
    }
  }

  // --- The configuration.

  void RemoveKnobsOfDrawing() {
    Plan candidate = best_;
    std::erase_if(candidate.configuration,
                  [](const auto& knob) { return IsAboutDrawing(knob.first); });
    Try(std::move(candidate));
    candidate = best_;
    candidate.seed = 0;
    Try(std::move(candidate));
  }

  // Without a knob the scenario takes its default.
  void RemoveKnobs() {
    Plan candidate = best_;
    candidate.configuration.clear();
    if (Try(std::move(candidate))) return;
    const Configuration all = best_.configuration;
    for (const auto& [name, value] : all) {
      candidate = best_;
      candidate.configuration.erase(name);
      Try(std::move(candidate));
    }
  }

  void LowerKnobs() {
    const Configuration all = best_.configuration;
    for (const auto& [name, value] : all) {
      if (value < 0) continue;
      Lower<int64_t>(
          [&name](Plan& plan) -> int64_t* {
            const auto found = plan.configuration.find(name);
            return found == plan.configuration.end() ? nullptr : &found->second;
          },
          0);
    }
  }

  // --- Numbers.

  // Looks for a small value, not below `least`, by halving the distance as if what fails with a
  // value failed with larger ones. The last eighth is not worth its runs.
  template <typename Number, typename Access>
  void Lower(Access access, Number least) {
    const auto try_value = [&](Number value) {
      Plan candidate = best_;
      *access(candidate) = value;
      return Try(std::move(candidate));
    };
    const Number* at = access(best_);
    if (at == nullptr || *at <= least) return;
    for (const Number value : {least, static_cast<Number>(least + 1)}) {
      if (value < *access(best_) && try_value(value)) return;
    }
    Number low = least + 1;
    for (at = access(best_); at != nullptr && low + 1 < *at && *at - low > *at / 8 && !ended();
         at = access(best_)) {
      const Number high = *at;
      // By factors while they are far apart.
      const auto apart_bits = std::bit_width(static_cast<uint64_t>(high / low));
      const Number middle = apart_bits > 4 ? low << (apart_bits / 2) : low + (high - low) / 2;
      if (!try_value(middle)) low = middle;
    }
  }

  const RunPlanAgain& run_;
  const ShrinkLimits& limits_;
  Plan best_;
  uint64_t runs_ = 0;
  uint64_t changes_ = 0;
  ShrinkEnd end_ = ShrinkEnd::kSmallest;
  // Hashes of what has been run: it would answer the same.
  std::set<uint64_t> tried_;
};

}  // namespace

std::string_view NameOf(ShrinkEnd end) {
  switch (end) {
    case ShrinkEnd::kSmallest:
      return "nothing more can go";
    case ShrinkEnd::kRunsUsedUp:
      return "the runs are used up";
    case ShrinkEnd::kOutOfTime:
      return "the time is over";
  }
  return "?";
}

uint64_t LinesOf(const Plan& plan) { return 1 + plan.workload.size() + plan.choices.size(); }

ShrinkResult Shrink(const Plan& plan, const RunPlanAgain& run, const ShrinkLimits& limits) {
  return Shrinker(plan, run, limits).Go();
}

}  // namespace orrery::sim
