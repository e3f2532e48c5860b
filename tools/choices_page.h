// docs/choices.md as a text: every choice site of the model, what allows it, and which tests of the
// real kernel show it. A pure function of the sites' table and of the sheet of facts, so that a
// test can tell whether the committed page is stale.
#pragma once

#include <set>
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

// The whole page.
std::string ChoicesPage(std::span<const model::SiteInfo> sites, std::string_view facts_page);

}  // namespace orrery::tools
