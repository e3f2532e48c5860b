#include "tools/view/connection_state.h"

#include <fmt/core.h>

#include <map>

#include "base/check.h"

namespace orrery::view {
namespace {

void Follow(const PictureEvent& event, ConnectionState& state,
            std::map<std::string, ConnectionState::Noted>& noted) {
  if (event.note) {
    ConnectionState::Noted& note = noted[event.kind];
    note.kind = event.kind;
    ++note.count;
    note.last = event.text;
    return;
  }
  if (event.kind == "peer-connect") state.connected = true;
  if (event.kind == "peer-send") state.client_sent += event.bytes_moved;
  if (event.kind == "peer-read") state.client_received += event.bytes_moved;
  if (event.kind == "peer-shutdown") state.left = "shutdown";
  if (event.kind == "peer-close") state.left = "close";
  if (event.kind == "peer-reset") state.left = "reset";
  if (event.kind == "accepted") state.accepted = true;
  if (event.kind == "received") state.program_received += event.bytes_moved;
  if (event.kind == "sent") state.program_sent += event.bytes_moved;
  if (event.kind == "closed" || event.kind == "reset") state.ended = true;
}

bool EndedBy(const PictureRequest& request, size_t event) {
  return request.ended && request.completed.back() <= event;
}

std::string Line(std::string_view name, const std::string& text) {
  return fmt::format("    {:<10} {}\n", name, text);
}

std::string RenderClient(const ConnectionState& state) {
  if (!state.connected) return "not connected";
  std::string text =
      fmt::format("has sent {} bytes and read {}", state.client_sent, state.client_received);
  if (state.left == "shutdown") return text + "; sends nothing more";
  if (!state.left.empty()) return text + "; gone, by " + state.left;
  return text;
}

std::string RenderProgram(const ConnectionState& state) {
  if (!state.accepted) return "has not accepted it";
  return fmt::format("has received {} bytes and sent {}{}", state.program_received,
                     state.program_sent, state.ended ? "; the stream has ended" : "");
}

// What is on the way. A connection that was reset loses what it had.
std::string RenderBetween(const ConnectionState& state) {
  const auto waiting = [](uint64_t sent, uint64_t received) {
    return sent > received ? sent - received : 0;
  };
  return fmt::format("{} bytes for the program, {} for the client",
                     waiting(state.client_sent, state.program_received),
                     waiting(state.program_sent, state.client_received));
}

}  // namespace

ConnectionState StateOf(const Picture& picture, size_t lane, size_t event) {
  ORRERY_CHECK(lane < picture.lanes.size() && picture.lanes[lane].kind == Lane::Kind::kConnection);
  ORRERY_CHECK(event < picture.events.size());
  ConnectionState state;
  std::map<std::string, ConnectionState::Noted> noted;
  for (size_t index = 0; index <= event; ++index) {
    if (picture.events[index].lane == lane) Follow(picture.events[index], state, noted);
  }
  for (size_t index = 0; index < picture.requests.size(); ++index) {
    const PictureRequest& request = picture.requests[index];
    if (request.submitted > event) break;
    if (request.connection != lane) continue;
    ++state.requests;
    if (!EndedBy(request, event)) state.in_flight.push_back(index);
  }
  for (auto& [kind, note] : noted) state.noted.push_back(std::move(note));
  return state;
}

std::string Render(const Picture& picture, size_t lane, const ConnectionState& state) {
  std::string text = "  " + NameOf(picture.lanes[lane]) + "\n";
  text += Line("client", RenderClient(state));
  text += Line("program", RenderProgram(state));
  text += Line("on the way", RenderBetween(state));
  std::string name = "in flight";
  for (const size_t index : state.in_flight) {
    const PictureRequest& request = picture.requests[index];
    text += Line(name, fmt::format("{} {}, since #{}", request.name, request.opcode,
                                   picture.events[request.submitted].number));
    name.clear();
  }
  if (state.in_flight.empty()) {
    text += Line(name, fmt::format("nothing, of {} SQEs so far", state.requests));
  }
  name = "noted";
  for (const ConnectionState::Noted& note : state.noted) {
    text += Line(name, fmt::format("{} × {}, the last: {}", note.count, note.kind, note.last));
    name.clear();
  }
  return text;
}

}  // namespace orrery::view
