#include "tools/choices_page.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace orrery::tools {
namespace {

constexpr std::string_view kHead = R"(# Where the model may go one way or another

<!-- Made by `bazel run //tools:choices` from kernel_model/choice_sites.inc: do not edit. -->

Every point of freedom of the fake kernel is a site. It is asked for an entity, with an ordinal (how often it was asked for
that entity before), and answers a number; 0 is always the benign answer, what an idle, healthy machine does. *Witnessed*
means seen on a real kernel; *documented* means that a man page or the kernel's source allows it. The tests are those of the
facts that a source cites: one body, run on Linux and on the model (`tests/conformance`, [kernel_facts.md](kernel_facts.md)).

To add a site, add a row to `kernel_model/choice_sites.inc`, and run the command above.

The last two columns are measured: `//tools:outcomes` enumerates everything that may come of small programs by the model, and
runs them on Linux. *Needed*: so many of its runs cannot be explained by the model without a departure from the benign answer
of this site. *Simplest*: so many have such a departure in their simplest explanation, though perhaps another site would do
(a late packet cannot be told from a peer that acted late). 0 says that it was not seen, not that it cannot be: most of the
programs run on an idle disk and with memory to spare. A dash: the site is younger than the measurement.

)";

constexpr std::string_view kExperimentsHead = R"(
## Small programs and their outcomes

Each was run on the model for every sequence of choices, and on Linux with varied delays, half of the runs on a busy machine.
An outcome is the sequence of completions with their results, flags and buffers. *Foreign* outcomes, which Linux has and the
model has not, would be bugs of the model.

| Program | What happens in it | Outcomes of the model | Seen on Linux | Foreign | Runs of the model | Runs on Linux |
|---|---|---|---|---|---|---|
)";

// A fact's id: a capital letter, digits, and perhaps a small letter.
bool IsFact(std::string_view word) {
  if (word.size() < 2 || std::isupper(static_cast<unsigned char>(word.front())) == 0) return false;
  if (std::isdigit(static_cast<unsigned char>(word[1])) == 0) return false;
  return std::all_of(word.begin() + 1, word.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) != 0 || (c >= 'a' && c <= 'd');
  });
}

std::string_view Trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// The part of `text` before `mark`, which is taken off with it; all of it when there is no mark.
std::string_view Next(std::string_view& text, std::string_view mark) {
  const size_t end = text.find(mark);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + mark.size());
  return part;
}

std::string Tests(const model::SiteInfo& info, std::string_view facts_page) {
  std::set<std::string> tests;
  std::string all;
  for (const std::string& id : CitedFacts(info.source)) {
    const std::string found = TestsOfFact(facts_page, id);
    if (!found.empty() && tests.insert(found).second) all += (all.empty() ? "" : ", ") + found;
  }
  return all;
}

// "needed | simplest", or dashes for a site that nobody measured.
std::string Counts(const nlohmann::json& counts, std::string_view name) {
  const auto found = counts.find(std::string(name));
  if (found == counts.end()) return "– | –";
  return std::to_string(found->value("needed", 0)) + " | " +
         std::to_string(found->value("simplest", 0));
}

}  // namespace

std::vector<std::string> CitedFacts(std::string_view source) {
  std::vector<std::string> facts;
  while (!source.empty()) {
    std::string_view clause = Trim(Next(source, ";"));
    if (!clause.starts_with("fact ") && !clause.starts_with("facts ")) continue;
    (void)Next(clause, " ");
    while (!clause.empty()) {
      const std::string_view id = Trim(Next(clause, ","));
      if (IsFact(id)) facts.emplace_back(id);
    }
  }
  return facts;
}

std::string TestsOfFact(std::string_view facts_page, std::string_view id) {
  const std::string row = "\n| " + std::string(id) + " | ";
  const size_t found = facts_page.find(row);
  if (found == std::string_view::npos) return "";
  std::string_view line = facts_page.substr(found + 1);
  line = Trim(Next(line, "\n"));
  if (line.ends_with('|')) line.remove_suffix(1);
  return std::string(Trim(line.substr(line.rfind('|') + 1)));
}

uint64_t RunsThatNeeded(std::string_view site, std::string_view witnessed) {
  const nlohmann::json measured =
      nlohmann::json::parse(witnessed, nullptr, /*allow_exceptions=*/false);
  if (measured.is_discarded()) return 0;
  return measured.value("sites", nlohmann::json::object())
      .value(std::string(site), nlohmann::json::object())
      .value("needed", uint64_t{0});
}

std::string ChoicesPage(std::span<const model::SiteInfo> sites, std::string_view facts_page,
                        std::string_view witnessed) {
  const nlohmann::json measured =
      nlohmann::json::parse(witnessed, nullptr, /*allow_exceptions=*/false);
  if (measured.is_discarded()) return "docs/choices_witnessed.json is no JSON\n";
  const auto seen = std::count_if(sites.begin(), sites.end(), [](const model::SiteInfo& info) {
    return info.evidence == model::Evidence::kWitnessed;
  });
  std::ostringstream page;
  page << kHead << sites.size() << " sites: " << seen << " witnessed, "
       << static_cast<std::ptrdiff_t>(sites.size()) - seen << " documented. Measured on "
       << measured.value("date", "?") << ", " << measured.value("kernel", "?") << ", by `"
       << measured.value("command", "?") << "`.\n\n"
       << "| Site | Entity | An answer k > 0 | Evidence | What allows it | Conformance tests | "
          "Needed | Simplest |\n"
       << "|---|---|---|---|---|---|---|---|\n";
  const nlohmann::json counts = measured.value("sites", nlohmann::json::object());
  for (const model::SiteInfo& info : sites) {
    page << "| `" << info.name << "` | " << info.entity << " | " << info.meaning << " | "
         << (info.evidence == model::Evidence::kWitnessed ? "witnessed" : "documented") << " | "
         << info.source << " | " << Tests(info, facts_page) << " | " << Counts(counts, info.name)
         << " |\n";
  }
  page << kExperimentsHead;
  for (const nlohmann::json& row : measured.value("experiments", nlohmann::json::array())) {
    page << "| `" << row.value("name", "?") << "` | " << row.value("about", "?") << " | "
         << row.value("model_outcomes", 0) << " | " << row.value("witnessed", 0) << " | "
         << row.value("foreign", 0) << " | " << row.value("model_runs", 0) << " | "
         << row.value("runs", 0) << " |\n";
  }
  return page.str();
}

}  // namespace orrery::tools
