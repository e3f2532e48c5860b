// A plan: what happened in a run, as data. Replay needs no generator and no seed.
//
// A plan is JSON lines. The first is the header; each further line is one item of the workload
// (whatever the scenario defines: an object with an "op"), or one choice that was not benign:
//
//   {"schema":"orrery-plan/1","scenario":"server","seed":"0x2a","configuration":{"sq_entries":2},
//    "expect":{"hash":"0x0123456789abcdef","invariant":"reply-mismatch","marks":["send.continued"]}}
//   {"op":"send","client":0,"commands":[["SET","k","v"]]}
//   {"choice":"send.partial","entity":3,"ordinal":7,"value":1}
//
// Order matters among the items of the workload, and not among choices. A line may be taken away,
// and the rest is still a plan: that is what shrinking does. Empty lines and lines that begin with
// '#' are skipped. Invariant: Write() then Read() gives an equal plan.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/choices.h"

namespace orrery::sim {

// Keeps the order of its keys, so that a plan reads as it was written.
using Json = nlohmann::ordered_json;

inline constexpr std::string_view kPlanSchema = "orrery-plan/1";

// The scenario's knobs, by name. Whole numbers only: sizes, counts, rates.
using Configuration = std::map<std::string, int64_t>;

// The value of a knob, or `otherwise` when the configuration does not have it.
int64_t ValueOr(const Configuration& configuration, std::string_view name, int64_t otherwise);

struct Plan {
  std::string scenario;
  uint64_t seed = 0;  // Where the plan came from; also seeds what the model draws (entropy).
  Configuration configuration;
  // What its run must be, as far as the plan says.
  std::optional<uint64_t> expected_hash;
  std::optional<std::string> expected_invariant;
  std::vector<std::string> expected_marks;  // Coverage marks (base/mark.h) that it must pass.
  std::vector<Json> workload;
  std::vector<PlannedChoice> choices;

  friend bool operator==(const Plan&, const Plan&) = default;
};

std::string WritePlan(const Plan& plan);

// The error begins with the line's number: "line 3: no choice has the name \"send.partail\"".
std::expected<Plan, std::string> ReadPlan(std::string_view text);

// Files. Errors name the file.
std::expected<Plan, std::string> ReadPlanFile(const std::string& path);
std::expected<void, std::string> WritePlanFile(const std::string& path, const Plan& plan);

// Bytes of any value as a JSON string and back: byte n is the code point n, so that text stays
// text. Reading gives nothing when a code point above 255 occurs.
Json BytesToJson(std::string_view bytes);
std::optional<std::string> BytesFromJson(const Json& json);

// "0x2a", and back from "0x2a" or "42". Reading gives nothing for anything else.
std::string HexOf(uint64_t number);
std::optional<uint64_t> ParseNumber(std::string_view text);

}  // namespace orrery::sim
