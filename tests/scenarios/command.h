// A command as a client sends it, as data: small in a plan, however long it is on the wire.
//
// No state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace orrery::scenarios {

// One argument, or other bytes to send: text, followed by a pattern for what is long.
struct Bytes {
  std::string text;
  uint64_t fill_bytes = 0;
  // Which pattern: letters when even, any bytes when odd.
  uint64_t fill_seed = 0;
  // As an argument of a command: that many arguments.
  uint64_t times = 1;

  static Bytes Text(std::string text) { return Repeated(std::move(text), 1); }
  static Bytes Repeated(std::string text, uint64_t times) {
    return {.text = std::move(text), .fill_bytes = 0, .fill_seed = 0, .times = times};
  }
  // Of one.
  size_t size() const { return text.size() + fill_bytes; }
  std::string Materialize() const;

  friend bool operator==(const Bytes&, const Bytes&) = default;
};

using Command = std::vector<Bytes>;

std::vector<std::string> Materialize(const Command& command);

}  // namespace orrery::scenarios
