#include "tools/view/trace_events.h"

#include <map>
#include <optional>

#include "base/units.h"
#include "sim/plan.h"

namespace orrery::view {
namespace {

using sim::Json;

class Writer {
 public:
  explicit Writer(const Picture& picture) : picture_(picture) {}

  std::string Write() {
    NameLanes();
    WriteCalls();
    WriteRequests();
    for (const PictureEvent& event : picture_.events) {
      if (!IsOfCall(event) && !event.request.has_value()) WriteInstant(event);
    }
    if (picture_.failure.has_value()) WriteFailure(*picture_.failure);
    Json document;
    document["displayTimeUnit"] = "ns";
    document["traceEvents"] = std::move(events_);
    return document.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }

 private:
  static bool IsOfCall(const PictureEvent& event) {
    return event.kind == "enter" || event.kind == "return";
  }

  // The format counts in microseconds.
  static double Microseconds(Nanoseconds time) {
    return static_cast<double>(time) / static_cast<double>(kMicrosecond);
  }

  Json Base(const char* phase, const std::string& name, Nanoseconds time, size_t lane) const {
    Json json;
    json["ph"] = phase;
    json["name"] = name;
    json["ts"] = Microseconds(time);
    // Some viewers keep 0 for themselves.
    json["pid"] = static_cast<int>(picture_.lanes[lane].kind) + 1;
    json["tid"] = picture_.lanes[lane].number;
    return json;
  }

  void NameLanes() {
    std::optional<Lane::Kind> last;
    for (size_t index = 0; index < picture_.lanes.size(); ++index) {
      const Lane& lane = picture_.lanes[index];
      if (last != lane.kind) {
        Json json = Base("M", "process_name", 0, index);
        json["args"]["name"] = NameOf(lane.kind);
        events_.push_back(std::move(json));
      }
      last = lane.kind;
      Json json = Base("M", "thread_name", 0, index);
      json["args"]["name"] = NameOf(lane);
      events_.push_back(std::move(json));
    }
  }

  void WriteSlice(const std::string& name, const PictureEvent& from, const PictureEvent& to,
                  size_t lane, const std::string& detail) {
    Json json = Base("X", name, from.time, lane);
    json["dur"] = Microseconds(to.time - from.time);
    json["args"] = {{"events", std::to_string(from.number) + " to " + std::to_string(to.number)},
                    {"what", detail}};
    events_.push_back(std::move(json));
  }

  // Between Enter and Return a ring's thread is in the kernel, else it runs its shard.
  void WriteCalls() {
    std::map<size_t, size_t> shard_of_ring;
    for (const auto& [shard, ring] : picture_.shards) shard_of_ring[ring] = shard;
    std::map<size_t, const PictureEvent*> entered;
    std::map<size_t, const PictureEvent*> returned;
    for (const PictureEvent& event : picture_.events) {
      if (event.note) continue;
      const PictureEvent*& enter = entered[event.lane];
      const PictureEvent*& back = returned[event.lane];
      if (event.kind == "enter") {
        const auto shard = shard_of_ring.find(event.lane);
        if (back != nullptr && shard != shard_of_ring.end()) {
          WriteSlice("turn", *back, event, shard->second, event.text);
        }
        enter = &event;
      } else if (event.kind == "return") {
        if (enter != nullptr) {
          WriteSlice("io_uring_enter", *enter, event, event.lane, enter->text + " = " + event.text);
        }
        back = &event;
      }
    }
  }

  void WriteRequests() {
    for (size_t index = 0; index < picture_.requests.size(); ++index) {
      const PictureRequest& request = picture_.requests[index];
      const PictureEvent& first = picture_.events[request.submitted];
      Json args = {{"event", first.number}};
      for (const auto& [name, value] : request.sqe) args[name] = value;
      WriteAsync("b", index, first, std::move(args));
      for (size_t count = 1; count <= request.completed.size(); ++count) {
        const PictureEvent& event = picture_.events[request.completed[count - 1]];
        const bool last = request.ended && count == request.completed.size();
        WriteAsync(last ? "e" : "n", index, event, {{"event", event.number}, {"cqe", event.text}});
      }
    }
  }

  void WriteAsync(const char* phase, size_t index, const PictureEvent& event, Json args) {
    const PictureRequest& request = picture_.requests[index];
    Json json = Base(phase, request.name, event.time, request.connection.value_or(request.ring));
    json["cat"] = "request";
    json["id"] = index;
    json["args"] = std::move(args);
    events_.push_back(std::move(json));
  }

  void WriteInstant(const PictureEvent& event) {
    Json json = Base("i", event.kind, event.time, event.lane);
    json["s"] = "t";
    json["cat"] = event.choice.has_value() ? "fault" : event.note ? "note" : "event";
    json["args"] = {{"event", event.number}, {"what", event.text}};
    if (!event.bytes.empty()) json["args"]["bytes"] = sim::BytesToJson(event.bytes);
    events_.push_back(std::move(json));
  }

  void WriteFailure(const PictureFailure& failure) {
    Json json = Base("i", "violated: " + failure.invariant, failure.time, failure.lane.value_or(0));
    json["s"] = "g";
    json["cat"] = "violation";
    json["args"]["seen"] = failure.detail;
    if (!picture_.events.empty()) {
      json["args"]["after event"] = picture_.events[failure.event].number;
    }
    events_.push_back(std::move(json));
  }

  const Picture& picture_;
  Json events_ = Json::array();
};

}  // namespace

std::string WriteTraceEvents(const Picture& picture) { return Writer(picture).Write(); }

}  // namespace orrery::view
