// What was true of one connection after one event, told from what had happened until then: what its
// ends had sent and received, what was armed or in flight for it, what the server had executed.
//
// A value, made of a picture; the simulated program is not asked and knows nothing of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/view/picture.h"

namespace orrery::view {

struct ConnectionState {
  // --- The client's end.
  bool connected = false;
  std::string left;              // How it left: "shutdown", "close", "reset"; empty: it has not.
  uint64_t client_sent = 0;      // Bytes.
  uint64_t client_received = 0;  // Bytes.

  // --- The program's end.
  bool accepted = false;
  bool ended = false;             // Closed or reset by the program or the kernel.
  uint64_t program_received = 0;  // Bytes.
  uint64_t program_sent = 0;      // Bytes.
  std::vector<size_t> in_flight;  // Requests of the picture that have had no terminal CQE.
  uint64_t requests = 0;          // SQEs so far.

  // --- What the scenario noted: how often each kind, and the last text of each, in order of kinds.
  struct Noted {
    std::string kind;
    uint64_t count = 0;
    std::string last;
  };
  std::vector<Noted> noted;
};

// REQUIRES: `lane` is a connection's, event < picture.events.size(). Events that the picture leaves
// out are not counted.
ConnectionState StateOf(const Picture& picture, size_t lane, size_t event);

// Lines for people.
std::string Render(const Picture& picture, size_t lane, const ConnectionState& state);

}  // namespace orrery::view
