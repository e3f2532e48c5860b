// docs/choices.md as a text: every choice site of the model, what allows it, which tests of the
// real kernel show it, and how often it was at work in real runs. A pure function of the sites'
// table, of the sheet of facts and of what was measured (docs/choices_witnessed.json), so that a
// test can tell whether the committed page is stale, without a real kernel.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel_model/choice.h"

namespace orrery::tools {

// The ids of facts that a source cites: "facts T1, M8; read(2)" has two.
std::vector<std::string> CitedFacts(std::string_view source);

// What docs/kernel_facts.md says in its last column about fact `id`: "`Sending.T1_*`"; empty when
// it has no such fact.
std::string TestsOfFact(std::string_view facts_page, std::string_view id);

// How many real runs needed a departure of the site, by what `//tools:outcomes` wrote.
uint64_t RunsThatNeeded(std::string_view site, std::string_view witnessed);

// The whole page. `witnessed`: what `//tools:outcomes` wrote.
std::string ChoicesPage(std::span<const model::SiteInfo> sites, std::string_view facts_page,
                        std::string_view witnessed);

}  // namespace orrery::tools
