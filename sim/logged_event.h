// An event as it is kept for people, and how it reads.
//
// Values, of any thread. Invariant: what is rendered is a function of the event, the same in every
// build; no hash is made of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"
#include "kernel_model/observer.h"

namespace orrery::sim {

// An event as it is kept for people.
struct LoggedEvent {
  uint64_t number = 0;  // From 1, over the whole run.
  uint64_t hash = 0;    // Of all events up to this one.
  Nanoseconds time = 0;
  model::Event event{};   // For a note only entity, a and b.
  std::string_view note;  // Empty for an event of the model.
  std::string text;       // A note's detail.
};

// "#1204 12.000345 ms  conn 3  sent        512 bytes".
std::string Render(const LoggedEvent& event);
// What stands behind the kind in it: "512 bytes".
std::string RenderDetail(const LoggedEvent& event);
// Whether its entity is a connection: a note's always is.
bool IsAboutConnection(model::EventKind kind);
bool IsAboutConnection(const LoggedEvent& event);
// "recv"; of an opcode without a name here, "opcode 63".
std::string NameOfOpcode(uint8_t opcode);
// "receive 3.1": the operation, its slot's index, and the slot's generation.
std::string RenderUserData(uint64_t word);

}  // namespace orrery::sim
