#include "sim/plan.h"

#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/check.h"

namespace orrery::sim {
namespace {

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string WriteHeader(const Plan& plan) {
  Json header;
  header["schema"] = kPlanSchema;
  header["scenario"] = plan.scenario;
  header["seed"] = HexOf(plan.seed);
  header["configuration"] = Json::object();
  for (const auto& [name, value] : plan.configuration) header["configuration"][name] = value;
  if (plan.expected_hash.has_value()) header["expect"]["hash"] = HexOf(*plan.expected_hash);
  if (plan.expected_invariant.has_value()) {
    header["expect"]["invariant"] = *plan.expected_invariant;
  }
  if (!plan.expected_marks.empty()) header["expect"]["marks"] = plan.expected_marks;
  return header.dump(-1, ' ', true);
}

std::string WriteChoice(const PlannedChoice& choice) {
  Json line;
  line["choice"] = model::InfoOf(choice.site).name;
  line["entity"] = choice.entity;
  line["ordinal"] = choice.ordinal;
  line["value"] = choice.value;
  return line.dump();
}

// The unsigned number at `name`, or an error.
std::expected<uint64_t, std::string> UnsignedAt(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::unexpected(Quoted(name) + " is missing");
  if (!found->is_number_unsigned()) {
    return std::unexpected(Quoted(name) + " must be a whole number, not negative");
  }
  return found->get<uint64_t>();
}

// A number written as a string in hexadecimal, or as a number.
std::expected<uint64_t, std::string> NumberAt(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::unexpected(Quoted(name) + " is missing");
  if (found->is_number_unsigned()) return found->get<uint64_t>();
  if (found->is_string()) {
    if (const auto number = ParseNumber(found->get_ref<const std::string&>())) return *number;
  }
  return std::unexpected(Quoted(name) + " must be a number such as 42 or \"0x2a\"");
}

std::expected<std::string, std::string> StringAt(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::unexpected(Quoted(name) + " is missing");
  if (!found->is_string()) return std::unexpected(Quoted(name) + " must be a string");
  return found->get<std::string>();
}

std::optional<std::string> ReadConfiguration(const Json& header, Configuration& configuration) {
  const auto found = header.find("configuration");
  if (found == header.end()) return std::nullopt;
  if (!found->is_object()) return "\"configuration\" must be an object";
  for (const auto& [name, value] : found->items()) {
    if (!value.is_number_integer()) return Quoted(name) + " must be a whole number";
    configuration[name] = value.get<int64_t>();
  }
  return std::nullopt;
}

std::optional<std::string> ReadMarks(const Json& expectation, Plan& plan) {
  const auto found = expectation.find("marks");
  if (found == expectation.end()) return std::nullopt;
  static constexpr char kWrong[] = "\"marks\" must be an array of names";
  if (!found->is_array()) return kWrong;
  for (const Json& mark : *found) {
    if (!mark.is_string()) return kWrong;
    plan.expected_marks.push_back(mark.get<std::string>());
  }
  return std::nullopt;
}

std::optional<std::string> ReadExpectation(const Json& header, Plan& plan) {
  const auto found = header.find("expect");
  if (found == header.end()) return std::nullopt;
  if (!found->is_object()) return "\"expect\" must be an object";
  if (found->contains("hash")) {
    const auto hash = NumberAt(*found, "hash");
    if (!hash) return hash.error();
    plan.expected_hash = *hash;
  }
  if (found->contains("invariant")) {
    auto invariant = StringAt(*found, "invariant");
    if (!invariant) return invariant.error();
    plan.expected_invariant = *std::move(invariant);
  }
  return ReadMarks(*found, plan);
}

// What is wrong with the line, or nothing.
std::optional<std::string> ReadHeader(const Json& line, Plan& plan) {
  const auto schema = StringAt(line, "schema");
  if (!schema) return "the first line must be a plan's header: " + schema.error();
  if (*schema != kPlanSchema) {
    return "the schema is " + Quoted(*schema) + ", this program reads " + Quoted(kPlanSchema);
  }
  auto scenario = StringAt(line, "scenario");
  if (!scenario) return scenario.error();
  plan.scenario = *std::move(scenario);
  const auto seed = NumberAt(line, "seed");
  if (!seed) return seed.error();
  plan.seed = *seed;
  if (auto problem = ReadConfiguration(line, plan.configuration)) return problem;
  return ReadExpectation(line, plan);
}

std::optional<std::string> ReadChoice(const Json& line, Plan& plan) {
  const auto name = StringAt(line, "choice");
  if (!name) return name.error();
  const model::SiteInfo* info = model::FindSite(*name);
  if (info == nullptr) return "no choice has the name " + Quoted(*name);
  const auto entity = UnsignedAt(line, "entity");
  if (!entity) return entity.error();
  const auto ordinal = UnsignedAt(line, "ordinal");
  if (!ordinal) return ordinal.error();
  const auto value = UnsignedAt(line, "value");
  if (!value) return value.error();
  if (*value == 0) return "\"value\" 0 is the benign choice, which a plan does not name";
  plan.choices.push_back(
      {.site = info->site, .entity = *entity, .ordinal = *ordinal, .value = *value});
  return std::nullopt;
}

std::optional<std::string> ReadLine(Json line, bool first, Plan& plan) {
  if (!line.is_object()) return "not a JSON object";
  if (first) return ReadHeader(line, plan);
  if (line.contains("choice")) return ReadChoice(line, plan);
  const auto op = StringAt(line, "op");
  if (!op) return "neither a choice nor an item of the workload: " + op.error();
  plan.workload.push_back(std::move(line));
  return std::nullopt;
}

std::unexpected<std::string> AtLine(size_t number, std::string_view problem) {
  return std::unexpected("line " + std::to_string(number) + ": " + std::string(problem));
}

}  // namespace

int64_t ValueOr(const Configuration& configuration, std::string_view name, int64_t otherwise) {
  const auto found = configuration.find(std::string(name));
  return found == configuration.end() ? otherwise : found->second;
}

std::string WritePlan(const Plan& plan) {
  std::string text = WriteHeader(plan) + "\n";
  for (const Json& item : plan.workload) text += item.dump(-1, ' ', true) + "\n";
  for (const PlannedChoice& choice : plan.choices) text += WriteChoice(choice) + "\n";
  return text;
}

std::expected<Plan, std::string> ReadPlan(std::string_view text) {
  Plan plan;
  bool first = true;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos || line.front() == '#') continue;
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return AtLine(number, "not valid JSON");
    if (const auto problem = ReadLine(std::move(json), first, plan)) {
      return AtLine(number, *problem);
    }
    first = false;
  }
  if (first) return AtLine(1, "the plan is empty");
  return plan;
}

std::expected<Plan, std::string> ReadPlanFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(path + ": cannot be opened");
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return std::unexpected(path + ": cannot be read");
  auto plan = ReadPlan(text.str());
  if (!plan) return std::unexpected(path + ": " + plan.error());
  return plan;
}

std::expected<void, std::string> WritePlanFile(const std::string& path, const Plan& plan) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) return std::unexpected(path + ": cannot be created");
  file << WritePlan(plan);
  file.close();
  if (!file) return std::unexpected(path + ": cannot be written");
  return {};
}

Json BytesToJson(std::string_view bytes) {
  std::string utf8;
  utf8.reserve(bytes.size());
  for (const char byte : bytes) {
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x80) {
      utf8 += byte;
    } else {
      utf8 += static_cast<char>(0xc0 | (code >> 6));
      utf8 += static_cast<char>(0x80 | (code & 0x3f));
    }
  }
  return utf8;
}

std::optional<std::string> BytesFromJson(const Json& json) {
  if (!json.is_string()) return std::nullopt;
  const auto& utf8 = json.get_ref<const std::string&>();
  std::string bytes;
  bytes.reserve(utf8.size());
  for (size_t index = 0; index < utf8.size(); ++index) {
    const auto code = static_cast<unsigned char>(utf8[index]);
    if (code < 0x80) {
      bytes += utf8[index];
      continue;
    }
    // The parser has checked that this is valid UTF-8; two bytes hold up to U+07FF.
    if ((code != 0xc2 && code != 0xc3) || index + 1 == utf8.size()) return std::nullopt;
    ++index;
    bytes +=
        static_cast<char>((code & 0x03) << 6 | (static_cast<unsigned char>(utf8[index]) & 0x3f));
  }
  return bytes;
}

std::string HexOf(uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%" PRIx64, number);
  return text;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  }
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace orrery::sim
