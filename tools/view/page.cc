#include "tools/view/page.h"

#include <map>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "kernel_model/choice.h"
#include "sim/plan.h"
#include "tools/view/page_sources.h"

namespace orrery::view {
namespace {

using sim::Json;

constexpr std::string_view kSchema = "orrery-view/1";

// Each text once; in the order of first use, which is that of the run.
class Texts {
 public:
  size_t IndexOf(const std::string& text) {
    const auto [found, added] = indices_.emplace(text, texts_.size());
    if (added) texts_.push_back(text);
    return found->second;
  }
  const Json& texts() const { return texts_; }

 private:
  std::map<std::string, size_t> indices_;
  Json texts_ = Json::array();
};

Json OrNull(const std::optional<size_t>& index) { return index ? Json(*index) : Json(nullptr); }

Json WriteSites() {
  Json sites = Json::array();
  for (const model::SiteInfo& info : model::Sites()) {
    sites.push_back({{"name", info.name},
                     {"entity", info.entity},
                     {"meaning", info.meaning},
                     {"source", info.source},
                     {"witnessed", info.evidence == model::Evidence::kWitnessed}});
  }
  return sites;
}

// [site, entity, ordinal, answer, alternatives]
Json WriteChoice(const sim::PlannedChoice& choice, uint64_t alternatives) {
  return {static_cast<int>(choice.site), choice.entity, choice.ordinal, choice.value, alternatives};
}

// Columns, one value an event; what few events have is by index.
Json WriteEvents(const Picture& picture, Texts& texts) {
  Json numbers = Json::array();
  Json times = Json::array();
  Json lanes = Json::array();
  Json kinds = Json::array();
  Json details = Json::array();
  Json requests = Json::array();
  Json notes = Json::array();
  Json moved = Json::object();
  Json choices = Json::object();
  for (size_t index = 0; index < picture.events.size(); ++index) {
    const PictureEvent& event = picture.events[index];
    numbers.push_back(event.number);
    times.push_back(event.time);
    lanes.push_back(event.lane);
    kinds.push_back(texts.IndexOf(event.kind));
    details.push_back(texts.IndexOf(event.text));
    requests.push_back(event.request ? static_cast<int64_t>(*event.request) : int64_t{-1});
    notes.push_back(event.note ? 1 : 0);
    const std::string key = std::to_string(index);
    if (event.bytes_moved > 0) {
      moved[key] = {event.bytes_moved, sim::BytesToJson(event.bytes)};
    }
    if (event.choice.has_value()) choices[key] = WriteChoice(*event.choice, event.alternatives);
  }
  return {{"number", std::move(numbers)}, {"time", std::move(times)},
          {"lane", std::move(lanes)},     {"kind", std::move(kinds)},
          {"detail", std::move(details)}, {"request", std::move(requests)},
          {"note", std::move(notes)},     {"bytes", std::move(moved)},
          {"choice", std::move(choices)}};
}

Json WriteRequests(const Picture& picture, Texts& texts) {
  Json requests = Json::array();
  for (const PictureRequest& request : picture.requests) {
    Json facts = Json::array();
    for (const auto& [name, value] : request.sqe) {
      facts.push_back({texts.IndexOf(name), texts.IndexOf(value)});
    }
    requests.push_back({{"name", texts.IndexOf(request.name)},
                        {"opcode", texts.IndexOf(request.opcode)},
                        {"ring", request.ring},
                        {"connection", OrNull(request.connection)},
                        {"submitted", request.submitted},
                        {"completed", request.completed},
                        {"ended", request.ended},
                        {"target", OrNull(request.target)},
                        {"sqe", std::move(facts)}});
  }
  return requests;
}

Json WriteData(const PageHead& head, const Picture& picture) {
  Texts texts;
  Json data;
  data["schema"] = kSchema;
  data["head"] = {{"scenario", head.scenario},     {"strategy", head.strategy},
                  {"replay", head.replay},         {"seed", sim::HexOf(head.seed)},
                  {"hash", sim::HexOf(head.hash)}, {"events", head.events},
                  {"time", head.virtual_time},     {"left_out", picture.left_out}};
  data["failure"] = nullptr;
  if (picture.failure.has_value()) {
    const PictureFailure& failure = *picture.failure;
    data["failure"] = {{"invariant", failure.invariant},
                       {"detail", failure.detail},
                       {"time", failure.time},
                       {"event", failure.event},
                       {"lane", OrNull(failure.lane)}};
  }
  Json lanes = Json::array();
  for (const Lane& lane : picture.lanes) {
    lanes.push_back({{"kind", NameOf(lane.kind)}, {"name", NameOf(lane)}});
  }
  data["lanes"] = std::move(lanes);
  data["shards"] = picture.shards;
  data["sites"] = WriteSites();
  data["events"] = WriteEvents(picture, texts);
  data["requests"] = WriteRequests(picture, texts);
  Json decisions = Json::array();
  for (const PictureDecision& decision : picture.decisions) {
    decisions.push_back({decision.before, WriteChoice(decision.choice, decision.alternatives)});
  }
  data["decisions"] = std::move(decisions);
  data["texts"] = texts.texts();
  return data;
}

// JSON as the content of a script element, which ends at the first "</script" and knows no escapes
// of its own. '<' stands in strings only.
std::string ForScriptElement(const Json& data) {
  const std::string text = data.dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char character : text) {
    if (character == '<') {
      safe += "\\u003c";
    } else {
      safe += character;
    }
  }
  return safe;
}

// Puts `value` where `page` says {{name}}.
void Fill(const std::string& name, std::string_view value, std::string& page) {
  const std::string place = "{{" + name + "}}";
  const size_t found = page.find(place);
  ORRERY_CHECK_MSG(found != std::string::npos, "the page has no place for a part of it");
  page.replace(found, place.size(), value);
}

}  // namespace

std::string WritePage(const PageHead& head, const Picture& picture) {
  std::string page(kPageHtml);
  Fill("style", kPageStyle, page);
  Fill("script", kPageScript, page);
  // Last: it is data, and is not looked into.
  Fill("data", ForScriptElement(WriteData(head, picture)), page);
  return page;
}

}  // namespace orrery::view
